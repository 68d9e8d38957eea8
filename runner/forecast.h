/*
 * What a job will take, phase by phase: numbers that train, steps, memory, seconds.
 *
 * Memory is what a rank keeps for the phase where it computes, in a GPU's memory or the host's: the slabs of parameters,
 * their average, running statistics, optimizer slots and gradients, and the arena of the phase's plan or, where that is
 * larger, of validation. What libraries keep for themselves comes on top, and on the host pictures on their way. A GPU
 * can be asked what is gone. Seconds are measured, by rank 0's clock: a few steps of every
 * phase, at a learning rate of 0; and a few batches of validation, by the slowest rank's.
 */
#ifndef THAW_RUNNER_FORECAST_H
#define THAW_RUNNER_FORECAST_H

#include "runner/trainer.h"

/* Bytes of a rank. */
enum thaw_memory_kind {
	THAW_MEMORY_PARAMETERS, /* and running statistics; on a GPU also as its number */
	THAW_MEMORY_AVERAGE,
	THAW_MEMORY_SLOTS, /* of the optimizer */
	THAW_MEMORY_GRADIENTS,
	THAW_MEMORY_ACTIVATIONS, /* with their gradients */
	THAW_MEMORY_WORKSPACE,
	THAW_MEMORY_PICTURES, /* of a batch, in a GPU's memory */
	THAW_MEMORY_KINDS
};

struct thaw_phase_forecast {
	int64_t parameters; /* that train */
	int64_t steps;      /* of an epoch */
	size_t memory[THAW_MEMORY_KINDS]; /* of this rank */
	size_t memory_bytes;              /* in all, of the rank that needs most */
	size_t held_bytes; /* by which the GPU of this rank has less than when it was opened; 0: memory is the host's */
	double seconds;    /* of an epoch's training; 0: not measured */
};

struct thaw_forecast {
	struct thaw_phase_forecast phases[THAW_PHASES];
	double validation_seconds; /* of an epoch, the average's too; 0: not measured */
};

/* All ranks call it, with a trainer that has not trained, and get the same but for what is said to be this rank's. The
 * trainer stands at the last phase then, with other running statistics: it is of no use for training. `engines` gets a
 * table of implementations for each phase (thaw_plan_add_engines()); NULL: it is not wanted. */
struct thaw_text;
thaw_status thaw_forecast_job(struct thaw_trainer *trainer, bool measures, struct thaw_text *engines,
                              struct thaw_forecast *forecast_out);

#endif
