#include "nn/reference/reference.h"

static const char *describe(const struct thaw_device *device)
{
	(void)device;
	return "plain C, double precision sums";
}

static thaw_status start(struct thaw_device *device)
{
	(void)device;
	return THAW_OK;
}

static thaw_status accumulate(struct thaw_device *device, struct thaw_tensor *to, const struct thaw_tensor *from)
{
	size_t elems = thaw_reference_elems(to);

	(void)device;
	for (size_t i = 0; i < elems; i++)
		to->data[i] += from->data[i];
	return THAW_OK;
}

const struct thaw_backend thaw_backend_reference = {
	.name = "reference",
	.describe = describe,
	.start = start,
	.accumulate = accumulate,
	.ops = {
		[THAW_OP_INPUT] = &thaw_reference_input,
		[THAW_OP_CONV] = &thaw_reference_conv,
		[THAW_OP_BATCH_NORM] = &thaw_reference_batch_norm,
		[THAW_OP_RELU] = &thaw_reference_relu,
		[THAW_OP_ADD] = &thaw_reference_add,
		[THAW_OP_MAX_POOL] = &thaw_reference_max_pool,
		[THAW_OP_GLOBAL_POOL] = &thaw_reference_global_pool,
		[THAW_OP_SHORTCUT] = &thaw_reference_shortcut,
		[THAW_OP_LINEAR] = &thaw_reference_linear,
		[THAW_OP_LOSS] = &thaw_reference_loss,
	},
};
