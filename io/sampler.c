#include "io/sampler.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"

void thaw_sample_shuffled(uint64_t seed, int epoch, int32_t *order, int32_t count)
{
	struct thaw_random random;

	thaw_random_init(&random, seed, THAW_RANDOM_SHUFFLE, (uint32_t)epoch, 0);
	thaw_random_permutation(&random, order, count);
}

/* Pictures sorted by class, and where each class that has any begins: starts[classes] is the end. The number of these
 * classes is returned. */
static int sort_by_class(const struct thaw_dataset *dataset, int32_t *sorted, int32_t *starts, int32_t *next)
{
	const struct thaw_dataset_facts *facts = thaw_dataset_facts(dataset);
	int32_t begin = 0;
	int classes = 0;

	for (int label = 0; label < facts->classes; label++) {
		int32_t pictures = (int32_t)thaw_dataset_class_count(dataset, label);

		next[label] = begin;
		if (pictures > 0)
			starts[classes++] = begin;
		begin += pictures;
	}
	starts[classes] = begin;
	for (int32_t i = 0; i < (int32_t)facts->count; i++)
		sorted[next[thaw_dataset_picture(dataset, i, NULL)->label]++] = i;
	return classes;
}

thaw_status thaw_sample_balanced(const struct thaw_dataset *dataset, uint64_t seed, int epoch, int32_t *order,
                                 int32_t count)
{
	const struct thaw_dataset_facts *facts = thaw_dataset_facts(dataset);
	int32_t *sorted = thaw_alloc((size_t)facts->count, sizeof *sorted);
	int32_t *starts = thaw_alloc((size_t)facts->classes + 1, sizeof *starts);
	int32_t *next = thaw_alloc((size_t)facts->classes, sizeof *next);
	thaw_status status = sorted && starts && next ? THAW_OK : THAW_OUT_OF_MEMORY;

	if (!status) {
		uint32_t classes = (uint32_t)sort_by_class(dataset, sorted, starts, next);
		struct thaw_random random;

		thaw_random_init(&random, seed, THAW_RANDOM_BALANCED, (uint32_t)epoch, 0);
		for (int32_t i = 0; i < count; i++) {
			const int32_t *start = starts + thaw_random_below(&random, classes);

			order[i] = sorted[start[0] + (int32_t)thaw_random_below(&random, (uint32_t)(start[1] - start[0]))];
		}
	}
	free(sorted);
	free(starts);
	free(next);
	return status;
}
