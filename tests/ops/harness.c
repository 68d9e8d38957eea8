#include "tests/ops/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/mem.h"
#include "base/random.h"
#include "nn/cpu/cpu.h"
#include "nn/device.h"

/* Floats: a plan places what it places at 64 bytes, but the workspace at 256. */
enum { GUARD = 16, WORKSPACE_GUARD = 64, BLOCKS = 24 };

/* Largest error of a sum in float32, as a part of the sum of absolute values. */
#define SUMS_TOLERANCE 1e-5

static int sums_made;

struct rig {
	const struct op_case *c;
	struct op_arrays *arrays;
	struct thaw_step step;
	struct thaw_run run;
	struct thaw_tensor x, residual, y, dx, dresidual, dy[THAW_GRADIENTS];
	uint8_t *pixels;
	int32_t *labels, *mixed;
	double *shares, *class_weights;
	float *blocks[BLOCKS];   /* guarded memory, freed at the end */
	float *twins[BLOCKS];    /* the same in the device's own memory, which steps work on */
	size_t front[BLOCKS], all[BLOCKS]; /* floats: of the guard in front, and of the block with both */
	int blocks_count;
	float *params[BLOCKS];   /* parameters in the device's own memory */
	int params_count;
};

static void fill_nan(float *values, size_t elems)
{
	memset(values, 0xff, elems * sizeof *values);
}

static const struct thaw_memory_ops *memory_of(const struct rig *rig)
{
	return rig->step.device->backend->memory;
}

static void check(thaw_status status)
{
	if (status) {
		printf("%s\n", thaw_fail_text());
		exit(1);
	}
}

static float *own_memory(const struct rig *rig, size_t elems)
{
	void *memory;

	check(memory_of(rig)->allocate(rig->step.device, elems * sizeof(float), "a test", &memory));
	return memory;
}

/* Memory for at least `size_bytes`, all NaN, with guards on both sides: an address for the step, which the host has to
 * translate where it is the device's `own` memory. */
static float *guard(struct rig *rig, size_t size_bytes, size_t front, bool own)
{
	size_t elems = (size_bytes + sizeof(float) - 1) / sizeof(float), all = front + elems + GUARD;
	float *block = aligned_alloc(256, (all * sizeof(float) + 255) / 256 * 256);
	int i = rig->blocks_count++;

	if (!block || i == BLOCKS) {
		printf("out of memory\n");
		exit(1);
	}
	fill_nan(block, all);
	rig->blocks[i] = block;
	rig->twins[i] = own ? own_memory(rig, all) : block;
	rig->front[i] = front;
	rig->all[i] = all;
	return rig->twins[i] + front;
}

static float *guarded(struct rig *rig, size_t size_bytes)
{
	return guard(rig, size_bytes, GUARD, memory_of(rig) != NULL);
}

/* Where the host finds what a step has at this address of guarded memory. */
static void *host_of(const struct rig *rig, const void *address)
{
	const char *at = address;

	for (int i = 0; i < rig->blocks_count; i++) {
		const char *twin = (const char *)rig->twins[i];

		if (at >= twin && at < twin + rig->all[i] * sizeof(float))
			return (char *)rig->blocks[i] + (at - twin);
	}
	return NULL;
}

/* Between what the host has and what a step sees. */
static void push(const struct rig *rig)
{
	for (int i = 0; i < rig->blocks_count; i++)
		if (rig->twins[i] != rig->blocks[i])
			check(memory_of(rig)->put(rig->step.device, rig->twins[i], rig->blocks[i], rig->all[i] * sizeof(float)));
}

static void pull(const struct rig *rig)
{
	for (int i = 0; i < rig->blocks_count; i++)
		if (rig->twins[i] != rig->blocks[i])
			check(memory_of(rig)->get(rig->step.device, rig->blocks[i], rig->twins[i], rig->all[i] * sizeof(float)));
}

/* The array as a parameter: rank 4 for a convolution's weights. */
static struct thaw_param param_of(const struct op_case *c, enum op_array array, size_t elems)
{
	struct thaw_param param = {.rank = 1, .shape = {(int64_t)elems}, .elems = (int64_t)elems};

	if (c->kind == THAW_OP_CONV && (array == OP_WEIGHT || array == OP_DWEIGHT)) {
		param.rank = 4;
		param.shape[0] = c->k;
		param.shape[1] = c->c / c->groups;
		param.shape[2] = param.shape[3] = c->kernel;
	}
	return param;
}

/* A parameter where a step looks for it; NULL: the case has none. */
static float *parameter(struct rig *rig, enum op_array array, float *values)
{
	struct thaw_param param = param_of(rig->c, array, rig->arrays->elems[array]);
	float *own;

	if (!memory_of(rig) || !values)
		return values;
	own = rig->params[rig->params_count++] = own_memory(rig, rig->arrays->elems[array]);
	check(memory_of(rig)->put_param(rig->step.device, own, values, &param));
	return own;
}

static bool guards_intact(const struct rig *rig)
{
	float guard[WORKSPACE_GUARD];

	fill_nan(guard, WORKSPACE_GUARD);
	for (int i = 0; i < rig->blocks_count; i++)
		if (memcmp(rig->blocks[i], guard, rig->front[i] * sizeof *guard) != 0 ||
			memcmp(rig->blocks[i] + rig->all[i] - GUARD, guard, GUARD * sizeof *guard) != 0)
			return false;
	return true;
}

/* Guarded memory for a result that the case has. */
static float *result(struct rig *rig, enum op_array array)
{
	size_t elems = rig->arrays->elems[array];

	return elems ? guarded(rig, elems * sizeof(float)) : NULL;
}

/* Probabilities go to the host, whatever the device. */
static float *predictions(struct rig *rig)
{
	size_t elems = rig->arrays->elems[OP_PREDICTIONS];

	return elems ? guard(rig, elems * sizeof(float), GUARD, false) : NULL;
}

static int padded_channels(const struct thaw_tensor *t)
{
	return (t->c + t->block - 1) / t->block * t->block;
}

static float load(const struct thaw_tensor *t, const void *data, size_t i)
{
	uint16_t bits;

	if (t->number == THAW_FLOAT32)
		return ((const float *)data)[i];
	bits = ((const uint16_t *)data)[i];
	return t->number == THAW_FLOAT16 ? thaw_half_to_float(bits) : thaw_bf16_to_float(bits);
}

static void store(const struct thaw_tensor *t, void *data, size_t i, float x)
{
	if (t->number == THAW_FLOAT32)
		((float *)data)[i] = x;
	else
		((uint16_t *)data)[i] = t->number == THAW_FLOAT16 ? thaw_float_to_half(x) : thaw_float_to_bf16(x);
}

/* Part `part` of `parts` of an NCHW array whose parts add up to it; the padding is 0. */
static void to_layout(const struct rig *rig, const float *plain, int part, int parts, const struct thaw_tensor *t)
{
	void *data = host_of(rig, t->data);
	size_t i = 0;

	memset(data, 0, t->size_bytes);
	for (int n = 0; n < t->n; n++) {
		for (int c = 0; c < t->c; c++) {
			for (int h = 0; h < t->h; h++) {
				for (int w = 0; w < t->w; w++, i++) {
					int share = (part + (int)(i % (size_t)parts)) % parts;
					float weight = parts == 1 ? 1 : share < 1 || parts == 2 ? 0.5f : 0.25f; /* no rounding */

					store(t, data, thaw_tensor_at(t, n, c, h, w), weight * plain[i]);
				}
			}
		}
	}
}

/* The NCHW array of a tensor. Returns whether its padding is 0. */
static bool from_layout(const struct rig *rig, const struct thaw_tensor *t, float *plain)
{
	const void *data = host_of(rig, t->data);
	bool clean = true;

	for (int n = 0; n < t->n; n++) {
		for (int c = 0; c < padded_channels(t); c++) {
			for (int h = 0; h < t->h; h++) {
				for (int w = 0; w < t->w; w++) {
					float value = load(t, data, thaw_tensor_at(t, n, c, h, w));

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
	if (strcmp(device->backend->name, "cuda") == 0)
		return (channels + 7) / 8 * 8;
	if (strcmp(device->backend->name, "cpu") != 0 || c->kind == THAW_OP_LINEAR || c->kind == THAW_OP_LOSS)
		return 1;
	return c->kind == THAW_OP_CONV && channels < 8 ? 1 : thaw_cpu_block(channels);
}

static void set_parameters(struct rig *rig)
{
	struct thaw_step *step = &rig->step;
	float *const *data = rig->arrays->data;

	step->weight = parameter(rig, OP_WEIGHT, data[OP_WEIGHT]), step->bias = parameter(rig, OP_BIAS, data[OP_BIAS]);
	step->gamma = parameter(rig, OP_GAMMA, data[OP_GAMMA]), step->beta = parameter(rig, OP_BETA, data[OP_BETA]);
	step->mean = parameter(rig, OP_MEAN, data[OP_MEAN]);
	step->variance = parameter(rig, OP_VARIANCE, data[OP_VARIANCE]);
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
		rig->x = (struct thaw_tensor){.n = c->n, .c = c->c, .h = c->h, .w = c->w, .number = step->device->number};
		if (c->kind == THAW_OP_LOSS)
			rig->x.number = THAW_FLOAT32; /* logits always are */
		thaw_tensor_layout(&rig->x, block);
		rig->dx = rig->x;
		step->x = &rig->x;
		step->dx = rig->arrays->data[OP_DX] ? &rig->dx : NULL;
	}
	if (c->kind == THAW_OP_LOSS)
		return;
	rig->y = (struct thaw_tensor){.n = c->n, .c = c->k, .h = h, .w = w, .number = step->device->number};
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
		.predictions = predictions(rig),
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
		.wants_sums = c->sums,
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
	for (int i = 0; i < rig->blocks_count; i++) {
		if (rig->twins[i] != rig->blocks[i])
			memory_of(rig)->release(rig->step.device, rig->twins[i]);
		free(rig->blocks[i]);
	}
	for (int i = 0; i < rig->params_count; i++)
		memory_of(rig)->release(rig->step.device, rig->params[i]);
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

/* Sums over a channel and over its squares, those of absolute values too. */
struct channel_sums {
	double sum, squares, size;
};

static struct channel_sums sum_channel(const struct rig *rig, const struct thaw_tensor *t, int c)
{
	const void *data = host_of(rig, t->data);
	struct channel_sums sums = {0};

	for (int n = 0; n < t->n; n++)
		for (int h = 0; h < t->h; h++)
			for (int w = 0; w < t->w; w++) {
				double value = (double)load(t, data, thaw_tensor_at(t, n, c, h, w));

				sums.sum += value;
				sums.squares += value * value;
				sums.size += fabs(value);
			}
	return sums;
}

/* As the step before would hand x over. */
static void hand_over_sums(struct rig *rig)
{
	struct thaw_tensor *x = rig->step.x;
	int channels = padded_channels(x);
	float *host;

	x->sums = guarded(rig, 2 * (size_t)channels * sizeof *x->sums);
	host = host_of(rig, x->sums);
	to_layout(rig, rig->arrays->data[OP_X], 0, 1, x);
	for (int c = 0; c < channels; c++) {
		struct channel_sums sums = sum_channel(rig, x, c);

		host[c] = (float)sums.sum;
		host[channels + c] = (float)sums.squares;
	}
}

/* Whether y's sums, if there are any, are y's. */
static bool sums_right(const struct rig *rig)
{
	const struct thaw_tensor *y = rig->step.y;
	const float *made = y && y->sums ? host_of(rig, y->sums) : NULL;
	int channels = y ? padded_channels(y) : 0;

	for (int c = 0; made && c < channels; c++) {
		struct channel_sums want = sum_channel(rig, y, c);

		if (!(fabs((double)made[c] - want.sum) <= SUMS_TOLERANCE * want.size) ||
		    !(fabs((double)made[channels + c] - want.squares) <= SUMS_TOLERANCE * want.squares))
			return false;
	}
	sums_made += made != NULL;
	return true;
}

int op_sums_made(void)
{
	return sums_made;
}

/* What a plan does once prepare has chosen layouts and sizes. */
static void place_all(struct rig *rig)
{
	struct thaw_step *step = &rig->step;
	const struct thaw_op_ops *ops = step->ops;

	step->workspace = guard(rig, step->workspace_bytes, WORKSPACE_GUARD, memory_of(rig) != NULL);
	step->saved = step->saved_bytes ? guarded(rig, step->saved_bytes) : NULL;
	if (step->x)
		place(rig, step->x);
	if (rig->c->sums && rig->c->kind == THAW_OP_BATCH_NORM)
		hand_over_sums(rig);
	if (step->residual)
		place(rig, step->residual);
	if (step->y && step->residual && rig->c->aliased && ops->overwrites_residual)
		step->y->data = step->residual->data;
	else if (step->y)
		place(rig, step->y);
	for (int i = 0; i < step->dy_count; i++) {
		*step->dy[i] = *step->y;
		place(rig, step->dy[i]);
		to_layout(rig, rig->arrays->data[OP_DY], i, step->dy_count, step->dy[i]);
	}
	if (step->dx)
		place(rig, step->dx);
	if (step->dresidual)
		place(rig, step->dresidual);
	if (rig->c->aliased && ops->overwrites_dy && step->dy_count > 0 && (step->dresidual || step->dx))
		(step->dresidual ? step->dresidual : step->dx)->data = step->dy[0]->data;
}

/* --- running ----------------------------------------------------------------------------------------------------- */

/* What a plan does before the first step. */
static thaw_status feed(struct rig *rig)
{
	const struct op_case *c = rig->c;
	const struct thaw_queue_ops *queue = rig->step.device->backend->queue;
	size_t pixels = (size_t)c->n * (size_t)c->h * (size_t)c->w * 3;

	return queue ? queue->feed(rig->step.device, &rig->run, c->n, c->kind == THAW_OP_INPUT ? pixels : 0) : THAW_OK;
}

static thaw_status refresh_and_forward(struct rig *rig)
{
	struct thaw_step *step = &rig->step;
	thaw_status status = feed(rig);

	if (step->x)
		to_layout(rig, rig->arrays->data[OP_X], 0, 1, step->x);
	if (step->residual)
		to_layout(rig, rig->arrays->data[OP_RESIDUAL], 0, 1, step->residual);
	fill_nan(host_of(rig, step->workspace), step->workspace_bytes / sizeof(float));
	push(rig);
	if (!status && step->ops->refresh)
		status = step->ops->refresh(step);
	if (!status)
		status = step->ops->forward(step);
	if (!status && step->ops->collect)
		status = step->ops->collect(step);
	pull(rig);
	return status;
}

/* A forward pass with parameters that are all 3. */
static thaw_status forward_with_others(struct rig *rig)
{
	struct thaw_step *step = &rig->step, true_step = *step;
	size_t elems =
		rig->arrays->elems[OP_WEIGHT] > (size_t)rig->c->c ? rig->arrays->elems[OP_WEIGHT] : (size_t)rig->c->c;
	float *others = thaw_alloc(elems, sizeof *others), *own;
	thaw_status status;

	for (size_t i = 0; i < elems; i++)
		others[i] = 3;
	own = memory_of(rig) ? rig->params[rig->params_count++] = own_memory(rig, elems) : others;
	if (memory_of(rig))
		check(memory_of(rig)->put(step->device, own, others, elems * sizeof *others));
	step->weight = step->weight ? own : NULL;
	step->bias = step->bias ? own : NULL;
	if (step->gamma)
		step->gamma = step->beta = step->mean = step->variance = own;
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
		clean = from_layout(rig, step->y, data[OP_Y]);
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
	if (!sums_right(rig))
		return "the sums of y are others";
	return clean ? NULL : "the padding of y is not 0";
}

/* x, residual and y stand in memory that others use by now, unless the step asked to keep them. */
static void between(struct rig *rig)
{
	struct thaw_step *step = &rig->step;

	if (step->x && !step->keeps_x)
		fill_nan(host_of(rig, step->x->data), step->x->size_bytes / sizeof(float));
	if (step->residual && !(step->residual->data == step->y->data && step->keeps_y))
		fill_nan(host_of(rig, step->residual->data), step->residual->size_bytes / sizeof(float));
	if (step->y && !step->keeps_y)
		fill_nan(host_of(rig, step->y->data), step->y->size_bytes / sizeof(float));
	fill_nan(host_of(rig, step->workspace), step->workspace_bytes / sizeof(float));
}

static void collect(struct rig *rig, enum op_array array, const float *values)
{
	struct thaw_param param = param_of(rig->c, array, rig->arrays->elems[array]);

	if (rig->arrays->data[array] && memory_of(rig))
		check(memory_of(rig)->get_param(rig->step.device, rig->arrays->data[array], values, &param));
	else if (rig->arrays->data[array])
		memcpy(rig->arrays->data[array], values, rig->arrays->elems[array] * sizeof(float));
}

static const char *backward(struct rig *rig)
{
	struct thaw_step *step = &rig->step;
	bool clean = true;

	push(rig);
	for (; step->dy_count > step->ops->gradients_limit; step->dy_count--)
		check(step->device->backend->accumulate(step->device, step->dy[0], step->dy[step->dy_count - 1]));
	if (step->ops->backward(step))
		return thaw_fail_text();
	pull(rig);
	if (step->dx)
		clean &= from_layout(rig, step->dx, rig->arrays->data[OP_DX]);
	if (step->dresidual)
		clean &= from_layout(rig, step->dresidual, rig->arrays->data[OP_DRESIDUAL]);
	collect(rig, OP_DWEIGHT, step->dweight);
	collect(rig, OP_DBIAS, step->dbias);
	collect(rig, OP_DGAMMA, step->dgamma);
	collect(rig, OP_DBETA, step->dbeta);
	return clean ? NULL : "the padding of dx or dresidual is not 0";
}

/* Whether a tensor still holds what was given; `scratch` has room for it. */
static bool unchanged(const struct rig *rig, const struct thaw_tensor *tensor, const float *plain, size_t elems,
                      float *scratch)
{
	return from_layout(rig, tensor, scratch) && memcmp(scratch, plain, elems * sizeof *plain) == 0;
}

static const char *inputs_changed(struct rig *rig, float *scratch)
{
	const struct op_arrays *a = rig->arrays;
	const struct thaw_step *step = &rig->step;

	if (step->x && !unchanged(rig, step->x, a->data[OP_X], a->elems[OP_X], scratch))
		return "forward changed x";
	if (step->residual && step->residual->data != step->y->data &&
		!unchanged(rig, step->residual, a->data[OP_RESIDUAL], a->elems[OP_RESIDUAL], scratch))
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

bool op_exists(const struct thaw_device *device, const struct op_case *c)
{
	return strcmp(device->backend->name, "cuda") != 0 || c->groups <= 1 || (c->c % 8 == 0 && c->k % 8 == 0);
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
