/*
 * Convolution: three passes of the library (nn/cuda/gpu.h) on weights as it wants them.
 *
 * Where the parameters stand so already, without padding, they are taken from their slab or, in 16 bits, from its copy;
 * as float32 their gradient is written to its own. Else a kernel casts, pads and folds them into memory of the step's,
 * and another brings the gradient back.
 *
 * Where a norm takes the batch's statistics of y, and the device has fused_statistics, the forward pass may make their
 * sums from what it has in registers. They are all that is saved: `saved` is NULL where it does not.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "nn/cuda/cuda.h"

/* Of bytes that a convolution may have as scratch memory; all of a plan share it. The fast engines of float32 want more
 * with the batch: 392 MiB for 64 channels at 56 x 56, 1176 MiB for 256, with 256 pictures. */
static const size_t workspace_least = (size_t)256 << 20, workspace_most = (size_t)4 << 30;

/* A sixteenth of the memory, between those. */
static size_t workspace_limit(const struct thaw_gpu_facts *facts)
{
	size_t part = facts->memory_bytes / 16;

	return part < workspace_least ? workspace_least : part > workspace_most ? workspace_most : part;
}

struct state {
	struct thaw_gpu_conv *forward, *data, *weights;
	void *own_weights; /* device (K',R,S,C' / groups) in the step's number; NULL: the parameters are taken */
	void *own_bias;    /* device (K'), behind them; NULL: the parameter is taken, or there is none */
};

static int taps(const struct thaw_step *step)
{
	return step->kernel * step->kernel;
}

/* Channels of the weights, with their padding. */
static int padded_inputs(const struct thaw_step *step)
{
	return step->x->block / step->groups;
}

/* A norm that is folded in, padding, or a bias in another type of numbers make weights of the step's own. */
static bool takes_parameters(const struct thaw_step *step)
{
	return !step->fold && step->x->block == step->x->c && step->y->block == step->y->c &&
	       (step->y->number == THAW_FLOAT32 || (step->weight_copy && !step->bias));
}

static bool writes_gradient(const struct thaw_step *step)
{
	return takes_parameters(step) && step->y->number == THAW_FLOAT32;
}

static size_t weights_bytes(const struct thaw_step *step)
{
	return (size_t)step->y->block * (size_t)taps(step) * (size_t)padded_inputs(step) *
	       thaw_number_bytes(step->y->number);
}

static bool has_bias(const struct thaw_step *step)
{
	return step->bias || step->fold;
}

/* --- preparing --------------------------------------------------------------------------------------------------- */

/* Whether this pass may make the sums of y that a norm would take. */
static bool may_sum(const struct thaw_step *step, enum thaw_gpu_pass pass)
{
	return pass == THAW_GPU_FORWARD && step->wants_sums && step->device->fused_statistics && !has_bias(step) &&
	       !step->residual && !step->relu;
}

static thaw_status plan_pass(struct thaw_step *step, enum thaw_gpu_pass pass, struct thaw_gpu_conv **conv_out)
{
	const struct thaw_gpu_conv_spec spec = {
		.pass = pass,
		.number = step->y->number,
		.n = step->x->n,
		.c = step->x->block,
		.h = step->x->h,
		.w = step->x->w,
		.k = step->y->block,
		.oh = step->y->h,
		.ow = step->y->w,
		.kernel = step->kernel,
		.stride = step->stride,
		.pad = step->pad,
		.groups = step->groups,
		.bias = pass == THAW_GPU_FORWARD && has_bias(step),
		.residual = pass == THAW_GPU_FORWARD && step->residual,
		.relu = pass == THAW_GPU_FORWARD && step->relu,
		.statistics = may_sum(step, pass),
		.tf32 = step->device->tf32,
		.deterministic = true,
		.untimed = step->device->untimed,
		.workspace_limit = workspace_limit(thaw_gpu_facts(thaw_cuda_of(step)->gpu)),
	};

	return thaw_gpu_conv_new(thaw_cuda_of(step)->gpu, &spec, conv_out);
}

static thaw_status plan_passes(struct thaw_step *step)
{
	struct state *state = step->state;
	thaw_status status = plan_pass(step, THAW_GPU_FORWARD, &state->forward);

	if (!status && step->dx)
		status = plan_pass(step, THAW_GPU_DATA, &state->data);
	if (!status && step->dweight)
		status = plan_pass(step, THAW_GPU_WEIGHTS, &state->weights);
	return status;
}

static size_t largest(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* Where the gradient of own weights stands in the workspace. */
static size_t gradient_at(const struct thaw_step *step)
{
	const struct state *state = step->state;

	return (thaw_gpu_conv_workspace(state->weights) + 255) / 256 * 256;
}

static void size_workspace(struct thaw_step *step)
{
	const struct state *state = step->state;

	step->workspace_bytes = thaw_gpu_conv_workspace(state->forward);
	if (state->data)
		step->workspace_bytes = largest(step->workspace_bytes, thaw_gpu_conv_workspace(state->data));
	if (state->weights && writes_gradient(step))
		step->workspace_bytes = largest(step->workspace_bytes, thaw_gpu_conv_workspace(state->weights));
	else if (state->weights)
		step->workspace_bytes = largest(step->workspace_bytes, gradient_at(step) + weights_bytes(step));
}

static thaw_status make_own(struct thaw_step *step)
{
	struct state *state = step->state;
	size_t bias_at = (weights_bytes(step) + 255) / 256 * 256;
	size_t bias_bytes = has_bias(step) ? (size_t)step->y->block * thaw_number_bytes(step->y->number) : 0;
	thaw_status status;

	if (takes_parameters(step))
		return THAW_OK;
	status = thaw_gpu_alloc(thaw_cuda_of(step)->gpu, bias_at + bias_bytes, "weights", &state->own_weights);
	if (!status && bias_bytes)
		state->own_bias = (char *)state->own_weights + bias_at;
	return status;
}

static thaw_status prepare(struct thaw_step *step)
{
	struct state *state = thaw_alloc(1, sizeof *state);
	thaw_status status;

	if (!state)
		return THAW_OUT_OF_MEMORY;
	step->state = state;
	thaw_cuda_layout(step, step->y);
	if (step->groups > 1 && (step->x->block != step->x->c || step->y->block != step->y->c))
		return thaw_fail(THAW_FAILED, "'%s': %d channels to %d in %d groups; on a GPU groups need multiples of 8",
		                 step->name, step->x->c, step->y->c, step->groups);
	status = plan_passes(step);
	if (!status)
		status = make_own(step);
	if (!status)
		size_workspace(step);
	if (!status && thaw_gpu_conv_has_statistics(state->forward))
		step->saved_bytes = 2 * (size_t)step->y->block * sizeof(float);
	step->keeps_x = step->dweight != NULL;
	return status;
}

static void release(struct thaw_step *step)
{
	struct state *state = step->state;

	if (!state)
		return;
	thaw_gpu_conv_free(state->forward);
	thaw_gpu_conv_free(state->data);
	thaw_gpu_conv_free(state->weights);
	thaw_gpu_free(thaw_cuda_of(step)->gpu, state->own_weights);
	free(state);
}

static const char *engine(const struct thaw_step *step, enum thaw_step_pass pass)
{
	const struct state *state = step->state;
	const struct thaw_gpu_conv *const convs[THAW_STEP_PASSES] = {state->forward, state->data, state->weights};

	return convs[pass] ? thaw_gpu_conv_engine(convs[pass]) : NULL;
}

/* --- running ----------------------------------------------------------------------------------------------------- */

static thaw_status refresh(struct thaw_step *step)
{
	const struct state *state = step->state;
	const struct thaw_weights_args arguments = {
		.w = step->weight,
		.bias = step->bias,
		.gamma = step->fold ? step->gamma : NULL,
		.beta = step->fold ? step->beta : NULL,
		.mean = step->fold ? step->mean : NULL,
		.variance = step->fold ? step->variance : NULL,
		.y = state->own_weights,
		.bias_out = state->own_bias,
		.k = step->y->c,
		.taps = taps(step),
		.c = step->x->c / step->groups,
		.k_padded = step->y->block,
		.c_padded = padded_inputs(step),
		.number = step->y->number,
		.epsilon = (float)step->epsilon,
	};
	int64_t items = (int64_t)arguments.k_padded * arguments.taps * arguments.c_padded;

	return state->own_weights ? THAW_CUDA_EACH(step, weights, items, &arguments) : THAW_OK;
}

/* The library takes pointers to what it writes and to what it reads alike. */
static void *weights_of(const struct thaw_step *step)
{
	const struct state *state = step->state;

	if (state->own_weights)
		return state->own_weights;
	return (void *)(uintptr_t)(step->weight_copy ? step->weight_copy : step->weight);
}

static thaw_status forward(struct thaw_step *step)
{
	const struct state *state = step->state;
	const struct thaw_gpu_conv_tensors tensors = {
		.x = step->x->data,
		.w = weights_of(step),
		.y = step->y->data,
		.bias = state->own_weights ? state->own_bias : step->bias,
		.residual = step->residual ? step->residual->data : NULL,
		.sums = step->saved,
		.workspace = step->workspace,
	};

	step->y->sums = tensors.sums;
	return thaw_gpu_conv_run(thaw_cuda_of(step)->stream, state->forward, &tensors);
}

static thaw_status backward_weights(struct thaw_step *step)
{
	const struct state *state = step->state;
	void *own = writes_gradient(step) ? NULL : (char *)step->workspace + gradient_at(step);
	const struct thaw_gpu_conv_tensors tensors = {
		.x = step->x->data,
		.w = own ? own : step->dweight,
		.y = step->dy[0]->data,
		.workspace = step->workspace,
	};
	const struct thaw_weights_gradient_args arguments = {
		.dy = own,
		.dw = step->dweight,
		.k = step->y->c,
		.taps = taps(step),
		.c = step->x->c / step->groups,
		.c_padded = padded_inputs(step),
		.number = step->y->number,
	};
	thaw_status status = thaw_gpu_conv_run(thaw_cuda_of(step)->stream, state->weights, &tensors);

	if (status || !own)
		return status;
	return THAW_CUDA_EACH(step, weights_gradient, (int64_t)arguments.k * arguments.taps * arguments.c, &arguments);
}

static thaw_status backward_bias(struct thaw_step *step)
{
	const struct thaw_bias_gradient_args arguments = {
		.dy = step->dy[0]->data,
		.dbias = step->dbias,
		.rows = thaw_cuda_rows(step->y),
		.c = step->y->block,
		.channels = step->y->c,
		.number = step->y->number,
	};

	return thaw_gpu_launch(thaw_cuda_of(step)->stream, THAW_KERNEL_bias_gradient, arguments.channels, &arguments,
	                       sizeof arguments);
}

static thaw_status backward(struct thaw_step *step)
{
	const struct state *state = step->state;
	thaw_status status = THAW_OK;

	if (step->dweight)
		status = backward_weights(step);
	if (!status && step->dbias)
		status = backward_bias(step);
	if (!status && step->dx)
		status = thaw_gpu_conv_run(thaw_cuda_of(step)->stream, state->data,
		                           &(struct thaw_gpu_conv_tensors){
									   .x = step->dx->data,
									   .w = weights_of(step),
									   .y = step->dy[0]->data,
									   .workspace = step->workspace,
								   });
	return status;
}

const struct thaw_op_ops thaw_cuda_conv = {
	.prepare = prepare,
	.refresh = refresh,
	.forward = forward,
	.backward = backward,
	.release = release,
	.engine = engine,
	.gradients_limit = 1, /* no overwrites_residual: cuDNN does not say that a graph's y may be what it adds */
};
