/*
 * Max pooling and the mean over the whole picture.
 *
 * Ties and NaN go as in PyTorch: of equal ones the first in scan order takes the gradient, NaN wins over every number,
 * padding is never chosen.
 */
#include <math.h>

#include "nn/reference/reference.h"

static thaw_status max_prepare(struct thaw_step *step)
{
	thaw_tensor_layout(step->y, 1);
	if (step->dx) {
		step->saved_bytes = thaw_reference_elems(step->y) * sizeof(int32_t); /* the place in x's plane that won */
		step->workspace_bytes = (size_t)step->x->h * (size_t)step->x->w * sizeof(double);
	}
	return THAW_OK;
}

static int later(int a, int b)
{
	return a > b ? a : b;
}

static int earlier(int a, int b)
{
	return a < b ? a : b;
}

/* Place in plane x (H, W) of the largest of output (p, q)'s window. */
static int32_t window_best(const struct thaw_step *step, const float *x, int p, int q)
{
	int top = p * step->stride - step->pad, left = q * step->stride - step->pad;
	int bottom = earlier(top + step->kernel, step->x->h), right = earlier(left + step->kernel, step->x->w);
	int32_t best = later(top, 0) * step->x->w + later(left, 0);

	for (int h = later(top, 0); h < bottom; h++) {
		for (int w = later(left, 0); w < right; w++) {
			int32_t here = h * step->x->w + w;

			if (x[here] > x[best] || isnan(x[here]))
				best = here;
		}
	}
	return best;
}

static thaw_status max_forward(struct thaw_step *step)
{
	float *y = step->y->data;
	int32_t *winner = step->saved_bytes ? step->saved : NULL;

	for (int n = 0; n < step->y->n; n++) {
		for (int c = 0; c < step->y->c; c++) {
			const float *x = thaw_reference_plane(step->x, n, c);

			for (int p = 0; p < step->y->h; p++) {
				for (int q = 0; q < step->y->w; q++) {
					int32_t best = window_best(step, x, p, q);

					*y++ = x[best];
					if (winner)
						*winner++ = best;
				}
			}
		}
	}
	return THAW_OK;
}

/* A number that won in several windows gets the sum of their gradients. */
static thaw_status max_backward(struct thaw_step *step)
{
	size_t in_plane = (size_t)step->x->h * (size_t)step->x->w, out_plane = (size_t)step->y->h * (size_t)step->y->w;
	const int32_t *winner = step->saved;
	double *sums = step->workspace;

	for (int n = 0; n < step->x->n; n++) {
		for (int c = 0; c < step->x->c; c++) {
			float *dx = thaw_reference_plane(step->dx, n, c);
			const float *dy = thaw_reference_plane(step->dy[0], n, c);

			for (size_t i = 0; i < in_plane; i++)
				sums[i] = 0;
			for (size_t i = 0; i < out_plane; i++)
				sums[*winner++] += dy[i];
			for (size_t i = 0; i < in_plane; i++)
				dx[i] = (float)sums[i];
		}
	}
	return THAW_OK;
}

static thaw_status global_prepare(struct thaw_step *step)
{
	thaw_tensor_layout(step->y, 1);
	return THAW_OK;
}

static thaw_status global_forward(struct thaw_step *step)
{
	size_t plane = (size_t)step->x->h * (size_t)step->x->w, planes = thaw_reference_elems(step->y);

	for (size_t i = 0; i < planes; i++) {
		double sum = 0;

		for (size_t j = 0; j < plane; j++)
			sum += step->x->data[i * plane + j];
		step->y->data[i] = (float)(sum / (double)plane);
	}
	return THAW_OK;
}

static thaw_status global_backward(struct thaw_step *step)
{
	size_t plane = (size_t)step->x->h * (size_t)step->x->w, planes = thaw_reference_elems(step->y);

	for (size_t i = 0; i < planes; i++)
		for (size_t j = 0; j < plane; j++)
			step->dx->data[i * plane + j] = (float)(step->dy[0]->data[i] / (double)plane);
	return THAW_OK;
}

const struct thaw_op_ops thaw_reference_max_pool = {
	.prepare = max_prepare,
	.forward = max_forward,
	.backward = max_backward,
	.gradients_limit = 1,
};

const struct thaw_op_ops thaw_reference_global_pool = {
	.prepare = global_prepare,
	.forward = global_forward,
	.backward = global_backward,
	.gradients_limit = 1,
};
