/*
 * y[n][k] = bias[k] + sum over c of weight[k][c] * x[n][c], y in float32.
 *
 * Weights as for a convolution: taken from their slab where they stand as wanted, else cast and padded. Their
 * gradient is written by the product itself, which leaves the padding out.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "nn/cuda/cuda.h"

struct state {
	struct thaw_gpu_gemm *forward, *data, *weights;
	void *own_weights; /* device (K',C') in x's number; NULL: the parameters are taken */
};

static bool takes_parameters(const struct thaw_step *step)
{
	return step->x->number == THAW_FLOAT32 && step->x->block == step->x->c && step->y->block == step->y->c;
}

static thaw_status plan_products(struct thaw_step *step)
{
	struct state *state = step->state;
	struct thaw_gpu *gpu = thaw_cuda_of(step)->gpu;
	int n = step->x->n, ins = step->x->block, outs = step->y->block;
	const struct thaw_gpu_gemm_spec forward = {
		.rows = n,
		.columns = outs,
		.inner = ins,
		.a_stride = ins,
		.b_stride = ins,
		.c_stride = outs,
		.b_turned = true,
		.number = step->x->number,
		.c_number = THAW_FLOAT32,
		.tf32 = step->device->tf32,
	};
	const struct thaw_gpu_gemm_spec data = {
		.rows = n,
		.columns = ins,
		.inner = outs,
		.a_stride = outs,
		.b_stride = ins,
		.c_stride = ins,
		.number = step->x->number,
		.c_number = step->x->number,
		.tf32 = step->device->tf32,
	};
	const struct thaw_gpu_gemm_spec weights = {
		.rows = step->y->c,
		.columns = step->x->c,
		.inner = n,
		.a_stride = outs,
		.b_stride = ins,
		.c_stride = step->x->c,
		.a_turned = true,
		.number = step->x->number,
		.c_number = THAW_FLOAT32,
		.tf32 = step->device->tf32,
	};
	thaw_status status = thaw_gpu_gemm_new(gpu, &forward, &state->forward);

	if (!status && step->dx)
		status = thaw_gpu_gemm_new(gpu, &data, &state->data);
	if (!status && step->dweight)
		status = thaw_gpu_gemm_new(gpu, &weights, &state->weights);
	return status;
}

/* dy in x's number stands at the beginning of the workspace, unless it has it already. */
static size_t cast_bytes(const struct thaw_step *step)
{
	bool casts = step->x->number != THAW_FLOAT32 && step->dy_count > 0;

	return casts ? (step->y->size_bytes / 2 + 255) / 256 * 256 : 0;
}

static size_t product_bytes(const struct state *state)
{
	struct thaw_gpu_gemm *const products[] = {state->forward, state->data, state->weights};
	size_t most = 0;

	for (size_t i = 0; i < sizeof products / sizeof *products; i++)
		if (products[i] && thaw_gpu_gemm_workspace(products[i]) > most)
			most = thaw_gpu_gemm_workspace(products[i]);
	return most;
}

static thaw_status prepare(struct thaw_step *step)
{
	struct state *state = thaw_alloc(1, sizeof *state);
	size_t weights;
	thaw_status status;

	if (!state)
		return THAW_OUT_OF_MEMORY;
	step->state = state;
	step->y->number = THAW_FLOAT32;
	thaw_tensor_layout(step->y, thaw_cuda_padded(step->y->c));
	status = plan_products(step);
	weights = (size_t)step->y->block * (size_t)step->x->block * thaw_number_bytes(step->x->number);
	if (!status && !takes_parameters(step))
		status = thaw_gpu_alloc(thaw_cuda_of(step)->gpu, weights, "weights", &state->own_weights);
	step->keeps_x = step->dweight != NULL;
	if (!status)
		step->workspace_bytes = cast_bytes(step) + product_bytes(state);
	return status;
}

static void release(struct thaw_step *step)
{
	struct state *state = step->state;

	if (!state)
		return;
	thaw_gpu_gemm_free(state->forward);
	thaw_gpu_gemm_free(state->data);
	thaw_gpu_gemm_free(state->weights);
	thaw_gpu_free(thaw_cuda_of(step)->gpu, state->own_weights);
	free(state);
}

static thaw_status refresh(struct thaw_step *step)
{
	const struct state *state = step->state;
	const struct thaw_weights_args arguments = {
		.w = step->weight,
		.y = state->own_weights,
		.k = step->y->c,
		.taps = 1,
		.c = step->x->c,
		.k_padded = step->y->block,
		.c_padded = step->x->block,
		.number = step->x->number,
	};

	return state->own_weights
	           ? THAW_CUDA_EACH(step, weights, (int64_t)arguments.k_padded * arguments.c_padded, &arguments)
	           : THAW_OK;
}

static const void *weights_of(const struct thaw_step *step)
{
	const struct state *state = step->state;

	return state->own_weights ? state->own_weights : step->weight;
}

static void *product_workspace(const struct thaw_step *step)
{
	return (char *)step->workspace + cast_bytes(step);
}

static thaw_status forward(struct thaw_step *step)
{
	const struct state *state = step->state;
	const struct thaw_add_bias_args arguments = {
		.bias = step->bias,
		.y = step->y->data,
		.rows = step->y->n,
		.c = step->y->block,
		.channels = step->y->c,
	};
	thaw_status status = thaw_gpu_gemm_run(thaw_cuda_of(step)->stream, state->forward, step->x->data, weights_of(step),
	                                       step->y->data, product_workspace(step));

	return status || !step->bias ? status : THAW_CUDA_EACH(step, add_bias, arguments.rows * arguments.c, &arguments);
}

static thaw_status backward_bias(struct thaw_step *step)
{
	const struct thaw_bias_gradient_args arguments = {
		.dy = step->dy[0]->data,
		.dbias = step->dbias,
		.rows = step->y->n,
		.c = step->y->block,
		.channels = step->y->c,
		.number = THAW_FLOAT32,
	};

	return thaw_gpu_launch(thaw_cuda_of(step)->stream, THAW_KERNEL_bias_gradient, arguments.channels, &arguments,
	                       sizeof arguments);
}

/* dy in x's number. */
static thaw_status cast_gradient(struct thaw_step *step, const void **dy_out)
{
	const struct thaw_cast_args arguments = {
		.from = step->dy[0]->data,
		.to = step->workspace,
		.eights = thaw_cuda_eights(step->y),
		.from_number = THAW_FLOAT32,
		.to_number = step->x->number,
	};

	*dy_out = cast_bytes(step) ? step->workspace : step->dy[0]->data;
	return cast_bytes(step) ? THAW_CUDA_EACH(step, cast, arguments.eights, &arguments) : THAW_OK;
}

static thaw_status backward(struct thaw_step *step)
{
	const struct state *state = step->state;
	struct thaw_gpu_stream *stream = thaw_cuda_of(step)->stream;
	const void *dy;
	thaw_status status = cast_gradient(step, &dy);

	if (!status && step->dweight)
		status = thaw_gpu_gemm_run(stream, state->weights, dy, step->x->data, step->dweight, product_workspace(step));
	if (!status && step->dbias)
		status = backward_bias(step);
	if (!status && step->dx)
		status = thaw_gpu_gemm_run(stream, state->data, dy, weights_of(step), step->dx->data, product_workspace(step));
	return status;
}

const struct thaw_op_ops thaw_cuda_linear = {
	.prepare = prepare,
	.refresh = refresh,
	.forward = forward,
	.backward = backward,
	.release = release,
	.gradients_limit = 1,
};
