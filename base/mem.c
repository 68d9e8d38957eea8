#define _GNU_SOURCE /* MADV_HUGEPAGE */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/available.h"
#include "base/status.h"

enum { COMPARED = 64 << 20 }; /* bytes of a slab from which on it may be what the machine lacks */

void *thaw_alloc(size_t count, size_t size_bytes)
{
	void *memory = calloc(count ? count : 1, size_bytes ? size_bytes : 1); /* calloc checks the product */

	if (!memory)
		thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: %zu objects of %zu bytes", count, size_bytes);
	return memory;
}

/* calloc's memory is fresh from the kernel when it is large, and then not cleared again. Before the slab stands
 * calloc's pointer. */
void *thaw_alloc_slab(size_t size_bytes, const char *what)
{
	const size_t huge = (size_t)2 << 20;
	size_t alignment = size_bytes >= huge ? huge : 64, room = alignment + sizeof(void *);
	char *memory, *slab;

	if (size_bytes >= COMPARED && thaw_memory_check(thaw_memory_available(""), 1, 0, size_bytes, what))
		return NULL;
	memory = size_bytes <= SIZE_MAX - room ? calloc(size_bytes + room, 1) : NULL;
	if (!memory) {
		thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: %s need %.1f MiB", what, (double)size_bytes / 1048576.0);
		return NULL;
	}
	slab = memory + sizeof(void *);
	slab += (alignment - (uintptr_t)slab % alignment) % alignment;
	memcpy(slab - sizeof(void *), &memory, sizeof memory);
	if (size_bytes >= huge)
		(void)madvise(slab, size_bytes, MADV_HUGEPAGE); /* a wish, not a need */
	return slab;
}

void thaw_free_slab(void *slab)
{
	void *memory;

	if (!slab)
		return;
	memcpy(&memory, (char *)slab - sizeof(void *), sizeof memory);
	free(memory);
}

void *thaw_append(void *array_inout, size_t count, size_t size_bytes)
{
	char *array;

	memcpy(&array, array_inout, sizeof array);
	if ((count & (count - 1)) == 0) {
		size_t room = count ? 2 * count : 1;

		array = room <= SIZE_MAX / size_bytes ? realloc(array, room * size_bytes) : NULL;
		if (!array) {
			thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: %zu objects of %zu bytes", room, size_bytes);
			return NULL;
		}
		memcpy(array_inout, &array, sizeof array);
	}
	return memset(array + count * size_bytes, 0, size_bytes);
}

char *thaw_copy_text(const char *text)
{
	size_t size_bytes = strlen(text) + 1;
	char *copy = thaw_alloc(size_bytes, 1);

	return copy ? memcpy(copy, text, size_bytes) : NULL;
}

thaw_status thaw_allocator_take(const struct thaw_allocator *allocator, size_t size_bytes, const char *what,
                                void **memory_out)
{
	if (allocator->allocate)
		return allocator->allocate(allocator->context, size_bytes, what, memory_out);
	*memory_out = thaw_alloc_slab(size_bytes, what);
	return *memory_out ? THAW_OK : THAW_OUT_OF_MEMORY;
}

void thaw_allocator_give(const struct thaw_allocator *allocator, void *memory)
{
	if (allocator->release)
		allocator->release(allocator->context, memory);
	else
		thaw_free_slab(memory);
}
