/*
 * Ranks, and sums over them that do not depend on how many there are.
 *
 * The global batch is cut into R micro-batches ("replicas"), of which each of the N ranks works a contiguous share of
 * R / N. Their gradients are summed over one fixed binary tree with R leaves (comm/tree.h), whatever N is: with the
 * same R the result has the same bits for every N that divides R. The exchange of one slice is begun while the
 * backward pass goes on (each rank receives its part of the slice from all, sums along the tree, and gives the sum
 * back to all) and moved forward by thaw_comm_progress(), called between operations.
 *
 * One thread calls this. Backends are rows of one table in comm/comm.c: `self` (one rank, no MPI call), `mpi`. Every
 * collective must be called by all ranks in the same order, with the same counts. A failure in one leaves the ranks out
 * of step: what remains is thaw_comm_abort().
 */
#ifndef THAW_COMM_COMM_H
#define THAW_COMM_COMM_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct thaw_comm;

/* Starts MPI when the process was launched by it (mpirun, srun) and `self` otherwise. MPI's environment is read,
 * nothing is printed. One rank alone where the launcher started several is THAW_BAD_JOB: its copies would overwrite
 * each other. */
thaw_status thaw_comm_start(int *argc, char ***argv, struct thaw_comm **comm_out);

/* Ends communication when all ranks agree to end, waiting for them; NULL is fine. */
void thaw_comm_stop(struct thaw_comm *comm);

/* Takes all ranks down with this exit code, at once; does not return. For a rank that cannot go on. */
_Noreturn void thaw_comm_abort(struct thaw_comm *comm, int exit_code);

/* The library that ranks are started with, whether they were or not: "Open MPI 4.1.4". */
const char *thaw_comm_library(void);

int thaw_comm_rank(const struct thaw_comm *comm);
int thaw_comm_size(const struct thaw_comm *comm);

/* Ranks that share this rank's host (for the division of its cores), and this rank's number among them. */
int thaw_comm_local_size(const struct thaw_comm *comm);
int thaw_comm_local_rank(const struct thaw_comm *comm);

/* --- sums of gradients ------------------------------------------------------------------------------------------- */

/* A slice of this rank's partial sums: the roots of the subtrees of this rank's share in order (thaw_tree_frontier();
 * one rank alone has one). After thaw_comm_sum_end() the first of them holds the sum over all replicas, on every rank
 * the same bits; the others are undefined. Borrowed until then, and not to be touched. */
struct thaw_slice {
	float *const *partials; /* [frontier nodes] -> (count) */
	int64_t count;
};

/* Fixes the number of replicas, 1 .. THAW_REPLICAS and divisible by the number of ranks (else THAW_BAD_JOB naming
 * both). Allocates for slices of at most `count_limit` floats, at most `slices_limit` of them from one
 * thaw_comm_sum_end() to the next. May be called again for another plan when none is under way. */
thaw_status thaw_comm_sum_plan(struct thaw_comm *comm, int replicas, int64_t count_limit, int slices_limit);

thaw_status thaw_comm_sum_begin(struct thaw_comm *comm, struct thaw_slice slice); /* does not wait; copies the array */
thaw_status thaw_comm_progress(struct thaw_comm *comm);                           /* moves all begun; does not wait */
thaw_status thaw_comm_sum_end(struct thaw_comm *comm);                            /* all begun are done */

/* --- small collectives; all wait --------------------------------------------------------------------------------- */

/* Element-wise sums, in place. The double version is exact, and so the same for every rank count, when each element is
 * non-zero on at most one rank: that is how per-replica and per-batch losses are gathered. */
thaw_status thaw_comm_sum_int64(struct thaw_comm *comm, int64_t *values, int count);
thaw_status thaw_comm_gather_double(struct thaw_comm *comm, double *values, int count);

/* Copies rank 0's bytes to all. */
thaw_status thaw_comm_broadcast(struct thaw_comm *comm, void *bytes, size_t length);

/* The worst (largest) status of all ranks: THAW_OK only if all succeeded. A rank whose own status is not the worst gets
 * the words of the lowest rank that failed so, cut at 200 bytes: "rank 3: cannot open 'x': Permission denied". What is
 * returned says only whether the ranks could agree. */
thaw_status thaw_comm_agree(struct thaw_comm *comm, thaw_status mine, thaw_status *worst_out);

#endif
