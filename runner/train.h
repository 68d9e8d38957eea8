/*
 * Training: the step loop of one run.
 */
#ifndef THAW_RUNNER_TRAIN_H
#define THAW_RUNNER_TRAIN_H

#include "runner/setup.h"

struct thaw_train_options {
	const char *folder;   /* the run folder; made and owned by rank 0 */
	int64_t measure_steps; /* > 0: end after this many steps and tell their speed; nothing is validated or written */
	double begun_seconds; /* thaw_clock_seconds() at the program's start */
};

/* Trains the setup's parameters as its job says, from random ones. All ranks call it. THAW_DIVERGED names epoch and
 * step when a loss is not finite. A failure after the first step may be of one rank alone. */
thaw_status thaw_train(struct thaw_setup *setup, const struct thaw_train_options *options);

#endif
