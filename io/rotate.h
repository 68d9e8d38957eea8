/*
 * A part of a picture, resized and rotated, in one go.
 *
 * As torchvision's RandomRotation (bilinear, black outside) behind a crop and resize, with one difference: where that
 * would show black corners although the picture goes on there, the picture is shown. So the box is first enlarged by
 * what the rotation brings in, that is resized with the antialiased filter of io/resize.h at the scale of the box, and
 * the result is sampled bilinearly at pixels of about its own size: a strong reduction stays free of aliases.
 */
#ifndef THAW_IO_ROTATE_H
#define THAW_IO_ROTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "io/resize.h"
#include "io/scratch.h"

/* Resamples `box` of `src` (height, width, 3), rotated by `degrees` counter-clockwise about its middle, to `dst` (size,
 * size, 3). What lies outside the picture is black. With `flip` the result is mirrored left to right. For 0 degrees it
 * is thaw_resize(), which does not look beyond the box. THAW_OUT_OF_MEMORY only. */
thaw_status thaw_rotate(struct thaw_resizer *resizer, struct thaw_scratch *scratch, const uint8_t *src, int height,
                        int width, struct thaw_box box, double degrees, uint8_t *dst, int size, bool flip);

#endif
