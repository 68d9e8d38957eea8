#define _DEFAULT_SOURCE /* on_exit */
#include "comm/nccl.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <nccl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "nn/cuda/gpu_real.h"

/* Blocks that a sum occupies at most. Each takes a multiprocessor from the backward pass beside it, and a kernel that
 * needs them all at once waits for the sum to end. A network's gradients are little to send in the time of a backward
 * pass; NCCL left to itself may take up to 64. NCCL_MAX_CTAS in the environment overrides it. */
enum { BLOCKS = 8 };

/* How long thaw_nccl_free() waits for the others, and for NCCL to give up. */
static const double finalize_seconds = 5, end_seconds = 10;

struct thaw_nccl {
	ncclComm_t comm;
	int gpu; /* its number */
	int rank, ranks;
	double seconds; /* that the ranks may take to join or to connect */
	atomic_bool ended;
};

_Static_assert(THAW_NCCL_ID == NCCL_UNIQUE_ID_BYTES, "the size of NCCL's id");

/* --- words ------------------------------------------------------------------------------------------------------- */

/* Words for a call that failed; THAW_OK where it did not. Of what NCCL said last, the first line. */
static thaw_status check(ncclResult_t result, const char *what)
{
	const char *last;
	int length;

	if (result == ncclSuccess)
		return THAW_OK;
	last = ncclGetLastError(NULL);
	length = (int)strcspn(last, "\n");
	if (result == ncclInvalidUsage && (strstr(last, "Duplicate GPU") || strstr(last, "same GPU"))) /* of NCCL 2.30 on */
		return thaw_fail(THAW_FAILED, "NCCL: %s: two ranks have one GPU: %s: %.*s", what,
		                 "start no more on a host than it has (in a test, set NCCL_HOSTID differently for each)",
		                 length, last);
	return thaw_fail(THAW_FAILED, "NCCL: %s: %s%s%.*s", what, ncclGetErrorString(result), length ? ": " : "", length,
	                 last);
}

const char *thaw_nccl_describe(void)
{
	static char words[32];
	int version = 0;

	(void)ncclGetVersion(&version);
	snprintf(words, sizeof words, "NCCL %d.%d.%d", version / 10000, version / 100 % 100, version % 100);
	return words;
}

/* --- joining and leaving ----------------------------------------------------------------------------------------- */

/* What a call came to. Those of a communicator that does not block return while threads of NCCL still work on them,
 * and until these are done the next call is refused. ncclInProgress: not within so many seconds. */
static ncclResult_t settle(ncclComm_t comm, double seconds)
{
	const double until = thaw_clock_seconds() + seconds;
	struct timespec pause = {.tv_nsec = 20000};

	for (;;) {
		ncclResult_t state = ncclInProgress, result = ncclCommGetAsyncError(comm, &state);

		if (result || state != ncclInProgress || !(thaw_clock_seconds() < until))
			return result ? result : state;
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < 1000000) /* a sum is enqueued in no time, joining takes long */
			pause.tv_nsec *= 2;
	}
}

thaw_status thaw_nccl_id(unsigned char id_out[THAW_NCCL_ID])
{
	ncclUniqueId id;
	thaw_status status = check(ncclGetUniqueId(&id), "ncclGetUniqueId");

	if (!status)
		memcpy(id_out, &id, sizeof id);
	return status;
}

static thaw_status join(struct thaw_nccl *nccl, const unsigned char id[THAW_NCCL_ID])
{
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	ncclUniqueId nccl_id;
	ncclResult_t result;

	config.blocking = 0; /* or a rank that never comes would be waited for without end */
	config.maxCTAs = BLOCKS;
	memcpy(&nccl_id, id, sizeof nccl_id);
	result = ncclCommInitRankConfig(&nccl->comm, nccl->ranks, nccl_id, nccl->rank, &config);
	if (result == ncclInProgress)
		result = settle(nccl->comm, nccl->seconds);
	if (result == ncclInProgress)
		return thaw_fail(THAW_FAILED, "NCCL: rank %d of %d waited %g s for the others to join", nccl->rank, nccl->ranks,
		                 nccl->seconds);
	return check(result, "ncclCommInitRankConfig");
}

thaw_status thaw_nccl_new(struct thaw_gpu *gpu, const unsigned char id[THAW_NCCL_ID], int rank, int ranks,
                          double seconds, struct thaw_nccl **nccl_out)
{
	struct thaw_nccl *nccl = thaw_alloc(1, sizeof *nccl);
	thaw_status status;

	if (!nccl)
		return THAW_OUT_OF_MEMORY;
	nccl->gpu = gpu->number;
	nccl->rank = rank;
	nccl->ranks = ranks;
	nccl->seconds = seconds;
	status = join(nccl, id);
	if (status)
		thaw_nccl_free(nccl);
	else
		*nccl_out = nccl;
	return status;
}

/* Finalizing waits for what is on the device, and so for the others; aborting ends it. */
static void *end(void *argument)
{
	struct thaw_nccl *nccl = argument;
	ncclResult_t result = settle(nccl->comm, 0);

	(void)cudaSetDevice(nccl->gpu); /* or what NCCL restores in this thread would be the first GPU */
	if (result == ncclSuccess) {
		result = ncclCommFinalize(nccl->comm);
		if (result == ncclInProgress)
			result = settle(nccl->comm, finalize_seconds);
	}
	(void)(result == ncclSuccess ? ncclCommDestroy(nccl->comm) : ncclCommAbort(nccl->comm));
	atomic_store(&nccl->ended, true);
	return NULL;
}

/* What is left behind still runs: nothing is to be torn down under it. */
static void leave(int code, void *unused)
{
	(void)unused;
	fflush(NULL);
	_exit(code);
}

/* Even aborting waits: for threads of NCCL, and for graphs that hold sums. Hence a thread. Where NCCL does not come to
 * an end it is left behind with all that it works on, for the end of the process. */
void thaw_nccl_free(struct thaw_nccl *nccl)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	const double until = thaw_clock_seconds() + end_seconds;
	pthread_t thread;

	if (!nccl)
		return;
	if (nccl->comm) {
		if (pthread_create(&thread, NULL, end, nccl)) {
			(void)on_exit(leave, NULL);
			return;
		}
		while (!atomic_load(&nccl->ended) && thaw_clock_seconds() < until)
			nanosleep(&pause, NULL);
		if (!atomic_load(&nccl->ended)) {
			pthread_detach(thread);
			(void)on_exit(leave, NULL);
			return;
		}
		pthread_join(thread, NULL);
	}
	free(nccl);
}

/* --- sums -------------------------------------------------------------------------------------------------------- */

thaw_status thaw_nccl_sum(struct thaw_nccl *nccl, struct thaw_gpu_stream *stream, float *values, int64_t count)
{
	ncclResult_t result =
		ncclAllReduce(values, values, (size_t)count, ncclFloat32, ncclSum, nccl->comm, stream->stream);

	/* A thread of NCCL enqueues it. Only when that is done does an event that is recorded now come after it. */
	if (result == ncclInProgress)
		result = settle(nccl->comm, nccl->seconds);
	if (result == ncclInProgress)
		return thaw_fail(THAW_FAILED, "NCCL: rank %d of %d waited %g s for the others to connect for a sum", nccl->rank,
		                 nccl->ranks, nccl->seconds);
	return check(result, "ncclAllReduce");
}

thaw_status thaw_nccl_check(struct thaw_nccl *nccl)
{
	return check(settle(nccl->comm, 0), "a sum under way");
}
