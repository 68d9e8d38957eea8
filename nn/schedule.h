/*
 * Learning-rate schedules.
 *
 * A schedule is a pure function of progress: rate(step) = base_rate * factor(step). Nothing is kept between steps, so
 * every rank, and a run that goes on from a checkpoint, computes the same rate from the same step number, and a
 * checkpoint has nothing to save here.
 *
 * A step is one optimizer update, counted from 0 over the whole run. Drops happen between epochs, as PyTorch's
 * schedulers do when they are stepped once an epoch.
 */
#ifndef THAW_NN_SCHEDULE_H
#define THAW_NN_SCHEDULE_H

#include <stdint.h>

#include "base/status.h"

struct thaw_schedule {
	const char *kind;        /* a name that thaw_schedule_kind() knows */
	int64_t steps_per_epoch; /* >= 1 */
	int64_t step_epochs;     /* `step`: epochs from one drop to the next, >= 1 */
	double gamma;            /* `step`: factor of each drop, in (0, 1] */
};

/* The name of the i-th kind, NULL past the last. */
const char *thaw_schedule_kind(int i);

/* Whether every field that `kind` reads is in range. THAW_BAD_JOB names the key and what is allowed. */
thaw_status thaw_schedule_check(const struct thaw_schedule *schedule);

/* The factor on the base rate for update `step` >= 0 of a schedule that passed the check. */
double thaw_schedule_factor(const struct thaw_schedule *schedule, int64_t step);

#endif
