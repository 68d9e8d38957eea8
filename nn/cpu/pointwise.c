/* The input's normalisation, and what works number by number. */
#include "nn/cpu/cpu.h"

/* --- input: uint8 (N,H,W,3) to float (N,3,H,W) ------------------------------------------------------------------- */

static thaw_status input_prepare(struct thaw_step *step)
{
	thaw_tensor_layout(step->y, 1);
	return THAW_OK;
}

/* A table of 256 values per channel: (i / 255 - mean) / std in float32, as torchvision's ToTensor and Normalize
 * compute it. */
static thaw_status input_forward(struct thaw_step *step)
{
	const struct thaw_run *run = step->run;
	struct thaw_tensor *y = step->y;
	size_t pixels = (size_t)y->h * (size_t)y->w;
	float table[3][256];

	for (int c = 0; c < 3; c++)
		for (int i = 0; i < 256; i++)
			table[c][i] = ((float)i / 255.0f - run->mean[c]) / run->std[c];
#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int p = 0; p < y->n * 3; p++) {
		const uint8_t *picture = run->pixels + (size_t)(p / 3) * pixels * 3 + p % 3;
		float *plane = y->data + (size_t)p * pixels;

		for (size_t i = 0; i < pixels; i++)
			plane[i] = table[p % 3][picture[3 * i]];
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_cpu_input = {
	.prepare = input_prepare,
	.forward = input_forward,
	.gradients_limit = 1,
};

/* --- relu and add ------------------------------------------------------------------------------------------------ */

static thaw_status prepare(struct thaw_step *step)
{
	thaw_tensor_layout(step->y, step->x->block);
	step->keeps_y = step->relu || step->kind == THAW_OP_RELU;
	return THAW_OK;
}

/* y = x [+ residual] [clamped at 0; NaN stays NaN] */
static thaw_status forward(struct thaw_step *step)
{
	const float *x = step->x->data, *residual = step->residual ? step->residual->data : NULL;
	bool relu = step->relu || step->kind == THAW_OP_RELU;
	size_t elems = thaw_cpu_elems(step->y);
	float *y = step->y->data;

#pragma omp parallel for simd num_threads(step->device->threads) schedule(static)
	for (size_t i = 0; i < elems; i++) {
		float v = residual ? x[i] + residual[i] : x[i];

		y[i] = relu && v < 0.0f ? 0.0f : v;
	}
	return THAW_OK;
}

static thaw_status backward(struct thaw_step *step)
{
	const float *dy = step->dy[0]->data, *y = step->keeps_y ? step->y->data : NULL;
	float *dx = step->dx ? step->dx->data : NULL, *dresidual = step->dresidual ? step->dresidual->data : NULL;
	size_t elems = thaw_cpu_elems(step->y);

#pragma omp parallel for simd num_threads(step->device->threads) schedule(static)
	for (size_t i = 0; i < elems; i++) {
		float g = y && y[i] <= 0.0f ? 0.0f : dy[i];

		if (dx)
			dx[i] = g;
		if (dresidual)
			dresidual[i] = g;
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_cpu_relu = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 1,
};

const struct thaw_op_ops thaw_cpu_add = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 1,
};
