/* Placed blocks that live at the same time never share a byte, and blocks that do not may. */
#include "base/random.h"
#include "nn/placement.h"
#include "tests/test.h"

static void check_disjoint(const struct thaw_block *blocks, int count, size_t total)
{
	for (int i = 0; i < count; i++) {
		CHECK(blocks[i].offset_bytes % 64 == 0 && blocks[i].offset_bytes + blocks[i].size_bytes <= total);
		for (int k = 0; k < i; k++) {
			bool together = blocks[i].first <= blocks[k].last && blocks[k].first <= blocks[i].last;
			bool overlap = blocks[i].offset_bytes < blocks[k].offset_bytes + blocks[k].size_bytes &&
			               blocks[k].offset_bytes < blocks[i].offset_bytes + blocks[i].size_bytes;

			CHECK(!(together && overlap));
		}
	}
}

/* A chain in which each value lives until the next is made needs room for two. */
static void test_chain_needs_two(void)
{
	struct thaw_block blocks[10];
	size_t total;

	for (int i = 0; i < 10; i++)
		blocks[i] = (struct thaw_block){.size_bytes = 640, .first = i, .last = i + 1};
	CHECK_OK(thaw_place(blocks, 10, &total));
	CHECK_INT(total, 2 * 640);
	check_disjoint(blocks, 10, total);
}

static void test_random(void)
{
	struct thaw_random random;
	struct thaw_block blocks[60];
	size_t total;

	for (uint32_t round = 0; round < 200; round++) {
		int count = 1 + (int)(round % 60);

		thaw_random_init(&random, 1, THAW_RANDOM_TEST, round, 0);
		for (int i = 0; i < count; i++) {
			int first = (int)thaw_random_below(&random, 40);

			blocks[i] = (struct thaw_block){.size_bytes = thaw_random_below(&random, 5000),
			                                .first = first,
			                                .last = first + (int)thaw_random_below(&random, 20)};
		}
		CHECK_OK(thaw_place(blocks, count, &total));
		check_disjoint(blocks, count, total);
	}
}

int main(void)
{
	test_chain_needs_two();
	test_random();
	return TEST_END();
}
