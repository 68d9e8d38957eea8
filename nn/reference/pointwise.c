/*
 * Steps that treat each number by itself: pictures to numbers, clamping, adding, and the shortcut without parameters.
 */
#include "nn/reference/reference.h"

static thaw_status prepare(struct thaw_step *step)
{
	thaw_tensor_layout(step->y, 1);
	step->keeps_y = step->relu && step->dy_count > 0;
	return THAW_OK;
}

static thaw_status input_forward(struct thaw_step *step)
{
	const struct thaw_run *run = step->run;
	size_t plane = (size_t)step->y->h * (size_t)step->y->w;

	for (int n = 0; n < step->y->n; n++) {
		const uint8_t *pixels = run->pixels + (size_t)n * plane * 3;

		for (int c = 0; c < 3; c++) {
			float *y = thaw_reference_plane(step->y, n, c);

			for (size_t i = 0; i < plane; i++)
				y[i] = (float)((pixels[i * 3 + (size_t)c] / 255.0 - run->mean[c]) / run->std[c]);
		}
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_reference_input = {
	.prepare = prepare,
	.forward = input_forward,
	.gradients_limit = 1,
};

static thaw_status relu_prepare(struct thaw_step *step)
{
	step->relu = true;
	return prepare(step);
}

/* RELU has no residual, ADD has. */
static thaw_status add_forward(struct thaw_step *step)
{
	size_t elems = thaw_reference_elems(step->y);

	for (size_t i = 0; i < elems; i++) {
		double value = step->x->data[i];

		if (step->residual)
			value += step->residual->data[i];
		step->y->data[i] = (float)thaw_reference_clamp(step, value);
	}
	return THAW_OK;
}

static thaw_status add_backward(struct thaw_step *step)
{
	size_t elems = thaw_reference_elems(step->y);

	for (size_t i = 0; i < elems; i++) {
		float g = (float)thaw_reference_gradient(step, i);

		if (step->dx)
			step->dx->data[i] = g;
		if (step->dresidual)
			step->dresidual->data[i] = g;
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_reference_relu = {
	.prepare = relu_prepare,
	.forward = add_forward,
	.backward = add_backward,
	.gradients_limit = 1,
};

const struct thaw_op_ops thaw_reference_add = {
	.prepare = prepare,
	.forward = add_forward,
	.backward = add_backward,
	.gradients_limit = 1,
};

/* Channel k of y is channel k - before of x, every stride-th pixel; channels before and behind are 0. */
static int shortcut_before(const struct thaw_step *step)
{
	return (step->y->c - step->x->c) / 2;
}

static thaw_status shortcut_forward(struct thaw_step *step)
{
	for (int n = 0; n < step->y->n; n++) {
		for (int k = 0; k < step->y->c; k++) {
			int c = k - shortcut_before(step);
			const float *x = c >= 0 && c < step->x->c ? thaw_reference_plane(step->x, n, c) : NULL;
			float *y = thaw_reference_plane(step->y, n, k);

			for (int p = 0; p < step->y->h; p++)
				for (int q = 0; q < step->y->w; q++)
					*y++ = x ? x[p * step->stride * step->x->w + q * step->stride] : 0;
		}
	}
	return THAW_OK;
}

static thaw_status shortcut_backward(struct thaw_step *step)
{
	size_t plane = (size_t)step->x->h * (size_t)step->x->w;

	for (int n = 0; n < step->x->n; n++) {
		for (int c = 0; c < step->x->c; c++) {
			float *dx = thaw_reference_plane(step->dx, n, c);
			const float *dy = thaw_reference_plane(step->dy[0], n, c + shortcut_before(step));

			for (size_t i = 0; i < plane; i++)
				dx[i] = 0;
			for (int p = 0; p < step->y->h; p++)
				for (int q = 0; q < step->y->w; q++)
					dx[p * step->stride * step->x->w + q * step->stride] = *dy++;
		}
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_reference_shortcut = {
	.prepare = prepare,
	.forward = shortcut_forward,
	.backward = shortcut_backward,
	.gradients_limit = 1,
};
