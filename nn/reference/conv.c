/*
 * Convolution: y[n][k][p][q] = bias[k] + sum over c, r, s of weight[k][c][r][s] * x[n][c][h][w] with h = p * stride
 * - pad + r and w = q * stride - pad + s, where x is 0 outside the picture and c runs over the input channels of k's
 * group.
 *
 * Whole planes are summed at a time: each tap (c, r, s) adds a shifted plane.
 */
#include <math.h>

#include "nn/reference/reference.h"

struct range {
	int from, to; /* to is one past the last */
};

/* The outputs o of 0 .. outs - 1 whose tap falls on the picture: 0 <= o * stride - pad + tap < ins. */
static struct range covered(const struct thaw_step *step, int tap, int ins, int outs)
{
	struct range range = {0, outs};

	while (range.from < outs && range.from * step->stride - step->pad + tap < 0)
		range.from++;
	while (range.to > range.from && (range.to - 1) * step->stride - step->pad + tap >= ins)
		range.to--;
	return range;
}

/* One tap of one kernel: the outputs [p][q] it reaches, and the input each of them reads there. */
struct tap {
	struct range p, q;
	int row, column; /* output (p, q) reads input (p * stride + row, q * stride + column) */
};

static struct tap tap_at(const struct thaw_step *step, int r, int s)
{
	return (struct tap){
		.p = covered(step, r, step->x->h, step->y->h),
		.q = covered(step, s, step->x->w, step->y->w),
		.row = r - step->pad,
		.column = s - step->pad,
	};
}

static size_t input_index(const struct thaw_step *step, const struct tap *tap, int p, int q)
{
	return (size_t)(p * step->stride + tap->row) * (size_t)step->x->w + (size_t)(q * step->stride + tap->column);
}

/* Of weight: (K, C / groups, R, S). `c` counts within the group. */
static size_t weight_index(const struct thaw_step *step, int k, int c, int r, int s)
{
	int channels = step->x->c / step->groups;

	return (((size_t)k * (size_t)channels + (size_t)c) * (size_t)step->kernel + (size_t)r) * (size_t)step->kernel +
		   (size_t)s;
}

static thaw_status prepare(struct thaw_step *step)
{
	size_t in_plane = (size_t)step->x->h * (size_t)step->x->w, out_plane = (size_t)step->y->h * (size_t)step->y->w;

	thaw_tensor_layout(step->y, 1);
	step->workspace_bytes = (in_plane > out_plane ? in_plane : out_plane) * sizeof(double);
	step->keeps_x = step->dweight != NULL;
	return THAW_OK;
}

/* sums (P, Q) += one tap of input plane x (H, W). */
static void add_tap(const struct thaw_step *step, const struct tap *tap, double weight, const float *x, double *sums)
{
	for (int p = tap->p.from; p < tap->p.to; p++)
		for (int q = tap->q.from; q < tap->q.to; q++)
			sums[(size_t)p * (size_t)step->y->w + (size_t)q] += weight * x[input_index(step, tap, p, q)];
}

/* What is done to the sums of channel k before residual and clamp: bias, then the folded norm. */
static void channel_affine(const struct thaw_step *step, int k, double *scale_out, double *shift_out)
{
	double bias = step->bias ? step->bias[k] : 0;

	*scale_out = 1;
	*shift_out = bias;
	if (step->fold) {
		*scale_out = step->gamma[k] / sqrt(step->variance[k] + step->epsilon);
		*shift_out = (bias - step->mean[k]) * *scale_out + step->beta[k];
	}
}

static thaw_status forward(struct thaw_step *step)
{
	int group_in = step->x->c / step->groups, group_out = step->y->c / step->groups;
	size_t elems = (size_t)step->y->h * (size_t)step->y->w;
	double *sums = step->workspace, scale, shift;

	for (int n = 0; n < step->y->n; n++) {
		for (int k = 0; k < step->y->c; k++) {
			float *y = thaw_reference_plane(step->y, n, k);
			const float *residual = step->residual ? thaw_reference_plane(step->residual, n, k) : NULL;

			for (size_t i = 0; i < elems; i++)
				sums[i] = 0;
			for (int c = 0; c < group_in; c++) {
				const float *x = thaw_reference_plane(step->x, n, k / group_out * group_in + c);

				for (int r = 0; r < step->kernel; r++) {
					for (int s = 0; s < step->kernel; s++) {
						struct tap tap = tap_at(step, r, s);

						add_tap(step, &tap, step->weight[weight_index(step, k, c, r, s)], x, sums);
					}
				}
			}
			channel_affine(step, k, &scale, &shift);
			for (size_t i = 0; i < elems; i++)
				y[i] = (float)thaw_reference_clamp(step, sums[i] * scale + shift + (residual ? residual[i] : 0));
		}
	}
	return THAW_OK;
}

/* sums (H, W) += what one tap sends back from gradient plane dy (P, Q). */
static void add_tap_back(const struct thaw_step *step, const struct tap *tap, double weight, const float *dy,
						 double *sums)
{
	for (int p = tap->p.from; p < tap->p.to; p++)
		for (int q = tap->q.from; q < tap->q.to; q++)
			sums[input_index(step, tap, p, q)] += weight * dy[(size_t)p * (size_t)step->y->w + (size_t)q];
}

static void backward_input(struct thaw_step *step)
{
	int group_in = step->x->c / step->groups, group_out = step->y->c / step->groups;
	size_t elems = (size_t)step->x->h * (size_t)step->x->w;
	double *sums = step->workspace;

	for (int n = 0; n < step->x->n; n++) {
		for (int c = 0; c < step->x->c; c++) {
			float *dx = thaw_reference_plane(step->dx, n, c);
			int first = c / group_in * group_out;

			for (size_t i = 0; i < elems; i++)
				sums[i] = 0;
			for (int k = first; k < first + group_out; k++) {
				const float *dy = thaw_reference_plane(step->dy[0], n, k);

				for (int r = 0; r < step->kernel; r++) {
					for (int s = 0; s < step->kernel; s++) {
						struct tap tap = tap_at(step, r, s);

						add_tap_back(step, &tap, step->weight[weight_index(step, k, c % group_in, r, s)], dy, sums);
					}
				}
			}
			for (size_t i = 0; i < elems; i++)
				dx[i] = (float)sums[i];
		}
	}
}

/* The gradient of one weight: input channel c (of x) and gradient channel k multiplied at one tap. */
static double tap_product(const struct thaw_step *step, const struct tap *tap, int c, int k)
{
	double sum = 0;

	for (int n = 0; n < step->x->n; n++) {
		const float *x = thaw_reference_plane(step->x, n, c);
		const float *dy = thaw_reference_plane(step->dy[0], n, k);

		for (int p = tap->p.from; p < tap->p.to; p++)
			for (int q = tap->q.from; q < tap->q.to; q++)
				sum += (double)x[input_index(step, tap, p, q)] * dy[(size_t)p * (size_t)step->y->w + (size_t)q];
	}
	return sum;
}

static void backward_weight(struct thaw_step *step)
{
	int group_in = step->x->c / step->groups, group_out = step->y->c / step->groups;

	for (int k = 0; k < step->y->c; k++) {
		for (int c = 0; c < group_in; c++) {
			for (int r = 0; r < step->kernel; r++) {
				for (int s = 0; s < step->kernel; s++) {
					struct tap tap = tap_at(step, r, s);

					step->dweight[weight_index(step, k, c, r, s)] =
						(float)tap_product(step, &tap, k / group_out * group_in + c, k);
				}
			}
		}
	}
}

static void backward_bias(struct thaw_step *step)
{
	size_t elems = (size_t)step->y->h * (size_t)step->y->w;

	for (int k = 0; k < step->y->c; k++) {
		double sum = 0;

		for (int n = 0; n < step->y->n; n++) {
			const float *dy = thaw_reference_plane(step->dy[0], n, k);

			for (size_t i = 0; i < elems; i++)
				sum += dy[i];
		}
		step->dbias[k] = (float)sum;
	}
}

static thaw_status backward(struct thaw_step *step)
{
	if (step->dweight)
		backward_weight(step);
	if (step->dbias)
		backward_bias(step);
	if (step->dx)
		backward_input(step);
	return THAW_OK;
}

const struct thaw_op_ops thaw_reference_conv = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 1,
};
