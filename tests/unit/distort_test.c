/* Distortions with given parameters against torchvision (tests/golden/make_distort.py); draws and the rest by hand. */
#include "io/blur.h"
#include "io/colour.h"
#include "io/distort.h"
#include "tests/test.h"
#include "tests/unit/drawing.h"

enum { DRAWS = 200000 };

static const uint8_t fill[3] = {124, 116, 104};

/* Reads "NAME NUMBER ..." to the end of the line. */
static struct thaw_distortion read_distortion(const char *line)
{
	static const char *const names[] = {"brightness", "contrast", "saturation", "hue"};
	struct thaw_distortion d = {0};
	char name[16];
	double by;
	int used;

	for (; sscanf(line, "%15s %lf%n", name, &by, &used) == 2; line += used) {
		for (int i = 0; i < THAW_COLOURS; i++)
			if (strcmp(name, names[i]) == 0) {
				d.change[d.changes].what = (enum thaw_colour)i;
				d.change[d.changes++].by = by;
			}
		d.grey |= strcmp(name, "grey") == 0;
		if (strcmp(name, "blur") == 0)
			d.sigma = by;
	}
	return d;
}

/* The levels are torchvision's; after a blur, which it computes in float32, some may be 1 away. */
static void compare(const char *line, bool blurred, const uint8_t *got, const uint8_t *want, size_t count)
{
	size_t away = 0, far = 0;

	for (size_t i = 0; i < count; i++) {
		away += abs(got[i] - want[i]) == 1;
		far += abs(got[i] - want[i]) > 1;
	}
	if (far > 0 || away > (blurred ? count / 100 : 0))
		TEST_FAIL("%s: of %zu levels %zu are 1 from torchvision's, %zu are further", line, count, away, far);
}

static void test_results_are_torchvisions(const char *golden)
{
	struct thaw_scratch scratch = {0};
	char path[512], line[256];
	int cases = 0;
	FILE *text, *data;

	snprintf(path, sizeof path, "%s/pictures/distort.txt", golden);
	text = fopen(path, "r");
	snprintf(path, sizeof path, "%s/pictures/distort.bin", golden);
	data = fopen(path, "rb");
	CHECK(text && data);
	while (text && data && fgets(line, sizeof line, text)) {
		int kind, size, used;
		struct thaw_distortion d;
		uint8_t *got, *want;
		size_t count;

		line[strcspn(line, "\n")] = 0;
		CHECK_INT(sscanf(line, "%d %d%n", &kind, &size, &used), 2);
		count = (size_t)size * (size_t)size * 3;
		got = drawing(kind, size, size);
		want = malloc(count);
		CHECK_INT(fread(want, 1, count, data), count);
		d = read_distortion(line + used);
		CHECK(d.changes > 0 || d.grey || d.sigma > 0);
		CHECK_OK(thaw_distort(&d, fill, &scratch, got, size));
		compare(line, d.sigma > 0, got, want, count);
		free(got);
		free(want);
		cases++;
	}
	CHECK_INT(cases, 82);
	if (text)
		fclose(text);
	if (data)
		fclose(data);
	thaw_scratch_release(&scratch);
}

/* The rounding of the blur hides nothing systematic: white, black and one level stay; a size of 1 has no neighbours. */
static void test_blur_of_one_colour(void)
{
	static const double sigmas[] = {0.01, 0.4, 1, 3.3, 10};
	static const uint8_t levels[] = {0, 1, 2, 100, 254, 255};
	struct thaw_scratch scratch = {0};
	uint8_t pixels[33 * 33 * 3];

	for (size_t s = 0; s < 5; s++)
		for (size_t l = 0; l < 6; l++)
			for (int size = 1; size <= 33; size += 4) {
				memset(pixels, levels[l], sizeof pixels);
				CHECK_OK(thaw_blur(&scratch, pixels, size, sigmas[s]));
				for (size_t i = 0; i < sizeof pixels; i++)
					CHECK_INT(pixels[i], levels[l]);
			}
	CHECK_INT(thaw_blur_radius(2, 224), 6);
	CHECK_INT(thaw_blur_radius(0.1, 224), 1);
	CHECK_INT(thaw_blur_radius(10, 224), THAW_BLUR_RADIUS);
	CHECK_INT(thaw_blur_radius(10, 5), 4);
	thaw_scratch_release(&scratch);
}

static void test_erasing(void)
{
	struct thaw_distortion d = {.erased = {2, 3, 4, 5}};
	uint8_t *got = drawing(2, 16, 16), *before = drawing(2, 16, 16);
	struct thaw_scratch scratch = {0};

	CHECK_OK(thaw_distort(&d, fill, &scratch, got, 16));
	for (int y = 0; y < 16; y++)
		for (int x = 0; x < 16; x++)
			for (int c = 0; c < 3; c++) {
				bool erased = y >= 2 && y < 6 && x >= 3 && x < 8;

				CHECK_INT(got[(y * 16 + x) * 3 + c], erased ? fill[c] : before[(y * 16 + x) * 3 + c]);
			}
	free(got);
	free(before);
}

/* --- draws ------------------------------------------------------------------------------------------------------- */

static struct thaw_distortion draw(const struct thaw_augment *augment, int64_t picture)
{
	return thaw_distort_draw(augment, &(struct thaw_sample){.seed = 5, .epoch = 3, .picture = picture});
}

/* The place of a kind of change, -1 if it is not there. */
static int place_of(const struct thaw_distortion *d, enum thaw_colour what)
{
	for (int i = 0; i < d->changes; i++)
		if (d->change[i].what == what)
			return i;
	return -1;
}

/* Uniform in [low, high): mean (low + high) / 2, variance (high - low)^2 / 12; within five standard errors. */
static void check_uniform(const char *what, double sum, double squares, double draws, double low, double high)
{
	double width = high - low, mean = sum / draws, variance = squares / draws - mean * mean;

	if (!(fabs(mean - (low + high) / 2) <= 5 * width / sqrt(12 * draws)))
		TEST_FAIL("%s: mean %.6f, want %.6f", what, mean, (low + high) / 2);
	if (!(fabs(variance - width * width / 12) <= 5 * width * width / sqrt(180 * draws)))
		TEST_FAIL("%s: variance %.6f, want %.6f", what, variance, width * width / 12);
}

static void test_draws_of_colours(void)
{
	static const struct thaw_augment augment = {
		.size = 8, .brightness = 0.4, .contrast = 1.5, .saturation = 0.25, .hue = 0.1};
	static const double low[] = {0.6, 0, 0.75, -0.1}, high[] = {1.4, 2.5, 1.25, 0.1};
	static const char *const names[] = {"brightness", "contrast", "saturation", "hue"};
	double sum[4] = {0}, squares[4] = {0};
	int orders[256] = {0}, different = 0;

	for (int i = 0; i < DRAWS; i++) {
		struct thaw_distortion d = draw(&augment, i);
		int order = 0;

		CHECK_INT(d.changes, 4);
		for (int k = 0; k < 4; k++) {
			double by = d.change[place_of(&d, (enum thaw_colour)k)].by;

			CHECK(by >= low[k] && by <= high[k]);
			sum[k] += by;
			squares[k] += by * by;
			order = order * 4 + (int)d.change[k].what;
		}
		orders[order]++;
	}
	for (int k = 0; k < 4; k++)
		check_uniform(names[k], sum[k], squares[k], DRAWS, low[k], high[k]);
	for (int i = 0; i < 256; i++)
		if (orders[i] > 0) {
			different++;
			CHECK_NEAR(orders[i], DRAWS / 24.0, 5 * sqrt(DRAWS / 24.0)); /* all 24 equally often */
		}
	CHECK_INT(different, 24);
}

static void test_draws_of_grey_and_blur(void)
{
	static const struct thaw_augment augment = {.size = 8, .grey = 0.2, .blur = 0.3, .blur_sigma = {0.1, 2}};
	double sum = 0, squares = 0;
	int greys = 0, blurs = 0, both = 0;

	for (int i = 0; i < DRAWS; i++) {
		struct thaw_distortion d = draw(&augment, i);

		CHECK_INT(d.changes, 0);
		greys += d.grey;
		blurs += d.sigma > 0;
		both += d.grey && d.sigma > 0;
		sum += d.sigma;
		squares += d.sigma * d.sigma;
		CHECK(d.sigma == 0 || (d.sigma >= 0.1 && d.sigma < 2));
	}
	CHECK_NEAR((double)greys / DRAWS, 0.2, 5 * sqrt(0.2 * 0.8 / DRAWS));
	CHECK_NEAR((double)blurs / DRAWS, 0.3, 5 * sqrt(0.3 * 0.7 / DRAWS));
	CHECK_NEAR((double)both / DRAWS, 0.06, 5 * sqrt(0.06 * 0.94 / DRAWS)); /* independent */
	check_uniform("sigma", sum, squares, blurs, 0.1, 2);
}

static void test_certain_and_never(void)
{
	static const struct thaw_augment never = {.size = 8}, certain = {.size = 8,
	                                                                 .grey = 1,
	                                                                 .blur = 1,
	                                                                 .blur_sigma = {1, 1},
	                                                                 .erase = 1,
	                                                                 .erase_scale = {0.25, 0.25},
	                                                                 .erase_ratio = {1, 1}};

	for (int i = 0; i < 1000; i++) {
		struct thaw_distortion no = draw(&never, i), yes = draw(&certain, i);

		CHECK(no.changes == 0 && !no.grey && no.sigma == 0 && no.erased.height == 0 && no.erased.width == 0);
		CHECK(yes.grey && yes.sigma == 1 && yes.erased.height == 4 && yes.erased.width == 4);
	}
}

/* What one setting draws depends neither on the other settings nor, if it comes again, on what it drew before. */
static void test_streams_are_apart(void)
{
	static const struct thaw_augment all = {.size = 8,
	                                        .brightness = 0.4,
	                                        .hue = 0.1,
	                                        .grey = 0.5,
	                                        .blur = 0.5,
	                                        .blur_sigma = {0.1, 2},
	                                        .erase = 0.5,
	                                        .erase_scale = {0.1, 0.2},
	                                        .erase_ratio = {0.5, 2}};
	struct thaw_augment hue = {.size = 8, .hue = 0.1}, grey = {.size = 8, .grey = 0.5};
	int same = 0;

	for (int i = 0; i < 1000; i++) {
		struct thaw_distortion d = draw(&all, i), again, h = draw(&hue, i), g = draw(&grey, i);
		struct thaw_sample repeated = {.seed = 5, .epoch = 3, .picture = i, .repeat = 1};

		again = thaw_distort_draw(&all, &repeated);
		CHECK(h.change[0].by == d.change[place_of(&d, THAW_HUE)].by);
		CHECK(g.grey == d.grey);
		same += again.change[place_of(&again, THAW_HUE)].by == h.change[0].by;
	}
	CHECK(same < 5);
}

int main(int argc, char **argv)
{
	const char *golden = argc > 1 ? argv[1] : "tests/golden";

	test_results_are_torchvisions(golden);
	test_blur_of_one_colour();
	test_erasing();
	test_draws_of_colours();
	test_draws_of_grey_and_blur();
	test_certain_and_never();
	test_streams_are_apart();
	return TEST_END();
}
