#include "runner/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "comm/tree.h"
#include "runner/watchdog.h"

enum { BUCKETS = 4 };                        /* the trained numbers are cut into about this many */
static const int64_t small_bucket = 1 << 16; /* floats below which a bucket is not worth its messages */

struct bucket {
	int64_t begin, end; /* floats of the slab */
};

struct thaw_exchange {
	struct thaw_comm *comm;
	int replicas, first, count; /* this rank's share */
	int64_t param_elems, elems; /* floats of gradients, and with the statistics behind them */
	float **slabs;              /* (depth) -> (elems) */
	int depth, top;             /* slabs; the one the next replica writes to */
	int replica;                /* of this rank, that runs now: 0 .. count - 1 */
	struct bucket *buckets;     /* tail first; bucket 0 is the statistics */
	int buckets_count, begun;
};

void thaw_exchange_free(struct thaw_exchange *exchange)
{
	if (!exchange)
		return;
	for (int i = 0; exchange->slabs && i < exchange->depth; i++)
		thaw_free_slab(exchange->slabs[i]);
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
		e->slabs[i] = thaw_alloc_slab((size_t)e->elems * sizeof(float), "gradients");
		if (!e->slabs[i])
			return THAW_OUT_OF_MEMORY;
	}
	return THAW_OK;
}

thaw_status thaw_exchange_new(struct thaw_setup *setup, const bool *trains, struct thaw_exchange **exchange_out)
{
	struct thaw_exchange *e = thaw_alloc(1, sizeof *e);
	int64_t largest = 0;
	thaw_status status;

	if (!e)
		return THAW_OUT_OF_MEMORY;
	e->comm = setup->comm;
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
	if (!status)
		status = thaw_comm_sum_plan(setup->comm, setup->replicas, largest, e->buckets_count);
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

/* below += top, as often as the tree says after this replica, for one range of the slabs. */
static void fold(const struct thaw_exchange *e, struct bucket range)
{
	int folds = thaw_tree_folds(e->replicas, e->first, e->first + e->count, e->first + e->replica);

	for (int k = 0; k < folds; k++) {
		float *restrict below = e->slabs[e->top - k - 1];
		const float *restrict top = e->slabs[e->top - k];

		for (int64_t i = range.begin; i < range.end; i++)
			below[i] += top[i];
	}
}

/* Folds the bucket for the last time and begins its sum over the ranks. */
static thaw_status begin_bucket(struct thaw_exchange *e, struct bucket bucket)
{
	float *partials[THAW_FRONTIER];
	struct thaw_tree_node nodes[THAW_FRONTIER];
	int count = thaw_tree_frontier(e->replicas, e->first, e->first + e->count, nodes);

	fold(e, bucket);
	if (bucket.end == bucket.begin)
		return THAW_OK;
	for (int i = 0; i < count; i++)
		partials[i] = e->slabs[i] + bucket.begin;
	return thaw_comm_sum_begin(e->comm, (struct thaw_slice){partials, bucket.end - bucket.begin});
}

thaw_status thaw_exchange_ready(void *exchange, int64_t from)
{
	struct thaw_exchange *e = exchange;
	thaw_status status = THAW_OK;

	if (e->replica < e->count - 1)
		return THAW_OK;
	for (; e->begun < e->buckets_count && e->buckets[e->begun].begin >= from && !status; e->begun++)
		status = begin_bucket(e, e->buckets[e->begun]);
	return status ? status : thaw_comm_progress(e->comm);
}

thaw_status thaw_exchange_done(struct thaw_exchange *e, bool empty)
{
	int folds = thaw_tree_folds(e->replicas, e->first, e->first + e->count, e->first + e->replica);
	thaw_status status = THAW_OK;

	if (empty)
		memset(e->slabs[e->top], 0, (size_t)e->elems * sizeof(float));
	if (e->replica == e->count - 1) {
		status = thaw_exchange_ready(e, 0);
		e->top = e->replica = e->begun = 0;
		if (status)
			return status;
		thaw_watchdog_waits("the other ranks' gradients");
		status = thaw_comm_sum_end(e->comm);
		thaw_watchdog_waits(NULL);
		return status;
	}
	for (int i = 0; i < e->buckets_count; i++)
		fold(e, e->buckets[i]);
	e->top += 1 - folds;
	e->replica++;
	return THAW_OK;
}
