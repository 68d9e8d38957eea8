/*
 * Gaussian blur as torchvision's gaussian_blur computes it (edges reflected, the kernel sampled at whole pixels and
 * scaled to a sum of 1), in two passes of fixed point instead of one in float32: results differ by one level at most.
 */
#ifndef THAW_IO_BLUR_H
#define THAW_IO_BLUR_H

#include <stdint.h>

#include "base/status.h"
#include "io/scratch.h"

enum { THAW_BLUR_RADIUS = 30 };

/* The kernel reaches three standard deviations: ceil(3 sigma) pixels to each side, at most size - 1, which is as far as
 * an edge can be reflected. Its size in torchvision's terms is twice that and 1. */
int thaw_blur_radius(double sigma, int size);

/* Blurs `pixels` (size, size, 3) in place; 0 < sigma <= 10. THAW_OUT_OF_MEMORY only. */
thaw_status thaw_blur(struct thaw_scratch *scratch, uint8_t *pixels, int size, double sigma);

#endif
