#define _POSIX_C_SOURCE 200809L /* open_memstream */
#include "io/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/image_formats.h"

static const uint64_t pixel_limit = UINT64_C(1) << 28;

/* What a file is, by the bytes at its beginning. */
static const struct kind {
	const char *is;
	size_t at, length;
	const char *magic;
	thaw_image_decoder *decode; /* NULL: refused by name */
} kinds[] = {
	{"a JPEG", 0, 3, "\xff\xd8\xff", thaw_jpeg_decode},
	{"a PNG", 0, 8, "\x89PNG\r\n\x1a\n", thaw_png_decode},
	{"a WebP", 8, 4, "WEBP", thaw_webp_decode},
	{"a GIF", 0, 4, "GIF8", NULL},
	{"a BMP", 0, 2, "BM", NULL},
	{"a TIFF", 0, 4, "II*\0", NULL},
	{"a TIFF", 0, 4, "MM\0*", NULL},
	{"a HEIC", 4, 7, "ftyphei", NULL},
	{"a HEIC", 4, 7, "ftyphev", NULL},
	{"a HEIF", 4, 8, "ftypmif1", NULL},
	{"an AVIF", 4, 7, "ftypavi", NULL},
	{"a JPEG XL", 0, 2, "\xff\x0a", NULL},
	{"a JPEG XL", 4, 4, "JXL ", NULL},
	{"a JPEG 2000", 4, 4, "jP  ", NULL},
	{"a PDF", 0, 4, "%PDF", NULL},
};

static const struct kind *find_kind(const struct thaw_encoded *file)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (file->length >= kinds[i].at + kinds[i].length &&
		    memcmp(file->bytes + kinds[i].at, kinds[i].magic, kinds[i].length) == 0)
			return &kinds[i];
	return NULL;
}

bool thaw_image_may_be(const char *path)
{
	uint8_t head[16];
	struct stat info;
	const struct kind *kind;
	ssize_t length;
	int fd;

	if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) /* opening a pipe or a device may do something */
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	length = fd >= 0 ? read(fd, head, sizeof head) : -1;
	if (fd >= 0)
		close(fd);
	if (length < 0)
		return true;
	kind = find_kind(&(struct thaw_encoded){.bytes = head, .length = (size_t)length});
	return kind && kind->decode;
}

/* No control characters at the beginning but white space: a web page saved under a picture's name, most often. */
static bool is_text(const struct thaw_encoded *file)
{
	for (size_t i = 0; i < file->length && i < 512; i++) {
		uint8_t c = file->bytes[i];

		if (c < ' ' && c != '\t' && c != '\n' && c != '\f' && c != '\r')
			return false;
	}
	return true;
}

thaw_status thaw_image_cut_short(const char *name)
{
	return thaw_fail(THAW_FAILED, "'%s' is cut short", name);
}

thaw_status thaw_image_damaged(const char *name, const char *reason)
{
	return thaw_fail(THAW_FAILED, "'%s' is damaged: %s", name, reason);
}

thaw_status thaw_image_new(const char *name, uint32_t height, uint32_t width, struct thaw_image *image_out)
{
	uint8_t *pixels;

	if ((uint64_t)height * width > pixel_limit)
		return thaw_fail(THAW_FAILED, "'%s' has %u x %u pixels, allowed are %llu in all", name, (unsigned)width,
		                 (unsigned)height, (unsigned long long)pixel_limit);
	pixels = thaw_alloc((size_t)height * width, 3);
	if (!pixels)
		return THAW_OUT_OF_MEMORY;
	*image_out = (struct thaw_image){(int)height, (int)width, pixels};
	return THAW_OK;
}

void thaw_image_release(struct thaw_image *image)
{
	free(image->pixels);
	*image = (struct thaw_image){0, 0, NULL};
}

/* `size_bytes` of an EXIF block at `at`, in its byte order; 0 beyond the end. */
static uint32_t exif_number(const uint8_t *exif, size_t length, size_t at, size_t size_bytes)
{
	bool little = exif[0] == 'I';
	uint32_t number = 0;

	if (at > length || size_bytes > length - at)
		return 0;
	for (size_t i = 0; i < size_bytes; i++)
		number = number << 8 | exif[at + (little ? size_bytes - 1 - i : i)];
	return number;
}

int thaw_exif_orientation(const uint8_t *exif, size_t length)
{
	enum { orientation_tag = 0x112, type_short = 3, type_long = 4 };
	size_t at;
	uint32_t entries;

	if (length >= 6 && memcmp(exif, "Exif\0\0", 6) == 0) {
		exif += 6;
		length -= 6;
	}
	if (length < 8 || (memcmp(exif, "II*\0", 4) != 0 && memcmp(exif, "MM\0*", 4) != 0))
		return 1;
	at = exif_number(exif, length, 4, 4);
	entries = exif_number(exif, length, at, 2);
	for (at += 2; entries > 0; entries--, at += 12) {
		uint32_t type = exif_number(exif, length, at + 2, 2), count = exif_number(exif, length, at + 4, 4);
		uint32_t value = exif_number(exif, length, at + 8, type == type_short ? 2 : 4);

		if (exif_number(exif, length, at, 2) != orientation_tag)
			continue;
		return (type == type_short || type == type_long) && count == 1 && value >= 1 && value <= 8 ? (int)value : 1;
	}
	return 1;
}

/* Copies (height, width) pixels to rows one after another. In `src` the next column is `column` bytes further on and
 * the next row `row` bytes. Done in squares, so that either direction finds its cache lines again. */
static void copy_turned(const uint8_t *src, ptrdiff_t row, ptrdiff_t column, int height, int width, uint8_t *dst)
{
	enum { edge = 32 };

	for (int top = 0; top < height; top += edge)
		for (int left = 0; left < width; left += edge)
			for (int y = top; y < height && y < top + edge; y++)
				for (int x = left; x < width && x < left + edge; x++)
					memcpy(dst + ((size_t)y * width + x) * 3, src + y * row + x * column, 3);
}

/* Turns the picture so that it stands as it was seen: EXIF's eight orientations are where row 0 and column 0 are. */
static thaw_status apply_orientation(struct thaw_image *image, int orientation)
{
	bool bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
	bool right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
	bool turned = orientation >= 5;
	int height = image->height, width = image->width;
	ptrdiff_t row = (ptrdiff_t)width * 3, column = 3;
	const uint8_t *from = image->pixels + (bottom ? (height - 1) * row : 0) + (right ? (width - 1) * column : 0);
	uint8_t *pixels;

	if (orientation == 1)
		return THAW_OK;
	pixels = thaw_alloc((size_t)height * width, 3);
	if (!pixels)
		return THAW_OUT_OF_MEMORY;
	row = bottom ? -row : row;
	column = right ? -column : column;
	if (turned)
		copy_turned(from, column, row, width, height, pixels);
	else
		copy_turned(from, row, column, height, width, pixels);
	free(image->pixels);
	*image = (struct thaw_image){turned ? width : height, turned ? height : width, pixels};
	return THAW_OK;
}

thaw_status thaw_image_decode(const char *name, const void *bytes, size_t length, struct thaw_image *image_out)
{
	struct thaw_encoded file = {name, bytes, length};
	const struct kind *kind = find_kind(&file);
	struct thaw_image image;
	int orientation;
	thaw_status status;

	if (!kind || !kind->decode)
		return thaw_fail(THAW_FAILED, "'%s' is %s: only JPEG, PNG and WebP are read", name,
		                 length == 0      ? "empty"
		                 : kind           ? kind->is
		                 : is_text(&file) ? "text"
		                                  : "not a picture of a known kind");
	status = kind->decode(&file, &image, &orientation);
	if (status)
		return status;
	status = apply_orientation(&image, orientation);
	if (status)
		thaw_image_release(&image);
	else
		*image_out = image;
	return status;
}

thaw_status thaw_image_read(const char *path, struct thaw_image *image_out)
{
	char *bytes;
	size_t length;
	thaw_status status = thaw_file_read(path, THAW_IMAGE_FILE_LIMIT, &bytes, &length);

	if (status)
		return status;
	status = thaw_image_decode(path, bytes, length, image_out);
	free(bytes);
	return status;
}

/* NULL after thaw_fail(). */
static FILE *create(const char *path)
{
	FILE *file = fopen(path, "wb");

	if (!file)
		thaw_fail(THAW_FAILED, "cannot create '%s': %s", path, strerror(errno));
	return file;
}

/* Closes what was written; a picture that is not whole is removed. */
static thaw_status finish(FILE *file, const char *path, thaw_status status)
{
	if (fclose(file) != 0 && !status)
		status = thaw_fail(THAW_FAILED, "cannot write '%s': %s", path, strerror(errno));
	if (status)
		remove(path);
	return status;
}

thaw_status thaw_image_write_jpeg(const char *path, const struct thaw_image *image, int quality)
{
	FILE *file = create(path);

	return file ? finish(file, path, thaw_jpeg_encode(file, path, image, quality)) : THAW_FAILED;
}

thaw_status thaw_image_write_png(const char *path, const struct thaw_image *image)
{
	FILE *file = create(path);

	return file ? finish(file, path, thaw_png_encode(file, path, image)) : THAW_FAILED;
}

thaw_status thaw_image_encode_jpeg(const struct thaw_image *image, int quality, struct thaw_text *bytes)
{
	char *encoded = NULL;
	size_t length;
	FILE *file = open_memstream(&encoded, &length);
	thaw_status status;

	if (!file)
		return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: a picture of %d x %d", image->height, image->width);
	status = thaw_jpeg_encode(file, "memory", image, quality);
	if (fclose(file) != 0 && !status)
		status = thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: a picture of %d x %d", image->height, image->width);
	if (!status)
		thaw_text_add_bytes(bytes, encoded, length);
	free(encoded);
	return status ? status : thaw_text_status(bytes);
}
