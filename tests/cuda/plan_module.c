/* The backend alone: nothing is summed where nothing is run. */
#include "nn/backend.h"
#include "nn/cuda/module.h"

static const char *no_sums(void)
{
	return "no sums";
}

thaw_status thaw_cuda_load(const struct thaw_cuda_module **module_out)
{
	static struct thaw_cuda_module module;

	module.backend = &thaw_backend_cuda;
	module.sums_version = no_sums;
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
