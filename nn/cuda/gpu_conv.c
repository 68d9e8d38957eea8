/* Convolutions of nn/cuda/gpu.h: plans of cuDNN, chosen and run. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/cuda/choice.h"
#include "nn/cuda/cudnn_plan.h"
#include "nn/cuda/gpu_real.h"

enum { BURST = 5 };       /* runs between two events */
enum { CANDIDATES = 10 }; /* plans that are timed: later ones of the heuristics' order hardly ever win */
enum { TENSORS = 7 };

static const double warm_seconds = 0.01; /* of work, by which a GPU that had none has its clocks up again */

/* What is kept in place of a plan with statistics, where one without them and a norm's own sums are faster. */
static const char apart[] = "apart";

struct thaw_gpu_conv {
	struct thaw_gpu *gpu;
	struct thaw_gpu_conv_spec spec;
	struct thaw_cudnn_plan plan;
	char engine[64];
};

/* What a plan is run with. */
static cudnnStatus_t make_pack(const struct thaw_gpu_conv *conv, const struct thaw_cudnn_plan *plan,
                               const struct thaw_gpu_conv_tensors *t, cudnnBackendDescriptor_t *pack_out)
{
	int64_t numbers[TENSORS] = {THAW_CUDNN_X, THAW_CUDNN_W, THAW_CUDNN_Y};
	const void *addresses[TENSORS] = {t->x, t->w, t->y};
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
	if (plan->statistics) {
		numbers[count] = THAW_CUDNN_SUMS;
		addresses[count++] = t->sums;
		numbers[count] = THAW_CUDNN_SQUARES;
		addresses[count++] = t->sums + conv->spec.k;
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
	if (status)
		(void)cudnnBackendDestroyDescriptor(pack);
	else
		*pack_out = pack;
	return status;
}

static thaw_status fail_cudnn(const struct thaw_gpu *gpu, cudnnStatus_t status)
{
	(void)cudaGetLastError(); /* others would take it for one of their own */
	return thaw_fail(thaw_gpu_cudnn_failure(status), "GPU %d (%s): cuDNN: %s", gpu->number, gpu->facts.name,
	                 thaw_cudnn_reason(status));
}

/* --- timing ------------------------------------------------------------------------------------------------------ */

/* What follows a convolution whose statistics are of use: one of two kernels (nn/cuda/norm.c). */
struct norm {
	struct thaw_norm_finish_args finish; /* the plan made the sums */
	struct thaw_norm_sums_args sums;     /* it did not */
	void *memory;
};

/* Where the plans of one convolution are timed: all zeroes, as what the numbers are makes little difference. */
struct bench {
	const struct thaw_gpu_conv *conv;
	struct thaw_gpu_stream *stream;
	struct thaw_gpu_event *events[THAW_CHOICE_RUNS + 1];
	void *memory; /* of the tensors */
	struct thaw_gpu_conv_tensors tensors;
	size_t workspace_bytes;
	struct norm norm; /* with statistics */
	bool warm;
};

static void close_bench(struct bench *bench)
{
	(void)cudnnSetStream(bench->conv->gpu->cudnn, NULL); /* not one that is gone */
	thaw_gpu_free(bench->conv->gpu, bench->norm.memory);
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

/* Rows of floats, one for each channel, in a norm's memory. */
enum { PARAMETER, BATCH, SUMS, KEPT = SUMS + 2, TICKETS = KEPT + THAW_NORM_ROWS, SCALARS, PARTIALS };

static thaw_status make_norm(struct bench *bench)
{
	const struct thaw_gpu_conv_spec *s = &bench->conv->spec;
	struct thaw_gpu *gpu = bench->conv->gpu;
	struct thaw_grid grid = thaw_grid_of((int64_t)s->n * s->oh * s->ow, s->k, gpu->facts.processors);
	size_t row = ((size_t)s->k + 63) / 64 * 64, all = row * (PARTIALS + 2 * (size_t)grid.splits) * sizeof(float);
	thaw_status status = thaw_gpu_alloc(gpu, all, "convolutions being timed", &bench->norm.memory);
	float *at = bench->norm.memory;
	struct thaw_norm_channels to;

	if (status)
		return status;
	to = (struct thaw_norm_channels){
		.gamma = at + PARAMETER * row,
		.beta = at + PARAMETER * row,
		.mean = at + PARAMETER * row,
		.variance = at + PARAMETER * row,
		.scalars = (const struct thaw_scalars *)(void *)(at + SCALARS * row),
		.batch_mean = at + BATCH * row,
		.batch_variance = at + BATCH * row,
		.kept = at + KEPT * row,
	};
	bench->norm.finish =
		(struct thaw_norm_finish_args){to, at + SUMS * row, grid.rows, s->k, .channels = s->k, .epsilon = 1};
	bench->norm.sums = (struct thaw_norm_sums_args){
		.to = to,
		.x = bench->tensors.y,
		.partials = at + PARTIALS * row,
		.tickets = (uint32_t *)(void *)(at + TICKETS * row),
		.grid = grid,
		.channels = s->k,
		.number = s->number,
		.epsilon = 1,
	};
	bench->tensors.sums = at + SUMS * row;
	return thaw_gpu_zero(bench->stream, at, all);
}

static thaw_status open_bench(struct bench *bench)
{
	struct thaw_gpu *gpu = bench->conv->gpu;
	thaw_status status = thaw_gpu_stream_new(gpu, false, &bench->stream);
	cudnnStatus_t error;

	for (int i = 0; i <= THAW_CHOICE_RUNS && !status; i++)
		status = thaw_gpu_event_new(gpu, true, &bench->events[i]);
	if (status)
		return status;
	error = cudnnSetStream(gpu->cudnn, bench->stream->stream);
	if (error)
		return fail_cudnn(gpu, error);
	status = make_tensors(bench);
	return status || !bench->conv->spec.statistics ? status : make_norm(bench);
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

/* The plan and, where statistics are of use, what a norm has to do for them behind it. */
static thaw_status run_timed(struct bench *bench, const struct thaw_cudnn_plan *plan, cudnnBackendDescriptor_t pack)
{
	const struct norm *norm = &bench->norm;
	cudnnStatus_t error = cudnnBackendExecute(bench->conv->gpu->cudnn, plan->plan, pack);

	if (error)
		return fail_cudnn(bench->conv->gpu, error);
	if (!bench->conv->spec.statistics)
		return THAW_OK;
	if (plan->statistics)
		return thaw_gpu_launch(bench->stream, THAW_KERNEL_norm_finish, (norm->finish.c + THAW_BLOCK - 1) / THAW_BLOCK,
		                       &norm->finish, sizeof norm->finish);
	return thaw_gpu_launch(bench->stream, THAW_KERNEL_norm_sums, norm->sums.grid.columns * norm->sums.grid.splits,
	                       &norm->sums, sizeof norm->sums);
}

/* Several runs as a graph, as a step's are: what a launch takes the host is not to be what is measured. */
static thaw_status record_burst(struct bench *bench, const struct thaw_cudnn_plan *plan, cudnnBackendDescriptor_t pack,
                                struct thaw_gpu_graph **graph_out)
{
	thaw_status status = thaw_gpu_capture_begin(bench->stream), ended;

	if (status)
		return status;
	for (int i = 0; i < BURST && !status; i++)
		status = run_timed(bench, plan, pack);
	ended = thaw_gpu_capture_end(bench->stream, graph_out);
	if (status && !ended)
		thaw_gpu_graph_free(*graph_out);
	return status ? status : ended;
}

/* The graph, and `end` behind it. */
static thaw_status run_burst(struct bench *bench, struct thaw_gpu_graph *burst, struct thaw_gpu_event *end)
{
	thaw_status status = thaw_gpu_graph_launch(bench->stream, burst);

	return status ? status : thaw_gpu_event_record(end, bench->stream);
}

static thaw_status warm_up(struct bench *bench, struct thaw_gpu_graph *burst)
{
	struct thaw_gpu_event **events = bench->events;
	double all = 0, seconds;
	thaw_status status = THAW_OK;

	while (!status && all < warm_seconds) {
		status = thaw_gpu_event_record(events[0], bench->stream);
		if (!status)
			status = run_burst(bench, burst, events[1]);
		if (!status)
			status = thaw_gpu_event_wait(events[1]);
		if (!status)
			status = thaw_gpu_event_seconds(events[0], events[1], &seconds);
		if (!status)
			all += seconds;
	}
	bench->warm = true;
	return status;
}

static thaw_status measure(struct bench *bench, struct thaw_gpu_graph *burst, struct thaw_choice_times *times)
{
	struct thaw_gpu_event **events = bench->events;
	thaw_status status = bench->warm ? THAW_OK : warm_up(bench, burst);

	if (!status)
		status = thaw_gpu_event_record(events[0], bench->stream);
	for (int i = 0; i < THAW_CHOICE_RUNS && !status; i++)
		status = run_burst(bench, burst, events[i + 1]);
	if (!status)
		status = thaw_gpu_event_wait(events[THAW_CHOICE_RUNS]);
	for (int i = 0; i < THAW_CHOICE_RUNS && !status; i++) {
		status = thaw_gpu_event_seconds(events[i], events[i + 1], &times->seconds[i]);
		times->seconds[i] /= BURST;
	}
	return status;
}

/* One plan. It leaves `times` as they are where it cannot be run, for want of memory or because cuDNN refuses, or cannot
 * be part of a graph. */
static thaw_status time_plan(struct bench *bench, const struct thaw_cudnn_plan *plan, struct thaw_choice_times *times)
{
	cudnnBackendDescriptor_t pack;
	struct thaw_gpu_graph *burst;
	thaw_status status = make_workspace(bench, plan->workspace_bytes);

	if (status)
		return status == THAW_OUT_OF_MEMORY ? THAW_OK : status;
	if (make_pack(bench->conv, plan, &bench->tensors, &pack))
		return THAW_OK;
	if (!run_timed(bench, plan, pack)) {
		status = thaw_gpu_wait(bench->stream); /* for what only the first run does, such as loading its code */
		if (!status && !record_burst(bench, plan, pack, &burst)) {
			status = measure(bench, burst, times);
			thaw_gpu_graph_free(burst);
		}
	}
	(void)cudnnBackendDestroyDescriptor(pack);
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
	snprintf(conv->engine, sizeof conv->engine, "engine %d%s (%s)", conv->plan.engine,
	         conv->plan.statistics ? " with sums" : "", origin);
}

/* Remembers the plan, so that the same convolution gets it again, here and on other ranks. One that cuDNN cannot write
 * down is chosen anew each time. */
static thaw_status remember(const struct thaw_gpu_conv *conv, struct thaw_plan_cache *cache, const char *key,
                            enum thaw_plan_origin origin)
{
	struct thaw_text json = THAW_TEXT_EMPTY;
	thaw_status status;

	if (conv->spec.statistics && !conv->plan.statistics)
		return thaw_plan_cache_add(cache, key, apart, origin);
	status = thaw_cudnn_plan_write(&conv->plan, &json);
	if (!status)
		status = thaw_plan_cache_add(cache, key, json.data, origin);
	thaw_text_release(&json);
	return status == THAW_OUT_OF_MEMORY ? status : THAW_OK;
}

/* Keeps one of several plans. */
static void keep_one(struct thaw_gpu_conv *conv, struct thaw_cudnn_plan *plans, int count, int which)
{
	conv->plan = plans[which];
	for (int i = 0; i < count; i++)
		if (i != which)
			thaw_cudnn_plan_release(&plans[i]);
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
	keep_one(conv, plans, count, fastest >= 0 ? fastest : 0);
	name_engine(conv, origin);
	return status ? status : remember(conv, cache, key, fastest >= 0 ? THAW_PLAN_TIMED : THAW_PLAN_PROPOSED);
}

/* Whether the plan that the convolution has, without statistics, is better than one with them. Where there is none that
 * is an answer too, and one to be kept. Times are with what a norm has to do behind each. */
static thaw_status choose_statistics(struct thaw_gpu_conv *conv, struct thaw_plan_cache *cache, const char *key)
{
	const struct thaw_cudnn_target target = {.handle = conv->gpu->cudnn};
	struct thaw_cudnn_plan plans[CANDIDATES] = {conv->plan};
	int count = 0, fastest = conv->spec.untimed ? -1 : 0;
	double seconds = 0;
	char origin[32];
	thaw_status status = THAW_OK;

	if (!conv->spec.untimed && !thaw_cudnn_plan_conv(&target, &conv->spec, plans + 1, CANDIDATES - 1, &count))
		status = time_plans(conv, plans, count + 1, &fastest, &seconds);
	keep_one(conv, plans, count + 1, fastest > 0 ? fastest : 0);
	snprintf(origin, sizeof origin, "timed %.3f ms", 1e3 * seconds);
	if (fastest > 0)
		name_engine(conv, origin);
	return status ? status : remember(conv, cache, key, fastest >= 0 ? THAW_PLAN_TIMED : THAW_PLAN_PROPOSED);
}

/* Takes what was chosen before. */
static thaw_status take(struct thaw_gpu_conv *conv, const struct thaw_plan_record *record)
{
	const struct thaw_cudnn_target target = {.handle = conv->gpu->cudnn};
	thaw_status status = thaw_cudnn_plan_read(&target, &conv->spec, record->plan, &conv->plan);

	if (!status)
		name_engine(conv, record->origin == THAW_PLAN_PROPOSED ? "proposed" : "kept");
	return status;
}

/* What was chosen before, if it will do. Where times count, what this process took without them does not; another
 * rank's choice does, however it was made, as all ranks have to take the same. */
static const struct thaw_plan_record *find_record(const struct thaw_gpu_conv *conv, struct thaw_plan_cache *cache,
                                                  const char *key)
{
	const struct thaw_plan_record *record = thaw_plan_cache_find(cache, key);

	return record && record->origin == THAW_PLAN_PROPOSED && !conv->spec.untimed ? NULL : record;
}

/* Takes what was chosen before, or chooses. */
static thaw_status find_plan(struct thaw_gpu_conv *conv, struct thaw_plan_cache *cache)
{
	struct thaw_text key = THAW_TEXT_EMPTY;
	thaw_status status = thaw_choice_key(&conv->spec, conv->gpu->machine, &key);
	const struct thaw_plan_record *record = status ? NULL : find_record(conv, cache, key.data);

	if (!status && (!record || take(conv, record)))
		status = choose(conv, cache, key.data);
	thaw_text_release(&key);
	return status;
}

/* The same for a convolution whose statistics are of use: a plan with them, or the one without. */
static thaw_status find_statistics(struct thaw_gpu_conv *conv, struct thaw_plan_cache *cache)
{
	struct thaw_text key = THAW_TEXT_EMPTY;
	thaw_status status = thaw_choice_key(&conv->spec, conv->gpu->machine, &key);
	const struct thaw_plan_record *record = status ? NULL : find_record(conv, cache, key.data);
	bool is_apart = record && strcmp(record->plan, apart) == 0;

	if (status || (record && !is_apart && !take(conv, record)))
		goto release;
	conv->spec.statistics = false;
	status = find_plan(conv, cache);
	conv->spec.statistics = true;
	if (!status && !is_apart)
		status = choose_statistics(conv, cache, key.data);
release:
	thaw_text_release(&key);
	return status;
}

/* --- convolutions ------------------------------------------------------------------------------------------------ */

thaw_status thaw_gpu_conv_new(struct thaw_gpu *gpu, const struct thaw_gpu_conv_spec *spec,
                              struct thaw_gpu_conv **conv_out)
{
	struct thaw_gpu_conv *conv = thaw_alloc(1, sizeof *conv);
	struct thaw_plan_cache *cache;
	thaw_status status;

	if (!conv)
		return THAW_OUT_OF_MEMORY;
	conv->gpu = gpu;
	conv->spec = *spec;
	status = thaw_choice_cache(&cache);
	if (!status)
		status = spec->statistics ? find_statistics(conv, cache) : find_plan(conv, cache);
	thaw_choice_keep_old();
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

bool thaw_gpu_conv_has_statistics(const struct thaw_gpu_conv *conv)
{
	return conv->plan.statistics;
}

const char *thaw_gpu_conv_engine(const struct thaw_gpu_conv *conv)
{
	return conv->engine;
}

thaw_status thaw_gpu_conv_run(struct thaw_gpu_stream *stream, struct thaw_gpu_conv *conv,
                              const struct thaw_gpu_conv_tensors *tensors)
{
	cudnnBackendDescriptor_t pack;
	cudnnStatus_t status = cudnnSetStream(conv->gpu->cudnn, stream->stream);

	thaw_choice_keep(); /* by now all convolutions of the network are chosen */
	if (!status)
		status = make_pack(conv, &conv->plan, tensors, &pack);
	if (!status) {
		status = cudnnBackendExecute(conv->gpu->cudnn, conv->plan.plan, pack);
		(void)cudnnBackendDestroyDescriptor(pack);
	}
	return status ? fail_cudnn(conv->gpu, status) : THAW_OK;
}
