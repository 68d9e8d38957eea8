/*
 * What the curves of a run say about its fit, from the rows of its epochs, and of the first that holds:
 *
 *     unstable             training and validation cost far more than guessing, ln(classes), at the end; or both
 *                          accuracies are bad, and validation costs far more than guessing in half of the epochs
 *     learned nothing yet  the best epoch answers validation no better than the most frequent class alone would
 *     overfitting          training is ahead of validation, and either the validation loss has risen while the training
 *                          loss fell, or training has become far better; and the best epoch is not near the end
 *     wide gap             training is far better than validation, though the best epoch may be the last
 *     weak                 validation is bad, and training, with mixed pictures, does not tell why
 *     underfitting         training and validation are both bad
 *     good                 none of these
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

#include "base/confusion.h"
#include "base/metrics.h"
#include "base/text.h"

enum thaw_fit {
	THAW_FIT_UNKNOWN, /* no epoch yet */
	THAW_FIT_GOOD,
	THAW_FIT_UNDER,
	THAW_FIT_OVER,
	THAW_FIT_WEAK,
	THAW_FIT_GAP,
	THAW_FIT_NOTHING,
	THAW_FIT_UNSTABLE,
};

struct thaw_verdict {
	enum thaw_fit fit;
	int best;           /* place of the best epoch in the rows: the one that best.h5 is of */
	int since;          /* overfitting: the epoch it began with */
	bool improving;     /* the validation loss still falls at the end */
	double train, val;  /* accuracies of the best epoch; overfitting: of the last */
	bool mixed;         /* that epoch saw mixed pictures */
	double loss, guess; /* the highest of all; that of guessing, 0 where the classes are unknown */
	int wild;           /* epochs in which validation cost far more, twice as much, than guessing */
	double guessed;     /* as given */
};

/* The share of the most frequent class, where the predictions are no better than that class as the answer to all,
 * neither by how many are right nor, but for a twentieth of the way to perfect, by balanced accuracy; otherwise 0. */
double thaw_guessed_share(const struct thaw_confusion *confusion);

/* `epochs` (count) in their order. `classes` tells what chance gives; 0: unknown. `guessed`: of the best epoch's
 * predictions; 0 also where they are unknown. */
struct thaw_verdict thaw_verdict_of(const struct thaw_epoch *epochs, int count, int classes, double guessed);

/* "good", "underfitting", "overfitting since epoch 7", "no epoch yet" */
void thaw_verdict_add_name(const struct thaw_verdict *verdict, struct thaw_text *text);

/* "good: train 0.967, val 0.948"; "underfitting: train 0.550, val 0.540: train longer, ..."; "~0.550" of mixed
 * pictures. */
void thaw_verdict_add_text(const struct thaw_verdict *verdict, struct thaw_text *text);

#endif
