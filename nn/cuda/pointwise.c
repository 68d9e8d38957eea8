/* Steps that treat each number by itself: pictures to numbers, clamping, adding, the shortcut. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/cuda/cuda.h"

/* --- pictures ---------------------------------------------------------------------------------------------------- */

static thaw_status input_prepare(struct thaw_step *step)
{
	thaw_cuda_layout(step, step->y);
	return thaw_cuda_make_room(step->device, step->y->n, (size_t)thaw_cuda_rows(step->y) * 3);
}

static thaw_status input_forward(struct thaw_step *step)
{
	const struct thaw_cuda *cuda = thaw_cuda_of(step);
	struct thaw_input_args arguments = {
		.pixels = cuda->pixels,
		.y = step->y->data,
		.rows = thaw_cuda_rows(step->y),
		.number = step->y->number,
	};
	thaw_status status;

	memcpy(arguments.mean, step->run->mean, sizeof arguments.mean);
	memcpy(arguments.std, step->run->std, sizeof arguments.std);
	status = THAW_CUDA_EACH(step, input, arguments.rows, &arguments);
	return status ? status : thaw_gpu_event_record(cuda->taken, cuda->stream);
}

const struct thaw_op_ops thaw_cuda_input = {
	.prepare = input_prepare,
	.forward = input_forward,
	.gradients_limit = 1,
};

/* --- adding and clamping ----------------------------------------------------------------------------------------- */

static thaw_status add_prepare(struct thaw_step *step)
{
	thaw_cuda_layout(step, step->y);
	step->keeps_y = step->relu && step->dy_count > 0;
	return THAW_OK;
}

static thaw_status relu_prepare(struct thaw_step *step)
{
	step->relu = true;
	return add_prepare(step);
}

/* RELU has no residual, ADD has. */
static thaw_status add_forward(struct thaw_step *step)
{
	const struct thaw_add_args arguments = {
		.x = step->x->data,
		.residual = step->residual ? step->residual->data : NULL,
		.y = step->y->data,
		.eights = thaw_cuda_eights(step->y),
		.relu = step->relu,
		.number = step->y->number,
	};

	return THAW_CUDA_EACH(step, add, arguments.eights, &arguments);
}

static thaw_status add_backward(struct thaw_step *step)
{
	const struct thaw_add_gradient_args arguments = {
		.dy0 = step->dy[0]->data,
		.dy1 = step->dy_count > 1 ? step->dy[1]->data : NULL,
		.y = step->relu ? step->y->data : NULL,
		.dx = step->dx ? step->dx->data : NULL,
		.dresidual = step->dresidual ? step->dresidual->data : NULL,
		.eights = thaw_cuda_eights(step->y),
		.number = step->y->number,
	};

	return THAW_CUDA_EACH(step, add_gradient, arguments.eights, &arguments);
}

const struct thaw_op_ops thaw_cuda_relu = {
	.prepare = relu_prepare,
	.forward = add_forward,
	.backward = add_backward,
	.gradients_limit = 2,
	.overwrites_dy = true,
};

const struct thaw_op_ops thaw_cuda_add = {
	.prepare = add_prepare,
	.forward = add_forward,
	.backward = add_backward,
	.gradients_limit = 2,
	.overwrites_residual = true,
	.overwrites_dy = true,
};

/* --- the shortcut ------------------------------------------------------------------------------------------------ */

static thaw_status shortcut_prepare(struct thaw_step *step)
{
	thaw_cuda_layout(step, step->y);
	return THAW_OK;
}

static struct thaw_window shortcut_window(const struct thaw_step *step)
{
	return (struct thaw_window){
		.n = step->x->n,
		.h = step->x->h,
		.w = step->x->w,
		.oh = step->y->h,
		.ow = step->y->w,
		.c = step->x->block,
		.stride = step->stride,
	};
}

static thaw_status shortcut_forward(struct thaw_step *step)
{
	const struct thaw_shortcut_args arguments = {
		.x = step->x->data,
		.y = step->y->data,
		.window = shortcut_window(step),
		.channels = step->x->c,
		.k_padded = step->y->block,
		.before = (step->y->c - step->x->c) / 2,
		.number = step->y->number,
	};

	return THAW_CUDA_EACH(step, shortcut, 8 * thaw_cuda_eights(step->y), &arguments);
}

static thaw_status shortcut_backward(struct thaw_step *step)
{
	const struct thaw_shortcut_gradient_args arguments = {
		.dy = step->dy[0]->data,
		.dx = step->dx->data,
		.window = shortcut_window(step),
		.channels = step->x->c,
		.k_padded = step->y->block,
		.before = (step->y->c - step->x->c) / 2,
		.number = step->y->number,
	};

	return THAW_CUDA_EACH(step, shortcut_gradient, 8 * thaw_cuda_eights(step->x), &arguments);
}

const struct thaw_op_ops thaw_cuda_shortcut = {
	.prepare = shortcut_prepare,
	.forward = shortcut_forward,
	.backward = shortcut_backward,
	.gradients_limit = 1,
};
