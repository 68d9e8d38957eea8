/* Softmax cross-entropy: one block for each picture. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/cuda/cuda.h"

struct state {
	double *class_weights;     /* device (classes) */
	double *log_sums, *scores; /* device (N), (N, THAW_SCORES) */
	float *predictions;        /* device (N, classes) */
	bool weighted;             /* class weights stand on the device: they never change */
	double *read, *written;    /* pinned (THAW_SCORES), and (classes) behind it: class weights on their way */
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

	state->class_weights = part(memory, &used, classes * sizeof *state->class_weights);
	state->log_sums = part(memory, &used, n * sizeof *state->log_sums);
	state->scores = part(memory, &used, n * THAW_SCORES * sizeof *state->scores);
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
	status = thaw_gpu_alloc_pinned(gpu, (THAW_SCORES + classes) * sizeof *state->read, "the score of a batch", &read);
	if (!status) {
		state->read = read;
		state->written = state->read + THAW_SCORES;
	}
	step->keeps_x = step->dx != NULL;
	return status;
}

static void release(struct thaw_step *step)
{
	struct state *state = step->state;

	if (!state)
		return;
	thaw_gpu_free(thaw_cuda_of(step)->gpu, state->class_weights);
	thaw_gpu_free_pinned(thaw_cuda_of(step)->gpu, state->read);
	free(state);
}

/* From pinned memory: a copy from elsewhere would wait for what is on the stream, and with it for other ranks. */
static thaw_status put_class_weights(struct thaw_step *step)
{
	struct state *state = step->state;
	const double *weights = step->run->class_weights;
	size_t size_bytes = (size_t)step->x->c * sizeof *weights;

	if (!weights || state->weighted)
		return THAW_OK;
	state->weighted = true;
	memcpy(state->written, weights, size_bytes);
	return thaw_gpu_put(thaw_cuda_of(step)->stream, state->class_weights, state->written, size_bytes);
}

static struct thaw_targets targets_of(const struct thaw_step *step)
{
	const struct thaw_run *run = step->run;
	const struct state *state = step->state;
	const struct thaw_cuda_feed *feed = &thaw_cuda_of(step)->feed;

	return (struct thaw_targets){
		.x = step->x->data,
		.labels = feed->labels,
		.mixed = run->mixed ? feed->mixed : NULL,
		.shares = run->mixed ? feed->shares : NULL,
		.class_weights = run->class_weights ? state->class_weights : NULL,
	};
}

static thaw_status forward(struct thaw_step *step)
{
	const struct thaw_run *run = step->run;
	const struct thaw_cuda *cuda = thaw_cuda_of(step);
	const struct state *state = step->state;
	const struct thaw_loss_args arguments = {
		.targets = targets_of(step),
		.log_sums = state->log_sums,
		.scores = state->scores,
		.tickets = cuda->tickets,
		.score = thaw_cuda_score(cuda, run->row),
		.predictions = run->predictions ? state->predictions : NULL,
		.n = step->x->n,
		.classes = step->x->c,
		.c = step->x->block,
		.smoothing = run->smoothing,
	};
	thaw_status status = put_class_weights(step);

	if (!status)
		status = thaw_gpu_launch(cuda->stream, THAW_KERNEL_loss, arguments.n, &arguments, sizeof arguments);
	if (!status && run->predictions)
		status = thaw_gpu_get(cuda->stream, run->predictions, state->predictions,
		                      (size_t)step->x->n * (size_t)step->x->c * sizeof *run->predictions);
	return status;
}

static thaw_status collect(struct thaw_step *step)
{
	struct thaw_run *run = step->run;
	const struct state *state = step->state;
	const struct thaw_cuda *cuda = thaw_cuda_of(step);
	thaw_status status =
		thaw_gpu_get(cuda->stream, state->read, thaw_cuda_score(cuda, run->row), THAW_SCORES * sizeof *state->read);

	if (!status)
		status = thaw_gpu_wait(cuda->stream);
	if (!status)
		run->score = thaw_cuda_score_of(state->read);
	return status;
}

static thaw_status backward(struct thaw_step *step)
{
	const struct thaw_run *run = step->run;
	const struct thaw_cuda *cuda = thaw_cuda_of(step);
	const struct state *state = step->state;
	const struct thaw_loss_gradient_args arguments = {
		.targets = targets_of(step),
		.log_sums = state->log_sums,
		.scalars = cuda->feed.scalars,
		.dx = step->dx->data,
		.n = step->x->n,
		.classes = step->x->c,
		.c = step->x->block,
		.smoothing = run->smoothing,
	};

	return thaw_gpu_launch(cuda->stream, THAW_KERNEL_loss_gradient, arguments.n, &arguments, sizeof arguments);
}

const struct thaw_op_ops thaw_cuda_loss = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.collect = collect,
	.release = release,
	.gradients_limit = 1,
};
