/*
 * Convolutions as graphs of cuDNN, and the plans that can run them.
 *
 * The graph API is used from C (cudnn_backend.h): a convolution, and what is fused behind it, become a graph of
 * operations; heuristics propose engines for it, best first; an engine with its settings becomes a plan. This needs
 * no GPU, only the properties of one, which may come from a file: tests plan for GPUs that are not there.
 *
 * Source: NVIDIA cuDNN Backend API, version 9.
 */
#ifndef THAW_NN_CUDA_CUDNN_PLAN_H
#define THAW_NN_CUDA_CUDNN_PLAN_H

#include <cudnn.h>

#include "base/text.h"
#include "nn/cuda/gpu.h"

/* Graphs without a handle, as plans for other GPUs need them, are an offer of cuDNN 9.8. */
enum { THAW_CUDNN_LEAST = 90800 };

/* What plans are for: the GPU of a handle, or one whose properties are known. */
struct thaw_cudnn_target {
	cudnnHandle_t handle;
	cudnnBackendDescriptor_t properties; /* where there is no handle */
};

/* The properties of a GPU, as JSON of cuDNN's (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION). */
thaw_status thaw_cudnn_target_read(const char *json, size_t length, struct thaw_cudnn_target *target_out);
void thaw_cudnn_target_release(struct thaw_cudnn_target *target); /* the properties */

/* Numbers of the tensors in plans: where cudnnBackendExecute() finds them. */
enum thaw_cudnn_tensor {
	THAW_CUDNN_X = 1,
	THAW_CUDNN_W,
	THAW_CUDNN_Y,
	THAW_CUDNN_BIAS,
	THAW_CUDNN_RESIDUAL,
	THAW_CUDNN_SUMS,
	THAW_CUDNN_SQUARES,
	THAW_CUDNN_BETWEEN, /* and above: what is nowhere in memory */
};

struct thaw_cudnn_plan {
	cudnnBackendDescriptor_t plan;
	size_t workspace_bytes;
	bool statistics;    /* it makes them, as its spec says */
	int engine;         /* cuDNN's number of it */
	bool tensor_core;   /* what its engine says of itself: products of fewer bits, */
	bool short_sums;    /* sums of fewer bits than float32's, */
	bool deterministic; /* the same bits on every run */
	bool compiled;      /* made by the runtime compiler */
};
void thaw_cudnn_plan_release(struct thaw_cudnn_plan *plan);

/* Makes the first `limit` plans, best first, that keep to what the spec asks for: precision, determinism, workspace;
 * with statistics they are precompiled, and without wherever one is. THAW_FAILED says that there is none, with cuDNN's reason. */
thaw_status thaw_cudnn_plan_conv(const struct thaw_cudnn_target *target, const struct thaw_gpu_conv_spec *spec,
                                 struct thaw_cudnn_plan *plans_out, int limit, int *count_out);

/* Adds the plan as JSON of cuDNN's, on one line: engine, settings, graph, and the properties of the GPU. */
thaw_status thaw_cudnn_plan_write(const struct thaw_cudnn_plan *plan, struct thaw_text *json);

/* Makes the plan again that such JSON was written from. THAW_FAILED: cuDNN refuses it for this target, or it does not
 * keep to what the spec asks for. That it computes what the spec says is for whoever kept it. */
thaw_status thaw_cudnn_plan_read(const struct thaw_cudnn_target *target, const struct thaw_gpu_conv_spec *spec,
                                 const char *json, struct thaw_cudnn_plan *plan_out);

/* What cuDNN says of its last failure, or else what this status means, on one line; until the next call. */
const char *thaw_cudnn_reason(cudnnStatus_t status);

#endif
