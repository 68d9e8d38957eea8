/* Several runs beside each other. */
#include "tools/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "jobs/schema.h"
#include "tools/html.h"
#include "tools/plot.h"

enum {
	WIDTH = 540, HEIGHT = 320, /* of plots, pixels */
	COLOURS = 8,               /* so many runs have one, the best; the others are grey and without name */
	SETTINGS = 8,              /* columns of settings that differ, at most */
};

/* A run in the order of the comparison. */
struct ranked {
	const struct thaw_report_run *run;
	int number;          /* of its section */
	double *epochs, *accuracy, *loss; /* (history.count) of one block */
};

static const struct thaw_epoch *best_of(const struct thaw_report_run *run)
{
	return run->history.count > 0 ? &run->history.epochs[run->verdict.best] : NULL;
}

/* The larger best accuracy, the lower loss of that epoch, the order they were given in. Runs without an epoch last. */
static int compare_runs(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	const struct thaw_epoch *e = best_of(x->run), *f = best_of(y->run);
	double p = e ? thaw_accuracy(&e->val) : -1, q = f ? thaw_accuracy(&f->val) : -1;

	if (p != q)
		return p > q ? -1 : 1;
	if (e && f && e->val.loss != f->val.loss)
		return e->val.loss < f->val.loss ? -1 : 1;
	return x->number - y->number;
}

/* --- settings that differ ---------------------------------------------------------------------------------------- */

/* A setting as one line: "0.01"; of phases what each trains for how long, "3 fc, 6 layer4 fc". */
static void add_setting(struct thaw_text *text, const struct thaw_key *key, const struct thaw_job *job)
{
	if (!key->type->block) {
		key->type->print(key, job, text);
		return;
	}
	for (int i = 0; i < job->phases_count; i++) {
		const struct thaw_phase *phase = &job->phases[i];

		thaw_text_add(text, "%s%d", i ? ", " : "", phase->epochs);
		for (int p = 0; p < phase->train.count; p++)
			thaw_text_add(text, " %s", phase->train.text[p]);
		if (phase->recipe.lr != job->recipe.lr)
			thaw_text_add(text, " at %g", phase->recipe.lr);
	}
}

static bool differs(const struct thaw_key *key, const struct ranked *ranked, int count)
{
	struct thaw_text first = THAW_TEXT_EMPTY;
	bool has_first = false, found = false;

	for (int i = 0; i < count && !found; i++) {
		struct thaw_text other = THAW_TEXT_EMPTY;

		if (!ranked[i].run->job)
			continue;
		add_setting(has_first ? &other : &first, key, ranked[i].run->job);
		found = has_first && strcmp(first.data, other.data) != 0;
		has_first = true;
		thaw_text_release(&other);
	}
	thaw_text_release(&first);
	return found;
}

/* The keys, other than names, that are not the same for all. Returns how many. */
static int find_settings(const struct ranked *ranked, int count, const struct thaw_key *settings_out[SETTINGS])
{
	int found = 0;

	for (int i = 0; i < thaw_job_schema.count && found < SETTINGS; i++) {
		const struct thaw_key *key = &thaw_job_schema.keys[i];

		if (strcmp(key->path, "name") != 0 && strcmp(key->path, "runs") != 0 && differs(key, ranked, count))
			settings_out[found++] = key;
	}
	return found;
}

/* --- table ------------------------------------------------------------------------------------------------------- */

static void add_result(struct thaw_text *html, const struct thaw_report_run *run)
{
	const struct thaw_epoch *best = best_of(run);
	struct thaw_text verdict = THAW_TEXT_EMPTY;
	double seconds = 0;

	for (int i = 0; i < run->history.count; i++)
		seconds += run->history.epochs[i].seconds;
	if (!best) {
		thaw_text_add(html, "<td class=\"none\" colspan=\"6\">no epoch yet</td>");
		return;
	}
	thaw_report_cell(html, "", "%.4f", thaw_accuracy(&best->val));
	thaw_report_cell(html, "", "%lld/%lld", (long long)best->val.top1, (long long)best->val.count);
	thaw_report_cell(html, "", "%.4g", best->val.loss);
	thaw_report_cell(html, "", "%d of %d", best->epoch, run->history.epochs[run->history.count - 1].epoch);
	thaw_text_add(html, "<td>");
	thaw_report_duration(html, seconds);
	thaw_text_add(html, "</td>");
	if (run->under_way)
		thaw_text_add(&verdict, "%d of %d epochs: ", run->history.count, run->job->epochs);
	thaw_verdict_add_name(&run->verdict, &verdict);
	thaw_report_text_cell(html, "text", verdict.data);
	thaw_text_release(&verdict);
}

static void add_table(struct thaw_text *html, const struct ranked *ranked, int count)
{
	const struct thaw_key *settings[SETTINGS];
	int settings_count = find_settings(ranked, count, settings);

	thaw_text_add(html, "<div class=\"wide\"><table>\n<tr><th class=\"text\">run</th><th>accuracy</th><th>right</th>"
	                    "<th>val loss</th><th>best epoch</th><th>time</th><th class=\"text\">fit</th>");
	for (int s = 0; s < settings_count; s++)
		thaw_text_add(html, "<th class=\"text\">%s</th>", settings[s]->path);
	thaw_text_add(html, "</tr>\n");
	for (int i = 0; i < count; i++) {
		thaw_text_add(html, "<tr><td class=\"text\"><a href=\"#run-%d\">", ranked[i].number);
		thaw_html_add(html, ranked[i].run->name);
		thaw_text_add(html, "</a></td>");
		add_result(html, ranked[i].run);
		for (int s = 0; s < settings_count; s++) {
			struct thaw_text value = THAW_TEXT_EMPTY;

			if (ranked[i].run->job)
				add_setting(&value, settings[s], ranked[i].run->job);
			thaw_report_text_cell(html, "text", value.data);
			thaw_text_release(&value);
		}
		thaw_text_add(html, "</tr>\n");
	}
	thaw_text_add(html, "</table></div>\n");
}

/* --- curves ------------------------------------------------------------------------------------------------------ */

static thaw_status make_columns(struct ranked *ranked)
{
	size_t n = (size_t)ranked->run->history.count;
	double *block = thaw_alloc(3 * n, sizeof *block);

	if (!block)
		return THAW_OUT_OF_MEMORY;
	ranked->epochs = block;
	ranked->accuracy = block + n;
	ranked->loss = block + 2 * n;
	for (size_t i = 0; i < n; i++) {
		const struct thaw_epoch *e = &ranked->run->history.epochs[i];

		ranked->epochs[i] = e->epoch;
		ranked->accuracy[i] = thaw_accuracy(&e->val);
		ranked->loss[i] = e->val.loss;
	}
	return THAW_OK;
}

static thaw_status add_curves(struct thaw_text *html, const struct ranked *ranked, int count)
{
	static const char *const styles[COLOURS] = {"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"};
	struct thaw_plot plot = {.x_name = "epoch", .width = WIDTH, .height = HEIGHT, .mark = NAN};
	struct thaw_series *series = thaw_alloc((size_t)count, sizeof *series);

	if (!series)
		return THAW_OUT_OF_MEMORY;
	plot.series = series;
	plot.series_count = count;
	thaw_text_add(html, "<div class=\"plots\">\n");
	for (int loss = 0; loss < 2; loss++) {
		for (int i = 0; i < count; i++)
			series[i] = (struct thaw_series){i < COLOURS ? ranked[i].run->name : "", i < COLOURS ? styles[i] : "rest",
			                                 ranked[i].epochs, loss ? ranked[i].loss : ranked[i].accuracy,
			                                 ranked[i].run->history.count};
		plot.title = loss ? "validation loss" : "validation accuracy";
		plot.unit_y = !loss;
		plot.log_from = loss ? 50 : 0;
		thaw_plot_add(html, &plot);
	}
	thaw_text_add(html, "</div>\n");
	free(series);
	return THAW_OK;
}

/* Whether all runs that have epochs were validated on as many pictures. */
static bool same_validation(const struct ranked *ranked, int count)
{
	const struct thaw_epoch *first = best_of(ranked[0].run);

	for (int i = 1; i < count; i++) {
		const struct thaw_epoch *other = best_of(ranked[i].run);

		if (first && other && other->val.count != first->val.count)
			return false;
	}
	return true;
}

thaw_status thaw_report_comparison(const struct thaw_report_run *runs, int count, struct thaw_text *html)
{
	struct ranked *ranked = thaw_alloc((size_t)count, sizeof *ranked);
	thaw_status status = ranked ? THAW_OK : THAW_OUT_OF_MEMORY;

	for (int i = 0; i < count && !status; i++) {
		ranked[i] = (struct ranked){.run = &runs[i], .number = i + 1};
		status = make_columns(&ranked[i]);
	}
	if (!status) {
		qsort(ranked, (size_t)count, sizeof *ranked, compare_runs);
		thaw_text_add(html, "<section>\n<h1>%d runs</h1>\n<p class=\"soft\">best validation accuracy first%s</p>\n",
		              count, same_validation(ranked, count) ? "" : "; they were validated on different numbers of pictures");
		status = add_curves(html, ranked, count);
	}
	if (!status) {
		add_table(html, ranked, count);
		thaw_text_add(html, "</section>\n");
	}
	for (int i = 0; i < count && ranked; i++)
		free(ranked[i].epochs);
	free(ranked);
	return status;
}
