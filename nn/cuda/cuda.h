/*
 * The GPU backend from within: one device, one file for each family of steps.
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

/* What every run needs, in device memory. */
struct thaw_cuda_feed {
	struct thaw_scalars *scalars;
	int32_t *labels, *mixed; /* (room) */
	double *shares;          /* (room) */
};

/* Small things on their way to the device, from pinned memory that is taken anew when it has been read. */
enum { THAW_CUDA_SENDS = 4 };
struct thaw_cuda_mail {
	void *letter[THAW_CUDA_SENDS]; /* pinned (letter_bytes) */
	struct thaw_gpu_event *read[THAW_CUDA_SENDS];
	size_t letter_bytes;
	unsigned next;
};

/* What a step told, on its way to the host. */
enum { THAW_CUDA_TOLD = 2 };
struct thaw_cuda_told {
	struct thaw_update_facts *facts; /* pinned, the scores of `rows` behind them */
	struct thaw_gpu_event *here;
	int rows;
};

struct thaw_cuda {
	struct thaw_gpu *gpu;
	struct thaw_gpu_stream *stream, *copies; /* copies: pixels, while the step before goes on */
	uint32_t *tickets;                       /* device (THAW_CUDA_TICKETS) 0 between kernels; of kernels on `stream`
	                                          * alone, which run one after another */
	void *staging;                           /* device: parameters on their way from one order to another */
	size_t staging_bytes;

	struct thaw_cuda_feed feed; /* device: one piece of memory, from feed.scalars on */
	struct thaw_cuda_mail feeds, rates;
	uint8_t *pixels; /* device (pixels_room) */
	size_t pixels_room;
	int room;                                  /* pictures */
	struct thaw_gpu_event *copied, *taken;     /* pixels have come; the network has taken them */

	struct thaw_update_facts *facts; /* device: what a step is told and tells, the scores (THAW_ROWS) behind it */
	struct thaw_cuda_told told[THAW_CUDA_TOLD];
	unsigned tellings, asked; /* of these so many; the host has asked for so many */

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

/* Where the score of `row` stands: (THAW_SCORES), device. */
double *thaw_cuda_score(const struct thaw_cuda *cuda, int row);
struct thaw_score thaw_cuda_score_of(const double numbers[THAW_SCORES]);

/* --- nn/cuda/queue.c --------------------------------------------------------------------------------------------- */

extern const struct thaw_queue_ops thaw_cuda_queue;
extern const struct thaw_update_ops thaw_cuda_update; /* nn/cuda/update.c */

thaw_status thaw_cuda_queue_init(struct thaw_cuda *cuda);
void thaw_cuda_queue_release(struct thaw_cuda *cuda);

/* Makes room for what n pictures of so many bytes in all are fed with. */
thaw_status thaw_cuda_make_room(struct thaw_device *device, int n, size_t pixels_bytes);

/* The rate of the next update. */
thaw_status thaw_cuda_send_rate(struct thaw_device *device, double rate);

/* --- nn/cuda/survey.c -------------------------------------------------------------------------------------------- */

thaw_status thaw_cuda_survey(struct thaw_found *found);
thaw_status thaw_cuda_look(int number, struct thaw_found_gpu *gpu_out);

/* --- nn/cuda/plan_cache.c ---------------------------------------------------------------------------------------- */

/* Plans of convolutions that this process chose or found, as text; and taking over those of another, which then win
 * over its own timing and over what is kept. Those for another kind of GPU do nothing. */
thaw_status thaw_cuda_choices(struct thaw_text *text);
thaw_status thaw_cuda_learn(const char *text);

#endif
