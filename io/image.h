/*
 * Pictures from files: JPEG, PNG and WebP to 8-bit RGB, as Pillow's `exif_transpose(open(f)).convert("RGB")` sees them,
 * so that what is trained on here is what a PyTorch user trains on.
 *
 * The kind is told by content, never by name. Decoders are libjpeg-turbo, libpng and libwebp, each in one file: those
 * that Pillow uses, so that the pixels are the same, with fewer packages to install and load than libvips would bring.
 *
 * Where we differ from Pillow: 16-bit grey keeps its high byte instead of being clipped at 255; a JPEG whose data are
 * damaged is refused where Pillow fills up with grey; EXIF is asked for the orientation, XMP is not.
 */
#ifndef THAW_IO_IMAGE_H
#define THAW_IO_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum { THAW_IMAGE_FILE_LIMIT = 1 << 30 }; /* bytes of a file that is read as a picture */

struct thaw_image {
	int height, width;
	uint8_t *pixels; /* (height, width, 3) RGB, owned */
};

void thaw_image_release(struct thaw_image *image);

/* Whether a file begins as a picture that is read, or cannot be opened: who reads it will be told why. False of what is
 * no file, like a pipe, which is not touched. */
bool thaw_image_may_be(const char *path);

/* Decodes `length` bytes; `name` is for messages. THAW_FAILED says what the file is instead (GIF, not a picture), that
 * it is truncated or damaged, or too large (over 2^28 pixels): "'x.gif' is a GIF: only JPEG, PNG and WebP are read". */
thaw_status thaw_image_decode(const char *name, const void *bytes, size_t length, struct thaw_image *image_out);

/* Reads and decodes a file. */
thaw_status thaw_image_read(const char *path, struct thaw_image *image_out);

/* Writers for `thaw demo` and tests. THAW_FAILED names the path. */
thaw_status thaw_image_write_jpeg(const char *path, const struct thaw_image *image, int quality);
thaw_status thaw_image_write_png(const char *path, const struct thaw_image *image);

/* Appends the bytes of a JPEG file. */
thaw_status thaw_image_encode_jpeg(const struct thaw_image *image, int quality, struct thaw_text *bytes);

#endif
