/*
 * The GPU backend from within: one device, one stream, one file for each family of steps.
 *
 * Values stand as NHWC with channels padded to a multiple of 8 (struct thaw_tensor with block = padded channels), in
 * the device's number; logits and their gradient in float32. Parameters, their gradients and statistics stand in
 * device slabs laid out as the net's table says, but for a convolution's weights: (K,R,S,C).
 */
#ifndef THAW_NN_CUDA_CUDA_H
#define THAW_NN_CUDA_CUDA_H

#include "nn/backend.h"
#include "nn/cuda/gpu.h"
#include "nn/device.h"

struct thaw_cuda {
	struct thaw_gpu *gpu;
	struct thaw_gpu_stream *stream;
	struct thaw_scalars *scalars; /* device */
	struct thaw_scalars *sent;    /* pinned: what stands there, or is on its way */
	uint32_t *tickets;            /* device (THAW_CUDA_TICKETS) 0 between kernels */
	void *staging;                /* device: parameters on their way from one order to another */
	size_t staging_bytes;
	char description[256];
};

enum { THAW_CUDA_TICKETS = 1024 };

extern const struct thaw_op_ops thaw_cuda_input, thaw_cuda_conv, thaw_cuda_batch_norm, thaw_cuda_relu, thaw_cuda_add,
	thaw_cuda_max_pool, thaw_cuda_global_pool, thaw_cuda_shortcut, thaw_cuda_linear, thaw_cuda_loss;

static inline struct thaw_cuda *thaw_cuda_of(const struct thaw_step *step)
{
	return (struct thaw_cuda *)step->device->own; /* a cast for C++, which reads this too */
}

static inline int thaw_cuda_padded(int channels)
{
	return (channels + 7) / 8 * 8;
}

/* N*H*W of a tensor, and how many eights of numbers it has. */
static inline int64_t thaw_cuda_rows(const struct thaw_tensor *t)
{
	return (int64_t)t->n * t->h * t->w;
}

static inline int64_t thaw_cuda_eights(const struct thaw_tensor *t)
{
	return thaw_cuda_rows(t) * (t->block / 8);
}

/* Gives a tensor the layout that all steps but the last use. */
void thaw_cuda_layout(const struct thaw_step *step, struct thaw_tensor *tensor);

/* Enqueues a kernel for so many independent items, a thread each, or several for one. */
thaw_status thaw_cuda_each(const struct thaw_step *step, enum thaw_kernel kernel, int64_t items, const void *arguments,
                           size_t arguments_bytes);
#define THAW_CUDA_EACH(step, name, items, arguments) \
	thaw_cuda_each(step, THAW_KERNEL_##name, items, arguments, sizeof *(arguments))

/* Enqueues what the run's scalars are now, if others stand on the device. */
thaw_status thaw_cuda_scalars(const struct thaw_step *step);

/* Plans of convolutions that this process chose or found, as text; and taking over those of another, which then win
 * over its own timing and over what is kept. Those for another kind of GPU do nothing. */
thaw_status thaw_cuda_choices(struct thaw_text *text);
thaw_status thaw_cuda_learn(const char *text);

#endif
