/* The learning-rate range test: by hand, and against what fastai suggests (tests/golden/make_lr_range.py). */
#include "base/lr_range.h"
#include "base/random.h"
#include "tests/test.h"

static void test_rates_rise_by_equal_factors(void)
{
	const struct thaw_lr_range range = {1e-7, 10, 9}; /* eight decades in eight steps */

	CHECK_NEAR(thaw_lr_range_rate(&range, 0), 1e-7, 1e-20);
	CHECK_NEAR(thaw_lr_range_rate(&range, 1), 1e-6, 1e-18);
	CHECK_NEAR(thaw_lr_range_rate(&range, 4), 1e-3, 1e-15);
	CHECK_NEAR(thaw_lr_range_rate(&range, 8), 10, 1e-12);
}

/* 0.98 * 0.02 + 0.02 * 3 = 0.0796, and 1 - 0.98^2 = 0.0396 */
static void test_smoothing_has_no_bias_to_zero(void)
{
	double smoothed[3];

	thaw_lr_range_smooth((const double[]){1, 3, 3}, 3, smoothed);
	CHECK_NEAR(smoothed[0], 1, 1e-12);
	CHECK_NEAR(smoothed[1], 0.0796 / 0.0396, 1e-12);
	CHECK_NEAR(smoothed[2], (0.98 * 0.0796 + 0.06) / (1 - 0.941192), 1e-12);
}

static void test_the_end(void)
{
	CHECK(!thaw_lr_range_ends(NULL, 0));
	CHECK(!thaw_lr_range_ends((const double[]){1}, 1));
	CHECK(!thaw_lr_range_ends((const double[]){1, 4}, 2));
	CHECK(thaw_lr_range_ends((const double[]){1, 4.001}, 2));
	CHECK(thaw_lr_range_ends((const double[]){9, 1, 3, 4.5}, 4));
	CHECK(!thaw_lr_range_ends((const double[]){9, 1, 4.5, 3}, 4));
	CHECK(thaw_lr_range_ends((const double[]){1, NAN}, 2));
	CHECK(thaw_lr_range_ends((const double[]){1, INFINITY}, 2));
}

/* With ten steps the first place is skipped, and the last five always. */
static void suggests(const double *losses, int count, int valley, int steepest)
{
	const struct thaw_lr_range range = {1e-7, 10, 10};
	struct thaw_lr_suggestion suggestion = {-7, -7};

	CHECK_OK(thaw_lr_range_suggest(&range, losses, count, &suggestion));
	CHECK_INT(suggestion.valley, valley);
	CHECK_INT(suggestion.steepest, steepest);
}

static void test_suggestions_by_hand(void)
{
	/* 9 places that fall: they end at 8, b = 8 - 9, place -1 + 3 + 1, counted from 1 */
	suggests((const double[]){0, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 0}, 15, 4, 4);
	/* the same with a steeper beginning, before the valley: from 4 to 2.5 is the steepest behind it */
	suggests((const double[]){0, 12, 8, 7, 6, 5, 4, 2.5, 2, 1, 0, 0, 0, 0, 0}, 15, 4, 6);
	/* 5 4 2 1.5: b = -1, place -1 + 1 + 0; the steepest is from 4 to 2 */
	suggests((const double[]){0, 5, 4, 2, 1.5, 0, 0, 0, 0, 0}, 10, 1, 2);
	/* two places: -1 + 0 + 0 is none, the first it is */
	suggests((const double[]){0, 5, 4, 0, 0, 0, 0, 0}, 8, 1, 1);
	/* the longest falling subsequence of 3 4 2 5 1 6 is 3 2 1, which ends at 4: b = 1, place 1 + 1 + 0; 5 to 1 */
	suggests((const double[]){0, 3, 4, 2, 5, 1, 6, 0, 0, 0, 0, 0}, 12, 3, 4);
	/* from 9 to 4 is behind the least */
	suggests((const double[]){0, 5, 4.5, 3, 2, 9, 4, 3, 0, 0, 0, 0, 0}, 13, 1, 2);
	/* equal losses do not fall, nor do rising ones */
	suggests((const double[]){9, 2, 2, 2, 3, 4, 0, 0, 0, 0, 0}, 11, -1, -1);
	/* nothing is left */
	suggests((const double[]){9, 8, 7, 6, 5, 4}, 6, -1, -1);
	suggests((const double[]){9, 8}, 2, -1, -1);
	suggests(NULL, 0, -1, -1);
}

/* The curves of make_lr_range.py. */
static const struct {
	double fall, rise, ripple;
	int steps;
	int count; /* steps until the end */
	double last;
	int valley, steepest;
} curves[] = {
	{-3, -1, 0, 100, 100, 1.883410129, 46, 57},
	{-3, -1, 0.004, 100, 100, 1.883259777, 52, 57},
	{-2, 0, 0.01, 100, 100, 1.373002148, 64, 68},
	{-4, -3, 0.02, 60, 53, 6.544836235, 22, 24},
	{-2, -2, 0.005, 300, 287, 6.655094018, 170, 197},
};

static void test_what_fastai_suggests(void)
{
	for (size_t c = 0; c < sizeof curves / sizeof *curves; c++) {
		const struct thaw_lr_range range = {1e-7, 10, curves[c].steps};
		double losses[300], smoothed[300];
		struct thaw_lr_suggestion suggestion;
		int count = 0;

		for (bool ends = false; !ends && count < range.steps; ends = thaw_lr_range_ends(smoothed, count)) {
			double x = log10(thaw_lr_range_rate(&range, count));

			losses[count] = 2.0 - 1.2 / (1 + exp(-3 * (x - curves[c].fall))) + exp(2 * (x - curves[c].rise)) / 10 +
			                curves[c].ripple * (37 * count % 11 - 5);
			count++;
			thaw_lr_range_smooth(losses, count, smoothed);
		}
		CHECK_INT(count, curves[c].count);
		CHECK_NEAR(smoothed[count - 1], curves[c].last, 1e-8);
		CHECK_OK(thaw_lr_range_suggest(&range, smoothed, count, &suggestion));
		CHECK_INT(suggestion.valley, curves[c].valley);
		CHECK_INT(suggestion.steepest, curves[c].steepest);
	}
}

/* Falls to 1.5 among 11 smoothed losses, of which the first and the last five are left out. The losses go up and down by
 * 0.2, so that sigma^2 is 0.2^2 / 2. The variances are sums over the weights of the losses. */
static void test_falls(void)
{
	const struct thaw_lr_range range = {1e-7, 10, 10};
	const double losses[] = {1, 1.2, 1, 1.2, 1, 1.2, 1, 1.2, 1, 1.2, 1};
	const double smoothed[] = {9, 1.6, 2, 1.5, 1.7, 1.8, 0, 0, 0, 0, 0};
	double w2 = 0, both = 0, w3 = 0;
	struct thaw_lr_fall fall = thaw_lr_range_fall(&range, losses, smoothed, 11);

	for (int k = 0; k <= 3; k++) {
		double b = 0.02 * pow(0.98, 3 - k) / (1 - pow(0.98, 4)), a = k > 2 ? 0 : 0.02 * pow(0.98, 2 - k) / (1 - pow(0.98, 3));

		w2 += a * a;
		w3 += b * b;
		both += a * b;
	}
	CHECK_NEAR(fall.share, 0.25, 1e-12);
	CHECK_NEAR(fall.errors, 0.5 / (0.2 / sqrt(2) * sqrt(w2 + w3 - 2 * both)), 1e-9);
	fall = thaw_lr_range_fall(&range, losses, (const double[]){9, 1, 2, 3, 4, 5, 6, 7}, 8);
	CHECK_NEAR(fall.share, 0, 0);
	CHECK(thaw_lr_range_is_chance(fall));
	CHECK(thaw_lr_range_is_chance(thaw_lr_range_fall(&range, NULL, NULL, 0)));
	CHECK(thaw_lr_range_is_chance((struct thaw_lr_fall){1, NAN}));
}

/* How many of 300 sweeps over losses of 0.7, that scatter by `scatter` and fall by a logistic step of `depth` in the
 * middle, are taken for chance. Those that are not pure noise run away at the end. */
static int count_chance(int steps, double scatter, double depth)
{
	const struct thaw_lr_range range = {1e-7, 10, steps};
	static double losses[300], smoothed[300];
	int chance = 0;

	for (int sweep = 0; sweep < 300; sweep++) {
		struct thaw_random random;
		float noise[300];
		int count = 0;

		thaw_random_init(&random, 1, THAW_RANDOM_TEST, (uint32_t)steps, (uint32_t)sweep);
		thaw_random_normals(&random, noise, steps, scatter);
		for (bool ends = false; !ends && count < steps; ends = thaw_lr_range_ends(smoothed, count)) {
			double x = log10(thaw_lr_range_rate(&range, count));

			losses[count] = 0.7 + (double)noise[count] - depth / (1 + exp(-4 * (x + 3)));
			if (depth > 0)
				losses[count] += exp(3 * x) / 10;
			count++;
			thaw_lr_range_smooth(losses, count, smoothed);
		}
		chance += thaw_lr_range_is_chance(thaw_lr_range_fall(&range, losses, smoothed, count));
	}
	return chance;
}

/* Pure noise is told in 279 of 300 at least, whatever its size; a fall by a third of the loss never is. */
static void test_noise_is_chance(void)
{
	static const int steps[] = {10, 20, 40, 100, 300};

	for (size_t s = 0; s < sizeof steps / sizeof *steps; s++)
		for (double scatter = 0.005; scatter < 0.2; scatter *= 5)
			CHECK(count_chance(steps[s], scatter, 0) >= 279);
	CHECK_INT(count_chance(100, 0.02, 0.25), 0);
	CHECK_INT(count_chance(300, 0.05, 0.25), 0);
	CHECK_INT(count_chance(100, 0.05, 0.5), 0);
	CHECK(count_chance(100, 0.05, 0.1) <= 30); /* a seventh of the loss, two deviations */
}

int main(void)
{
	test_falls();
	test_noise_is_chance();
	test_rates_rise_by_equal_factors();
	test_smoothing_has_no_bias_to_zero();
	test_the_end();
	test_suggestions_by_hand();
	test_what_fastai_suggests();
	return TEST_END();
}
