/*
 * Sums, small collectives and agreement, on as many ranks as the test is started with.
 *
 * Sums are compared bit for bit with the tree's definition written out as a recursion over all replicas, which each
 * rank can evaluate because a replica's gradient is a function of its number.
 */
#define _GNU_SOURCE /* setenv, usleep */
#include "comm/comm.h"

#include <stdint.h>
#include <unistd.h>

#include "base/mem.h"
#include "comm/tree.h"
#include "tests/test.h"

enum { GUARD = 16, SLICES = 9, LARGEST = 100003 };

static const int64_t counts[SLICES] = {1, LARGEST, 7, 16, 17, 4099, 3, 1024, 30000};
static const float guard = 12345.0f;

static struct thaw_comm *comm;
static int rank, size;

/* A number of either sign and of very different magnitudes, so that another order of additions gives other bits. */
static float gradient(int round, int slice, int replica, int64_t i)
{
	uint64_t x = (uint64_t)i * 1000003u + (uint64_t)(replica * 8191 + slice * 131 + round * 17 + 1);
	float value;

	x ^= x >> 31, x *= 0x9e3779b97f4a7c15u, x ^= x >> 29, x *= 0xbf58476d1ce4e5b9u, x ^= x >> 32;
	value = (float)(x & 0xffffff) / 16777216.0f - 0.5f;
	return value * (float)(1 << (x >> 24 & 15));
}

/* The tree as comm/tree.h defines it. */
static float tree_sum(int round, int slice, int begin, int end, int64_t i)
{
	int split = 1;

	if (end - begin == 1)
		return gradient(round, slice, begin, i);
	while (split * 2 < end - begin)
		split *= 2;
	return tree_sum(round, slice, begin, begin + split, i) + tree_sum(round, slice, begin + split, end, i);
}

/* This rank's frontier of one slice in guarded blocks. */
struct partials {
	float *block[THAW_FRONTIER];
	float *values[THAW_FRONTIER]; /* GUARD floats into the block */
	int nodes;
};

static void partials_init(struct partials *p, int replicas, int round, int slice)
{
	struct thaw_tree_node node[THAW_FRONTIER];
	int share = replicas / size;

	p->nodes = thaw_tree_frontier(replicas, rank * share, (rank + 1) * share, node);
	for (int k = 0; k < p->nodes; k++) {
		p->block[k] = thaw_alloc((size_t)counts[slice] + 2 * GUARD, sizeof(float));
		p->values[k] = p->block[k] + GUARD;
		for (int64_t i = -GUARD; i < counts[slice] + GUARD; i++)
			p->values[k][i] =
				i >= 0 && i < counts[slice] ? tree_sum(round, slice, node[k].begin, node[k].end, i) : guard;
	}
}

static void partials_release(struct partials *p)
{
	for (int k = 0; k < p->nodes; k++)
		free(p->block[k]);
}

static void check_sums(const struct partials *p, int replicas, int round, int slice)
{
	int64_t wrong = 0;

	for (int64_t i = 0; i < counts[slice]; i++) {
		float want = tree_sum(round, slice, 0, replicas, i);

		wrong += memcmp(&p->values[0][i], &want, sizeof want) != 0;
	}
	if (wrong)
		TEST_FAIL("rank %d of %d, %d replicas, round %d: %lld of %lld sums differ", rank, size, replicas, round,
				  (long long)wrong, (long long)counts[slice]);
	for (int k = 0; k < p->nodes; k++)
		for (int64_t i = 0; i < GUARD; i++)
			CHECK(p->values[k][i - GUARD] == guard && p->values[k][counts[slice] + i] == guard);
}

/* All slices under way at once, begun and moved at a pace that differs from rank to rank. */
static void test_sums(int replicas, int round)
{
	struct partials partials[SLICES];

	for (int s = 0; s < SLICES; s++) {
		partials_init(&partials[s], replicas, round, s);
		if (round > 0 && (rank + s + round) % 4 == 0)
			usleep(2000);
		CHECK_OK(thaw_comm_sum_begin(comm, (struct thaw_slice){partials[s].values, counts[s]}));
		for (int i = 0; i < (rank + round) % 3 * s; i++)
			CHECK_OK(thaw_comm_progress(comm));
	}
	CHECK_OK(thaw_comm_sum_end(comm));
	for (int s = 0; s < SLICES; s++) {
		check_sums(&partials[s], replicas, round, s);
		partials_release(&partials[s]);
	}
}

static void test_replicas(int replicas)
{
	char words[64];

	if (replicas % size != 0) {
		snprintf(words, sizeof words, "%d replicas cannot be shared evenly by %d ranks", replicas, size);
		CHECK_FAILS(thaw_comm_sum_plan(comm, replicas, LARGEST, SLICES), THAW_BAD_JOB, words);
		return;
	}
	CHECK_OK(thaw_comm_sum_plan(comm, replicas, LARGEST, SLICES));
	for (int round = 0; round < 4; round++)
		test_sums(replicas, round);
}

/* The comparison means something: added from left to right, many of these sums have other bits. */
static void test_order_matters(void)
{
	int differ = 0;

	for (int64_t i = 0; i < 1000; i++) {
		float serial = 0.0f;

		for (int replica = 0; replica < 4; replica++)
			serial += gradient(0, 0, replica, i);
		differ += serial != tree_sum(0, 0, 0, 4, i);
	}
	CHECK(differ > 100);
}

static void test_misuse(void)
{
	float value[3] = {1.0f, 2.0f, 3.0f}, *partials[1] = {value};

	CHECK_FAILS(thaw_comm_sum_begin(comm, (struct thaw_slice){partials, 3}), THAW_FAILED, "before sums were planned");
	CHECK_OK(thaw_comm_progress(comm));
	CHECK_OK(thaw_comm_sum_end(comm));
	CHECK_FAILS(thaw_comm_sum_plan(comm, 0, 3, 1), THAW_BAD_JOB, "0 replicas: allowed are 1 to 1024");
	CHECK_FAILS(thaw_comm_sum_plan(comm, 1025, 3, 1), THAW_BAD_JOB, "1025 replicas: allowed are 1 to 1024");
	CHECK_FAILS(thaw_comm_sum_plan(comm, size, 0, 1), THAW_FAILED, "1 slices of 0 numbers");
	CHECK_FAILS(thaw_comm_sum_plan(comm, size, 3, 0), THAW_FAILED, "0 slices of 3 numbers");
	if (getenv("OMPI_COMM_WORLD_SIZE"))
		CHECK_FAILS(thaw_comm_sum_plan(comm, size, (int64_t)1 << 31, 1), THAW_FAILED, "2147483648 numbers is too long");
	CHECK_OK(thaw_comm_sum_plan(comm, size, 3, 1));
	CHECK_FAILS(thaw_comm_sum_begin(comm, (struct thaw_slice){partials, 4}), THAW_FAILED,
				"4 numbers, planned were 1 to 3");
	CHECK_FAILS(thaw_comm_sum_begin(comm, (struct thaw_slice){partials, 0}), THAW_FAILED,
				"0 numbers, planned were 1 to 3");
	CHECK_OK(thaw_comm_sum_begin(comm, (struct thaw_slice){partials, 3}));
	CHECK_FAILS(thaw_comm_sum_begin(comm, (struct thaw_slice){partials, 3}), THAW_FAILED,
				"slice 2 was begun, planned were 1");
	CHECK_FAILS(thaw_comm_sum_plan(comm, size, 3, 1), THAW_FAILED, "a new plan while 1 slices are under way");
	CHECK_OK(thaw_comm_sum_end(comm));
	for (int i = 0; i < 3; i++)
		CHECK_NEAR(value[i], (i + 1) * size, 0.0);
}

static void test_small_collectives(void)
{
	enum { BYTES = (64 << 20) + 3 }; /* more than one message */
	int64_t sums[2] = {rank + 1, INT64_C(9007199254740993) * (rank == size - 1)};
	double losses[64] = {0};
	unsigned char *bytes = thaw_alloc(BYTES, 1);
	size_t wrong = 0;

	CHECK_OK(thaw_comm_sum_int64(comm, sums, 2));
	CHECK_INT(sums[0], size * (size + 1) / 2);
	CHECK_INT(sums[1], INT64_C(9007199254740993)); /* 2^53 + 1: would not survive a double */
	losses[rank] = 0.1 + rank;
	CHECK_OK(thaw_comm_gather_double(comm, losses, 64));
	for (int i = 0; i < 64; i++)
		CHECK_NEAR(losses[i], i < size ? 0.1 + i : 0.0, 0.0);
	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = (unsigned char)(rank == 0 ? i % 251 : 255);
	CHECK_OK(thaw_comm_broadcast(comm, bytes, BYTES));
	for (size_t i = 0; i < BYTES; i++)
		wrong += bytes[i] != i % 251;
	CHECK_INT(wrong, 0);
	CHECK_OK(thaw_comm_broadcast(comm, NULL, 0));
	free(bytes);
}

/* Every rank fails in turn: it keeps its words, and all others have them with its number. */
static void test_agree(void)
{
	thaw_status worst = THAW_DIVERGED;
	char words[64], text[300], cut[300];

	CHECK_OK(thaw_comm_agree(comm, THAW_OK, &worst));
	CHECK_INT(worst, THAW_OK);
	for (int who = 0; who < size; who++) {
		thaw_status mine = rank == who ? thaw_fail(THAW_FAILED, "cannot open 'x%d'", who) : THAW_OK;

		CHECK_OK(thaw_comm_agree(comm, mine, &worst));
		CHECK_INT(worst, THAW_FAILED);
		snprintf(words, sizeof words, rank == who ? "cannot open 'x%d'" : "rank %d: cannot open 'x%d'", who, who);
		CHECK_TEXT(thaw_fail_text(), words);
	}
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	CHECK_OK(thaw_comm_agree(comm, rank == 0 ? thaw_fail(THAW_DIVERGED, "%s", text) : THAW_OK, &worst));
	CHECK_INT(worst, THAW_DIVERGED);
	snprintf(cut, sizeof cut, rank == 0 ? "%s" : "rank 0: %.200s", text);
	CHECK_TEXT(thaw_fail_text(), cut);
}

/* All fail, the last two for the worst reason: they keep their own words, the others have those of the lower of the
 * two. */
static void test_agree_on_the_worst(void)
{
	thaw_status mine = rank >= size - 2 ? THAW_OUT_OF_MEMORY : THAW_BAD_JOB, worst = THAW_OK;
	char words[64];

	thaw_fail(mine, "words of %d", rank);
	CHECK_OK(thaw_comm_agree(comm, mine, &worst));
	CHECK_INT(worst, THAW_OUT_OF_MEMORY);
	snprintf(words, sizeof words, rank >= size - 2 ? "words of %d" : "rank %d: words of %d",
			 rank >= size - 2 ? rank : size - 2, size - 2);
	CHECK_TEXT(thaw_fail_text(), words);
}

/* Started alone: Slurm says that it is one of four. With `argument` "mpi" MPI is asked, and knows of no other. */
static void test_refused_alone(const char *argument)
{
	setenv("SLURM_NTASKS", "4", 1);
	if (strcmp(argument, "mpi") == 0)
		setenv("PMI_RANK", "0", 1);
	CHECK_FAILS(thaw_comm_start(NULL, NULL, &comm), THAW_BAD_JOB, "4 tasks were started, but MPI sees only this one");
	CHECK(strstr(thaw_fail_text(), "'srun --mpi=pmix'"));
	CHECK(!comm);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		test_refused_alone(argv[1]);
		return TEST_END();
	}
	CHECK_OK(thaw_comm_start(&argc, &argv, &comm));
	if (!comm)
		return TEST_END();
	rank = thaw_comm_rank(comm);
	size = thaw_comm_size(comm);
	CHECK_INT(thaw_comm_local_size(comm), size);
	CHECK_INT(thaw_comm_local_rank(comm), rank);
	test_misuse();
	test_order_matters();
	test_replicas(4);
	test_replicas(8);
	test_replicas(6);
	test_replicas(12);
	test_small_collectives();
	test_agree();
	test_agree_on_the_worst();
	thaw_comm_stop(comm);
	thaw_comm_stop(NULL);
	return TEST_END();
}
