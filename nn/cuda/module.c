#include "nn/cuda/module.h"

#include "comm/sums.h"
#include "nn/backend.h"

extern const struct thaw_cuda_module thaw_cuda_module; /* the one name that is looked up */

const struct thaw_cuda_module thaw_cuda_module = {
	.version = THAW_VERSION,
	.backend = &thaw_backend_cuda,
	.sums = &thaw_sums_nccl,
};
