#include "base/verdict.h"

#include <math.h>

static const double bad = 0.5;          /* below half of the way from chance to perfect, an accuracy is bad */
static const double wide = 0.1;         /* gap between training and validation accuracy */
static const double rise = 1.1;         /* of the validation loss over its lowest */
static const double still_falls = 0.98; /* the last validation loss over that of two epochs before */

typedef double value_fn(const struct thaw_epoch *epoch);

static double train_loss(const struct thaw_epoch *epoch)
{
	return epoch->train.loss;
}

static double val_loss(const struct thaw_epoch *epoch)
{
	return epoch->val.loss;
}

static double accuracy_gap(const struct thaw_epoch *epoch)
{
	return thaw_accuracy(&epoch->train) - thaw_accuracy(&epoch->val);
}

/* Mean over epoch i and those of its neighbours that saw the same kind of pictures. */
static double smooth(const struct thaw_epoch *epochs, int count, int i, value_fn *value)
{
	double sum = 0;
	int from = i > 0 ? i - 1 : 0, to = i + 1 < count ? i + 1 : count - 1, summed = 0;

	for (int j = from; j <= to; j++)
		if (epochs[j].mixed == epochs[i].mixed) {
			sum += value(&epochs[j]);
			summed++;
		}
	return sum / summed;
}

/* The last that was the best when it was over. */
static int find_best(const struct thaw_epoch *epochs, int count)
{
	int best = 0;

	for (int i = 1; i < count; i++)
		if (epochs[i].best)
			best = i;
	return best;
}

/* Whether the training loss fell from epoch i to j. Losses of mixed pictures and of others cannot be compared: then it
 * may have. */
static bool may_have_fallen(const struct thaw_epoch *epochs, int count, int i, int j)
{
	return epochs[i].mixed != epochs[j].mixed ||
	       smooth(epochs, count, j, train_loss) < smooth(epochs, count, i, train_loss);
}

/* The epoch after the lowest validation loss, if it rose from there while the training loss went on falling; else 0. */
static int rises_since(const struct thaw_epoch *epochs, int count)
{
	int lowest = 0, last = count - 1;

	for (int i = 1; i < count; i++)
		if (smooth(epochs, count, i, val_loss) < smooth(epochs, count, lowest, val_loss))
			lowest = i;
	if (last - lowest >= 2 && smooth(epochs, count, last, val_loss) > rise * smooth(epochs, count, lowest, val_loss) &&
	    may_have_fallen(epochs, count, lowest, last))
		return epochs[lowest].epoch + 1;
	return 0;
}

/* Whether training is so much better that chance does not explain it: two standard errors of the validation share. */
static bool gap_is_wide(const struct thaw_epoch *epochs, int count, int i)
{
	double val = thaw_accuracy(&epochs[i].val), gap = smooth(epochs, count, i, accuracy_gap);

	return gap > wide && gap > 2 * sqrt(val * (1 - val) / (double)epochs[i].val.count);
}

/* The epoch from which the gap is wide to the end; 0 if it is not. */
static int wide_since(const struct thaw_epoch *epochs, int count)
{
	int since = 0;

	for (int i = count - 1; i >= 0 && gap_is_wide(epochs, count, i); i--)
		since = epochs[i].epoch;
	return since;
}

struct thaw_verdict thaw_verdict_of(const struct thaw_epoch *epochs, int count, int classes)
{
	double chance = classes > 0 ? 1.0 / classes : 0, limit = chance + bad * (1 - chance);
	struct thaw_verdict v = {.fit = THAW_FIT_UNKNOWN};
	const struct thaw_epoch *told;

	if (count == 0)
		return v;
	v.best = find_best(epochs, count);
	v.since = rises_since(epochs, count);
	if (v.since == 0)
		v.since = wide_since(epochs, count);
	told = v.since > 0 ? &epochs[count - 1] : &epochs[v.best];
	v.train = thaw_accuracy(&told->train);
	v.val = thaw_accuracy(&told->val);
	v.mixed = told->mixed;
	v.improving = count >= 3 && epochs[count - 1].val.loss < still_falls * epochs[count - 3].val.loss;
	if (v.since > 0)
		v.fit = THAW_FIT_OVER;
	else if (v.train < limit && v.val < limit)
		v.fit = v.mixed && !v.improving ? THAW_FIT_WEAK : THAW_FIT_UNDER;
	else
		v.fit = THAW_FIT_GOOD;
	return v;
}

void thaw_verdict_add_name(const struct thaw_verdict *verdict, struct thaw_text *text)
{
	static const char *const names[] = {"no epoch yet", "good", "underfitting", "overfitting", "weak"};

	thaw_text_add(text, "%s", names[verdict->fit]);
	if (verdict->fit == THAW_FIT_OVER)
		thaw_text_add(text, " since epoch %d", verdict->since);
}

void thaw_verdict_add_text(const struct thaw_verdict *verdict, struct thaw_text *text)
{
	thaw_verdict_add_name(verdict, text);
	if (verdict->fit == THAW_FIT_UNKNOWN)
		return;
	thaw_text_add(text, ": train %s%.3f, val %.3f", verdict->mixed ? "~" : "", verdict->train, verdict->val);
	if (verdict->fit == THAW_FIT_UNDER)
		thaw_text_add(text, ": train longer, a higher rate, unfreeze more");
	else if (verdict->fit == THAW_FIT_OVER)
		thaw_text_add(text, ": fewer epochs, more pictures or augmentation, weight decay, freeze more");
	else if (verdict->fit == THAW_FIT_WEAK)
		thaw_text_add(text, ": of mixed pictures, training does not tell why; less mixup and cutmix would");
	else if (verdict->improving)
		thaw_text_add(text, ", still improving at the end: more epochs may help");
}
