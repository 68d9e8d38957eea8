/* Draws of boxes against torchvision: the distributions of its random crops (tests/golden/make_pictures.py) and of what
 * it erases (make_distort.py); crops, angles and the bounds of settings by hand. */
#include "io/augment.h"
#include "io/distort.h"
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

static void read_tallies(FILE *file, struct tally tallies[4])
{
	int numbers = 0;

	for (int i = 0; i < 4; i++) {
		numbers += fscanf(file, "%lf %lf", &tallies[i].mean, &tallies[i].deviation);
		for (int k = 0; k < DECILES; k++)
			numbers += fscanf(file, "%lf", &tallies[i].decile[k]);
	}
	CHECK_INT(numbers, 4 * (2 + DECILES));
}

static struct thaw_view view_of(const struct thaw_augment *augment, int64_t picture, int height, int width)
{
	return thaw_augment_view(augment, &(struct thaw_sample){.seed = 5, .epoch = 3, .picture = picture}, height, width);
}

static void check_distribution(const struct thaw_augment *augment, int height, int width, struct tally tallies[4])
{
	static const char *const names[] = {"share of the area", "ratio", "middle down", "middle across"};
	int flips = 0;

	for (int i = 0; i < DRAWS; i++) {
		struct thaw_view view = view_of(augment, i, height, width);
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

		read_tallies(file, tallies);
		check_distribution(&augment, height, width, tallies);
		cases++;
	}
	CHECK_INT(cases, 5);
	if (file)
		fclose(file);
}

/* As tallies count all draws, those without a box are made up for by more draws. */
static void check_erasing(const struct thaw_augment *augment, double without, struct tally tallies[4])
{
	static const char *const names[] = {"share of the area", "ratio", "middle down", "middle across"};
	const int size = augment->size;
	int boxes = 0, none = 0;

	for (int i = 0; boxes < DRAWS; i++) {
		struct thaw_box box =
			thaw_distort_draw(augment, &(struct thaw_sample){.seed = 5, .epoch = 3, .picture = i}).erased;

		if (box.height == 0) {
			none++;
			continue;
		}
		if (box.top < 0 || box.left < 0 || box.top + box.height > size || box.left + box.width > size ||
		    box.height >= size || box.width >= size) {
			TEST_FAIL("picture %d: the box is not within the picture, or no smaller", i);
			return;
		}
		add(&tallies[0], (double)(box.height * box.width) / (size * size));
		add(&tallies[1], (double)box.height / box.width);
		add(&tallies[2], (box.top + box.height / 2.0) / size);
		add(&tallies[3], (box.left + box.width / 2.0) / size);
		boxes++;
	}
	for (int i = 0; i < 4; i++)
		check_tally(names[i], size, size, &tallies[i]);
	CHECK_NEAR((double)none / (boxes + none), without, 5 * sqrt(without / DRAWS * 2));
}

static void test_erased_boxes_are_torchvisions(const char *golden)
{
	struct thaw_augment augment = {.erase = 1};
	char path[512];
	double without;
	int cases = 0;
	FILE *file;

	snprintf(path, sizeof path, "%s/pictures/erase.txt", golden);
	file = fopen(path, "r");
	CHECK(file);
	while (file && fscanf(file, "%d %lf %lf %lf %lf %lf", &augment.size, &augment.erase_scale[0],
	                      &augment.erase_scale[1], &augment.erase_ratio[0], &augment.erase_ratio[1], &without) == 6) {
		struct tally tallies[4] = {0};

		read_tallies(file, tallies);
		check_erasing(&augment, without, tallies);
		cases++;
	}
	CHECK_INT(cases, 2);
	if (file)
		fclose(file);
}

/* Uniform in -30 .. 30: mean 0, variance 60^2 / 12, independent of the rest. */
static void test_angles(void)
{
	struct thaw_augment augment = {.crop = THAW_CROP_CENTER, .size = 224, .flip = 0.5, .rotation = 30},
						upright = augment;
	double sum = 0, squares = 0, mirrored = 0;

	upright.rotation = 0;
	for (int i = 0; i < DRAWS; i++) {
		struct thaw_view view = view_of(&augment, i, 256, 256), without = view_of(&upright, i, 256, 256);

		CHECK(view.degrees >= -30 && view.degrees <= 30);
		CHECK(without.degrees == 0 && without.flip == view.flip);
		sum += view.degrees;
		squares += view.degrees * view.degrees;
		mirrored += view.flip ? view.degrees : 0;
	}
	CHECK_NEAR(sum / DRAWS, 0, 5 * sqrt(300.0 / DRAWS));
	CHECK_NEAR(squares / DRAWS, 300, 5 * sqrt(72000.0 / DRAWS)); /* 30^4 (1/5 - 1/9) */
	CHECK_NEAR(mirrored / DRAWS, 0, 5 * sqrt(150.0 / DRAWS));
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
	struct thaw_augment wide = {
		.crop = THAW_CROP_RANDOM_RESIZED, .scale = {1, 1}, .ratio = {0.75, 4.0 / 3}, .size = 224};
	struct thaw_augment square = {.crop = THAW_CROP_RANDOM_RESIZED, .scale = {1, 1}, .ratio = {3, 4}, .size = 224};

	/* 700 / 256 is above 4/3: width round(256 * 4/3 = 341.33), left (700 - 341) // 2 */
	check_box(view_of(&wide, 0, 256, 700).box, 0, 179, 256, 341);
	/* 256 / 700 is below 3/4: height round(256 / 0.75 = 341.33) */
	check_box(view_of(&wide, 0, 700, 256).box, 179, 0, 341, 256);
	/* 1 is below 3: height round(100 / 3) */
	check_box(view_of(&square, 0, 100, 100).box, 33, 0, 33, 100);
	/* round(1 / 3) would be no row at all */
	check_box(view_of(&square, 0, 5, 1).box, 2, 0, 1, 1);
}

/* torchvision's CenterCrop: int(round((height - size) / 2.0)), where round(0.5) is 0 and round(1.5) is 2 */
static void test_center_crop(void)
{
	struct thaw_augment center = {.crop = THAW_CROP_CENTER, .size = 224};

	check_box(view_of(&center, 0, 256, 341).box, 16, 58, 224, 224); /* 58.5 -> 58 */
	check_box(view_of(&center, 0, 343, 256).box, 60, 16, 224, 224); /* 59.5 -> 60 */
	check_box(view_of(&center, 0, 224, 225).box, 0, 0, 224, 224);   /* 0.5 -> 0 */
	check_box(view_of(&center, 0, 227, 224).box, 2, 0, 224, 224);   /* 1.5 -> 2 */
	check_box(view_of(&center, 0, 200, 300).box, 0, 50, 200, 200);  /* too low: the central square */
	check_box(view_of(&center, 0, 100, 101).box, 0, 0, 100, 100);
	for (int i = 0; i < 1000; i++)
		CHECK(!view_of(&center, i, 256, 256).flip);
	center.flip = 1;
	for (int i = 0; i < 1000; i++)
		CHECK(view_of(&center, i, 256, 256).flip);
}

/* Views of 1000 pictures that are the same under both. */
static int same_views(struct thaw_sample first, struct thaw_sample second)
{
	struct thaw_augment augment = {
		.crop = THAW_CROP_RANDOM_RESIZED, .scale = {0.08, 1}, .ratio = {0.75, 4.0 / 3}, .flip = 0.5, .size = 224};
	int same = 0;

	for (int i = 0; i < 1000; i++) {
		struct thaw_view a, b;

		first.picture = second.picture = i;
		a = thaw_augment_view(&augment, &first, 256, 341);
		b = thaw_augment_view(&augment, &second, 256, 341);
		same += memcmp(&a.box, &b.box, sizeof a.box) == 0 && a.flip == b.flip;
	}
	return same;
}

static void test_pure_function_of_seed_epoch_picture(void)
{
	const struct thaw_sample sample = {.seed = 7, .epoch = 2};

	CHECK_INT(same_views(sample, sample), 1000);
	CHECK(same_views(sample, (struct thaw_sample){.seed = 7, .epoch = 3}) < 5);
	CHECK(same_views(sample, (struct thaw_sample){.seed = 8, .epoch = 2}) < 5);
	CHECK(same_views(sample, (struct thaw_sample){.seed = 7 + ((uint64_t)1 << 32), .epoch = 2}) < 5);
	CHECK(same_views(sample, (struct thaw_sample){.seed = 7, .epoch = 2, .repeat = 1}) < 5);
}

static void test_settings_are_checked(void)
{
	const struct thaw_augment good = {
		.crop = THAW_CROP_RANDOM_RESIZED,
		.scale = {0.08, 1},
		.ratio = {0.75, 4.0 / 3},
		.flip = 1,
		.size = 224,
		.rotation = 180,
		.brightness = 10,
		.contrast = 0.5,
		.saturation = 2,
		.hue = 0.5,
		.grey = 1,
		.blur = 1,
		.blur_sigma = {0.1, 10},
		.erase = 1,
		.erase_scale = {0, 1},
		.erase_ratio = {0.3, 3.3},
		.mixup = 10,
		.cutmix = 0.05,
	};
	struct thaw_augment bad;

#define REFUSED(field, value, words)                                \
	do {                                                            \
		bad = good;                                                 \
		bad.field = (value);                                        \
		CHECK_FAILS(thaw_augment_check(&bad), THAW_BAD_JOB, words); \
	} while (0)
	CHECK_OK(thaw_augment_check(&good));
	REFUSED(flip, 1.01, "augment.flip: 1.01, allowed is 0 to 1");
	REFUSED(rotation, 181, "augment.rotation: 181, allowed is 0 to 180");
	REFUSED(rotation, -1, "augment.rotation: -1, allowed");
	REFUSED(brightness, -0.1, "augment.brightness: -0.1, allowed");
	REFUSED(brightness, (double)INFINITY, "augment.brightness: inf, allowed");
	REFUSED(contrast, (double)NAN, "augment.contrast");
	REFUSED(saturation, 11, "augment.saturation");
	REFUSED(hue, 0.51, "augment.hue: 0.51, allowed is 0 to 0.5");
	REFUSED(grey, 2, "augment.grey");
	REFUSED(blur, -1, "augment.blur: ");
	REFUSED(blur_sigma[0], 0, "augment.blur_sigma: 0 to 10, allowed is a range within 0.01 to 10");
	REFUSED(blur_sigma[1], 10.5, "augment.blur_sigma");
	REFUSED(blur_sigma[1], 0.05, "augment.blur_sigma: 0.1 to 0.05");
	REFUSED(erase, (double)NAN, "augment.erase: ");
	REFUSED(erase_scale[1], 1.1, "augment.erase_scale");
	REFUSED(erase_scale[0], (double)NAN, "augment.erase_scale");
	REFUSED(erase_ratio[0], 0, "augment.erase_ratio");
	REFUSED(mixup, -0.2, "augment.mixup: -0.2, allowed is 0 to 10");
	REFUSED(cutmix, 10.1, "augment.cutmix");
	REFUSED(scale[0], 0, "augment.scale");
	REFUSED(ratio[1], (double)NAN, "augment.ratio");
#undef REFUSED
	/* Ranges that nothing is drawn from do not matter. */
	CHECK_OK(thaw_augment_check(&(struct thaw_augment){.crop = THAW_CROP_CENTER, .size = 224}));
}

int main(int argc, char **argv)
{
	const char *golden = argc > 1 ? argv[1] : "tests/golden";

	test_random_crops_are_torchvisions(golden);
	test_erased_boxes_are_torchvisions(golden);
	test_angles();
	test_fallback();
	test_center_crop();
	test_pure_function_of_seed_epoch_picture();
	test_settings_are_checked();
	return TEST_END();
}
