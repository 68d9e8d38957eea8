/*
 * Batches mixed: mixup (Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018) and CutMix (Yun et al.,
 * ICCV 2019). Picture i of N is mixed with picture N - 1 - i, by shares that the whole batch has in common.
 *
 * A draw is a pure function of (seed, epoch, the batch's first place in the epoch's order).
 */
#ifndef THAW_IO_MIX_H
#define THAW_IO_MIX_H

#include "io/augment.h"

/* What remains of picture i is `share`; the rest is its partner's. */
struct thaw_mix {
	double share;        /* mixup: of every level, a multiple of 2^-16; CutMix: of the area; 1: nothing is done */
	struct thaw_box box; /* CutMix: what comes from the partner; without rows or columns: mixup */
};

/* share ~ Beta(alpha, alpha), with both alphas that of mixup or of CutMix with even chances. CutMix's box has 1 - share
 * of the area, a place as torchvision's CutMix draws it, and what lies beyond the edges is cut off: `share` is what is
 * then left. */
struct thaw_mix thaw_mix_draw(const struct thaw_augment *augment, uint64_t seed, int epoch, int64_t first);

/* Mixes `pixels` (count, size, size, 3) in place; mixup rounds to the nearest level. */
void thaw_mix(const struct thaw_mix *mix, uint8_t *pixels, int count, int size);

/* Beta(alpha, alpha), alpha > 0: two words. */
double thaw_random_beta(struct thaw_random *random, double alpha);

#endif
