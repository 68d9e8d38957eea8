/* Convolutions of nn/cuda/gpu.h: plans of cuDNN, run. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "nn/cuda/cudnn_plan.h"
#include "nn/cuda/gpu_real.h"

struct thaw_gpu_conv {
	struct thaw_gpu *gpu;
	struct thaw_gpu_conv_spec spec;
	struct thaw_cudnn_plan plan;
	char engine[32];
};

thaw_status thaw_gpu_conv_new(struct thaw_gpu *gpu, const struct thaw_gpu_conv_spec *spec,
                              struct thaw_gpu_conv **conv_out)
{
	struct thaw_gpu_conv *conv = thaw_alloc(1, sizeof *conv);
	const struct thaw_cudnn_target target = {.handle = gpu->cudnn};
	int count;
	thaw_status status;

	if (!conv)
		return THAW_OUT_OF_MEMORY;
	conv->gpu = gpu;
	conv->spec = *spec;
	status = thaw_cudnn_plan_conv(&target, spec, &conv->plan, 1, &count);
	if (status) {
		free(conv);
		return status;
	}
	snprintf(conv->engine, sizeof conv->engine, "engine %d", conv->plan.engine);
	*conv_out = conv;
	return THAW_OK;
}

void thaw_gpu_conv_free(struct thaw_gpu_conv *conv)
{
	if (conv)
		thaw_cudnn_plan_release(&conv->plan);
	free(conv);
}

size_t thaw_gpu_conv_workspace(const struct thaw_gpu_conv *conv)
{
	return conv->plan.workspace_bytes;
}

const char *thaw_gpu_conv_engine(const struct thaw_gpu_conv *conv)
{
	return conv->engine;
}

static cudnnStatus_t execute(const struct thaw_gpu_conv *conv, const struct thaw_gpu_conv_tensors *t)
{
	int64_t numbers[5] = {THAW_CUDNN_X, THAW_CUDNN_W, THAW_CUDNN_Y};
	const void *addresses[5] = {t->x, t->w, t->y};
	int64_t count = 3;
	cudnnBackendDescriptor_t pack;
	cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);

	if (status)
		return status;
	if (conv->spec.bias) {
		numbers[count] = THAW_CUDNN_BIAS;
		addresses[count++] = t->bias;
	}
	if (conv->spec.residual) {
		numbers[count] = THAW_CUDNN_RESIDUAL;
		addresses[count++] = t->residual;
	}
	status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, numbers);
	if (!status)
		status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count,
		                                  addresses);
	if (!status)
		status =
			cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &t->workspace);
	if (!status)
		status = cudnnBackendFinalize(pack);
	if (!status)
		status = cudnnBackendExecute(conv->gpu->cudnn, conv->plan.plan, pack);
	(void)cudnnBackendDestroyDescriptor(pack);
	return status;
}

thaw_status thaw_gpu_conv_run(struct thaw_gpu_stream *stream, struct thaw_gpu_conv *conv,
                              const struct thaw_gpu_conv_tensors *tensors)
{
	cudnnStatus_t status = cudnnSetStream(conv->gpu->cudnn, stream->stream);

	if (!status)
		status = execute(conv, tensors);
	if (!status)
		return THAW_OK;
	return thaw_fail(THAW_FAILED, "GPU %d (%s): cuDNN: %s", conv->gpu->number, conv->gpu->facts.name,
	                 cudnnGetErrorString(status));
}
