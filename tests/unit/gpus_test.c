/* Which GPU a rank takes, and what is said where there are not enough. */
#include "runner/gpus.h"

#include <stdio.h>

#include "tests/test.h"

enum { RANKS = 8 };

static struct thaw_gpu_view views[RANKS];
static int gpus[RANKS];

/* A rank on this host that sees GPUs first .. first + count - 1 of it. */
static void see(int rank, const char *host, int first, int count)
{
	views[rank] = (struct thaw_gpu_view){.asked = -1, .count = count};
	snprintf(views[rank].host, sizeof views[rank].host, "%s", host);
	for (int i = 0; i < count; i++)
		views[rank].identity[i] = (uint32_t)(first + i);
}

static thaw_status deal(int ranks)
{
	thaw_gpus_deal(views, ranks, gpus);
	return thaw_gpus_check(views, ranks, gpus);
}

static void test_all_see_all(void)
{
	for (int i = 0; i < RANKS; i++) /* two hosts, ranks dealt out to them in turn */
		see(i, i % 2 ? "odd" : "even", 0, 4);
	CHECK_OK(deal(RANKS));
	for (int i = 0; i < RANKS; i++)
		CHECK_INT(gpus[i], i / 2);
}

static void test_each_sees_its_own(void)
{
	for (int i = 0; i < RANKS; i++)
		see(i, "node", i, 1);
	CHECK_OK(deal(RANKS));
	for (int i = 0; i < RANKS; i++)
		CHECK_INT(gpus[i], 0);
}

/* Two for each, and in another order: the GPU counts, not its number. */
static void test_some_see_some(void)
{
	see(0, "node", 0, 2);
	see(1, "node", 0, 2);
	see(2, "node", 2, 2);
	see(3, "node", 2, 2);
	views[1].identity[0] = 1;
	views[1].identity[1] = 0;
	CHECK_OK(deal(4));
	CHECK_INT(gpus[0], 0);
	CHECK_INT(gpus[1], 0);
	CHECK_INT(gpus[2], 0);
	CHECK_INT(gpus[3], 1);
}

static void test_too_many(void)
{
	for (int i = 0; i < 5; i++)
		see(i, i < 2 ? "large" : "small", 0, i < 2 ? 4 : 2);
	CHECK_FAILS(deal(5), THAW_FAILED,
	            "3 ranks on host 'small', where they see 2 GPUs: start at most 2 on a host, or set device: cpu");
	CHECK_INT(gpus[3], 1);
	CHECK_INT(gpus[4], -1);
	see(0, "node", 0, 1);
	see(1, "node", 0, 1);
	CHECK_FAILS(deal(2), THAW_FAILED, "2 ranks on host 'node', where they see 1 GPU: start at most 1");
}

static void test_none(void)
{
	see(0, "node", 0, 0);
	see(1, "node", 0, 0);
	CHECK_OK(deal(2)); /* opening the device says why, or there is another */
	see(1, "other", 0, 3);
	CHECK_FAILS(deal(2), THAW_FAILED,
	            "rank 0 on host 'node' sees no GPU, rank 1 on 'other' sees 3: start ranks on hosts with GPUs alone");
}

static void test_asked(void)
{
	see(0, "node", 0, 2);
	see(1, "node", 0, 2);
	see(2, "node", 0, 2);
	views[0].asked = views[1].asked = 1;
	CHECK_OK(deal(3));
	CHECK_INT(gpus[0], 1);
	CHECK_INT(gpus[1], 1);
	CHECK_INT(gpus[2], 0);
	views[1].asked = 2;
	CHECK_FAILS(deal(3), THAW_BAD_JOB, "THAW_GPU: 2, but rank 1 on host 'node' sees 2 GPUs: allowed are 0 to 1");
}

int main(void)
{
	test_all_see_all();
	test_each_sees_its_own();
	test_some_see_some();
	test_too_many();
	test_none();
	test_asked();
	return TEST_END();
}
