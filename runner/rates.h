/*
 * The learning rates of a whole job as a table: a row per epoch, a column per part of the network.
 *
 * Neighbouring stages and blocks that always have the same rate and train in the same phases share a column:
 * "conv1-layer2", "layer3", "fc"; "all" where the whole network does. A part that is frozen has "-".
 */
#ifndef THAW_RUNNER_RATES_H
#define THAW_RUNNER_RATES_H

#include "base/text.h"
#include "runner/trainer.h"

/* Appends the table, rates as they are at an epoch's first step, factors of optimizer.lr_scale included. `all`: every
 * epoch; otherwise the first and the last of each phase. */
thaw_status thaw_rates_add(const struct thaw_trainer *trainer, bool all, struct thaw_text *lines);

#endif
