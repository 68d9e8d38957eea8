/*
 * Antialiased bilinear resampling of 8-bit RGB, bit for bit as Pillow's Image.resize(size, BILINEAR) computes it: a
 * triangle filter as wide as the reduction, fixed-point weights of 22 bits, one pass for each direction with 8 bits in
 * between. torchvision's Resize and RandomResizedCrop on PIL images are this function.
 *
 * The horizontal pass comes first, unless more than twice as many rows as columns go away: that is Pillow's rule from
 * 13.0 on. Earlier releases begin with the horizontal pass there too, and some pixels of theirs differ by 1.
 */
#ifndef THAW_IO_RESIZE_H
#define THAW_IO_RESIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { THAW_EDGE_LIMIT = 4096 }; /* pixels of the edge that pictures are resized or cropped to */

/* A part of a picture: rows top .. top + height - 1, columns left .. left + width - 1. */
struct thaw_box {
	int top, left, height, width;
};

/* Scratch memory of one thread, grown as needed and reused. Zero-initialised to begin. */
struct thaw_resizer {
	void *memory;
	size_t capacity_bytes;
};

void thaw_resizer_release(struct thaw_resizer *resizer);

/* Resamples `box` of `src` (rows of `src_width` RGB pixels) to `dst` (dst_height, dst_width, 3). Pixels outside the box
 * are not looked at, as after Pillow's crop. With `flip` the result is mirrored left to right. The box lies inside the
 * picture and all sizes are at least 1. THAW_OUT_OF_MEMORY only. */
thaw_status thaw_resize(struct thaw_resizer *resizer, const uint8_t *src, int src_width, struct thaw_box box,
                        uint8_t *dst, int dst_height, int dst_width, bool flip);

/* torchvision's Resize(shorter): the shorter edge becomes `shorter`, the longer floor(shorter * long / short), which
 * may be more than fits an int. */
void thaw_resize_shorter(int height, int width, int shorter, int64_t *height_out, int64_t *width_out);

#endif
