#define _POSIX_C_SOURCE 200809L
#include "runner/world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/processors.h"
#include "runner/watchdog.h"

static struct thaw_comm *world;
static bool agreed;

thaw_status thaw_world_start(int *argc, char ***argv)
{
	thaw_status status = world ? THAW_OK : thaw_comm_start(argc, argv, &world); /* the manual asks all commands */

	if (status || thaw_comm_rank(world) == 0)
		return status;
	thaw_log_mute(true);
	return freopen("/dev/null", "w", stdout) ? THAW_OK : thaw_fail(THAW_FAILED, "cannot open '/dev/null'");
}

struct thaw_comm *thaw_world(void)
{
	return world;
}

thaw_status thaw_world_agree(thaw_status mine)
{
	thaw_status worst, status;

	thaw_watchdog_waits("the other ranks");
	status = thaw_comm_agree(world, mine, &worst);
	thaw_watchdog_waits(NULL);
	if (status)
		return status;
	agreed = worst != THAW_OK;
	return worst;
}

bool thaw_world_alone(thaw_status status)
{
	return status && world && thaw_comm_size(world) > 1 && !agreed;
}

thaw_status thaw_world_largest(double mine, double *largest_out)
{
	int size = thaw_comm_size(world);
	double *all = thaw_alloc((size_t)size, sizeof *all), largest = mine;
	thaw_status status = thaw_world_agree(all ? THAW_OK : THAW_OUT_OF_MEMORY);

	if (!status) {
		all[thaw_comm_rank(world)] = mine;
		status = thaw_comm_gather_double(world, all, size);
	}
	for (int i = 0; i < size && !status; i++)
		largest = fmax(largest, all[i]);
	free(all);
	if (!status)
		*largest_out = largest;
	return status;
}

/* Whole numbers that all other ranks leave 0: their sum is exact. */
thaw_status thaw_world_gather(const void *mine, size_t size, void *all_out)
{
	size_t ranks = world ? (size_t)thaw_comm_size(world) : 1, rank = world ? (size_t)thaw_comm_rank(world) : 0;
	int64_t *all = thaw_alloc(ranks, size);
	thaw_status status = all ? THAW_OK : THAW_OUT_OF_MEMORY;

	status = world ? thaw_world_agree(status) : status;
	if (!status) {
		memcpy((char *)all + rank * size, mine, size);
		status = world ? thaw_comm_sum_int64(world, all, (int)(ranks * size / sizeof *all)) : THAW_OK;
	}
	if (!status)
		memcpy(all_out, all, ranks * size);
	free(all);
	return status;
}

/* A number for the processors that this rank may use, and the host they are of. */
static double place(void)
{
	char host[256] = "";

	(void)gethostname(host, sizeof host - 1);
	return 1.0 + thaw_crc32c(thaw_processors_checksum(), host, sizeof host);
}

thaw_status thaw_world_threads(int *threads_out)
{
	int size = thaw_comm_size(world), rank = thaw_comm_rank(world), sharers = 0, count;
	double *places = thaw_alloc((size_t)size, sizeof *places), mine = place();
	thaw_status status = thaw_world_agree(places ? THAW_OK : THAW_OUT_OF_MEMORY);

	if (!status) {
		places[rank] = mine;
		status = thaw_comm_gather_double(world, places, size);
	}
	for (int i = 0; i < size && !status; i++)
		sharers += places[i] == mine;
	free(places);
	if (status)
		return status;
	count = thaw_processors() / sharers;
	if (count < 1)
		count = 1;
	if (size > 1 && count * thaw_comm_local_size(world) <= thaw_processors_unbound() / 2)
		thaw_warn("the %d ranks here use %d of the %d processors: mpirun --bind-to none gives them all",
		          thaw_comm_local_size(world), count * thaw_comm_local_size(world), thaw_processors_unbound());
	*threads_out = count;
	return THAW_OK;
}
