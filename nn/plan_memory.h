/*
 * A plan from within: its parts, and where its values, gradients and saved buffers stand in the arena.
 *
 * nn/plan.c makes the steps and runs them; nn/plan_memory.c finds how long each block of memory is needed and gives it
 * its place.
 */
#ifndef THAW_NN_PLAN_MEMORY_H
#define THAW_NN_PLAN_MEMORY_H

#include "nn/lower.h"
#include "nn/placement.h"
#include "nn/plan.h"

/* One value or gradient, and the block of memory it stands in. */
struct thaw_slot {
	struct thaw_tensor tensor;
	int block;
};

struct thaw_plan {
	const struct thaw_net *net;
	const struct thaw_params *params;
	struct thaw_device *device;
	bool *trains;              /* (params) */
	bool *updates;             /* (params) states this plan contributes statistics for */
	struct thaw_chain *chains; /* (steps) what each step was made of */
	struct thaw_step *steps;   /* (steps) in forward order */
	int64_t *ready;            /* (steps) after this step's backward all gradients at offsets >= this are final */
	int steps_count;
	struct thaw_slot *values;    /* (operations) indexed by value; only those that some step makes are used */
	struct thaw_slot *gradients; /* (gradients_count) */
	int gradients_count;
	struct thaw_block *blocks; /* (blocks_count) memory of values, gradients and saved buffers */
	int *saved_block;          /* (steps) */
	int blocks_count;
	size_t workspace_bytes, arena_bytes;
	char *bound; /* arena that addresses were set for */
	struct thaw_run run;
	double *class_weights; /* (classes) what run.class_weights points to; NULL: all 1 */
	uint64_t version; /* of the parameters that steps have read; 0: none yet */
};

/* Whether the step runs backward; LOSS does without a dy. */
static inline bool thaw_step_has_backward(const struct thaw_step *step)
{
	return step->dy_count > 0 || step->dx;
}

/* Places all memory of a plan whose steps are prepared, in an arena of plan->arena_bytes. */
thaw_status thaw_plan_place(struct thaw_plan *plan);

/* Sets addresses for where the arena stands now. */
void thaw_plan_bind(struct thaw_plan *plan);

#endif
