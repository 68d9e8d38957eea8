/* Views against torchvision: the distribution of its random crops (tests/golden/make_pictures.py); crops by hand. */
#include "io/augment.h"
#include "tests/test.h"

enum {
	DRAWS = 200000, /* ours, one a picture */
	TORCHVISION_DRAWS = 200000,
	DECILES = 9,
};

/* Sums over the draws of one quantity; `below` and `up_to` count those below, and not above, torchvision's deciles. */
struct tally {
	double mean, deviation, decile[DECILES]; /* torchvision's */
	double sum;
	int below[DECILES], up_to[DECILES];
};

static void add(struct tally *tally, double value)
{
	tally->sum += value;
	for (int i = 0; i < DECILES; i++) {
		tally->below[i] += value < tally->decile[i] - 1e-7;
		tally->up_to[i] += value < tally->decile[i] + 1e-7;
	}
}

/* Within five standard errors of the difference of two samples; the seed is fixed, so this passes always or never. */
static void check_tally(const char *what, int height, int width, const struct tally *tally)
{
	double share = 1.0 / DRAWS + 1.0 / TORCHVISION_DRAWS, mean = tally->sum / DRAWS;

	if (!(fabs(mean - tally->mean) <= 5 * tally->deviation * sqrt(share) + 1e-7))
		TEST_FAIL("%d x %d: mean %s %.6f, torchvision's %.6f", height, width, what, mean, tally->mean);
	for (int i = 0; i < DECILES; i++) {
		double p = (i + 1) / 10.0, error = 5 * sqrt(p * (1 - p) * share);

		if (!((double)tally->below[i] / DRAWS <= p + error && (double)tally->up_to[i] / DRAWS >= p - error))
			TEST_FAIL("%d x %d: %s up to %g in %.4f to %.4f of the draws, want %.1f", height, width, what,
			          tally->decile[i], (double)tally->below[i] / DRAWS, (double)tally->up_to[i] / DRAWS, p);
	}
}

static void check_distribution(const struct thaw_augment *augment, int height, int width, struct tally tallies[4])
{
	static const char *const names[] = {"share of the area", "ratio", "middle down", "middle across"};
	int flips = 0;

	for (int i = 0; i < DRAWS; i++) {
		struct thaw_view view = thaw_augment_view(augment, 5, 3, i, height, width);
		struct thaw_box box = view.box;

		if (box.top < 0 || box.left < 0 || box.height < 1 || box.width < 1 || box.top + box.height > height ||
		    box.left + box.width > width) {
			TEST_FAIL("picture %d: the box leaves the picture", i);
			return;
		}
		add(&tallies[0], (double)(box.height * box.width) / (height * width));
		add(&tallies[1], (double)box.width / box.height);
		add(&tallies[2], (box.top + box.height / 2.0) / height);
		add(&tallies[3], (box.left + box.width / 2.0) / width);
		flips += view.flip;
	}
	for (int i = 0; i < 4; i++)
		check_tally(names[i], height, width, &tallies[i]);
	CHECK_NEAR((double)flips / DRAWS, augment->flip, 5 * 0.5 / sqrt(DRAWS));
}

static void test_random_crops_are_torchvisions(const char *golden)
{
	char path[512];
	struct thaw_augment augment = {.crop = THAW_CROP_RANDOM_RESIZED, .flip = 0.5, .size = 224};
	int height, width, cases = 0;
	FILE *file;

	snprintf(path, sizeof path, "%s/pictures/augment.txt", golden);
	file = fopen(path, "r");
	CHECK(file);
	while (file && fscanf(file, "%d %d %lf %lf %lf %lf", &height, &width, &augment.scale[0], &augment.scale[1],
	                      &augment.ratio[0], &augment.ratio[1]) == 6) {
		struct tally tallies[4] = {0};
		int numbers = 0;

		for (int i = 0; i < 4; i++) {
			numbers += fscanf(file, "%lf %lf", &tallies[i].mean, &tallies[i].deviation);
			for (int k = 0; k < DECILES; k++)
				numbers += fscanf(file, "%lf", &tallies[i].decile[k]);
		}
		CHECK_INT(numbers, 4 * (2 + DECILES));
		check_distribution(&augment, height, width, tallies);
		cases++;
	}
	CHECK_INT(cases, 5);
	if (file)
		fclose(file);
}

static void check_box(struct thaw_box got, int top, int left, int height, int width)
{
	CHECK_INT(got.top, top);
	CHECK_INT(got.left, left);
	CHECK_INT(got.height, height);
	CHECK_INT(got.width, width);
}

/* A scale and ratio that never fit leave the central crop of the nearest allowed ratio. */
static void test_fallback(void)
{
	struct thaw_augment wide = {THAW_CROP_RANDOM_RESIZED, {1, 1}, {0.75, 4.0 / 3}, 0, 224};
	struct thaw_augment square = {THAW_CROP_RANDOM_RESIZED, {1, 1}, {3, 4}, 0, 224};

	/* 700 / 256 is above 4/3: width round(256 * 4/3 = 341.33), left (700 - 341) // 2 */
	check_box(thaw_augment_view(&wide, 1, 0, 0, 256, 700).box, 0, 179, 256, 341);
	/* 256 / 700 is below 3/4: height round(256 / 0.75 = 341.33) */
	check_box(thaw_augment_view(&wide, 1, 0, 0, 700, 256).box, 179, 0, 341, 256);
	/* 1 is below 3: height round(100 / 3) */
	check_box(thaw_augment_view(&square, 1, 0, 0, 100, 100).box, 33, 0, 33, 100);
	/* round(1 / 3) would be no row at all */
	check_box(thaw_augment_view(&square, 1, 0, 0, 5, 1).box, 2, 0, 1, 1);
}

/* torchvision's CenterCrop: int(round((height - size) / 2.0)), where round(0.5) is 0 and round(1.5) is 2 */
static void test_center_crop(void)
{
	struct thaw_augment center = {.crop = THAW_CROP_CENTER, .size = 224};

	check_box(thaw_augment_view(&center, 1, 0, 0, 256, 341).box, 16, 58, 224, 224); /* 58.5 -> 58 */
	check_box(thaw_augment_view(&center, 1, 0, 0, 343, 256).box, 60, 16, 224, 224); /* 59.5 -> 60 */
	check_box(thaw_augment_view(&center, 1, 0, 0, 224, 225).box, 0, 0, 224, 224);   /* 0.5 -> 0 */
	check_box(thaw_augment_view(&center, 1, 0, 0, 227, 224).box, 2, 0, 224, 224);   /* 1.5 -> 2 */
	check_box(thaw_augment_view(&center, 1, 0, 0, 200, 300).box, 0, 50, 200, 200);  /* too low: the central square */
	check_box(thaw_augment_view(&center, 1, 0, 0, 100, 101).box, 0, 0, 100, 100);
	for (int i = 0; i < 1000; i++)
		CHECK(!thaw_augment_view(&center, 1, 0, i, 256, 256).flip);
	center.flip = 1;
	for (int i = 0; i < 1000; i++)
		CHECK(thaw_augment_view(&center, 1, 0, i, 256, 256).flip);
}

/* Views of 1000 pictures that are the same under both. */
static int same_views(uint64_t seed_a, int epoch_a, uint64_t seed_b, int epoch_b)
{
	struct thaw_augment augment = {THAW_CROP_RANDOM_RESIZED, {0.08, 1}, {0.75, 4.0 / 3}, 0.5, 224};
	int same = 0;

	for (int i = 0; i < 1000; i++) {
		struct thaw_view a = thaw_augment_view(&augment, seed_a, epoch_a, i, 256, 341);
		struct thaw_view b = thaw_augment_view(&augment, seed_b, epoch_b, i, 256, 341);

		same += memcmp(&a.box, &b.box, sizeof a.box) == 0 && a.flip == b.flip;
	}
	return same;
}

static void test_pure_function_of_seed_epoch_picture(void)
{
	CHECK_INT(same_views(7, 2, 7, 2), 1000);
	CHECK(same_views(7, 2, 7, 3) < 5);
	CHECK(same_views(7, 2, 8, 2) < 5);
	CHECK(same_views(7, 2, 7 + ((uint64_t)1 << 32), 2) < 5);
}

int main(int argc, char **argv)
{
	const char *golden = argc > 1 ? argv[1] : "tests/golden";

	test_random_crops_are_torchvisions(golden);
	test_fallback();
	test_center_crop();
	test_pure_function_of_seed_epoch_picture();
	return TEST_END();
}
