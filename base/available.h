/*
 * Memory that is left: what this process and those beside it can take before the kernel ends one of them.
 *
 * Linux gives out more addresses than it has memory, and kills when they are used. So whoever is about to ask for much
 * compares it first, and fails with words instead. Depends on Linux' /proc and /sys; elsewhere nothing is known, and
 * everything allowed.
 */
#ifndef THAW_BASE_AVAILABLE_H
#define THAW_BASE_AVAILABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Bytes: MemAvailable and SwapFree of /proc/meminfo, or less where a control group that holds this process, or one
 * above it, has a limit: that, less what the group uses for other things than cached files. UINT64_MAX where the system
 * does not tell. `root` stands before the paths: "" but in tests. Takes no memory. */
uint64_t thaw_memory_available(const char *root);

/* THAW_OUT_OF_MEMORY unless each of `sharers` processes can have `size_bytes` in place of `held_bytes` that it has:
 * "out of memory: activations need 70810.7 MiB, available are 11240.3 MiB for each of 2 ranks". Pure. */
thaw_status thaw_memory_check(uint64_t available_bytes, int sharers, size_t held_bytes, size_t size_bytes,
                              const char *what);

#endif
