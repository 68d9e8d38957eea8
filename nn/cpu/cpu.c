#include "nn/cpu/cpu.h"

#include <omp.h>

#include "nn/cpu/onednn.h"
#include "nn/cpu/tuning.h"
#include "nn/reference/reference.h"

int thaw_cpu_block(int channels)
{
	return channels < 8 ? 1 : thaw_onednn_block();
}

static const char *describe(const struct thaw_device *device)
{
	(void)device;
	return thaw_onednn_describe();
}

static thaw_status start(struct thaw_device *device)
{
	thaw_status status = thaw_cpu_conv_start();

	omp_set_num_threads(device->threads); /* what oneDNN asks OpenMP for */
	return status ? status : thaw_tuning_load(thaw_onednn_describe());
}

static thaw_status accumulate(struct thaw_device *device, struct thaw_tensor *to, const struct thaw_tensor *from)
{
	size_t elems = thaw_cpu_elems(to);
	float *restrict sum = to->data;
	const float *restrict more = from->data;

#pragma omp parallel for num_threads(device->threads) schedule(static)
	for (size_t i = 0; i < elems; i++)
		sum[i] += more[i];
	return THAW_OK;
}

void thaw_cpu_relayout(const struct thaw_device *device, const struct thaw_tensor *from, struct thaw_tensor *to)
{
	int blocks = thaw_cpu_blocks(to), planes = to->n * blocks;

#pragma omp parallel for num_threads(device->threads) schedule(static)
	for (int p = 0; p < planes; p++) {
		float *y = to->data + (size_t)p * thaw_cpu_plane(to);
		int n = p / blocks, first = p % blocks * to->block;

		for (int h = 0; h < to->h; h++)
			for (int w = 0; w < to->w; w++)
				for (int c = first; c < first + to->block; c++)
					*y++ = c < to->c ? from->data[thaw_tensor_at(from, n, c, h, w)] : 0.0f;
	}
}

const struct thaw_backend thaw_backend_cpu = {
	.name = "cpu",
	.describe = describe,
	.start = start,
	.accumulate = accumulate,
	.choices = thaw_tuning_text,
	.learn = thaw_tuning_learn,
	.ops =
		{
			[THAW_OP_INPUT] = &thaw_cpu_input,
			[THAW_OP_CONV] = &thaw_cpu_conv,
			[THAW_OP_BATCH_NORM] = &thaw_cpu_batch_norm,
			[THAW_OP_RELU] = &thaw_cpu_relu,
			[THAW_OP_ADD] = &thaw_cpu_add,
			[THAW_OP_MAX_POOL] = &thaw_cpu_max_pool,
			[THAW_OP_GLOBAL_POOL] = &thaw_cpu_global_pool,
			[THAW_OP_SHORTCUT] = &thaw_cpu_shortcut,
			[THAW_OP_LINEAR] = &thaw_cpu_linear,
			[THAW_OP_LOSS] = &thaw_reference_loss, /* a few numbers per picture: nothing to gain */
		},
};
