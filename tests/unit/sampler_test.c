/* Orders of an epoch: which pictures, how often. */
#define _XOPEN_SOURCE 700
#include "io/sampler.h"
#include "tests/test.h"
#include "tests/unit/split.h"

enum { PICTURES = 50, DRAWS = 300000 };

/* 40 pictures of class 0, none of class 1, 10 of class 2. */
static struct thaw_dataset *open_uneven(const char *folder)
{
	struct split_shard *s = split_draw(PICTURES, 0, PICTURES);
	struct thaw_dataset *dataset;
	char path[128];

	for (int i = 0; i < PICTURES; i++)
		s->index[i].label = i % 5 == 3 ? 2 : 0;
	snprintf(path, sizeof path, "%s/train-00000-of-00001.h5", folder);
	CHECK_OK(thaw_shard_write(path, &s->shard));
	split_free(s);
	CHECK_OK(thaw_dataset_open(path, NULL, &dataset));
	return dataset;
}

/* Each class half of the draws: a picture of class 0 in 1 of 80, one of class 2 in 1 of 20. */
static void test_classes_come_equally_often(const struct thaw_dataset *dataset)
{
	static int32_t order[DRAWS];
	int seen[PICTURES] = {0}, pairs[2][2] = {{0}};

	CHECK_OK(thaw_sample_balanced(dataset, 9, 4, order, DRAWS));
	for (int i = 0; i < DRAWS; i++) {
		CHECK(order[i] >= 0 && order[i] < PICTURES);
		seen[order[i]]++;
		if (i > 0)
			pairs[order[i - 1] % 5 == 3][order[i] % 5 == 3]++;
	}
	for (int i = 0; i < PICTURES; i++) {
		double share = i % 5 == 3 ? 1.0 / 20 : 1.0 / 80;

		CHECK_NEAR((double)seen[i] / DRAWS, share, 5 * sqrt(share / DRAWS));
	}
	for (int i = 0; i < 4; i++) /* what comes next does not depend on what was */
		CHECK_NEAR((double)pairs[i / 2][i % 2] / DRAWS, 0.25, 5 * 0.5 / sqrt(DRAWS));
}

static void test_pure_function_of_seed_and_epoch(const struct thaw_dataset *dataset)
{
	int32_t order[400], other[400];

	CHECK_OK(thaw_sample_balanced(dataset, 9, 4, order, 400));
	CHECK_OK(thaw_sample_balanced(dataset, 9, 4, other, 400));
	CHECK(memcmp(order, other, sizeof order) == 0);
	CHECK_OK(thaw_sample_balanced(dataset, 9, 4, other, 100)); /* fewer are the first ones */
	CHECK(memcmp(order, other, 100 * sizeof order[0]) == 0);
	CHECK_OK(thaw_sample_balanced(dataset, 9, 5, other, 400));
	CHECK(memcmp(order, other, sizeof order) != 0);
	CHECK_OK(thaw_sample_balanced(dataset, 8, 4, other, 400));
	CHECK(memcmp(order, other, sizeof order) != 0);
}

static void test_shuffle(void)
{
	int32_t order[PICTURES], other[PICTURES];
	int seen[PICTURES] = {0}, in_place = 0;

	thaw_sample_shuffled(9, 4, order, PICTURES);
	for (int i = 0; i < PICTURES; i++) {
		seen[order[i]]++;
		in_place += order[i] == i;
	}
	for (int i = 0; i < PICTURES; i++)
		CHECK_INT(seen[i], 1);
	CHECK(in_place < 8);
	thaw_sample_shuffled(9, 4, other, PICTURES);
	CHECK(memcmp(order, other, sizeof order) == 0);
	thaw_sample_shuffled(9, 5, other, PICTURES);
	CHECK(memcmp(order, other, sizeof order) != 0);
	thaw_sample_shuffled(8, 4, other, PICTURES);
	CHECK(memcmp(order, other, sizeof order) != 0);
}

int main(void)
{
	const char *folder = split_folder();
	struct thaw_dataset *dataset = open_uneven(folder);

	test_classes_come_equally_often(dataset);
	test_pure_function_of_seed_and_epoch(dataset);
	test_shuffle();
	thaw_dataset_free(dataset);
	split_remove(folder);
	return TEST_END();
}
