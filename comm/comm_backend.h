/*
 * What a backend provides: one constant table, a row of the list in comm.c.
 *
 * comm.c checks the arguments of every call and counts the slices under way; the slots only do the work. A backend's
 * own struct begins with a struct thaw_comm.
 */
#ifndef THAW_COMM_COMM_BACKEND_H
#define THAW_COMM_COMM_BACKEND_H

#include <stdbool.h>

#include "comm/comm.h"

struct thaw_comm_backend;

struct thaw_comm {
	const struct thaw_comm_backend *backend;
	int rank, size;
	int local_rank, local_size;
	int replicas; /* 0 while there is no plan */
	int64_t count_limit;
	int slices_limit, slices_begun;
};

struct thaw_comm_backend {
	bool (*launched)(void); /* whether the environment says that this backend's launcher started the process */

	/* Allocates the backend's struct and fills rank to local_size; `stop` frees it. */
	thaw_status (*start)(int *argc, char ***argv, struct thaw_comm **comm_out);
	void (*stop)(struct thaw_comm *comm);
	void (*abort)(struct thaw_comm *comm, int exit_code); /* takes the other ranks down; may return */

	/* As in comm.h. `sum_plan` first drops the plan there was; the slices begun are numbered by comm->slices_begun. */
	thaw_status (*sum_plan)(struct thaw_comm *comm, int replicas, int64_t count_limit, int slices_limit);
	thaw_status (*sum_begin)(struct thaw_comm *comm, struct thaw_slice slice);
	thaw_status (*progress)(struct thaw_comm *comm);
	thaw_status (*sum_end)(struct thaw_comm *comm);
	thaw_status (*sum_int64)(struct thaw_comm *comm, int64_t *values, int count);
	thaw_status (*gather_double)(struct thaw_comm *comm, double *values, int count);
	thaw_status (*broadcast)(struct thaw_comm *comm, void *bytes, size_t length);
	thaw_status (*agree)(struct thaw_comm *comm, thaw_status mine, thaw_status *worst_out);
};

extern const struct thaw_comm_backend thaw_comm_self, thaw_comm_mpi;

#endif
