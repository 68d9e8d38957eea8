/* Max pooling, and the mean over the whole picture. */
#include "nn/cuda/cuda.h"

/* --- max pooling ------------------------------------------------------------------------------------------------- */

static struct thaw_window window_of(const struct thaw_step *step)
{
	return (struct thaw_window){
		.n = step->x->n,
		.h = step->x->h,
		.w = step->x->w,
		.oh = step->y->h,
		.ow = step->y->w,
		.c = step->x->block,
		.kernel = step->kernel,
		.stride = step->stride,
		.pad = step->pad,
	};
}

static thaw_status max_prepare(struct thaw_step *step)
{
	if (step->kernel > 15)
		return thaw_fail(THAW_FAILED, "'%s': a window of %d pixels is larger than a byte can say", step->name,
		                 step->kernel);
	thaw_cuda_layout(step, step->y);
	if (step->dx)
		step->saved_bytes = 8 * (size_t)thaw_cuda_eights(step->y); /* which tap won, a byte each */
	return THAW_OK;
}

static thaw_status max_forward(struct thaw_step *step)
{
	const struct thaw_max_pool_args arguments = {
		.x = step->x->data,
		.y = step->y->data,
		.tap = step->saved_bytes ? step->saved : NULL,
		.window = window_of(step),
		.number = step->y->number,
	};

	return THAW_CUDA_EACH(step, max_pool, thaw_cuda_eights(step->y), &arguments);
}

static thaw_status max_backward(struct thaw_step *step)
{
	const struct thaw_max_pool_gradient_args arguments = {
		.dy = step->dy[0]->data,
		.tap = step->saved,
		.dx = step->dx->data,
		.window = window_of(step),
		.number = step->y->number,
	};

	return THAW_CUDA_EACH(step, max_pool_gradient, thaw_cuda_eights(step->x), &arguments);
}

const struct thaw_op_ops thaw_cuda_max_pool = {
	.prepare = max_prepare,
	.forward = max_forward,
	.backward = max_backward,
	.gradients_limit = 1,
};

/* --- the mean over the picture ----------------------------------------------------------------------------------- */

static thaw_status global_prepare(struct thaw_step *step)
{
	thaw_cuda_layout(step, step->y);
	return THAW_OK;
}

static thaw_status global_forward(struct thaw_step *step)
{
	const struct thaw_global_pool_args arguments = {
		.x = step->x->data,
		.y = step->y->data,
		.n = step->x->n,
		.pixels = step->x->h * step->x->w,
		.c = step->x->block,
		.number = step->y->number,
	};

	return THAW_CUDA_EACH(step, global_pool, thaw_cuda_eights(step->y), &arguments);
}

static thaw_status global_backward(struct thaw_step *step)
{
	const struct thaw_global_pool_gradient_args arguments = {
		.dy = step->dy[0]->data,
		.dx = step->dx->data,
		.n = step->x->n,
		.pixels = step->x->h * step->x->w,
		.c = step->x->block,
		.number = step->y->number,
	};

	return THAW_CUDA_EACH(step, global_pool_gradient, thaw_cuda_eights(step->x), &arguments);
}

const struct thaw_op_ops thaw_cuda_global_pool = {
	.prepare = global_prepare,
	.forward = global_forward,
	.backward = global_backward,
	.gradients_limit = 1,
};
