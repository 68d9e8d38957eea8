/*
 * What is allowed and yet looks wrong: a job seen together with the counts of its data.
 *
 *     crop          larger than the stored pictures, or less than half of them
 *     threads       more than the host has processors, over all its ranks
 *     factors       of 0 on the rate of a part, which then is computed in vain
 *     learning rate outside of what is usual for the optimizer (a table in jobs/warnings.c)
 *     warm-up       that ends with the epochs of its schedule, or would later
 *     batch         larger than the training split
 *     last batch    so small that a replica has a single picture
 *     frozen norms  whose statistics are those of random weights
 *     classes       fewer than 10 training pictures, no validation picture, or more than 10 times as many as another
 *                   class, with nothing in the job that weighs them alike
 *
 * Pure.
 */
#ifndef THAW_JOBS_WARNINGS_H
#define THAW_JOBS_WARNINGS_H

#include "base/text.h"
#include "jobs/job.h"

struct thaw_data_counts {
	int classes;
	const char *const *names;  /* (classes) */
	const int64_t *train, *val; /* (classes) pictures */
	int resize;                /* shorter edge of the stored pictures */
};

/* How many of the network's norms a phase trains, and how many it leaves. */
struct thaw_norm_counts {
	int trained, frozen;
};

/* Where the job would run. */
struct thaw_rank_counts {
	int replicas;   /* what the job's 0 has become */
	int ranks;      /* on this host */
	int processors; /* of this host, for all of them */
};

/* The usual learning rates of an optimizer with such a batch. false: none are known. */
bool thaw_usual_rates(const char *optimizer, int batch, double *low_out, double *high_out);

/* Appends a line for each, ended by '\n'. `norms`: (phases of the job). */
void thaw_job_add_warnings(const struct thaw_job *job, const struct thaw_data_counts *data,
                           const struct thaw_norm_counts *norms, const struct thaw_rank_counts *ranks,
                           struct thaw_text *lines);

#endif
