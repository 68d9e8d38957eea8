/* thaw report: what run folders hold, as one page. */
#define _POSIX_C_SOURCE 200809L
#include "tools/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "tools/commands.h"

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* Something is missing that the page can do without. */
static void THAW_PRINTF(2, 3) note(struct thaw_report_run *run, const char *format, ...)
{
	va_list args;

	if (run->notes_count == THAW_REPORT_NOTES)
		return;
	va_start(args, format);
	vsnprintf(run->notes[run->notes_count++], THAW_WORDS, format, args);
	va_end(args);
}

static void release(struct thaw_report_run *run)
{
	free(run->job);
	thaw_history_release(&run->history);
	thaw_confusion_release(&run->confusion);
	thaw_predictions_release(&run->predictions);
	thaw_dataset_free(run->val);
}

static thaw_status gather_job(const char *path, struct thaw_report_run *run)
{
	thaw_status status;

	run->job = thaw_alloc(1, sizeof *run->job);
	if (!run->job)
		return THAW_OUT_OF_MEMORY;
	status = thaw_job_load(path, NULL, 0, run->job);
	if (status == THAW_BAD_JOB) { /* that of another version, or none */
		note(run, "no settings: %s", thaw_fail_text());
		free(run->job);
		run->job = NULL;
		return THAW_OK;
	}
	if (!status)
		run->name = run->job->name;
	return status;
}

/* Whether what was predicted is what the best epoch counted: a run may have been killed between the two files. */
static bool belongs_to_best(const struct thaw_report_run *run)
{
	const struct thaw_metrics *best = &run->history.epochs[run->verdict.best].val;

	return run->confusion.pictures == best->count && run->confusion.right == best->top1;
}

static thaw_status count_confusion(struct thaw_report_run *run)
{
	size_t count = (size_t)run->predictions.count;
	int32_t *labels = thaw_alloc(count, sizeof *labels), *predicted = thaw_alloc(count, sizeof *predicted);
	thaw_status status = labels && predicted ? THAW_OK : THAW_OUT_OF_MEMORY;

	for (size_t i = 0; i < count && !status; i++) {
		labels[i] = run->predictions.rows[i].label;
		predicted[i] = run->predictions.rows[i].predicted;
	}
	if (!status)
		status =
			thaw_confusion_init(labels, predicted, run->predictions.count, run->predictions.classes, &run->confusion);
	free(labels);
	free(predicted);
	return status;
}

/* Whether the open dataset has the pictures that were predicted, at their places. */
static bool has_predicted(const struct thaw_report_run *run)
{
	for (int64_t i = 0; i < run->predictions.count; i++) {
		int64_t index = run->predictions.rows[i].index;

		if (index >= thaw_dataset_facts(run->val)->count ||
		    strcmp(thaw_dataset_name(run->val, index), run->predictions.names[i]) != 0)
			return false;
	}
	return true;
}

static thaw_status gather_pictures(struct thaw_report_run *run)
{
	thaw_status status = thaw_dataset_open(run->job->data.val, "val", &run->val);

	if (status == THAW_OUT_OF_MEMORY)
		return status;
	if (status) {
		note(run, "no pictures of mistakes: %s", thaw_fail_text());
	} else if (!has_predicted(run)) {
		note(run, "no pictures of mistakes: '%s' holds others than were predicted", run->job->data.val);
		thaw_dataset_free(run->val);
		run->val = NULL;
	}
	return THAW_OK;
}

static thaw_status gather_predictions(const char *path, struct thaw_report_run *run)
{
	thaw_status status;

	if (run->history.count == 0)
		return THAW_OK;
	status = thaw_predictions_read(path, &run->predictions);
	if (status == THAW_FAILED) {
		note(run, "no confusion matrix: %s", thaw_fail_text());
		return THAW_OK;
	}
	if (!status)
		status = count_confusion(run);
	if (status)
		return status;
	if (!belongs_to_best(run))
		note(run, "'%s' belongs to another epoch than the best one of metrics.csv", path);
	return run->job ? gather_pictures(run) : THAW_OK;
}

static thaw_status gather(const char *folder, struct thaw_report_run *run)
{
	static const char *const files[] = {"job.yaml", "metrics.csv", "predictions.csv"};
	struct thaw_text paths[3] = {THAW_TEXT_EMPTY, THAW_TEXT_EMPTY, THAW_TEXT_EMPTY};
	thaw_status status = THAW_OK;

	for (int i = 0; i < 3; i++) {
		thaw_text_add(&paths[i], "%s/%s", folder, files[i]);
		status = status ? status : thaw_text_status(&paths[i]);
	}
	run->name = last_part(folder);
	if (!status && !thaw_file_exists(paths[0].data) && !thaw_file_exists(paths[1].data))
		status = thaw_fail(THAW_BAD_JOB, "'%s' is no run folder: it has no job.yaml", folder);
	if (!status)
		status = gather_job(paths[0].data, run);
	if (!status && thaw_file_exists(paths[1].data))
		status = thaw_history_read(paths[1].data, &run->history);
	run->verdict = thaw_verdict_of(run->history.epochs, run->history.count, 0, 0);
	if (!status)
		status = gather_predictions(paths[2].data, run);
	if (!status && run->predictions.count > 0) /* now the classes are known */
		run->verdict = thaw_verdict_of(run->history.epochs, run->history.count,
		                               run->val ? thaw_dataset_facts(run->val)->classes : run->predictions.classes,
		                               belongs_to_best(run) ? thaw_guessed_share(&run->confusion) : 0);
	if (run->job && run->history.count > 0)
		run->under_way = !thaw_job_done(run->job, run->history.count, run->history.epochs[run->verdict.best].epoch);
	for (int i = 0; i < 3; i++)
		thaw_text_release(&paths[i]);
	return status;
}

/* A page takes the place of a page, and of nothing else that has this name. */
static thaw_status check_out(const char *out)
{
	static const char mark[] = "<!DOCTYPE html>";
	char start[sizeof mark - 1] = "";
	struct stat info;
	FILE *file;

	if (lstat(out, &info) != 0)
		return THAW_OK;
	file = S_ISREG(info.st_mode) ? fopen(out, "rb") : NULL;
	if (file) {
		(void)!fread(start, 1, sizeof start, file);
		fclose(file);
	}
	if (memcmp(start, mark, sizeof start) == 0)
		return THAW_OK;
	return thaw_fail(THAW_BAD_JOB, "--out: '%s' is there already and is no HTML page: another name is needed", out);
}

static thaw_status report(const struct thaw_texts *folders, const char *out)
{
	struct thaw_report_run *runs = thaw_alloc((size_t)folders->count, sizeof *runs);
	struct thaw_text html = THAW_TEXT_EMPTY;
	thaw_status status = runs ? THAW_OK : THAW_OUT_OF_MEMORY;

	for (int i = 0; i < folders->count && !status; i++)
		status = gather(folders->text[i], &runs[i]);
	if (!status)
		status = thaw_report_page(runs, folders->count, &html);
	if (!status)
		status = thaw_file_publish(out, html.data, html.length);
	for (int i = 0; i < folders->count && !status; i++)
		for (int n = 0; n < runs[i].notes_count; n++)
			thaw_warn("%s: %s", folders->text[i], runs[i].notes[n]);
	if (!status)
		thaw_log("wrote '%s': %d run%s, %zu KiB", out, folders->count, thaw_plural(folders->count),
		         (html.length + 1023) / 1024);
	thaw_text_release(&html);
	for (int i = 0; i < folders->count && runs; i++)
		release(&runs[i]);
	free(runs);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	const char *out = "report.html";
	const struct thaw_option options[] = {
		{"out", 'o', THAW_OPTION_TEXT, &out, 0, 0, "FILE.html", "the page to write (report.html)"},
	};
	struct thaw_texts folders;
	bool help;
	thaw_status status = thaw_options_parse(self, options, 1, argc, argv, &folders, &help);

	if (status || help)
		return status;
	if (folders.count == 0)
		return thaw_fail(THAW_BAD_JOB, "thaw report: run folders are needed: thaw report runs/NAME");
	status = check_out(out);
	return status ? status : report(&folders, out);
}

const struct thaw_command thaw_command_report = {
	.name = "report",
	.summary = "curves, verdict and mistakes of runs, as one HTML page",
	.synopsis = "thaw report RUN... [options]",
	.notes =
		"From files alone, also while a run is under way. The page needs no network and no scripts; several runs are\n"
		"compared first. The pictures of mistakes come from the shards that the job names, seen from here.\n"
		"\n"
		"  thaw report runs/ants-vs-bees -o report.html\n"
		"  thaw report runs/* -o all.html",
	.run = run,
};
