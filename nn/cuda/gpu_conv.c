/* Convolutions of nn/cuda/gpu.h: plans of cuDNN, chosen and run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "nn/cuda/choice.h"
#include "nn/cuda/cudnn_plan.h"
#include "nn/cuda/gpu_real.h"

enum { CANDIDATES = 10 }; /* plans that are timed: later ones of the heuristics' order hardly ever win */

struct thaw_gpu_conv {
	struct thaw_gpu *gpu;
	struct thaw_gpu_conv_spec spec;
	struct thaw_cudnn_plan plan;
	char engine[64];
};

/* On the stream that the handle has. */
static cudnnStatus_t execute(const struct thaw_gpu_conv *conv, const struct thaw_cudnn_plan *plan,
                             const struct thaw_gpu_conv_tensors *t)
{
	int64_t numbers[5] = {THAW_CUDNN_X, THAW_CUDNN_W, THAW_CUDNN_Y};
	const void *addresses[5] = {t->x, t->w, t->y};
	int64_t count = 3;
	cudnnBackendDescriptor_t pack;
	cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);

	if (status)
		return status;
	if (conv->spec.bias) {
		numbers[count] = THAW_CUDNN_BIAS;
		addresses[count++] = t->bias;
	}
	if (conv->spec.residual) {
		numbers[count] = THAW_CUDNN_RESIDUAL;
		addresses[count++] = t->residual;
	}
	status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, numbers);
	if (!status)
		status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count,
		                                  addresses);
	if (!status)
		status =
			cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &t->workspace);
	if (!status)
		status = cudnnBackendFinalize(pack);
	if (!status)
		status = cudnnBackendExecute(conv->gpu->cudnn, plan->plan, pack);
	(void)cudnnBackendDestroyDescriptor(pack);
	return status;
}

static thaw_status fail_cudnn(const struct thaw_gpu *gpu, cudnnStatus_t status)
{
	return thaw_fail(THAW_FAILED, "GPU %d (%s): cuDNN: %s", gpu->number, gpu->facts.name, cudnnGetErrorString(status));
}

/* --- timing ------------------------------------------------------------------------------------------------------ */

/* Where the plans of one convolution are timed: all zeroes, as what the numbers are makes little difference. */
struct bench {
	const struct thaw_gpu_conv *conv;
	struct thaw_gpu_stream *stream;
	struct thaw_gpu_event *events[THAW_CHOICE_RUNS + 1];
	void *memory; /* of the tensors */
	struct thaw_gpu_conv_tensors tensors;
	size_t workspace_bytes;
};

static void close_bench(struct bench *bench)
{
	thaw_gpu_free(bench->conv->gpu, bench->memory);
	thaw_gpu_free(bench->conv->gpu, bench->tensors.workspace);
	for (int i = 0; i <= THAW_CHOICE_RUNS; i++)
		thaw_gpu_event_free(bench->events[i]);
	thaw_gpu_stream_free(bench->stream);
}

static size_t bytes_of(const struct thaw_gpu_conv_spec *spec, int64_t elems)
{
	return ((size_t)elems * thaw_number_bytes(spec->number) + 255) / 256 * 256;
}

static thaw_status make_tensors(struct bench *bench)
{
	const struct thaw_gpu_conv_spec *s = &bench->conv->spec;
	size_t x = bytes_of(s, (int64_t)s->n * s->h * s->w * s->c);
	size_t w = bytes_of(s, (int64_t)s->k * s->kernel * s->kernel * (s->c / s->groups));
	size_t y = bytes_of(s, (int64_t)s->n * s->oh * s->ow * s->k);
	size_t residual = s->residual ? y : 0, bias = s->bias ? bytes_of(s, s->k) : 0;
	size_t all = x + w + y + residual + bias;
	thaw_status status = thaw_gpu_alloc(bench->conv->gpu, all, "convolutions being timed", &bench->memory);
	char *at = bench->memory;

	if (status)
		return status;
	bench->tensors = (struct thaw_gpu_conv_tensors){
		.x = at,
		.w = at + x,
		.y = at + x + w,
		.residual = at + x + w + y,
		.bias = at + x + w + y + residual,
	};
	return thaw_gpu_zero(bench->stream, at, all);
}

static thaw_status open_bench(struct bench *bench)
{
	struct thaw_gpu *gpu = bench->conv->gpu;
	thaw_status status = thaw_gpu_stream_new(gpu, false, &bench->stream);
	cudnnStatus_t error;

	for (int i = 0; i <= THAW_CHOICE_RUNS && !status; i++)
		status = thaw_gpu_event_new(gpu, &bench->events[i]);
	if (status)
		return status;
	error = cudnnSetStream(gpu->cudnn, bench->stream->stream);
	return error ? fail_cudnn(gpu, error) : make_tensors(bench);
}

/* At least as much of it. */
static thaw_status make_workspace(struct bench *bench, size_t size_bytes)
{
	thaw_status status;

	if (size_bytes <= bench->workspace_bytes)
		return THAW_OK;
	thaw_gpu_free(bench->conv->gpu, bench->tensors.workspace);
	bench->tensors.workspace = NULL;
	bench->workspace_bytes = 0;
	status = thaw_gpu_alloc(bench->conv->gpu, size_bytes, "convolutions being timed", &bench->tensors.workspace);
	if (!status)
		bench->workspace_bytes = size_bytes;
	return status;
}

/* One plan. It leaves `times` as they are where it cannot be run: for want of memory, or because cuDNN refuses. */
static thaw_status time_plan(struct bench *bench, const struct thaw_cudnn_plan *plan, struct thaw_choice_times *times)
{
	thaw_status status = make_workspace(bench, plan->workspace_bytes);

	if (status)
		return status == THAW_OUT_OF_MEMORY ? THAW_OK : status;
	if (execute(bench->conv, plan, &bench->tensors))
		return THAW_OK;
	status = thaw_gpu_wait(bench->stream); /* for what only the first run does, such as loading its code */
	if (!status)
		status = thaw_gpu_event_record(bench->events[0], bench->stream);
	for (int i = 0; i < THAW_CHOICE_RUNS && !status; i++) {
		cudnnStatus_t error = execute(bench->conv, plan, &bench->tensors);

		status =
			error ? fail_cudnn(bench->conv->gpu, error) : thaw_gpu_event_record(bench->events[i + 1], bench->stream);
	}
	if (!status)
		status = thaw_gpu_event_wait(bench->events[THAW_CHOICE_RUNS]);
	for (int i = 0; i < THAW_CHOICE_RUNS && !status; i++)
		status = thaw_gpu_event_seconds(bench->events[i], bench->events[i + 1], &times->seconds[i]);
	return status;
}

/* The number of the fastest plan, -1 where memory does not suffice to time any. */
static thaw_status time_plans(const struct thaw_gpu_conv *conv, const struct thaw_cudnn_plan *plans, int count,
                              int *fastest_out, double *seconds_out)
{
	struct bench bench = {.conv = conv};
	struct thaw_choice_times times[CANDIDATES];
	thaw_status status = open_bench(&bench);

	for (int i = 0; i < count; i++)
		for (int run = 0; run < THAW_CHOICE_RUNS; run++)
			times[i].seconds[run] = NAN;
	for (int i = 0; i < count && !status; i++)
		status = time_plan(&bench, &plans[i], &times[i]);
	close_bench(&bench);
	*fastest_out = thaw_choice_fastest(times, count, seconds_out);
	return status == THAW_OUT_OF_MEMORY ? THAW_OK : status;
}

/* --- choosing ---------------------------------------------------------------------------------------------------- */

static void name_engine(struct thaw_gpu_conv *conv, const char *origin)
{
	snprintf(conv->engine, sizeof conv->engine, "engine %d (%s)", conv->plan.engine, origin);
}

/* Remembers the plan, so that the same convolution gets it again, here and on other ranks. One that cuDNN cannot write
 * down is chosen anew each time. */
static thaw_status remember(const struct thaw_gpu_conv *conv, struct thaw_plan_cache *cache, const char *key,
                            enum thaw_plan_origin origin)
{
	struct thaw_text json = THAW_TEXT_EMPTY;
	thaw_status status = thaw_cudnn_plan_write(&conv->plan, &json);

	if (!status)
		status = thaw_plan_cache_add(cache, key, json.data, origin);
	thaw_text_release(&json);
	return status == THAW_OUT_OF_MEMORY ? status : THAW_OK;
}

static thaw_status choose(struct thaw_gpu_conv *conv, struct thaw_plan_cache *cache, const char *key)
{
	const struct thaw_cudnn_target target = {.handle = conv->gpu->cudnn};
	struct thaw_cudnn_plan plans[CANDIDATES];
	int count, fastest = -1;
	double seconds = 0;
	char origin[32] = "proposed";
	thaw_status status = thaw_cudnn_plan_conv(&target, &conv->spec, plans, conv->spec.untimed ? 1 : CANDIDATES, &count);

	if (status)
		return status;
	if (!conv->spec.untimed)
		status = time_plans(conv, plans, count, &fastest, &seconds);
	if (fastest >= 0)
		snprintf(origin, sizeof origin, "timed %.3f ms", 1e3 * seconds);
	conv->plan = plans[fastest >= 0 ? fastest : 0];
	for (int i = 0; i < count; i++)
		if (plans[i].plan != conv->plan.plan)
			thaw_cudnn_plan_release(&plans[i]);
	name_engine(conv, origin);
	return status ? status : remember(conv, cache, key, fastest >= 0 ? THAW_PLAN_TIMED : THAW_PLAN_PROPOSED);
}

/* Takes what was chosen before, or chooses. */
static thaw_status find_plan(struct thaw_gpu_conv *conv, const char *key)
{
	const struct thaw_cudnn_target target = {.handle = conv->gpu->cudnn};
	const struct thaw_plan_record *record;
	struct thaw_plan_cache *cache;
	thaw_status status = thaw_choice_cache(&cache);

	if (status)
		return status;
	record = thaw_plan_cache_find(cache, key);
	if (!record || thaw_cudnn_plan_read(&target, &conv->spec, record->plan, &conv->plan))
		return choose(conv, cache, key);
	name_engine(conv, record->origin == THAW_PLAN_PROPOSED ? "proposed" : "kept");
	return THAW_OK;
}

/* --- convolutions ------------------------------------------------------------------------------------------------ */

thaw_status thaw_gpu_conv_new(struct thaw_gpu *gpu, const struct thaw_gpu_conv_spec *spec,
                              struct thaw_gpu_conv **conv_out)
{
	struct thaw_gpu_conv *conv = thaw_alloc(1, sizeof *conv);
	struct thaw_text key = THAW_TEXT_EMPTY;
	thaw_status status;

	if (!conv)
		return THAW_OUT_OF_MEMORY;
	conv->gpu = gpu;
	conv->spec = *spec;
	status = thaw_choice_key(spec, gpu->machine, &key);
	if (!status)
		status = find_plan(conv, key.data);
	thaw_text_release(&key);
	if (status)
		thaw_gpu_conv_free(conv);
	else
		*conv_out = conv;
	return status;
}

void thaw_gpu_conv_free(struct thaw_gpu_conv *conv)
{
	if (conv)
		thaw_cudnn_plan_release(&conv->plan);
	free(conv);
}

size_t thaw_gpu_conv_workspace(const struct thaw_gpu_conv *conv)
{
	return conv->plan.workspace_bytes;
}

const char *thaw_gpu_conv_engine(const struct thaw_gpu_conv *conv)
{
	return conv->engine;
}

thaw_status thaw_gpu_conv_run(struct thaw_gpu_stream *stream, struct thaw_gpu_conv *conv,
                              const struct thaw_gpu_conv_tensors *tensors)
{
	cudnnStatus_t status = cudnnSetStream(conv->gpu->cudnn, stream->stream);

	thaw_choice_keep(); /* by now all convolutions of the network are chosen */
	if (!status)
		status = execute(conv, &conv->plan, tensors);
	return status ? fail_cudnn(conv->gpu, status) : THAW_OK;
}
