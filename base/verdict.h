/*
 * What the curves of a run say about its fit, from the rows of its epochs alone.
 *
 *     overfitting    the validation loss has risen while the training loss fell, or training has become far better than
 *                    validation
 *     underfitting   training and validation are both bad
 *     weak           validation is bad, and training, with mixed pictures, does not tell which of both it is
 *     good           none of these
 *
 * Means over three neighbouring epochs are compared, since single ones scatter; a gap between the accuracies counts
 * when it is more than the size of the validation split explains. That training is worse than validation is no fault:
 * it sees augmented pictures, and its mean comes from before the epoch's end.
 *
 * A training loss is only ever compared with that of other epochs, never with the validation loss: label smoothing and
 * weights of classes are part of the one alone. In epochs of mixed pictures (mixup, CutMix) it is compared with that of
 * such epochs, and the training accuracy, which mixing lowers, speaks for overfitting only: when it is far better all
 * the same. That it is bad is no sign of underfitting there, but that the validation loss still falls is.
 *
 * Pure functions.
 */
#ifndef THAW_BASE_VERDICT_H
#define THAW_BASE_VERDICT_H

#include "base/metrics.h"
#include "base/text.h"

enum thaw_fit { THAW_FIT_UNKNOWN, THAW_FIT_GOOD, THAW_FIT_UNDER, THAW_FIT_OVER, THAW_FIT_WEAK };

struct thaw_verdict {
	enum thaw_fit fit;   /* unknown: no epoch yet */
	int best;            /* place of the best epoch in the rows: the one that best.h5 is of */
	int since;           /* overfitting: the epoch it began with */
	bool improving;      /* the validation loss still falls at the end */
	double train, val;   /* accuracies of the best epoch; overfitting: of the last */
	bool mixed;          /* that epoch saw mixed pictures */
};

/* `epochs` (count) in their order. `classes` tells what accuracy chance gives, 1 / classes; 0: unknown, none. */
struct thaw_verdict thaw_verdict_of(const struct thaw_epoch *epochs, int count, int classes);

/* "good", "underfitting", "overfitting since epoch 7", "no epoch yet" */
void thaw_verdict_add_name(const struct thaw_verdict *verdict, struct thaw_text *text);

/* "good: train 0.967, val 0.948"; "underfitting: train 0.550, val 0.540: train longer, ..."; "~0.550" of mixed
 * pictures. */
void thaw_verdict_add_text(const struct thaw_verdict *verdict, struct thaw_text *text);

#endif
