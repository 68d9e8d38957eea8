/* The simulator itself: it does things late, in the order of streams and events alone, and refuses what a GPU would. */
#define _POSIX_C_SOURCE 200809L
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/sim.h"
#include "tests/test.h"

enum { ELEMS = 64, TURNS = 256 };

static struct thaw_gpu *gpu;
static struct thaw_gpu_stream *one, *two;
static float *device[2], *pinned;

static void *allocate(size_t bytes)
{
	void *memory = NULL;

	CHECK_OK(thaw_gpu_alloc(gpu, bytes, "a test", &memory));
	return memory;
}

static void open_all(void)
{
	void *memory = NULL;

	CHECK_OK(thaw_gpu_open(0, &gpu));
	CHECK_OK(thaw_gpu_stream_new(gpu, false, &one));
	CHECK_OK(thaw_gpu_stream_new(gpu, true, &two));
	device[0] = allocate(ELEMS * sizeof(float));
	device[1] = allocate(ELEMS * sizeof(float));
	CHECK_OK(thaw_gpu_alloc_pinned(gpu, ELEMS * sizeof(float), "a test", &memory));
	pinned = memory;
}

static void fill(float value)
{
	for (int i = 0; i < ELEMS; i++)
		pinned[i] = value;
}

/* to += from */
static void add(struct thaw_gpu_stream *stream, float *to, const float *from)
{
	const struct thaw_sum_args arguments = {.from = from, .to = to, .eights = ELEMS / 8, .number = THAW_FLOAT32};

	CHECK_OK(thaw_gpu_launch(stream, THAW_KERNEL_sum, 1, &arguments, sizeof arguments));
}

/* What stands in pinned memory when the stream gets there is what arrives. */
static void test_late(void)
{
	float got[ELEMS];

	fill(1);
	CHECK_OK(thaw_gpu_put(one, device[0], pinned, ELEMS * sizeof(float)));
	fill(2);
	CHECK_OK(thaw_gpu_get(one, got, device[0], sizeof got)); /* into memory that is not pinned: it waits */
	CHECK_NEAR(got[0], 2, 0);
	got[0] = 5;
	CHECK_OK(thaw_gpu_put(one, device[0], got, sizeof got));
	got[0] = 6;
	CHECK_OK(thaw_gpu_get(one, got, device[0], sizeof got));
	CHECK_NEAR(got[0], 5, 0);
}

/* Whether both orders of two streams without an event are met. Rarely the one that is not meant: a stream that is drawn
 * stays for many works. */
static void test_order(bool event_between)
{
	struct thaw_gpu_event *event = NULL;
	int early = 0;

	CHECK_OK(thaw_gpu_event_new(gpu, &event));
	for (int i = 0; i < TURNS; i++) {
		float got[ELEMS];

		fill(1);
		CHECK_OK(thaw_gpu_zero(one, device[1], ELEMS * sizeof(float)));
		CHECK_OK(thaw_gpu_zero(one, device[0], ELEMS * sizeof(float)));
		CHECK_OK(thaw_gpu_wait(one));
		CHECK_OK(thaw_gpu_put(one, device[0], pinned, ELEMS * sizeof(float)));
		if (event_between) {
			CHECK_OK(thaw_gpu_event_record(event, one));
			CHECK_OK(thaw_gpu_event_order(event, two));
		}
		add(two, device[1], device[0]);
		CHECK_OK(thaw_gpu_wait(one));
		CHECK_OK(thaw_gpu_get(two, got, device[1], sizeof got));
		early += got[0] == 0;
	}
	CHECK(event_between ? early == 0 : early > 0 && early < TURNS);
	thaw_gpu_event_free(event);
}

/* A fork and join over two streams, captured once and run thrice. */
static void test_graph(void)
{
	struct thaw_gpu_event *event = NULL;
	struct thaw_gpu_graph *graph = NULL;
	float got[ELEMS];

	CHECK_OK(thaw_gpu_event_new(gpu, &event));
	fill(1);
	CHECK_OK(thaw_gpu_put(one, device[0], pinned, ELEMS * sizeof(float)));
	CHECK_OK(thaw_gpu_put(one, device[1], pinned, ELEMS * sizeof(float)));
	CHECK_OK(thaw_gpu_wait(one));
	CHECK_OK(thaw_gpu_capture_begin(one));
	add(one, device[0], device[1]);
	CHECK_OK(thaw_gpu_event_record(event, one));
	CHECK_OK(thaw_gpu_event_order(event, two));
	add(two, device[1], device[0]);
	CHECK_OK(thaw_gpu_event_record(event, two));
	CHECK_OK(thaw_gpu_event_order(event, one));
	add(one, device[0], device[1]);
	CHECK_OK(thaw_gpu_capture_end(one, &graph));
	for (int i = 0; i < 3; i++)
		CHECK_OK(thaw_gpu_graph_launch(one, graph));
	CHECK_OK(thaw_gpu_get(one, got, device[0], sizeof got));
	CHECK_NEAR(got[0], 71, 0); /* (1, 1), (5, 3), (19, 11), (71, 41) */
	thaw_gpu_graph_free(graph);
	thaw_gpu_event_free(event);
}

/* --- refusals ---------------------------------------------------------------------------------------------------- */

static void use_freed(void)
{
	void *memory = allocate(64);

	thaw_gpu_free(gpu, memory);
	thaw_gpu_zero(one, memory, 64);
}

static void free_twice(void)
{
	void *memory = allocate(64);

	thaw_gpu_free(gpu, memory);
	thaw_gpu_free(gpu, memory);
}

static void copy_beyond(void)
{
	thaw_gpu_zero(one, device[0], ELEMS * sizeof(float) + 1);
}

static void launch_on_host_memory(void)
{
	add(one, device[0], pinned);
}

static void follow_on_host(void)
{
	device[0][0] = 1;
}

static void wait_in_capture(void)
{
	thaw_gpu_capture_begin(one);
	thaw_gpu_wait(one);
}

static void allocate_in_capture(void)
{
	thaw_gpu_capture_begin(one);
	allocate(64);
}

static void leave_a_stream_behind(void)
{
	struct thaw_gpu_event *event;
	struct thaw_gpu_graph *graph;

	thaw_gpu_event_new(gpu, &event);
	thaw_gpu_capture_begin(one);
	add(one, device[0], device[1]);
	thaw_gpu_event_record(event, one);
	thaw_gpu_event_order(event, two);
	add(two, device[1], device[0]);
	thaw_gpu_capture_end(one, &graph);
}

static void misalign(void)
{
	const struct thaw_gpu_conv_spec spec = {.n = 1,
	                                        .c = 8,
	                                        .h = 1,
	                                        .w = 1,
	                                        .k = 8,
	                                        .oh = 1,
	                                        .ow = 1,
	                                        .kernel = 1,
	                                        .stride = 1,
	                                        .groups = 1,
	                                        .workspace_limit = 1 << 20};
	struct thaw_gpu_conv *conv;
	void *workspace = allocate(1 << 20), *x = allocate(1024);

	thaw_gpu_conv_new(gpu, &spec, &conv);
	thaw_gpu_conv_run(
		one, conv, &(struct thaw_gpu_conv_tensors){.x = (char *)x + 4, .w = x, .y = device[0], .workspace = workspace});
	thaw_gpu_wait(one);
}

/* Ends the process as `want` says: exit code 99, or a signal. */
static void check_refused(void (*misuse)(void), bool by_signal)
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		if (!freopen("/dev/null", "w", stderr))
			_exit(1);
		misuse();
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	if (by_signal)
		CHECK(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 1)); /* 1: of a sanitizer */
	else
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 99);
}

int main(void)
{
	static void (*const misuses[])(void) = {
		use_freed,       free_twice,          copy_beyond,           launch_on_host_memory,
		wait_in_capture, allocate_in_capture, leave_a_stream_behind, misalign,
	};

	open_all();
	test_late();
	test_order(false);
	test_order(true);
	test_graph();
	for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++)
		check_refused(misuses[i], false);
	check_refused(follow_on_host, true);
	thaw_gpu_free(gpu, device[0]);
	thaw_gpu_free(gpu, device[1]);
	thaw_gpu_free_pinned(gpu, pinned);
	thaw_gpu_stream_free(one);
	thaw_gpu_stream_free(two);
	thaw_gpu_close(gpu);
	return TEST_END();
}
