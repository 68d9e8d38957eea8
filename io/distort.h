/*
 * What is done to a picture after it was cut: colours, greyscale, blur, erasing, in this order. The parameters are
 * drawn first, and then applied.
 */
#ifndef THAW_IO_DISTORT_H
#define THAW_IO_DISTORT_H

#include "io/augment.h"
#include "io/scratch.h"

enum thaw_colour { THAW_BRIGHTNESS, THAW_CONTRAST, THAW_SATURATION, THAW_HUE, THAW_COLOURS };

/* The parameters of one picture; all 0: nothing is done. */
struct thaw_distortion {
	int changes; /* of colour, in their order */
	struct {
		enum thaw_colour what;
		double by; /* factor; of the hue: shift */
	} change[THAW_COLOURS];
	bool grey;
	double sigma;           /* of the blur, pixels; 0: none */
	struct thaw_box erased; /* within the (size, size) that came out; without rows or columns: nothing */
};

/* torchvision's ColorJitter (all four in random order), RandomGrayscale, GaussianBlur (io/blur.h tells the size of the
 * kernel) under RandomApply, and RandomErasing (ten tries of a box smaller than the picture, then none). */
struct thaw_distortion thaw_distort_draw(const struct thaw_augment *augment, const struct thaw_sample *sample);

/* Applies it to `pixels` (size, size, 3); what is erased gets the colour `fill`. THAW_OUT_OF_MEMORY only. */
thaw_status thaw_distort(const struct thaw_distortion *distortion, const uint8_t fill[3], struct thaw_scratch *scratch,
                         uint8_t *pixels, int size);

#endif
