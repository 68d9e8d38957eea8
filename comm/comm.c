#include "comm/comm.h"

#include <stdio.h>
#include <stdlib.h>

#include "comm/comm_backend.h"
#include "comm/tree.h"

/* The first whose launcher started the process is taken; `self` always says so. */
static const struct thaw_comm_backend *const backends[] = {&thaw_comm_mpi, &thaw_comm_self};

/* How many tasks the launcher says it started. mpirun knows best: inside a Slurm job it may start fewer than Slurm
 * would. */
static int launched_tasks(void)
{
	const char *tasks = getenv("OMPI_COMM_WORLD_SIZE");

	if (!tasks)
		tasks = getenv("SLURM_NTASKS");
	return tasks ? atoi(tasks) : 1;
}

thaw_status thaw_comm_start(int *argc, char ***argv, struct thaw_comm **comm_out)
{
	const struct thaw_comm_backend *const *backend = backends;
	int tasks = launched_tasks(); /* before MPI starts: it may write the variable itself */
	struct thaw_comm *comm;
	thaw_status status;

	while (!(*backend)->launched())
		backend++;
	status = (*backend)->start(argc, argv, &comm);
	if (status)
		return status;
	comm->backend = *backend;
	if (comm->size == 1 && tasks > 1) {
		thaw_comm_stop(comm);
		return thaw_fail(THAW_BAD_JOB,
						 "%d tasks were started, but MPI sees only this one: start them with 'srun --mpi=pmix' or "
						 "'mpirun', a single one with 'srun -n 1'",
						 tasks);
	}
	*comm_out = comm;
	return THAW_OK;
}

void thaw_comm_stop(struct thaw_comm *comm)
{
	if (comm)
		comm->backend->stop(comm);
}

_Noreturn void thaw_comm_abort(struct thaw_comm *comm, int exit_code)
{
	fflush(stdout);
	fflush(stderr);
	comm->backend->abort(comm, exit_code);
	_Exit(exit_code);
}

int thaw_comm_rank(const struct thaw_comm *comm)
{
	return comm->rank;
}

int thaw_comm_size(const struct thaw_comm *comm)
{
	return comm->size;
}

int thaw_comm_local_size(const struct thaw_comm *comm)
{
	return comm->local_size;
}

int thaw_comm_local_rank(const struct thaw_comm *comm)
{
	return comm->local_rank;
}

thaw_status thaw_comm_sum_plan(struct thaw_comm *comm, int replicas, int64_t count_limit, int slices_limit)
{
	thaw_status status;

	if (replicas < 1 || replicas > THAW_REPLICAS)
		return thaw_fail(THAW_BAD_JOB, "%d replicas: allowed are 1 to %d", replicas, THAW_REPLICAS);
	if (replicas % comm->size != 0)
		return thaw_fail(THAW_BAD_JOB, "%d replicas cannot be shared evenly by %d ranks", replicas, comm->size);
	if (count_limit < 1 || slices_limit < 1)
		return thaw_fail(THAW_FAILED, "a plan of %d slices of %lld numbers sums nothing", slices_limit,
						 (long long)count_limit);
	if (comm->slices_begun > 0)
		return thaw_fail(THAW_FAILED, "a new plan while %d slices are under way", comm->slices_begun);
	comm->replicas = 0;
	status = comm->backend->sum_plan(comm, replicas, count_limit, slices_limit);
	if (status)
		return status;
	comm->replicas = replicas;
	comm->count_limit = count_limit;
	comm->slices_limit = slices_limit;
	return THAW_OK;
}

thaw_status thaw_comm_sum_begin(struct thaw_comm *comm, struct thaw_slice slice)
{
	thaw_status status;

	if (comm->replicas == 0)
		return thaw_fail(THAW_FAILED, "a slice was begun before sums were planned");
	if (slice.count < 1 || slice.count > comm->count_limit)
		return thaw_fail(THAW_FAILED, "a slice of %lld numbers, planned were 1 to %lld", (long long)slice.count,
						 (long long)comm->count_limit);
	if (comm->slices_begun == comm->slices_limit)
		return thaw_fail(THAW_FAILED, "slice %d was begun, planned were %d at once", comm->slices_begun + 1,
						 comm->slices_limit);
	status = comm->backend->sum_begin(comm, slice);
	if (!status)
		comm->slices_begun++;
	return status;
}

thaw_status thaw_comm_progress(struct thaw_comm *comm)
{
	return comm->slices_begun > 0 ? comm->backend->progress(comm) : THAW_OK;
}

thaw_status thaw_comm_sum_end(struct thaw_comm *comm)
{
	thaw_status status = comm->slices_begun > 0 ? comm->backend->sum_end(comm) : THAW_OK;

	if (!status)
		comm->slices_begun = 0;
	return status;
}

thaw_status thaw_comm_sum_int64(struct thaw_comm *comm, int64_t *values, int count)
{
	return comm->backend->sum_int64(comm, values, count);
}

thaw_status thaw_comm_gather_double(struct thaw_comm *comm, double *values, int count)
{
	return comm->backend->gather_double(comm, values, count);
}

thaw_status thaw_comm_broadcast(struct thaw_comm *comm, void *bytes, size_t length)
{
	return comm->backend->broadcast(comm, bytes, length);
}

thaw_status thaw_comm_agree(struct thaw_comm *comm, thaw_status mine, thaw_status *worst_out)
{
	return comm->backend->agree(comm, mine, worst_out);
}
