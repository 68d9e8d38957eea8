/*
 * What a backend provides: steps, the units of work that nn/plan.c makes of a net's operations.
 *
 * A step is one operation together with what was fused into it. For one batch size, set of trained parameters and
 * mode the plan fills in everything a step may need to know; the backend's `prepare` chooses layouts and sizes, then
 * the plan places all memory, then forward and backward run without allocating.
 *
 *     step         computes
 *     INPUT        y = (pixels / 255 - mean) / std
 *     CONV         y = conv(x, weight) [+ bias] [+ residual] [relu]; only without a backward pass may a batch norm be
 *                  folded in (`fold`), a residual be added and relu follow
 *     BATCH_NORM   y = (x - mean) / sqrt(var + epsilon) * gamma + beta [+ residual] [relu]
 *     RELU         y = max(x, 0)
 *     ADD          y = x + residual [relu]
 *     MAX_POOL, GLOBAL_POOL, SHORTCUT, LINEAR: as nn/net.h says
 *     LOSS         run->score, and logits' gradient
 *
 * Backward: `dy` holds 1 .. ops->gradients_limit tensors whose sum is the gradient of y. A backward writes (never
 * adds to) dx, dresidual and the d-parameters that are not NULL. dx has x's layout, dresidual and dy have y's. Values
 * and their gradients are of the device's number, parameters and theirs float32.
 *
 * nn/reference is the plain one that tests compare with; nn/cpu the fast one. The table of backends stands in
 * nn/device.c.
 */
#ifndef THAW_NN_BACKEND_H
#define THAW_NN_BACKEND_H

#include <stddef.h>

#include "nn/net.h"
#include "nn/number.h"

/* A value or gradient of a plan. Element (n,c,h,w) is data[(((n * ceil(C/block) + c / block) * H + h) * W + w) *
 * block + c % block]: block 1 is NCHW, 8 and 16 are oneDNN's nChw8c and nChw16c, C and more NHWC (lanes beyond C hold
 * 0). */
struct thaw_tensor {
	int n, c, h, w;
	int block;
	enum thaw_number number;
	size_t size_bytes; /* set by thaw_tensor_layout() */
	float *data;       /* placed by the plan; in a device's own memory an address the host cannot follow */
	float *sums;       /* (2, channels with their padding) of each channel's numbers, and of their squares, if the step
	                    * that made the value made them too; else NULL. In its saved memory, set by its forward */
};

/* Sets block, and size_bytes by it and the number. */
void thaw_tensor_layout(struct thaw_tensor *tensor, int block);

/* Index into data; for readable code, not for inner loops. */
static inline size_t thaw_tensor_at(const struct thaw_tensor *t, int n, int c, int h, int w)
{
	size_t blocks = ((size_t)t->c + (size_t)t->block - 1) / (size_t)t->block;

	return ((((size_t)n * blocks + (size_t)(c / t->block)) * (size_t)t->h + (size_t)h) * (size_t)t->w + (size_t)w) *
	               (size_t)t->block + (size_t)(c % t->block);
}

/* What a forward pass counts: sums over the pictures of the batch. */
struct thaw_score {
	double loss;         /* sum of the pictures' losses, each times its weight */
	double weight;       /* sum of their weights: `count` where there are no class weights */
	int64_t count;       /* pictures */
	int64_t top1, top5;  /* pictures whose label has the largest, one of the five largest logits; of equal ones the
	                      * smaller class comes first, a NaN logit is never right */
};

/* What changes from one forward pass to the next. One per plan; steps hold a pointer. */
struct thaw_run {
	const uint8_t *pixels;     /* (N,H,W,3) */
	const int32_t *labels;     /* (N); -1: fills up the batch, counts for nothing */
	const int32_t *mixed;      /* (N) second labels, with part 1 - shares[n] in the loss; NULL: there are none */
	const double *shares;      /* (N) of the first labels: 0 .. 1 */
	double smoothing;          /* of labels: 0 .. below 1 */
	const double *class_weights; /* (classes); NULL: all 1 */
	float mean[3], std[3];     /* normalisation */
	double gradient_scale;     /* 1 / weight of the global batch: factor on each picture's loss gradient */
	double share;              /* pictures in this batch / in the global batch: weight of its batch statistics */
	int row;                   /* where a device of its own keeps the score: 0 .. THAW_ROWS - 1 */
	struct thaw_score score;   /* written by LOSS, in forward or, where it has one, in collect */
	float *predictions;        /* (N, classes) softmax probabilities wanted by the caller, or NULL; a device may still be
	                            * at it until its score is known */
};

enum { THAW_ROWS = 1024 }; /* scores that a device keeps: of as many micro-batches of one step */

struct thaw_device;
struct thaw_recording;
struct thaw_text;
struct thaw_update_ops; /* nn/updater.h */

enum { THAW_GRADIENTS = 4 };

struct thaw_step {
	const struct thaw_op_ops *ops;
	struct thaw_device *device;
	struct thaw_run *run;
	enum thaw_op_kind kind;
	const char *name;
	int kernel, stride, pad, groups;
	bool relu;              /* clamp y at 0 */
	bool fold;              /* CONV: gamma .. variance are folded into weight and bias */
	bool batch_statistics;  /* BATCH_NORM: the batch's, contributed to batch_mean and batch_variance; else running ones */
	bool frozen;            /* parameters never change while the plan lives */
	bool wants_sums;        /* a norm takes the batch's statistics of y: sums made with it (y->sums) are of use */
	double epsilon;         /* BATCH_NORM, folded CONV: 1e-5 */

	struct thaw_tensor *x, *residual, *y; /* x NULL: INPUT; residual NULL: none; y NULL: LOSS */

	/* Parameters, in the table's shapes; NULL where the step has none. */
	const float *weight, *bias;                          /* CONV (K, C/groups, R, S), (K); LINEAR (K, C), (K) */
	const void *weight_copy;                             /* of CONV's, as the device's number; NULL: that is float32 */
	const float *gamma, *beta, *mean, *variance;         /* BATCH_NORM, folded CONV: (C) */

	/* Backward. dy_count 0: the step has no backward pass. */
	struct thaw_tensor *dy[THAW_GRADIENTS];
	int dy_count;
	struct thaw_tensor *dx, *dresidual;                  /* NULL: not wanted */
	float *dweight, *dbias, *dgamma, *dbeta;             /* NULL: not wanted */
	float *batch_mean, *batch_variance;                  /* (C) share * mean, share * unbiased variance of the batch */

	/* Set by prepare: what the plan must provide. */
	size_t workspace_bytes;     /* scratch within one call; one block, shared by all steps */
	size_t saved_bytes;         /* kept from forward to backward, and while y is read; its own */
	bool keeps_x, keeps_y;      /* backward reads x, y */

	void *workspace, *saved;    /* placed by the plan: where its memory begins; at a multiple of 64 bytes */
	void *state;                /* the backend's own, made by prepare */
};

enum thaw_step_pass { THAW_STEP_FORWARD, THAW_STEP_DATA, THAW_STEP_WEIGHTS, THAW_STEP_PASSES };

struct thaw_op_ops {
	/* Chooses y's layout with thaw_tensor_layout() (x's and residual's are set), fills workspace_bytes, saved_bytes,
	 * keeps_x, keeps_y, makes `state`. Which of dx, dresidual, d-parameters are wanted is known by their pointers,
	 * but nothing is placed yet: no `data`, parameter or gradient address may be kept. THAW_OUT_OF_MEMORY, or
	 * THAW_FAILED naming step and reason. */
	thaw_status (*prepare)(struct thaw_step *step);
	/* The parameters have new values. Called before the first forward and, unless `frozen`, before each that follows a
	 * change. NULL: nothing is derived from them. */
	thaw_status (*refresh)(struct thaw_step *step);
	thaw_status (*forward)(struct thaw_step *step);
	thaw_status (*backward)(struct thaw_step *step);
	/* Waits for what forward left on the device and brings it to the run: LOSS alone. NULL: forward did. */
	thaw_status (*collect)(struct thaw_step *step);
	void (*release)(struct thaw_step *step); /* `state`, after a prepare that failed too; NULL: there is none */
	/* What computes a pass, where there was a choice: "engine 47 (kept)", "winograd". The words live as long as the step;
	 * NULL: it has no such pass. The slot NULL: there is no choice. */
	const char *(*engine)(const struct thaw_step *step, enum thaw_step_pass pass);
	int gradients_limit;                     /* how many dy backward adds up itself, >= 1 */
	bool overwrites_residual;                /* y may be the same memory as residual */
	bool overwrites_dy;                      /* dresidual (dx if there is none) may be the same memory as dy[0] */
};

/* Memory of a device's own. Whatever was enqueued before happens before a call of put or get does. */
struct thaw_memory_ops {
	/* Its contents are undefined. THAW_OUT_OF_MEMORY names `what`, its size and what there is. */
	thaw_status (*allocate)(struct thaw_device *device, size_t size_bytes, const char *what, void **memory_out);
	void (*release)(struct thaw_device *device, void *memory); /* NULL is fine; waits for what may use it */
	thaw_status (*available)(const struct thaw_device *device, size_t *bytes_out); /* for what a plan places */
	thaw_status (*zero)(struct thaw_device *device, void *memory, size_t size_bytes);
	thaw_status (*add)(struct thaw_device *device, float *to, const float *from, int64_t count); /* to += from */
	/* to = from as the device's number; count is a multiple of 8. */
	thaw_status (*round)(struct thaw_device *device, void *to, const float *from, int64_t count);
	/* To the device, from it; done when the call returns. */
	thaw_status (*put)(struct thaw_device *device, void *to, const void *from, size_t size_bytes);
	thaw_status (*get)(struct thaw_device *device, void *to, const void *from, size_t size_bytes);
	/* The same for a parameter, its gradient or slot: on the host in PyTorch's order, on the device in its own. */
	thaw_status (*put_param)(struct thaw_device *device, float *to, const float *from, const struct thaw_param *param);
	thaw_status (*get_param)(struct thaw_device *device, float *to, const float *from, const struct thaw_param *param);
};

/* What a step of training came to. */
struct thaw_told {
	double norm;  /* of the gradients */
	bool applied; /* it is finite, and the parameters moved */
	int broken;   /* a parameter whose gradient is not finite; -1: none */
};

/* How a device with memory of its own is kept busy: calls are done in the order in which they are made, some time later,
 * and the host goes on meanwhile. */
struct thaw_queue_ops {
	/* What changes from one run to the next, on its way to the device: of `run` the scales, and pixels (pixels_bytes),
	 * labels, second labels and shares of n pictures. Pixels have to stay until `fed`, the rest is copied. */
	thaw_status (*feed)(struct thaw_device *device, const struct thaw_run *run, int n, size_t pixels_bytes);
	thaw_status (*fed)(struct thaw_device *device); /* waits until the pixels have been taken */

	/* The end of a step: the scores of rows 0 .. rows - 1 and what its update said are on their way to the host, ... */
	thaw_status (*tell)(struct thaw_device *device, int rows);
	/* ... which waits for those of the first step that it has not asked for. At most two are on their way, and whoever
	 * tells asks for all of them before anyone else tells: training or validation. `here`: whether it would not have to
	 * wait. */
	thaw_status (*here)(struct thaw_device *device, bool *here_out);
	thaw_status (*told)(struct thaw_device *device, struct thaw_score *scores_out, struct thaw_told *told_out);

	/* Between these two calls work is written down and not done; `replay` does it, as often as wanted. It has the
	 * addresses that it was written down with: thaw_device.moves says whether they are still what they were. Nothing is
	 * fed, told, allocated or waited for in between. */
	thaw_status (*record)(struct thaw_device *device);
	thaw_status (*recorded)(struct thaw_device *device, struct thaw_recording **recording_out);
	thaw_status (*replay)(struct thaw_device *device, struct thaw_recording *recording);
	void (*forget)(struct thaw_device *device, struct thaw_recording *recording); /* NULL is fine */

	thaw_status (*wait)(struct thaw_device *device); /* until all is done */

	/* Host memory that the device reads and writes without the host's help. */
	thaw_status (*allocate_pinned)(struct thaw_device *device, size_t size_bytes, const char *what, void **memory_out);
	void (*release_pinned)(struct thaw_device *device, void *memory); /* NULL is fine */
};

/* What a backend has to work with on this machine. */
enum { THAW_GPUS = 32 };
struct thaw_found {
	char versions[256];           /* of its libraries: "oneDNN 2.6.3 avx512_core" */
	int gpus;                     /* that this process sees; 0: it computes with the host's processors; -1: there is one
	                               * that cannot be had */
	uint32_t identity[THAW_GPUS]; /* of each: what tells it from the others of the host */
};

struct thaw_found_gpu {
	char name[64];
	int capability, processors; /* 10 * major + minor, multiprocessors */
	size_t memory_bytes, available_bytes;
};

struct thaw_backend {
	const char *name; /* "cpu" */
	const char *(*describe)(const struct thaw_device *device);
	/* What there is, without starting: THAW_FAILED says why that is nothing; `versions` are set all the same. `look` opens
	 * a GPU for as long as it takes to see that it can be had. NULL: starting takes nothing away. */
	thaw_status (*survey)(struct thaw_found *found);
	thaw_status (*look)(int gpu, struct thaw_found_gpu *gpu_out);
	/* Called once with the number of threads of this process. */
	thaw_status (*start)(struct thaw_device *device);
	void (*stop)(struct thaw_device *device); /* what start made; NULL: nothing */
	/* to += from; same shape and layout. */
	thaw_status (*accumulate)(struct thaw_device *device, struct thaw_tensor *to, const struct thaw_tensor *from);
	const struct thaw_memory_ops *memory; /* NULL: it is the host's; then there are no queue and update either */
	const struct thaw_queue_ops *queue;
	const struct thaw_update_ops *update;
	/* Implementations chosen by timing so far in this process, as text; and taking over those of another, so that all
	 * ranks compute the same bits. NULL: nothing is chosen by timing. */
	thaw_status (*choices)(struct thaw_text *text);
	thaw_status (*learn)(const char *text);
	const struct thaw_op_ops *ops[THAW_OP_KINDS];
};

extern const struct thaw_backend thaw_backend_reference, thaw_backend_cpu, thaw_backend_cuda;

#endif
