/*
 * Matrix products of nn/cuda/gpu.h: cuBLASLt, which counts rows the other way round.
 *
 * Our matrix (rows, columns) with its rows one after another is cuBLASLt's (columns, rows) with its columns one after
 * another: c = a b is computed as c' = b' a'.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "nn/cuda/gpu_real.h"

struct thaw_gpu_gemm {
	struct thaw_gpu *gpu;
	cublasLtMatmulDesc_t product;
	cublasLtMatrixLayout_t a, b, c;
	cublasLtMatmulAlgo_t algorithm;
	size_t workspace_bytes;
};

enum { WORKSPACE = 8 << 20 };

static thaw_status check(const struct thaw_gpu *gpu, cublasStatus_t status)
{
	if (!status)
		return THAW_OK;
	return thaw_fail(thaw_gpu_cublas_failure(status), "GPU %d (%s): cuBLASLt: %s", gpu->number, gpu->facts.name,
	                 cublasLtGetStatusString(status));
}

static cudaDataType_t data_type(enum thaw_number number)
{
	switch (number) {
	case THAW_BFLOAT16:
		return CUDA_R_16BF;
	case THAW_FLOAT16:
		return CUDA_R_16F;
	default:
		return CUDA_R_32F;
	}
}

/* Of ours (rows, columns), whichever way it is turned. */
static cublasStatus_t lay_out(cublasLtMatrixLayout_t *layout, enum thaw_number number, int rows, int columns,
                              int stride)
{
	return cublasLtMatrixLayoutCreate(layout, data_type(number), (uint64_t)columns, (uint64_t)rows, stride);
}

static cublasStatus_t describe(struct thaw_gpu_gemm *gemm, const struct thaw_gpu_gemm_spec *s)
{
	cublasComputeType_t sums = s->number == THAW_FLOAT32 && s->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
	cublasOperation_t a_turned = s->a_turned ? CUBLAS_OP_T : CUBLAS_OP_N,
					  b_turned = s->b_turned ? CUBLAS_OP_T : CUBLAS_OP_N;
	cublasStatus_t status = cublasLtMatmulDescCreate(&gemm->product, sums, CUDA_R_32F);

	if (!status)
		status = cublasLtMatmulDescSetAttribute(gemm->product, CUBLASLT_MATMUL_DESC_TRANSA, &b_turned, sizeof b_turned);
	if (!status)
		status = cublasLtMatmulDescSetAttribute(gemm->product, CUBLASLT_MATMUL_DESC_TRANSB, &a_turned, sizeof a_turned);
	if (!status)
		status = s->a_turned ? lay_out(&gemm->a, s->number, s->inner, s->rows, s->a_stride)
		                     : lay_out(&gemm->a, s->number, s->rows, s->inner, s->a_stride);
	if (!status)
		status = s->b_turned ? lay_out(&gemm->b, s->number, s->columns, s->inner, s->b_stride)
		                     : lay_out(&gemm->b, s->number, s->inner, s->columns, s->b_stride);
	if (!status)
		status = lay_out(&gemm->c, s->c_number, s->rows, s->columns, s->c_stride);
	return status;
}

/* What may be proposed: parts of a sum meet as float32, never in c's type, and no matrix is aligned to more than gpu.h
 * says, which is less than cuBLASLt takes for granted. */
static cublasStatus_t limit(cublasLtMatmulPreference_t preference)
{
	static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
		CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
	};
	size_t workspace = WORKSPACE;
	uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
	uint32_t alignment = THAW_GPU_GEMM_ALIGNMENT;
	cublasStatus_t status = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
	                                                             &workspace, sizeof workspace);

	if (!status)
		status = cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes,
		                                              sizeof schemes);
	for (size_t i = 0; i < sizeof alignments / sizeof *alignments && !status; i++)
		status = cublasLtMatmulPreferenceSetAttribute(preference, alignments[i], &alignment, sizeof alignment);
	return status;
}

/* The first that heuristics propose. */
static cublasStatus_t choose(struct thaw_gpu_gemm *gemm)
{
	cublasLtMatmulPreference_t preference;
	cublasLtMatmulHeuristicResult_t found;
	int count = 0;
	cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);

	if (status)
		return status;
	status = limit(preference);
	if (!status)
		status = cublasLtMatmulAlgoGetHeuristic(gemm->gpu->cublas, gemm->product, gemm->b, gemm->a, gemm->c, gemm->c,
		                                        preference, 1, &found, &count);
	(void)cublasLtMatmulPreferenceDestroy(preference);
	if (status || count == 0)
		return status ? status : CUBLAS_STATUS_NOT_SUPPORTED;
	gemm->algorithm = found.algo;
	gemm->workspace_bytes = found.workspaceSize;
	return CUBLAS_STATUS_SUCCESS;
}

thaw_status thaw_gpu_gemm_new(struct thaw_gpu *gpu, const struct thaw_gpu_gemm_spec *spec,
                              struct thaw_gpu_gemm **gemm_out)
{
	struct thaw_gpu_gemm *gemm = thaw_alloc(1, sizeof *gemm);
	cublasStatus_t status;

	if (!gemm)
		return THAW_OUT_OF_MEMORY;
	gemm->gpu = gpu;
	status = describe(gemm, spec);
	if (!status)
		status = choose(gemm);
	if (status)
		thaw_gpu_gemm_free(gemm);
	else
		*gemm_out = gemm;
	return check(gpu, status);
}

void thaw_gpu_gemm_free(struct thaw_gpu_gemm *gemm)
{
	if (!gemm)
		return;
	(void)cublasLtMatmulDescDestroy(gemm->product);
	(void)cublasLtMatrixLayoutDestroy(gemm->a);
	(void)cublasLtMatrixLayoutDestroy(gemm->b);
	(void)cublasLtMatrixLayoutDestroy(gemm->c);
	free(gemm);
}

size_t thaw_gpu_gemm_workspace(const struct thaw_gpu_gemm *gemm)
{
	return gemm->workspace_bytes;
}

thaw_status thaw_gpu_gemm_run(struct thaw_gpu_stream *stream, struct thaw_gpu_gemm *gemm, const void *a, const void *b,
                              void *c, void *workspace)
{
	const float one = 1, zero = 0;

	return check(gemm->gpu,
	             cublasLtMatmul(gemm->gpu->cublas, gemm->product, &one, b, gemm->b, a, gemm->a, &zero, c, gemm->c, c,
	                            gemm->c, &gemm->algorithm, workspace, gemm->workspace_bytes, stream->stream));
}
