/* Sums of what stands in a device's memory, by way of the host's: slow, and the same bits for any number of ranks. */
#include "comm/sums.h"

#include <stdlib.h>

#include "base/mem.h"
#include "comm/tree.h"

struct mpi_sums {
	struct thaw_sums sums;
	float *values;   /* (slices, nodes, count_limit) */
	float **results; /* (slices) where the sums are wanted, device */
	int64_t *counts; /* (slices) */
	int64_t count_limit;
	int begun;
};

static struct mpi_sums *of(struct thaw_sums *sums)
{
	return (struct mpi_sums *)(void *)sums;
}

static thaw_status make(struct thaw_comm *comm, struct thaw_device *device, double seconds, struct thaw_sums **sums_out)
{
	struct mpi_sums *m = thaw_alloc(1, sizeof *m);

	(void)comm, (void)device, (void)seconds;
	if (!m)
		return THAW_OUT_OF_MEMORY;
	*sums_out = &m->sums;
	return THAW_OK;
}

static void release_plan(struct mpi_sums *m)
{
	thaw_free_slab(m->values);
	free(m->results);
	free(m->counts);
	m->values = NULL;
	m->results = NULL;
	m->counts = NULL;
}

static void release(struct thaw_sums *sums)
{
	release_plan(of(sums));
	free(sums);
}

static const char *describe(const struct thaw_sums *sums)
{
	(void)sums;
	return "MPI through host memory";
}

static thaw_status plan(struct thaw_sums *sums, int replicas, int64_t count_limit, int slices_limit)
{
	struct mpi_sums *m = of(sums);
	size_t slices = (size_t)slices_limit;

	release_plan(m);
	m->count_limit = count_limit;
	m->values = thaw_alloc_slab(slices * (size_t)sums->nodes * (size_t)count_limit * sizeof(float), "gradients");
	m->results = thaw_alloc(slices, sizeof *m->results);
	m->counts = thaw_alloc(slices, sizeof *m->counts);
	if (!m->values || !m->results || !m->counts)
		return THAW_OUT_OF_MEMORY;
	return thaw_comm_sum_plan(sums->comm, replicas, count_limit, slices_limit);
}

static thaw_status begin(struct thaw_sums *sums, struct thaw_slice slice)
{
	struct mpi_sums *m = of(sums);
	const struct thaw_memory_ops *memory = sums->device->backend->memory;
	float *partials[THAW_FRONTIER];
	thaw_status status = THAW_OK;

	for (int i = 0; i < sums->nodes && !status; i++) {
		partials[i] = m->values + ((int64_t)m->begun * sums->nodes + i) * m->count_limit;
		status = memory->get(sums->device, partials[i], slice.partials[i], (size_t)slice.count * sizeof(float));
	}
	if (!status)
		status = thaw_comm_sum_begin(sums->comm, (struct thaw_slice){partials, slice.count});
	if (status)
		return status;
	m->results[m->begun] = slice.partials[0];
	m->counts[m->begun++] = slice.count;
	return THAW_OK;
}

static thaw_status progress(struct thaw_sums *sums)
{
	return thaw_comm_progress(sums->comm);
}

static thaw_status end(struct thaw_sums *sums)
{
	struct mpi_sums *m = of(sums);
	const struct thaw_memory_ops *memory = sums->device->backend->memory;
	thaw_status status = thaw_comm_sum_end(sums->comm);

	for (int i = 0; i < m->begun && !status; i++)
		status = memory->put(sums->device, m->results[i], m->values + (int64_t)i * sums->nodes * m->count_limit,
		                     (size_t)m->counts[i] * sizeof(float));
	m->begun = 0;
	return status;
}

const struct thaw_sums_ops thaw_sums_mpi = {
	.name = "mpi",
	.make = make,
	.release = release,
	.describe = describe,
	.plan = plan,
	.begin = begin,
	.progress = progress,
	.end = end,
};
