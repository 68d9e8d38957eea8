/*
 * Which part of a picture the network sees: pure functions of (seed, epoch, picture), with torchvision's distributions.
 */
#ifndef THAW_IO_AUGMENT_H
#define THAW_IO_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "io/resize.h"

enum thaw_crop { THAW_CROP_CENTER, THAW_CROP_RANDOM_RESIZED };

/* How pictures are cut for a split. */
struct thaw_augment {
	enum thaw_crop crop;
	double scale[2]; /* random_resized: share of the picture's area, 0 < low <= high <= 1 */
	double ratio[2]; /* random_resized: width / height of the crop, drawn log-uniformly */
	double flip;     /* probability of mirroring, 0 .. 1 */
	int size;        /* edge of the square that comes out */
};

struct thaw_view {
	struct thaw_box box; /* what to cut; resized to size x size when it has another size */
	bool flip;
};

/* The view of picture `picture` (height, width) in `epoch`. random_resized: torchvision's RandomResizedCrop.get_params
 * (ten tries, then the central crop of the nearest allowed ratio). center: torchvision's CenterCrop(size) of the stored
 * picture; where that would pad, because an edge is shorter than `size`, the box is the central square instead, to be
 * resized up. Either way RandomHorizontalFlip(flip) comes last. */
struct thaw_view thaw_augment_view(const struct thaw_augment *augment, uint64_t seed, int epoch, int64_t picture,
                                   int height, int width);

#endif
