/* A GPU that only plans: nn/cuda/gpu.h with convolutions planned by cuDNN for a GPU of which the properties are
 * known, with addresses that nothing stands at, and nothing that is ever run. */
#include "tests/cuda/plan_gpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct thaw_gpu {
	struct thaw_gpu_facts facts;
};

struct thaw_gpu_conv {
	size_t workspace_bytes;
	bool statistics;
};

struct thaw_gpu_gemm {
	int unused;
};

static const struct thaw_cudnn_target *target;
static struct plan_counts counts;
static plan_gpu_look *watcher;
static plan_gpu_wish *wish_watcher;
static struct thaw_gpu_conv_spec planned[8192];

void plan_gpu_begin(const struct thaw_cudnn_target *for_this)
{
	target = for_this;
	counts = (struct plan_counts){0};
}

struct plan_counts plan_gpu_counts(void)
{
	return counts;
}

void plan_gpu_watch(plan_gpu_look *look)
{
	watcher = look;
}

void plan_gpu_watch_wishes(plan_gpu_wish *wish)
{
	wish_watcher = wish;
}

/* --- what is planned --------------------------------------------------------------------------------------------- */

static bool is_planned(const struct thaw_gpu_conv_spec *spec)
{
	for (int i = 0; i < counts.graphs; i++)
		if (memcmp(&planned[i], spec, sizeof *spec) == 0)
			return true;
	return false;
}

/* Every plan that is made has to be one that may be taken. */
static void check_plan(const struct thaw_gpu_conv_spec *spec, const struct thaw_cudnn_plan *plan)
{
	counts.forbidden += plan->workspace_bytes > spec->workspace_limit || !plan->deterministic || plan->short_sums ||
	                    (spec->number == THAW_FLOAT32 && plan->tensor_core);
	counts.compiled += plan->compiled;
	if (plan->workspace_bytes > counts.workspace_bytes)
		counts.workspace_bytes = plan->workspace_bytes;
}

/* Whether the spec has not been planned before; from now on it has. */
static bool is_new(const struct thaw_gpu_conv_spec *given)
{
	struct thaw_gpu_conv_spec spec;

	memset(&spec, 0, sizeof spec); /* padding too, for the comparison */
	spec = *given;
	if (is_planned(&spec))
		return false;
	if (counts.graphs == sizeof planned / sizeof *planned) {
		printf("more than %d graphs\n", counts.graphs);
		exit(1);
	}
	planned[counts.graphs++] = spec;
	return true;
}

static void take_plan(struct thaw_gpu_conv *conv, const struct thaw_gpu_conv_spec *spec, struct thaw_cudnn_plan *plan)
{
	check_plan(spec, plan);
	if (watcher)
		watcher(spec, plan);
	conv->workspace_bytes = plan->workspace_bytes;
	conv->statistics = plan->statistics;
	thaw_cudnn_plan_release(plan);
}

/* A plan with statistics, if there is one. */
static bool plan_statistics(struct thaw_gpu_conv *conv, const struct thaw_gpu_conv_spec *spec)
{
	struct thaw_cudnn_plan plan;
	int count;
	bool granted = !thaw_cudnn_plan_conv(target, spec, &plan, 1, &count);

	if (granted)
		take_plan(conv, spec, &plan);
	counts.wished++;
	counts.fused += granted;
	if (wish_watcher)
		wish_watcher(spec, granted);
	return granted;
}

thaw_status thaw_gpu_conv_new(struct thaw_gpu *gpu, const struct thaw_gpu_conv_spec *given,
                              struct thaw_gpu_conv **conv_out)
{
	struct thaw_gpu_conv *conv = thaw_alloc(1, sizeof *conv);
	struct thaw_gpu_conv_spec spec = *given;
	struct thaw_cudnn_plan plan;
	int count;

	(void)gpu;
	if (!conv)
		return THAW_OUT_OF_MEMORY;
	*conv_out = conv;
	if (!is_new(&spec) || (spec.statistics && plan_statistics(conv, &spec)))
		return THAW_OK;
	spec.statistics = false;
	if (given->statistics && !is_new(&spec))
		return THAW_OK;
	if (!thaw_cudnn_plan_conv(target, &spec, &plan, 1, &count)) {
		take_plan(conv, &spec, &plan);
		return THAW_OK;
	}
	printf("%s\n", thaw_fail_text());
	counts.missing++;
	return THAW_OK;
}

void thaw_gpu_conv_free(struct thaw_gpu_conv *conv)
{
	free(conv);
}

const char *thaw_gpu_conv_engine(const struct thaw_gpu_conv *conv)
{
	(void)conv;
	return "planned";
}

size_t thaw_gpu_conv_workspace(const struct thaw_gpu_conv *conv)
{
	return conv->workspace_bytes;
}

bool thaw_gpu_conv_has_statistics(const struct thaw_gpu_conv *conv)
{
	return conv->statistics;
}

/* --- what is not there ------------------------------------------------------------------------------------------- */

thaw_status thaw_gpu_count(int *count_out)
{
	*count_out = 1;
	return THAW_OK;
}

void thaw_gpu_versions(char text_out[THAW_GPU_VERSIONS])
{
	text_out[0] = '\0';
}

thaw_status thaw_gpu_identity(int number, uint32_t *identity_out)
{
	*identity_out = (uint32_t)number;
	return THAW_OK;
}

thaw_status thaw_gpu_open(int number, struct thaw_gpu **gpu_out)
{
	struct thaw_gpu *gpu = thaw_alloc(1, sizeof *gpu);

	(void)number;
	if (!gpu)
		return THAW_OUT_OF_MEMORY;
	gpu->facts = (struct thaw_gpu_facts){.name = "planned GPU", .processors = 132, .memory_bytes = SIZE_MAX};
	*gpu_out = gpu;
	return THAW_OK;
}

void thaw_gpu_close(struct thaw_gpu *gpu)
{
	free(gpu);
}

const struct thaw_gpu_facts *thaw_gpu_facts(const struct thaw_gpu *gpu)
{
	return &gpu->facts;
}

thaw_status thaw_gpu_available(struct thaw_gpu *gpu, size_t *bytes_out)
{
	(void)gpu;
	*bytes_out = SIZE_MAX / 2;
	return THAW_OK;
}

thaw_status thaw_gpu_alloc(struct thaw_gpu *gpu, size_t size_bytes, const char *what, void **memory_out)
{
	static uintptr_t next = 256;

	(void)gpu;
	(void)what;
	*memory_out = (void *)next;
	next += (size_bytes + 511) / 256 * 256;
	return THAW_OK;
}

void thaw_gpu_free(struct thaw_gpu *gpu, void *memory)
{
	(void)gpu;
	(void)memory;
}

thaw_status thaw_gpu_alloc_pinned(struct thaw_gpu *gpu, size_t size_bytes, const char *what, void **memory_out)
{
	(void)gpu;
	(void)what;
	*memory_out = thaw_alloc(size_bytes, 1);
	return *memory_out ? THAW_OK : THAW_OUT_OF_MEMORY;
}

void thaw_gpu_free_pinned(struct thaw_gpu *gpu, void *memory)
{
	(void)gpu;
	free(memory);
}

thaw_status thaw_gpu_gemm_new(struct thaw_gpu *gpu, const struct thaw_gpu_gemm_spec *spec,
                              struct thaw_gpu_gemm **gemm_out)
{
	(void)gpu;
	(void)spec;
	*gemm_out = thaw_alloc(1, sizeof **gemm_out);
	return *gemm_out ? THAW_OK : THAW_OUT_OF_MEMORY;
}

void thaw_gpu_gemm_free(struct thaw_gpu_gemm *gemm)
{
	free(gemm);
}

size_t thaw_gpu_gemm_workspace(const struct thaw_gpu_gemm *gemm)
{
	(void)gemm;
	return 0;
}

/* --- what is never run ------------------------------------------------------------------------------------------- */

thaw_status thaw_gpu_stream_new(struct thaw_gpu *gpu, bool urgent, struct thaw_gpu_stream **stream_out)
{
	(void)gpu;
	(void)urgent;
	*stream_out = NULL;
	return THAW_OK;
}

void thaw_gpu_stream_free(struct thaw_gpu_stream *stream)
{
	(void)stream;
}

thaw_status thaw_gpu_wait(struct thaw_gpu_stream *stream)
{
	(void)stream;
	return THAW_OK;
}

thaw_status thaw_gpu_put(struct thaw_gpu_stream *stream, void *to, const void *host, size_t size_bytes)
{
	(void)stream, (void)to, (void)host, (void)size_bytes;
	return THAW_OK;
}

thaw_status thaw_gpu_get(struct thaw_gpu_stream *stream, void *host, const void *from, size_t size_bytes)
{
	(void)stream, (void)host, (void)from, (void)size_bytes;
	return THAW_OK;
}

thaw_status thaw_gpu_zero(struct thaw_gpu_stream *stream, void *to, size_t size_bytes)
{
	(void)stream, (void)to, (void)size_bytes;
	return THAW_OK;
}

thaw_status thaw_gpu_launch(struct thaw_gpu_stream *stream, enum thaw_kernel kernel, int64_t blocks,
                            const void *arguments, size_t arguments_bytes)
{
	(void)stream, (void)kernel, (void)blocks, (void)arguments, (void)arguments_bytes;
	return THAW_OK;
}

thaw_status thaw_gpu_conv_run(struct thaw_gpu_stream *stream, struct thaw_gpu_conv *conv,
                              const struct thaw_gpu_conv_tensors *tensors)
{
	(void)stream, (void)conv, (void)tensors;
	return THAW_OK;
}

thaw_status thaw_gpu_gemm_run(struct thaw_gpu_stream *stream, struct thaw_gpu_gemm *gemm, const void *a, const void *b,
                              void *c, void *workspace)
{
	(void)stream, (void)gemm, (void)a, (void)b, (void)c, (void)workspace;
	return THAW_OK;
}

thaw_status thaw_gpu_event_new(struct thaw_gpu *gpu, bool timed, struct thaw_gpu_event **event_out)
{
	(void)gpu, (void)timed;
	*event_out = NULL;
	return THAW_OK;
}

void thaw_gpu_event_free(struct thaw_gpu_event *event)
{
	(void)event;
}

thaw_status thaw_gpu_event_record(struct thaw_gpu_event *event, struct thaw_gpu_stream *stream)
{
	(void)event, (void)stream;
	return THAW_OK;
}

thaw_status thaw_gpu_event_order(struct thaw_gpu_event *event, struct thaw_gpu_stream *waiting)
{
	(void)event, (void)waiting;
	return THAW_OK;
}

thaw_status thaw_gpu_event_wait(struct thaw_gpu_event *event)
{
	(void)event;
	return THAW_OK;
}

thaw_status thaw_gpu_capture_begin(struct thaw_gpu_stream *stream)
{
	(void)stream;
	return THAW_OK;
}

thaw_status thaw_gpu_capture_end(struct thaw_gpu_stream *stream, struct thaw_gpu_graph **graph_out)
{
	(void)stream;
	*graph_out = NULL;
	return THAW_OK;
}

void thaw_gpu_graph_free(struct thaw_gpu_graph *graph)
{
	(void)graph;
}

thaw_status thaw_gpu_graph_launch(struct thaw_gpu_stream *stream, struct thaw_gpu_graph *graph)
{
	(void)stream, (void)graph;
	return THAW_OK;
}

thaw_status thaw_gpu_event_done(struct thaw_gpu_event *event, bool *done_out)
{
	(void)event;
	*done_out = true;
	return THAW_OK;
}
