#define _POSIX_C_SOURCE 200809L
#include "runner/gpus.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "nn/device.h"
#include "runner/world.h"

_Static_assert(sizeof(struct thaw_gpu_view) % 8 == 0, "what thaw_world_gather() takes");

static thaw_status read_asked(int32_t *asked_out)
{
	const char *text = getenv("THAW_GPU");
	char *end;
	long number;

	*asked_out = -1;
	if (!text || !*text)
		return THAW_OK;
	number = strtol(text, &end, 10);
	if (*end || number < 0 || number >= THAW_GPUS)
		return thaw_fail(THAW_BAD_JOB, "THAW_GPU: '%s', allowed are whole numbers, 0 to %d", text, THAW_GPUS - 1);
	*asked_out = (int32_t)number;
	return THAW_OK;
}

thaw_status thaw_gpu_look_around(const char *device, struct thaw_gpu_view *view_out)
{
	struct thaw_gpu_view view = {.count = 0};
	struct thaw_found found;
	thaw_status status = read_asked(&view.asked);

	if (status)
		return status;
	(void)gethostname(view.host, sizeof view.host - 1);
	thaw_device_gpus(device, &found);
	view.count = found.gpus;
	memcpy(view.identity, found.identity, sizeof view.identity);
	*view_out = view;
	return THAW_OK;
}

/* --- dealing ----------------------------------------------------------------------------------------------------- */

static bool same_host(const struct thaw_gpu_view *a, const struct thaw_gpu_view *b)
{
	return strcmp(a->host, b->host) == 0;
}

/* Whether a rank before `rank` on its host has this GPU. */
static bool is_taken(const struct thaw_gpu_view *views, int rank, const int *gpus, uint32_t identity)
{
	for (int i = 0; i < rank; i++)
		if (gpus[i] >= 0 && gpus[i] < views[i].count && same_host(&views[i], &views[rank]) &&
		    views[i].identity[gpus[i]] == identity)
			return true;
	return false;
}

void thaw_gpus_deal(const struct thaw_gpu_view *views, int ranks, int *gpus_out)
{
	for (int rank = 0; rank < ranks; rank++) {
		gpus_out[rank] = views[rank].asked;
		for (int i = 0; i < views[rank].count && gpus_out[rank] < 0; i++)
			if (!is_taken(views, rank, gpus_out, views[rank].identity[i]))
				gpus_out[rank] = i;
	}
}

/* GPUs that the ranks of the host of `rank` see between them. */
static int count_gpus(const struct thaw_gpu_view *views, int ranks, int rank)
{
	int count = 0;

	for (int r = 0; r < ranks; r++)
		for (int i = 0; i < views[r].count && same_host(&views[r], &views[rank]); i++) {
			bool seen = false;

			for (int k = 0; k <= r && !seen; k++)
				for (int j = 0; j < (k < r ? views[k].count : i) && !seen; j++)
					seen = same_host(&views[k], &views[r]) && views[k].identity[j] == views[r].identity[i];
			count += !seen;
		}
	return count;
}

static thaw_status fail_too_many(const struct thaw_gpu_view *views, int ranks, int rank)
{
	int sharers = 0, count = count_gpus(views, ranks, rank);

	for (int i = 0; i < ranks; i++)
		sharers += same_host(&views[i], &views[rank]);
	return thaw_fail(THAW_FAILED,
	                 "%d ranks on host '%s', where they see %d GPU%s: start at most %d on a host, or set device: cpu",
	                 sharers, views[rank].host, count, count == 1 ? "" : "s", count);
}

thaw_status thaw_gpus_check(const struct thaw_gpu_view *views, int ranks, const int *gpus)
{
	int some = -1, none = -1;

	for (int rank = ranks - 1; rank >= 0; rank--)
		*(views[rank].count > 0 ? &some : &none) = rank;
	if (some < 0)
		return THAW_OK;
	if (none >= 0)
		return thaw_fail(THAW_FAILED, "rank %d on host '%s' sees no GPU, rank %d on '%s' sees %d: %s", none,
		                 views[none].host, some, views[some].host, views[some].count,
		                 "start ranks on hosts with GPUs alone, or set device: cpu");
	for (int rank = 0; rank < ranks; rank++) {
		if (gpus[rank] < 0)
			return fail_too_many(views, ranks, rank);
		if (gpus[rank] >= views[rank].count)
			return thaw_fail(THAW_BAD_JOB, "THAW_GPU: %d, but rank %d on host '%s' sees %d GPU%s: allowed are 0 to %d",
			                 gpus[rank], rank, views[rank].host, views[rank].count, views[rank].count == 1 ? "" : "s",
			                 views[rank].count - 1);
	}
	return THAW_OK;
}

/* --- choosing ---------------------------------------------------------------------------------------------------- */

thaw_status thaw_gpus_choose(const char *device, int *gpu_out)
{
	int ranks = thaw_comm_size(thaw_world()), rank = thaw_comm_rank(thaw_world());
	struct thaw_gpu_view mine, *views = thaw_alloc((size_t)ranks, sizeof *views);
	int *gpus = thaw_alloc((size_t)ranks, sizeof *gpus);
	thaw_status status = views && gpus ? thaw_gpu_look_around(device, &mine) : THAW_OUT_OF_MEMORY;

	status = thaw_world_agree(status);
	if (!status)
		status = thaw_world_gather(&mine, sizeof mine, views);
	if (!status) {
		thaw_gpus_deal(views, ranks, gpus);
		status = thaw_world_agree(thaw_gpus_check(views, ranks, gpus));
	}
	if (!status)
		*gpu_out = mine.count > 0 ? gpus[rank] : 0;
	free(views);
	free(gpus);
	return status;
}
