/*
 * Exact validation: every picture of the split once, whatever the number of ranks.
 *
 * The split is cut into fixed batches that are dealt out to the ranks; counts are summed as integers and losses batch
 * by batch in one order. A last batch is filled up with pictures that count for nothing. Where memory is short batches
 * are smaller, with a warning.
 */
#ifndef THAW_RUNNER_EVALUATE_H
#define THAW_RUNNER_EVALUATE_H

#include "base/metrics.h"
#include "io/predictions.h"
#include "runner/setup.h"

struct thaw_evaluator;

/* For the setup's val split; all ranks call it. */
thaw_status thaw_evaluator_new(struct thaw_setup *setup, struct thaw_evaluator **evaluator_out);
void thaw_evaluator_free(struct thaw_evaluator *evaluator); /* NULL is fine */

/* Calls `told` before each batch of this rank, with how many of its batches are done. */
typedef void thaw_evaluated_fn(void *context, int64_t done, int64_t batches);
void thaw_evaluator_watch(struct thaw_evaluator *evaluator, thaw_evaluated_fn *told, void *context);

/* Evaluates the setup's parameters as they are now; all ranks call it and get the same numbers, which mean nothing when
 * a stop was asked for on the way (runner/stop.h). */
thaw_status thaw_evaluate(struct thaw_evaluator *evaluator, struct thaw_metrics *metrics_out);

/* Bytes of the arena that an evaluation needs. */
size_t thaw_evaluator_arena(const struct thaw_evaluator *evaluator);

/* Seconds that an evaluation will take, from a few of its batches; all ranks call it and get the same. */
thaw_status thaw_evaluator_measure(struct thaw_evaluator *evaluator, double *seconds_out);

/* What the last evaluation said of each picture of the split, in their order (facts->count); on every rank the same. */
const struct thaw_prediction *thaw_evaluator_predictions(const struct thaw_evaluator *evaluator);

#endif
