/*
 * Sums on the GPUs themselves. They have a stream of their own, on which a slice's sum comes after what made the slice,
 * and before whatever is enqueued behind `end`: all of it may be recorded.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "comm/nccl.h"
#include "comm/sums.h"
#include "nn/cuda/cuda.h"

struct nccl_sums {
	struct thaw_sums sums;
	struct thaw_nccl *nccl;
	struct thaw_gpu_stream *stream;
	struct thaw_gpu_event *ready, *done; /* a slice is; all sums are */
	int begun;
};

static struct nccl_sums *of(struct thaw_sums *sums)
{
	return (struct nccl_sums *)(void *)sums;
}

static struct thaw_cuda *cuda_of(const struct thaw_sums *sums)
{
	return sums->device->own;
}

static void release(struct thaw_sums *sums)
{
	struct nccl_sums *n = of(sums);

	thaw_nccl_free(n->nccl);
	thaw_gpu_stream_free(n->stream);
	thaw_gpu_event_free(n->ready);
	thaw_gpu_event_free(n->done);
	free(n);
}

static thaw_status join(struct thaw_comm *comm, struct thaw_device *device, double seconds, struct nccl_sums *n)
{
	const struct thaw_cuda *cuda = device->own;
	unsigned char id[THAW_NCCL_ID] = {0};
	thaw_status worst, status = thaw_comm_rank(comm) == 0 ? thaw_nccl_id(id) : THAW_OK;

	if (!status)
		status = thaw_gpu_stream_new(cuda->gpu, true, &n->stream);
	if (!status)
		status = thaw_gpu_event_new(cuda->gpu, false, &n->ready);
	if (!status)
		status = thaw_gpu_event_new(cuda->gpu, false, &n->done);
	status = thaw_comm_agree(comm, status, &worst);
	if (status || worst)
		return status ? status : worst;
	status = thaw_comm_broadcast(comm, id, sizeof id);
	if (status)
		return status;
	return thaw_nccl_new(cuda->gpu, id, thaw_comm_rank(comm), thaw_comm_size(comm), seconds, &n->nccl);
}

static thaw_status make(struct thaw_comm *comm, struct thaw_device *device, double seconds, struct thaw_sums **sums_out)
{
	struct nccl_sums *n = thaw_alloc(1, sizeof *n);
	thaw_status worst, status = thaw_comm_agree(comm, n ? THAW_OK : THAW_OUT_OF_MEMORY, &worst);

	if (!n)
		return THAW_OUT_OF_MEMORY;
	status = status ? status : worst;
	if (!status)
		status = join(comm, device, seconds, n);
	if (status)
		release(&n->sums);
	else
		*sums_out = &n->sums;
	return status;
}

static const char *describe(const struct thaw_sums *sums)
{
	(void)sums;
	return thaw_nccl_describe();
}

/* Sums of one number, two, four, up to the largest: NCCL chooses its ways by size, and for each makes connections and takes
 * memory the first time. That is to be before anyone asks how much is left, and outside of any recording. */
static thaw_status plan(struct thaw_sums *sums, int replicas, int64_t count_limit, int slices_limit)
{
	struct nccl_sums *n = of(sums);
	struct thaw_gpu *gpu = cuda_of(sums)->gpu;
	size_t size_bytes = (size_t)count_limit * sizeof(float);
	void *values = NULL;
	thaw_status worst, status = thaw_gpu_alloc(gpu, size_bytes, "gradients", &values);
	thaw_status agreed = thaw_comm_agree(sums->comm, status, &worst); /* who has no memory comes to no sum */

	(void)replicas, (void)slices_limit;
	status = status ? status : agreed ? agreed : worst;
	if (!status)
		status = thaw_gpu_zero(n->stream, values, size_bytes);
	for (int64_t count = 1; count < count_limit && !status; count *= 2)
		status = thaw_nccl_sum(n->nccl, n->stream, values, count);
	if (!status)
		status = thaw_nccl_sum(n->nccl, n->stream, values, count_limit);
	if (!status)
		status = thaw_gpu_wait(n->stream);
	thaw_gpu_free(gpu, values);
	return status;
}

static thaw_status begin(struct thaw_sums *sums, struct thaw_slice slice)
{
	struct nccl_sums *n = of(sums);
	const struct thaw_memory_ops *memory = sums->device->backend->memory;
	thaw_status status = THAW_OK;

	for (int i = 1; i < sums->nodes && !status; i++)
		status = memory->add(sums->device, slice.partials[0], slice.partials[i], slice.count);
	if (!status)
		status = thaw_gpu_event_record(n->ready, cuda_of(sums)->stream);
	if (!status)
		status = thaw_gpu_event_order(n->ready, n->stream);
	if (!status)
		status = thaw_nccl_sum(n->nccl, n->stream, slice.partials[0], slice.count);
	n->begun += !status;
	return status;
}

static thaw_status end(struct thaw_sums *sums)
{
	struct nccl_sums *n = of(sums);
	thaw_status status = n->begun > 0 ? thaw_gpu_event_record(n->done, n->stream) : THAW_OK;

	if (!status && n->begun > 0)
		status = thaw_gpu_event_order(n->done, cuda_of(sums)->stream);
	n->begun = 0;
	return status;
}

static thaw_status check(struct thaw_sums *sums)
{
	return thaw_nccl_check(of(sums)->nccl);
}

const struct thaw_sums_ops thaw_sums_nccl = {
	.name = "nccl",
	.recordable = true,
	.make = make,
	.release = release,
	.describe = describe,
	.plan = plan,
	.begin = begin,
	.end = end,
	.check = check,
};
