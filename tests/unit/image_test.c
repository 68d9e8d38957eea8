/* Decoding against Pillow's pixels (tests/golden/make_pictures.py). Damaged files of every sort must be refused in
 * words, whichever byte is wrong and wherever they end. */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "io/image.h"
#include "tests/test.h"

static const char *golden; /* the folder with the pictures */

static char *read_golden(const char *name, size_t *length_out)
{
	char path[512], *bytes;

	snprintf(path, sizeof path, "%s/pictures/%s", golden, name);
	if (thaw_file_read(path, (size_t)1 << 20, &bytes, length_out)) {
		printf("%s\n", thaw_fail_text());
		exit(1);
	}
	return bytes;
}

static thaw_status decode_golden(const char *name, struct thaw_image *image_out)
{
	size_t length;
	char *bytes = read_golden(name, &length);
	thaw_status status = thaw_image_decode(name, bytes, length, image_out);

	free(bytes);
	return status;
}

static uint32_t little_endian_32(const uint8_t *bytes)
{
	return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* The decoders do the same integer arithmetic as Pillow's, so not one pixel may differ. */
static void test_pixels_are_pillows(void)
{
	size_t length, at = 0;
	int files = 0;
	char *expected = read_golden("expected.bin", &length);

	while (at + 40 <= length) {
		const char *name = expected + at;
		const uint8_t *sizes = (const uint8_t *)expected + at + 32, *pixels = sizes + 8;
		uint32_t height = little_endian_32(sizes), width = little_endian_32(sizes + 4);
		struct thaw_image image;

		at += 40 + (size_t)height * width * 3;
		files++;
		if (decode_golden(name, &image)) {
			TEST_FAIL("%s", thaw_fail_text());
			continue;
		}
		if ((uint32_t)image.height != height || (uint32_t)image.width != width)
			TEST_FAIL("%s: %d x %d, want %u x %u", name, image.height, image.width, height, width);
		else if (memcmp(image.pixels, pixels, (size_t)height * width * 3) != 0)
			TEST_FAIL("%s: other pixels than Pillow's", name);
		thaw_image_release(&image);
	}
	CHECK_INT(at, length);
	CHECK(files > 50);
	free(expected);
}

/* Orientation 6: the camera was turned, the picture's top is stored at its right. Checked here without Pillow. */
static void test_orientation_6_turns_clockwise(void)
{
	struct thaw_image stored, turned;

	CHECK_OK(decode_golden("exif_1.jpg", &stored));
	CHECK_OK(decode_golden("exif_6.jpg", &turned));
	CHECK_INT(turned.height, stored.width);
	CHECK_INT(turned.width, stored.height);
	for (int y = 0; y < turned.height; y++)
		for (int x = 0; x < turned.width; x++)
			CHECK(memcmp(turned.pixels + (y * turned.width + x) * 3,
			             stored.pixels + ((stored.height - 1 - x) * stored.width + y) * 3, 3) == 0);
	thaw_image_release(&stored);
	thaw_image_release(&turned);
}

static void test_bad_files_are_named(void)
{
	static const char *const cases[][2] = {
		{"cut.jpg", "'cut.jpg' is cut short"},
		{"cut_progressive.jpg", "'cut_progressive.jpg' is cut short"},
		{"cut_header.jpg", "'cut_header.jpg' is cut short"},
		{"ends_early.jpg", "'ends_early.jpg' is damaged: Corrupt JPEG data"},
		{"no_table.jpg", "'no_table.jpg' is damaged: "},
		{"cut.png", "'cut.png' is cut short"},
		{"cut_header.png", "'cut_header.png' is cut short"},
		{"bad_crc.png", "'bad_crc.png' is damaged: IDAT"},
		{"few_rows.png", "'few_rows.png' is damaged: Not enough image data"},
		{"huge.png", "'huge.png' has 20000 x 20000 pixels, allowed are 268435456 in all"},
		{"cut.webp", "'cut.webp' is cut short"},
		{"cut_header.webp", "'cut_header.webp' is cut short"},
		{"damaged.webp", "'damaged.webp' is damaged: not a valid WebP bitstream"},
		{"no_frame.webp", "'no_frame.webp' is damaged: not a valid WebP container"},
		{"x.gif", "'x.gif' is a GIF: only JPEG, PNG and WebP are read"},
		{"x.bmp", "'x.bmp' is a BMP: only"},
		{"x.tif", "'x.tif' is a TIFF: only"},
	};
	struct thaw_image image = {-1, -1, NULL};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		CHECK_FAILS(decode_golden(cases[i][0], &image), THAW_FAILED, cases[i][1]);
	CHECK_INT(image.height, -1);
}

static void test_other_kinds_are_named(void)
{
	static const struct {
		const char *bytes;
		size_t length;
		const char *words;
	} cases[] = {
		{"", 0, "'x' is empty: only JPEG, PNG and WebP are read"},
		{"<!DOCTYPE html>\n<html>404 not found", 35, "'x' is text: only"},
		{"\xef\xbb\xbfna\xc3\xafve\r\n", 11, "'x' is text: only"},
		{"MM\0*\0\0\0\x08", 8, "'x' is a TIFF: only"},
		{"\0\0\0\030ftypheic\0\0\0\0", 16, "'x' is a HEIC: only"},
		{"\0\0\0\030ftypmif1\0\0\0\0", 16, "'x' is a HEIF: only"},
		{"\0\0\0\034ftypavif\0\0\0\0", 16, "'x' is an AVIF: only"},
		{"\xff\x0a\0\0", 4, "'x' is a JPEG XL: only"},
		{"\0\0\0\x0cjP  \r\n\x87\n", 12, "'x' is a JPEG 2000: only"},
		{"%PDF-1.7\n", 9, "'x' is a PDF: only"},
		{"RIFF\x04\0\0\0WAVE", 12, "'x' is not a picture of a known kind: only"},
		{"\0\0\0\0\0\0\0\0", 8, "'x' is not a picture of a known kind: only"},
		{"\x89PNG\r\n\x1a", 7, "'x' is not a picture of a known kind: only"},
		{"\xff\xd8\xff", 3, "'x' is cut short"},
		{"\x89PNG\r\n\x1a\n", 8, "'x' is cut short"},
		{"RIFF\x04\0\0\0WEBP", 12, "'x' is "},
	};
	struct thaw_image image;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		CHECK_FAILS(thaw_image_decode("x", cases[i].bytes, cases[i].length, &image), THAW_FAILED, cases[i].words);
}

static size_t find_marker(const uint8_t *jpeg, size_t from, size_t length, uint8_t marker)
{
	for (size_t i = from; i + 1 < length; i++)
		if (jpeg[i] == 0xff && jpeg[i + 1] == marker)
			return i;
	return length;
}

/* A picture of 2^26 pixels of which each scan takes ten bytes: 64 of them are 2^32 pixels. Progressive and arithmetic
 * coding, where a scan without data is one of zeros. */
static void test_long_scans(void)
{
	static const uint8_t head[] = {0xff, 0xd8, 0xff, 0xca, 0, 11, 8, 0x20, 0, 0x20, 0, 1, 1, 0x11, 0},
						 scan[] = {0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0}, quants[] = {0xff, 0xdb, 0, 67, 0};
	enum { SCANS = 65, LENGTH = sizeof head + sizeof quants + 64 + SCANS * sizeof scan + 2 };
	static uint8_t file[LENGTH];
	struct thaw_image image;
	size_t at = sizeof head + sizeof quants;

	memcpy(file, head, sizeof head);
	memcpy(file + sizeof head, quants, sizeof quants);
	memset(file + at, 1, 64);
	at += 64;
	for (int i = 0; i < SCANS; i++, at += sizeof scan)
		memcpy(file + at, scan, sizeof scan);
	file[at] = 0xff;
	file[at + 1] = 0xd9;
	CHECK_FAILS(thaw_image_decode("x.jpg", file, LENGTH, &image), THAW_FAILED, "'x.jpg' is damaged: too many scans");
	memmove(file + at - sizeof scan, file + at, 2);
	CHECK_OK(thaw_image_decode("x.jpg", file, LENGTH - sizeof scan, &image));
	CHECK_INT(image.width, 1 << 13);
	thaw_image_release(&image);
}

static void test_jpeg_limits(void)
{
	size_t length, frame, scan, end;
	uint8_t *jpeg = (uint8_t *)read_golden("baseline.jpg", &length), *many;
	struct thaw_image image;

	frame = find_marker(jpeg, 0, length, 0xc0); /* then: length (2), precision, height (2), width (2) */
	CHECK(frame < length);
	memset(jpeg + frame + 5, 0xff, 4);
	jpeg[frame + 5] = jpeg[frame + 7] = 0xfd;
	CHECK_FAILS(thaw_image_decode("x.jpg", jpeg, length, &image), THAW_FAILED,
	            "'x.jpg' has 65023 x 65023 pixels, allowed are 268435456 in all");
	free(jpeg);

	/* The first scan of a progressive file, which ends at the next table, 1100 times more */
	jpeg = (uint8_t *)read_golden("progressive.jpg", &length);
	scan = find_marker(jpeg, 0, length, 0xda);
	end = find_marker(jpeg, scan, length, 0xc4);
	CHECK(end < length);
	many = malloc(end + 1100 * (end - scan));
	memcpy(many, jpeg, end);
	for (size_t i = 0; i < 1100; i++)
		memcpy(many + end + i * (end - scan), jpeg + scan, end - scan);
	CHECK_FAILS(thaw_image_decode("x.jpg", many, end + 1100 * (end - scan), &image), THAW_FAILED,
	            "'x.jpg' is damaged: too many scans");
	free(many);
	free(jpeg);
	test_long_scans();
}

/* Every cut of a file, and random wrong bytes: refused with words or decoded, but never a crash or a leak (which the
 * sanitizers see), and an output only on success. Blocks of exact length show reads beyond the end. */
static void torment(const char *name, struct thaw_random *random)
{
	size_t length;
	char *whole = read_golden(name, &length);

	for (size_t round = 0; round < length + 400; round++) {
		size_t part = round < length ? round : length;
		char *bytes = malloc(part ? part : 1);
		struct thaw_image image = {-1, -1, NULL};
		thaw_status status;

		memcpy(bytes, whole, part);
		for (uint32_t i = round < length ? 0 : 1 + thaw_random_below(random, 8); i > 0; i--)
			bytes[thaw_random_below(random, (uint32_t)length)] = (char)thaw_random_u32(random);
		status = thaw_image_decode(name, bytes, part, &image);
		if (status)
			CHECK(image.height == -1 && thaw_fail_text()[0]);
		else
			thaw_image_release(&image);
		if (!status && round + 2 < length && strstr(name, ".jpg"))
			TEST_FAIL("%s: read although it ends after %zu of %zu bytes", name, part, length);
		free(bytes);
	}
	free(whole);
}

static void test_damage_never_crashes(void)
{
	static const char *const names[] = {"exif_6.jpg",          "progressive.jpg",   "cmyk.jpg",
	                                    "restarts.jpg",        "rgba16.png",        "interlaced_palette4.png",
	                                    "exif_6.png",          "palette_alpha.png", "exif_7.webp",
	                                    "lossless_alpha.webp", "lossy_alpha.webp",  "animated_part.webp"};
	struct thaw_random random;

	thaw_random_init(&random, 1, THAW_RANDOM_TEST, 0, 0);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		torment(names[i], &random);
}

/* A smooth picture: PNG gives back the very pixels, JPEG of high quality nearly. */
static void test_written_pictures_read_back(void)
{
	uint8_t pixels[37 * 50 * 3];
	struct thaw_image image = {37, 50, pixels}, back;
	char folder[] = "/tmp/thaw-image-XXXXXX", png[64], jpeg[64];

	for (int i = 0; i < 37 * 50; i++) {
		pixels[i * 3] = (uint8_t)(i % 50 * 5);
		pixels[i * 3 + 1] = (uint8_t)(i / 50 * 6);
		pixels[i * 3 + 2] = 90;
	}
	CHECK(mkdtemp(folder));
	snprintf(png, sizeof png, "%s/x.png", folder);
	snprintf(jpeg, sizeof jpeg, "%s/x.jpg", folder);
	CHECK_OK(thaw_image_write_png(png, &image));
	CHECK_OK(thaw_image_read(png, &back));
	CHECK_INT(back.height, 37);
	CHECK_INT(back.width, 50);
	CHECK(memcmp(back.pixels, pixels, sizeof pixels) == 0);
	thaw_image_release(&back);

	CHECK_OK(thaw_image_write_jpeg(jpeg, &image, 95));
	CHECK_OK(thaw_image_read(jpeg, &back));
	CHECK_INT(back.height, 37);
	CHECK_INT(back.width, 50);
	for (size_t i = 0; i < sizeof pixels; i++)
		CHECK_NEAR(back.pixels[i], pixels[i], 12);
	thaw_image_release(&back);

	CHECK_OK(thaw_image_write_jpeg(jpeg, &(struct thaw_image){1, 1, pixels}, 50));
	unlink(png);
	unlink(jpeg);
	CHECK_FAILS(thaw_image_read(png, &back), THAW_FAILED, "x.png': No such file");
	CHECK_FAILS(thaw_image_write_png("/tmp/thaw-no-such-folder/x.png", &image), THAW_FAILED,
	            "cannot create '/tmp/thaw-no-such-folder/x.png': No such file");
	CHECK_INT(rmdir(folder), 0);
}

/* A full disk, and a picture beyond the format: told, and nothing half written stays. */
static void test_failed_writes(void)
{
	static uint8_t pixels[200 * 200 * 3], row[65501 * 3];
	struct thaw_image image = {200, 200, pixels};
	struct thaw_random random;
	char folder[] = "/tmp/thaw-image-XXXXXX", path[64];

	thaw_random_init(&random, 2, THAW_RANDOM_TEST, 0, 0);
	for (size_t i = 0; i < sizeof pixels; i++)
		pixels[i] = (uint8_t)thaw_random_u32(&random);
	CHECK(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/x.jpg", folder);
	CHECK_FAILS(thaw_image_write_jpeg(path, &(struct thaw_image){1, 65501, row}, 90), THAW_FAILED,
	            "cannot write '/tmp");
	CHECK(!thaw_file_exists(path));
	CHECK_INT(symlink("/dev/full", path), 0);
	CHECK_FAILS(thaw_image_write_jpeg(path, &image, 90), THAW_FAILED, "cannot write '/tmp");
	CHECK(!thaw_file_exists(path));
	CHECK_INT(symlink("/dev/full", path), 0);
	CHECK_FAILS(thaw_image_write_png(path, &image), THAW_FAILED, "cannot write '/tmp");
	CHECK_INT(rmdir(folder), 0);
}

int main(int argc, char **argv)
{
	golden = argc > 1 ? argv[1] : "tests/golden";
	test_pixels_are_pillows();
	test_orientation_6_turns_clockwise();
	test_bad_files_are_named();
	test_other_kinds_are_named();
	test_jpeg_limits();
	test_damage_never_crashes();
	test_written_pictures_read_back();
	test_failed_writes();
	return TEST_END();
}
