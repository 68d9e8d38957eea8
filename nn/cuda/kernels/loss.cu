/*
 * Softmax cross-entropy, and what else the last layer needs. Logits are float32, what is made of them double: there
 * are few. As nn/reference/loss.c.
 */
#include "nn/cuda/kernels/kernel.h"

/* --- the target -------------------------------------------------------------------------------------------------- */

/* What changes the target of picture n. */
struct labels {
	const double *class_weights;
	int classes, label, mixed;
	double share, smoothing;
};

DEVICE struct labels labels_of(const struct thaw_targets *t, int n, int classes, double smoothing)
{
	struct labels l;

	l.class_weights = t->class_weights;
	l.classes = classes;
	l.label = t->labels[n];
	l.mixed = t->mixed ? t->mixed[n] : -1;
	l.share = t->mixed ? t->shares[n] : 1.0;
	l.smoothing = smoothing;
	return l;
}

DEVICE double part_of(struct labels l, int c)
{
	return l.share * (double)(c == l.label) + (1 - l.share) * (double)(c == l.mixed);
}

DEVICE double class_weight(struct labels l, int c)
{
	return l.class_weights ? l.class_weights[c] : 1.0;
}

DEVICE double target(struct labels l, int c)
{
	return class_weight(l, c) * ((1 - l.smoothing) * part_of(l, c) + l.smoothing / l.classes);
}

/* --- forward ----------------------------------------------------------------------------------------------------- */

/* log sum exp(x). A NaN logit makes it NaN. */
DEVICE double log_sum(struct thaw_at at, const float *x, int classes)
{
	float largest = x[0];
	double sum = 0;

	for (int c = (int)at.thread; c < classes; c += (int)at.threads)
		largest = x[c] > largest ? x[c] : largest;
	largest = thaw_block_max(at, largest);
	for (int c = (int)at.thread; c < classes; c += (int)at.threads)
		sum += exp((double)x[c] - (double)largest);
	return (double)largest + log(thaw_block_sum(at, sum));
}

/* What picture n adds to the score. */
DEVICE void score_picture(struct thaw_at at, const struct thaw_loss_args *a, const float *x, struct labels l,
                          double log_all, double *score)
{
	double loss = 0, weight = 0, before = 0;
	bool known = l.label >= 0, nan = known && x[l.label] != x[l.label];

	for (int c = (int)at.thread; known && c < a->classes; c += (int)at.threads) {
		double t = target(l, c);

		if (t != 0) /* a logit of -infinity may be wanted by nobody */
			loss += t * (log_all - (double)x[c]);
		weight += class_weight(l, c) * part_of(l, c);
		before += (double)(x[c] > x[l.label] || (x[c] == x[l.label] && c < l.label));
	}
	loss = thaw_block_sum(at, loss);
	weight = thaw_block_sum(at, weight);
	before = thaw_block_sum(at, before);
	if (at.thread > 0)
		return;
	score[THAW_SCORE_LOSS] = loss;
	score[THAW_SCORE_WEIGHT] = weight;
	score[THAW_SCORE_COUNT] = known;
	score[THAW_SCORE_TOP1] = known && !nan && before < 1;
	score[THAW_SCORE_TOP5] = known && !nan && before < 5;
}

KERNEL(loss)
{
	int n = (int)at.block;
	const float *x = a.targets.x + (size_t)n * (size_t)a.c;
	struct labels l = labels_of(&a.targets, n, a.classes, a.smoothing);
	double log_all = log_sum(at, x, a.classes);

	for (int c = (int)at.thread; a.predictions && c < a.classes; c += (int)at.threads)
		a.predictions[(size_t)n * (size_t)a.classes + (size_t)c] = (float)exp((double)x[c] - log_all);
	score_picture(at, &a, x, l, log_all, a.scores + (size_t)n * THAW_SCORES);
	if (at.thread == 0)
		a.log_sums[n] = log_all;
	if (!thaw_last_block(at, a.tickets, at.blocks))
		return;
	for (unsigned which = at.thread; which < THAW_SCORES; which += at.threads) {
		double sum = 0;

		for (int i = 0; i < a.n; i++)
			sum += a.scores[(size_t)i * THAW_SCORES + which];
		a.score[which] = sum;
	}
}

/* --- backward ---------------------------------------------------------------------------------------------------- */

KERNEL(loss_gradient)
{
	int n = (int)at.block;
	const float *x = a.targets.x + (size_t)n * (size_t)a.c;
	float *dx = a.dx + (size_t)n * (size_t)a.c;
	struct labels l = labels_of(&a.targets, n, a.classes, a.smoothing);
	double scale = l.label < 0 ? 0 : a.scalars->gradient_scale, all = 0;

	for (int c = (int)at.thread; c < a.classes; c += (int)at.threads)
		all += target(l, c);
	all = thaw_block_sum(at, all);
	for (int c = (int)at.thread; c < a.c; c += (int)at.threads)
		dx[c] = c < a.classes
		            ? (float)((exp((double)x[c] - a.log_sums[n]) * all - target(l, c)) * scale)
		            : 0;
}

/* --- the bias ---------------------------------------------------------------------------------------------------- */

KERNEL(add_bias)
{
	size_t c = (size_t)a.c, all = (size_t)a.rows * c;

	for (size_t i = thaw_first(at); i < all; i += thaw_stride(at))
		if (i % c < (size_t)a.channels)
			a.y[i] += a.bias[i % c];
}

/* A block for each channel. */
KERNEL(bias_gradient)
{
	double sum = 0;

	for (size_t row = at.thread; row < (size_t)a.rows; row += at.threads)
		sum += (double)thaw_load(a.number, a.dy, row * (size_t)a.c + at.block);
	sum = thaw_block_sum(at, sum);
	if (at.thread == 0)
		a.dbias[at.block] = (float)sum;
}
