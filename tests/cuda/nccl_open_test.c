/*
 * NCCL as it is linked.
 *
 *     nccl_open_test        its version, and words for a call that fails
 *     nccl_open_test gpu    a rank that is alone, where there is a GPU
 */
#define _DEFAULT_SOURCE /* setenv */
#include <sys/wait.h>
#include <unistd.h>

#include "comm/nccl.h"
#include "tests/test.h"

enum { COUNT = 1000 };

static void test_describe(void)
{
	int major = 0, minor = 0, patch = -1;

	CHECK(sscanf(thaw_nccl_describe(), "NCCL %d.%d.%d", &major, &minor, &patch) == 3);
	CHECK(major == 2 && minor >= 17 && patch >= 0);
}

/* In a process of its own: NCCL looks at its surroundings once. */
static void test_words(void)
{
	unsigned char id[THAW_NCCL_ID];
	int status = 0;
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		setenv("NCCL_SOCKET_IFNAME", "=nonesuch", 1);
		CHECK_FAILS(thaw_nccl_id(id), THAW_FAILED, "NCCL: ncclGetUniqueId: ");
		CHECK(!strchr(thaw_fail_text(), '\n'));
		printf("%s\n", thaw_fail_text());
		fflush(stdout);
		_exit(test_failures != 0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A second rank that never comes. */
static void test_deadline(struct thaw_gpu *gpu)
{
	unsigned char id[THAW_NCCL_ID];
	struct thaw_nccl *nccl = NULL;

	CHECK_OK(thaw_nccl_id(id));
	CHECK_FAILS(thaw_nccl_new(gpu, id, 0, 2, 1, &nccl), THAW_FAILED, "rank 0 of 2 waited 1 s for the others to join");
	CHECK(!nccl);
}

/* The sum over one rank, which changes nothing, directly and in a graph, which has to go before the communicator. The graph
 * makes zeroes of a half, so that its launch shows. */
static void test_alone(struct thaw_gpu *gpu)
{
	unsigned char id[THAW_NCCL_ID];
	struct thaw_nccl *nccl = NULL;
	struct thaw_gpu_stream *stream = NULL;
	struct thaw_gpu_graph *graph = NULL;
	void *device = NULL;
	float values[COUNT], got[COUNT] = {0};

	for (int i = 0; i < COUNT; i++)
		values[i] = (float)i;
	CHECK_OK(thaw_nccl_id(id));
	CHECK_OK(thaw_nccl_new(gpu, id, 0, 1, 60, &nccl));
	CHECK_OK(thaw_gpu_stream_new(gpu, true, &stream));
	CHECK_OK(thaw_gpu_alloc(gpu, sizeof values, "a test", &device));
	CHECK_OK(thaw_gpu_put(stream, device, values, sizeof values));
	CHECK_OK(thaw_nccl_sum(nccl, stream, device, COUNT));
	CHECK_OK(thaw_gpu_get(stream, got, device, sizeof got));
	CHECK_OK(thaw_gpu_wait(stream));
	CHECK(memcmp(got, values, sizeof got) == 0);
	CHECK_OK(thaw_gpu_capture_begin(stream));
	CHECK_OK(thaw_gpu_zero(stream, device, sizeof values / 2));
	CHECK_OK(thaw_nccl_sum(nccl, stream, device, COUNT));
	CHECK_OK(thaw_gpu_capture_end(stream, &graph));
	CHECK_OK(thaw_gpu_graph_launch(stream, graph));
	memset(values, 0, sizeof values / 2);
	CHECK_OK(thaw_gpu_get(stream, got, device, sizeof got));
	CHECK_OK(thaw_gpu_wait(stream));
	CHECK_OK(thaw_nccl_check(nccl));
	CHECK(memcmp(got, values, sizeof got) == 0);
	thaw_gpu_graph_free(graph);
	thaw_nccl_free(nccl);
	thaw_gpu_free(gpu, device);
	thaw_gpu_stream_free(stream);
}

int main(int argc, char **argv)
{
	struct thaw_gpu *gpu = NULL;

	if (argc == 2 && strcmp(argv[1], "gpu") == 0) {
		if (thaw_gpu_open(0, &gpu))
			SKIP(thaw_fail_text());
		test_deadline(gpu);
		test_alone(gpu);
		thaw_gpu_close(gpu);
	} else {
		test_describe();
		test_words();
		thaw_nccl_free(NULL);
	}
	return TEST_END();
}
