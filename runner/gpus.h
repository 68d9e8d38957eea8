/*
 * Which GPU each rank takes.
 *
 * A launcher starts ranks that all see the GPUs of their host, or gives each rank some of its own (CUDA_VISIBLE_DEVICES,
 * or a control group in which they are numbered anew). One rule does for both: a rank takes the first of the GPUs it sees
 * that no rank before it on its host has taken. THAW_GPU in the environment decides instead, whoever has it already: two
 * ranks can be tried on one GPU.
 */
#ifndef THAW_RUNNER_GPUS_H
#define THAW_RUNNER_GPUS_H

#include <stdint.h>

#include "base/status.h"
#include "nn/backend.h"

enum { THAW_HOST = 64 };

/* What a rank sees; a multiple of 8 bytes long, for thaw_world_gather(). */
struct thaw_gpu_view {
	char host[THAW_HOST];
	int32_t asked; /* THAW_GPU; -1: it is not set */
	int32_t count; /* 0: no GPU */
	uint32_t identity[THAW_GPUS];
};

/* Of this process, for a device of this name. THAW_BAD_JOB: THAW_GPU is no number. */
thaw_status thaw_gpu_look_around(const char *device, struct thaw_gpu_view *view_out);

/* For each rank the number of its GPU among those that it sees; -1: none is left for it, or it sees none. Pure. */
void thaw_gpus_deal(const struct thaw_gpu_view *views, int ranks, int *gpus_out);

/* THAW_FAILED says on which host there are more ranks than GPUs and how many may be started, or which rank sees none
 * where others do; THAW_BAD_JOB: a rank was given by THAW_GPU what it does not see. Pure. */
thaw_status thaw_gpus_check(const struct thaw_gpu_view *views, int ranks, const int *gpus);

/* The number for this rank, 0 where it sees none. All ranks call it, and succeed or fail together. */
thaw_status thaw_gpus_choose(const char *device, int *gpu_out);

#endif
