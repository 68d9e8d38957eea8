#include "base/verdict.h"

#include <math.h>

static const double bad = 0.5;          /* below half of the way from chance to perfect, an accuracy is bad */
static const double wide = 0.1;         /* gap between training and validation accuracy */
static const double rise = 1.1;         /* of the validation loss over its lowest */
static const double still_falls = 0.98; /* the last validation loss over that of two epochs before */
static const double wild = 2;           /* of a loss over that of guessing; random weights come to 1.7 */
static const double barely = 0.05;      /* of the way from guessing to perfect, a balanced accuracy tells nothing */
enum { NEAR = 2, TENTH = 10 };          /* so many of the last epochs, or such a part of them, are the end */

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

/* Whether the best epoch came so late that training on did no harm. */
static bool is_late(int best, int count)
{
	int after = count - 1 - best;

	return after < NEAR || after * TENTH < count;
}

/* Whether training is better than validation at the end; of mixed pictures it may be. */
static bool may_be_ahead(const struct thaw_epoch *epochs, int count)
{
	return epochs[count - 1].mixed || smooth(epochs, count, count - 1, accuracy_gap) > 0;
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
static bool is_wide(double gap, const struct thaw_epoch *epoch)
{
	double val = thaw_accuracy(&epoch->val);

	return gap > wide && gap > 2 * sqrt(val * (1 - val) / (double)epoch->val.count);
}

/* The epoch from which the gap is wide to the end; 0 if it is not. */
static int wide_since(const struct thaw_epoch *epochs, int count)
{
	int since = 0;

	for (int i = count - 1; i >= 0 && is_wide(smooth(epochs, count, i, accuracy_gap), &epochs[i]); i--)
		since = epochs[i].epoch;
	return since;
}

/* Whether both cost far more than guessing at the end: overfitting has a low training loss. */
static bool has_diverged(const struct thaw_epoch *epochs, int count, double guess)
{
	return !(smooth(epochs, count, count - 1, train_loss) <= wild * guess) &&
	       !(smooth(epochs, count, count - 1, val_loss) <= wild * guess);
}

/* In how many epochs validation costs far more than guessing. */
static int count_wild(const struct thaw_epoch *epochs, int count, double guess)
{
	int found = 0;

	for (int i = 0; i < count; i++)
		found += !(val_loss(&epochs[i]) <= wild * guess);
	return found;
}

static double most_loss(const struct thaw_epoch *epochs, int count)
{
	double most = 0;

	for (int i = 0; i < count; i++)
		most = fmax(most, fmax(epochs[i].train.loss, epochs[i].val.loss));
	return most;
}

double thaw_guessed_share(const struct thaw_confusion *confusion)
{
	int64_t most = 0;
	int present = 0;
	double chance;

	for (int c = 0; c < confusion->classes; c++) {
		present += confusion->of[c].pictures > 0;
		if (confusion->of[c].pictures > most)
			most = confusion->of[c].pictures;
	}
	if (present < 2 || confusion->right > most)
		return 0;
	chance = 1.0 / present;
	if (thaw_balanced_accuracy(confusion) > chance + barely * (1 - chance))
		return 0;
	return (double)most / (double)confusion->pictures;
}

/* From what comes first in the list of verdict.h to what comes last. */
static enum thaw_fit find_fit(const struct thaw_epoch *epochs, int count, double chance, const struct thaw_verdict *v)
{
	double limit = chance + bad * (1 - chance);
	const struct thaw_epoch *best = &epochs[v->best];
	bool is_bad = thaw_accuracy(&best->train) < limit && thaw_accuracy(&best->val) < limit,
		 late = is_late(v->best, count);

	if (v->guess > 0 && has_diverged(epochs, count, v->guess))
		return THAW_FIT_UNSTABLE;
	if (v->guessed > 0)
		return is_bad && 2 * v->wild >= count ? THAW_FIT_UNSTABLE : THAW_FIT_NOTHING;
	if (v->since > 0 && !late && may_be_ahead(epochs, count))
		return THAW_FIT_OVER;
	if (is_wide(accuracy_gap(best), best) || wide_since(epochs, count) > 0)
		return THAW_FIT_GAP;
	if (is_bad && 2 * v->wild >= count)
		return THAW_FIT_UNSTABLE;
	if (is_bad)
		return best->mixed && !v->improving ? THAW_FIT_WEAK : THAW_FIT_UNDER;
	return THAW_FIT_GOOD;
}

struct thaw_verdict thaw_verdict_of(const struct thaw_epoch *epochs, int count, int classes, double guessed)
{
	struct thaw_verdict v = {.fit = THAW_FIT_UNKNOWN, .guessed = guessed};
	const struct thaw_epoch *told;

	if (count == 0)
		return v;
	v.best = find_best(epochs, count);
	v.since = rises_since(epochs, count);
	if (v.since == 0)
		v.since = wide_since(epochs, count);
	v.guess = classes > 1 ? log(classes) : 0;
	v.wild = v.guess > 0 ? count_wild(epochs, count, v.guess) : 0;
	v.loss = most_loss(epochs, count);
	v.improving = count >= 3 && epochs[count - 1].val.loss < still_falls * epochs[count - 3].val.loss;
	v.fit = find_fit(epochs, count, classes > 0 ? 1.0 / classes : 0, &v);
	told = v.fit == THAW_FIT_OVER ? &epochs[count - 1] : &epochs[v.best];
	v.train = thaw_accuracy(&told->train);
	v.val = thaw_accuracy(&told->val);
	v.mixed = told->mixed;
	return v;
}

void thaw_verdict_add_name(const struct thaw_verdict *verdict, struct thaw_text *text)
{
	static const char *const names[] = {"no epoch yet", "good",     "underfitting",        "overfitting",
	                                    "weak",         "wide gap", "learned nothing yet", "unstable"};

	thaw_text_add(text, "%s", names[verdict->fit]);
	if (verdict->fit == THAW_FIT_OVER)
		thaw_text_add(text, " since epoch %d", verdict->since);
}

/* What follows the accuracies: what else speaks for it, and what would help. */
static void add_advice(const struct thaw_verdict *v, struct thaw_text *text)
{
	switch (v->fit) {
	case THAW_FIT_UNDER:
		thaw_text_add(text, ": train longer, %sunfreeze more", v->wild > 0 ? "" : "a higher rate, ");
		break;
	case THAW_FIT_OVER:
		thaw_text_add(text, ": fewer epochs, more pictures or augmentation, weight decay, freeze more");
		break;
	case THAW_FIT_WEAK:
		thaw_text_add(text, ": of mixed pictures, training does not tell why; less mixup and cutmix would");
		break;
	case THAW_FIT_GAP:
		thaw_text_add(text, ": more pictures or augmentation, weight decay, freeze more");
		break;
	case THAW_FIT_NOTHING:
		thaw_text_add(text, ", no better than the most frequent class alone, %.3f: train longer, another rate, %s",
		              v->guessed,
		              v->train - v->val > wide ? "more pictures, of rare classes above all" : "unfreeze more");
		break;
	case THAW_FIT_UNSTABLE:
		thaw_text_add(text, ", a loss up to %.3g where guessing costs %.3g: a lower rate, warm-up, clipping", v->loss,
		              v->guess);
		break;
	default:
		if (v->improving)
			thaw_text_add(text, ", still improving at the end: more epochs may help");
	}
}

void thaw_verdict_add_text(const struct thaw_verdict *verdict, struct thaw_text *text)
{
	thaw_verdict_add_name(verdict, text);
	if (verdict->fit == THAW_FIT_UNKNOWN)
		return;
	thaw_text_add(text, ": train %s%.3f, val %.3f", verdict->mixed ? "~" : "", verdict->train, verdict->val);
	add_advice(verdict, text);
}
