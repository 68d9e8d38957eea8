/*
 * The part of the program that needs CUDA: a file of its own, thaw-cuda.so, found when it is wanted.
 *
 * So the program starts where there is no CUDA, and does not wait for its libraries where no GPU is used. The file
 * stands beside the program or, where that is installed, in ../lib/thaw.
 */
#ifndef THAW_NN_CUDA_MODULE_H
#define THAW_NN_CUDA_MODULE_H

#include <stdbool.h>

#include "base/status.h"

struct thaw_backend;
struct thaw_sums_ops; /* comm/sums.h */

struct thaw_cuda_module {
	const char *version; /* of thaw: the program's own */
	const struct thaw_backend *backend;
	const struct thaw_sums_ops *sums;
	const char *(*sums_version)(void); /* "NCCL 2.28.9" */
};

/* Loads the file. THAW_FAILED says what is missing. */
thaw_status thaw_cuda_load(const struct thaw_cuda_module **module_out);

/* Whether there is a driver for GPUs. */
bool thaw_cuda_has_driver(void);

/* The same, unless there is no driver for a GPU, which is found out first. */
thaw_status thaw_cuda_find(const struct thaw_cuda_module **module_out);

#endif
