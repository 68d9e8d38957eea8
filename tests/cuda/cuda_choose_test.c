/*
 * How nn/cuda/gpu_conv.c chooses plans, with a library and a GPU that the test invents: plan number i takes as long as
 * `machine` says, and its JSON is "plan i". Each case is a process of its own, as a process reads its cache once.
 */
#define _GNU_SOURCE /* mkdtemp, setenv */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "nn/cuda/choice.h"
#include "nn/cuda/cuda.h"
#include "nn/cuda/cudnn_plan.h"
#include "nn/cuda/gpu_real.h"
#include "tests/test.h"

enum { PLANS = 4, FUSED = 2, ALL = PLANS + FUSED }; /* those with statistics stand behind the others */

static struct machine {
	double milliseconds[ALL]; /* of a run; negative: it cannot be run */
	size_t workspace_bytes[ALL];
	double sums_ms, finish_ms; /* of a norm's kernels */
	size_t memory_bytes;       /* that there are */
	int refused;               /* the number of the plan that cannot be read; -1: none */
	int unrecorded;            /* the number of the plan that cannot be part of a graph; -1: none */
	int fused;                 /* plans with statistics that there are */
} machine;

static char library; /* a handle of it */
static struct thaw_gpu gpu = {
	.facts.name = "invented", .machine = "invented GPU", .cudnn = (cudnnHandle_t)(void *)&library};
static const struct thaw_gpu_conv_spec spec = {
	.n = 2, .c = 8, .h = 5, .w = 5, .k = 16, .oh = 5, .ow = 5, .kernel = 1, .stride = 1, .groups = 1, .bias = true};

/* The same, without a bias, in front of a norm. */
static const struct thaw_gpu_conv_spec summed = {.n = 2,
                                                 .c = 8,
                                                 .h = 5,
                                                 .w = 5,
                                                 .k = 16,
                                                 .oh = 5,
                                                 .ow = 5,
                                                 .kernel = 1,
                                                 .stride = 1,
                                                 .groups = 1,
                                                 .statistics = true};

/* Runs of a plan that is timed, and of a plan that the GPU is warmed up with, graphs of 5 until 10 ms are over. */
enum { TIMED = 1 + 3 * 5, WARM = 5 };

/* What happened, or will when a graph is launched. */
struct work {
	double ms;
	int runs;        /* of plans */
	int launches[2]; /* of norm_sums, norm_finish */
};

static struct work happened, recorded;
static bool recording;
static int proposals; /* times that plans were asked for */
static int held;      /* plans, streams, events, graphs and blocks that nobody gave back */
static size_t used_bytes;

static bool asked_bias;       /* by the convolution at hand */
static int64_t tensors_given; /* to the plan that is to be run */
static int last_run = -1;     /* plan */
static cudaStream_t handle_has;

/* --- the library ------------------------------------------------------------------------------------------------- */

static cudnnBackendDescriptor_t invent_plan(int number)
{
	int *plan = malloc(sizeof *plan);

	*plan = number;
	held++;
	return plan;
}

static void describe_plan(struct thaw_cudnn_plan *plan, int number)
{
	*plan = (struct thaw_cudnn_plan){
		.plan = invent_plan(number),
		.engine = 40 + number,
		.workspace_bytes = machine.workspace_bytes[number],
		.statistics = number >= PLANS,
	};
}

thaw_status thaw_cudnn_plan_conv(const struct thaw_cudnn_target *target, const struct thaw_gpu_conv_spec *asked,
                                 struct thaw_cudnn_plan *plans_out, int limit, int *count_out)
{
	int first = asked->statistics ? PLANS : 0, count = asked->statistics ? machine.fused : PLANS;

	CHECK(target->handle == gpu.cudnn);
	proposals++;
	*count_out = limit < count ? limit : count;
	for (int i = 0; i < *count_out; i++)
		describe_plan(&plans_out[i], first + i);
	return *count_out > 0 ? THAW_OK : thaw_fail(THAW_FAILED, "none");
}

void thaw_cudnn_plan_release(struct thaw_cudnn_plan *plan)
{
	held -= plan->plan != NULL;
	free(plan->plan);
	plan->plan = NULL;
}

thaw_status thaw_cudnn_plan_write(const struct thaw_cudnn_plan *plan, struct thaw_text *json)
{
	thaw_text_add(json, "plan %d", *(const int *)plan->plan);
	return thaw_text_status(json);
}

thaw_status thaw_cudnn_plan_read(const struct thaw_cudnn_target *target, const struct thaw_gpu_conv_spec *asked,
                                 const char *json, struct thaw_cudnn_plan *plan_out)
{
	int number = atoi(json + strlen("plan "));

	CHECK(target->handle == gpu.cudnn);
	CHECK_INT(number >= PLANS, asked->statistics);
	if (number == machine.refused)
		return thaw_fail(THAW_FAILED, "refused");
	describe_plan(plan_out, number);
	return THAW_OK;
}

static struct work *work(void)
{
	return recording ? &recorded : &happened;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type, cudnnBackendDescriptor_t *made_out)
{
	(void)type;
	*made_out = invent_plan(-1);
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t pack)
{
	free(pack);
	held--;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t pack, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
	(void)pack, (void)type;
	if (name == CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS) {
		tensors_given = count;
		for (int64_t i = 0; i < count; i++)
			CHECK(((void *const *)values)[i] && (uintptr_t)((void *const *)values)[i] % 16 == 0);
	}
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t pack)
{
	(void)pack;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan, cudnnBackendDescriptor_t pack)
{
	int number = *(const int *)plan;
	double milliseconds = machine.milliseconds[number];

	(void)handle, (void)pack;
	CHECK_INT(tensors_given, number >= PLANS ? 5 : asked_bias ? 4 : 3); /* x, w, y and sums, squares or bias */
	if (milliseconds < 0 || (recording && number == machine.unrecorded))
		return CUDNN_STATUS_NOT_SUPPORTED;
	CHECK(!recording || number == last_run);
	work()->ms += milliseconds * (number == last_run ? 1 : 50); /* the first run of a plan loads its code */
	work()->runs++;
	last_run = number;
	return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
	(void)handle;
	handle_has = stream;
	return CUDNN_STATUS_SUCCESS;
}

thaw_status thaw_gpu_cudnn_failure(cudnnStatus_t error)
{
	(void)error;
	return THAW_FAILED;
}

const char *thaw_cudnn_reason(cudnnStatus_t status)
{
	(void)status;
	return "invented failure";
}

/* --- the clock --------------------------------------------------------------------------------------------------- */

double thaw_clock_seconds(void)
{
	return 1e-3 * happened.ms;
}

/* --- the GPU ----------------------------------------------------------------------------------------------------- */

struct thaw_gpu_event {
	double at_ms;
};

struct block {
	size_t size_bytes;
	char alignment[248];
};

thaw_status thaw_gpu_alloc(struct thaw_gpu *on, size_t size_bytes, const char *what, void **memory_out)
{
	struct block *block;

	(void)on;
	if (size_bytes > machine.memory_bytes - used_bytes)
		return thaw_fail(THAW_OUT_OF_MEMORY, "no memory for %s", what);
	block = aligned_alloc(256, sizeof *block + (size_bytes + 255) / 256 * 256);
	block->size_bytes = size_bytes;
	used_bytes += size_bytes;
	held++;
	*memory_out = block + 1;
	return THAW_OK;
}

void thaw_gpu_free(struct thaw_gpu *on, void *memory)
{
	struct block *block;

	(void)on;
	if (!memory)
		return;
	block = (struct block *)memory - 1;
	used_bytes -= block->size_bytes;
	held--;
	free(block);
}

thaw_status thaw_gpu_stream_new(struct thaw_gpu *on, bool urgent, struct thaw_gpu_stream **stream_out)
{
	(void)on, (void)urgent;
	*stream_out = calloc(1, sizeof **stream_out);
	(*stream_out)->stream = (cudaStream_t)(void *)*stream_out;
	held++;
	return THAW_OK;
}

void thaw_gpu_stream_free(struct thaw_gpu_stream *stream)
{
	held -= stream != NULL;
	CHECK(!stream || handle_has != stream->stream);
	free(stream);
}

thaw_status thaw_gpu_wait(struct thaw_gpu_stream *stream)
{
	(void)stream;
	CHECK(!recording);
	return THAW_OK;
}

thaw_status thaw_gpu_zero(struct thaw_gpu_stream *stream, void *to, size_t size_bytes)
{
	(void)stream;
	memset(to, 0, size_bytes);
	return THAW_OK;
}

/* Sums of the whole tensor behind a plan that made none, and the last of the work behind one that did. */
thaw_status thaw_gpu_launch(struct thaw_gpu_stream *stream, enum thaw_kernel kernel, int64_t blocks,
                            const void *arguments, size_t arguments_bytes)
{
	const struct thaw_norm_sums_args *sums = arguments;
	const struct thaw_norm_finish_args *finish = arguments;

	(void)stream;
	CHECK(last_run >= PLANS ? kernel == THAW_KERNEL_norm_finish : kernel == THAW_KERNEL_norm_sums);
	if (kernel == THAW_KERNEL_norm_sums) {
		CHECK_INT(arguments_bytes, sizeof *sums);
		CHECK_INT(sums->grid.rows, 50);
		CHECK_INT(sums->grid.c, 16);
		CHECK_INT(blocks, sums->grid.columns * sums->grid.splits);
		CHECK(sums->x && sums->partials && sums->tickets && sums->to.kept && sums->to.scalars);
	} else {
		CHECK_INT(arguments_bytes, sizeof *finish);
		CHECK_INT(finish->rows, 50);
		CHECK_INT(blocks, 1);
	}
	work()->launches[kernel == THAW_KERNEL_norm_finish]++;
	work()->ms += kernel == THAW_KERNEL_norm_sums ? machine.sums_ms : machine.finish_ms;
	return THAW_OK;
}

struct thaw_gpu_graph {
	struct work work;
};

thaw_status thaw_gpu_capture_begin(struct thaw_gpu_stream *stream)
{
	(void)stream;
	CHECK(!recording);
	recording = true;
	recorded = (struct work){0};
	return THAW_OK;
}

thaw_status thaw_gpu_capture_end(struct thaw_gpu_stream *stream, struct thaw_gpu_graph **graph_out)
{
	(void)stream;
	CHECK(recording);
	recording = false;
	*graph_out = malloc(sizeof **graph_out);
	(*graph_out)->work = recorded;
	held++;
	return THAW_OK;
}

void thaw_gpu_graph_free(struct thaw_gpu_graph *graph)
{
	held -= graph != NULL;
	free(graph);
}

thaw_status thaw_gpu_graph_launch(struct thaw_gpu_stream *stream, struct thaw_gpu_graph *graph)
{
	(void)stream;
	happened.ms += graph->work.ms;
	happened.runs += graph->work.runs;
	for (int i = 0; i < 2; i++)
		happened.launches[i] += graph->work.launches[i];
	return THAW_OK;
}

thaw_status thaw_gpu_event_new(struct thaw_gpu *on, bool timed, struct thaw_gpu_event **event_out)
{
	(void)on;
	CHECK(timed);
	*event_out = calloc(1, sizeof **event_out);
	held++;
	return THAW_OK;
}

void thaw_gpu_event_free(struct thaw_gpu_event *event)
{
	held -= event != NULL;
	free(event);
}

thaw_status thaw_gpu_event_record(struct thaw_gpu_event *event, struct thaw_gpu_stream *stream)
{
	(void)stream;
	event->at_ms = happened.ms;
	return THAW_OK;
}

thaw_status thaw_gpu_event_wait(struct thaw_gpu_event *event)
{
	(void)event;
	return THAW_OK;
}

thaw_status thaw_gpu_event_seconds(struct thaw_gpu_event *from, struct thaw_gpu_event *to, double *seconds_out)
{
	*seconds_out = 1e-3 * (to->at_ms - from->at_ms);
	return THAW_OK;
}

/* --- the cases --------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/thaw-choose-XXXXXX";
static struct thaw_text path = THAW_TEXT_EMPTY;

static const struct machine usual = {
	.milliseconds = {3, 2, 0.5, 1, 0.75, 0.625},
	.workspace_bytes = {0, 1 << 10, 1 << 20, 1 << 12, 0, 0},
	.sums_ms = 0.25,
	.finish_ms = 0.0625,
	.memory_bytes = 1 << 22,
	.refused = -1,
	.unrecorded = -1,
	.fused = FUSED,
};

/* A convolution's plan and where it comes from, and nothing is held afterwards. */
static void check_choice(const struct thaw_gpu_conv_spec *asked, const char *engine)
{
	struct thaw_gpu_conv *conv = NULL;

	asked_bias = asked->bias;
	CHECK_OK(thaw_gpu_conv_new(&gpu, asked, &conv));
	if (!conv)
		return;
	CHECK_INT(thaw_gpu_conv_has_statistics(conv), strstr(engine, "with sums") != NULL);
	CHECK_TEXT(thaw_gpu_conv_engine(conv), engine);
	CHECK_INT(held, 1); /* the plan */
	CHECK_INT(used_bytes, 0);
	thaw_gpu_conv_free(conv);
	CHECK_INT(held, 0);
}

static void run_one(void)
{
	char x[16];
	const struct thaw_gpu_conv_tensors tensors = {.x = x - (uintptr_t)x % 16 + 16,
	                                              .w = x - (uintptr_t)x % 16 + 16,
	                                              .y = x - (uintptr_t)x % 16 + 16,
	                                              .bias = x - (uintptr_t)x % 16 + 16};
	struct thaw_gpu_stream stream = {.gpu = &gpu};
	struct thaw_gpu_conv *conv = NULL;

	asked_bias = true;
	CHECK_OK(thaw_gpu_conv_new(&gpu, &spec, &conv));
	CHECK_OK(thaw_gpu_conv_run(&stream, conv, &tensors));
	thaw_gpu_conv_free(conv);
}

/* Timed once, and known from then on; the file is there when a convolution runs. */
static void case_timed(void)
{
	struct thaw_gpu_conv_spec larger = spec;

	check_choice(&spec, "engine 42 (timed 0.500 ms)");
	CHECK_INT(happened.runs, TIMED * PLANS + WARM);
	check_choice(&spec, "engine 42 (kept)");
	CHECK_INT(proposals, 1);
	larger.n++;
	check_choice(&larger, "engine 42 (timed 0.500 ms)");
	CHECK(!thaw_file_exists(path.data));
	run_one();
	CHECK(thaw_file_exists(path.data));
}

/* Where choosing takes long, what was chosen so far is in the file before anything runs. */
static void case_slow(void)
{
	machine.milliseconds[0] = 150;
	check_choice(&spec, "engine 42 (timed 0.500 ms)");
	CHECK(thaw_file_exists(path.data));
}

static void case_kept(void)
{
	struct thaw_gpu_conv_spec untimed = spec;

	untimed.untimed = true;
	check_choice(&spec, "engine 42 (kept)");
	check_choice(&untimed, "engine 42 (kept)");
	CHECK_INT(proposals, 0);
	CHECK_INT(happened.runs, 0);
}

/* Another kind of GPU does not find it. */
static void case_foreign(void)
{
	strcpy(gpu.machine, "another GPU");
	check_choice(&spec, "engine 42 (timed 0.500 ms)");
}

/* What is kept and cannot be read is timed anew, and replaced. */
static void case_refused(void)
{
	machine.refused = 2;
	machine.milliseconds[3] = 0.125;
	check_choice(&spec, "engine 43 (timed 0.125 ms)");
	check_choice(&spec, "engine 43 (kept)");
	thaw_choice_keep();
}

static void case_replaced(void)
{
	check_choice(&spec, "engine 43 (kept)");
}

/* Another process' choice wins over the file and over what was taken here, and goes on from here. */
static void check_learnt(enum thaw_plan_origin origin)
{
	struct thaw_gpu_conv_spec untimed = spec;
	struct thaw_plan_cache theirs = {.path = THAW_TEXT_EMPTY};
	struct thaw_text key = THAW_TEXT_EMPTY, said = THAW_TEXT_EMPTY, own = THAW_TEXT_EMPTY;

	machine.refused = 3; /* which is in the file by now */
	CHECK_OK(thaw_choice_key(&spec, gpu.machine, &key));
	CHECK_OK(thaw_plan_cache_add(&theirs, key.data, "plan 1", origin));
	CHECK_OK(thaw_plan_cache_text(&theirs, &said));
	untimed.untimed = true;
	check_choice(&untimed, "engine 40 (proposed)");
	CHECK_OK(thaw_cuda_learn(said.data));
	check_choice(&spec, "engine 41 (kept)");
	CHECK_OK(thaw_cuda_choices(&own));
	CHECK_TEXT(own.data, said.data);
	CHECK_INT(happened.runs, 0);
	thaw_plan_cache_release(&theirs);
	thaw_text_release(&key);
	thaw_text_release(&said);
	thaw_text_release(&own);
}

static void case_learnt(void)
{
	check_learnt(THAW_PLAN_TIMED);
}

static void case_learnt_proposed(void)
{
	check_learnt(THAW_PLAN_PROPOSED);
}

/* Without timing the first is taken. Others take it too, but the file does not get it. */
static void check_proposed(const struct thaw_gpu_conv_spec *asked)
{
	struct thaw_text said = THAW_TEXT_EMPTY;

	check_choice(asked, "engine 40 (proposed)");
	check_choice(asked, "engine 40 (proposed)");
	CHECK_OK(thaw_cuda_choices(&said));
	CHECK(strstr(said.data, "\tplan 0\n") != NULL);
	thaw_choice_keep();
	CHECK(!thaw_file_exists(path.data));
	thaw_text_release(&said);
}

static void case_untimed(void)
{
	struct thaw_gpu_conv_spec untimed = spec;

	untimed.untimed = true;
	check_proposed(&untimed);
	CHECK_INT(happened.runs, 0);
}

static void case_no_memory(void)
{
	machine.memory_bytes = 100;
	check_proposed(&spec);
}

/* What was taken without timing is timed when that is asked for, and then is known to those who do not ask, too. */
static void case_timed_later(void)
{
	struct thaw_gpu_conv_spec untimed = spec;

	untimed.untimed = true;
	check_choice(&untimed, "engine 40 (proposed)");
	check_choice(&spec, "engine 42 (timed 0.500 ms)");
	check_choice(&untimed, "engine 42 (kept)");
	untimed = summed;
	untimed.untimed = true;
	check_choice(&untimed, "engine 40 (proposed)");
	check_choice(&summed, "engine 45 with sums (timed 0.688 ms)");
	check_choice(&untimed, "engine 45 with sums (kept)");
	machine.memory_bytes = 100;
	untimed.workspace_limit = 1 << 20; /* another convolution */
	untimed.untimed = false;
	check_choice(&untimed, "engine 40 (proposed)");
	machine.memory_bytes = usual.memory_bytes;
	check_choice(&untimed, "engine 45 with sums (timed 0.688 ms)");
}

/* Where there is memory for the tensors but not for every workspace, and a plan cannot be run, others are timed. */
static void case_less_memory(void)
{
	machine.memory_bytes = 1 << 16;
	machine.milliseconds[3] = -1;
	check_choice(&spec, "engine 41 (timed 2.000 ms)");
}

/* Steps are recorded, so a plan that cannot be is not taken, however fast. */
static void case_unrecorded(void)
{
	machine.unrecorded = 2;
	check_choice(&spec, "engine 43 (timed 1.000 ms)");
}

/* A plan with statistics and the end of a norm take 0.6875 ms, the fastest without and all of a norm 0.75 ms. */
static void case_fused(void)
{
	check_choice(&summed, "engine 45 with sums (timed 0.688 ms)");
	CHECK_INT(happened.runs, TIMED * PLANS + WARM + TIMED * (1 + FUSED) + 3 * WARM);
	CHECK_INT(happened.launches[0], TIMED + 3 * WARM);
	CHECK_INT(happened.launches[1], TIMED * FUSED);
	check_choice(&summed, "engine 45 with sums (kept)");
	CHECK_INT(proposals, 2);
	thaw_choice_keep();
}

/* A second start asks for nothing and times nothing, not even what is not taken. */
static void case_fused_kept(void)
{
	check_choice(&summed, "engine 45 with sums (kept)");
	CHECK_INT(proposals + happened.runs, 0);
	machine.refused = PLANS + 1; /* by now */
	machine.milliseconds[PLANS] = 0.4375;
	check_choice(&summed, "engine 44 with sums (timed 0.500 ms)");
	CHECK_INT(proposals, 1); /* that without statistics was kept */
}

/* Within 2 % what needs no statistics is taken, and that is kept too. */
static void case_apart(void)
{
	int all = TIMED * PLANS + WARM + TIMED * (1 + FUSED) + 3 * WARM;

	machine.sums_ms = 0.1875;
	check_choice(&summed, "engine 42 (timed 0.500 ms)");
	CHECK_INT(happened.runs, all);
	check_choice(&summed, "engine 42 (kept)");
	CHECK_INT(happened.runs, all);
	thaw_choice_keep();
}

static void case_apart_kept(void)
{
	struct thaw_text said = THAW_TEXT_EMPTY;

	check_choice(&summed, "engine 42 (kept)");
	CHECK_INT(proposals + happened.runs, 0);
	CHECK_OK(thaw_cuda_choices(&said));
	CHECK(strstr(said.data, ", statistics, ") && strstr(said.data, "\tapart\n"));
	thaw_text_release(&said);
}

/* Where no plan makes statistics, the one without is not timed a second time, and the next start does not ask again. */
static void case_none_fused(void)
{
	machine.fused = 0;
	check_choice(&summed, "engine 42 (timed 0.500 ms)");
	CHECK_INT(happened.runs, TIMED * PLANS + WARM);
	CHECK_INT(proposals, 2);
	thaw_choice_keep();
}

/* Where nothing is timed there is no reason to take one with statistics. */
static void case_fused_untimed(void)
{
	struct thaw_gpu_conv_spec untimed = summed;

	untimed.untimed = true;
	check_choice(&untimed, "engine 40 (proposed)");
	CHECK_INT(proposals, 1);
	machine.memory_bytes = 100;
	untimed = summed;
	untimed.n++;
	check_choice(&untimed, "engine 40 (proposed)");
	thaw_choice_keep();
	CHECK(!thaw_file_exists(path.data));
}

static void run_case(void (*body)(void))
{
	int code = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		machine = usual;
		body();
		fflush(stdout);
		_exit(test_failures != 0);
	}
	CHECK(child > 0 && waitpid(child, &code, 0) == child && code == 0);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	setenv("THAW_CACHE", folder, 1);
	thaw_text_add(&path, "%s/cudnn-plans.txt", folder);
	run_case(case_untimed);
	run_case(case_no_memory);
	run_case(case_less_memory);
	run_case(case_unrecorded);
	run_case(case_timed);
	run_case(case_kept);
	run_case(case_foreign);
	run_case(case_refused);
	run_case(case_replaced);
	run_case(case_learnt);
	run_case(case_learnt_proposed);
	unlink(path.data);
	run_case(case_slow);
	unlink(path.data);
	run_case(case_timed_later);
	unlink(path.data);
	run_case(case_fused_untimed);
	run_case(case_fused);
	run_case(case_fused_kept);
	unlink(path.data);
	run_case(case_apart);
	run_case(case_apart_kept);
	unlink(path.data);
	run_case(case_none_fused);
	run_case(case_apart_kept);
	unlink(path.data);
	rmdir(folder);
	thaw_text_release(&path);
	return TEST_END();
}
