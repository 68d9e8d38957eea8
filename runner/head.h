/*
 * What stands at the head of a run, and of all that looks at one: ranks, data, model, phases; what fits badly.
 *
 * Lines are appended to a text, each ended by '\n', for thaw_log_lines().
 */
#ifndef THAW_RUNNER_HEAD_H
#define THAW_RUNNER_HEAD_H

#include "base/text.h"
#include "runner/setup.h"

/* "layer4 fc" */
const char *thaw_patterns_text(const struct thaw_patterns *patterns, char *text, size_t size);

/* "1-3", "4": the epochs of phase `phase` (from 0). */
const char *thaw_phase_epochs_text(const struct thaw_job *job, int phase, char text[32]);

/* "64 = 8 x 8", "32 = 7 x 4 or 5": the global batch, replicas, pictures of each. */
const char *thaw_batch_text(int batch, int replicas, char text[64]);

/* "12.3 s", "4 min 5 s", "3 h 20 min" */
const char *thaw_duration_text(double seconds, char text[48]);

/* Ranks and their device, data and normalisation, model; `where`: the run's folder, or what is done instead of one. */
void thaw_head_add(const struct thaw_setup *setup, const char *where, struct thaw_text *lines);

/* What trains in which epochs, in one line. */
thaw_status thaw_head_add_phases(const struct thaw_setup *setup, struct thaw_text *lines);

/* The strategy that the counts of pictures suggest (base/strategy.h), if the job has another, or with `always`. */
thaw_status thaw_head_add_advice(const struct thaw_setup *setup, bool always, struct thaw_text *lines);

/* Warns of what fits badly (jobs/warnings.h). */
thaw_status thaw_head_warn(const struct thaw_setup *setup);

#endif
