/* Softmax cross-entropy: one block for each picture. */
#include <stdlib.h>

#include "base/mem.h"
#include "nn/cuda/cuda.h"

struct state {
	int32_t *labels, *mixed;           /* device (N) */
	double *shares, *class_weights;    /* device (N), (classes) */
	double *log_sums, *scores, *score; /* device (N), (N, THAW_SCORES), (THAW_SCORES) */
	float *predictions;                /* device (N, classes) */
	bool weighted;                     /* class weights stand on the device: they never change */
	double *read;                      /* pinned (THAW_SCORES) */
};

/* Part of one allocation: so many bytes, aligned. Before there is one, only the size is found. */
static void *part(char *memory, size_t *used, size_t size_bytes)
{
	size_t at = *used;

	*used += (size_bytes + 255) / 256 * 256;
	return memory ? memory + at : NULL;
}

static size_t divide(struct state *state, char *memory, size_t n, size_t classes)
{
	size_t used = 0;

	state->labels = part(memory, &used, n * sizeof *state->labels);
	state->mixed = part(memory, &used, n * sizeof *state->mixed);
	state->shares = part(memory, &used, n * sizeof *state->shares);
	state->class_weights = part(memory, &used, classes * sizeof *state->class_weights);
	state->log_sums = part(memory, &used, n * sizeof *state->log_sums);
	state->scores = part(memory, &used, n * THAW_SCORES * sizeof *state->scores);
	state->score = part(memory, &used, THAW_SCORES * sizeof *state->score);
	state->predictions = part(memory, &used, n * classes * sizeof *state->predictions);
	return used;
}

static thaw_status prepare(struct thaw_step *step)
{
	struct state *state = thaw_alloc(1, sizeof *state);
	struct thaw_gpu *gpu = thaw_cuda_of(step)->gpu;
	size_t n = (size_t)step->x->n, classes = (size_t)step->x->c;
	void *memory, *read;
	thaw_status status;

	if (!state)
		return THAW_OUT_OF_MEMORY;
	step->state = state;
	status = thaw_gpu_alloc(gpu, divide(state, NULL, n, classes), "probabilities", &memory);
	if (status)
		return status;
	divide(state, memory, n, classes);
	status = thaw_gpu_alloc_pinned(gpu, THAW_SCORES * sizeof *state->read, "the score of a batch", &read);
	if (!status)
		state->read = read;
	step->keeps_x = step->dx != NULL;
	return status;
}

static void release(struct thaw_step *step)
{
	struct state *state = step->state;

	if (!state)
		return;
	thaw_gpu_free(thaw_cuda_of(step)->gpu, state->labels);
	thaw_gpu_free_pinned(thaw_cuda_of(step)->gpu, state->read);
	free(state);
}

/* Labels, and what changes them, to the device. */
static thaw_status put_labels(struct thaw_step *step)
{
	const struct thaw_run *run = step->run;
	struct state *state = step->state;
	struct thaw_gpu_stream *stream = thaw_cuda_of(step)->stream;
	size_t n = (size_t)step->x->n;
	thaw_status status = thaw_gpu_put(stream, state->labels, run->labels, n * sizeof *run->labels);

	if (!status && run->mixed)
		status = thaw_gpu_put(stream, state->mixed, run->mixed, n * sizeof *run->mixed);
	if (!status && run->mixed)
		status = thaw_gpu_put(stream, state->shares, run->shares, n * sizeof *run->shares);
	if (!status && run->class_weights && !state->weighted) {
		status = thaw_gpu_put(stream, state->class_weights, run->class_weights,
		                      (size_t)step->x->c * sizeof *run->class_weights);
		state->weighted = true;
	}
	return status;
}

/* What the kernel counted, to the host. */
static thaw_status get_score(struct thaw_step *step)
{
	struct thaw_run *run = step->run;
	const struct state *state = step->state;
	struct thaw_gpu_stream *stream = thaw_cuda_of(step)->stream;
	size_t predictions = (size_t)step->x->n * (size_t)step->x->c * sizeof *run->predictions;
	thaw_status status = thaw_gpu_get(stream, state->read, state->score, THAW_SCORES * sizeof *state->read);

	if (!status && run->predictions)
		status = thaw_gpu_get(stream, run->predictions, state->predictions, predictions);
	if (!status)
		status = thaw_gpu_wait(stream);
	if (!status)
		run->score = (struct thaw_score){
			.loss = state->read[THAW_SCORE_LOSS],
			.weight = state->read[THAW_SCORE_WEIGHT],
			.count = (int64_t)state->read[THAW_SCORE_COUNT],
			.top1 = (int64_t)state->read[THAW_SCORE_TOP1],
			.top5 = (int64_t)state->read[THAW_SCORE_TOP5],
		};
	return status;
}

static thaw_status forward(struct thaw_step *step)
{
	const struct thaw_run *run = step->run;
	const struct thaw_cuda *cuda = thaw_cuda_of(step);
	const struct state *state = step->state;
	const struct thaw_loss_args arguments = {
		.x = step->x->data,
		.labels = state->labels,
		.mixed = run->mixed ? state->mixed : NULL,
		.shares = run->mixed ? state->shares : NULL,
		.class_weights = run->class_weights ? state->class_weights : NULL,
		.log_sums = state->log_sums,
		.scores = state->scores,
		.tickets = cuda->tickets,
		.score = state->score,
		.predictions = run->predictions ? state->predictions : NULL,
		.n = step->x->n,
		.classes = step->x->c,
		.c = step->x->block,
		.smoothing = run->smoothing,
	};
	thaw_status status = put_labels(step);

	if (!status)
		status = thaw_gpu_launch(cuda->stream, THAW_KERNEL_loss, arguments.n, &arguments, sizeof arguments);
	return status ? status : get_score(step);
}

static thaw_status backward(struct thaw_step *step)
{
	const struct thaw_run *run = step->run;
	const struct thaw_cuda *cuda = thaw_cuda_of(step);
	const struct state *state = step->state;
	const struct thaw_loss_gradient_args arguments = {
		.x = step->x->data,
		.labels = state->labels,
		.mixed = run->mixed ? state->mixed : NULL,
		.shares = run->mixed ? state->shares : NULL,
		.class_weights = run->class_weights ? state->class_weights : NULL,
		.log_sums = state->log_sums,
		.scalars = cuda->scalars,
		.dx = step->dx->data,
		.n = step->x->n,
		.classes = step->x->c,
		.c = step->x->block,
		.smoothing = run->smoothing,
	};
	thaw_status status = thaw_cuda_scalars(step);

	return status ? status
	              : thaw_gpu_launch(cuda->stream, THAW_KERNEL_loss_gradient, arguments.n, &arguments, sizeof arguments);
}

const struct thaw_op_ops thaw_cuda_loss = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.release = release,
	.gradients_limit = 1,
};
