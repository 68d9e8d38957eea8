/*
 * From the gradients of single replicas to the gradient of the global batch.
 *
 * A rank works its share of the replicas one after another, each into the slab on top of a small stack, and folds
 * them along the fixed tree of comm/tree.h. While the backward pass of its last replica goes on, finished tail slices
 * ("buckets") of the result are already summed over the ranks. One slab holds gradients and, behind them, batch
 * statistics.
 */
#ifndef THAW_RUNNER_EXCHANGE_H
#define THAW_RUNNER_EXCHANGE_H

#include "nn/plan.h"
#include "runner/setup.h"

struct thaw_exchange;

/* For one trained set; `trains` has a flag per parameter. All ranks call it, and agree on the way. */
thaw_status thaw_exchange_new(struct thaw_setup *setup, const bool *trains, struct thaw_exchange **exchange_out);
void thaw_exchange_free(struct thaw_exchange *exchange); /* NULL is fine */

/* This rank's replicas: first .. first + count - 1. */
int thaw_exchange_first(const struct thaw_exchange *exchange);
int thaw_exchange_count(const struct thaw_exchange *exchange);

/* Memory of this rank's slabs. */
size_t thaw_exchange_bytes(const struct thaw_exchange *exchange);

/* Where the next replica's forward and backward write. */
struct thaw_gradients thaw_exchange_slab(const struct thaw_exchange *exchange);

/* To be passed to thaw_plan_backward(): starts the sums of buckets that have become final, when this is the rank's
 * last replica. `context` is the exchange. */
thaw_status thaw_exchange_ready(void *exchange, int64_t from);

/* The replica's backward is done (`empty`: it had no pictures and wrote nothing). After the rank's last, waits for
 * all sums and sets the slab of the whole batch. */
thaw_status thaw_exchange_done(struct thaw_exchange *exchange, bool empty);

/* Instead of all this, where a device replays what was recorded of a replica: the next one comes. */
void thaw_exchange_pass(struct thaw_exchange *exchange);

/* The sum over all replicas, after the last thaw_exchange_done(); until the next replica begins. */
struct thaw_gradients thaw_exchange_sum(const struct thaw_exchange *exchange);

#endif
