/* What there is of GPUs, for those who only look. */
#include <stdio.h>

#include "nn/cuda/cuda.h"

thaw_status thaw_cuda_survey(struct thaw_found *found)
{
	int count;
	thaw_status status;

	thaw_gpu_versions(found->versions);
	status = thaw_gpu_count(&count);
	if (status) {
		found->gpus = count;
		return status;
	}
	count = count < THAW_GPUS ? count : THAW_GPUS;
	for (int i = 0; i < count && !status; i++)
		status = thaw_gpu_identity(i, &found->identity[i]);
	if (!status)
		found->gpus = count;
	return status;
}

thaw_status thaw_cuda_look(int number, struct thaw_found_gpu *gpu_out)
{
	const struct thaw_gpu_facts *facts;
	struct thaw_gpu *gpu;
	size_t available;
	thaw_status status = thaw_gpu_open(number, &gpu);

	if (status)
		return status;
	facts = thaw_gpu_facts(gpu);
	status = thaw_gpu_available(gpu, &available);
	if (!status) {
		*gpu_out = (struct thaw_found_gpu){
			.capability = facts->capability,
			.processors = facts->processors,
			.memory_bytes = facts->memory_bytes,
			.available_bytes = available,
		};
		snprintf(gpu_out->name, sizeof gpu_out->name, "%s", facts->name);
	}
	thaw_gpu_close(gpu);
	return status;
}
