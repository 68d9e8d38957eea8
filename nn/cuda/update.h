/*
 * Optimizer steps on a device: nn/optimizer.h, nn/clip.h and nn/average.h, without the host.
 *
 * A step is three launches: the norm of the gradients, from which the device itself decides whether the step is
 * applied; the parameters, their slots, their average and their copy in another type of numbers, in one pass; the
 * running statistics. All that changes from step to step stands in device memory.
 */
#ifndef THAW_NN_CUDA_UPDATE_H
#define THAW_NN_CUDA_UPDATE_H

#include "nn/cuda/cuda.h"
#include "nn/optimizer.h"

/* What is updated; device memory, as the net's table lays it out. */
struct thaw_cuda_slabs {
	float *values, *states;
	float *slot[THAW_SLOTS]; /* as many as the optimizer has */
	float *average;          /* NULL: none; before the first update a copy of the values */
	void *copy;              /* of the values, as the device's number; NULL: none */
	int64_t *counters;       /* (params + 1) updates that each has had, and all; 0 to begin */
};

struct thaw_cuda_update_spec {
	const struct thaw_net *net;             /* borrowed */
	const struct thaw_optimizer_spec *rule; /* its lr_scale too; all copied */
	const bool *trains;                     /* (params) these move by their gradients */
	const bool *updates;                    /* (params) states that move by their batch statistics */
	double clip;                            /* largest norm of the gradients; 0: any */
	double average_decay;
	bool average_warm_up;
};

struct thaw_cuda_update;

thaw_status thaw_cuda_update_new(struct thaw_device *device, const struct thaw_cuda_update_spec *spec,
                                 struct thaw_cuda_update **update_out);
void thaw_cuda_update_free(struct thaw_cuda_update *update); /* NULL is fine */

/* Enqueues a step. `gradients`: device slabs. */
thaw_status thaw_cuda_update_run(struct thaw_cuda_update *update, const struct thaw_cuda_slabs *slabs,
                                 const struct thaw_gradients *gradients, double rate);

/* Waits for the last step: the norm of its gradients, and whether it was applied, which it is if that is finite. */
thaw_status thaw_cuda_update_norm(struct thaw_cuda_update *update, double *norm_out, bool *applied_out);

#endif
