#include "nn/lower.h"

#include <stdlib.h>

#include "base/mem.h"

/* What fusing looks at. */
struct lowering {
	const struct thaw_net *net;
	const bool *trains;
	bool frozen_batch_statistics;
	bool *gradient;                /* [value] */
	const struct thaw_op **reader; /* [value]: its reader when there is exactly one, else NULL */
	bool *fused;                   /* [operation]: part of a chain that began before */
	struct thaw_chain *ends;       /* [operation]: the chain that ends there; head NULL if none does */
};

static bool op_trains(const struct thaw_op *op, const bool *trains)
{
	for (int i = 0; trains && i < op->params; i++)
		if (trains[op->param + i])
			return true;
	return false;
}

bool thaw_uses_batch_statistics(const struct thaw_op *op, const bool *trains, bool always)
{
	return trains && (always || op_trains(op, trains));
}

static void find_gradients_and_readers(struct lowering *l)
{
	int ops = thaw_net_ops(l->net);

	for (int i = 0; i < ops; i++) {
		const struct thaw_op *op = thaw_net_op(l->net, i);

		l->gradient[op->out] = op_trains(op, l->trains);
		for (int k = 0; k < 2 && op->in[k] != THAW_NO_VALUE; k++)
			l->gradient[op->out] |= l->gradient[op->in[k]];
	}
	for (int i = 0; i < ops; i++) {
		const struct thaw_op *op = thaw_net_op(l->net, i);
		int readers = 0;

		for (int k = i + 1; k < ops; k++) {
			const struct thaw_op *later = thaw_net_op(l->net, k);

			if (later->in[0] != op->out && later->in[1] != op->out)
				continue;
			readers += 1 + (later->in[0] == later->in[1]);
			l->reader[op->out] = later;
		}
		if (readers != 1)
			l->reader[op->out] = NULL;
	}
}

/* The only reader of the chain's result, if it is of this kind and still free to be fused. */
static const struct thaw_op *next(const struct lowering *l, const struct thaw_chain *chain, enum thaw_op_kind kind)
{
	const struct thaw_op *op = l->reader[chain->out];

	return op && op->kind == kind && !l->fused[op->out] ? op : NULL;
}

static void fuse(struct lowering *l, struct thaw_chain *chain, const struct thaw_op *op)
{
	l->fused[op->out] = true;
	chain->out = op->out;
}

static void fuse_add(struct lowering *l, struct thaw_chain *chain)
{
	const struct thaw_op *add = next(l, chain, THAW_OP_ADD);

	if (!add)
		return;
	chain->residual = add->in[0] == chain->out ? add->in[1] : add->in[0];
	fuse(l, chain, add);
}

static void fuse_relu(struct lowering *l, struct thaw_chain *chain)
{
	const struct thaw_op *relu = next(l, chain, THAW_OP_RELU);

	if (!relu)
		return;
	chain->relu = true;
	fuse(l, chain, relu);
}

/* A convolution takes what follows only where no gradient passes: its backward is that of a bare convolution. */
static void fuse_behind_conv(struct lowering *l, struct thaw_chain *chain)
{
	const struct thaw_op *norm = next(l, chain, THAW_OP_BATCH_NORM), *add;

	if (l->gradient[chain->out])
		return;
	if (norm && !thaw_uses_batch_statistics(norm, l->trains, l->frozen_batch_statistics)) {
		chain->norm = norm;
		fuse(l, chain, norm);
	}
	add = next(l, chain, THAW_OP_ADD);
	if (add && !l->gradient[add->out])
		fuse_add(l, chain);
	fuse_relu(l, chain);
}

static void make_chain(struct lowering *l, const struct thaw_op *op)
{
	struct thaw_chain chain = {.head = op, .residual = THAW_NO_VALUE, .out = op->out};

	if (op->kind == THAW_OP_CONV)
		fuse_behind_conv(l, &chain);
	if (op->kind == THAW_OP_BATCH_NORM)
		fuse_add(l, &chain);
	if (op->kind == THAW_OP_ADD)
		chain.residual = op->in[1];
	if (op->kind == THAW_OP_BATCH_NORM || op->kind == THAW_OP_ADD)
		fuse_relu(l, &chain);
	l->ends[chain.out] = chain;
}

thaw_status thaw_lower(const struct thaw_net *net, const bool *trains, bool frozen_batch_statistics,
                       struct thaw_lowering *lowering_out)
{
	size_t ops = (size_t)thaw_net_ops(net);
	struct lowering l = {net, trains, frozen_batch_statistics, NULL, NULL, NULL, NULL};
	thaw_status status = THAW_OUT_OF_MEMORY;
	int count = 0;

	l.gradient = thaw_alloc(ops, sizeof *l.gradient);
	l.reader = thaw_alloc(ops, sizeof *l.reader);
	l.fused = thaw_alloc(ops, sizeof *l.fused);
	l.ends = thaw_alloc(ops, sizeof *l.ends);
	if (!l.gradient || !l.reader || !l.fused || !l.ends)
		goto free_arrays;
	find_gradients_and_readers(&l);
	for (size_t i = 0; i < ops; i++)
		if (!l.fused[i])
			make_chain(&l, thaw_net_op(net, (int)i));
	for (size_t i = 0; i < ops; i++)
		if (l.ends[i].head)
			l.ends[count++] = l.ends[i];
	*lowering_out = (struct thaw_lowering){l.ends, count, l.gradient};
	l.ends = NULL;
	l.gradient = NULL;
	status = THAW_OK;
free_arrays:
	free(l.gradient);
	free(l.reader);
	free(l.fused);
	free(l.ends);
	return status;
}

void thaw_lowering_release(struct thaw_lowering *lowering)
{
	free(lowering->chains);
	free(lowering->gradient);
	*lowering = (struct thaw_lowering){0};
}
