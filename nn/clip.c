#include "nn/clip.h"

#include <assert.h>
#include <math.h>

enum {
	LANES = 16,    /* sums that run side by side: one waits for its own last addition only */
	PIECES = 64,   /* that a large parameter is cut into, whatever the number of threads */
	SMALL = 32768, /* numbers below which starting threads costs more than it saves */
};

static double squares(const float *g, int64_t count)
{
	double lanes[LANES] = {0}, sum = 0;
	int64_t i = 0;

	for (; i + LANES <= count; i += LANES)
		for (int k = 0; k < LANES; k++)
			lanes[k] += (double)g[i + k] * g[i + k];
	for (; i < count; i++)
		lanes[i % LANES] += (double)g[i] * g[i];
	for (int k = 0; k < LANES; k++)
		sum += lanes[k];
	return sum;
}

static double squares_in_pieces(const float *g, int64_t count, int threads)
{
	double pieces[PIECES], sum = 0;

	if (count <= SMALL)
		return squares(g, count);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (int k = 0; k < PIECES; k++) {
		int64_t begin = count * k / PIECES, end = count * (k + 1) / PIECES;

		pieces[k] = squares(g + begin, end - begin);
	}
	for (int k = 0; k < PIECES; k++)
		sum += pieces[k];
	return sum;
}

double thaw_gradients_norm(const struct thaw_net *net, const struct thaw_gradients *gradients, const bool *trains,
                           int threads)
{
	double sum = 0;

	for (int i = 0; i < thaw_net_params(net); i++) {
		const struct thaw_param *p = thaw_net_param(net, i);

		if (trains[i])
			sum += squares_in_pieces(gradients->values + p->offset, p->elems, threads);
	}
	return sqrt(sum);
}

int thaw_gradients_broken(const struct thaw_net *net, const struct thaw_gradients *gradients, const bool *trains)
{
	for (int i = 0; i < thaw_net_params(net); i++) {
		const struct thaw_param *p = thaw_net_param(net, i);

		if (trains[i] && !isfinite(squares(gradients->values + p->offset, p->elems)))
			return i;
	}
	return -1;
}

double thaw_clip_factor(double norm, double limit)
{
	double factor = limit / (norm + 1e-6);

	assert(factor > 0.0);
	return factor < 1.0 ? factor : 1.0;
}

thaw_status thaw_clip_check(double limit)
{
	if (!(limit > 0.0 && isfinite(limit)))
		return thaw_fail(THAW_BAD_JOB, "optimizer.clip: %g, allowed is above 0", limit);
	return THAW_OK;
}
