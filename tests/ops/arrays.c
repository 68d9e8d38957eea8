/* The arrays of a case: which it has, how large they are, what stands in them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/half.h"
#include "base/random.h"
#include "tests/ops/harness.h"

const char *op_array_name(enum op_array array)
{
	static const char *const names[OP_ARRAYS] = {
		"x",           "residual", "weight",    "bias",    "gamma", "beta",   "mean",  "variance",   "dy",
		"y",           "dx",       "dresidual", "dweight", "dbias", "dgamma", "dbeta", "batch_mean", "batch_variance",
		"predictions", "score",
	};

	return names[array];
}

int op_out_size(const struct op_case *c, int in_size)
{
	if (c->kind == THAW_OP_GLOBAL_POOL || c->kind == THAW_OP_LOSS)
		return 1;
	return (in_size + 2 * c->pad - c->kernel) / c->stride + 1;
}

double op_error(const float *got, const float *want, size_t elems)
{
	double error = 0, norm = 0;

	for (size_t i = 0; i < elems; i++) {
		if (isnan(want[i]) != isnan(got[i]))
			return INFINITY;
		if (isnan(want[i]))
			continue;
		error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
		norm += (double)want[i] * want[i];
	}
	if (error == 0)
		return 0;
	return norm > 0 ? sqrt(error / norm) : INFINITY;
}

/* Numbers in an array; 0 if the case does not have it. */
static size_t array_elems(const struct op_case *c, enum op_array array)
{
	bool conv = c->kind == THAW_OP_CONV, linear = c->kind == THAW_OP_LINEAR, loss = c->kind == THAW_OP_LOSS;
	bool norm = c->kind == THAW_OP_BATCH_NORM, back = !c->forward_only;
	size_t channels = (size_t)(norm ? c->c : c->k);
	size_t x = (size_t)c->n * (size_t)c->c * (size_t)c->h * (size_t)c->w;
	size_t y = (size_t)c->n * (size_t)c->k * (size_t)op_out_size(c, c->h) * (size_t)op_out_size(c, c->w);
	size_t weight = (size_t)c->k * (size_t)(c->c / c->groups) * (size_t)(c->kernel * c->kernel);

	if (c->unwanted & 1u << array)
		return 0;
	switch (array) {
	case OP_X:
		return c->kind == THAW_OP_INPUT ? 0 : x;
	case OP_RESIDUAL:
		return c->residual ? y : 0;
	case OP_WEIGHT:
		return conv || linear ? weight : 0;
	case OP_BIAS:
		return c->bias ? channels : 0;
	case OP_GAMMA:
	case OP_BETA:
	case OP_MEAN:
	case OP_VARIANCE:
		return norm || c->fold ? channels : 0;
	case OP_DY:
		return back && !loss ? y : 0;
	case OP_Y:
		return loss ? 0 : y;
	case OP_DX:
		return back ? x : 0;
	case OP_DRESIDUAL:
		return back && c->residual ? y : 0;
	case OP_DWEIGHT:
		return back && (conv || linear) ? weight : 0;
	case OP_DBIAS:
		return back && c->bias ? channels : 0;
	case OP_DGAMMA:
	case OP_DBETA:
		return back && norm ? channels : 0;
	case OP_BATCH_MEAN:
	case OP_BATCH_VARIANCE:
		return norm && c->batch_statistics ? channels : 0;
	case OP_PREDICTIONS:
		return loss ? x : 0;
	case OP_SCORE:
		return loss ? 4 : 0;
	default:
		return 0;
	}
}

static void draw(struct op_arrays *arrays, const struct op_case *c, enum op_array array)
{
	static const struct {
		double low, high;
	} ranges[OP_INPUTS] = {
		{-1, 1}, {-1, 1}, {-0.5, 0.5}, {-0.5, 0.5}, {0.5, 1.5}, {-0.5, 0.5}, {-0.5, 0.5}, {0.5, 1.5}, {-1, 1},
	};
	double scale = array == OP_X && c->kind == THAW_OP_LOSS ? 4 : 1;
	struct thaw_random random;

	thaw_random_init(&random, OP_SEED, THAW_RANDOM_TEST, (uint32_t)c->stream, array);
	for (size_t i = 0; i < arrays->elems[array]; i++) {
		double value = thaw_random_between(&random, scale * ranges[array].low, scale * ranges[array].high);

		arrays->data[array][i] = array == OP_X && c->ties ? (float)floor(2 * (double)(float)value) : (float)value;
	}
}

void op_arrays_init(struct op_arrays *arrays, const struct op_case *c)
{
	for (int i = 0; i < OP_ARRAYS; i++) {
		enum op_array array = (enum op_array)i;

		arrays->elems[array] = array_elems(c, array);
		arrays->data[array] = NULL;
		if (arrays->elems[array] == 0)
			continue;
		arrays->data[array] = thaw_alloc(arrays->elems[array], sizeof(float));
		if (!arrays->data[array]) {
			printf("%s\n", thaw_fail_text());
			exit(1);
		}
		for (size_t k = 0; k < arrays->elems[array]; k++)
			arrays->data[array][k] = NAN;
		if (array < OP_INPUTS)
			draw(arrays, c, array);
	}
}

void op_arrays_release(struct op_arrays *arrays)
{
	for (int i = 0; i < OP_ARRAYS; i++)
		free(arrays->data[i]);
}

static float rounded(float x, enum thaw_number number)
{
	if (number == THAW_FLOAT32)
		return x;
	return number == THAW_FLOAT16 ? thaw_half_to_float(thaw_float_to_half(x)) : thaw_bf16_to_float(thaw_float_to_bf16(x));
}

void op_arrays_round(struct op_arrays *arrays, const struct op_case *c, enum thaw_number number)
{
	static const enum op_array all[] = {OP_X, OP_RESIDUAL, OP_DY, OP_WEIGHT};

	for (size_t a = 0; a < sizeof all / sizeof *all; a++)
		for (size_t i = 0; i < arrays->elems[all[a]] && c->kind != THAW_OP_LOSS; i++)
			arrays->data[all[a]][i] = rounded(arrays->data[all[a]][i], number);
}
