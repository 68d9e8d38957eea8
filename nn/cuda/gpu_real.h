/* A GPU of CUDA: what gpu.c, gpu_conv.c and gpu_gemm.c share. Not for others. */
#ifndef THAW_NN_CUDA_GPU_REAL_H
#define THAW_NN_CUDA_GPU_REAL_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "nn/cuda/gpu.h"

struct thaw_gpu {
	int number;
	struct thaw_gpu_facts facts;
	char machine[128]; /* all of it that the choice of a plan depends on */
	cudnnHandle_t cudnn;
	cublasLtHandle_t cublas;
};

struct thaw_gpu_stream {
	struct thaw_gpu *gpu;
	cudaStream_t stream;
};

/* Words for a call that failed; THAW_OK where it did not. */
thaw_status thaw_gpu_check(const struct thaw_gpu *gpu, cudaError_t error, const char *call);

/* What a failure of theirs is: a lack of memory, of the GPU's or the host's, or any other. */
thaw_status thaw_gpu_cudnn_failure(cudnnStatus_t error);
thaw_status thaw_gpu_cublas_failure(cublasStatus_t error);

#endif
