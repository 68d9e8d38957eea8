#include "nn/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

/* --- what all steps use ------------------------------------------------------------------------------------------ */

void thaw_cuda_layout(const struct thaw_step *step, struct thaw_tensor *tensor)
{
	tensor->number = step->device->number;
	thaw_tensor_layout(tensor, thaw_cuda_padded(tensor->c));
}

thaw_status thaw_cuda_each(const struct thaw_step *step, enum thaw_kernel kernel, int64_t items, const void *arguments,
                           size_t arguments_bytes)
{
	const struct thaw_cuda *cuda = thaw_cuda_of(step);
	int64_t blocks = (items + THAW_BLOCK - 1) / THAW_BLOCK;
	int64_t most = (int64_t)16 * thaw_gpu_facts(cuda->gpu)->processors; /* more only wait for their turn */

	return thaw_gpu_launch(cuda->stream, kernel, blocks < most ? blocks : most, arguments, arguments_bytes);
}

/* --- the device -------------------------------------------------------------------------------------------------- */

static void stop(struct thaw_device *device)
{
	struct thaw_cuda *cuda = device->own;

	if (!cuda)
		return;
	if (cuda->gpu) {
		thaw_cuda_queue_release(cuda);
		thaw_gpu_free(cuda->gpu, cuda->tickets);
		thaw_gpu_free(cuda->gpu, cuda->staging);
	}
	thaw_gpu_close(cuda->gpu);
	free(cuda);
	device->own = NULL;
}

static thaw_status open_parts(struct thaw_device *device, struct thaw_cuda *cuda)
{
	void *tickets;
	thaw_status status = thaw_gpu_open(device->gpu, &cuda->gpu);

	if (!status)
		status = thaw_cuda_queue_init(cuda);
	if (!status)
		status = thaw_gpu_alloc(cuda->gpu, THAW_CUDA_TICKETS * sizeof *cuda->tickets, "tickets", &tickets);
	if (status)
		return status;
	cuda->tickets = tickets;
	return thaw_gpu_zero(cuda->stream, cuda->tickets, THAW_CUDA_TICKETS * sizeof *cuda->tickets);
}

static thaw_status start(struct thaw_device *device)
{
	struct thaw_cuda *cuda = thaw_alloc(1, sizeof *cuda);
	const struct thaw_gpu_facts *facts;
	thaw_status status;

	if (!cuda)
		return THAW_OUT_OF_MEMORY;
	device->own = cuda;
	status = open_parts(device, cuda);
	if (status) {
		stop(device);
		return status;
	}
	facts = thaw_gpu_facts(cuda->gpu);
	snprintf(cuda->description, sizeof cuda->description, "%s, %s", facts->name, facts->versions);
	return THAW_OK;
}

static const char *describe(const struct thaw_device *device)
{
	return ((const struct thaw_cuda *)device->own)->description;
}

static thaw_status accumulate(struct thaw_device *device, struct thaw_tensor *to, const struct thaw_tensor *from)
{
	const struct thaw_step step = {.device = device};
	const struct thaw_sum_args arguments = {
		.from = from->data,
		.to = to->data,
		.eights = thaw_cuda_eights(to),
		.number = to->number,
	};

	return THAW_CUDA_EACH(&step, sum, arguments.eights, &arguments);
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

static thaw_status allocate(struct thaw_device *device, size_t size_bytes, const char *what, void **memory_out)
{
	const struct thaw_cuda *cuda = device->own;

	return thaw_gpu_alloc(cuda->gpu, size_bytes, what, memory_out);
}

/* What is enqueued may still name it. */
static void release(struct thaw_device *device, void *memory)
{
	const struct thaw_cuda *cuda = device->own;

	if (memory)
		(void)thaw_cuda_queue.wait(device);
	thaw_gpu_free(cuda->gpu, memory);
}

/* Less than is free: kernels that are loaded when they first run, and recordings, take memory later on. */
static const size_t spare_limit = (size_t)512 << 20;

static thaw_status available(const struct thaw_device *device, size_t *bytes_out)
{
	const struct thaw_cuda *cuda = device->own;
	size_t spare = thaw_gpu_facts(cuda->gpu)->memory_bytes / 32, free_bytes;
	thaw_status status = thaw_gpu_available(cuda->gpu, &free_bytes);

	spare = spare < spare_limit ? spare : spare_limit;
	if (!status)
		*bytes_out = free_bytes > spare ? free_bytes - spare : 0;
	return status;
}

static thaw_status zero(struct thaw_device *device, void *memory, size_t size_bytes)
{
	const struct thaw_cuda *cuda = device->own;

	return thaw_gpu_zero(cuda->stream, memory, size_bytes);
}

static thaw_status add(struct thaw_device *device, float *to, const float *from, int64_t count)
{
	const struct thaw_step step = {.device = device};
	const struct thaw_fold_args arguments = {.from = from, .to = to, .count = count};

	return THAW_CUDA_EACH(&step, fold, count, &arguments);
}

static thaw_status round_to(struct thaw_device *device, void *to, const float *from, int64_t count)
{
	const struct thaw_step step = {.device = device};
	const struct thaw_cast_args arguments = {
		.from = from,
		.to = to,
		.eights = count / 8,
		.from_number = THAW_FLOAT32,
		.to_number = device->number,
	};

	return THAW_CUDA_EACH(&step, cast, arguments.eights, &arguments);
}

static thaw_status put(struct thaw_device *device, void *to, const void *from, size_t size_bytes)
{
	const struct thaw_cuda *cuda = device->own;
	thaw_status status = thaw_gpu_put(cuda->stream, to, from, size_bytes);

	return status ? status : thaw_gpu_wait(cuda->stream);
}

static thaw_status get(struct thaw_device *device, void *to, const void *from, size_t size_bytes)
{
	const struct thaw_cuda *cuda = device->own;
	thaw_status status = thaw_gpu_get(cuda->stream, to, from, size_bytes);

	return status ? status : thaw_gpu_wait(cuda->stream);
}

/* Whether (K,C,R,S) and (K,R,S,C) are different orders of it. */
static bool turns(const struct thaw_param *param)
{
	return param->rank == 4 && param->shape[1] > 1 && param->shape[2] * param->shape[3] > 1;
}

/* Memory through which a parameter goes on its way from one order to the other. */
static thaw_status stage(struct thaw_cuda *cuda, size_t size_bytes, void **staging_out)
{
	thaw_status status = THAW_OK;

	if (size_bytes > cuda->staging_bytes) {
		thaw_gpu_free(cuda->gpu, cuda->staging);
		cuda->staging = NULL;
		cuda->staging_bytes = 0;
		status = thaw_gpu_alloc(cuda->gpu, size_bytes, "parameters on their way", &cuda->staging);
		if (!status)
			cuda->staging_bytes = size_bytes;
	}
	*staging_out = cuda->staging;
	return status;
}

static thaw_status turn(struct thaw_device *device, const void *from, void *to, int64_t matrices, int64_t rows,
                        int64_t columns)
{
	const struct thaw_step step = {.device = device};
	const struct thaw_transpose_args arguments = {
		.from = from, .to = to, .count = matrices, .rows = (int)rows, .columns = (int)columns};

	return THAW_CUDA_EACH(&step, transpose, matrices * rows * columns, &arguments);
}

static thaw_status put_param(struct thaw_device *device, float *to, const float *from, const struct thaw_param *param)
{
	size_t size_bytes = (size_t)param->elems * sizeof *from;
	void *staging;
	thaw_status status;

	if (!turns(param))
		return put(device, to, from, size_bytes);
	status = stage(device->own, size_bytes, &staging);
	if (!status)
		status = put(device, staging, from, size_bytes);
	return status ? status
	              : turn(device, staging, to, param->shape[0], param->shape[1], param->shape[2] * param->shape[3]);
}

static thaw_status get_param(struct thaw_device *device, float *to, const float *from, const struct thaw_param *param)
{
	size_t size_bytes = (size_t)param->elems * sizeof *to;
	void *staging;
	thaw_status status;

	if (!turns(param))
		return get(device, to, from, size_bytes);
	status = stage(device->own, size_bytes, &staging);
	if (!status)
		status = turn(device, from, staging, param->shape[0], param->shape[2] * param->shape[3], param->shape[1]);
	return status ? status : get(device, to, staging, size_bytes);
}

static const struct thaw_memory_ops memory = {
	.allocate = allocate,
	.release = release,
	.available = available,
	.zero = zero,
	.add = add,
	.round = round_to,
	.put = put,
	.get = get,
	.put_param = put_param,
	.get_param = get_param,
};

const struct thaw_backend thaw_backend_cuda = {
	.name = "cuda",
	.describe = describe,
	.survey = thaw_cuda_survey,
	.look = thaw_cuda_look,
	.start = start,
	.stop = stop,
	.accumulate = accumulate,
	.memory = &memory,
	.queue = &thaw_cuda_queue,
	.update = &thaw_cuda_update,
	.choices = thaw_cuda_choices,
	.learn = thaw_cuda_learn,
	.ops =
		{
			[THAW_OP_INPUT] = &thaw_cuda_input,
			[THAW_OP_CONV] = &thaw_cuda_conv,
			[THAW_OP_BATCH_NORM] = &thaw_cuda_batch_norm,
			[THAW_OP_RELU] = &thaw_cuda_relu,
			[THAW_OP_ADD] = &thaw_cuda_add,
			[THAW_OP_MAX_POOL] = &thaw_cuda_max_pool,
			[THAW_OP_GLOBAL_POOL] = &thaw_cuda_global_pool,
			[THAW_OP_SHORTCUT] = &thaw_cuda_shortcut,
			[THAW_OP_LINEAR] = &thaw_cuda_linear,
			[THAW_OP_LOSS] = &thaw_cuda_loss,
		},
};
