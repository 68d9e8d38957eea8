/*
 * Learning-rate schedules.
 *
 * A schedule is a pure function of progress: rate = base_rate * factor(progress). Nothing is kept between steps, so
 * every rank, and a run that goes on from a checkpoint, computes the same rate for the same step. The validation losses
 * so far are a part of progress that only `plateau` looks at.
 *
 * Some kinds move once an epoch, as PyTorch's schedulers do when they are stepped at its end; the others move with
 * every step and end where `steps` ends: with s = step / steps
 *
 *     kind         factor                                                            torch.optim.lr_scheduler
 *     constant     1
 *     step         gamma ^ floor(epoch / step_epochs)                                StepLR
 *     multi_step   gamma ^ (milestones that are <= epoch)                            MultiStepLR
 *     exponential  gamma ^ epoch                                                     ExponentialLR
 *     cosine       minimum + (1 - minimum) (1 + cos(pi s)) / 2                       CosineAnnealingLR, T_max = steps
 *     one_cycle    1 / div up to 1 in the first `rise` of the steps, then down to    OneCycleLR: anneal_strategy cos,
 *                  1 / (div final_div); both half a cosine                           two phases, momentum as it is
 *     rising       start ^ (1 - s), or with `linear` start + (1 - start) s           LinearLR, total_iters = steps
 *     plateau      max(minimum, gamma ^ drops), a drop after more than `patience`    ReduceLROnPlateau: mode min,
 *                  epochs without a better loss, which is one below                  threshold_mode rel, eps 0
 *                  (1 - threshold) * the best; the `cooldown` epochs after a drop
 *                  are no such epochs
 *
 * `one_cycle` takes the base rate for the largest (Smith & Topin, "Super-convergence", 2018). `rising` is for training
 * on that should disturb at first as little as it can.
 *
 * Warm-up is a factor in front of any kind: from warmup_start at step 0 linearly up to 1 at step `warmup` (LinearLR;
 * Goyal et al., "Accurate, large minibatch SGD", 2017, section 2.2). What moves by steps begins when warm-up ends and
 * has the rest of the steps, as PyTorch's SequentialLR chains LinearLR and what follows; what moves by epochs counts
 * them all. Only `plateau` does not look at the losses of epochs that were nothing but warm-up, as timm's
 * PlateauLRScheduler does not: a rate that is still low is no reason to lower it.
 */
#ifndef THAW_NN_SCHEDULE_H
#define THAW_NN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

/* A kind reads its own fields only. */
struct thaw_schedule {
	const char *kind;      /* a name that thaw_schedule_kind() knows */
	int64_t warmup;        /* steps, >= 0 */
	double warmup_start;   /* with warmup: in (0, 1] */
	int64_t step_epochs;   /* `step`: epochs from one drop to the next, >= 1 */
	const int *milestones; /* (milestones_count) `multi_step`: epochs >= 1, rising; borrowed */
	int milestones_count;  /* >= 1 */
	double gamma;          /* `step`, `multi_step`, `exponential`: in (0, 1]; `plateau`: in (0, 1) */
	double minimum;        /* `cosine`, `plateau`: 0 .. 1 */
	double rise;           /* `one_cycle`: 0 .. 1 */
	double div, final_div; /* `one_cycle`: >= 1 */
	double start;          /* `rising`: in (0, 1] */
	bool linear;           /* `rising` */
	int patience;          /* `plateau`: epochs without a better loss that are borne before a drop, >= 0 */
	int cooldown;          /* `plateau`: epochs after a drop that do not count, >= 0 */
	double threshold;      /* `plateau`: share of the best loss that a better one is below it by; 0 .. below 1 */
};

/* Where a run, or whatever part of it has a schedule of its own, stands before an update. */
struct thaw_progress {
	int64_t step, steps;  /* updates done, of so many in all: 0 <= step < steps */
	int epoch;            /* from 0, that the update belongs to */
	const double *losses; /* (losses_count) validation losses of the epochs before it, without those of warm-up */
	int losses_count;
};

/* The name of the i-th kind, NULL past the last. */
const char *thaw_schedule_kind(int i);

/* Whether every field that `kind` reads is in range. THAW_BAD_JOB names the key and what is allowed. */
thaw_status thaw_schedule_check(const struct thaw_schedule *schedule);

/* The factor on the base rate, of a schedule that passed the check. */
double thaw_schedule_factor(const struct thaw_schedule *schedule, const struct thaw_progress *at);

#endif
