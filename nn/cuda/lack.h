/* Why there is no GPU, in words: for whatever counts them. Sees nothing of CUDA. */
#ifndef THAW_NN_CUDA_LACK_H
#define THAW_NN_CUDA_LACK_H

#include <stdbool.h>

#include "base/status.h"

struct thaw_gpu_lack {
	int driver, runtime; /* CUDA's, 1000 * major + 10 * minor: 12020 is 12.2; driver 0: there is none */
	bool old;            /* the driver is too old for the runtime */
	const char *visible; /* CUDA_VISIBLE_DEVICES; NULL: it is not set */
	const char *error;   /* what CUDA says; NULL: it counts none */
};

/* Whether there is none at all, rather than one that cannot be had. */
bool thaw_gpu_lacks_all(const struct thaw_gpu_lack *lack);

/* THAW_FAILED: "no GPU: there is no NVIDIA driver here". Pure. */
thaw_status thaw_gpu_fail_lack(const struct thaw_gpu_lack *lack);

#endif
