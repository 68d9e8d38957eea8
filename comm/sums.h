/*
 * Sums of gradients over all ranks, wherever they stand.
 *
 * Where a device's memory is the host's, they are those of comm/comm.h. In a GPU's own memory they are summed by NCCL,
 * enqueued beside the device's other work, in an order of NCCL's; or, for comparison, through the host's memory, slowly
 * and in the one fixed order.
 *
 *     kind    sums                                            the same bits for any number of ranks
 *     host    what comm/comm.h says                           yes
 *     nccl    on the GPUs, while the backward pass goes on    no
 *     mpi     copies to the host, sums there, copies back     yes
 */
#ifndef THAW_COMM_SUMS_H
#define THAW_COMM_SUMS_H

#include <stdbool.h>

#include "comm/comm.h"
#include "nn/device.h"

struct thaw_sums;

/* `kind`: "auto", "nccl" or "mpi"; joins the other ranks, for which it waits so many seconds, 0: an hour. All ranks call
 * it. THAW_BAD_JOB names the kinds there are on this device. */
thaw_status thaw_sums_new(struct thaw_comm *comm, struct thaw_device *device, const char *kind, double seconds,
                          struct thaw_sums **sums_out);
void thaw_sums_free(struct thaw_sums *sums); /* NULL is fine */

/* "MPI", "NCCL 2.28.9", "MPI through host memory" */
const char *thaw_sums_describe(const struct thaw_sums *sums);

/* As thaw_comm_sum_plan() and those that follow it; partial sums stand in the device's memory. With NCCL, `end` waits
 * for nothing: what the device does from then on comes after the sums. */
thaw_status thaw_sums_plan(struct thaw_sums *sums, int replicas, int64_t count_limit, int slices_limit);
thaw_status thaw_sums_begin(struct thaw_sums *sums, struct thaw_slice slice);
thaw_status thaw_sums_progress(struct thaw_sums *sums);
thaw_status thaw_sums_end(struct thaw_sums *sums);

/* Whether sums may be part of a recording (nn/backend.h). */
bool thaw_sums_recordable(const struct thaw_sums *sums);

/* THAW_FAILED says which ranks are lost, where that is known without waiting. */
thaw_status thaw_sums_check(struct thaw_sums *sums);

/* --- what a kind provides ---------------------------------------------------------------------------------------- */

struct thaw_sums {
	const struct thaw_sums_ops *ops;
	struct thaw_comm *comm;
	struct thaw_device *device;
	int nodes; /* partial sums of this rank: of the plan */
};

struct thaw_sums_ops {
	const char *name;
	bool recordable;
	/* Allocates a struct that begins with a struct thaw_sums; `release` frees it. */
	thaw_status (*make)(struct thaw_comm *comm, struct thaw_device *device, double seconds, struct thaw_sums **sums_out);
	void (*release)(struct thaw_sums *sums);
	const char *(*describe)(const struct thaw_sums *sums);
	thaw_status (*plan)(struct thaw_sums *sums, int replicas, int64_t count_limit, int slices_limit);
	thaw_status (*begin)(struct thaw_sums *sums, struct thaw_slice slice);
	thaw_status (*progress)(struct thaw_sums *sums); /* NULL: it needs none */
	thaw_status (*end)(struct thaw_sums *sums);
	thaw_status (*check)(struct thaw_sums *sums); /* NULL: nothing is known */
};

extern const struct thaw_sums_ops thaw_sums_mpi, thaw_sums_nccl;

#endif
