/*
 * Batch norm with what stands behind it: [+ residual] [relu] in one pass over memory.
 *
 * Forward reads x once for the statistics and once to normalise; backward reads dy and x once for the sums and once
 * for dx. Means and sums of squares come from short runs of pixels that stay in the first-level cache (two passes
 * there), joined in double precision (Chan, Golub, LeVeque 1979, eq. 1.5), so that a large mean costs no digits.
 * Joining goes by picture and run, whatever the number of threads.
 */
#include "nn/cpu/cpu.h"

#include <math.h>

#include "base/mem.h"

enum { RUN = 128 }; /* pixels in a run */

/* Sums of one plane, per channel. Forward: mean and sum of squares about it. Backward: sums of g and of g * (x -
 * mean). */
struct sums {
	double first, second;
};

/* What every loop needs of a step. `saved` keeps {mean, 1 / sqrt(variance + epsilon)} per channel, lanes beyond C
 * included. */
struct norm {
	const struct thaw_step *step;
	int blocks, planes, block;
	size_t pixels;         /* H * W */
	float *mean, *inverse; /* (blocks * block) */
	struct sums *sums;     /* (N, blocks * block) in the workspace */
};

static struct norm norm_of(const struct thaw_step *step)
{
	const struct thaw_tensor *x = step->x;
	int blocks = thaw_cpu_blocks(x);

	return (struct norm){
		.step = step,
		.blocks = blocks,
		.planes = x->n * blocks,
		.block = x->block,
		.pixels = (size_t)x->h * (size_t)x->w,
		.mean = step->saved,
		.inverse = (float *)step->saved + blocks * x->block,
		.sums = step->workspace,
	};
}

static thaw_status prepare(struct thaw_step *step)
{
	size_t lanes = (size_t)thaw_cpu_blocks(step->x) * (size_t)step->x->block;

	thaw_tensor_layout(step->y, step->x->block);
	step->saved_bytes = 2 * lanes * sizeof(float);
	step->workspace_bytes = (size_t)step->x->n * lanes * sizeof(struct sums);
	step->keeps_x = step->batch_statistics || step->dgamma || (step->relu && !step->residual);
	step->keeps_y = step->relu && step->residual;
	return THAW_OK;
}

/* --- forward ----------------------------------------------------------------------------------------------------- */

/* Joins a run of `count` pixels with this mean and square sum to `before` pixels in `total`. */
static void join(struct sums *total, double before, double count, double mean, double squares)
{
	double delta = mean - total->first, all = before + count;

	total->first += delta * count / all;
	total->second += squares + delta * delta * before * count / all;
}

THAW_LOOP void plane_moments(const float *restrict x, size_t pixels, const int b, struct sums *restrict out)
{
	for (int l = 0; l < b; l++)
		out[l] = (struct sums){0, 0};
	for (size_t begin = 0; begin < pixels; begin += RUN) {
		size_t count = pixels - begin < RUN ? pixels - begin : RUN;
		const float *run = x + begin * (size_t)b;
		float mean[THAW_WIDEST] = {0}, squares[THAW_WIDEST] = {0};

		for (size_t p = 0; p < count; p++)
			for (int l = 0; l < b; l++)
				mean[l] += run[p * (size_t)b + (size_t)l];
		for (int l = 0; l < b; l++)
			mean[l] /= (float)count;
		for (size_t p = 0; p < count; p++)
			for (int l = 0; l < b; l++) {
				float d = run[p * (size_t)b + (size_t)l] - mean[l];

				squares[l] += d * d;
			}
		for (int l = 0; l < b; l++)
			join(&out[l], (double)begin, (double)count, mean[l], squares[l]);
	}
}

/* Mean and variance of the batch per channel; contributes them to the running statistics. */
static void batch_moments(const struct norm *m)
{
	const struct thaw_step *step = m->step;
	const struct thaw_tensor *x = step->x;
	double pixels = (double)m->pixels, count = pixels * x->n;
	double share = step->run->share;
	int lanes = m->blocks * m->block;

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int p = 0; p < m->planes; p++) {
		const float *plane = x->data + (size_t)p * thaw_cpu_plane(x);
		struct sums *sums = m->sums + (size_t)p * (size_t)m->block;

		THAW_BY_BLOCK(m->block, plane_moments(plane, m->pixels, b, sums));
	}
	for (int c = 0; c < x->c; c++) {
		struct sums total = {0, 0};

		for (int n = 0; n < x->n; n++) {
			const struct sums *part = &m->sums[(size_t)n * (size_t)lanes + (size_t)c];

			join(&total, n * pixels, pixels, part->first, part->second);
		}
		m->mean[c] = (float)total.first;
		m->inverse[c] = (float)(1.0 / sqrt(total.second / count + step->epsilon));
		/* A single number has no variance: it contributes what the running statistics are, and so does not move them. */
		step->batch_mean[c] = (float)(share * (count > 1 ? total.first : step->mean[c]));
		step->batch_variance[c] = (float)(share * (count > 1 ? total.second / (count - 1) : step->variance[c]));
	}
}

static void running_moments(const struct norm *m)
{
	const struct thaw_step *step = m->step;

	for (int c = 0; c < step->x->c; c++) {
		m->mean[c] = step->mean[c];
		m->inverse[c] = (float)(1.0 / sqrt((double)step->variance[c] + step->epsilon));
	}
}

/* Per-lane constants of one block of channels: y = (x - mean) * scale + beta. Lanes beyond C give 0. */
struct lanes {
	float mean[THAW_WIDEST], scale[THAW_WIDEST], beta[THAW_WIDEST];
};

static struct lanes lanes_of(const struct norm *m, int plane)
{
	int first = plane % m->blocks * m->block;
	struct lanes k = {{0}, {0}, {0}};

	for (int l = 0; l < m->block && first + l < m->step->x->c; l++) {
		k.mean[l] = m->mean[first + l];
		k.scale[l] = m->step->gamma[first + l] * m->inverse[first + l];
		k.beta[l] = m->step->beta[first + l];
	}
	return k;
}

/* `residual` may be y. NaN stays NaN through the clamp. */
THAW_LOOP void plane_forward(const float *x, const float *residual, float *y, size_t pixels, const int b, bool relu,
                             const struct lanes *k)
{
	for (size_t p = 0; p < pixels; p++) {
#pragma omp simd
		for (int l = 0; l < b; l++) {
			size_t i = p * (size_t)b + (size_t)l;
			float v = (x[i] - k->mean[l]) * k->scale[l] + k->beta[l];

			if (residual)
				v += residual[i];
			y[i] = relu && v < 0.0f ? 0.0f : v;
		}
	}
}

/* One copy of the loop for each case, so that its inside has no branch. */
THAW_LOOP void plane_forward_cases(const float *x, const float *residual, float *y, size_t pixels, const int b,
                                   bool relu, const struct lanes *k)
{
	if (residual && relu)
		plane_forward(x, residual, y, pixels, b, true, k);
	else if (residual)
		plane_forward(x, residual, y, pixels, b, false, k);
	else if (relu)
		plane_forward(x, NULL, y, pixels, b, true, k);
	else
		plane_forward(x, NULL, y, pixels, b, false, k);
}

static thaw_status forward(struct thaw_step *step)
{
	struct norm m = norm_of(step);

	if (step->batch_statistics)
		batch_moments(&m);
	else
		running_moments(&m);
#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int p = 0; p < m.planes; p++) {
		size_t at = (size_t)p * thaw_cpu_plane(step->x);
		const float *x = step->x->data + at, *residual = step->residual ? step->residual->data + at : NULL;
		float *y = step->y->data + at;
		struct lanes k = lanes_of(&m, p);

		THAW_BY_BLOCK(m.block, plane_forward_cases(x, residual, y, m.pixels, b, step->relu, &k));
	}
	return THAW_OK;
}

/* --- backward ---------------------------------------------------------------------------------------------------- */

/* The gradient behind the clamp: g = dy (+ more) where y was above 0. `g` may be dy. */
struct clamp {
	const float *dy, *more; /* more NULL: one gradient */
	const float *x, *y;     /* y NULL: recomputed from x; x NULL: not needed, as statistics are fixed and y is there */
	float *g;
	bool relu;
};

THAW_LOOP void plane_sums(const struct clamp c, size_t pixels, const int b, const struct lanes *k,
                          struct sums *restrict out)
{
	for (int l = 0; l < b; l++)
		out[l] = (struct sums){0, 0};
	for (size_t begin = 0; begin < pixels; begin += RUN) {
		size_t end = pixels - begin < RUN ? pixels : begin + RUN;
		float first[THAW_WIDEST] = {0}, second[THAW_WIDEST] = {0};

		for (size_t p = begin; p < end; p++) {
#pragma omp simd
			for (int l = 0; l < b; l++) {
				size_t i = p * (size_t)b + (size_t)l;
				float centred = c.x ? c.x[i] - k->mean[l] : 0.0f, v = c.more ? c.dy[i] + c.more[i] : c.dy[i];

				if (c.relu)
					v = (c.y ? c.y[i] : centred * k->scale[l] + k->beta[l]) <= 0.0f ? 0.0f : v;
				c.g[i] = v;
				first[l] += v;
				second[l] += v * centred;
			}
		}
		for (int l = 0; l < b; l++) {
			out[l].first += first[l];
			out[l].second += second[l];
		}
	}
}

/* The loop once for each way to find the clamp, so that its inside has no branch. */
THAW_LOOP void plane_sums_clamps(struct clamp c, size_t pixels, const int b, const struct lanes *k, struct sums *out)
{
	if (!c.relu && !c.x)
		plane_sums((struct clamp){c.dy, c.more, NULL, NULL, c.g, false}, pixels, b, k, out);
	else if (!c.relu)
		plane_sums((struct clamp){c.dy, c.more, c.x, NULL, c.g, false}, pixels, b, k, out);
	else if (!c.x)
		plane_sums((struct clamp){c.dy, c.more, NULL, c.y, c.g, true}, pixels, b, k, out);
	else if (c.y)
		plane_sums((struct clamp){c.dy, c.more, c.x, c.y, c.g, true}, pixels, b, k, out);
	else
		plane_sums((struct clamp){c.dy, c.more, c.x, NULL, c.g, true}, pixels, b, k, out);
}

THAW_LOOP void plane_sums_cases(struct clamp c, size_t pixels, const int b, const struct lanes *k, struct sums *out)
{
	if (c.more)
		plane_sums_clamps(c, pixels, b, k, out);
	else
		plane_sums_clamps((struct clamp){c.dy, NULL, c.x, c.y, c.g, c.relu}, pixels, b, k, out);
}

/* dx = g * scale + (x - mean) * slope + level; `dx` may be g. */
THAW_LOOP void plane_dx(const float *g, const float *x, float *dx, size_t pixels, const int b, const struct lanes *k,
                        const float *slope, const float *level)
{
	for (size_t p = 0; p < pixels; p++) {
#pragma omp simd
		for (int l = 0; l < b; l++) {
			size_t i = p * (size_t)b + (size_t)l;

			dx[i] = g[i] * k->scale[l] + ((x[i] - k->mean[l]) * slope[l] + level[l]);
		}
	}
}

THAW_LOOP void plane_scale(const float *g, float *dx, size_t pixels, const int b, const struct lanes *k)
{
	for (size_t p = 0; p < pixels; p++) {
#pragma omp simd
		for (int l = 0; l < b; l++)
			dx[p * (size_t)b + (size_t)l] = g[p * (size_t)b + (size_t)l] * k->scale[l];
	}
}

/* Writes g, sums it, and adds the planes' sums up in sums[0 .. C - 1]. */
static void gradient_sums(const struct norm *m, float *g)
{
	const struct thaw_step *step = m->step;
	int lanes = m->blocks * m->block;

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int p = 0; p < m->planes; p++) {
		size_t at = (size_t)p * thaw_cpu_plane(step->x);
		struct sums *sums = m->sums + (size_t)p * (size_t)m->block;
		struct lanes k = lanes_of(m, p);
		struct clamp c = {
			.dy = step->dy[0]->data + at,
			.more = step->dy_count > 1 ? step->dy[1]->data + at : NULL,
			.x = step->keeps_x ? step->x->data + at : NULL,
			.y = step->keeps_y ? step->y->data + at : NULL,
			.g = g + at,
			.relu = step->relu,
		};

		THAW_BY_BLOCK(m->block, plane_sums_cases(c, m->pixels, b, &k, sums));
	}
	for (int c = 0; c < step->x->c; c++)
		for (int n = 1; n < step->x->n; n++) {
			m->sums[c].first += m->sums[(size_t)n * (size_t)lanes + (size_t)c].first;
			m->sums[c].second += m->sums[(size_t)n * (size_t)lanes + (size_t)c].second;
		}
}

/* With the batch's statistics: gamma * inverse * (g - mean(g) - (x - mean) * inverse^2 * mean(g * (x - mean))), Ioffe
 * & Szegedy 2015, section 3; with running ones only the first term. */
static void input_gradient(const struct norm *m, const float *g, float *dx)
{
	const struct thaw_step *step = m->step;
	double count = (double)m->pixels * step->x->n;

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int p = 0; p < m->planes; p++) {
		size_t at = (size_t)p * thaw_cpu_plane(step->x);
		int first = p % m->blocks * m->block;
		struct lanes k = lanes_of(m, p);
		float slope[THAW_WIDEST] = {0}, level[THAW_WIDEST] = {0};

		for (int l = 0; l < m->block && first + l < step->x->c; l++) {
			double inverse = m->inverse[first + l];

			slope[l] = (float)(-k.scale[l] * inverse * inverse * m->sums[first + l].second / count);
			level[l] = (float)(-k.scale[l] * m->sums[first + l].first / count);
		}
		if (step->batch_statistics)
			THAW_BY_BLOCK(m->block, plane_dx(g + at, step->x->data + at, dx + at, m->pixels, b, &k, slope, level));
		else
			THAW_BY_BLOCK(m->block, plane_scale(g + at, dx + at, m->pixels, b, &k));
	}
}

static thaw_status backward(struct thaw_step *step)
{
	struct norm m = norm_of(step);
	float *g = step->dresidual ? step->dresidual->data : step->dx ? step->dx->data : step->dy[0]->data;

	gradient_sums(&m, g);
	for (int c = 0; c < step->x->c; c++) {
		if (step->dgamma)
			step->dgamma[c] = (float)(m.sums[c].second * m.inverse[c]);
		if (step->dbeta)
			step->dbeta[c] = (float)m.sums[c].first;
	}
	if (step->dx)
		input_gradient(&m, g, step->dx->data);
	return THAW_OK;
}

const struct thaw_op_ops thaw_cpu_batch_norm = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 2,
	.overwrites_residual = true,
	.overwrites_dy = true,
};
