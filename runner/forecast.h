/*
 * What a job will take, phase by phase: numbers that train, steps, memory, seconds.
 *
 * Memory is what a rank keeps for the phase: the slabs of parameters, their average, running statistics, optimizer
 * slots and gradients, and the arena of the phase's plan or, where that is larger, of validation. What libraries keep
 * for themselves, and pictures on their way, come on top. Seconds are measured, by rank 0's clock: a few steps of every
 * phase, at a learning rate of 0; and a few batches of validation, by the slowest rank's.
 */
#ifndef THAW_RUNNER_FORECAST_H
#define THAW_RUNNER_FORECAST_H

#include "runner/trainer.h"

struct thaw_phase_forecast {
	int64_t parameters; /* that train */
	int64_t steps;      /* of an epoch */
	size_t memory_bytes; /* of the rank that needs most */
	double seconds;     /* of an epoch's training; 0: not measured */
};

struct thaw_forecast {
	struct thaw_phase_forecast phases[THAW_PHASES];
	double validation_seconds; /* of an epoch, the average's too; 0: not measured */
};

/* All ranks call it, with a trainer that has not trained, and get the same. The trainer stands at the last phase then,
 * with other running statistics: it is of no use for training. */
thaw_status thaw_forecast_job(struct thaw_trainer *trainer, bool measures, struct thaw_forecast *forecast_out);

#endif
