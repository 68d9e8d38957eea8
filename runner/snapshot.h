/*
 * Between the numbers of a run and the tensors of a checkpoint: "model/<name>", "optimizer/<slot>/<name>", and
 * "optimizer/step/<name>" where the optimizer counts; "average/<name>" where the parameters have an average.
 */
#ifndef THAW_RUNNER_SNAPSHOT_H
#define THAW_RUNNER_SNAPSHOT_H

#include "io/checkpoint.h"
#include "nn/average.h"
#include "nn/optimizer.h"
#include "runner/setup.h"

/* What training keeps beside the parameters; NULL: it does not, or a checkpoint is not to hold it. */
struct thaw_snapshot_state {
	struct thaw_optimizer *optimizer;
	struct thaw_average *average;
};

/* Publishes parameters, running statistics and the state beside them; what was at `path` is then at `previous`, unless
 * that is NULL. `facts`: arch, normalisation, classes, build and the splits' checksums are filled in here. */
thaw_status thaw_snapshot_write(const char *path, const char *previous, struct thaw_checkpoint_facts facts,
                                const struct thaw_setup *setup, struct thaw_snapshot_state state);

/* Where numbers go that a checkpoint holds, to go on from there; all NULL: only the parameters are wanted. */
struct thaw_snapshot_wanted {
	struct thaw_snapshot_state state;
	double *losses;     /* (replicas, 2) */
	double *val_losses; /* (epochs of the job) of the epochs done */
};

/* Reads parameters and running statistics from `path` into the setup, which then names it, and what is wanted. A checkpoint of another
 * architecture, class list or normalisation is refused by name, THAW_BAD_JOB, and so is one that has not what is
 * wanted, or belongs to more epochs than the job has. Where a run is to go on (`losses`), so is one of other pictures;
 * otherwise another crop is warned of. The pointers in `facts_out` are NULL. */
thaw_status thaw_snapshot_read(const char *path, struct thaw_setup *setup, struct thaw_snapshot_wanted wanted,
                               struct thaw_checkpoint_facts *facts_out);

#endif
