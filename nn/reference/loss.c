/*
 * Softmax cross-entropy: p = exp(x) / sum exp(x), loss = -sum t log p, d loss / dx = p sum t - t. The target t is 1 at
 * the label and 0 elsewhere, unless the run smooths, weights or mixes labels (nn/plan.h).
 *
 * The largest logit is subtracted before exp(), so that nothing overflows.
 */
#include <limits.h>
#include <math.h>

#include "nn/reference/reference.h"

static thaw_status prepare(struct thaw_step *step)
{
	if (step->x->block != 1)
		return thaw_fail(THAW_FAILED, "'%s' reads a blocked tensor", step->name);
	step->keeps_x = step->dx != NULL;
	return THAW_OK;
}

/* log sum exp(x) of one picture's logits (C). A NaN logit makes it NaN. */
static double log_sum(const float *x, int classes)
{
	double largest = x[0], sum = 0;

	for (int c = 1; c < classes; c++)
		if (x[c] > largest)
			largest = x[c];
	for (int c = 0; c < classes; c++)
		sum += exp(x[c] - largest);
	return largest + log(sum);
}

/* How many classes come before `label`: a larger logit, or an equal one of a smaller class. A NaN label comes last. */
static int rank_of(const float *x, int classes, int label)
{
	int rank = 0;

	for (int c = 0; c < classes; c++)
		rank += x[c] > x[label] || (x[c] == x[label] && c < label);
	return isnan(x[label]) ? INT_MAX : rank;
}

/* What picture n has of label c. */
static double part_of(const struct thaw_run *run, int n, int c)
{
	if (!run->mixed)
		return c == run->labels[n];
	return run->shares[n] * (c == run->labels[n]) + (1 - run->shares[n]) * (c == run->mixed[n]);
}

static double class_weight(const struct thaw_run *run, int c)
{
	return run->class_weights ? run->class_weights[c] : 1;
}

/* t of picture n at class c. */
static double target(const struct thaw_run *run, int classes, int n, int c)
{
	return class_weight(run, c) * ((1 - run->smoothing) * part_of(run, n, c) + run->smoothing / classes);
}

static void score_picture(struct thaw_run *run, const float *x, int classes, int n, double log_all)
{
	int rank = rank_of(x, classes, run->labels[n]);

	for (int c = 0; c < classes; c++) {
		double t = target(run, classes, n, c);

		if (t != 0) /* a logit of -infinity may be wanted by nobody */
			run->score.loss += t * (log_all - x[c]);
		run->score.weight += class_weight(run, c) * part_of(run, n, c);
	}
	run->score.count++;
	run->score.top1 += rank < 1;
	run->score.top5 += rank < 5;
}

static thaw_status forward(struct thaw_step *step)
{
	struct thaw_run *run = step->run;
	int classes = step->x->c;

	run->score = (struct thaw_score){0};
	for (int n = 0; n < step->x->n; n++) {
		const float *x = step->x->data + (size_t)n * (size_t)classes;
		double log_all = log_sum(x, classes);

		if (run->labels[n] >= 0)
			score_picture(run, x, classes, n, log_all);
		for (int c = 0; run->predictions && c < classes; c++)
			run->predictions[(size_t)n * (size_t)classes + (size_t)c] = (float)exp(x[c] - log_all);
	}
	return THAW_OK;
}

static thaw_status backward(struct thaw_step *step)
{
	const struct thaw_run *run = step->run;
	int classes = step->x->c;

	for (int n = 0; n < step->x->n; n++) {
		const float *x = step->x->data + (size_t)n * (size_t)classes;
		float *dx = step->dx->data + (size_t)n * (size_t)classes;
		double log_all = log_sum(x, classes), scale = run->labels[n] < 0 ? 0 : run->gradient_scale, all = 0;

		for (int c = 0; c < classes; c++)
			all += target(run, classes, n, c);
		for (int c = 0; c < classes; c++)
			dx[c] = (float)((exp(x[c] - log_all) * all - target(run, classes, n, c)) * scale);
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_reference_loss = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 1,
};
