/* Pooling, and the shortcut that drops pixels and adds channels. */
#include "nn/cpu/cpu.h"

#include <math.h>
#include <string.h>

/* --- max pool ---------------------------------------------------------------------------------------------------- */

/* Keeps, for each number of y, which place of its window it came from: one byte. */
static thaw_status max_prepare(struct thaw_step *step)
{
	thaw_tensor_layout(step->y, step->x->block);
	if (step->kernel * step->kernel > 256)
		return thaw_fail(THAW_FAILED, "'%s': a window of %d x %d is too large", step->name, step->kernel, step->kernel);
	if (step->dx)
		step->saved_bytes = thaw_cpu_elems(step->y);
	return THAW_OK;
}

/* The best of one window for `b` lanes. The first of equal ones wins, and NaN wins over all, as in PyTorch. */
THAW_LOOP void window_max(const struct thaw_step *step, const float *plane, int oh, int ow, const int b,
                          float *restrict best, int32_t *restrict place)
{
	const struct thaw_tensor *x = step->x;

	for (int l = 0; l < b; l++) {
		best[l] = -INFINITY;
		place[l] = 0;
	}
	for (int r = 0; r < step->kernel; r++) {
		int h = oh * step->stride - step->pad + r;

		for (int s = 0; s < step->kernel && h >= 0 && h < x->h; s++) {
			int w = ow * step->stride - step->pad + s;
			const float *v = plane + ((size_t)h * (size_t)x->w + (size_t)w) * (size_t)b;

			if (w < 0 || w >= x->w)
				continue;
			for (int l = 0; l < b; l++) {
				bool better = v[l] > best[l] || v[l] != v[l];

				best[l] = better ? v[l] : best[l];
				place[l] = better ? r * step->kernel + s : place[l];
			}
		}
	}
}

THAW_LOOP void plane_max(const struct thaw_step *step, int p, const int b)
{
	const float *plane = step->x->data + (size_t)p * thaw_cpu_plane(step->x);
	float *y = step->y->data + (size_t)p * thaw_cpu_plane(step->y);
	uint8_t *places = step->saved ? (uint8_t *)step->saved + (size_t)p * thaw_cpu_plane(step->y) : NULL;

	for (int oh = 0; oh < step->y->h; oh++)
		for (int ow = 0; ow < step->y->w; ow++, y += b) {
			float best[THAW_WIDEST];
			int32_t place[THAW_WIDEST];

			window_max(step, plane, oh, ow, b, best, place);
			for (int l = 0; l < b; l++)
				y[l] = best[l];
			for (int l = 0; l < b && places; l++)
				*places++ = (uint8_t)place[l];
		}
}

static thaw_status max_forward(struct thaw_step *step)
{
	int planes = step->y->n * thaw_cpu_blocks(step->y);

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int p = 0; p < planes; p++) {
		THAW_BY_BLOCK(step->x->block, plane_max(step, p, b));
	}
	return THAW_OK;
}

/* Adds each gradient where its window took the maximum. Windows that overlap follow each other: the order is fixed. */
THAW_LOOP void plane_max_gradient(const struct thaw_step *step, int p, const int b)
{
	const struct thaw_tensor *x = step->x;
	float *plane = step->dx->data + (size_t)p * thaw_cpu_plane(x);
	const float *dy = step->dy[0]->data + (size_t)p * thaw_cpu_plane(step->y);
	const uint8_t *places = (const uint8_t *)step->saved + (size_t)p * thaw_cpu_plane(step->y);

	memset(plane, 0, thaw_cpu_plane(x) * sizeof *plane);
	for (int oh = 0; oh < step->y->h; oh++)
		for (int ow = 0; ow < step->y->w; ow++, dy += b, places += b)
			for (int place = 0; place < step->kernel * step->kernel; place++) {
				int h = oh * step->stride - step->pad + place / step->kernel;
				int w = ow * step->stride - step->pad + place % step->kernel;
				float *dx = plane + ((size_t)h * (size_t)x->w + (size_t)w) * (size_t)b;

				if (h < 0 || h >= x->h || w < 0 || w >= x->w)
					continue;
				for (int l = 0; l < b; l++)
					dx[l] += (int32_t)places[l] == place ? dy[l] : 0.0f;
			}
}

static thaw_status max_backward(struct thaw_step *step)
{
	int planes = step->x->n * thaw_cpu_blocks(step->x);

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int p = 0; p < planes; p++) {
		THAW_BY_BLOCK(step->x->block, plane_max_gradient(step, p, b));
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_cpu_max_pool = {
	.prepare = max_prepare,
	.forward = max_forward,
	.backward = max_backward,
	.gradients_limit = 1,
};

/* --- global pool: (N,C,H,W) in blocks to (N,C) without ----------------------------------------------------------- */

static thaw_status global_prepare(struct thaw_step *step)
{
	thaw_tensor_layout(step->y, 1);
	return THAW_OK;
}

static thaw_status global_forward(struct thaw_step *step)
{
	const struct thaw_tensor *x = step->x;
	size_t pixels = (size_t)x->h * (size_t)x->w;

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int n = 0; n < x->n; n++)
		for (int c = 0; c < x->c; c++) {
			const float *first = x->data + thaw_tensor_at(x, n, c, 0, 0);
			double sum = 0.0;

			for (size_t i = 0; i < pixels; i++)
				sum += first[i * (size_t)x->block];
			step->y->data[(size_t)n * (size_t)x->c + (size_t)c] = (float)(sum / (double)pixels);
		}
	return THAW_OK;
}

static thaw_status global_backward(struct thaw_step *step)
{
	const struct thaw_tensor *dx = step->dx;
	size_t pixels = (size_t)dx->h * (size_t)dx->w, block = (size_t)dx->block;
	int blocks = thaw_cpu_blocks(dx);

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int p = 0; p < dx->n * blocks; p++) {
		float *plane = dx->data + (size_t)p * thaw_cpu_plane(dx);
		size_t first = (size_t)(p % blocks) * block;
		const float *dy = step->dy[0]->data + (size_t)(p / blocks) * (size_t)dx->c + first;

		for (size_t l = 0; l < block; l++) {
			float g = first + l < (size_t)dx->c ? dy[l] / (float)pixels : 0.0f;

			for (size_t i = 0; i < pixels; i++)
				plane[i * block + l] = g;
		}
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_cpu_global_pool = {
	.prepare = global_prepare,
	.forward = global_forward,
	.backward = global_backward,
	.gradients_limit = 1,
};

/* --- shortcut: y(k, h, w) = x(k - (K - C) / 2, h * stride, w * stride), 0 for the channels that x lacks ---------- */

static thaw_status shortcut_prepare(struct thaw_step *step)
{
	thaw_tensor_layout(step->y, thaw_cpu_block(step->y->c));
	return THAW_OK;
}

static thaw_status shortcut_forward(struct thaw_step *step)
{
	const struct thaw_tensor *x = step->x, *y = step->y;
	int added = (y->c - x->c) / 2;

	memset(y->data, 0, y->size_bytes);
#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int n = 0; n < x->n; n++)
		for (int c = 0; c < x->c; c++)
			for (int h = 0; h < y->h; h++)
				for (int w = 0; w < y->w; w++)
					y->data[thaw_tensor_at(y, n, c + added, h, w)] =
						x->data[thaw_tensor_at(x, n, c, h * step->stride, w * step->stride)];
	return THAW_OK;
}

static thaw_status shortcut_backward(struct thaw_step *step)
{
	const struct thaw_tensor *dx = step->dx, *dy = step->dy[0];
	int added = (dy->c - dx->c) / 2;

	memset(dx->data, 0, dx->size_bytes);
#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int n = 0; n < dx->n; n++)
		for (int c = 0; c < dx->c; c++)
			for (int h = 0; h < dy->h; h++)
				for (int w = 0; w < dy->w; w++)
					dx->data[thaw_tensor_at(dx, n, c, h * step->stride, w * step->stride)] =
						dy->data[thaw_tensor_at(dy, n, c + added, h, w)];
	return THAW_OK;
}

const struct thaw_op_ops thaw_cpu_shortcut = {
	.prepare = shortcut_prepare,
	.forward = shortcut_forward,
	.backward = shortcut_backward,
	.gradients_limit = 1,
};
