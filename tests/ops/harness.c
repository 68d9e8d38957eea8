#include "tests/ops/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "nn/cpu/cpu.h"
#include "nn/device.h"

enum { GUARD = 16, BLOCKS = 24 };

struct rig {
	const struct op_case *c;
	struct op_arrays *arrays;
	struct thaw_step step;
	struct thaw_run run;
	struct thaw_tensor x, residual, y, dx, dresidual, dy[THAW_GRADIENTS];
	uint8_t *pixels;
	int32_t *labels, *mixed;
	double *shares, *class_weights;
	float *blocks[BLOCKS]; /* guarded memory, freed at the end */
	size_t elems[BLOCKS];
	int blocks_count;
};

static void fill_nan(float *values, size_t elems)
{
	memset(values, 0xff, elems * sizeof *values);
}

/* Memory for at least `size_bytes`, starting on 64 bytes, all NaN, with guards on both sides. */
static float *guarded(struct rig *rig, size_t size_bytes)
{
	size_t elems = (size_bytes + sizeof(float) - 1) / sizeof(float);
	float *block = aligned_alloc(64, ((elems + 2 * GUARD) * sizeof(float) + 63) / 64 * 64);

	if (!block || rig->blocks_count == BLOCKS) {
		printf("out of memory\n");
		exit(1);
	}
	fill_nan(block, elems + 2 * GUARD);
	rig->blocks[rig->blocks_count] = block;
	rig->elems[rig->blocks_count++] = elems;
	return block + GUARD;
}

static bool guards_intact(const struct rig *rig)
{
	float guard[GUARD];

	fill_nan(guard, GUARD);
	for (int i = 0; i < rig->blocks_count; i++)
		if (memcmp(rig->blocks[i], guard, sizeof guard) != 0 ||
			memcmp(rig->blocks[i] + GUARD + rig->elems[i], guard, sizeof guard) != 0)
			return false;
	return true;
}

/* Guarded memory for a result that the case has. */
static float *result(struct rig *rig, enum op_array array)
{
	size_t elems = rig->arrays->elems[array];

	return elems ? guarded(rig, elems * sizeof(float)) : NULL;
}

static int padded_channels(const struct thaw_tensor *t)
{
	return (t->c + t->block - 1) / t->block * t->block;
}

/* Part `part` of `parts` of an NCHW array whose parts add up to it; the padding is 0. */
static void to_layout(const float *plain, int part, int parts, struct thaw_tensor *t)
{
	size_t i = 0;

	memset(t->data, 0, t->size_bytes);
	for (int n = 0; n < t->n; n++) {
		for (int c = 0; c < t->c; c++) {
			for (int h = 0; h < t->h; h++) {
				for (int w = 0; w < t->w; w++, i++) {
					int share = (part + (int)(i % (size_t)parts)) % parts;
					float weight = share ? 0.25f : 1 - 0.25f * (float)(parts - 1);

					t->data[thaw_tensor_at(t, n, c, h, w)] = weight * plain[i];
				}
			}
		}
	}
}

/* The NCHW array of a tensor. Returns whether its padding is 0. */
static bool from_layout(const struct thaw_tensor *t, float *plain)
{
	bool clean = true;

	for (int n = 0; n < t->n; n++) {
		for (int c = 0; c < padded_channels(t); c++) {
			for (int h = 0; h < t->h; h++) {
				for (int w = 0; w < t->w; w++) {
					float value = t->data[thaw_tensor_at(t, n, c, h, w)];

					if (c < t->c)
						*plain++ = value;
					else
						clean &= value == 0;
				}
			}
		}
	}
	return clean;
}

/* The layout in which another step of this device would hand over a value of so many channels. */
static int block_for(const struct thaw_device *device, const struct op_case *c, int channels)
{
	if (strcmp(device->backend->name, "cpu") != 0 || c->kind == THAW_OP_LINEAR || c->kind == THAW_OP_LOSS)
		return 1;
	return c->kind == THAW_OP_CONV && channels < 8 ? 1 : thaw_cpu_block(channels);
}

static void set_parameters(struct rig *rig)
{
	struct thaw_step *step = &rig->step;
	float *const *data = rig->arrays->data;

	step->weight = data[OP_WEIGHT], step->bias = data[OP_BIAS];
	step->gamma = data[OP_GAMMA], step->beta = data[OP_BETA];
	step->mean = data[OP_MEAN], step->variance = data[OP_VARIANCE];
	step->dweight = result(rig, OP_DWEIGHT), step->dbias = result(rig, OP_DBIAS);
	step->dgamma = result(rig, OP_DGAMMA), step->dbeta = result(rig, OP_DBETA);
	step->batch_mean = result(rig, OP_BATCH_MEAN), step->batch_variance = result(rig, OP_BATCH_VARIANCE);
}

static void set_tensors(struct rig *rig)
{
	const struct op_case *c = rig->c;
	struct thaw_step *step = &rig->step;
	int h = op_out_size(c, c->h), w = op_out_size(c, c->w), block = block_for(step->device, c, c->c);

	if (c->kind != THAW_OP_INPUT) {
		rig->x = (struct thaw_tensor){.n = c->n, .c = c->c, .h = c->h, .w = c->w};
		thaw_tensor_layout(&rig->x, block);
		rig->dx = rig->x;
		step->x = &rig->x;
		step->dx = rig->arrays->data[OP_DX] ? &rig->dx : NULL;
	}
	if (c->kind == THAW_OP_LOSS)
		return;
	rig->y = (struct thaw_tensor){.n = c->n, .c = c->k, .h = h, .w = w};
	step->y = &rig->y;
	if (c->residual) {
		rig->residual = rig->y;
		thaw_tensor_layout(&rig->residual, block_for(step->device, c, c->k));
		rig->dresidual = rig->residual;
		step->residual = &rig->residual;
		step->dresidual = rig->arrays->data[OP_DRESIDUAL] ? &rig->dresidual : NULL;
	}
	if (rig->arrays->data[OP_DY])
		step->dy_count = c->dy_tensors ? c->dy_tensors : 1;
	for (int i = 0; i < step->dy_count; i++)
		step->dy[i] = &rig->dy[i];
}

/* Those of a LOSS case that do not merely fill up the batch. */
static int real_pictures(const struct op_case *c)
{
	return c->kind == THAW_OP_LOSS ? c->n - c->pad : c->n;
}

/* Second labels, their shares (that of the first picture is nothing) and class weights. */
static void draw_loss(struct rig *rig)
{
	const struct op_case *c = rig->c;
	struct thaw_random random;

	rig->mixed = thaw_alloc((size_t)c->n, sizeof *rig->mixed);
	rig->shares = thaw_alloc((size_t)c->n, sizeof *rig->shares);
	rig->class_weights = thaw_alloc((size_t)c->c, sizeof *rig->class_weights);
	thaw_random_init(&random, OP_SEED, THAW_RANDOM_TEST, (uint32_t)c->stream, OP_BETA);
	for (int n = 0; n < c->n; n++)
		rig->mixed[n] = (int32_t)(thaw_random_u32(&random) % (uint32_t)c->c);
	thaw_random_init(&random, OP_SEED, THAW_RANDOM_TEST, (uint32_t)c->stream, OP_MEAN);
	for (int n = 0; n < c->n; n++)
		rig->shares[n] = (double)(float)thaw_random_between(&random, 0, 1);
	rig->shares[0] = 1;
	thaw_random_init(&random, OP_SEED, THAW_RANDOM_TEST, (uint32_t)c->stream, OP_GAMMA);
	for (int k = 0; k < c->c; k++)
		rig->class_weights[k] = (double)(float)thaw_random_between(&random, 0.5, 1.5);
}

/* Pixels and labels: the low bits, the remainders of the words of a stream. */
static void set_run(struct rig *rig)
{
	static const float mean[3] = OP_NORMALISATION_MEAN, std[3] = OP_NORMALISATION_STD;
	const struct op_case *c = rig->c;
	size_t pixels = (size_t)c->n * (size_t)c->h * (size_t)c->w * 3;
	struct thaw_random random;

	rig->pixels = thaw_alloc(pixels, 1);
	rig->labels = thaw_alloc((size_t)c->n, sizeof *rig->labels);
	thaw_random_init(&random, OP_SEED, THAW_RANDOM_TEST, (uint32_t)c->stream, OP_X);
	for (size_t i = 0; i < pixels; i++)
		rig->pixels[i] = (uint8_t)(thaw_random_u32(&random) & 255);
	thaw_random_init(&random, OP_SEED, THAW_RANDOM_TEST, (uint32_t)c->stream, OP_BIAS);
	for (int n = 0; n < c->n; n++)
		rig->labels[n] = n < real_pictures(c) ? (int32_t)(thaw_random_u32(&random) % (uint32_t)c->c) : -1;
	draw_loss(rig);
	rig->run = (struct thaw_run){
		.pixels = rig->pixels,
		.labels = rig->labels,
		.mixed = c->mixed ? rig->mixed : NULL,
		.shares = c->mixed ? rig->shares : NULL,
		.smoothing = c->smoothing / 100.0,
		.class_weights = c->weighted ? rig->class_weights : NULL,
		.gradient_scale = OP_SHARE / c->n,
		.share = OP_SHARE,
		.predictions = result(rig, OP_PREDICTIONS),
	};
	memcpy(rig->run.mean, mean, sizeof mean);
	memcpy(rig->run.std, std, sizeof std);
}

static void rig_init(struct rig *rig, struct thaw_device *device, const struct op_case *c, struct op_arrays *arrays)
{
	*rig = (struct rig){.c = c, .arrays = arrays};
	rig->step = (struct thaw_step){
		.ops = device->backend->ops[c->kind],
		.device = device,
		.run = &rig->run,
		.kind = c->kind,
		.name = c->name,
		.kernel = c->kernel,
		.stride = c->stride,
		.pad = c->pad,
		.groups = c->groups,
		.relu = c->relu,
		.fold = c->fold,
		.batch_statistics = c->batch_statistics,
		.frozen = c->frozen,
		.epsilon = 1e-5,
	};
	set_parameters(rig);
	set_tensors(rig);
	set_run(rig);
}

static void rig_release(struct rig *rig)
{
	if (rig->step.ops->release)
		rig->step.ops->release(&rig->step);
	for (int i = 0; i < rig->blocks_count; i++)
		free(rig->blocks[i]);
	free(rig->pixels);
	free(rig->labels);
	free(rig->mixed);
	free(rig->shares);
	free(rig->class_weights);
}

static void place(struct rig *rig, struct thaw_tensor *tensor)
{
	tensor->data = guarded(rig, tensor->size_bytes);
}

/* What a plan does once prepare has chosen layouts and sizes. */
static void place_all(struct rig *rig)
{
	struct thaw_step *step = &rig->step;
	const struct thaw_op_ops *ops = step->ops;

	step->workspace = guarded(rig, step->workspace_bytes);
	step->saved = step->saved_bytes ? guarded(rig, step->saved_bytes) : NULL;
	if (step->x)
		place(rig, step->x);
	if (step->residual)
		place(rig, step->residual);
	if (step->y && step->residual && rig->c->aliased && ops->overwrites_residual)
		step->y->data = step->residual->data;
	else if (step->y)
		place(rig, step->y);
	for (int i = 0; i < step->dy_count; i++) {
		*step->dy[i] = *step->y;
		place(rig, step->dy[i]);
		to_layout(rig->arrays->data[OP_DY], i, step->dy_count, step->dy[i]);
	}
	if (step->dx)
		place(rig, step->dx);
	if (step->dresidual)
		place(rig, step->dresidual);
	if (rig->c->aliased && ops->overwrites_dy && step->dy_count > 0 && (step->dresidual || step->dx))
		(step->dresidual ? step->dresidual : step->dx)->data = step->dy[0]->data;
}

/* --- running ----------------------------------------------------------------------------------------------------- */

static thaw_status refresh_and_forward(struct rig *rig)
{
	struct thaw_step *step = &rig->step;
	thaw_status status = THAW_OK;

	if (step->x)
		to_layout(rig->arrays->data[OP_X], 0, 1, step->x);
	if (step->residual)
		to_layout(rig->arrays->data[OP_RESIDUAL], 0, 1, step->residual);
	fill_nan(step->workspace, step->workspace_bytes / sizeof(float));
	if (step->ops->refresh)
		status = step->ops->refresh(step);
	return status ? status : step->ops->forward(step);
}

/* A forward pass with parameters that are all 3. */
static thaw_status forward_with_others(struct rig *rig)
{
	struct thaw_step *step = &rig->step, true_step = *step;
	size_t elems =
		rig->arrays->elems[OP_WEIGHT] > (size_t)rig->c->c ? rig->arrays->elems[OP_WEIGHT] : (size_t)rig->c->c;
	float *others = thaw_alloc(elems, sizeof *others);
	thaw_status status;

	for (size_t i = 0; i < elems; i++)
		others[i] = 3;
	step->weight = step->weight ? others : NULL;
	step->bias = step->bias ? others : NULL;
	if (step->gamma)
		step->gamma = step->beta = step->mean = step->variance = others;
	status = refresh_and_forward(rig);
	step->weight = true_step.weight, step->bias = true_step.bias;
	step->gamma = true_step.gamma, step->beta = true_step.beta;
	step->mean = true_step.mean, step->variance = true_step.variance;
	free(others);
	return status;
}

static const char *forward(struct rig *rig)
{
	struct thaw_step *step = &rig->step;
	float *const *data = rig->arrays->data;
	bool clean = true;

	if (!step->frozen && (step->weight || step->gamma) && forward_with_others(rig))
		return thaw_fail_text();
	if (refresh_and_forward(rig))
		return thaw_fail_text();
	if (step->y)
		clean = from_layout(step->y, data[OP_Y]);
	if (data[OP_PREDICTIONS])
		memcpy(data[OP_PREDICTIONS], rig->run.predictions, rig->arrays->elems[OP_PREDICTIONS] * sizeof(float));
	if (data[OP_SCORE]) {
		data[OP_SCORE][0] = (float)rig->run.score.loss;
		data[OP_SCORE][1] = (float)rig->run.score.top1;
		data[OP_SCORE][2] = (float)rig->run.score.top5;
		data[OP_SCORE][3] = (float)rig->run.score.weight;
		if (rig->run.score.count != real_pictures(rig->c))
			return "score.count is not the number of labelled pictures";
	}
	return clean ? NULL : "the padding of y is not 0";
}

/* x, residual and y stand in memory that others use by now, unless the step asked to keep them. */
static void between(struct rig *rig)
{
	struct thaw_step *step = &rig->step;

	if (step->x && !step->keeps_x)
		fill_nan(step->x->data, step->x->size_bytes / sizeof(float));
	if (step->residual && !(step->residual->data == step->y->data && step->keeps_y))
		fill_nan(step->residual->data, step->residual->size_bytes / sizeof(float));
	if (step->y && !step->keeps_y)
		fill_nan(step->y->data, step->y->size_bytes / sizeof(float));
	fill_nan(step->workspace, step->workspace_bytes / sizeof(float));
}

static void collect(struct rig *rig, enum op_array array, const float *values)
{
	if (rig->arrays->data[array])
		memcpy(rig->arrays->data[array], values, rig->arrays->elems[array] * sizeof(float));
}

static const char *backward(struct rig *rig)
{
	struct thaw_step *step = &rig->step;
	bool clean = true;

	for (; step->dy_count > step->ops->gradients_limit; step->dy_count--)
		step->device->backend->accumulate(step->device, step->dy[0], step->dy[step->dy_count - 1]);
	if (step->ops->backward(step))
		return thaw_fail_text();
	if (step->dx)
		clean &= from_layout(step->dx, rig->arrays->data[OP_DX]);
	if (step->dresidual)
		clean &= from_layout(step->dresidual, rig->arrays->data[OP_DRESIDUAL]);
	collect(rig, OP_DWEIGHT, step->dweight);
	collect(rig, OP_DBIAS, step->dbias);
	collect(rig, OP_DGAMMA, step->dgamma);
	collect(rig, OP_DBETA, step->dbeta);
	return clean ? NULL : "the padding of dx or dresidual is not 0";
}

/* Whether a tensor still holds what was given; `scratch` has room for it. */
static bool unchanged(const struct thaw_tensor *tensor, const float *plain, size_t elems, float *scratch)
{
	return from_layout(tensor, scratch) && memcmp(scratch, plain, elems * sizeof *plain) == 0;
}

static const char *inputs_changed(struct rig *rig, float *scratch)
{
	const struct op_arrays *a = rig->arrays;
	const struct thaw_step *step = &rig->step;

	if (step->x && !unchanged(step->x, a->data[OP_X], a->elems[OP_X], scratch))
		return "forward changed x";
	if (step->residual && step->residual->data != step->y->data &&
		!unchanged(step->residual, a->data[OP_RESIDUAL], a->elems[OP_RESIDUAL], scratch))
		return "forward changed the residual";
	return NULL;
}

static const char *run_rig(struct rig *rig, float *scratch)
{
	struct thaw_step *step = &rig->step;
	const char *fault;

	if (step->ops->prepare(step))
		return thaw_fail_text();
	place_all(rig);
	fault = forward(rig);
	if (!fault)
		fault = inputs_changed(rig, scratch);
	if (fault)
		return fault;
	collect(rig, OP_BATCH_MEAN, step->batch_mean);
	collect(rig, OP_BATCH_VARIANCE, step->batch_variance);
	if (step->dy_count > 0 || step->dx) {
		between(rig);
		fault = backward(rig);
	}
	if (fault)
		return fault;
	return guards_intact(rig) ? NULL : "wrote beyond its memory";
}

const char *op_run(struct thaw_device *device, const struct op_case *c, struct op_arrays *arrays)
{
	size_t most = arrays->elems[OP_X] > arrays->elems[OP_RESIDUAL] ? arrays->elems[OP_X] : arrays->elems[OP_RESIDUAL];
	float *scratch = thaw_alloc(most, sizeof *scratch);
	struct rig rig;
	const char *fault;

	rig_init(&rig, device, c, arrays);
	fault = run_rig(&rig, scratch);
	rig_release(&rig);
	free(scratch);
	return fault;
}
