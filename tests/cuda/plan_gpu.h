/* A GPU that only plans; see plan_gpu.c. */
#ifndef THAW_TESTS_CUDA_PLAN_GPU_H
#define THAW_TESTS_CUDA_PLAN_GPU_H

#include "nn/cuda/cudnn_plan.h"

struct plan_counts {
	int graphs;             /* different ones */
	int missing, forbidden; /* without a plan; with one that may not be taken */
	int compiled;           /* whose plan needs the runtime compiler */
	size_t workspace_bytes; /* the largest */
};

/* From now on convolutions are planned for this one; borrowed. */
void plan_gpu_begin(const struct thaw_cudnn_target *target);
struct plan_counts plan_gpu_counts(void);

/* Shown each plan that is made from now on, one for each different graph; NULL: nobody is. */
typedef void plan_gpu_look(const struct thaw_gpu_conv_spec *spec, const struct thaw_cudnn_plan *plan);
void plan_gpu_watch(plan_gpu_look *look);

#endif
