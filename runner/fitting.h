/* What to say where a job's batch is too large for the memory there is. */
#ifndef THAW_RUNNER_FITTING_H
#define THAW_RUNNER_FITTING_H

#include "nn/plan.h"
#include "runner/setup.h"

/* After a plan of `spec`, of a global batch of so many pictures, could not be had: THAW_OUT_OF_MEMORY in words that say how
 * large a batch may be, or in those there were where that is not what is wrong. All ranks call it, and get the same. */
thaw_status thaw_fitting_fail(struct thaw_setup *setup, const struct thaw_plan_spec *spec, int batch);

/* The same words from what is known. Pure. */
struct thaw_fitting_facts {
	int batch, replicas, ranks; /* ranks that share the memory of one host */
	bool gpu;                   /* each has memory of its own */
	double needed, available;   /* bytes, for each rank */
	int fits;                   /* pictures of a replica; 0: not even one */
};
thaw_status thaw_fitting_words(const struct thaw_fitting_facts *facts);

#endif
