/*
 * Memory.
 *
 * Every allocation is zeroed and checked here, so that callers write one test and no words:
 *
 *     p = thaw_alloc(n, sizeof *p);
 *     if (!p)
 *             return THAW_OUT_OF_MEMORY;
 *
 * What thaw_alloc_slab() gave is released with thaw_free_slab(), all else with free(). May be called from any thread.
 * Depends on libc only.
 */
#ifndef THAW_BASE_MEM_H
#define THAW_BASE_MEM_H

#include <stddef.h>

#include "base/status.h"

/* `count` zeroed objects of `size_bytes` each; never NULL for a count of 0. NULL after thaw_fail(THAW_OUT_OF_MEMORY),
 * also when the product overflows. */
void *thaw_alloc(size_t count, size_t size_bytes);

/* A zeroed block for bulk numbers: starts on a 2 MiB boundary when it is at least that long, on 64 bytes otherwise,
 * and asks for huge pages. Pages that are never touched cost nothing; what the machine could not give when all are is
 * refused (base/available.h). NULL after thaw_fail(THAW_OUT_OF_MEMORY), naming `what` ("activations"). */
void *thaw_alloc_slab(size_t size_bytes, const char *what);
void thaw_free_slab(void *slab); /* NULL is fine */

/* Where bulk bytes come from when it matters to somebody else, such as a device that reads them by itself. All zero: a
 * slab. */
struct thaw_allocator {
	thaw_status (*allocate)(void *context, size_t size_bytes, const char *what, void **memory_out);
	void (*release)(void *context, void *memory); /* NULL is fine */
	void *context;
};

/* THAW_OUT_OF_MEMORY names `what`. */
thaw_status thaw_allocator_take(const struct thaw_allocator *allocator, size_t size_bytes, const char *what,
                                void **memory_out);
void thaw_allocator_give(const struct thaw_allocator *allocator, void *memory);

/* Room for one more: a zeroed element of `size_bytes` behind the `count` that an array has, whose memory doubles where the
 * count is a power of two. The array begins as NULL, grows by this function only, and goes with free(); `array_inout` is
 * the address of the pointer to it. NULL after thaw_fail(THAW_OUT_OF_MEMORY), the array is then as it was. */
void *thaw_append(void *array_inout, size_t count, size_t size_bytes);

/* A copy of `text`. NULL after thaw_fail(THAW_OUT_OF_MEMORY). */
char *thaw_copy_text(const char *text);

#endif
