#include "nn/cuda/lack.h"

#include <stddef.h>

bool thaw_gpu_lacks_all(const struct thaw_gpu_lack *lack)
{
	return lack->driver == 0 || (!lack->old && !lack->error);
}

thaw_status thaw_gpu_fail_lack(const struct thaw_gpu_lack *lack)
{
	int major = lack->driver / 1000, minor = lack->driver % 1000 / 10;

	if (lack->driver == 0)
		return thaw_fail(THAW_FAILED, "no GPU: there is no NVIDIA driver here");
	if (lack->old)
		return thaw_fail(
			THAW_FAILED,
			"no GPU: the driver is for CUDA %d.%d, thaw was built with %d.%d: a newer driver is needed, or a "
			"build with CUDA %d",
			major, minor, lack->runtime / 1000, lack->runtime % 1000 / 10, major);
	if (lack->visible)
		return thaw_fail(THAW_FAILED, "no GPU: CUDA_VISIBLE_DEVICES='%s' leaves none visible", lack->visible);
	return thaw_fail(THAW_FAILED, "no GPU: the driver is here, but %s", lack->error ? lack->error : "it sees none");
}
