/* One rank: its frontier is the root of the tree, so what it has summed is the sum, and it agrees with itself. */
#include "comm/comm_backend.h"

#include <stdlib.h>

#include "base/mem.h"

static bool self_launched(void)
{
	return true;
}

static thaw_status self_start(int *argc, char ***argv, struct thaw_comm **comm_out)
{
	struct thaw_comm *comm = thaw_alloc(1, sizeof *comm);

	(void)argc, (void)argv;
	if (!comm)
		return THAW_OUT_OF_MEMORY;
	comm->size = comm->local_size = 1;
	*comm_out = comm;
	return THAW_OK;
}

static void self_stop(struct thaw_comm *comm)
{
	free(comm);
}

static void self_abort(struct thaw_comm *comm, int exit_code)
{
	(void)comm, (void)exit_code;
}

static thaw_status self_sum_plan(struct thaw_comm *comm, int replicas, int64_t count_limit, int slices_limit)
{
	(void)comm, (void)replicas, (void)count_limit, (void)slices_limit;
	return THAW_OK;
}

static thaw_status self_sum_begin(struct thaw_comm *comm, struct thaw_slice slice)
{
	(void)comm, (void)slice;
	return THAW_OK;
}

static thaw_status self_progress(struct thaw_comm *comm)
{
	(void)comm;
	return THAW_OK;
}

static thaw_status self_sum_int64(struct thaw_comm *comm, int64_t *values, int count)
{
	(void)comm, (void)values, (void)count;
	return THAW_OK;
}

static thaw_status self_gather_double(struct thaw_comm *comm, double *values, int count)
{
	(void)comm, (void)values, (void)count;
	return THAW_OK;
}

static thaw_status self_broadcast(struct thaw_comm *comm, void *bytes, size_t length)
{
	(void)comm, (void)bytes, (void)length;
	return THAW_OK;
}

static thaw_status self_agree(struct thaw_comm *comm, thaw_status mine, thaw_status *worst_out)
{
	(void)comm;
	*worst_out = mine;
	return THAW_OK;
}

const struct thaw_comm_backend thaw_comm_self = {
	.launched = self_launched,
	.start = self_start,
	.stop = self_stop,
	.abort = self_abort,
	.sum_plan = self_sum_plan,
	.sum_begin = self_sum_begin,
	.progress = self_progress,
	.sum_end = self_progress,
	.sum_int64 = self_sum_int64,
	.gather_double = self_gather_double,
	.broadcast = self_broadcast,
	.agree = self_agree,
};
