/*
 * Batch norm over (rows, c): sums over rows, then one pass that applies them.
 *
 * A block sums 8 * THAW_LANES channels over its piece of the rows: a lane is eight channels, and the threads of all
 * lanes make a team that works a row at a time. What the teams have is added up in shared memory, what the blocks
 * have by the last of them, always in the same order: the same bits on every run.
 *
 * Sums of squares are of x minus the channel's first x, since sum(x^2) - sum(x)^2 / n loses what is small beside the
 * mean. Sums that a convolution made of its own results know no first x: norm_finish says what they lose.
 */
#include "nn/cuda/kernels/kernel.h"

enum { VALUES = 16 }; /* of a lane: two sums for each of eight channels */

/* This thread's part of a block's work. */
struct part {
	unsigned column, split;
	unsigned first;       /* eights of channels come before the column's */
	unsigned lanes, lane; /* of the column, one for each eight; this thread's */
	unsigned teams, team; /* team == teams: the thread is left over */
	unsigned piled;       /* of each value on the pile, in the end: some for each lane */
};

DEVICE struct part part_of(struct thaw_at at, struct thaw_grid grid)
{
	struct part p;

	p.column = at.block % (unsigned)grid.columns;
	p.split = at.block / (unsigned)grid.columns;
	p.first = p.column * THAW_LANES;
	p.lanes = (unsigned)grid.c / 8 - p.first;
	p.lanes = p.lanes < THAW_LANES ? p.lanes : THAW_LANES;
	p.lane = at.thread % p.lanes;
	p.teams = at.threads / p.lanes;
	p.team = at.thread / p.lanes;
	p.piled = at.threads / VALUES / p.lanes * p.lanes;
	p.piled = p.piled ? p.piled : p.teams * p.lanes;
	return p;
}

DEVICE int64_t begin_of(struct thaw_grid grid, unsigned split)
{
	return grid.rows * split / grid.splits;
}

/* The first row of this thread's team; none is left for a thread that is left over. */
DEVICE int64_t first_row(struct thaw_grid grid, struct part p)
{
	return p.team < p.teams ? begin_of(grid, p.split) + p.team : grid.rows;
}

/* The pile is (VALUES, THAW_BLOCK) of shared memory: what each thread has. When all have put theirs there, and teams are
 * many, each thread adds some of them up. */
DEVICE void gather(struct thaw_at at, struct part p, double *pile)
{
	unsigned all = p.teams * p.lanes, v = at.thread / p.piled;
	double sum = 0;

	BARRIER();
	if (p.piled == all)
		return;
	for (unsigned i = at.thread % p.piled; v < VALUES && i < all; i += p.piled)
		sum += pile[v * THAW_BLOCK + i];
	if (v < VALUES)
		pile[v * THAW_BLOCK + at.thread % p.piled] = sum;
	BARRIER();
}

/* The sum over the teams of value `v` of `lane`. */
DEVICE double team_sum(struct part p, const double *pile, unsigned v, unsigned lane)
{
	double sum = 0;

	for (unsigned i = lane; i < p.piled; i += p.lanes)
		sum += pile[v * THAW_BLOCK + i];
	return sum;
}

/* Writes the block's sums of what its threads have: partials (splits, 2, c). */
DEVICE void write_partials(struct thaw_at at, struct part p, const float mine[VALUES], double *pile, float *partials,
                           int c)
{
	for (int v = 0; v < VALUES; v++)
		pile[v * THAW_BLOCK + (int)at.thread] = (double)mine[v];
	gather(at, p, pile);
	for (unsigned i = at.thread; i < VALUES * p.lanes; i += at.threads) {
		unsigned v = i / p.lanes, lane = i % p.lanes;
		size_t channel = (size_t)(p.first + lane) * 8 + v % 8;

		partials[((size_t)p.split * 2 + v / 8) * (size_t)c + channel] = (float)team_sum(p, pile, v, lane);
	}
}

/* Gathers what all blocks of the column wrote: each team adds up some of the splits. Behind thaw_last_block(), where nobody
 * reads the pile of before any more. */
DEVICE void gather_partials(struct thaw_at at, struct part p, struct thaw_grid grid, const float *partials,
                            double *pile)
{
	size_t eight = p.first + p.lane;

	for (unsigned which = 0; which < 2; which++) {
		double mine[8] = {0};

		for (unsigned split = p.team; split < (unsigned)grid.splits && p.team < p.teams; split += p.teams) {
			float x[8];

			thaw_load8(THAW_FLOAT32, partials, ((size_t)split * 2 + which) * ((size_t)grid.c / 8) + eight, x);
			for (int k = 0; k < 8; k++)
				mine[k] += (double)x[k];
		}
		for (unsigned k = 0; k < 8; k++)
			pile[(which * 8 + k) * THAW_BLOCK + at.thread] = mine[k];
	}
	gather(at, p, pile);
}

/* Channel i of a parameter that has `channels` of them. */
DEVICE float channel_of(const float *parameter, size_t i, int channels)
{
	return i < (size_t)channels ? parameter[i] : 0.0f;
}

/* --- forward ----------------------------------------------------------------------------------------------------- */

DEVICE void keep(float *kept, size_t c, size_t i, double mean, double deviation, double gamma, double beta)
{
	kept[THAW_NORM_SCALE * c + i] = (float)(gamma * deviation);
	kept[THAW_NORM_SHIFT * c + i] = (float)(beta - mean * gamma * deviation);
	kept[THAW_NORM_MEAN * c + i] = (float)mean;
	kept[THAW_NORM_DEVIATION * c + i] = (float)deviation;
}

/* From the sums of x - x0 and its squares, wherever they come from: those of `a` are not read. */
DEVICE void finish_channel(const struct thaw_norm_finish_args *a, size_t i, double x0, double sum, double squares)
{
	const struct thaw_norm_channels *to = &a->to;
	double count = (double)a->rows, share = to->scalars->share;
	double mean = x0 + sum / count, variance = squares / count - sum / count * (sum / count);
	bool more = a->rows > 1;

	variance = variance < 0 ? 0 : variance;
	keep(to->kept, (size_t)a->c, i, mean, 1 / sqrt(variance + (double)a->epsilon),
	     (double)channel_of(to->gamma, i, a->channels), (double)channel_of(to->beta, i, a->channels));
	if (i >= (size_t)a->channels)
		return;
	to->batch_mean[i] = (float)(share * (more ? mean : (double)to->mean[i]));
	to->batch_variance[i] = (float)(share * (more ? variance * count / (count - 1) : (double)to->variance[i]));
}

DEVICE struct thaw_norm_finish_args finish_of(const struct thaw_norm_sums_args *a)
{
	struct thaw_norm_finish_args finish;

	finish.to = a->to;
	finish.sums = NULL;
	finish.rows = a->grid.rows;
	finish.c = a->grid.c;
	finish.channels = a->channels;
	finish.epsilon = a->epsilon;
	return finish;
}

DEVICE void sum_rows(enum thaw_number number, const struct thaw_norm_sums_args *a, struct part p, float sums[VALUES])
{
	size_t eights = (size_t)a->grid.c / 8, eight = p.first + p.lane;
	float x0[8];

	for (int v = 0; v < VALUES; v++)
		sums[v] = 0;
	thaw_load8(number, a->x, eight, x0);
	UNROLL(4)
	for (int64_t row = first_row(a->grid, p), end = begin_of(a->grid, p.split + 1); row < end; row += p.teams) {
		float x[8];

		thaw_load8(number, a->x, (size_t)row * eights + eight, x);
		for (int k = 0; k < 8; k++) {
			float off = x[k] - x0[k];

			sums[k] += off;
			sums[8 + k] += off * off;
		}
	}
}

DEVICE void norm_sums(enum thaw_number number, const struct thaw_norm_sums_args *a, struct thaw_at at, double *pile)
{
	const struct thaw_norm_finish_args finish = finish_of(a);
	struct part p = part_of(at, a->grid);
	float mine[VALUES];

	sum_rows(number, a, p, mine);
	write_partials(at, p, mine, pile, a->partials, a->grid.c);
	if (!thaw_last_block(at, &a->tickets[p.column], (unsigned)a->grid.splits))
		return;
	gather_partials(at, p, a->grid, a->partials, pile);
	for (unsigned i = at.thread; i < 8 * p.lanes; i += at.threads) {
		size_t channel = (size_t)p.first * 8 + i;

		finish_channel(&finish, channel, (double)thaw_load(number, a->x, channel), team_sum(p, pile, i % 8, i / 8),
		               team_sum(p, pile, 8 + i % 8, i / 8));
	}
}

KERNEL(norm_sums)
{
	SHARED double pile[VALUES * THAW_BLOCK];

	BY_NUMBER(a.number, norm_sums, &a, at, pile);
}

/*
 * An error of e in sums in float32, as a part of each, is one of e (1 + r^2) in the variance, r = |mean| / deviation:
 * sum(x^2) / n is (1 + r^2) times the variance, and what is subtracted takes none of its error away. Where the sums of
 * some thousand tiles are added up one after another, e is 4e-6 at most. At r = 30 that is 3.6e-3 of the variance and
 * 1.8e-3 of the deviation, four roundings to half; by then x itself, as a half, is up to 0.015 deviations off, 2^-11 of
 * 30 of them. Arithmetic in double adds nothing to that, and a variance that comes out below 0 is 0.
 */
KERNEL(norm_finish)
{
	size_t c = (size_t)a.c;

	for (size_t i = thaw_first(at); i < c; i += thaw_stride(at))
		finish_channel(&a, i, 0, (double)a.sums[i], (double)a.sums[c + i]);
}

KERNEL(norm_running)
{
	for (size_t i = thaw_first(at); i < (size_t)a.c; i += thaw_stride(at))
		keep(a.kept, (size_t)a.c, i, (double)channel_of(a.mean, i, a.channels),
		     1 / sqrt((double)(i < (size_t)a.channels ? a.variance[i] : 1.0f) + (double)a.epsilon),
		     (double)channel_of(a.gamma, i, a.channels), (double)channel_of(a.beta, i, a.channels));
}

/* What of row `which` of what is kept belongs to eight channels. */
DEVICE void load_kept(const float *kept, int which, size_t c, size_t eight, float x[8])
{
	thaw_load8(THAW_FLOAT32, kept + (size_t)which * c, eight, x);
}

DEVICE void norm_apply(enum thaw_number number, const struct thaw_norm_apply_args *a, struct thaw_at at)
{
	size_t c = (size_t)a->c, eights = c / 8, all = (size_t)a->rows * eights, first = thaw_first(at);
	float scale[8], shift[8];

	load_kept(a->kept, THAW_NORM_SCALE, c, first % eights, scale);
	load_kept(a->kept, THAW_NORM_SHIFT, c, first % eights, shift);
	for (size_t i = first; i < all; i += thaw_stride(at)) {
		float x[8], residual[8] = {0};
		unsigned above = 0;

		thaw_load8(number, a->x, i, x);
		if (a->residual)
			thaw_load8(number, a->residual, i, residual);
		for (int k = 0; k < 8; k++) {
			float y = x[k] * scale[k] + shift[k] + residual[k];

			above |= (unsigned)!(y <= 0) << k;
			x[k] = a->relu && y < 0 ? 0 : y;
		}
		thaw_store8(number, a->y, i, x);
		if (a->mask)
			a->mask[i] = (uint8_t)above;
	}
}

KERNEL(norm_apply)
{
	BY_NUMBER(a.number, norm_apply, &a, at);
}

/* --- backward ---------------------------------------------------------------------------------------------------- */

/* How gradients of eight channels come through the clamp. */
struct gate {
	enum thaw_clamp clamp;
	const uint8_t *mask;
	float scale[8], shift[8]; /* with THAW_CLAMP_X */
};

DEVICE void load_gate(struct gate *gate, const float *kept, size_t c, size_t eight)
{
	if (gate->clamp != THAW_CLAMP_X)
		return;
	load_kept(kept, THAW_NORM_SCALE, c, eight, gate->scale);
	load_kept(kept, THAW_NORM_SHIFT, c, eight, gate->shift);
}

/* Which of eight numbers the clamp let through, a bit each. */
DEVICE unsigned passed(const struct gate *gate, const float x[8])
{
	unsigned above = 0;

	for (int k = 0; k < 8; k++)
		above |= (unsigned)!(x[k] * gate->scale[k] + gate->shift[k] <= 0) << k;
	return above;
}

/* The gradient behind the clamp at the i-th eight. `x`: the numbers there, read with THAW_CLAMP_X alone. All is loaded
 * before anything is waited for. */
DEVICE void gradient_at(enum thaw_number number, const void *dy0, const void *dy1, const struct gate *gate, size_t i,
                        const float x[8], float g[8])
{
	unsigned above = gate->clamp == THAW_CLAMP_MASK ? gate->mask[i] : 255;
	float more[8] = {0};

	thaw_load8(number, dy0, i, g);
	if (dy1)
		thaw_load8(number, dy1, i, more);
	if (gate->clamp == THAW_CLAMP_X)
		above = passed(gate, x);
	for (int k = 0; k < 8; k++)
		g[k] = above >> k & 1 ? g[k] + more[k] : 0;
}

DEVICE void sum_gradients(enum thaw_number number, const struct thaw_norm_gradient_sums_args *a, struct part p,
                          float sums[VALUES])
{
	size_t c = (size_t)a->grid.c, eight = p.first + p.lane;
	struct gate gate = {a->clamp, a->mask, {0}, {0}};
	float mean[8];

	for (int v = 0; v < VALUES; v++)
		sums[v] = 0;
	load_kept(a->kept, THAW_NORM_MEAN, c, eight, mean);
	load_gate(&gate, a->kept, c, eight);
	for (int64_t row = first_row(a->grid, p), end = begin_of(a->grid, p.split + 1); row < end; row += p.teams) {
		size_t i = (size_t)row * (c / 8) + eight;
		float x[8] = {0}, g[8];

		if (a->x)
			thaw_load8(number, a->x, i, x);
		gradient_at(number, a->dy0, a->dy1, &gate, i, x, g);
		if (a->g)
			thaw_store8(number, a->g, i, g);
		for (int k = 0; k < 8; k++) {
			sums[k] += g[k];
			sums[8 + k] += g[k] * (x[k] - mean[k]);
		}
	}
}

/* From the sums of g and of g (x - mean). */
DEVICE void finish_gradient(const struct thaw_norm_gradient_sums_args *a, size_t i, double g, double gx)
{
	size_t c = (size_t)a->grid.c;
	double deviation = (double)a->kept[THAW_NORM_DEVIATION * c + i], count = (double)a->grid.rows;
	double scale = (double)a->kept[THAW_NORM_SCALE * c + i], gz = gx * deviation;

	a->kept[THAW_NORM_BY_X * c + i] = a->batch_statistics ? (float)(-scale * deviation * gz / count) : 0;
	a->kept[THAW_NORM_REST * c + i] = a->batch_statistics ? (float)(-scale * g / count) : 0;
	if (a->dgamma && i < (size_t)a->channels)
		a->dgamma[i] = (float)gz;
	if (a->dbeta && i < (size_t)a->channels)
		a->dbeta[i] = (float)g;
}

DEVICE void norm_gradient_sums(enum thaw_number number, const struct thaw_norm_gradient_sums_args *a, struct thaw_at at,
                               double *pile)
{
	struct part p = part_of(at, a->grid);
	float mine[VALUES];

	sum_gradients(number, a, p, mine);
	write_partials(at, p, mine, pile, a->partials, a->grid.c);
	if (!thaw_last_block(at, &a->tickets[p.column], (unsigned)a->grid.splits))
		return;
	gather_partials(at, p, a->grid, a->partials, pile);
	for (unsigned i = at.thread; i < 8 * p.lanes; i += at.threads)
		finish_gradient(a, (size_t)p.first * 8 + i, team_sum(p, pile, i % 8, i / 8),
		                team_sum(p, pile, 8 + i % 8, i / 8));
}

KERNEL(norm_gradient_sums)
{
	SHARED double pile[VALUES * THAW_BLOCK];

	BY_NUMBER(a.number, norm_gradient_sums, &a, at, pile);
}

/* dx = scale g + by_x (x - mean) + rest, of eight channels; the last two with statistics of the batch. */
struct slope {
	float by_x[8], mean[8], rest[8];
};

DEVICE void load_slope(struct slope *slope, const struct thaw_norm_gradient_args *a, size_t eight)
{
	size_t c = (size_t)a->c;

	load_kept(a->kept, THAW_NORM_BY_X, c, eight, slope->by_x);
	load_kept(a->kept, THAW_NORM_REST, c, eight, slope->rest);
	load_kept(a->kept, THAW_NORM_MEAN, c, eight, slope->mean);
}

DEVICE void norm_gradient(enum thaw_number number, const struct thaw_norm_gradient_args *a, struct thaw_at at)
{
	size_t c = (size_t)a->c, eights = c / 8, all = (size_t)a->rows * eights, first = thaw_first(at);
	struct gate gate = {a->clamp, a->mask, {0}, {0}};
	struct slope slope = {{0}, {0}, {0}};

	load_gate(&gate, a->kept, c, first % eights);
	load_kept(a->kept, THAW_NORM_SCALE, c, first % eights, gate.scale); /* whatever the clamp */
	if (a->batch_statistics)
		load_slope(&slope, a, first % eights);
	for (size_t i = first; i < all; i += thaw_stride(at)) {
		float x[8] = {0}, g[8];

		if (a->x)
			thaw_load8(number, a->x, i, x);
		gradient_at(number, a->dy0, a->dy1, &gate, i, x, g);
		if (a->g)
			thaw_store8(number, a->g, i, g);
		if (!a->dx)
			continue;
		for (int k = 0; k < 8; k++)
			g[k] = gate.scale[k] * g[k] +
			       (a->batch_statistics ? slope.by_x[k] * (x[k] - slope.mean[k]) + slope.rest[k] : 0);
		thaw_store8(number, a->dx, i, g);
	}
}

KERNEL(norm_gradient)
{
	BY_NUMBER(a.number, norm_gradient, &a, at);
}
