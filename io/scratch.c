#include "io/scratch.h"

#include "base/mem.h"

void *thaw_scratch_reserve(struct thaw_scratch *scratch, size_t size_bytes, const char *what)
{
	if (size_bytes > scratch->capacity_bytes) {
		thaw_scratch_release(scratch);
		scratch->memory = thaw_alloc_slab(size_bytes, what);
		if (scratch->memory)
			scratch->capacity_bytes = size_bytes;
	}
	return scratch->memory;
}

void thaw_scratch_release(struct thaw_scratch *scratch)
{
	thaw_free_slab(scratch->memory);
	*scratch = (struct thaw_scratch){NULL, 0};
}
