#include "comm/sums.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "comm/tree.h"

/* --- in the host's memory ---------------------------------------------------------------------------------------- */

static thaw_status host_make(struct thaw_comm *comm, struct thaw_device *device, double seconds,
                             struct thaw_sums **sums_out)
{
	(void)comm, (void)device, (void)seconds;
	*sums_out = thaw_alloc(1, sizeof **sums_out);
	return *sums_out ? THAW_OK : THAW_OUT_OF_MEMORY;
}

static void host_release(struct thaw_sums *sums)
{
	free(sums);
}

static const char *host_describe(const struct thaw_sums *sums)
{
	(void)sums;
	return "MPI";
}

static thaw_status host_plan(struct thaw_sums *sums, int replicas, int64_t count_limit, int slices_limit)
{
	return thaw_comm_sum_plan(sums->comm, replicas, count_limit, slices_limit);
}

static thaw_status host_begin(struct thaw_sums *sums, struct thaw_slice slice)
{
	return thaw_comm_sum_begin(sums->comm, slice);
}

static thaw_status host_progress(struct thaw_sums *sums)
{
	return thaw_comm_progress(sums->comm);
}

static thaw_status host_end(struct thaw_sums *sums)
{
	return thaw_comm_sum_end(sums->comm);
}

static const struct thaw_sums_ops host = {
	.name = "host",
	.make = host_make,
	.release = host_release,
	.describe = host_describe,
	.plan = host_plan,
	.begin = host_begin,
	.progress = host_progress,
	.end = host_end,
};

/* --- one rank, whose partial sum is the sum ---------------------------------------------------------------------- */

static const char *alone_describe(const struct thaw_sums *sums)
{
	(void)sums;
	return "one rank";
}

static thaw_status alone_plan(struct thaw_sums *sums, int replicas, int64_t count_limit, int slices_limit)
{
	(void)sums, (void)replicas, (void)count_limit, (void)slices_limit;
	return THAW_OK;
}

static thaw_status alone_begin(struct thaw_sums *sums, struct thaw_slice slice)
{
	(void)sums, (void)slice;
	return THAW_OK;
}

static thaw_status alone_end(struct thaw_sums *sums)
{
	(void)sums;
	return THAW_OK;
}

static const struct thaw_sums_ops alone = {
	.name = "alone",
	.recordable = true,
	.make = host_make,
	.release = host_release,
	.describe = alone_describe,
	.plan = alone_plan,
	.begin = alone_begin,
	.end = alone_end,
};

/* --- which kind -------------------------------------------------------------------------------------------------- */

static const struct thaw_sums_ops *find(const struct thaw_comm *comm, const struct thaw_device *device, const char *kind)
{
	const struct thaw_sums_ops *nccl = device->sums;

	if (!device->backend->memory)
		return strcmp(kind, "nccl") == 0 ? NULL : &host;
	if (thaw_comm_size(comm) == 1)
		return &alone;
	if (strcmp(kind, "mpi") == 0 || (strcmp(kind, "auto") == 0 && !nccl))
		return &thaw_sums_mpi;
	return nccl;
}

thaw_status thaw_sums_new(struct thaw_comm *comm, struct thaw_device *device, const char *kind, double seconds,
                          struct thaw_sums **sums_out)
{
	const struct thaw_sums_ops *ops = find(comm, device, kind);
	struct thaw_sums *sums;
	thaw_status status;

	if (!ops)
		return thaw_fail(THAW_BAD_JOB, "comm: %s: device '%s' sums by mpi alone", kind, device->backend->name);
	status = ops->make(comm, device, seconds > 0 ? seconds : 3600, &sums);
	if (status)
		return status;
	sums->ops = ops;
	sums->comm = comm;
	sums->device = device;
	*sums_out = sums;
	return THAW_OK;
}

void thaw_sums_free(struct thaw_sums *sums)
{
	if (sums)
		sums->ops->release(sums);
}

const char *thaw_sums_describe(const struct thaw_sums *sums)
{
	return sums->ops->describe(sums);
}

thaw_status thaw_sums_plan(struct thaw_sums *sums, int replicas, int64_t count_limit, int slices_limit)
{
	int share = replicas / thaw_comm_size(sums->comm), first = thaw_comm_rank(sums->comm) * share;
	struct thaw_tree_node frontier[THAW_FRONTIER];

	sums->nodes = thaw_tree_frontier(replicas, first, first + share, frontier);
	return sums->ops->plan(sums, replicas, count_limit, slices_limit);
}

thaw_status thaw_sums_begin(struct thaw_sums *sums, struct thaw_slice slice)
{
	return sums->ops->begin(sums, slice);
}

thaw_status thaw_sums_progress(struct thaw_sums *sums)
{
	return sums->ops->progress ? sums->ops->progress(sums) : THAW_OK;
}

thaw_status thaw_sums_end(struct thaw_sums *sums)
{
	return sums->ops->end(sums);
}

bool thaw_sums_recordable(const struct thaw_sums *sums)
{
	return sums->ops->recordable;
}

thaw_status thaw_sums_check(struct thaw_sums *sums)
{
	return sums->ops->check ? sums->ops->check(sums) : THAW_OK;
}
