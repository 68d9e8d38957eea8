#include "nn/cuda/module.h"

#include "nn/backend.h"

/* Of comm/sums_nccl.c and comm/nccl.c, which are part of the module. */
extern const struct thaw_sums_ops thaw_sums_nccl;
extern const char *thaw_nccl_describe(void);

extern const struct thaw_cuda_module thaw_cuda_module; /* the one name that is looked up */

const struct thaw_cuda_module thaw_cuda_module = {
	.version = THAW_VERSION,
	.backend = &thaw_backend_cuda,
	.sums = &thaw_sums_nccl,
	.sums_version = thaw_nccl_describe,
};
