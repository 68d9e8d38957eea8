#include "nn/placement.h"

#include <stdlib.h>

#include "base/mem.h"

static int larger_first(const void *left, const void *right)
{
	const struct thaw_block *a = *(struct thaw_block *const *)left, *b = *(struct thaw_block *const *)right;

	if (a->size_bytes != b->size_bytes)
		return a->size_bytes > b->size_bytes ? -1 : 1;
	return a < b ? -1 : a > b;
}

static int lower_first(const void *left, const void *right)
{
	const struct thaw_block *a = *(struct thaw_block *const *)left, *b = *(struct thaw_block *const *)right;

	return a->offset_bytes < b->offset_bytes ? -1 : a->offset_bytes > b->offset_bytes;
}

/* The lowest offset at which `block` fits between the `count` blocks of `rivals`, sorted by offset. */
static size_t lowest_gap(const struct thaw_block *block, struct thaw_block *const *rivals, int count)
{
	size_t offset = 0;

	for (int i = 0; i < count; i++) {
		size_t end = (rivals[i]->offset_bytes + rivals[i]->size_bytes + 63) / 64 * 64;

		if (offset + block->size_bytes <= rivals[i]->offset_bytes)
			break;
		if (end > offset)
			offset = end;
	}
	return offset;
}

thaw_status thaw_place(struct thaw_block *blocks, int count, size_t *total_out)
{
	struct thaw_block **order = thaw_alloc((size_t)count, 2 * sizeof *order), **rivals = order + count;
	size_t total = 0;

	if (!order)
		return THAW_OUT_OF_MEMORY;
	for (int i = 0; i < count; i++)
		order[i] = &blocks[i];
	qsort(order, (size_t)count, sizeof *order, larger_first);
	for (int i = 0; i < count; i++) {
		struct thaw_block *block = order[i];
		int living = 0;

		for (int k = 0; k < i; k++)
			if (order[k]->first <= block->last && block->first <= order[k]->last)
				rivals[living++] = order[k];
		qsort(rivals, (size_t)living, sizeof *rivals, lower_first);
		block->offset_bytes = lowest_gap(block, rivals, living);
		if (block->offset_bytes + block->size_bytes > total)
			total = block->offset_bytes + block->size_bytes;
	}
	free(order);
	*total_out = total;
	return THAW_OK;
}
