/*
 * What happens to pictures on their way into a batch: the settings, and the draws of a picture's geometry.
 *
 * A picture is cut, resized, rotated and mirrored (here: thaw_augment_view; done by io/rotate.h), then its colours are
 * changed, it is blurred and a part of it erased (io/distort.h); whole batches are mixed (io/mix.h). Settings have
 * torchvision's meanings and their draws torchvision's distributions. Each draw is a pure function of (seed, epoch,
 * picture) in a stream of its own: one setting does not change what another draws.
 */
#ifndef THAW_IO_AUGMENT_H
#define THAW_IO_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/random.h"
#include "base/status.h"
#include "io/resize.h"

enum thaw_crop { THAW_CROP_CENTER, THAW_CROP_RANDOM_RESIZED };

/* How the pictures of a split are treated. All that is 0 does nothing. */
struct thaw_augment {
	enum thaw_crop crop;
	double scale[2]; /* random_resized: share of the picture's area, 0 < low <= high <= 1 */
	double ratio[2]; /* random_resized: width / height of the crop, drawn log-uniformly */
	double flip;     /* probability of mirroring, 0 .. 1 */
	int size;        /* edge of the square that comes out */

	double rotation;                         /* degrees: the angle is uniform in -rotation .. rotation */
	double brightness, contrast, saturation; /* the factor is uniform in max(0, 1 - x) .. 1 + x */
	double hue;                              /* of the colour circle: the shift is uniform in -hue .. hue */
	double grey;                             /* probability */
	double blur, blur_sigma[2];              /* probability; pixels, uniform */
	double erase, erase_scale[2];            /* probability; share of the area, uniform */
	double erase_ratio[2];                   /* height / width, drawn log-uniformly */
	double mixup, cutmix;                    /* alpha of Beta(alpha, alpha); with both, one is drawn for each batch */
};

/* THAW_BAD_JOB, with words that begin with the setting's key in job files, unless all settings can be used. */
thaw_status thaw_augment_check(const struct thaw_augment *augment);

/* A picture in an epoch: what its draws are a function of. */
struct thaw_sample {
	uint64_t seed;
	int epoch;
	int64_t picture;
	int repeat; /* times the epoch had this picture before: above 0 only where pictures are drawn with replacement */
};

void thaw_sample_random(const struct thaw_sample *sample, enum thaw_purpose purpose, struct thaw_random *random_out);

/* Which part of a picture the network sees. */
struct thaw_view {
	struct thaw_box box; /* what to cut; resized to size x size when it has another size */
	bool flip;
	double degrees; /* counter-clockwise, about the middle of the box */
};

/* The view of a picture (height, width). random_resized: torchvision's RandomResizedCrop.get_params (ten tries, then
 * the central crop of the nearest allowed ratio). center: torchvision's CenterCrop(size) of the stored picture; where
 * that would pad, because an edge is shorter than `size`, the box is the central square instead, to be resized up.
 * RandomRotation(rotation) and RandomHorizontalFlip(flip) follow. */
struct thaw_view thaw_augment_view(const struct thaw_augment *augment, const struct thaw_sample *sample, int height,
                                   int width);

#endif
