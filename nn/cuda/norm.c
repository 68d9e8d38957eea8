/*
 * Batch norm with what follows it, residual and clamp, in two kernels each way.
 *
 * Forward: sums over the batch, from which the last block makes scale and shift; then one pass that applies them. Sums
 * that came with x (struct thaw_tensor) are taken instead, so that x is read once.
 * Backward: sums of g and g z, which also write g where a residual wants it; then one pass. Of what was clamped a bit
 * each is kept where x alone does not tell it.
 */
#include "nn/cuda/cuda.h"

/* Whether the gradients depend on sums over the batch. */
static bool needs_sums(const struct thaw_step *step)
{
	return step->dgamma || step->dbeta || (step->batch_statistics && step->dx);
}

static bool keeps_mask(const struct thaw_step *step)
{
	return step->dy_count > 0 && step->relu && (step->residual || !step->keeps_x);
}

static size_t kept_bytes(const struct thaw_step *step)
{
	return (size_t)THAW_NORM_ROWS * (size_t)step->y->block * sizeof(float);
}

static struct thaw_grid grid_of(const struct thaw_step *step)
{
	return thaw_grid_of(thaw_cuda_rows(step->y), step->y->block, thaw_gpu_facts(thaw_cuda_of(step)->gpu)->processors);
}

static thaw_status prepare(struct thaw_step *step)
{
	struct thaw_grid grid;
	bool backward = step->dy_count > 0;

	thaw_cuda_layout(step, step->y);
	grid = grid_of(step);
	if (grid.columns > THAW_CUDA_TICKETS)
		return thaw_fail(THAW_FAILED, "'%s' has more channels than a norm can have here", step->name);
	step->keeps_x = backward && ((step->batch_statistics && step->dx) || step->dgamma);
	step->saved_bytes = kept_bytes(step);
	if (keeps_mask(step))
		step->saved_bytes += (size_t)thaw_cuda_eights(step->y);
	if (step->batch_statistics || (backward && needs_sums(step)))
		step->workspace_bytes = (size_t)grid.splits * 2 * (size_t)grid.c * sizeof(float);
	return THAW_OK;
}

static uint8_t *mask_of(const struct thaw_step *step)
{
	return keeps_mask(step) ? (uint8_t *)step->saved + kept_bytes(step) : NULL;
}

/* A pass over all numbers of y, or of its gradient. */
static thaw_status pass_over(const struct thaw_step *step, enum thaw_kernel kernel, const void *arguments,
                             size_t arguments_bytes)
{
	const struct thaw_cuda *cuda = thaw_cuda_of(step);
	int64_t eights = step->y->block / 8, blocks = (thaw_cuda_eights(step->y) + THAW_BLOCK - 1) / THAW_BLOCK;
	int64_t most = (int64_t)16 * thaw_gpu_facts(cuda->gpu)->processors;

	blocks = blocks < most ? blocks : most;
	return thaw_gpu_launch(cuda->stream, kernel, (blocks + eights - 1) / eights * eights, arguments, arguments_bytes);
}

/* --- forward ----------------------------------------------------------------------------------------------------- */

static struct thaw_norm_channels channels_of(const struct thaw_step *step)
{
	return (struct thaw_norm_channels){
		.gamma = step->gamma,
		.beta = step->beta,
		.mean = step->mean,
		.variance = step->variance,
		.scalars = thaw_cuda_of(step)->feed.scalars,
		.batch_mean = step->batch_mean,
		.batch_variance = step->batch_variance,
		.kept = step->saved,
	};
}

static thaw_status sum_batch(const struct thaw_step *step)
{
	const struct thaw_cuda *cuda = thaw_cuda_of(step);
	const struct thaw_norm_sums_args arguments = {
		.to = channels_of(step),
		.x = step->x->data,
		.partials = step->workspace,
		.tickets = cuda->tickets,
		.grid = grid_of(step),
		.channels = step->y->c,
		.number = step->y->number,
		.epsilon = (float)step->epsilon,
	};

	return thaw_gpu_launch(cuda->stream, THAW_KERNEL_norm_sums, arguments.grid.columns * arguments.grid.splits,
	                       &arguments, sizeof arguments);
}

static thaw_status finish_sums(const struct thaw_step *step)
{
	const struct thaw_norm_finish_args arguments = {
		.to = channels_of(step),
		.sums = step->x->sums,
		.rows = thaw_cuda_rows(step->x),
		.c = step->x->block,
		.channels = step->x->c,
		.epsilon = (float)step->epsilon,
	};

	return THAW_CUDA_EACH(step, norm_finish, arguments.c, &arguments);
}

static thaw_status take_statistics(const struct thaw_step *step)
{
	return step->x->sums ? finish_sums(step) : sum_batch(step);
}

static thaw_status take_running(const struct thaw_step *step)
{
	const struct thaw_norm_running_args arguments = {
		.gamma = step->gamma,
		.beta = step->beta,
		.mean = step->mean,
		.variance = step->variance,
		.kept = step->saved,
		.c = step->y->block,
		.channels = step->y->c,
		.epsilon = (float)step->epsilon,
	};

	return THAW_CUDA_EACH(step, norm_running, arguments.c, &arguments);
}

static thaw_status forward(struct thaw_step *step)
{
	const struct thaw_norm_apply_args arguments = {
		.x = step->x->data,
		.residual = step->residual ? step->residual->data : NULL,
		.kept = step->saved,
		.y = step->y->data,
		.mask = mask_of(step),
		.rows = thaw_cuda_rows(step->y),
		.c = step->y->block,
		.relu = step->relu,
		.number = step->y->number,
	};
	thaw_status status = step->batch_statistics ? take_statistics(step) : take_running(step);

	return status ? status : pass_over(step, THAW_KERNEL_norm_apply, &arguments, sizeof arguments);
}

/* --- backward ---------------------------------------------------------------------------------------------------- */

static enum thaw_clamp clamp_of(const struct thaw_step *step)
{
	if (!step->relu)
		return THAW_CLAMP_NONE;
	return keeps_mask(step) ? THAW_CLAMP_MASK : THAW_CLAMP_X;
}

static thaw_status sum_gradients(const struct thaw_step *step)
{
	const struct thaw_cuda *cuda = thaw_cuda_of(step);
	const struct thaw_norm_gradient_sums_args arguments = {
		.x = step->keeps_x ? step->x->data : NULL,
		.dy0 = step->dy[0]->data,
		.dy1 = step->dy_count > 1 ? step->dy[1]->data : NULL,
		.mask = mask_of(step),
		.partials = step->workspace,
		.tickets = cuda->tickets,
		.kept = step->saved,
		.g = step->dresidual ? step->dresidual->data : NULL,
		.dgamma = step->dgamma,
		.dbeta = step->dbeta,
		.grid = grid_of(step),
		.channels = step->y->c,
		.clamp = clamp_of(step),
		.batch_statistics = step->batch_statistics,
		.number = step->y->number,
	};

	return thaw_gpu_launch(cuda->stream, THAW_KERNEL_norm_gradient_sums, arguments.grid.columns * arguments.grid.splits,
	                       &arguments, sizeof arguments);
}

static thaw_status backward(struct thaw_step *step)
{
	struct thaw_norm_gradient_args arguments = {
		.x = step->keeps_x ? step->x->data : NULL,
		.dy0 = step->dy[0]->data,
		.dy1 = step->dy_count > 1 ? step->dy[1]->data : NULL,
		.mask = mask_of(step),
		.kept = step->saved,
		.dx = step->dx ? step->dx->data : NULL,
		.g = step->dresidual ? step->dresidual->data : NULL,
		.rows = thaw_cuda_rows(step->y),
		.c = step->y->block,
		.clamp = clamp_of(step),
		.batch_statistics = step->batch_statistics,
		.number = step->y->number,
	};
	bool summed = needs_sums(step);
	thaw_status status = summed ? sum_gradients(step) : THAW_OK;

	if (summed && arguments.g) { /* it stands there, and dy may be the same memory */
		arguments.dy0 = arguments.g;
		arguments.dy1 = arguments.g = NULL;
		arguments.clamp = THAW_CLAMP_NONE;
	}
	if (status || (!arguments.dx && !arguments.g))
		return status;
	return pass_over(step, THAW_KERNEL_norm_gradient, &arguments, sizeof arguments);
}

const struct thaw_op_ops thaw_cuda_batch_norm = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 2,
	.overwrites_residual = true,
	.overwrites_dy = true,
};
