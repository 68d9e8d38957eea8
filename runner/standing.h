/*
 * Where a run stands, told while it goes on: a line for whoever watches (base/meter.h, or an object with --json) and
 * status.json in the run folder for other programs (docs/formats.md).
 *
 * The trainer keeps the numbers, and looks between two steps whether it is time to tell them: what costs something to
 * know is worked out only then. status.json is replaced whole, every few seconds and when the state changes, without
 * waiting for the disk. A run is worth more than its status: a file that cannot be written costs one warning. What
 * thaw_fail_text() says is afterwards what it was.
 */
#ifndef THAW_RUNNER_STANDING_H
#define THAW_RUNNER_STANDING_H

#include <stdint.h>

#include "base/meter.h"
#include "base/text.h"

enum thaw_state {
	THAW_STARTING, THAW_TRAINING, THAW_VALIDATING, THAW_CHECKPOINTING, THAW_STOPPED, THAW_FINISHED, THAW_BROKEN,
	THAW_STATES
};

struct thaw_standing {
	enum thaw_state state;
	int epoch, epochs;           /* the one under way, from 1; in all */
	int phase, phases;           /* from 1 */
	int64_t step, steps;         /* done in the epoch, or batches of this rank in its validation; in all */
	double loss;                 /* mean of the epoch so far, over rank 0's replicas; NaN: none yet */
	double images_per_second;    /* of all ranks in this epoch, or in its validation; NaN: not known yet */
	double epoch_left, run_left; /* seconds, at this speed, and validation with it; NaN */
	const char *metric;          /* what the best epoch is chosen by: "top1" */
	double best;                 /* its value */
	int best_epoch;              /* 0: none yet */

	/* The telling's own. */
	bool tells;                  /* rank 0 */
	const char *folder;          /* borrowed; NULL: without status.json */
	struct thaw_meter meter;
	double written;              /* thaw_clock_seconds() when status.json was */
	bool warned;
};

/* Begins to tell, with lines every `seconds` (0: none), and status.json in `folder` unless that is NULL. Rank 0 only;
 * on other ranks a standing stays zero, and the functions below do nothing. */
void thaw_standing_begin(struct thaw_standing *standing, const char *folder, double seconds);

/* Whether it is time to bring the numbers up to date and tell them. */
bool thaw_standing_due(const struct thaw_standing *standing);
void thaw_standing_tell(struct thaw_standing *standing);

/* From now on the run is at this; status.json says so at once. */
void thaw_standing_at(struct thaw_standing *standing, enum thaw_state state);

/* The same for the last state of a run that ends with `status`, with the words of its failure. */
void thaw_standing_end(struct thaw_standing *standing, thaw_status status);

/* status.json of a run that is over says so; one that was killed in its last words left that to the next start. Rank 0
 * only, of a standing whose numbers alone are set. */
void thaw_standing_settle(struct thaw_standing *standing, const char *folder);

/* The standing's keys in an object. */
void thaw_standing_add_json(const struct thaw_standing *standing, struct thaw_text *json);

#endif
