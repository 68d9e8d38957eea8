/*
 * The learning-rate range test: a short training at rates that rise from far too small to far too large, and what the
 * losses on the way say of the rate to train with (Smith, "Cyclical learning rates for training neural networks", 2017,
 * section 3.3).
 *
 *     rate of step i         from * (to / from) ^ (i / (steps - 1)), i = 0 .. steps - 1
 *     smoothed loss          v_i = 0.98 v_(i-1) + 0.02 loss_i from v = 0, divided by 1 - 0.98^(i+1)
 *     the end                after the first smoothed loss that is over 4 times the least so far
 *
 * and of the smoothed losses, without the first steps / 10 and the last 5, s_0 .. s_(n-1):
 *
 *     valley     the longest falling subsequence (of equally long ones that which ends first) ends at `e` and has
 *                length l; with b = e - l for its beginning, the rate of place b + floor(l / 3) + floor(l / 6): where
 *                two thirds of the fall are still to come, well before the loss rises again
 *     steepest   of the places from the valley to the least of them, the rate of the place i with the least
 *                (s_(i+1) - s_i) / (log rate_(i+1) - log rate_i)
 *
 * as fastai's Learner.lr_find with the suggestions `valley` and `steep` has them (fastai 2, callback/schedule.py). It
 * differs in four things: its last rate is one step below `to`; a subsequence that fills all of two places or fewer
 * has its place before the first, which Python takes from the other end, here it is the first; losses that never fall
 * have no suggestion here; and its steepest place may lie anywhere, also where first losses scatter, or one that has
 * run away comes down again.
 *
 * Losses of batches scatter, so that smoothed ones fall by chance too. A fall from v_i to the least, v_j, is measured by
 * its standard error: sigma sqrt(V_i + V_j - 2 C_ij), with V_i = (0.02 / 1.98) (1 + 0.98^(i+1)) / (1 - 0.98^(i+1)),
 * C_ij = V_i 0.98^(j-i) (1 - 0.98^(i+1)) / (1 - 0.98^(j+1)), and sigma^2 half of the mean square of the differences
 * between the losses of neighbouring steps up to the least. Of losses that do nothing but scatter, the largest such
 * fall is below 3.8 standard errors in 93 to 99 of 100 sweeps of 300 to 10 steps
 * (tests/unit/lr_range_test.c).
 *
 * Pure functions.
 */
#ifndef THAW_BASE_LR_RANGE_H
#define THAW_BASE_LR_RANGE_H

#include <stdbool.h>

#include "base/status.h"

struct thaw_lr_range {
	double from, to; /* 0 < from < to */
	int steps;       /* >= 2 */
};

double thaw_lr_range_rate(const struct thaw_lr_range *range, int i);

/* smoothed_out (count) of losses (count). */
void thaw_lr_range_smooth(const double *losses, int count, double *smoothed_out);

/* Whether the test ends after these smoothed losses (count); also where the last is not a number. */
bool thaw_lr_range_ends(const double *smoothed, int count);

/* Places among all losses; -1: none, since too few are left or they never fall, or not from the valley on. */
struct thaw_lr_suggestion {
	int valley, steepest;
};

/* From the `count` smoothed losses, all finite, that a test came to. THAW_OUT_OF_MEMORY only. */
thaw_status thaw_lr_range_suggest(const struct thaw_lr_range *range, const double *smoothed, int count,
                                  struct thaw_lr_suggestion *suggestion_out);

struct thaw_lr_fall {
	double share;  /* of the loss it falls from: 0.25 from 2 to 1.5; the deepest */
	double errors; /* standard errors, the most */
};

/* Falls to the least of the `count` smoothed losses, without those that suggestions leave out; 0: they never fall. */
struct thaw_lr_fall thaw_lr_range_fall(const struct thaw_lr_range *range, const double *losses, const double *smoothed,
                                       int count);

/* Whether a fall may be chance. */
bool thaw_lr_range_is_chance(struct thaw_lr_fall fall);

#endif
