/*
 * Where blocks of memory stand whose lifetimes are known: those that never live at the same time may share bytes.
 */
#ifndef THAW_NN_PLACEMENT_H
#define THAW_NN_PLACEMENT_H

#include <stddef.h>

#include "base/status.h"

struct thaw_block {
	size_t size_bytes;
	int first, last;     /* moments at which it lives, both included */
	size_t offset_bytes; /* set by thaw_place(): multiple of 64 */
};

/* Places `count` blocks greedily, the largest first, each at the lowest offset that is free all its life (Pisarchyk &
 * Lee, "Efficient memory management for deep neural net inference", 2020, section 5); total_out is what all need
 * together. */
thaw_status thaw_place(struct thaw_block *blocks, int count, size_t *total_out);

#endif
