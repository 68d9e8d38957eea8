/*
 * The fully connected layer: x (N,C), weight (K,C), y (N,K), all without blocks.
 *
 * Plain loops over contiguous rows: it is a thousandth of a network's work, and a library's matrix product takes
 * longer to generate its code than all the steps of a short run take here. Every number is summed by one thread in one
 * order, so that the bits do not depend on the number of threads.
 */
#include "nn/cpu/cpu.h"

#include <string.h>

enum { COLUMNS = 64 }; /* floats of a row that are worked on at a time: the rows of a batch stay in the L1 cache */

static thaw_status prepare(struct thaw_step *step)
{
	if (step->x->block != 1)
		return thaw_fail(THAW_FAILED, "'%s' reads a blocked tensor", step->name);
	thaw_tensor_layout(step->y, 1);
	step->keeps_x = step->dweight != NULL;
	return THAW_OK;
}

static float dot(const float *a, const float *b, int count)
{
	float sum = 0.0f;

#pragma omp simd reduction(+ : sum)
	for (int i = 0; i < count; i++)
		sum += a[i] * b[i];
	return sum;
}

/* y += scale * x */
static void add_scaled(float *y, float scale, const float *x, int count)
{
#pragma omp simd
	for (int i = 0; i < count; i++)
		y[i] += scale * x[i];
}

static thaw_status forward(struct thaw_step *step)
{
	int n = step->x->n, c = step->x->c, k = step->y->c;

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int j = 0; j < k; j++)
		for (int i = 0; i < n; i++)
			step->y->data[(size_t)i * (size_t)k + (size_t)j] =
				dot(step->x->data + (size_t)i * (size_t)c, step->weight + (size_t)j * (size_t)c, c) +
				(step->bias ? step->bias[j] : 0.0f);
	return THAW_OK;
}

/* dx = dy weight */
static void input_gradient(const struct thaw_step *step)
{
	int n = step->x->n, c = step->x->c, k = step->y->c;
	const float *dy = step->dy[0]->data;

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int begin = 0; begin < c; begin += COLUMNS) {
		int count = c - begin < COLUMNS ? c - begin : COLUMNS;
		float *dx = step->dx->data + begin;

		for (int i = 0; i < n; i++)
			memset(dx + (size_t)i * (size_t)c, 0, (size_t)count * sizeof *dx);
		for (int j = 0; j < k; j++)
			for (int i = 0; i < n; i++)
				add_scaled(dx + (size_t)i * (size_t)c, dy[(size_t)i * (size_t)k + (size_t)j],
				           step->weight + (size_t)j * (size_t)c + begin, count);
	}
}

/* dweight = dy^T x */
static void weight_gradient(const struct thaw_step *step)
{
	int n = step->x->n, c = step->x->c, k = step->y->c;
	const float *dy = step->dy[0]->data;

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int j = 0; j < k; j++) {
		float *row = step->dweight + (size_t)j * (size_t)c;

		memset(row, 0, (size_t)c * sizeof *row);
		for (int i = 0; i < n; i++)
			add_scaled(row, dy[(size_t)i * (size_t)k + (size_t)j], step->x->data + (size_t)i * (size_t)c, c);
	}
}

/* dbias: dy summed over the batch */
static void bias_gradient(const struct thaw_step *step)
{
	int n = step->x->n, k = step->y->c;

	for (int j = 0; j < k; j++) {
		double sum = 0.0;

		for (int i = 0; i < n; i++)
			sum += step->dy[0]->data[(size_t)i * (size_t)k + (size_t)j];
		step->dbias[j] = (float)sum;
	}
}

static thaw_status backward(struct thaw_step *step)
{
	if (step->dx)
		input_gradient(step);
	if (step->dweight)
		weight_gradient(step);
	if (step->dbias)
		bias_gradient(step);
	return THAW_OK;
}

const struct thaw_op_ops thaw_cpu_linear = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 1,
};
