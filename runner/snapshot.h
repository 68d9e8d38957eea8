/*
 * Between the numbers of a run and the tensors of a checkpoint: "model/<name>", "optimizer/<slot>/<name>", and
 * "optimizer/step/<name>" where the optimizer counts.
 */
#ifndef THAW_RUNNER_SNAPSHOT_H
#define THAW_RUNNER_SNAPSHOT_H

#include "io/checkpoint.h"
#include "nn/optimizer.h"
#include "runner/setup.h"

/* Publishes parameters, running statistics and, unless `optimizer` is NULL, its slots and counts; what was at `path` is
 * then at `previous`, unless that is NULL. `facts`: arch, normalisation, classes and build are filled in here. */
thaw_status thaw_snapshot_write(const char *path, const char *previous, struct thaw_checkpoint_facts facts,
                                const struct thaw_setup *setup, const struct thaw_optimizer *optimizer);

/* Where numbers go that a checkpoint holds: `optimizer` (NULL: not wanted) and `losses` (NULL, or for each of
 * the setup's replicas two). */
struct thaw_snapshot_wanted {
	struct thaw_optimizer *optimizer;
	double *losses;
};

/* Reads parameters and running statistics from `path` into the setup, and what is wanted. A checkpoint of another
 * architecture, class list or normalisation is refused by name, THAW_BAD_JOB. The pointers in `facts_out` are NULL. */
thaw_status thaw_snapshot_read(const char *path, struct thaw_setup *setup, struct thaw_snapshot_wanted wanted,
                               struct thaw_checkpoint_facts *facts_out);

#endif
