/*
 * Scratch memory of one thread: grown as needed, reused, never shrunk. Zero-initialised to begin.
 */
#ifndef THAW_IO_SCRATCH_H
#define THAW_IO_SCRATCH_H

#include <stddef.h>

struct thaw_scratch {
	void *memory;
	size_t capacity_bytes;
};

/* At least `size_bytes`, whose contents mean nothing, until the next call; NULL after thaw_fail(THAW_OUT_OF_MEMORY),
 * naming `what`. */
void *thaw_scratch_reserve(struct thaw_scratch *scratch, size_t size_bytes, const char *what);
void thaw_scratch_release(struct thaw_scratch *scratch);

#endif
