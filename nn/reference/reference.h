/*
 * The plain backend: every step as its formula says, with sums in double precision, one thread, all tensors NCHW.
 *
 * It exists to be read and to be compared with. Its results carry the rounding of their float32 storage and nothing
 * else; each file holds one family of steps.
 */
#ifndef THAW_NN_REFERENCE_REFERENCE_H
#define THAW_NN_REFERENCE_REFERENCE_H

#include "nn/backend.h"

extern const struct thaw_op_ops thaw_reference_input, thaw_reference_conv, thaw_reference_batch_norm,
	thaw_reference_relu, thaw_reference_add, thaw_reference_max_pool, thaw_reference_global_pool,
	thaw_reference_shortcut, thaw_reference_linear, thaw_reference_loss;

static inline size_t thaw_reference_elems(const struct thaw_tensor *t)
{
	return (size_t)t->n * (size_t)t->c * (size_t)t->h * (size_t)t->w;
}

/* Channel c of picture n: (H, W) numbers. */
static inline float *thaw_reference_plane(const struct thaw_tensor *t, int n, int c)
{
	return t->data + ((size_t)n * (size_t)t->c + (size_t)c) * (size_t)t->h * (size_t)t->w;
}

/* Clamps at 0 if the step says so. NaN stays NaN. */
static inline double thaw_reference_clamp(const struct thaw_step *step, double value)
{
	return step->relu && value < 0 ? 0 : value;
}

/* The gradient of what the clamp was applied to, at element i of y. */
static inline double thaw_reference_gradient(const struct thaw_step *step, size_t i)
{
	return step->relu && step->y->data[i] <= 0 ? 0 : step->dy[0]->data[i];
}

#endif
