/* Rotations against torchvision (tests/golden/make_distort.py), and where it has no such function, by hand. */
#include "io/rotate.h"
#include "tests/test.h"
#include "tests/unit/drawing.h"

enum { GUARD = 64 };

/* The source is a block of exact length and the result has a guard behind it. The caller frees it. */
static uint8_t *rotate(const uint8_t *src, int height, int width, struct thaw_box box, double degrees, int size,
                       bool flip)
{
	size_t bytes = (size_t)size * (size_t)size * 3;
	uint8_t *dst = malloc(bytes + GUARD);
	struct thaw_resizer resizer = {0};
	struct thaw_scratch scratch = {0};

	memset(dst, 0xa5, bytes + GUARD);
	if (flip) /* what the memory held before does not matter; otherwise it is of just the length that is needed */
		memset(thaw_scratch_reserve(&scratch, 1 << 20, "a test"), 0xa5, 1 << 20);
	CHECK_OK(thaw_rotate(&resizer, &scratch, src, height, width, box, degrees, dst, size, flip));
	for (size_t i = 0; i < GUARD; i++)
		CHECK_INT(dst[bytes + i], 0xa5);
	thaw_resizer_release(&resizer);
	thaw_scratch_release(&scratch);
	return dst;
}

static void test_results_are_torchvisions(const char *golden)
{
	int kind, height, width, edge, flip, cases = 0;
	struct thaw_box box;
	char path[512];
	double degrees;
	FILE *text, *data;

	snprintf(path, sizeof path, "%s/pictures/rotate.txt", golden);
	text = fopen(path, "r");
	snprintf(path, sizeof path, "%s/pictures/rotate.bin", golden);
	data = fopen(path, "rb");
	CHECK(text && data);
	while (text && data &&
	       fscanf(text, "%d %d %d %d %d %d %lf %d", &kind, &height, &width, &box.top, &box.left, &edge, &degrees,
	              &flip) == 8) {
		size_t count = (size_t)edge * (size_t)edge * 3;
		uint8_t *src = drawing(kind, height, width), *want = malloc(count), *got;
		int far = 0, away = 0;

		box.height = box.width = edge;
		got = rotate(src, height, width, box, degrees, edge, flip);
		CHECK_INT(fread(want, 1, count, data), count);
		for (size_t i = 0; i < count; i++) {
			far += abs(got[i] - want[i]) > 1;
			away += got[i] != want[i];
		}
		if (far > 0 || away > (int)count / 100)
			TEST_FAIL("case %d: of %zu levels %d are not torchvision's, %d are far from them", cases, count, away, far);
		free(src);
		free(want);
		free(got);
		cases++;
	}
	CHECK_INT(cases, 8);
	if (text)
		fclose(text);
	if (data)
		fclose(data);
}

/* Filters and bilinear sampling leave a plane a plane: away from the picture's edges each pixel has the level of the
 * place that it is turned from, whatever the box, its scale in both directions, the angle, and mirrored or not. */
static void check_plane(struct thaw_box box, int size, double degrees, bool flip)
{
	enum { EDGE = 400 };
	uint8_t *src = malloc(EDGE * EDGE * 3), *got;
	double c = cos(degrees / 180 * acos(-1)), s = sin(degrees / 180 * acos(-1)), worst = 0;

	for (int y = 0; y < EDGE; y++)
		for (int x = 0; x < EDGE; x++) {
			uint8_t *pixel = src + (y * EDGE + x) * 3;

			pixel[0] = (uint8_t)(x / 2);
			pixel[1] = (uint8_t)(y / 2);
			pixel[2] = (uint8_t)((x + y) / 4);
		}
	got = rotate(src, EDGE, EDGE, box, degrees, size, flip);
	for (int row = 0; row < size; row++)
		for (int column = 0; column < size; column++) {
			double across = (flip ? size - 1 - column : column) + 0.5 - size / 2.0, down = row + 0.5 - size / 2.0;
			/* On screen, where rows go down, counter-clockwise is from right to top: what comes out at the top was right. */
			double x = box.left + box.width * (0.5 + (c * across - s * down) / size);
			double y = box.top + box.height * (0.5 + (s * across + c * down) / size);
			const uint8_t *pixel = got + (row * size + column) * 3;

			worst = fmax(worst, fabs(pixel[0] - (x - 0.5) / 2 + 0.25));
			worst = fmax(worst, fabs(pixel[1] - (y - 0.5) / 2 + 0.25));
			worst = fmax(worst, fabs(pixel[2] - (x + y - 1) / 4 + 0.375));
		}
	if (!(worst <= 1.5))
		TEST_FAIL("%d x %d to %d by %g degrees: a level is %g from the plane", box.height, box.width, size, degrees,
		          worst);
	free(src);
	free(got);
}

static void test_planes_stay_planes(void)
{
	static const double degrees[] = {0.001, -7, 30, 45, 90, -135, 180};

	for (size_t i = 0; i < 7; i++) {
		check_plane((struct thaw_box){120, 130, 150, 150}, 150, degrees[i], false);
		check_plane((struct thaw_box){120, 100, 160, 180}, 47, degrees[i], true); /* smaller, and squeezed */
		check_plane((struct thaw_box){180, 170, 30, 41}, 100, degrees[i], false); /* larger, and squeezed */
		check_plane((struct thaw_box){121, 97, 140, 171}, 70, degrees[i], true);
	}
}

/* A chessboard of single pixels is grey from afar; sampled without a filter it would be black and white. */
static void test_reductions_have_no_aliases(void)
{
	enum { EDGE = 300, SIZE = 40 };
	uint8_t *src = malloc(EDGE * EDGE * 3), *got;

	for (int i = 0; i < EDGE * EDGE * 3; i++)
		src[i] = (i / 3 % EDGE + i / 3 / EDGE) % 2 ? 255 : 0;
	for (int degrees = -40; degrees <= 40; degrees += 20) {
		got = rotate(src, EDGE, EDGE, (struct thaw_box){50, 50, 200, 200}, degrees + 0.5, SIZE, false);
		for (int i = 0; i < SIZE * SIZE * 3; i++)
			CHECK_NEAR(got[i], 127.5, 4);
		free(got);
	}
	free(src);
}

/* The corners: the picture where it goes on, black where it does not. */
static void test_corners(void)
{
	enum { EDGE = 60, SIZE = 30 };
	uint8_t *white = malloc(EDGE * EDGE * 3), *got;
	int black = 0;

	memset(white, 255, EDGE * EDGE * 3);
	got = rotate(white, EDGE, EDGE, (struct thaw_box){15, 15, 30, 30}, 45, SIZE, false);
	for (int i = 0; i < SIZE * SIZE * 3; i++)
		CHECK_INT(got[i], 255);
	free(got);
	got = rotate(white, EDGE, EDGE, (struct thaw_box){0, 0, EDGE, EDGE}, 45, SIZE, false);
	for (int i = 0; i < SIZE * SIZE; i++)
		black += got[i * 3] == 0;
	CHECK_INT(got[0], 0);
	CHECK_INT(got[(SIZE / 2 * SIZE + SIZE / 2) * 3], 255);
	/* A square leaves of itself turned by 45 degrees four triangles: 1 - 2 (sqrt(2) - 1) of its area. */
	CHECK_NEAR(black / (double)(SIZE * SIZE), 1 - 2 * (sqrt(2) - 1), 0.05);
	free(got);
	free(white);
}

/* No rotation is the resizing alone, quarter turns move pixels and change none. */
static void test_turns_by_hand(void)
{
	uint8_t *src = drawing(2, 20, 20), *got = rotate(src, 20, 20, (struct thaw_box){0, 0, 20, 20}, 0, 20, false);

	CHECK(memcmp(got, src, 20 * 20 * 3) == 0);
	free(got);
	got = rotate(src, 20, 20, (struct thaw_box){0, 0, 20, 20}, 90, 20, false);
	for (int y = 0; y < 20; y++)
		for (int x = 0; x < 20; x++)
			CHECK(memcmp(got + (y * 20 + x) * 3, src + (x * 20 + 19 - y) * 3, 3) == 0);
	free(got);
	got = rotate(src, 20, 20, (struct thaw_box){0, 0, 20, 20}, -180, 20, true); /* upside down */
	for (int y = 0; y < 20; y++)
		CHECK(memcmp(got + y * 60, src + (19 - y) * 60, 60) == 0);
	free(got);
	free(src);
}

/* Boxes of a pixel, and pictures of one. */
static void test_smallest(void)
{
	uint8_t *src = drawing(2, 3, 5), *got;

	for (int degrees = -170; degrees < 180; degrees += 35)
		for (int size = 1; size < 140; size += 69) {
			got = rotate(src, 3, 5, (struct thaw_box){2, 4, 1, 1}, degrees, size, false);
			free(got);
			got = rotate(src, 3, 5, (struct thaw_box){0, 0, 1, 5}, degrees, size, true);
			free(got);
			got = rotate(src, 1, 1, (struct thaw_box){0, 0, 1, 1}, degrees, size, true);
			CHECK(size > 1 || abs(got[0] - src[0]) <= 1);
			free(got);
		}
	free(src);
}

int main(int argc, char **argv)
{
	const char *golden = argc > 1 ? argv[1] : "tests/golden";

	test_results_are_torchvisions(golden);
	test_planes_stay_planes();
	test_reductions_have_no_aliases();
	test_corners();
	test_turns_by_hand();
	test_smallest();
	return TEST_END();
}
