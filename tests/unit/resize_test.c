/* Resizing against Pillow, by the checksums of its results (tests/golden/make_pictures.py), and by hand. */
#include <inttypes.h>
#include <stdint.h>

#include "base/checksum.h"
#include "base/random.h"
#include "io/resize.h"
#include "tests/test.h"

enum { SEED = 20, FIRST_STREAM = 1000, GUARD = 64 }; /* make_pictures.py */

struct resize_case {
	int height, width;
	struct thaw_box box;
	int dst_height, dst_width, flip;
	uint32_t crc32c;
};

static void fill(uint32_t stream, uint8_t *bytes, size_t count)
{
	struct thaw_random random;
	uint32_t word = 0;

	thaw_random_init(&random, SEED, THAW_RANDOM_TEST, stream, 0);
	for (size_t i = 0; i < count; i++) {
		word = i % 4 == 0 ? thaw_random_u32(&random) : word >> 8;
		bytes[i] = (uint8_t)word;
	}
}

/* The source is a block of exact length and the result has a guard behind it. */
static void check_case(struct thaw_resizer *resizer, uint32_t stream, const struct resize_case *c)
{
	size_t src_bytes = (size_t)c->height * c->width * 3, dst_bytes = (size_t)c->dst_height * c->dst_width * 3;
	uint8_t *src = malloc(src_bytes), *dst = malloc(dst_bytes + GUARD);
	uint32_t crc32c;

	fill(stream, src, src_bytes);
	memset(dst, 0xa5, dst_bytes + GUARD);
	CHECK_OK(thaw_resize(resizer, src, c->width, c->box, dst, c->dst_height, c->dst_width, c->flip));
	crc32c = thaw_crc32c(0, dst, dst_bytes);
	if (crc32c != c->crc32c)
		TEST_FAIL("%d x %d at (%d, %d) of %d x %d to %d x %d, flip %d: not Pillow's", c->box.height, c->box.width,
		          c->box.top, c->box.left, c->height, c->width, c->dst_height, c->dst_width, c->flip);
	for (size_t i = 0; i < GUARD; i++)
		CHECK_INT(dst[dst_bytes + i], 0xa5);
	free(src);
	free(dst);
}

static void test_bits_are_pillows(const char *golden)
{
	struct thaw_resizer resizer = {0};
	char path[512];
	struct resize_case c;
	uint32_t cases = 0;
	FILE *file;

	snprintf(path, sizeof path, "%s/pictures/resize.txt", golden);
	file = fopen(path, "r");
	CHECK(file);
	while (file && fscanf(file, "%d %d %d %d %d %d %d %d %d %" SCNx32, &c.height, &c.width, &c.box.top, &c.box.left,
	                      &c.box.height, &c.box.width, &c.dst_height, &c.dst_width, &c.flip, &c.crc32c) == 10)
		check_case(&resizer, FIRST_STREAM + cases++, &c);
	CHECK_INT(cases, 170);
	if (file)
		fclose(file);
	thaw_resizer_release(&resizer);
	CHECK(!resizer.memory && resizer.capacity_bytes == 0);
}

/* 10, 20, 60 to one pixel: the triangle is 3 wide on either side of the middle, so distances 1, 0, 1 weigh 2/3, 1, 2/3:
 * (2 * 10 + 3 * 20 + 2 * 60) / 7 = 28.57. 0, 100 to four: the middles lie at 0, 0.25, 0.75 and 1 of the way. */
static void test_by_hand(void)
{
	static const uint8_t three[] = {10, 10, 10, 20, 20, 20, 60, 60, 60}, two[] = {0, 0, 0, 100, 100, 100};
	static const int four[] = {0, 25, 75, 100};
	struct thaw_resizer resizer = {0};
	uint8_t out[12];

	CHECK_OK(thaw_resize(&resizer, three, 3, (struct thaw_box){0, 0, 1, 3}, out, 1, 1, false));
	CHECK_INT(out[0], 29);
	CHECK_OK(thaw_resize(&resizer, three, 1, (struct thaw_box){0, 0, 3, 1}, out, 1, 1, true));
	CHECK_INT(out[2], 29);
	CHECK_OK(thaw_resize(&resizer, two, 2, (struct thaw_box){0, 0, 1, 2}, out, 1, 4, false));
	for (int x = 0; x < 4; x++)
		CHECK_INT(out[x * 3 + 1], four[x]);
	CHECK_OK(thaw_resize(&resizer, two, 2, (struct thaw_box){0, 0, 1, 2}, out, 1, 4, true));
	for (int x = 0; x < 4; x++)
		CHECK_INT(out[x * 3 + 1], four[3 - x]);
	CHECK_OK(thaw_resize(&resizer, two, 2, (struct thaw_box){0, 0, 1, 2}, out, 1, 2, true)); /* only mirrored */
	CHECK_INT(out[0], 100);
	CHECK_INT(out[3], 0);
	thaw_resizer_release(&resizer);
}

/* What lies outside the box has no part in the result, not even at its edges. */
static void test_outside_of_the_box(void)
{
	enum { EDGE = 40 };
	static const struct thaw_box box = {7, 9, 21, 17};
	static uint8_t src[EDGE * EDGE * 3], other[EDGE * EDGE * 3], a[30 * 30 * 3], b[30 * 30 * 3];
	struct thaw_resizer resizer = {0};

	fill(1, src, sizeof src);
	fill(2, other, sizeof other);
	for (int y = box.top; y < box.top + box.height; y++)
		memcpy(other + (y * EDGE + box.left) * 3, src + (y * EDGE + box.left) * 3, (size_t)box.width * 3);
	CHECK_OK(thaw_resize(&resizer, src, EDGE, box, a, 30, 30, false));
	CHECK_OK(thaw_resize(&resizer, other, EDGE, box, b, 30, 30, false));
	CHECK(memcmp(a, b, sizeof a) == 0);
	thaw_resizer_release(&resizer);
}

/* Weights are rounded to 22 bits: a white picture stays white and a black one black however far it is reduced. Of the
 * 3 * 2^18 weights to a single pixel so many are rounded up that 255 would come out as 256. */
static void test_extremes_stay(void)
{
	enum { LENGTH = 786432 };
	static uint8_t row[LENGTH * 3], out[7 * 3];
	struct thaw_resizer resizer = {0};

	memset(row, 255, sizeof row);
	for (int size = 1; size <= 7; size++) {
		CHECK_OK(thaw_resize(&resizer, row, LENGTH, (struct thaw_box){0, 0, 1, LENGTH}, out, 1, size, false));
		for (int i = 0; i < size * 3; i++)
			CHECK_INT(out[i], 255);
		CHECK_OK(thaw_resize(&resizer, row, 1, (struct thaw_box){0, 0, LENGTH, 1}, out, size, 1, false));
		for (int i = 0; i < size * 3; i++)
			CHECK_INT(out[i], 255);
	}
	memset(row, 0, sizeof row);
	CHECK_OK(thaw_resize(&resizer, row, LENGTH, (struct thaw_box){0, 0, 1, LENGTH}, out, 1, 7, false));
	for (int i = 0; i < 7 * 3; i++)
		CHECK_INT(out[i], 0);
	thaw_resizer_release(&resizer);
}

static void check_shorter(int height, int width, int shorter, int64_t want_height, int64_t want_width)
{
	int64_t got_height, got_width;

	thaw_resize_shorter(height, width, shorter, &got_height, &got_width);
	CHECK_INT(got_height, want_height);
	CHECK_INT(got_width, want_width);
}

/* torchvision: int(256 * 500 / 375) = int(341.33) */
static void test_shorter_edge(void)
{
	check_shorter(375, 500, 256, 256, 341);
	check_shorter(500, 375, 256, 341, 256);
	check_shorter(256, 256, 256, 256, 256);
	check_shorter(3, 2, 256, 384, 256);
	check_shorter(1, 7, 3, 3, 21);
	check_shorter(333, 500, 256, 256, 384);         /* 384.38 */
	check_shorter(65535, 65534, 4096, 4096, 4096);  /* 4096.06 */
	check_shorter(1, 65535, 4096, 4096, 268431360); /* no overflow on the way, */
	check_shorter(1, 1000000, 4096, 4096, 4096000000);
	check_shorter(1 << 28, 1, 65535, INT64_C(65535) << 28, 65535); /* nor at the end */
}

int main(int argc, char **argv)
{
	const char *golden = argc > 1 ? argv[1] : "tests/golden";

	test_bits_are_pillows(golden);
	test_by_hand();
	test_outside_of_the_box();
	test_extremes_stay();
	test_shorter_edge();
	return TEST_END();
}
