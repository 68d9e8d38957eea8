/*
 * What a run tells: the lines at its head, the table of epochs, metrics.csv and metrics.jsonl. log.txt gets the table;
 * standard output what runner/formats.h makes of the same.
 */
#ifndef THAW_RUNNER_RECORD_H
#define THAW_RUNNER_RECORD_H

#include "io/events.h"
#include "runner/evaluate.h"
#include "runner/setup.h"

/* One epoch. */
struct thaw_row {
	int epoch, phase;                  /* from 1 */
	const struct thaw_patterns *train; /* what the phase trains */
	double lr;                         /* at the epoch's first step */
	struct thaw_metrics train_metrics, val_metrics;
	struct thaw_metrics average_metrics; /* of the average's validation; count 0: the job has none */
	double seconds;                      /* training and validation */
	bool mixed;                          /* training pictures were: right was the label of the larger share */
	bool best, average_best;
};

/* The lines on ranks, data, model and phases, with warnings about what fits badly; then the table's head. `folder`
 * NULL: a measurement, without a table. */
thaw_status thaw_record_head(const struct thaw_setup *setup, const char *folder);

/* The same facts for forms that are no table. `resume`: the checkpoint that the run goes on from, or NULL. Rank 0
 * only. */
void thaw_record_begin(const struct thaw_setup *setup, const char *folder, const char *resume);

/* Cuts metrics.csv and metrics.jsonl in `folder` down to the rows of the first `epochs` epochs: what a run that goes on
 * from there will write again. THAW_FAILED when there are fewer. Rank 0 only. */
thaw_status thaw_record_cut(const char *folder, int epochs);

/* A line that says what changes as `phase` (from 0, not the first) begins. */
thaw_status thaw_record_phase(const struct thaw_setup *setup, int phase);

/* The epoch's line in the table, in `folder`/metrics.csv (with a head where there is none) and in metrics.jsonl. Rank
 * 0 only. */
thaw_status thaw_record_row(const struct thaw_setup *setup, const char *folder, const struct thaw_row *row);

/* The keys of metrics.jsonl, in an object. */
struct thaw_text;
void thaw_record_add_json(const struct thaw_job *job, const struct thaw_row *row, struct thaw_text *json);

/* The epoch's points in TensorBoard's curves. Rank 0 only. */
thaw_status thaw_record_curves(struct thaw_events *events, const struct thaw_row *row);

/* What a measurement found. */
struct thaw_speed;
void thaw_record_speed(const struct thaw_speed *speed);

/* What came out: which classes best.h5 takes for which, "best 0.9477 (145/153, 95% 0.90-0.97) at epoch 8, 1 min 52 s",
 * the same of the average (epoch 0: there is none), `merit` being what the best has of checkpoint.metric; what the curves say of the fit, what to do next. The time is that
 * of all epochs, whatever process trained them. Rank 0 only. */
void thaw_record_end(const struct thaw_setup *setup, const char *folder, const struct thaw_row *best, double merit,
                     const struct thaw_row *average);

/* All epochs of the run in `folder` were done before, or as many as early stopping allowed. Rank 0 only. */
void thaw_record_done(const char *folder, int epochs, bool early);

/* The run ends with a failure, or a stop. Rank 0 only. */
void thaw_record_broken(thaw_status status);

#endif
