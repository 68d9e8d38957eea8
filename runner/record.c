#include "runner/record.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "base/text.h"
#include "base/verdict.h"
#include "io/history.h"
#include "runner/classes.h"
#include "runner/formats.h"
#include "runner/head.h"

/* Whether balanced accuracy is what an epoch is judged by, and so told. */
static bool by_balanced(const struct thaw_job *job)
{
	return strcmp(job->checkpoint.metric, "balanced") == 0;
}

/* Characters for what trains, in every row of the table. */
static int trained_width(const struct thaw_job *job)
{
	size_t width = 14;

	for (int i = 0; i < job->phases_count; i++) {
		char names[256];
		size_t length = strlen(thaw_patterns_text(&job->phases[i].train, names, sizeof names));

		if (length > width)
			width = length;
	}
	return (int)width;
}

static bool any_phase_mixes(const struct thaw_job *job)
{
	bool mixes = false;

	for (int i = 0; i < job->phases_count; i++)
		mixes |= thaw_recipe_mixes(&job->phases[i].recipe);
	return mixes;
}

thaw_status thaw_record_head(const struct thaw_setup *setup, const char *folder)
{
	struct thaw_text lines = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_head_add(setup, folder ? folder : "measuring", &lines);
	status = thaw_head_add_phases(setup, &lines);
	if (!status)
		status = thaw_head_add_advice(setup, false, &lines);
	if (!status)
		status = thaw_text_status(&lines);
	if (!status) {
		thaw_log_lines(lines.data);
		status = thaw_head_warn(setup);
		thaw_log("%s", "");
	}
	if (!status && folder)
		thaw_log("epoch  %-*s  lr        train loss  acc     val loss  acc     %s%s correct %s       s     img/s",
		         trained_width(setup->job), "trained", setup->facts->classes > 5 ? "top5   " : "",
		         by_balanced(setup->job) ? "balanced" : "",
		         setup->job->average.decay > 0 ? " average correct   " : "");
	if (!status && folder && any_phase_mixes(setup->job))
		thaw_log("%*s~ of mixed pictures: the label of the larger share counts as right",
		         30 + trained_width(setup->job), "");
	thaw_text_release(&lines);
	return status;
}

void thaw_record_begin(const struct thaw_setup *setup, const char *folder, const char *resume)
{
	if (thaw_format()->begin)
		thaw_format()->begin(setup, folder, resume);
}

/* Whether the parameter is one that begins to train. */
static bool is_new(const struct thaw_net *net, int i, const bool *before, const bool *now)
{
	return !thaw_role_is_state(thaw_net_param(net, i)->role) && now[i] && !before[i];
}

/* Whether nothing of the stage that parameter `of` belongs to trained before, and all of it does now. */
static bool whole_stage_new(const struct thaw_net *net, int of, const bool *before, const bool *now)
{
	for (int i = 0; i < thaw_net_params(net); i++)
		if (thaw_same_stage(thaw_net_param(net, i)->group, thaw_net_param(net, of)->group) &&
		    !thaw_role_is_state(thaw_net_param(net, i)->role) && !is_new(net, i, before, now))
			return false;
	return true;
}

/* Adds what trains in `now` but not in `before`: stages, and blocks of those that are not changed as a whole. */
static void add_new(struct thaw_text *text, const struct thaw_net *net, const bool *before, const bool *now)
{
	const char *last = "";

	for (int i = 0; i < thaw_net_params(net); i++) {
		const char *group = thaw_net_param(net, i)->group;
		bool whole;

		if (!is_new(net, i, before, now))
			continue;
		whole = whole_stage_new(net, i, before, now);
		if (whole ? thaw_same_stage(group, last) : strcmp(group, last) == 0)
			continue;
		thaw_text_add(text, "%s%.*s", text->length ? " " : "", whole ? thaw_stage_length(group) : (int)strlen(group),
		              group);
		last = group;
	}
}

thaw_status thaw_record_phase(const struct thaw_setup *setup, int phase)
{
	struct thaw_text thawed = THAW_TEXT_EMPTY, frozen = THAW_TEXT_EMPTY;
	bool *before, *now;
	char count[32], trained[256];
	thaw_status status = thaw_setup_select(setup, phase - 1, &before);

	if (status)
		return status;
	status = thaw_setup_select(setup, phase, &now);
	if (status)
		goto free_before;
	add_new(&thawed, setup->net, before, now);
	add_new(&frozen, setup->net, now, before);
	thaw_log("%s%s%s%s%s%s: %s parameters train", thawed.data, thawed.length ? " unfrozen" : "",
	         thawed.length && frozen.length ? ", " : "", frozen.data, frozen.length ? " frozen" : "",
	         thawed.length || frozen.length ? "" : "next phase",
	         thaw_count_text(thaw_net_count(setup->net, now), count));
	if (setup->rank == 0 && thaw_format()->phase)
		thaw_format()->phase(phase + 1, thaw_patterns_text(&setup->job->phases[phase].train, trained, sizeof trained),
		                     thaw_net_count(setup->net, now));
	thaw_text_release(&thawed);
	thaw_text_release(&frozen);
	free(now);
free_before:
	free(before);
	return status;
}

static double share(int64_t part, int64_t whole)
{
	return (double)part / (double)whole;
}

static double pictures_per_second(const struct thaw_row *row)
{
	return (double)(row->train_metrics.count + row->val_metrics.count + row->average_metrics.count) / row->seconds;
}

void thaw_record_add_json(const struct thaw_job *job, const struct thaw_row *row, struct thaw_text *json)
{
	const struct thaw_metrics *t = &row->train_metrics, *v = &row->val_metrics, *a = &row->average_metrics;
	char trained[256];

	thaw_json_integer(json, "epoch", row->epoch);
	thaw_json_integer(json, "phase", row->phase);
	thaw_json_text(json, "trained", thaw_patterns_text(row->train, trained, sizeof trained));
	thaw_json_number(json, "lr", row->lr);
	thaw_json_number(json, "train_loss", t->loss);
	thaw_json_integer(json, "train_correct", t->top1);
	thaw_json_integer(json, "train_count", t->count);
	thaw_json_bool(json, "train_mixed", row->mixed);
	thaw_json_number(json, "val_loss", v->loss);
	thaw_json_integer(json, "val_correct", v->top1);
	thaw_json_integer(json, "val_top5_correct", v->top5);
	thaw_json_integer(json, "val_count", v->count);
	thaw_json_fixed(json, "seconds", row->seconds, 3);
	thaw_json_fixed(json, "images_per_second", pictures_per_second(row), 1);
	thaw_json_bool(json, "best", row->best);
	if (by_balanced(job))
		thaw_json_fixed(json, "val_balanced", v->balanced, 6);
	if (job->average.decay > 0) {
		thaw_json_number(json, "average_loss", a->loss);
		thaw_json_fixed(json, "average_top1", share(a->top1, a->count), 6);
		thaw_json_integer(json, "average_correct", a->top1);
	}
	if (job->average.decay > 0 && by_balanced(job))
		thaw_json_fixed(json, "average_balanced", a->balanced, 6);
}

/* A row of metrics.csv; before the first one the head. Not every job has all columns. */
static void add_csv(const struct thaw_job *job, const struct thaw_row *row, const char *trained, struct thaw_text *line)
{
	const struct thaw_metrics *t = &row->train_metrics, *v = &row->val_metrics, *a = &row->average_metrics;

	if (row->epoch == 1)
		thaw_text_add(
			line,
			"epoch,phase,trained,lr,train_loss,train_top1,train_correct,train_count,val_loss,val_top1,val_top5,"
			"val_correct,val_count,seconds,images_per_second,train_mixed,best%s%s%s\n",
			by_balanced(job) ? ",val_balanced" : "",
			job->average.decay > 0 ? ",average_loss,average_top1,average_correct" : "",
			job->average.decay > 0 && by_balanced(job) ? ",average_balanced" : "");
	thaw_text_add(line, "%d,%d,%s,%.9g,%.9g,%.6f,%lld,%lld,%.9g,%.6f,%.6f,%lld,%lld,%.3f,%.1f,%d,%d", row->epoch,
	              row->phase, trained, row->lr, t->loss, share(t->top1, t->count), (long long)t->top1,
	              (long long)t->count, v->loss, share(v->top1, v->count), share(v->top5, v->count), (long long)v->top1,
	              (long long)v->count, row->seconds, pictures_per_second(row), row->mixed, row->best);
	if (by_balanced(job))
		thaw_text_add(line, ",%.6f", v->balanced);
	if (job->average.decay > 0)
		thaw_text_add(line, ",%.9g,%.6f,%lld", a->loss, share(a->top1, a->count), (long long)a->top1);
	if (job->average.decay > 0 && by_balanced(job))
		thaw_text_add(line, ",%.6f", a->balanced);
	thaw_text_add(line, "\n");
}

/* Appends a line to file `name`. */
static thaw_status append(const char *folder, const char *name, const struct thaw_text *line)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	thaw_status status = thaw_text_status(line);

	thaw_text_add(&path, "%s/%s", folder, name);
	if (!status)
		status = thaw_text_status(&path);
	if (!status)
		status = thaw_file_append(path.data, line->data, line->length);
	thaw_text_release(&path);
	return status;
}

static thaw_status append_files(const struct thaw_job *job, const struct thaw_row *row, const char *trained,
                                const char *folder)
{
	struct thaw_text line = THAW_TEXT_EMPTY;
	thaw_status status;

	add_csv(job, row, trained, &line);
	status = append(folder, "metrics.csv", &line);
	thaw_text_release(&line);
	thaw_json_open(&line, NULL, '{');
	thaw_record_add_json(job, row, &line);
	thaw_json_close(&line, '}');
	thaw_text_add(&line, "\n");
	if (!status)
		status = append(folder, "metrics.jsonl", &line);
	thaw_text_release(&line);
	return status;
}

/* Keeps the first `lines` lines of `name`. A file that is not there has none. */
static thaw_status cut_file(const char *folder, const char *name, int lines)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	char *bytes = NULL;
	size_t length = 0, keep = 0;
	int found = 0;
	thaw_status status;

	thaw_text_add(&path, "%s/%s", folder, name);
	status = thaw_text_status(&path);
	if (!status && thaw_file_exists(path.data))
		status = thaw_file_read(path.data, SIZE_MAX - 1, &bytes, &length);
	for (; !status && bytes && found < lines && memchr(bytes + keep, '\n', length - keep); found++)
		keep = (size_t)((char *)memchr(bytes + keep, '\n', length - keep) - bytes) + 1;
	if (!status && found < lines)
		status = thaw_fail(THAW_FAILED, "'%s' %s %d lines, the checkpoint belongs to %d: --fresh begins beside it",
		                   path.data, bytes ? "has" : "is gone, and with it its", bytes ? found : lines, lines);
	if (!status && keep < length)
		status = thaw_file_publish(path.data, bytes, keep);
	free(bytes);
	thaw_text_release(&path);
	return status;
}

thaw_status thaw_record_cut(const char *folder, int epochs)
{
	thaw_status status = cut_file(folder, "metrics.csv", epochs ? epochs + 1 : 0); /* with its head */

	return status ? status : cut_file(folder, "metrics.jsonl", epochs);
}

/* A loss in eight characters, also of a run that goes astray. */
static const char *loss_text(double loss, char text[16])
{
	snprintf(text, 16, loss < 1000 ? "%8.4f" : "%8.2e", loss);
	return text;
}

thaw_status thaw_record_row(const struct thaw_setup *setup, const char *folder, const struct thaw_row *row)
{
	const struct thaw_metrics *t = &row->train_metrics, *v = &row->val_metrics;
	const struct thaw_metrics *a = &row->average_metrics;
	char trained[256], correct[32], top5[16] = "", balanced[16] = "", average[48] = "", train_loss[16], val_loss[16];

	thaw_patterns_text(row->train, trained, sizeof trained);
	snprintf(correct, sizeof correct, "%lld/%lld", (long long)v->top1, (long long)v->count);
	if (setup->facts->classes > 5)
		snprintf(top5, sizeof top5, "  %.4f", share(v->top5, v->count));
	if (by_balanced(setup->job))
		snprintf(balanced, sizeof balanced, "  %.4f", v->balanced);
	if (a->count > 0) {
		char of_average[32];

		snprintf(of_average, sizeof of_average, "%lld/%lld", (long long)a->top1, (long long)a->count);
		snprintf(average, sizeof average, "  %.4f  %-9s", share(a->top1, a->count), of_average);
	}
	thaw_log("%5d  %-*s  %.2e    %s %s%.4f  %s  %.4f%s%s  %-9s%s %6.1f  %8.1f%s%s", row->epoch,
	         trained_width(setup->job), trained, row->lr, loss_text(t->loss, train_loss), row->mixed ? "~" : " ",
	         share(t->top1, t->count), loss_text(v->loss, val_loss), share(v->top1, v->count), top5, balanced, correct,
	         average, row->seconds, pictures_per_second(row), row->best ? "  best" : "",
	         row->average_best ? "  best average" : "");
	if (thaw_format()->row)
		thaw_format()->row(setup, row);
	return append_files(setup->job, row, trained, folder);
}

thaw_status thaw_record_curves(struct thaw_events *events, const struct thaw_row *row)
{
	double now = thaw_clock_wall_seconds();

	thaw_events_add(events, "loss/train", row->epoch, row->train_metrics.loss, now);
	thaw_events_add(events, "loss/val", row->epoch, row->val_metrics.loss, now);
	thaw_events_add(events, "accuracy/train", row->epoch, thaw_accuracy(&row->train_metrics), now);
	thaw_events_add(events, "accuracy/val", row->epoch, thaw_accuracy(&row->val_metrics), now);
	thaw_events_add(events, "lr", row->epoch, row->lr, now);
	if (row->average_metrics.count > 0) {
		thaw_events_add(events, "loss/average", row->epoch, row->average_metrics.loss, now);
		thaw_events_add(events, "accuracy/average", row->epoch, thaw_accuracy(&row->average_metrics), now);
	}
	return thaw_events_flush(events);
}

void thaw_record_speed(const struct thaw_speed *speed)
{
	char steps[80] = "", gpu[64] = "";

	if (!isnan(speed->images_per_second))
		snprintf(steps, sizeof steps, "  then %.2f img/s over %lld step%s", speed->images_per_second,
		         (long long)speed->steps - 1, thaw_plural(speed->steps - 1));
	if (speed->gpu_memory_mib > 0)
		snprintf(gpu, sizeof gpu, ", %.0f MiB of its GPU", speed->gpu_memory_mib);
	thaw_log("start to first step %.3f s%s  peak memory %.0f MiB a rank%s", speed->first_step_seconds, steps,
	         speed->memory_mib, gpu);
	if (thaw_format()->speed)
		thaw_format()->speed(speed);
}

/* What the rows of all epochs say: the verdict, how many there are, and how long they took. */
static thaw_status sum_up(const char *folder, int classes, double guessed, struct thaw_run_end *end,
                          struct thaw_verdict *verdict_out)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	struct thaw_history history = {0};
	thaw_status status;

	thaw_text_add(&path, "%s/metrics.csv", folder);
	status = thaw_text_status(&path);
	if (!status)
		status = thaw_history_read(path.data, &history);
	if (!status) {
		*verdict_out = thaw_verdict_of(history.epochs, history.count, classes, guessed);
		end->epochs = history.count;
		for (int i = 0; i < history.count; i++)
			end->seconds += history.epochs[i].seconds;
	}
	thaw_history_release(&history);
	thaw_text_release(&path);
	return status;
}

/* Which classes best.h5 takes for which. Returns thaw_guessed_share of them. */
static double tell_classes(const struct thaw_setup *setup, const char *folder)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	double guessed = 0;
	thaw_status status;

	thaw_log("%s", "");
	thaw_log("validation of best.h5:");
	thaw_text_add(&path, "%s/predictions.csv", folder);
	status = thaw_text_status(&path);
	if (!status)
		status = thaw_classes_tell_file(setup, path.data, &guessed);
	if (status)
		thaw_warn("%s", thaw_fail_text());
	thaw_text_release(&path);
	return guessed;
}

/* ", balanced 0.6078": what it is the best by, if that is not the accuracy itself. */
static const char *metric_text(const struct thaw_job *job, const struct thaw_metrics *metrics, char text[48])
{
	const char *metric = job->checkpoint.metric;

	text[0] = '\0';
	if (strcmp(metric, "balanced") == 0)
		snprintf(text, 48, ", balanced %.4f", metrics->balanced);
	else if (strcmp(metric, "loss") == 0)
		snprintf(text, 48, ", loss %.4g", metrics->loss);
	else if (strcmp(metric, "top5") == 0)
		snprintf(text, 48, ", top5 %.4f", share(metrics->top5, metrics->count));
	return text;
}

static void tell_average(const struct thaw_job *job, const struct thaw_row *average)
{
	char metric[48];
	const struct thaw_metrics *v = &average->val_metrics;
	const struct thaw_interval interval = thaw_wilson(v->top1, v->count);

	thaw_log("average %.4f (%lld/%lld, 95%% %.2f-%.2f)%s at epoch %d", thaw_accuracy(v), (long long)v->top1,
	         (long long)v->count, interval.low, interval.high, metric_text(job, v, metric), average->epoch);
}

/* The names of those results that are there: a checkpoint may have been removed. */
static void add_results(const char *folder, struct thaw_text *files)
{
	static const char *const names[] = {"best.h5",       "best-average.h5", "last.h5", "metrics.csv",
	                                    "metrics.jsonl", "predictions.csv", "job.yaml", "log.txt"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct thaw_text path = THAW_TEXT_EMPTY;

		thaw_text_add(&path, "%s/%s", folder, names[i]);
		if (thaw_text_status(&path) == THAW_OK && thaw_file_exists(path.data))
			thaw_text_add(files, " %s", names[i]);
		thaw_text_release(&path);
	}
}

void thaw_record_end(const struct thaw_setup *setup, const char *folder, const struct thaw_row *best, double merit,
                     const struct thaw_row *average)
{
	const struct thaw_metrics *v = &best->val_metrics;
	const struct thaw_interval interval = thaw_wilson(v->top1, v->count);
	struct thaw_verdict verdict = {.fit = THAW_FIT_UNKNOWN};
	struct thaw_run_end end = {
		.folder = folder,
		.best = best,
		.average = average,
		.metric = setup->job->checkpoint.metric,
		.merit = merit,
		.verdict = &verdict,
	};
	struct thaw_text fit = THAW_TEXT_EMPTY, files = THAW_TEXT_EMPTY;
	double guessed = tell_classes(setup, folder);
	char time[48], metric[48];

	if (sum_up(folder, setup->facts->classes, guessed, &end, &verdict) != THAW_OK)
		thaw_warn("%s", thaw_fail_text());
	thaw_verdict_add_text(&verdict, &fit);
	thaw_log("%s", "");
	thaw_log("best    %.4f (%lld/%lld, 95%% %.2f-%.2f)%s at epoch %d, %s", thaw_accuracy(v), (long long)v->top1,
	         (long long)v->count, interval.low, interval.high, metric_text(setup->job, v, metric), best->epoch,
	         thaw_duration_text(end.seconds, time));
	if (average->epoch > 0)
		tell_average(setup->job, average);
	thaw_log("fit     %s", fit.data);
	add_results(folder, &files);
	thaw_log("result  %s:%s, TensorBoard's events", folder, files.data);
	if (strstr(files.data, " best.h5"))
		thaw_log("next    thaw eval %s/job.yaml --checkpoint %s/best.h5", folder, folder);
	thaw_log("%s  thaw report %s -o report.html", strstr(files.data, " best.h5") ? "      " : "next  ", folder);
	if (thaw_format()->end)
		thaw_format()->end(&end);
	thaw_text_release(&files);
	thaw_text_release(&fit);
}

void thaw_record_done(const char *folder, int epochs, bool early)
{
	thaw_log("'%s' is finished, %s %d epochs: --fresh begins beside it", folder, early ? "early, after" : "all", epochs);
	if (thaw_format()->done)
		thaw_format()->done(folder, epochs);
}

void thaw_record_broken(thaw_status status)
{
	if (thaw_format()->broken)
		thaw_format()->broken(status, thaw_fail_text());
}
