/*
 * Which of several plans a convolution takes: what identifies it, which timing prefers, and what this process chose.
 *
 * Nothing here knows the library that makes the plans, nor needs a GPU.
 */
#ifndef THAW_NN_CUDA_CHOICE_H
#define THAW_NN_CUDA_CHOICE_H

#include "base/text.h"
#include "nn/cuda/gpu.h"
#include "nn/cuda/plan_cache.h"

enum { THAW_CHOICE_RUNS = 3 };

/* How long a plan took each time; NaN: it could not be timed. */
struct thaw_choice_times {
	double seconds[THAW_CHOICE_RUNS];
};

/* Words that differ wherever another plan may be the right one. `machine`: the kind of GPU, its driver and library. */
thaw_status thaw_choice_key(const struct thaw_gpu_conv_spec *spec, const char *machine, struct thaw_text *key);

/* The first of those whose median is within 2 % of the least, so that noise does not choose among equals, and that
 * median; -1: none was timed. */
int thaw_choice_fastest(const struct thaw_choice_times *times, int count, double *seconds_out);

/* The cache of this process, loaded by the first call; borrowed. */
thaw_status thaw_choice_cache(struct thaw_plan_cache **cache_out);

/* Writes its file, if there is something new for it; only if that was last done some seconds ago, so that whoever makes
 * many choices loses few of them when he is killed. */
void thaw_choice_keep(void);
void thaw_choice_keep_old(void);

#endif
