/* y[n][k] = bias[k] + sum over c of weight[k][c] * x[n][c]. */
#include "nn/reference/reference.h"

static thaw_status prepare(struct thaw_step *step)
{
	thaw_tensor_layout(step->y, 1);
	step->keeps_x = step->dweight != NULL;
	return THAW_OK;
}

static thaw_status forward(struct thaw_step *step)
{
	size_t ins = (size_t)step->x->c, outs = (size_t)step->y->c;

	for (size_t n = 0; n < (size_t)step->y->n; n++) {
		for (size_t k = 0; k < outs; k++) {
			double sum = step->bias ? step->bias[k] : 0;

			for (size_t c = 0; c < ins; c++)
				sum += (double)step->weight[k * ins + c] * step->x->data[n * ins + c];
			step->y->data[n * outs + k] = (float)sum;
		}
	}
	return THAW_OK;
}

static void backward_parameters(struct thaw_step *step)
{
	size_t batch = (size_t)step->y->n, ins = (size_t)step->x->c, outs = (size_t)step->y->c;
	const float *dy = step->dy[0]->data;

	for (size_t k = 0; k < outs; k++) {
		double bias = 0;

		for (size_t n = 0; n < batch; n++)
			bias += dy[n * outs + k];
		if (step->dbias)
			step->dbias[k] = (float)bias;
		if (!step->dweight)
			continue;
		for (size_t c = 0; c < ins; c++) {
			double sum = 0;

			for (size_t n = 0; n < batch; n++)
				sum += (double)dy[n * outs + k] * step->x->data[n * ins + c];
			step->dweight[k * ins + c] = (float)sum;
		}
	}
}

static thaw_status backward(struct thaw_step *step)
{
	size_t ins = (size_t)step->x->c, outs = (size_t)step->y->c;

	backward_parameters(step);
	if (!step->dx)
		return THAW_OK;
	for (size_t n = 0; n < (size_t)step->y->n; n++) {
		for (size_t c = 0; c < ins; c++) {
			double sum = 0;

			for (size_t k = 0; k < outs; k++)
				sum += (double)step->weight[k * ins + c] * step->dy[0]->data[n * outs + k];
			step->dx->data[n * ins + c] = (float)sum;
		}
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_reference_linear = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 1,
};
