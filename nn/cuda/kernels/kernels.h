/*
 * The kernels: what each computes, and its arguments.
 *
 * Activations are matrices of pixels by channels, (N*H*W, C), C a multiple of 8: NHWC with channels beyond the
 * network's held at 0. They are of type `number`. Parameters and their gradients are float32, a convolution's weights
 * (K, R*S, C), and sums are taken in float32 at least. In each struct all pointers come first, all to device memory;
 * "NULL" says which may be missing.
 */
#ifndef THAW_NN_CUDA_KERNELS_KERNELS_H
#define THAW_NN_CUDA_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "nn/number.h"

enum {
	THAW_BLOCK = 256, /* threads of a block, of every kernel */
	THAW_LANES = 32,  /* eights of channels that a block of a sum over pixels works side by side */
};

/* name, pointers at the beginning of struct thaw_<name>_args */
#define THAW_KERNELS(X)        \
	X(input, 2)                \
	X(weights, 8)              \
	X(weights_gradient, 2)     \
	X(transpose, 2)            \
	X(norm_sums, 11)           \
	X(norm_finish, 9)          \
	X(norm_running, 5)         \
	X(norm_apply, 5)           \
	X(norm_gradient_sums, 10)  \
	X(norm_gradient, 7)        \
	X(add, 3)                  \
	X(add_gradient, 5)         \
	X(sum, 2)                  \
	X(max_pool, 3)             \
	X(max_pool_gradient, 3)    \
	X(global_pool, 2)          \
	X(global_pool_gradient, 2) \
	X(shortcut, 2)             \
	X(shortcut_gradient, 2)    \
	X(cast, 2)                 \
	X(add_bias, 2)             \
	X(bias_gradient, 2)        \
	X(loss, 10)                \
	X(loss_gradient, 8)        \
	X(fold, 2)                 \
	X(squares, 8)              \
	X(update, 10)              \
	X(average, 6)              \
	X(statistics, 5)

#define THAW_KERNEL_NAME(name, pointers) THAW_KERNEL_##name,
enum thaw_kernel { THAW_KERNELS(THAW_KERNEL_NAME) THAW_KERNELS_COUNT };
#undef THAW_KERNEL_NAME

/* What changes with every batch, in device memory, so that nothing of it is part of a launch. */
struct thaw_scalars {
	double gradient_scale; /* struct thaw_run */
	double share;
};

/* --- pictures and weights ---------------------------------------------------------------------------------------- */

/* y = (pixels / 255 - mean) / std */
struct thaw_input_args {
	const uint8_t *pixels; /* (N*H*W, 3) */
	void *y;               /* (N*H*W, 8) */
	int64_t rows;
	enum thaw_number number;
	float mean[3], std[3];
};

/* Weights as they are multiplied: y (K', taps, C') of w (K, taps, C), 0 where there is none. With gamma, a norm by
 * running statistics is folded in: y = w s and bias_out = bias s + beta - mean s with s = gamma / sqrt(variance +
 * epsilon); without, bias_out = bias. */
struct thaw_weights_args {
	const float *w, *bias;                       /* bias (K) or NULL: 0 */
	const float *gamma, *beta, *mean, *variance; /* (K); gamma NULL: nothing is folded in */
	void *y, *bias_out;                          /* bias_out (K') or NULL */
	int k, taps, c;
	int k_padded, c_padded;
	enum thaw_number number; /* of y and bias_out */
	float epsilon;
};

/* dw (K, taps, C) = what dy (K', taps, C') has of it. */
struct thaw_weights_gradient_args {
	const void *dy;
	float *dw;
	int k, taps, c;
	int c_padded;
	enum thaw_number number; /* of dy */
};

/* to (count, columns, rows) = from (count, rows, columns): between PyTorch's order of a convolution's weights and
 * ours. */
struct thaw_transpose_args {
	const float *from;
	float *to;
	int64_t count;
	int rows, columns;
};

/* --- batch norm -------------------------------------------------------------------------------------------------- */

/* What is kept of a norm, (c) each: y = scale x + shift; and then the gradient, dx = scale g + by_x (x - mean) + rest. */
enum {
	THAW_NORM_SCALE,
	THAW_NORM_SHIFT,
	THAW_NORM_MEAN,
	THAW_NORM_DEVIATION,
	THAW_NORM_BY_X,
	THAW_NORM_REST,
	THAW_NORM_ROWS
};

/* A grid over columns of 8 * THAW_LANES channels, and `splits` pieces of the rows in each: block = split * columns +
 * column. The last block of a column adds up what the others left. */
struct thaw_grid {
	int64_t rows; /* N*H*W */
	int c;
	int columns, splits;
};

/* Four blocks for each processor, as many of norm_sums as an H200 works at a time (of norm_gradient_sums it is two), but no
 * piece below 16 rows. */
static inline struct thaw_grid thaw_grid_of(int64_t rows, int c, int processors)
{
	struct thaw_grid grid = {rows, c, 0, 0};
	int64_t most = (rows + 15) / 16;

	grid.columns = (c / 8 + THAW_LANES - 1) / THAW_LANES;
	grid.splits = (4 * processors + grid.columns - 1) / grid.columns;
	grid.splits = most < grid.splits ? (int)most : grid.splits;
	return grid;
}

/* What a norm makes of the batch's mean and variance: what is kept (SCALE .. DEVIATION: 1 / sqrt(variance + epsilon))
 * and what moves the running statistics: share * mean, share * variance by rows - 1. A single number has no variance:
 * it contributes the running ones. */
struct thaw_norm_channels {
	const float *gamma, *beta, *mean, *variance; /* (channels); the running ones */
	const struct thaw_scalars *scalars;
	float *batch_mean, *batch_variance; /* (channels) */
	float *kept;                        /* (THAW_NORM_ROWS, c) */
};

/* From x. */
struct thaw_norm_sums_args {
	struct thaw_norm_channels to;
	const void *x;     /* (rows, c) */
	float *partials;   /* (splits, 2, c) scratch */
	uint32_t *tickets; /* (columns) 0 before and behind */
	struct thaw_grid grid;
	int channels;
	enum thaw_number number;
	float epsilon;
};

/* From sums that were made with x. */
struct thaw_norm_finish_args {
	struct thaw_norm_channels to;
	const float *sums; /* (2, c) of x, of its squares */
	int64_t rows;
	int c, channels;
	float epsilon;
};

/* What is kept, from running statistics. */
struct thaw_norm_running_args {
	const float *gamma, *beta, *mean, *variance; /* (channels) */
	float *kept;
	int c, channels;
	float epsilon;
};

/* The two that go over all numbers: a grid of a multiple of c / 8 blocks, so that a thread stays with its channels. What
 * is kept of them, several times the bytes of the numbers, is then read once. */

/* y = scale x + shift [+ residual], at least 0 if `relu`. Bit k of mask byte i: whether number 8 i + k was above 0, or
 * NaN. */
struct thaw_norm_apply_args {
	const void *x, *residual; /* (rows, c); NULL */
	const float *kept;
	void *y;
	uint8_t *mask; /* (rows * c / 8) or NULL */
	int64_t rows;
	int c;
	bool relu;
	enum thaw_number number;
};

/* How the gradient g of what a norm gave is made of that of what was done with it behind: g = dy[0] + dy[1], 0 where
 * it was clamped, as `mask` says or, without one, as x does. */
enum thaw_clamp { THAW_CLAMP_NONE, THAW_CLAMP_MASK, THAW_CLAMP_X };

/* Sums of g and g z, z = (x - mean) / deviation; from them gradients, and what is kept (BY_X, REST). */
struct thaw_norm_gradient_sums_args {
	const void *x;         /* NULL: sums of g alone */
	const void *dy0, *dy1; /* NULL: only one */
	const uint8_t *mask;
	float *partials;   /* (splits, 2, c) scratch */
	uint32_t *tickets; /* (columns) */
	float *kept;
	void *g;               /* (rows, c) or NULL */
	float *dgamma, *dbeta; /* (channels) or NULL */
	struct thaw_grid grid;
	int channels;
	enum thaw_clamp clamp;
	bool batch_statistics;
	enum thaw_number number;
};

/* dx = scale g + by_x (x - mean) + rest; with running statistics only scale g, and x is not read. */
struct thaw_norm_gradient_args {
	const void *x, *dy0, *dy1;
	const uint8_t *mask;
	const float *kept;
	void *dx, *g; /* NULL: not wanted */
	int64_t rows;
	int c;
	enum thaw_clamp clamp;
	bool batch_statistics;
	enum thaw_number number;
};

/* --- one number at a time ---------------------------------------------------------------------------------------- */

/* y = x [+ residual], at least 0 if `relu` */
struct thaw_add_args {
	const void *x, *residual; /* NULL */
	void *y;
	int64_t eights;
	bool relu;
	enum thaw_number number;
};

/* g = dy[0] + dy[1], 0 where y is not above 0 */
struct thaw_add_gradient_args {
	const void *dy0, *dy1; /* NULL: only one */
	const void *y;         /* NULL: nothing was clamped */
	void *dx, *dresidual;  /* NULL: not wanted */
	int64_t eights;
	enum thaw_number number;
};

/* to += from */
struct thaw_sum_args {
	const void *from;
	void *to;
	int64_t eights;
	enum thaw_number number;
};

struct thaw_cast_args {
	const void *from;
	void *to;
	int64_t eights;
	enum thaw_number from_number, to_number;
};

/* --- pools and the shortcut -------------------------------------------------------------------------------------- */

struct thaw_window {
	int n, h, w, oh, ow; /* of x and y */
	int c;
	int kernel, stride, pad;
};

/* y = the largest of each window, NaN if there is one; `tap` says which: r * kernel + s, the first of equal ones. */
struct thaw_max_pool_args {
	const void *x;
	void *y;
	uint8_t *tap; /* (N*OH*OW, c) or NULL */
	struct thaw_window window;
	enum thaw_number number;
};

struct thaw_max_pool_gradient_args {
	const void *dy;
	const uint8_t *tap;
	void *dx;
	struct thaw_window window;
	enum thaw_number number;
};

/* y (N, c) = mean of x (N, pixels, c) */
struct thaw_global_pool_args {
	const void *x;
	void *y;
	int n, pixels, c;
	enum thaw_number number;
};

struct thaw_global_pool_gradient_args {
	const void *dy;
	void *dx;
	int n, pixels, c;
	enum thaw_number number;
};

/* Channel k of y is channel k - before of x at every stride-th pixel, and 0 where there is none. */
struct thaw_shortcut_args {
	const void *x;
	void *y;
	struct thaw_window window; /* of x and y; c: padded channels of x */
	int channels, k_padded, before;
	enum thaw_number number;
};

struct thaw_shortcut_gradient_args {
	const void *dy;
	void *dx;
	struct thaw_window window;
	int channels, k_padded, before;
	enum thaw_number number;
};

/* --- the last layer ---------------------------------------------------------------------------------------------- */

/* y (rows, c) += bias (channels), float32 */
struct thaw_add_bias_args {
	const float *bias;
	float *y;
	int64_t rows;
	int c, channels;
};

/* dbias (channels) = sums over rows of dy (rows, c) */
struct thaw_bias_gradient_args {
	const void *dy;
	float *dbias;
	int64_t rows;
	int c, channels;
	enum thaw_number number;
};

/* Sums over the pictures of a batch: struct thaw_score. */
enum { THAW_SCORE_LOSS, THAW_SCORE_WEIGHT, THAW_SCORE_COUNT, THAW_SCORE_TOP1, THAW_SCORE_TOP5, THAW_SCORES };

/* What the loss is of: logits, and what they should have been. */
struct thaw_targets {
	const float *x;                /* (N, c) logits */
	const int32_t *labels, *mixed; /* (N); mixed NULL */
	const double *shares;          /* (N) with mixed */
	const double *class_weights;   /* (classes) or NULL */
};

/* Softmax cross-entropy as nn/plan.h has it; one block for each picture. The last one adds up. */
struct thaw_loss_args {
	struct thaw_targets targets;
	double *log_sums;   /* (N) log sum exp(x), for the gradient */
	double *scores;     /* (N, THAW_SCORES) scratch */
	uint32_t *tickets;  /* (1) */
	double *score;      /* (THAW_SCORES) */
	float *predictions; /* (N, classes) or NULL */
	int n, classes, c;
	double smoothing;
};

struct thaw_loss_gradient_args {
	struct thaw_targets targets;
	const double *log_sums;
	const struct thaw_scalars *scalars;
	float *dx; /* (N, c) */
	int n, classes, c;
	double smoothing;
};

/* --- the update -------------------------------------------------------------------------------------------------- */

/* to += from, float32 */
struct thaw_fold_args {
	const float *from;
	float *to;
	int64_t count;
};

/* A parameter that trains, or a running statistic that moves: where it stands in its slab. */
struct thaw_segment {
	int64_t offset, count;
	double lr_scale;
	double decay;    /* weight decay */
	int32_t counter; /* of its updates */
};

/* A piece of a segment, one block's work. */
enum { THAW_CHUNK = 4096 };
struct thaw_chunk {
	int32_t segment;
	int32_t begin; /* in units of THAW_CHUNK from the segment's first number */
};

enum thaw_rule { THAW_RULE_SGD, THAW_RULE_ADAM };

/* What the rules are (nn/optimizer.h), the same for all parameters and steps. */
struct thaw_rules {
	enum thaw_rule rule;
	double beta1, beta2;              /* ADAM */
	float mix, keep, add, epsilon;    /* 1 - beta1, beta2, 1 - beta2 */
	float momentum;                   /* SGD */
	bool nesterov, of_steps; /* SGD */
	bool decoupled;          /* ADAM: decay as AdamW has it */
	double unscale;       /* on all gradients: 1 / loss scale */
	double clip;          /* largest norm of the gradients; 0: any */
	double average_decay;    /* of the moving average */
	bool average_warm_up;
};

/* What one step is told, and tells. */
struct thaw_update_facts {
	double rate;     /* told */
	double norm;     /* of the gradients */
	int64_t applied; /* 1: it was; 0: the norm is not finite, and nothing moved */
	int64_t broken;  /* the counter of a parameter whose gradient is not finite; -1: none */
};

/* What a segment's numbers are updated with. */
struct thaw_coefficients {
	float rate, decay, shrink, size, root;
};

/* The norm of the gradients; whether the step is to be applied, and with what. */
struct thaw_squares_args {
	const float *g;
	const struct thaw_segment *segments;
	const struct thaw_chunk *chunks;
	double *partials;  /* (chunks) scratch */
	uint32_t *tickets; /* (1) */
	int64_t *counters; /* (counters + 1) updates of each; the last: of all */
	/* (segments + 1); of the last, `rate` is the gradients' factor and `size` the average's mix */
	struct thaw_coefficients *coefficients;
	struct thaw_update_facts *facts;
	int chunks_count, segments_count, counters_count;
	struct thaw_rules rules;
};

/* The step, if it is to be applied; a block for each chunk. */
struct thaw_update_args {
	const float *g;
	const struct thaw_segment *segments;
	const struct thaw_chunk *chunks;
	const struct thaw_coefficients *coefficients;
	const struct thaw_update_facts *facts;
	float *w, *slot0, *slot1; /* slot1 NULL: the rule has one */
	float *average;           /* NULL: there is none */
	void *copy;               /* of w, as `number`; NULL: none is wanted */
	int segments_count;
	struct thaw_rules rules;
	enum thaw_number number;
};

/* The average moves towards what does not train, too: an earlier phase may have moved that. */
struct thaw_average_args {
	const float *w;
	const struct thaw_segment *segments;
	const struct thaw_chunk *chunks;
	const struct thaw_coefficients *coefficients;
	const struct thaw_update_facts *facts;
	float *average;
	int trained; /* segments that train: the coefficients behind theirs are of all */
};

/* running += 0.1 (batch - running), if the step is applied */
struct thaw_statistics_args {
	const float *batch;
	const struct thaw_segment *segments;
	const struct thaw_chunk *chunks;
	const struct thaw_update_facts *facts;
	float *running;
};

#endif
