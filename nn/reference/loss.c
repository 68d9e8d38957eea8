/*
 * Softmax cross-entropy: p = exp(x) / sum exp(x), loss = -log p[label], d loss / dx = p - onehot(label).
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

static thaw_status forward(struct thaw_step *step)
{
	struct thaw_run *run = step->run;
	int classes = step->x->c;

	run->score = (struct thaw_score){0};
	for (int n = 0; n < step->x->n; n++) {
		const float *x = step->x->data + (size_t)n * (size_t)classes;
		double log_all = log_sum(x, classes);
		int label = run->labels[n];

		if (label >= 0) {
			int rank = rank_of(x, classes, label);

			run->score.loss += log_all - x[label];
			run->score.count++;
			run->score.top1 += rank < 1;
			run->score.top5 += rank < 5;
		}
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
		double log_all = log_sum(x, classes), scale = run->labels[n] < 0 ? 0 : run->gradient_scale;

		for (int c = 0; c < classes; c++)
			dx[c] = (float)((exp(x[c] - log_all) - (c == run->labels[n])) * scale);
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_reference_loss = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 1,
};
