#include "base/strategy.h"

#include <stddef.h>

/* Of those for the same weights, the last that has enough pictures counts. */
static const struct thaw_strategy strategies[] = {
	{false, 0, THAW_TRAINS_ALL, "train everything", "train: all",
     "the weights are random, and what stays frozen stays random"},
	{true, 0, THAW_TRAINS_HEAD, "feature extraction", "train: [fc]", "few classes have 100 pictures"},
	{true, 100, THAW_TRAINS_PART, "partial fine-tuning", "train: [layer4, fc]",
     "most classes have 100 pictures or more, few 1000"},
	{true, 1000, THAW_TRAINS_ALL, "full fine-tuning", "train: all", "most classes have 1000 pictures or more"},
};

static const char *const extents[] = {"the head alone", "a part", "everything"};

/* Whether more than half of the classes have `from` pictures. */
static bool most_have(const int64_t *counts, int classes, int64_t from)
{
	int enough = 0;

	for (int c = 0; c < classes; c++)
		enough += counts[c] >= from;
	return enough > classes - enough;
}

const struct thaw_strategy *thaw_strategy_of(const int64_t *counts, int classes, bool pretrained)
{
	const struct thaw_strategy *found = NULL;

	for (size_t i = 0; i < sizeof strategies / sizeof *strategies; i++)
		if (strategies[i].pretrained == pretrained &&
		    (strategies[i].from == 0 || most_have(counts, classes, strategies[i].from)))
			found = &strategies[i];
	return found;
}

void thaw_strategy_add_text(const struct thaw_strategy *strategy, enum thaw_extent chosen, struct thaw_text *text)
{
	thaw_text_add(text, "%s (%s)", strategy->name, strategy->keys);
	if (chosen == strategy->extent)
		thaw_text_add(text, ", as this job does");
	else
		thaw_text_add(text, ", but this job trains %s", extents[chosen]);
	thaw_text_add(text, ": %s", strategy->why);
}
