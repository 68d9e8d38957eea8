/* A GPU that only plans; see plan_gpu.c. */
#ifndef THAW_TESTS_CUDA_PLAN_GPU_H
#define THAW_TESTS_CUDA_PLAN_GPU_H

#include "nn/cuda/cudnn_plan.h"

struct plan_counts {
	int graphs;             /* different ones */
	int missing, forbidden; /* without a plan; with one that may not be taken */
	int compiled;           /* whose plan needs the runtime compiler */
	int wished, fused;      /* with statistics; those that have a plan which makes them */
	size_t workspace_bytes; /* the largest */
};

/* From now on convolutions are planned for this one; borrowed. */
void plan_gpu_begin(const struct thaw_cudnn_target *target);
struct plan_counts plan_gpu_counts(void);

/* Shown each convolution whose statistics are wished for, and whether there is a plan that makes them; NULL: nobody. */
typedef void plan_gpu_wish(const struct thaw_gpu_conv_spec *spec, bool granted);
void plan_gpu_watch_wishes(plan_gpu_wish *wish);

/* Shown each plan that is made from now on, one for each different graph; NULL: nobody is. */
typedef void plan_gpu_look(const struct thaw_gpu_conv_spec *spec, const struct thaw_cudnn_plan *plan);
void plan_gpu_watch(plan_gpu_look *look);

#endif
