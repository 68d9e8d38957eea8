/*
 * A report on runs as one HTML page without network or scripts: `thaw report`.
 *
 * tools/report.c gathers what the run folders hold; the others write it down, a section each. They only add text: a
 * failed allocation is told at the end.
 */
#ifndef THAW_TOOLS_REPORT_H
#define THAW_TOOLS_REPORT_H

#include "base/confusion.h"
#include "base/text.h"
#include "base/verdict.h"
#include "io/dataset.h"
#include "io/history.h"
#include "io/predictions.h"
#include "jobs/job.h"

enum { THAW_REPORT_NOTES = 4 };

/* What one run folder holds. */
struct thaw_report_run {
	const char *name;                    /* the job's, or the folder's */
	struct thaw_job *job;                /* NULL: job.yaml could not be read */
	struct thaw_history history;         /* no epochs where none is done */
	struct thaw_predictions predictions; /* of the best epoch; without rows where there are none */
	struct thaw_confusion confusion;     /* of those */
	struct thaw_dataset *val;            /* the validation pictures that were predicted; NULL: not to be had */
	struct thaw_verdict verdict;
	bool under_way;                      /* or stopped: epochs are left to do */
	int notes_count;                     /* what is missing, and why */
	char notes[THAW_REPORT_NOTES][THAW_WORDS];
};

/* The whole page. */
thaw_status thaw_report_page(const struct thaw_report_run *runs, int count, struct thaw_text *html);

/* Several runs beside each other: a table, best first, and their curves. */
thaw_status thaw_report_comparison(const struct thaw_report_run *runs, int count, struct thaw_text *html);

/* Confusion matrix or most frequent mistakes, the table of classes, the worst mistakes as pictures. */
thaw_status thaw_report_classes(const struct thaw_report_run *run, struct thaw_text *html);

/* The page's style sheet. */
extern const char thaw_report_style[];

/* "4 s", "2 min 14 s", "3 h 05 min" */
void thaw_report_duration(struct thaw_text *html, double seconds);

/* A cell of a table; `style` is its class, "" for none. */
void thaw_report_cell(struct thaw_text *html, const char *style, const char *format, ...) THAW_PRINTF(3, 4);

/* A cell of text from elsewhere. */
void thaw_report_text_cell(struct thaw_text *html, const char *style, const char *text);

#endif
