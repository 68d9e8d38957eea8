#define _GNU_SOURCE /* sched_getaffinity */
#include "runner/world.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/log.h"
#include "base/mem.h"

static struct thaw_comm *world;
static bool agreed;

thaw_status thaw_world_start(int *argc, char ***argv, struct thaw_comm **comm_out)
{
	thaw_status status = thaw_comm_start(argc, argv, &world);

	if (status)
		return status;
	thaw_log_mute(thaw_comm_rank(world) != 0);
	*comm_out = world;
	return THAW_OK;
}

struct thaw_comm *thaw_world(void)
{
	return world;
}

thaw_status thaw_world_agree(thaw_status mine)
{
	thaw_status worst, status = thaw_comm_agree(world, mine, &worst);

	if (status)
		return status;
	agreed = worst != THAW_OK;
	return worst;
}

bool thaw_world_agreed(void)
{
	return agreed;
}

thaw_status thaw_world_threads(int *threads_out)
{
	struct {
		char host[256];
		cpu_set_t processors;
	} place = {{0}, {{0}}};
	int size = thaw_comm_size(world), sharers = 0, count;
	double *places = thaw_alloc((size_t)size, sizeof *places), mine;
	thaw_status status;

	if (!places)
		return THAW_OUT_OF_MEMORY;
	(void)gethostname(place.host, sizeof place.host - 1);
	if (sched_getaffinity(0, sizeof place.processors, &place.processors) != 0)
		CPU_SET(0, &place.processors);
	mine = 1.0 + thaw_crc32c(0, &place, sizeof place);
	places[thaw_comm_rank(world)] = mine;
	status = thaw_comm_gather_double(world, places, size);
	for (int i = 0; i < size; i++)
		sharers += places[i] == mine;
	free(places);
	if (status)
		return status;
	count = CPU_COUNT(&place.processors) / (sharers > 0 ? sharers : 1);
	*threads_out = count > 0 ? count : 1;
	return THAW_OK;
}
