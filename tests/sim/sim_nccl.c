/*
 * Sums over simulated GPUs: comm/nccl.h made of shared memory between processes of one machine.
 *
 * Each rank has a seat there: how many steps it has made, and a slot for a part of its numbers. Ranks meet when all
 * have made the same step. A sum goes part by part: each writes its own, they meet, each adds up all in the order of
 * the ranks, which gives the same bits everywhere, and they meet again.
 *
 * While a sum waits for other ranks, nothing else runs on this process's device. Where a real sum would wait forever,
 * because a rank has died or does not come within THAW_SIM_NCCL_SECONDS (60), it is given up, and thaw_nccl_check() says
 * so. Ranks whose sums do not belong together are refused.
 */
#define _GNU_SOURCE
#include "comm/nccl.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/sim/sim.h"

enum { RANKS = 64, SLOT = 1 << 18, HAS_LEFT = -1 };

/* What is not atomic is the rank's own up to a step, and everybody's to read from there to the next. */
struct seat {
	atomic_int pid; /* 0: has not come yet */
	_Atomic int64_t steps;
	int64_t number, count; /* of the sum */
	float slot[SLOT];
};

/* Never freed: sums that are still queued, or in a graph, may come back to it. */
struct thaw_nccl {
	struct thaw_nccl *next;
	struct seat *seats; /* (ranks) shared; NULL: this rank has left */
	int rank, ranks;
	int64_t steps, calls;
	double seconds;    /* that a rank may be late for a sum */
	char failure[128]; /* "": none */
};

static struct thaw_nccl *communicators;

_Static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LONG_LOCK_FREE == 2, "atomics work between processes");

const char *thaw_nccl_describe(void)
{
	return "simulated NCCL";
}

/* --- meeting ----------------------------------------------------------------------------------------------------- */

static bool is_gone(int pid)
{
	return pid == HAS_LEFT || (pid != 0 && kill(pid, 0) != 0 && errno == ESRCH);
}

/* Waits until another rank has made as many steps as this one. A rank that gives up lets the others know that there is
 * nobody to wait for. */
static bool wait_for(struct thaw_nccl *nccl, int other, double seconds)
{
	const struct timespec pause = {.tv_nsec = 50000};
	const double until = thaw_clock_seconds() + seconds;
	struct seat *seat = &nccl->seats[other];

	while (atomic_load(&seat->steps) < nccl->steps) {
		bool gone = is_gone(atomic_load(&seat->pid));

		if (atomic_load(&seat->steps) >= nccl->steps) /* its last one before it went */
			break;
		if (gone)
			snprintf(nccl->failure, sizeof nccl->failure, "NCCL: rank %d of %d is gone", other, nccl->ranks);
		else if (!(thaw_clock_seconds() < until))
			snprintf(nccl->failure, sizeof nccl->failure, "NCCL: rank %d of %d did not come within %g s", other,
			         nccl->ranks, seconds);
		if (nccl->failure[0]) {
			atomic_store(&nccl->seats[nccl->rank].pid, HAS_LEFT);
			return false;
		}
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Makes a step and waits until all have made it. */
static bool meet(struct thaw_nccl *nccl, double seconds)
{
	nccl->steps++;
	atomic_store(&nccl->seats[nccl->rank].steps, nccl->steps);
	for (int i = 0; i < nccl->ranks; i++)
		if (!wait_for(nccl, i, seconds))
			return false;
	return true;
}

/* --- joining and leaving ----------------------------------------------------------------------------------------- */

thaw_status thaw_nccl_id(unsigned char id_out[THAW_NCCL_ID])
{
	unsigned long long number;

	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return thaw_fail(THAW_FAILED, "NCCL: no random number for an id");
	memset(id_out, 0, THAW_NCCL_ID);
	snprintf((char *)id_out, THAW_NCCL_ID, "/thaw-sim-%016llx", number);
	return THAW_OK;
}

/* Whoever comes first makes the memory; new memory is zero. */
static thaw_status map_seats(struct thaw_nccl *nccl, const char *name)
{
	const size_t size = (size_t)nccl->ranks * sizeof *nccl->seats;
	int fd = shm_open(name, O_RDWR | O_CREAT, 0600);
	int error = fd < 0 ? errno : posix_fallocate(fd, 0, (off_t)size);
	void *memory = MAP_FAILED;

	if (!error) {
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		error = errno;
	}
	if (fd >= 0)
		close(fd);
	if (memory == MAP_FAILED)
		return thaw_fail(THAW_FAILED, "NCCL: cannot share memory '%s': %s", name, strerror(error));
	nccl->seats = memory;
	return THAW_OK;
}

thaw_status thaw_nccl_new(struct thaw_gpu *gpu, const unsigned char id[THAW_NCCL_ID], int rank, int ranks,
                          double seconds, struct thaw_nccl **nccl_out)
{
	const char *limit = getenv("THAW_SIM_NCCL_SECONDS"), *name = (const char *)id;
	struct thaw_nccl *nccl = thaw_alloc(1, sizeof *nccl);
	thaw_status status;

	(void)gpu;
	thaw_sim_outside_capture("thaw_nccl_new");
	if (!nccl)
		return THAW_OUT_OF_MEMORY;
	if (ranks < 1 || ranks > RANKS || rank < 0 || rank >= ranks)
		thaw_sim_refuse("NCCL: rank %d of %d", rank, ranks);
	nccl->next = communicators;
	communicators = nccl;
	nccl->rank = rank;
	nccl->ranks = ranks;
	nccl->seconds = limit ? atof(limit) : 60;
	status = map_seats(nccl, name);
	if (!status) {
		if (atomic_exchange(&nccl->seats[rank].pid, (int)getpid()) != 0)
			thaw_sim_refuse("NCCL: two are rank %d", rank);
		if (!meet(nccl, seconds))
			status = thaw_nccl_check(nccl);
	}
	shm_unlink(name); /* all have it open by now, or never will */
	if (status)
		thaw_nccl_free(nccl);
	else
		*nccl_out = nccl;
	return status;
}

void thaw_nccl_free(struct thaw_nccl *nccl)
{
	if (!nccl || !nccl->seats)
		return;
	thaw_sim_outside_capture("thaw_nccl_free");
	atomic_store(&nccl->seats[nccl->rank].pid, HAS_LEFT);
	munmap(nccl->seats, (size_t)nccl->ranks * sizeof *nccl->seats);
	nccl->seats = NULL;
}

/* --- sums -------------------------------------------------------------------------------------------------------- */

struct sum {
	struct thaw_nccl *nccl;
	float *values;
	int64_t count;
	int64_t number; /* of the call; a graph's keep theirs */
};

/* What NCCL would hang on, or sum though it does not belong together. */
static void compare_sums(const struct thaw_nccl *nccl)
{
	const struct seat *mine = &nccl->seats[nccl->rank];

	for (int i = 0; i < nccl->ranks; i++) {
		const struct seat *seat = &nccl->seats[i];

		if (seat->number != mine->number)
			thaw_sim_refuse("NCCL: rank %d is at sum %lld, rank %d at %lld", nccl->rank, (long long)mine->number, i,
			                (long long)seat->number);
		if (seat->count != mine->count)
			thaw_sim_refuse("NCCL: rank %d sums %lld numbers, rank %d %lld", nccl->rank, (long long)mine->count, i,
			                (long long)seat->count);
	}
}

static void add_up(const struct thaw_nccl *nccl, float *to, size_t count)
{
	for (size_t k = 0; k < count; k++) {
		float sum = nccl->seats[0].slot[k];

		for (int i = 1; i < nccl->ranks; i++)
			sum += nccl->seats[i].slot[k];
		to[k] = sum;
	}
}

static void run_sum(const void *arguments)
{
	const struct sum *sum = arguments;
	struct thaw_nccl *nccl = sum->nccl;
	size_t count = (size_t)sum->count, at = 0;
	float *values = thaw_sim_at(sum->values, count * sizeof *values, sizeof *values, "a sum");
	struct seat *mine;

	if (!nccl->seats || nccl->failure[0])
		return;
	mine = &nccl->seats[nccl->rank];
	mine->number = sum->number;
	mine->count = sum->count;
	do {
		size_t part = count - at < SLOT ? count - at : SLOT;

		memcpy(mine->slot, values + at, part * sizeof *values);
		if (!meet(nccl, nccl->seconds))
			return;
		compare_sums(nccl);
		add_up(nccl, values + at, part);
		if (!meet(nccl, nccl->seconds))
			return;
		at += part;
	} while (at < count);
}

thaw_status thaw_nccl_sum(struct thaw_nccl *nccl, struct thaw_gpu_stream *stream, float *values, int64_t count)
{
	const struct sum sum = {nccl, values, count, nccl->calls + 1};
	thaw_status status = thaw_nccl_check(nccl);

	if (status)
		return status;
	if (!values || count < 0)
		thaw_sim_refuse("NCCL: a sum of %lld numbers at %p", (long long)count, (void *)values);
	thaw_sim_at(values, (size_t)count * sizeof *values, sizeof *values, "a sum");
	nccl->calls++;
	return thaw_sim_enqueue(stream, run_sum, &sum, sizeof sum);
}

thaw_status thaw_nccl_check(struct thaw_nccl *nccl)
{
	return nccl->failure[0] ? thaw_fail(THAW_FAILED, "%s", nccl->failure) : THAW_OK;
}
