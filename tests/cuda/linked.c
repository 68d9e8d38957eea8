/* The backend that this program is linked with, in place of the file that thaw itself loads. */
#include "nn/cuda/module.h"

extern const struct thaw_cuda_module thaw_cuda_module;

thaw_status thaw_cuda_find(const struct thaw_cuda_module **module_out)
{
	*module_out = &thaw_cuda_module;
	return THAW_OK;
}

thaw_status thaw_cuda_load(const struct thaw_cuda_module **module_out)
{
	return thaw_cuda_find(module_out);
}

bool thaw_cuda_has_driver(void)
{
	return true;
}
