#include "runner/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "comm/sums.h"
#include "comm/tree.h"
#include "runner/watchdog.h"
#include "runner/world.h"

enum { BUCKETS = 4 };                        /* the trained numbers are cut into about this many */
static const int64_t small_bucket = 1 << 16; /* floats below which a bucket is not worth its messages */

struct bucket {
	int64_t begin, end; /* floats of the slab */
};

struct thaw_exchange {
	struct thaw_sums *sums;
	struct thaw_device *device;
	int replicas, first, count; /* this rank's share */
	int64_t param_elems, elems; /* floats of gradients, and with the statistics behind them */
	float **slabs;              /* (depth) -> (elems) */
	int depth, top;             /* slabs; the one the next replica writes to */
	int replica;                /* of this rank, that runs now: 0 .. count - 1 */
	struct bucket *buckets;     /* tail first; bucket 0 is the statistics */
	int buckets_count, begun;
};

/* --- slabs, in the device's memory ------------------------------------------------------------------------------- */

static void free_slab(struct thaw_device *device, float *slab)
{
	if (device->backend->memory)
		device->backend->memory->release(device, slab);
	else
		thaw_free_slab(slab);
}

static thaw_status zero(const struct thaw_exchange *e, float *slab)
{
	size_t size_bytes = (size_t)e->elems * sizeof *slab;

	if (e->device->backend->memory)
		return e->device->backend->memory->zero(e->device, slab, size_bytes);
	memset(slab, 0, size_bytes);
	return THAW_OK;
}

/* All zeroes, as what lies between parameters stays. */
static thaw_status make_slab(const struct thaw_exchange *e, float **slab_out)
{
	static const char what[] = "gradients";
	const struct thaw_memory_ops *memory = e->device->backend->memory;
	size_t size_bytes = (size_t)e->elems * sizeof **slab_out;
	void *slab;
	thaw_status status;

	if (memory)
		status = memory->allocate(e->device, size_bytes, what, &slab);
	else
		status = (slab = thaw_alloc_slab(size_bytes, what)) ? THAW_OK : THAW_OUT_OF_MEMORY;
	if (status)
		return status;
	*slab_out = slab;
	return memory ? zero(e, slab) : THAW_OK;
}

static thaw_status add(const struct thaw_exchange *e, float *restrict below, const float *restrict top, int64_t count)
{
	if (e->device->backend->memory)
		return e->device->backend->memory->add(e->device, below, top, count);
	for (int64_t i = 0; i < count; i++)
		below[i] += top[i];
	return THAW_OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

void thaw_exchange_free(struct thaw_exchange *exchange)
{
	if (!exchange)
		return;
	for (int i = 0; exchange->slabs && i < exchange->depth; i++)
		free_slab(exchange->device, exchange->slabs[i]);
	free(exchange->slabs);
	free(exchange->buckets);
	free(exchange);
}

/* Trained parameters from the tail, cut where enough has come together or something frozen lies between. */
static thaw_status cut_buckets(struct thaw_exchange *e, const struct thaw_net *net, const bool *trains)
{
	int64_t target = thaw_net_count(net, trains) / BUCKETS;
	struct bucket *last = NULL;

	e->buckets = thaw_alloc((size_t)thaw_net_params(net) + 1, sizeof *e->buckets);
	if (!e->buckets)
		return THAW_OUT_OF_MEMORY;
	if (target < small_bucket)
		target = small_bucket;
	e->buckets[e->buckets_count++] = (struct bucket){e->param_elems, e->elems};
	for (int i = thaw_net_params(net) - 1; i >= 0; i--) {
		const struct thaw_param *p = thaw_net_param(net, i);
		int64_t end = p->offset + (p->elems + 15) / 16 * 16;

		if (!trains[i])
			continue;
		if (!last || last->begin != end || last->end - last->begin >= target) {
			last = &e->buckets[e->buckets_count++];
			*last = (struct bucket){p->offset, end};
		}
		last->begin = p->offset;
	}
	return THAW_OK;
}

static thaw_status allocate_slabs(struct thaw_exchange *e)
{
	e->depth = thaw_tree_depth(e->replicas, e->first, e->first + e->count);
	e->slabs = thaw_alloc((size_t)e->depth, sizeof *e->slabs);
	if (!e->slabs)
		return THAW_OUT_OF_MEMORY;
	for (int i = 0; i < e->depth; i++) {
		thaw_status status = make_slab(e, &e->slabs[i]);

		if (status)
			return status;
	}
	return THAW_OK;
}

thaw_status thaw_exchange_new(struct thaw_setup *setup, const bool *trains, struct thaw_exchange **exchange_out)
{
	struct thaw_exchange *e = thaw_alloc(1, sizeof *e);
	int64_t largest = 0;
	thaw_status status = thaw_world_agree(e ? THAW_OK : THAW_OUT_OF_MEMORY);

	if (status) {
		free(e);
		return status;
	}
	e->sums = setup->sums;
	e->device = setup->device;
	e->replicas = setup->replicas;
	e->count = setup->replicas / setup->ranks;
	e->first = setup->rank * e->count;
	e->param_elems = thaw_net_param_elems(setup->net);
	e->elems = e->param_elems + thaw_net_state_elems(setup->net);
	status = cut_buckets(e, setup->net, trains);
	if (!status)
		status = allocate_slabs(e);
	for (int i = 0; i < e->buckets_count; i++)
		if (e->buckets[i].end - e->buckets[i].begin > largest)
			largest = e->buckets[i].end - e->buckets[i].begin;
	status = thaw_world_agree(status); /* planning sums is for all */
	if (!status)
		status = thaw_sums_plan(setup->sums, setup->replicas, largest, e->buckets_count);
	if (status)
		thaw_exchange_free(e);
	else
		*exchange_out = e;
	return status;
}

int thaw_exchange_first(const struct thaw_exchange *exchange)
{
	return exchange->first;
}

int thaw_exchange_count(const struct thaw_exchange *exchange)
{
	return exchange->count;
}

size_t thaw_exchange_bytes(const struct thaw_exchange *exchange)
{
	return (size_t)exchange->depth * (size_t)exchange->elems * sizeof(float);
}

static struct thaw_gradients slab_at(const struct thaw_exchange *e, int i)
{
	return (struct thaw_gradients){.values = e->slabs[i], .states = e->slabs[i] + e->param_elems};
}

struct thaw_gradients thaw_exchange_slab(const struct thaw_exchange *exchange)
{
	return slab_at(exchange, exchange->top);
}

struct thaw_gradients thaw_exchange_sum(const struct thaw_exchange *exchange)
{
	return slab_at(exchange, 0);
}

/* How often the top of the stack is added to what is below it, after this replica. */
static int folds(const struct thaw_exchange *e)
{
	return thaw_tree_folds(e->replicas, e->first, e->first + e->count, e->first + e->replica);
}

/* Does so for one range of the slabs. */
static thaw_status fold(const struct thaw_exchange *e, struct bucket range)
{
	thaw_status status = THAW_OK;

	for (int k = 0; k < folds(e) && !status; k++)
		status = add(e, e->slabs[e->top - k - 1] + range.begin, e->slabs[e->top - k] + range.begin,
		             range.end - range.begin);
	return status;
}

/* Folds the bucket for the last time and begins its sum over the ranks. */
static thaw_status begin_bucket(struct thaw_exchange *e, struct bucket bucket)
{
	float *partials[THAW_FRONTIER];
	struct thaw_tree_node nodes[THAW_FRONTIER];
	int count = thaw_tree_frontier(e->replicas, e->first, e->first + e->count, nodes);
	thaw_status status = fold(e, bucket);

	if (status || bucket.end == bucket.begin)
		return status;
	for (int i = 0; i < count; i++)
		partials[i] = e->slabs[i] + bucket.begin;
	return thaw_sums_begin(e->sums, (struct thaw_slice){partials, bucket.end - bucket.begin});
}

thaw_status thaw_exchange_ready(void *exchange, int64_t from)
{
	struct thaw_exchange *e = exchange;
	thaw_status status = THAW_OK;

	if (e->replica < e->count - 1)
		return THAW_OK;
	for (; e->begun < e->buckets_count && e->buckets[e->begun].begin >= from && !status; e->begun++)
		status = begin_bucket(e, e->buckets[e->begun]);
	return status ? status : thaw_sums_progress(e->sums);
}

/* The next replica writes to the slab above what is left of the stack. */
void thaw_exchange_pass(struct thaw_exchange *e)
{
	if (e->replica == e->count - 1) {
		e->top = e->replica = e->begun = 0;
		return;
	}
	e->top += 1 - folds(e);
	e->replica++;
}

thaw_status thaw_exchange_done(struct thaw_exchange *e, bool empty)
{
	thaw_status status = empty ? zero(e, e->slabs[e->top]) : THAW_OK;

	if (!status && e->replica == e->count - 1) {
		status = thaw_exchange_ready(e, 0);
		thaw_watchdog_waits("the other ranks' gradients");
		if (!status)
			status = thaw_sums_end(e->sums);
		thaw_watchdog_waits(NULL);
	} else {
		for (int i = 0; i < e->buckets_count && !status; i++)
			status = fold(e, e->buckets[i]);
	}
	thaw_exchange_pass(e);
	return status;
}
