/*
 * Sums over simulated GPUs.
 *
 *     nccl_test           what ends a process, with ranks that this one starts itself
 *     nccl_test sums      as one of the ranks that MPI started
 *     nccl_test counts    the same, ending all of them: abort_test.sh looks at what is left
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "comm/comm.h"
#include "comm/nccl.h"
#include "tests/sim/sim.h"
#include "tests/test.h"

enum { COUNT = 600001 }; /* more than two slots */

static int rank, ranks;
static unsigned char id[THAW_NCCL_ID];
static struct thaw_gpu *gpu;
static struct thaw_gpu_stream *one, *two;
static struct thaw_gpu_event *event;
static struct thaw_nccl *nccl;
static float *device, *pinned; /* (COUNT) */

/* Each rank draws the order of its works in its own way. */
static void open_all(void)
{
	void *memory = NULL;
	char seed[16];

	snprintf(seed, sizeof seed, "%d", rank + 1);
	setenv("THAW_SIM_SEED", seed, 1);
	CHECK_OK(thaw_gpu_open(0, &gpu));
	CHECK_OK(thaw_gpu_stream_new(gpu, false, &one));
	CHECK_OK(thaw_gpu_stream_new(gpu, true, &two));
	CHECK_OK(thaw_gpu_event_new(gpu, false, &event));
	CHECK_OK(thaw_gpu_alloc(gpu, COUNT * sizeof(float), "a test", &memory));
	device = memory;
	CHECK_OK(thaw_gpu_alloc_pinned(gpu, COUNT * sizeof(float), "a test", &memory));
	pinned = memory;
}

static void close_all(void)
{
	thaw_nccl_free(nccl);
	thaw_gpu_free(gpu, device);
	thaw_gpu_free_pinned(gpu, pinned);
	thaw_gpu_event_free(event);
	thaw_gpu_stream_free(one);
	thaw_gpu_stream_free(two);
	thaw_gpu_close(gpu);
}

static void put(void)
{
	CHECK_OK(thaw_gpu_put(one, device, pinned, COUNT * sizeof(float)));
}

static void get(void)
{
	CHECK_OK(thaw_gpu_get(one, pinned, device, COUNT * sizeof(float)));
	CHECK_OK(thaw_gpu_wait(one));
	CHECK_OK(thaw_nccl_check(nccl));
}

static void order(struct thaw_gpu_stream *first, struct thaw_gpu_stream *then)
{
	CHECK_OK(thaw_gpu_event_record(event, first));
	CHECK_OK(thaw_gpu_event_order(event, then));
}

/* Sums [0, 1000) and [300000, COUNT) on one stream and [1001, 300000) on the other. Number 1000 stays. */
static void sum_slices(void)
{
	CHECK_OK(thaw_nccl_sum(nccl, one, device, 1000));
	order(one, two);
	CHECK_OK(thaw_nccl_sum(nccl, two, device + 1001, 298999));
	order(two, one);
	CHECK_OK(thaw_nccl_sum(nccl, one, device + 300000, COUNT - 300000));
}

static void fill(void)
{
	for (int i = 0; i < COUNT; i++)
		pinned[i] = (float)(i % 1000 * (rank + 1));
}

/* Whole numbers that float32 holds: i % 1000 * (1 + ... + ranks) * times, but number 1000. */
static void check_sums(int times)
{
	int wrong = 0;

	for (int i = 0; i < COUNT; i++)
		wrong += i != 1000 && !(pinned[i] == (float)(i % 1000 * ranks * (ranks + 1) / 2 * times));
	CHECK_INT(wrong, 0);
	CHECK_NEAR(pinned[1000], 0, 0);
}

static void test_slices(void)
{
	fill();
	pinned[1000] = 0;
	put();
	sum_slices();
	get();
	check_sums(1);
}

/* Three launches: each but the first multiplies by the number of ranks. */
static void test_graph(void)
{
	struct thaw_gpu_graph *graph = NULL;

	fill();
	pinned[1000] = 0;
	CHECK_OK(thaw_gpu_capture_begin(one));
	sum_slices();
	CHECK_OK(thaw_gpu_capture_end(one, &graph));
	put();
	for (int i = 0; i < 3; i++)
		CHECK_OK(thaw_gpu_graph_launch(one, graph));
	get();
	check_sums(ranks * ranks);
	thaw_gpu_graph_free(graph);
}

static float inexact(int i, int of_rank)
{
	return 1.0F / (float)(i % 77777 + 3 + 7 * of_rank);
}

/* Numbers whose sum depends on the order, which is that of the ranks. A rank comes late. */
static void test_bits(void)
{
	int wrong = 0;

	for (int i = 0; i < COUNT; i++)
		pinned[i] = inexact(i, rank);
	if (rank == ranks - 1)
		usleep(300000);
	put();
	CHECK_OK(thaw_nccl_sum(nccl, one, device, COUNT));
	get();
	for (int i = 0; i < COUNT; i++) {
		float want = inexact(i, 0);

		for (int k = 1; k < ranks; k++)
			want += inexact(i, k);
		wrong += !(pinned[i] == want);
	}
	CHECK_INT(wrong, 0);
}

/* Nothing of the shared memory is left where others could find it. */
static void check_unlinked(void)
{
	CHECK(shm_open((const char *)id, O_RDONLY, 0) < 0);
}

static void make_id(struct thaw_comm *comm)
{
	if (rank == 0)
		CHECK_OK(thaw_nccl_id(id));
	CHECK_OK(thaw_comm_broadcast(comm, id, sizeof id));
}

static void wait_for_all(struct thaw_comm *comm)
{
	int64_t zero = 0;

	CHECK_OK(thaw_comm_sum_int64(comm, &zero, 1));
}

static void begin_sum(struct thaw_gpu_graph *graph, struct thaw_gpu_event *summed)
{
	if (graph)
		CHECK_OK(thaw_gpu_graph_launch(two, graph));
	else
		CHECK_OK(thaw_nccl_sum(nccl, two, device, 1000));
	CHECK_OK(thaw_gpu_event_record(summed, two));
}

/* A sum that waits for a rank holds up what comes after it and nothing else: neither another stream nor the host, for
 * which the last rank waits before it makes its own. */
static void test_goes_on(struct thaw_comm *comm, struct thaw_gpu_graph *graph)
{
	struct thaw_gpu_event *summed = NULL;

	CHECK_OK(thaw_gpu_event_new(gpu, false, &summed));
	for (int turn = 0; turn < 8; turn++) {
		bool done = false;

		put();
		CHECK_OK(thaw_gpu_wait(one));
		if (rank != ranks - 1)
			begin_sum(graph, summed);
		CHECK_OK(thaw_gpu_zero(one, device + 1000, sizeof *device));
		CHECK_OK(thaw_gpu_wait(one));
		for (int i = 0; rank != ranks - 1 && i < 10; i++) {
			CHECK_OK(thaw_gpu_event_done(summed, &done));
			CHECK(!done);
		}
		wait_for_all(comm);
		if (rank == ranks - 1)
			begin_sum(graph, summed);
		while (!done)
			CHECK_OK(thaw_gpu_event_done(summed, &done));
	}
	CHECK_OK(thaw_nccl_check(nccl));
	thaw_gpu_event_free(summed);
}

static void test_graph_goes_on(struct thaw_comm *comm)
{
	struct thaw_gpu_graph *graph = NULL;

	CHECK_OK(thaw_gpu_capture_begin(two));
	CHECK_OK(thaw_nccl_sum(nccl, two, device, 1000));
	CHECK_OK(thaw_gpu_zero(two, device + 1001, sizeof *device));
	CHECK_OK(thaw_gpu_capture_end(two, &graph));
	test_goes_on(comm, graph);
	thaw_gpu_graph_free(graph);
}

/* The last rank does not join. */
static void test_never_joins(struct thaw_comm *comm)
{
	struct thaw_nccl *none = NULL;
	char words[64];

	make_id(comm);
	snprintf(words, sizeof words, "NCCL: rank %d of %d did not come within 2 s", ranks - 1, ranks);
	if (rank != ranks - 1)
		CHECK_FAILS(thaw_nccl_new(gpu, id, rank, ranks, 2, &none), THAW_FAILED, words);
	CHECK(!none);
	wait_for_all(comm);
	check_unlinked();
}

/* The last rank joins, and makes no sum. */
static void test_never_sums(struct thaw_comm *comm)
{
	struct thaw_nccl *short_lived = NULL;
	char words[64];

	make_id(comm);
	setenv("THAW_SIM_NCCL_SECONDS", "2", 1);
	CHECK_OK(thaw_nccl_new(gpu, id, rank, ranks, 60, &short_lived));
	unsetenv("THAW_SIM_NCCL_SECONDS");
	snprintf(words, sizeof words, "NCCL: rank %d of %d did not come within 2 s", ranks - 1, ranks);
	if (rank != ranks - 1) {
		CHECK_OK(thaw_nccl_sum(short_lived, one, device, 8));
		CHECK_OK(thaw_nccl_check(short_lived));
		CHECK_OK(thaw_gpu_wait(one));
		CHECK_FAILS(thaw_nccl_check(short_lived), THAW_FAILED, words);
		CHECK_FAILS(thaw_nccl_sum(short_lived, one, device, 8), THAW_FAILED, words);
	}
	wait_for_all(comm);
	thaw_nccl_free(short_lived);
}

/* As one of MPI's ranks. */
static void test_sums(struct thaw_comm *comm)
{
	make_id(comm);
	if (rank == ranks - 1)
		usleep(300000);
	CHECK_OK(thaw_nccl_new(gpu, id, rank, ranks, 60, &nccl));
	wait_for_all(comm);
	check_unlinked();
	test_slices();
	test_graph();
	test_bits();
	if (ranks > 1) {
		test_goes_on(comm, NULL);
		test_graph_goes_on(comm);
		test_never_joins(comm);
		test_never_sums(comm);
	}
}

static void sum_different_counts(void)
{
	CHECK_OK(thaw_nccl_sum(nccl, one, device, 8 + rank));
	CHECK_OK(thaw_gpu_wait(one));
}

/* --- ranks of our own -------------------------------------------------------------------------------------------- */

/* On streams without an event between them, until two ranks draw differently. */
static void sum_out_of_order(void)
{
	for (int i = 0; i < 64; i++) {
		CHECK_OK(thaw_nccl_sum(nccl, one, device, 8));
		CHECK_OK(thaw_nccl_sum(nccl, two, device + 8, 8));
		CHECK_OK(thaw_gpu_wait(one));
		CHECK_OK(thaw_gpu_wait(two));
	}
}

static struct thaw_gpu_graph *capture_sum(void)
{
	struct thaw_gpu_graph *graph = NULL;

	CHECK_OK(thaw_gpu_capture_begin(one));
	CHECK_OK(thaw_nccl_sum(nccl, one, device, 8));
	CHECK_OK(thaw_gpu_capture_end(one, &graph));
	return graph;
}

/* The last rank has a graph, the others do without. */
static void capture_alone(void)
{
	CHECK_OK(thaw_nccl_sum(nccl, one, device, 8));
	if (rank == ranks - 1)
		CHECK_OK(thaw_gpu_graph_launch(one, capture_sum()));
	else
		CHECK_OK(thaw_nccl_sum(nccl, one, device, 8));
	CHECK_OK(thaw_gpu_wait(one));
}

/* The last rank makes its graph anew, the others launch theirs. */
static void capture_again_alone(void)
{
	struct thaw_gpu_graph *graph = capture_sum();

	for (int i = 0; i < 3; i++)
		CHECK_OK(thaw_gpu_graph_launch(one, graph));
	CHECK_OK(thaw_gpu_graph_launch(one, rank == ranks - 1 ? capture_sum() : graph));
	CHECK_OK(thaw_gpu_wait(one));
}

/* The last rank does without a graph what the others have in one. */
static void replay_alone(void)
{
	struct thaw_gpu_graph *graph = capture_sum();

	CHECK_OK(thaw_gpu_graph_launch(one, graph));
	if (rank == ranks - 1)
		CHECK_OK(thaw_nccl_sum(nccl, one, device, 8));
	else
		CHECK_OK(thaw_gpu_graph_launch(one, graph));
	CHECK_OK(thaw_gpu_wait(one));
}

static void sum_host_memory(void)
{
	thaw_nccl_sum(nccl, one, pinned, 8);
}

static void be_killed(void)
{
	double begun;

	CHECK_OK(thaw_nccl_sum(nccl, one, device, 8));
	CHECK_OK(thaw_gpu_wait(one));
	CHECK_OK(thaw_nccl_check(nccl));
	if (rank == ranks - 1)
		raise(SIGKILL);
	begun = thaw_clock_seconds();
	CHECK_OK(thaw_nccl_sum(nccl, one, device, 8));
	CHECK_OK(thaw_gpu_wait(one));
	CHECK_FAILS(thaw_nccl_check(nccl), THAW_FAILED, "is gone");
	CHECK(thaw_clock_seconds() - begun < 30);
}

static pid_t start(int number, void (*body)(void), int to)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child != 0)
		return child;
	dup2(to, STDERR_FILENO);
	rank = number;
	open_all();
	CHECK_OK(thaw_nccl_new(gpu, id, rank, ranks, 60, &nccl));
	body();
	fflush(stdout);
	_exit(test_failures != 0);
}

/* Three ranks do this. Exit codes are those, -1 stands for SIGKILL; what they say on standard error has this in it. */
static void check_ranks(void (*body)(void), int code, int last_code, const char *words)
{
	int ends[2], status = 0;
	pid_t children[3];
	char said[1024] = "";

	ranks = 3;
	CHECK_OK(thaw_nccl_id(id));
	CHECK(pipe(ends) == 0);
	for (int i = 0; i < ranks; i++)
		children[i] = start(i, body, ends[1]);
	close(ends[1]);
	for (int i = ranks - 1; i >= 0; i--) { /* a process that nobody has waited for is not gone */
		int want = i == ranks - 1 ? last_code : code;

		CHECK(waitpid(children[i], &status, 0) == children[i]);
		CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : -1, want);
	}
	CHECK(read(ends[0], said, sizeof said - 1) >= 0);
	close(ends[0]);
	if (!strstr(said, words))
		TEST_FAIL("'%s' is not in '%s'", words, said);
	check_unlinked();
}

static void test_own_ranks(void)
{
	check_ranks(be_killed, 0, -1, "");
	check_ranks(sum_different_counts, 99, 99, "sim: NCCL: rank 0 sums 8 numbers, rank 1 9\n");
	check_ranks(sum_out_of_order, 99, 99, " is at sum ");
	check_ranks(capture_alone, 99, 99, "sim: NCCL: rank 0 plainly launches sum 2, rank 2 captures sum 2\n");
	check_ranks(capture_again_alone, 99, 99, "sim: NCCL: rank 0 replays sum 1, rank 2 captures sum 2\n");
	check_ranks(replay_alone, 99, 99, "sim: NCCL: rank 0 replays sum 1, rank 2 plainly launches sum 2\n");
	check_ranks(sum_host_memory, 99, 99, "sim: a sum: ");
}

int main(int argc, char **argv)
{
	struct thaw_comm *comm = NULL;

	if (argc < 2) {
		test_own_ranks();
		return TEST_END();
	}
	CHECK_OK(thaw_comm_start(&argc, &argv, &comm));
	rank = thaw_comm_rank(comm);
	ranks = thaw_comm_size(comm);
	open_all();
	if (strcmp(argv[1], "sums") == 0) {
		test_sums(comm);
	} else {
		make_id(comm);
		CHECK_OK(thaw_nccl_new(gpu, id, rank, ranks, 60, &nccl));
		printf("pid %d\n", (int)getpid());
		fflush(stdout);
		wait_for_all(comm);
		sum_different_counts();
	}
	close_all();
	thaw_comm_stop(comm);
	return TEST_END();
}
