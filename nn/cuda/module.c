#include "nn/cuda/module.h"

#include "nn/backend.h"

extern const struct thaw_sums_ops thaw_sums_nccl;         /* comm/sums_nccl.c, which is part of the module */
extern const struct thaw_cuda_module thaw_cuda_module; /* the one name that is looked up */

const struct thaw_cuda_module thaw_cuda_module = {
	.version = THAW_VERSION,
	.backend = &thaw_backend_cuda,
	.sums = &thaw_sums_nccl,
};
