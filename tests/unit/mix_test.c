/* Shares against the closed form of their distribution, mixed batches against arithmetic by hand. */
#include "io/mix.h"
#include "tests/test.h"
#include "tests/unit/drawing.h"

enum { DRAWS = 100000 };

/* The distribution function of Beta(a, a) at x <= 1/2: x^a / B(a, a) times the sum of (1 - a)_n x^n / (n! (a + n))
 * (Abramowitz and Stegun 26.5.4 with 15.1.1). */
static double beta_below(double a, double x)
{
	double sum = 0, term = 1;

	if (x > 0.5)
		return 1 - beta_below(a, 1 - x);
	for (int n = 0; n < 200; n++) {
		sum += term / (a + n);
		term *= (1 - a + n) * x / (n + 1);
	}
	return exp(a * log(x) + lgamma(2 * a) - 2 * lgamma(a)) * sum;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Known values first: uniform, 3 x^2 - 2 x^3, the arcsine law. */
static void test_the_closed_form(void)
{
	CHECK_NEAR(beta_below(1, 0.3), 0.3, 1e-12);
	CHECK_NEAR(beta_below(2, 0.2), 0.104, 1e-12);
	CHECK_NEAR(beta_below(0.5, 0.25), 1.0 / 3, 1e-12);
}

/* Kolmogorov and Smirnov: sqrt(n) times the largest distance is above 1.95 once in a thousand times. The variance is
 * 1 / (4 (2 a + 1)), the mean fourth power of the distance from 1/2 is 3 / (16 (2 a + 1) (2 a + 3)). */
static void test_beta(double alpha)
{
	static double x[DRAWS];
	double worst = 0, mean = 0, second = 0, fourth = 0, variance = 1 / (4 * (2 * alpha + 1));
	double third_of = 3 / (16 * (2 * alpha + 1) * (2 * alpha + 3));
	struct thaw_random random;

	thaw_random_init(&random, 11, THAW_RANDOM_TEST, 1, 0);
	for (int i = 0; i < DRAWS; i++) {
		double away = (x[i] = thaw_random_beta(&random, alpha)) - 0.5;

		CHECK(x[i] >= 0 && x[i] <= 1);
		mean += away / DRAWS;
		second += away * away / DRAWS;
		fourth += away * away * away * away / DRAWS;
	}
	CHECK_NEAR(mean, 0, 5 * sqrt(variance / DRAWS));
	CHECK_NEAR(second, variance, 5 * 0.25 / sqrt(DRAWS) / 2);
	CHECK_NEAR(fourth, third_of, 5 * 0.0625 / sqrt(DRAWS) / 2);
	qsort(x, DRAWS, sizeof x[0], ascending);
	for (int i = 0; i < DRAWS; i++) {
		/* Where doubles end, at 1 and for small alpha at 0 too, many fall together. */
		double at = x[i] < 1e-12 || x[i] > 1 - 1e-12 ? -1 : beta_below(alpha, x[i]);

		if (at >= 0)
			worst = fmax(worst, fmax(fabs(at - (double)i / DRAWS), fabs(at - (i + 1.0) / DRAWS)));
	}
	if (!(worst * sqrt(DRAWS) <= 1.95))
		TEST_FAIL("Beta(%g, %g): the distributions are %g apart", alpha, alpha, worst);
}

static struct thaw_mix draw(double mixup, double cutmix, int size, int64_t first)
{
	struct thaw_augment augment = {.size = size, .mixup = mixup, .cutmix = cutmix};

	return thaw_mix_draw(&augment, 7, 2, first);
}

/* The mean area of CutMix's box: E[1 - lambda] of the whole, less what lies beyond the edges. A side of 2 h with its
 * middle uniform in the picture keeps 2 h - h^2 on average (in units of the edge), h = sqrt(1 - lambda) / 2. With alpha
 * 1 the side's square is uniform, and both sides together keep E[(2 h - h^2)^2] = E[1 - l] - E[(1 - l)^(3/2)] / 2 +
 * E[(1 - l)^2] / 16 = 1/2 - 1/5 + 1/48. */
static void test_draws(void)
{
	int mixups = 0, cutmixes = 0;
	double area = 0;

	for (int i = 0; i < DRAWS; i++) {
		struct thaw_mix none = draw(0, 0, 224, i), up = draw(0.2, 0, 224, i), cut = draw(0, 1, 224, i),
						either = draw(0.2, 1, 224, i);

		CHECK(none.share == 1 && none.box.height == 0);
		CHECK(up.box.height == 0 && up.share >= 0 && up.share <= 1);
		CHECK(up.share * 65536 == floor(up.share * 65536));
		CHECK(cut.box.top >= 0 && cut.box.top + cut.box.height <= 224);
		CHECK(cut.box.left >= 0 && cut.box.left + cut.box.width <= 224);
		CHECK_NEAR(cut.share, 1 - cut.box.height * cut.box.width / (224.0 * 224), 1e-12);
		CHECK((cut.box.height == 0) == (cut.box.width == 0));
		area += 1 - cut.share;
		mixups += memcmp(&either, &up, sizeof up) == 0;
		cutmixes += memcmp(&either, &cut, sizeof cut) == 0;
	}
	CHECK_INT(mixups + cutmixes, DRAWS);
	CHECK_NEAR((double)mixups / DRAWS, 0.5, 5 * 0.5 / sqrt(DRAWS));
	CHECK_NEAR(area / DRAWS, 0.5 - 0.2 + 1.0 / 48, 0.005); /* whole pixels make it a little less */
}

static void test_pure_function_of_seed_epoch_place(void)
{
	struct thaw_augment augment = {.size = 224, .mixup = 1};
	int same[4] = {0};

	for (int i = 0; i < 1000; i++) {
		double share = thaw_mix_draw(&augment, 7, 2, i).share;

		same[0] += thaw_mix_draw(&augment, 7, 2, i).share == share;
		same[1] += thaw_mix_draw(&augment, 8, 2, i).share == share;
		same[2] += thaw_mix_draw(&augment, 7, 3, i).share == share;
		same[3] += thaw_mix_draw(&augment, 7, 2, i + 1).share == share;
	}
	CHECK_INT(same[0], 1000);
	CHECK(same[1] < 5 && same[2] < 5 && same[3] < 5);
}

enum { SIZE = 9, PICTURE = SIZE * SIZE * 3 };

/* Pictures 0 with 4, 1 with 3; 2 is its own partner. */
static void check_mixed(const struct thaw_mix *mix, int count)
{
	uint8_t *got = drawing(2, SIZE * count, SIZE), *before = drawing(2, SIZE * count, SIZE);

	thaw_mix(mix, got, count, SIZE);
	for (int i = 0; i < count; i++)
		for (int at = 0; at < PICTURE; at++) {
			int x = at / 3 % SIZE, y = at / 3 / SIZE, own = before[i * PICTURE + at];
			int other = before[(count - 1 - i) * PICTURE + at];
			bool inside = y >= mix->box.top && y < mix->box.top + mix->box.height && x >= mix->box.left &&
			              x < mix->box.left + mix->box.width;
			double mixed = mix->share * own + (1 - mix->share) * other;

			if (mix->box.height > 0)
				CHECK_INT(got[i * PICTURE + at], inside ? other : own);
			else
				CHECK_NEAR(got[i * PICTURE + at], mixed, 0.5);
		}
	free(got);
	free(before);
}

static void test_batches(void)
{
	static const double shares[] = {0, 1.0 / 65536, 0.25, 0.5, 45678 / 65536.0, 65535 / 65536.0, 1};
	const struct thaw_mix cut = {.share = 1 - 12.0 / 81, .box = {2, 5, 3, 4}}, all = {.share = 0, .box = {0, 0, 9, 9}};

	for (int count = 1; count <= 5; count++) {
		for (size_t i = 0; i < 7; i++)
			check_mixed(&(struct thaw_mix){.share = shares[i]}, count);
		check_mixed(&cut, count);
		check_mixed(&all, count);
	}
}

int main(void)
{
	static const double alphas[] = {0.05, 0.1, 0.2, 0.4, 0.5, 0.8, 1, 1.7, 2, 5, 10};

	test_the_closed_form();
	for (size_t i = 0; i < sizeof alphas / sizeof alphas[0]; i++)
		test_beta(alphas[i]);
	test_draws();
	test_pure_function_of_seed_epoch_place();
	test_batches();
	return TEST_END();
}
