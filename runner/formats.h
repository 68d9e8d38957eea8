/*
 * The forms in which a run tells of itself on standard output: `thaw train --format NAME`.
 *
 *     table    what log.txt has: a head, a row for each epoch, what came out
 *     classic  the lines of PyTorch's tutorials on training
 *     json     an object on each line, for programs (docs/formats.md)
 *     quiet    nothing
 *
 * Only this differs: log.txt has the table and the run folder its files whatever the form, warnings and failures stand
 * on standard error. A form is a row of functions, NULL where it says nothing; those of the table stay in
 * runner/record.c, since they write the log. All are called on rank 0 only.
 */
#ifndef THAW_RUNNER_FORMATS_H
#define THAW_RUNNER_FORMATS_H

#include "base/verdict.h"
#include "runner/record.h"
#include "runner/standing.h"

/* How a run ended that did what it was asked to. */
struct thaw_run_end {
	const char *folder;
	const struct thaw_row *best; /* epoch and val_metrics */
	const struct thaw_row *average; /* the same of the average; epoch 0: the job has none */
	const char *metric;          /* by which they are the best: "top1", */
	double merit;                /* and what the best has of it */
	int epochs;                  /* that were trained */
	double seconds;              /* of all epochs, whatever process trained them */
	const struct thaw_verdict *verdict;
};

/* Speed of a measured run. */
struct thaw_speed {
	int64_t steps;
	double first_step_seconds;     /* from the program's start to the end of the first step */
	double images_per_second;      /* of the steps after the first; NaN: there was none */
	double memory_mib;             /* the most that this rank used, */
	double gpu_memory_mib;         /* and what it holds of its GPU's; 0: there is none */
};

struct thaw_format {
	const char *name;
	bool shows_log;    /* the table: what the log gets is shown as well */
	bool shows_meter;  /* there are people who watch: the lines of base/meter.h */
	void (*begin)(const struct thaw_setup *setup, const char *folder, const char *resume);
	void (*phase)(int phase, const char *trained, int64_t parameters); /* phase from 1, not the first */
	void (*progress)(const struct thaw_standing *standing);            /* now and then, instead of the meter */
	void (*row)(const struct thaw_setup *setup, const struct thaw_row *row);
	void (*speed)(const struct thaw_speed *speed);
	void (*end)(const struct thaw_run_end *end);
	void (*done)(const char *folder, int epochs);                      /* there is nothing left to do */
	void (*broken)(thaw_status status, const char *words);             /* the run ends with a failure or a stop */
};

/* Takes the form of this name from now on; at first it is the table. THAW_BAD_JOB lists the names. */
thaw_status thaw_format_choose(const char *name);

const struct thaw_format *thaw_format(void);

#endif
