/* What io/image.c and the files that wrap one picture library each know of one another. */
#ifndef THAW_IO_IMAGE_FORMATS_H
#define THAW_IO_IMAGE_FORMATS_H

#include <stdio.h>

#include "io/image.h"

struct thaw_encoded {
	const char *name; /* for messages */
	const uint8_t *bytes;
	size_t length;
};

/* Decoders of bytes that begin as their format must. The pixels are as stored; `orientation_out` gets EXIF's number,
 * 1 to 8, and 1 where there is none. */
typedef thaw_status thaw_image_decoder(const struct thaw_encoded *file, struct thaw_image *image_out,
                                       int *orientation_out);
thaw_image_decoder thaw_jpeg_decode, thaw_png_decode, thaw_webp_decode;

/* Encoders to an open file; `path` is for messages. */
thaw_status thaw_jpeg_encode(FILE *file, const char *path, const struct thaw_image *image, int quality);
thaw_status thaw_png_encode(FILE *file, const char *path, const struct thaw_image *image);

/* A black picture of this size. THAW_FAILED beyond the limit of pixels. */
thaw_status thaw_image_new(const char *name, uint32_t height, uint32_t width, struct thaw_image *image_out);

/* The orientation that an EXIF block (TIFF structure, with or without "Exif\0\0" before it) holds; 1 if it has none. */
int thaw_exif_orientation(const uint8_t *exif, size_t length);

/* The two ways in which a file of the right kind is bad. */
thaw_status thaw_image_cut_short(const char *name);
thaw_status thaw_image_damaged(const char *name, const char *reason);

#endif
