#define _GNU_SOURCE /* sched_getaffinity */
#include "runner/world.h"

#include <sched.h>
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
	thaw_status status = thaw_comm_start(argc, argv, &world);

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

bool thaw_world_agreed(void)
{
	return agreed;
}

/* A number for the processors that this rank may use, and the host they are of. */
static double place(void)
{
	struct {
		char host[256];
		cpu_set_t processors;
	} place;

	memset(&place, 0, sizeof place);
	(void)gethostname(place.host, sizeof place.host - 1);
	(void)sched_getaffinity(0, sizeof place.processors, &place.processors);
	return 1.0 + thaw_crc32c(0, &place, sizeof place);
}

/* The processors this process could use if its launcher had not bound it. */
static int unbound_processors(void)
{
	cpu_set_t before, all;
	int count = thaw_processors();

	memset(&all, 0xff, sizeof all);
	if (sched_getaffinity(0, sizeof before, &before) == 0 && sched_setaffinity(0, sizeof all, &all) == 0) {
		count = thaw_processors();
		(void)sched_setaffinity(0, sizeof before, &before);
	}
	return count;
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
	if (size > 1 && count * thaw_comm_local_size(world) <= unbound_processors() / 2)
		thaw_warn("the %d ranks here use %d of the %d processors: mpirun --bind-to none gives them all",
		          thaw_comm_local_size(world), count * thaw_comm_local_size(world), unbound_processors());
	*threads_out = count;
	return THAW_OK;
}
