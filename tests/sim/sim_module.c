/* The simulated backend, in place of the file that thaw itself loads. */
#include "comm/nccl.h"
#include "comm/sums.h"
#include "nn/backend.h"
#include "nn/cuda/module.h"

thaw_status thaw_cuda_load(const struct thaw_cuda_module **module_out)
{
	static struct thaw_cuda_module module;

	module.backend = &thaw_backend_cuda;
	module.sums = &thaw_sums_nccl;
	module.sums_version = thaw_nccl_describe;
	*module_out = &module;
	return THAW_OK;
}

thaw_status thaw_cuda_find(const struct thaw_cuda_module **module_out)
{
	return thaw_cuda_load(module_out);
}

bool thaw_cuda_has_driver(void)
{
	return true;
}
