/*
 * How many pictures fit into a device's memory.
 *
 * Plans are made for it as for a run, but nothing is timed, and nothing placed in memory. That tells the arena to a few
 * percent: what timing chooses may need other scratch memory.
 */
#ifndef THAW_NN_FITTING_H
#define THAW_NN_FITTING_H

#include "nn/plan.h"

struct thaw_fitting {
	size_t needed_bytes;    /* by the arena of the batch that was asked for */
	size_t available_bytes; /* for an arena */
	int batch;              /* pictures that fit with some room to spare, at most those asked for; 0: not even one */
};

/* Whether the plan of `spec` will find the memory that it needs; where that cannot be told, it says yes. */
thaw_status thaw_plan_fits(const struct thaw_net *net, const struct thaw_plan_spec *spec, bool *fits_out);

/* `spec`: of a plan that is too large. */
thaw_status thaw_plan_fitting(const struct thaw_net *net, const struct thaw_plan_spec *spec,
                              struct thaw_fitting *fitting_out);

#endif
