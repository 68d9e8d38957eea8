/*
 * From operations to steps: what needs a gradient, and what is computed together.
 *
 * Pure: the same net and flags give the same chains. A chain is one operation and those fused behind it; it runs
 * where its last operation stood, when all that it reads has been made.
 */
#ifndef THAW_NN_LOWER_H
#define THAW_NN_LOWER_H

#include "nn/net.h"

struct thaw_chain {
	const struct thaw_op *head;
	const struct thaw_op *norm; /* folded into a convolution; NULL for none */
	thaw_value residual;        /* added to the result; THAW_NO_VALUE for none */
	bool relu;
	thaw_value out;
};

struct thaw_lowering {
	struct thaw_chain *chains; /* (count) in the order they run; owned */
	int count;
	bool *gradient;            /* [value]: something that trains feeds it; owned */
};

/* Whether the norm `op` uses the statistics of the batch: it trains, or `always` says that frozen ones do too. */
bool thaw_uses_batch_statistics(const struct thaw_op *op, const bool *trains, bool always);

/* `trains`: a flag per parameter; NULL: evaluation. */
thaw_status thaw_lower(const struct thaw_net *net, const bool *trains, bool frozen_batch_statistics,
                       struct thaw_lowering *lowering_out);
void thaw_lowering_release(struct thaw_lowering *lowering);

#endif
