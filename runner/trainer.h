/*
 * A trainer: one run, from its parts (runner/trainer*.c) through its loop over phases, epochs and steps
 * (runner/train.c).
 */
#ifndef THAW_RUNNER_TRAINER_H
#define THAW_RUNNER_TRAINER_H

#include "runner/setup.h"

struct thaw_train_options {
	int64_t measure_steps; /* > 0: end after this many steps and tell their speed; nothing is validated or written */
	double begun_seconds;  /* thaw_clock_seconds() at the program's start */
	double progress;       /* seconds between two lines that say how far the run is; 0: none */
	const char *resume;    /* the checkpoint to go on from; NULL: begin */
};

struct thaw_trainer;

/* Checks the job, fills the parameters with random numbers, and compiles and allocates what the first phase and
 * validation need: whatever the job asks for that cannot be done fails here, but for a later phase's memory. All ranks
 * call it, and succeed or fail together. */
thaw_status thaw_trainer_new(struct thaw_setup *setup, const struct thaw_train_options *options,
                             struct thaw_trainer **trainer_out);
void thaw_trainer_free(struct thaw_trainer *trainer); /* NULL is fine */

/* Trains as the setup's job says; rank 0 writes to the run folder `folder`. All ranks call it. THAW_DIVERGED, on all
 * of them, names epoch and step when a loss is not finite; other failures may be of one rank alone. */
thaw_status thaw_trainer_run(struct thaw_trainer *trainer, const char *folder);

#endif
