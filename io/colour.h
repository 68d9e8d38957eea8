/*
 * The colours of a picture changed, as torchvision's functional transforms of the same names change uint8 tensors: in
 * float32, results cut off to whole levels. Of all 2^24 colours, grey and saturation come out as torchvision 0.28 has
 * them, and hue too but for one level in 1 of 10,000 channels. adjust_contrast may differ by one level where torch
 * rounds the mean otherwise.
 *
 * All work in place on `count` RGB pixels.
 */
#ifndef THAW_IO_COLOUR_H
#define THAW_IO_COLOUR_H

#include <stddef.h>
#include <stdint.h>

/* Blend with black, with the mean of the picture's grey, and with each pixel's grey: factor * picture + (1 - factor) *
 * other. factor >= 0; 1 leaves the picture as it is. */
void thaw_adjust_brightness(uint8_t *pixels, size_t count, double factor);
void thaw_adjust_contrast(uint8_t *pixels, size_t count, double factor);
void thaw_adjust_saturation(uint8_t *pixels, size_t count, double factor);

/* Turns the hue of HSV by `shift` of the whole circle, -0.5 .. 0.5. */
void thaw_adjust_hue(uint8_t *pixels, size_t count, double shift);

/* Each pixel's grey in all three channels: 0.2989 R + 0.587 G + 0.114 B, cut off. */
void thaw_greyscale(uint8_t *pixels, size_t count);

#endif
