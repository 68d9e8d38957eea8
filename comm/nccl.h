/*
 * Sums over GPUs, one for each rank: NCCL.
 *
 * comm/nccl.c makes these calls of NCCL and is the only file that sees it; tests/sim makes them of shared memory. They
 * are enqueued on a stream like any other work (nn/cuda/gpu.h), and may be part of a graph. All ranks make the same
 * calls in the same order, with the same counts, and capture and launch the same graphs. Sums come one after another in
 * that order: where they are on two streams, events see to it.
 *
 * A rank that fails is not noticed by the others as long as GPUs reach each other without a network: their sums just go
 * on. Who waits for one asks for an event (thaw_gpu_event_done()) and looks elsewhere too. The same thread calls this
 * that opened the GPU.
 */
#ifndef THAW_COMM_NCCL_H
#define THAW_COMM_NCCL_H

#include "nn/cuda/gpu.h"

struct thaw_nccl;

enum { THAW_NCCL_ID = 128 }; /* bytes */

/* "NCCL 2.28.9" */
const char *thaw_nccl_describe(void);

/* What the ranks find each other by; rank 0 makes it and gives it to all. */
thaw_status thaw_nccl_id(unsigned char id_out[THAW_NCCL_ID]);

/* Joins the others, who have to come within so many seconds. THAW_FAILED says what is wrong, and what to do where two
 * ranks have one GPU; the id is then used up. */
thaw_status thaw_nccl_new(struct thaw_gpu *gpu, const unsigned char id[THAW_NCCL_ID], int rank, int ranks,
                          double seconds, struct thaw_nccl **nccl_out);

/* All ranks do it, when their sums are over or something has failed: what is under way then is given up. Graphs that
 * hold sums are freed before. Returns within seconds in any case. NULL is fine. */
void thaw_nccl_free(struct thaw_nccl *nccl);

/* Enqueues values (count) = their sum over all ranks, on each the same bits; device memory, aligned to 4 bytes. The
 * first sums of a kind make connections, which takes time and memory: each is made once before it is captured. */
thaw_status thaw_nccl_sum(struct thaw_nccl *nccl, struct thaw_gpu_stream *stream, float *values, int64_t count);

/* Whether the ranks are still together: THAW_FAILED says what NCCL has found since. Does not wait. */
thaw_status thaw_nccl_check(struct thaw_nccl *nccl);

#endif
