/*
 * What to train, from how many pictures the classes have.
 *
 *     weights      pictures of most classes   strategy
 *     random       any                        train everything: what is frozen would stay random
 *     pretrained   under 100                  feature extraction: the head alone
 *                  100 to 999                 partial fine-tuning: the last stages and the head
 *                  1000 and more              full fine-tuning: everything
 *
 * Few pictures cannot move many numbers without being learnt by heart, and the later a stage, the less of what it
 * learnt elsewhere applies (Yosinski et al., "How transferable are features in deep neural networks?", 2014). The
 * bounds are rules of thumb: whoever has time tries the neighbour too. "Most classes" is more than half of them, so
 * one rare class decides nothing; that is a matter of weights and sampling.
 *
 * Pure functions.
 */
#ifndef THAW_BASE_STRATEGY_H
#define THAW_BASE_STRATEGY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* How much of a network ever trains in a job. */
enum thaw_extent { THAW_TRAINS_HEAD, THAW_TRAINS_PART, THAW_TRAINS_ALL };

struct thaw_strategy {
	bool pretrained; /* the weights it is for */
	int64_t from;    /* pictures that most classes have at least */
	enum thaw_extent extent;
	const char *name; /* "feature extraction" */
	const char *keys; /* in a job file: "train: [fc]" */
	const char *why;
};

/* The strategy for `counts` (classes) training pictures of each class. `pretrained`: the network begins with weights
 * that were trained on other pictures, rather than with random ones. A constant of the table. */
const struct thaw_strategy *thaw_strategy_of(const int64_t *counts, int classes, bool pretrained);

/* Appends "train everything (train: all), but this job trains the head alone: the weights are random, ..."; or ", as
 * this job does: ...". */
void thaw_strategy_add_text(const struct thaw_strategy *strategy, enum thaw_extent chosen, struct thaw_text *text);

#endif
