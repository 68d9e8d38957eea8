/*
 * Every gradient of the reference backend against finite differences.
 *
 * The loss is sum(dy * y) with random dy, so that its gradient is what backward returns. Each number of each input is
 * moved by +-2^-7. Where that carries some y across a kink of relu the difference means nothing and is left out; maxima
 * are kept apart by more than the move.
 */
#include <math.h>

#include "base/random.h"
#include "nn/device.h"
#include "tests/ops/harness.h"
#include "tests/test.h"

#define MOVE 0x1p-7f
#define TOLERANCE 3e-4 /* of the gradient's norm: rounding and the third derivative stay below, 1% off does not */

static const struct op_case cases[] = {
	{.name = "conv 3x3", .kind = THAW_OP_CONV,
	 .n = 2, .c = 3, .h = 4, .w = 5, .k = 4, .kernel = 3, .stride = 1, .pad = 1, .groups = 1, .bias = true},
	{.name = "conv 3x3, stride 2", .kind = THAW_OP_CONV,
	 .n = 1, .c = 2, .h = 5, .w = 6, .k = 3, .kernel = 3, .stride = 2, .pad = 1, .groups = 1},
	{.name = "conv 1x1, stride 2", .kind = THAW_OP_CONV,
	 .n = 2, .c = 4, .h = 5, .w = 3, .k = 2, .kernel = 1, .stride = 2, .groups = 1},
	{.name = "conv 3x3, groups 2", .kind = THAW_OP_CONV,
	 .n = 2, .c = 4, .h = 4, .w = 3, .k = 6, .kernel = 3, .stride = 1, .pad = 1, .groups = 2, .bias = true},
	{.name = "conv 7x7 on 3x2", .kind = THAW_OP_CONV,
	 .n = 1, .c = 2, .h = 3, .w = 2, .k = 3, .kernel = 7, .stride = 2, .pad = 3, .groups = 1},
	{.name = "batch_norm", .kind = THAW_OP_BATCH_NORM,
	 .n = 2, .c = 3, .h = 4, .w = 3, .k = 3, .batch_statistics = true},
	{.name = "batch_norm, relu", .kind = THAW_OP_BATCH_NORM,
	 .n = 3, .c = 2, .h = 3, .w = 3, .k = 2, .batch_statistics = true, .relu = true},
	{.name = "batch_norm, add, relu", .kind = THAW_OP_BATCH_NORM,
	 .n = 2, .c = 3, .h = 3, .w = 4, .k = 3, .batch_statistics = true, .relu = true, .residual = true},
	{.name = "batch_norm, running", .kind = THAW_OP_BATCH_NORM,
	 .n = 2, .c = 3, .h = 2, .w = 3, .k = 3},
	{.name = "batch_norm, running, add, relu", .kind = THAW_OP_BATCH_NORM,
	 .n = 2, .c = 3, .h = 2, .w = 3, .k = 3, .relu = true, .residual = true},
	{.name = "relu", .kind = THAW_OP_RELU,
	 .n = 2, .c = 3, .h = 4, .w = 3, .k = 3, .relu = true},
	{.name = "add", .kind = THAW_OP_ADD,
	 .n = 2, .c = 3, .h = 2, .w = 3, .k = 3, .residual = true},
	{.name = "add, relu", .kind = THAW_OP_ADD,
	 .n = 2, .c = 3, .h = 4, .w = 3, .k = 3, .residual = true, .relu = true},
	{.name = "max_pool 3x3, stride 2", .kind = THAW_OP_MAX_POOL,
	 .n = 2, .c = 2, .h = 5, .w = 6, .k = 2, .kernel = 3, .stride = 2, .pad = 1},
	{.name = "max_pool 2x2", .kind = THAW_OP_MAX_POOL,
	 .n = 1, .c = 3, .h = 5, .w = 4, .k = 3, .kernel = 2, .stride = 1},
	{.name = "global_pool", .kind = THAW_OP_GLOBAL_POOL,
	 .n = 2, .c = 3, .h = 3, .w = 5, .k = 3},
	{.name = "shortcut", .kind = THAW_OP_SHORTCUT,
	 .n = 2, .c = 3, .h = 5, .w = 4, .k = 8, .stride = 2},
	{.name = "linear", .kind = THAW_OP_LINEAR,
	 .n = 3, .c = 7, .h = 1, .w = 1, .k = 4, .bias = true},
	{.name = "loss", .kind = THAW_OP_LOSS,
	 .n = 4, .c = 6, .h = 1, .w = 1, .k = 6},
	{.name = "loss, smoothed", .kind = THAW_OP_LOSS,
	 .n = 4, .c = 6, .h = 1, .w = 1, .k = 6, .smoothing = 20},
	{.name = "loss, weighted", .kind = THAW_OP_LOSS,
	 .n = 4, .c = 6, .h = 1, .w = 1, .k = 6, .weighted = true},
	{.name = "loss, mixed", .kind = THAW_OP_LOSS,
	 .n = 4, .c = 6, .h = 1, .w = 1, .k = 6, .mixed = true},
	{.name = "loss, smoothed, weighted", .kind = THAW_OP_LOSS,
	 .n = 4, .c = 6, .h = 1, .w = 1, .k = 6, .smoothing = 20, .weighted = true},
	{.name = "loss, smoothed, mixed", .kind = THAW_OP_LOSS,
	 .n = 4, .c = 6, .h = 1, .w = 1, .k = 6, .smoothing = 20, .mixed = true},
	{.name = "loss, weighted, mixed", .kind = THAW_OP_LOSS,
	 .n = 4, .c = 6, .h = 1, .w = 1, .k = 6, .weighted = true, .mixed = true},
	{.name = "loss, smoothed, weighted, mixed", .kind = THAW_OP_LOSS,
	 .n = 5, .c = 6, .h = 1, .w = 1, .k = 6, .smoothing = 20, .weighted = true, .mixed = true},
};

static const struct {
	enum op_array input, gradient;
} pairs[] = {
	{OP_X, OP_DX},       {OP_RESIDUAL, OP_DRESIDUAL}, {OP_WEIGHT, OP_DWEIGHT},
	{OP_BIAS, OP_DBIAS}, {OP_GAMMA, OP_DGAMMA},       {OP_BETA, OP_DBETA},
};

/* The scalar whose gradient the case computes. */
static double loss_of(const struct op_case *c, const struct op_arrays *arrays)
{
	double sum = 0;

	if (c->kind == THAW_OP_LOSS)
		return (double)arrays->data[OP_SCORE][0] * OP_SHARE / c->n;
	for (size_t i = 0; i < arrays->elems[OP_Y]; i++)
		sum += (double)arrays->data[OP_DY][i] * arrays->data[OP_Y][i];
	return sum;
}

/* Numbers that are further apart than a move. */
static void separate(float *values, size_t elems)
{
	int32_t *order = malloc(elems * sizeof *order);
	struct thaw_random random;

	thaw_random_init(&random, 1, THAW_RANDOM_TEST, 0, 0);
	thaw_random_permutation(&random, order, (int32_t)elems);
	for (size_t i = 0; i < elems; i++)
		values[i] = (float)order[i] * 4 * MOVE - 1;
	free(order);
}

static void run(struct thaw_device *device, const struct op_case *c, struct op_arrays *arrays)
{
	const char *fault = op_run(device, c, arrays);

	if (fault)
		TEST_FAIL("%s: %s", c->name, fault);
}

/* d loss / d *value by central difference; false if relu's mask changes on the way. `mask` has room for y. */
static bool difference(struct thaw_device *device, const struct op_case *c, struct op_arrays *arrays, float *value,
                       bool *mask, float *slope_out)
{
	float here = *value, above = here + MOVE, below = here - MOVE;
	double loss_above;
	bool same = true;

	*value = above;
	run(device, c, arrays);
	loss_above = loss_of(c, arrays);
	for (size_t i = 0; i < arrays->elems[OP_Y]; i++)
		mask[i] = arrays->data[OP_Y][i] > 0;
	*value = below;
	run(device, c, arrays);
	for (size_t i = 0; i < arrays->elems[OP_Y] && c->relu; i++)
		same &= mask[i] == (arrays->data[OP_Y][i] > 0);
	*value = here;
	*slope_out = (float)((loss_above - loss_of(c, arrays)) / ((double)above - below));
	return same;
}

static void check_gradient(struct thaw_device *device, const struct op_case *c, struct op_arrays *arrays,
                           enum op_array input, const float *gradient)
{
	size_t elems = arrays->elems[input], left_out = 0;
	float *slopes = malloc(elems * sizeof *slopes), *wrong = malloc(elems * sizeof *wrong);
	bool *mask = malloc(arrays->elems[OP_Y] + 1);
	double error;

	for (size_t i = 0; i < elems; i++) {
		wrong[i] = 1.01f * gradient[i];
		if (!difference(device, c, arrays, &arrays->data[input][i], mask, &slopes[i])) {
			slopes[i] = gradient[i];
			left_out++;
		}
	}
	error = op_error(slopes, gradient, elems);
	if (!(error <= TOLERANCE))
		TEST_FAIL("%s: the gradient of %s is off by %.3g of its norm", c->name, op_array_name(input), error);
	if (left_out > elems / 5)
		TEST_FAIL("%s: %zu of %zu differences of %s cross a kink", c->name, left_out, elems, op_array_name(input));
	if (op_error(slopes, wrong, elems) <= TOLERANCE)
		TEST_FAIL("%s: a gradient of %s that is 1%% too large would pass", c->name, op_array_name(input));
	free(slopes);
	free(wrong);
	free(mask);
}

static void check_case(struct thaw_device *device, struct op_case c)
{
	struct op_arrays analytic, moved;

	c.stride = c.stride ? c.stride : 1;
	c.kernel = c.kernel ? c.kernel : 1;
	c.groups = c.groups ? c.groups : 1;
	op_arrays_init(&analytic, &c);
	op_arrays_init(&moved, &c);
	if (c.kind == THAW_OP_MAX_POOL) {
		separate(analytic.data[OP_X], analytic.elems[OP_X]);
		separate(moved.data[OP_X], moved.elems[OP_X]);
	}
	run(device, &c, &analytic);
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (analytic.elems[pairs[i].gradient])
			check_gradient(device, &c, &moved, pairs[i].input, analytic.data[pairs[i].gradient]);
	op_arrays_release(&analytic);
	op_arrays_release(&moved);
}

int main(void)
{
	struct thaw_device *device = NULL;

	CHECK_OK(thaw_device_open("reference", 1, 0, &device));
	for (size_t i = 0; i < sizeof cases / sizeof *cases && device; i++)
		check_case(device, cases[i]);
	thaw_device_free(device);
	return TEST_END();
}
