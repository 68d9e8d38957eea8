/* The fully connected layer: three matrix products. x (N,C), weight (K,C), y (N,K), all without blocks. */
#include "nn/cpu/cpu.h"

#include "nn/cpu/onednn.h"

static thaw_status prepare(struct thaw_step *step)
{
	if (step->x->block != 1)
		return thaw_fail(THAW_FAILED, "'%s' reads a blocked tensor", step->name);
	thaw_tensor_layout(step->y, 1);
	step->keeps_x = step->dweight != NULL;
	return THAW_OK;
}

static thaw_status forward(struct thaw_step *step)
{
	int n = step->x->n, c = step->x->c, k = step->y->c;
	thaw_status status =
		thaw_onednn_gemm(&(struct thaw_gemm){.transpose_b = true, .m = n, .n = k, .k = c, .lda = c, .ldb = c, .ldc = k},
	                     step->x->data, step->weight, step->y->data);

	for (int i = 0; i < n && step->bias && !status; i++)
		for (int j = 0; j < k; j++)
			step->y->data[(size_t)i * (size_t)k + (size_t)j] += step->bias[j];
	return status;
}

static thaw_status backward(struct thaw_step *step)
{
	int n = step->x->n, c = step->x->c, k = step->y->c;
	const float *dy = step->dy[0]->data;
	thaw_status status = THAW_OK;

	if (step->dx)
		status = thaw_onednn_gemm(&(struct thaw_gemm){.m = n, .n = c, .k = k, .lda = k, .ldb = c, .ldc = c}, dy,
		                          step->weight, step->dx->data);
	if (step->dweight && !status)
		status = thaw_onednn_gemm(
			&(struct thaw_gemm){.transpose_a = true, .m = k, .n = c, .k = n, .lda = k, .ldb = c, .ldc = c}, dy,
			step->x->data, step->dweight);
	for (int j = 0; j < k && step->dbias && !status; j++) {
		double sum = 0.0;

		for (int i = 0; i < n; i++)
			sum += dy[(size_t)i * (size_t)k + (size_t)j];
		step->dbias[j] = (float)sum;
	}
	return status;
}

const struct thaw_op_ops thaw_cpu_linear = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 1,
};
