/*
 * The CPU backend: convolutions by oneDNN, everything else in loops of our own over its blocked layouts.
 *
 * A tensor is seen as planes: one plane is one picture's block of channels, (H * W, block) floats without gaps. Work
 * is shared out by planes, and sums over planes are added in a fixed order: only oneDNN's own results depend on the
 * number of threads.
 */
#ifndef THAW_NN_CPU_CPU_H
#define THAW_NN_CPU_CPU_H

#include <assert.h>

#include "nn/device.h"

extern const struct thaw_op_ops thaw_cpu_input, thaw_cpu_conv, thaw_cpu_batch_norm, thaw_cpu_relu, thaw_cpu_add,
	thaw_cpu_max_pool, thaw_cpu_global_pool, thaw_cpu_shortcut, thaw_cpu_linear;

/* The layout this backend works in for activations with that many channels: as many to a block as one vector register
 * holds, 1 for a picture's 3. */
int thaw_cpu_block(int channels);

static inline int thaw_cpu_blocks(const struct thaw_tensor *t)
{
	return (t->c + t->block - 1) / t->block;
}

/* Inner loops are written once, for a block of `b` channels, and compiled for each: */
#define THAW_LOOP static inline __attribute__((always_inline))

/* Evaluates `call` with the constant `b` that is the block: 16, 8 or 1. */
#define THAW_BY_BLOCK(block, call) \
	do {                           \
		if ((block) == 16) {       \
			enum { b = 16 };       \
			call;                  \
		} else if ((block) == 8) { \
			enum { b = 8 };        \
			call;                  \
		} else {                   \
			assert((block) == 1);  \
			enum { b = 1 };        \
			call;                  \
		}                          \
	} while (0)

enum { THAW_WIDEST = 16 }; /* the widest block */

/* Floats in a plane. */
static inline size_t thaw_cpu_plane(const struct thaw_tensor *t)
{
	return (size_t)t->h * (size_t)t->w * (size_t)t->block;
}

static inline size_t thaw_cpu_elems(const struct thaw_tensor *t)
{
	return t->size_bytes / sizeof(float);
}

/* Whether the implementation that THAW_CONVOLUTION asks for exists: THAW_BAD_JOB lists those there are. */
thaw_status thaw_cpu_conv_start(void);

/* Copies between two layouts of the same tensor; lanes beyond C become 0. */
void thaw_cpu_relayout(const struct thaw_device *device, const struct thaw_tensor *from, struct thaw_tensor *to);

#endif
