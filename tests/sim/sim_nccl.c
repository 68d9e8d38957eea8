/*
 * Sums over simulated GPUs: comm/nccl.h made of shared memory between processes of one machine.
 *
 * Each rank has a seat there: how many steps it has made, and a slot for a part of its numbers. Ranks have met when all
 * have made the same step. A sum goes part by part: each writes its own, they meet, each adds up all in the order of
 * the ranks, which gives the same bits everywhere, and they meet again.
 *
 * Nobody but the host makes the simulated device go on. A rank that looks after other things than its streams keeps the
 * sums of the others waiting, but not the rest of what they do. Where a real sum would wait forever, because a rank has
 * died or does not come within THAW_SIM_NCCL_SECONDS (60), it is given up, and thaw_nccl_check() says so. Ranks whose
 * sums do not belong together are refused, as are those of which some launch one plainly that others have in a graph, or
 * capture anew what others replay.
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

enum how { PLAIN, CAPTURED, REPLAYED }; /* a sum is launched: by itself, by its graph, by that once more */

/* What is not atomic is the rank's own up to a step, and everybody's to read from there to the next. */
struct seat {
	atomic_int pid; /* 0: has not come yet */
	_Atomic int64_t steps;
	int64_t number, count; /* of the sum */
	enum how how;
	float slot[SLOT];
};

/* Never freed: sums that are still queued, or in a graph, may come back to it. */
struct thaw_nccl {
	struct thaw_nccl *next;
	struct seat *seats; /* (ranks) shared; NULL: this rank has left */
	int rank, ranks;
	int64_t steps, calls;
	double limit, until; /* seconds that the others have for the last step; when they are over */
	double seconds;      /* as a sum's limit */
	int64_t sum;         /* the number of the one that is being made; 0: none */
	int64_t latest;      /* the largest number of one that was begun */
	enum how how;        /* it is launched */
	size_t at;           /* its part begins here */
	bool added;          /* and has been added up */
	char failure[128];   /* "": none */
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

static void make_step(struct thaw_nccl *nccl, double limit)
{
	nccl->limit = limit;
	nccl->until = thaw_clock_seconds() + limit;
	nccl->steps++;
	atomic_store(&nccl->seats[nccl->rank].steps, nccl->steps);
}

/* Whether another rank has made the last step. If it cannot any more, or had time enough, this rank gives up, and lets
 * the others know that there is nobody to wait for. */
static bool has_come(struct thaw_nccl *nccl, int other)
{
	struct seat *seat = &nccl->seats[other];
	bool gone = is_gone(atomic_load(&seat->pid)); /* asked first: it may go after its step */

	if (atomic_load(&seat->steps) >= nccl->steps)
		return true;
	if (gone)
		snprintf(nccl->failure, sizeof nccl->failure, "NCCL: rank %d of %d is gone", other, nccl->ranks);
	else if (!(thaw_clock_seconds() < nccl->until))
		snprintf(nccl->failure, sizeof nccl->failure, "NCCL: rank %d of %d did not come within %g s", other,
		         nccl->ranks, nccl->limit);
	if (nccl->failure[0])
		atomic_store(&nccl->seats[nccl->rank].pid, HAS_LEFT);
	return false;
}

static bool have_met(struct thaw_nccl *nccl)
{
	for (int i = 0; i < nccl->ranks; i++)
		if (!has_come(nccl, i))
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
	const struct timespec pause = {.tv_nsec = 50000};
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
		make_step(nccl, seconds);
		while (!have_met(nccl) && !nccl->failure[0])
			nanosleep(&pause, NULL);
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
	bool captured;
};

/* What NCCL would hang on, or sum though it does not belong together. */
static void compare_sums(const struct thaw_nccl *nccl)
{
	static const char *const does[] = {"plainly launches", "captures", "replays"};
	const struct seat *mine = &nccl->seats[nccl->rank];

	for (int i = 0; i < nccl->ranks; i++) {
		const struct seat *seat = &nccl->seats[i];

		if (seat->how != mine->how)
			thaw_sim_refuse("NCCL: rank %d %s sum %lld, rank %d %s sum %lld", nccl->rank, does[mine->how],
			                (long long)mine->number, i, does[seat->how], (long long)seat->number);
		if (seat->number != mine->number)
			thaw_sim_refuse("NCCL: rank %d is at sum %lld, rank %d at %lld", nccl->rank, (long long)mine->number, i,
			                (long long)seat->number);
		if (seat->count != mine->count)
			thaw_sim_refuse("NCCL: rank %d sums %lld numbers, rank %d %lld", nccl->rank, (long long)mine->count, i,
			                (long long)seat->count);
	}
}

static size_t part_of(const struct sum *sum, size_t at)
{
	size_t left = (size_t)sum->count - at;

	return left < SLOT ? left : SLOT;
}

static void write_part(struct thaw_nccl *nccl, const struct sum *sum, const float *values)
{
	struct seat *mine = &nccl->seats[nccl->rank];

	mine->number = sum->number;
	mine->count = sum->count;
	mine->how = nccl->how;
	memcpy(mine->slot, values + nccl->at, part_of(sum, nccl->at) * sizeof *values);
	nccl->added = false;
	make_step(nccl, nccl->seconds);
}

static void add_part(struct thaw_nccl *nccl, const struct sum *sum, float *values)
{
	size_t part = part_of(sum, nccl->at);

	compare_sums(nccl);
	for (size_t k = 0; k < part; k++) {
		float total = nccl->seats[0].slot[k];

		for (int i = 1; i < nccl->ranks; i++)
			total += nccl->seats[i].slot[k];
		if (thaw_sim_fault("sum", "twice"))
			total += nccl->seats[1].slot[k];
		if (thaw_sim_fault("sum", "skip") && sum->number % 3 == 0)
			continue;
		values[nccl->at + k] = total;
	}
	nccl->added = true;
	make_step(nccl, nccl->seconds);
}

/* Goes on as far as the other ranks let it. */
static bool try_sum(const void *arguments)
{
	const struct sum *sum = arguments;
	struct thaw_nccl *nccl = sum->nccl;
	float *values = thaw_sim_at(sum->values, (size_t)sum->count * sizeof *values, sizeof *values, "a sum");

	if (!nccl->seats || nccl->failure[0])
		return true;
	if (nccl->sum && nccl->sum != sum->number)
		return false; /* one after another */
	if (!nccl->sum) {
		nccl->sum = sum->number;
		nccl->how = !sum->captured ? PLAIN : sum->number > nccl->latest ? CAPTURED : REPLAYED;
		nccl->latest = sum->number > nccl->latest ? sum->number : nccl->latest;
		nccl->at = 0;
		write_part(nccl, sum, values);
	}
	while (have_met(nccl)) {
		if (!nccl->added) {
			add_part(nccl, sum, values);
			continue;
		}
		nccl->at += part_of(sum, nccl->at);
		if (nccl->at == (size_t)sum->count) {
			nccl->sum = 0;
			return true;
		}
		write_part(nccl, sum, values);
	}
	return nccl->failure[0] != '\0';
}

thaw_status thaw_nccl_sum(struct thaw_nccl *nccl, struct thaw_gpu_stream *stream, float *values, int64_t count)
{
	const struct sum sum = {nccl, values, count, nccl->calls + 1, thaw_sim_is_captured(stream)};
	thaw_status status = thaw_nccl_check(nccl);

	if (status)
		return status;
	if (!values || count < 0)
		thaw_sim_refuse("NCCL: a sum of %lld numbers at %p", (long long)count, (void *)values);
	thaw_sim_at(values, (size_t)count * sizeof *values, sizeof *values, "a sum");
	nccl->calls++;
	return thaw_sim_enqueue_try(stream, try_sum, &sum, sizeof sum);
}

thaw_status thaw_nccl_check(struct thaw_nccl *nccl)
{
	return nccl->failure[0] ? thaw_fail(THAW_FAILED, "%s", nccl->failure) : THAW_OK;
}
