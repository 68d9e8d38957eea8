/* The page of a report: its frame, and the sections on one run. */
#include "tools/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/printable.h"
#include "tools/html.h"
#include "tools/plot.h"

enum {
	WIDTH = 540, HEIGHT = 270, RATE_HEIGHT = 170, /* of plots, pixels */
	OPEN_ROWS = 30,                               /* a longer table of epochs is folded */
};

void thaw_report_duration(struct thaw_text *html, double seconds)
{
	long long whole = (long long)(seconds + 0.5);

	if (whole < 60)
		thaw_text_add(html, "%lld s", whole);
	else if (whole < 3600)
		thaw_text_add(html, "%lld min %lld s", whole / 60, whole % 60);
	else
		thaw_text_add(html, "%lld h %02lld min", whole / 3600, whole % 3600 / 60);
}

static void begin_cell(struct thaw_text *html, const char *style)
{
	thaw_text_add(html, style[0] ? "<td class=\"%s\">" : "<td>", style);
}

void thaw_report_cell(struct thaw_text *html, const char *style, const char *format, ...)
{
	va_list args;

	begin_cell(html, style);
	va_start(args, format);
	thaw_text_add_list(html, format, args);
	va_end(args);
	thaw_text_add(html, "</td>");
}

void thaw_report_text_cell(struct thaw_text *html, const char *style, const char *text)
{
	begin_cell(html, style);
	thaw_html_add(html, text);
	thaw_text_add(html, "</td>");
}

/* --- head of a run ----------------------------------------------------------------------------------------------- */

static double seconds_of(const struct thaw_history *history)
{
	double seconds = 0;

	for (int i = 0; i < history->count; i++)
		seconds += history->epochs[i].seconds;
	return seconds;
}

/* "best 0.9477 (145/153, 95% 0.90-0.97) at epoch 8, 9 of 9 epochs, 2 min 14 s, resnet18" */
static void add_facts(struct thaw_text *html, const struct thaw_report_run *run)
{
	const struct thaw_history *history = &run->history;

	thaw_text_add(html, "<p>");
	if (history->count > 0) {
		const struct thaw_epoch *best = &history->epochs[run->verdict.best];
		struct thaw_interval interval = thaw_wilson(best->val.top1, best->val.count);

		thaw_text_add(html, "best <b>%.4f</b> (%lld/%lld, 95%% %.2f&ndash;%.2f) at epoch %d, ",
		              thaw_accuracy(&best->val), (long long)best->val.top1, (long long)best->val.count, interval.low,
		              interval.high, best->epoch);
	}
	if (run->job)
		thaw_text_add(html, "%d of %d epoch%s", history->count, run->job->epochs, thaw_plural(run->job->epochs));
	else
		thaw_text_add(html, "%d epoch%s", history->count, thaw_plural(history->count));
	if (history->count > 0) {
		thaw_text_add(html, ", ");
		thaw_report_duration(html, seconds_of(history));
	}
	if (run->job) {
		thaw_text_add(html, ", ");
		thaw_html_add(html, run->job->model.arch);
	}
	thaw_text_add(html, "</p>\n");
}

static void add_head(struct thaw_text *html, const struct thaw_report_run *run)
{
	static const char *const styles[] = {"soft", "good", "bad", "bad", "bad", "bad", "bad", "bad"};

	thaw_text_add(html, "<h1>");
	thaw_html_add(html, run->name);
	thaw_text_add(html, "</h1>\n<p class=\"verdict %s\">", run->under_way ? "soft" : styles[run->verdict.fit]);
	if (run->under_way)
		thaw_text_add(html, "under way or stopped, after %d of %d epochs; so far ", run->history.count,
		              run->job->epochs);
	thaw_verdict_add_text(&run->verdict, html);
	thaw_text_add(html, "</p>\n");
	add_facts(html, run);
	for (int i = 0; i < run->notes_count; i++) {
		thaw_text_add(html, "<p class=\"note\">");
		thaw_html_add(html, run->notes[i]);
		thaw_text_add(html, "</p>\n");
	}
}

/* --- curves ------------------------------------------------------------------------------------------------------ */

/* The numbers of a history, a column each. */
struct columns {
	double *epoch, *train_loss, *val_loss, *train_accuracy, *val_accuracy, *lr; /* (epochs) of one block, */
	double *average_loss, *average_accuracy;                                    /* and these */
};

static thaw_status make_columns(const struct thaw_history *history, struct columns *c)
{
	size_t n = (size_t)history->count;
	double *block = thaw_alloc(8 * n, sizeof *block);

	if (!block)
		return THAW_OUT_OF_MEMORY;
	*c = (struct columns){block,         block + n,     block + 2 * n, block + 3 * n,
	                      block + 4 * n, block + 5 * n, block + 6 * n, block + 7 * n};
	for (size_t i = 0; i < n; i++) {
		const struct thaw_epoch *e = &history->epochs[i];

		c->epoch[i] = e->epoch;
		c->train_loss[i] = e->train.loss;
		c->val_loss[i] = e->val.loss;
		c->train_accuracy[i] = thaw_accuracy(&e->train);
		c->val_accuracy[i] = thaw_accuracy(&e->val);
		c->lr[i] = e->lr;
		c->average_loss[i] = e->average.loss;
		c->average_accuracy[i] = thaw_accuracy(&e->average);
	}
	return THAW_OK;
}

/* The phases of a run with more than one; NULL is no failure then. The caller frees them. */
static thaw_status make_bands(const struct thaw_history *history, struct thaw_band **bands_out, int *count_out)
{
	struct thaw_band *bands = thaw_alloc((size_t)history->count, sizeof *bands);
	int count = 0;

	if (!bands)
		return THAW_OUT_OF_MEMORY;
	for (int i = 0; i < history->count; i++) {
		const struct thaw_epoch *e = &history->epochs[i];

		if (i == 0 || e->phase != e[-1].phase)
			bands[count++] = (struct thaw_band){e->epoch - 0.5, 0, e->trained};
		bands[count - 1].to = e->epoch + 0.5;
	}
	*bands_out = bands;
	*count_out = count > 1 ? count : 0;
	return THAW_OK;
}

static bool has_average(const struct thaw_history *history)
{
	return history->count > 0 && history->epochs[0].average.count > 0;
}

static void add_plots(struct thaw_text *html, const struct thaw_history *history, const struct columns *c,
                      const struct thaw_plot *common)
{
	const int n = history->count;
	const struct thaw_series accuracy[] = {{"val", "val", c->epoch, c->val_accuracy, n},
	                                       {"train", "train", c->epoch, c->train_accuracy, n},
	                                       {"average", "c2", c->epoch, c->average_accuracy, n}},
							 loss[] = {{"val", "val", c->epoch, c->val_loss, n},
	                                   {"train", "train", c->epoch, c->train_loss, n},
	                                   {"average", "c2", c->epoch, c->average_loss, n}},
							 rate[] = {{"", "rate", c->epoch, c->lr, n}};
	struct thaw_plot plot = *common;

	thaw_text_add(html, "<div class=\"plots\">\n");
	plot.title = "accuracy";
	plot.unit_y = true;
	plot.series = accuracy;
	plot.series_count = has_average(history) ? 3 : 2;
	thaw_plot_add(html, &plot);
	plot.title = "loss";
	plot.unit_y = false;
	plot.log_from = 50;
	plot.series = loss;
	thaw_plot_add(html, &plot);
	plot.title = "learning rate";
	plot.height = RATE_HEIGHT;
	plot.log_from = 4;
	plot.steps = true;
	plot.series = rate;
	plot.series_count = 1;
	thaw_plot_add(html, &plot);
	thaw_text_add(html, "</div>\n");
}

static thaw_status add_curves(struct thaw_text *html, const struct thaw_report_run *run)
{
	struct thaw_plot common = {.x_name = "epoch", .width = WIDTH, .height = HEIGHT};
	char mark_name[32];
	struct thaw_band *bands;
	struct columns columns;
	thaw_status status = make_columns(&run->history, &columns);

	if (status)
		return status;
	status = make_bands(&run->history, &bands, &common.bands_count);
	if (status)
		goto free_columns;
	common.bands = bands;
	common.mark = run->history.epochs[run->verdict.best].epoch;
	snprintf(mark_name, sizeof mark_name, "best %.0f", common.mark);
	common.mark_name = mark_name;
	add_plots(html, &run->history, &columns, &common);
	free(bands);
free_columns:
	free(columns.epoch);
	return status;
}

/* --- tables ------------------------------------------------------------------------------------------------------ */

static void add_epoch(struct thaw_text *html, const struct thaw_epoch *e, bool best, bool new_phase, bool average)
{
	thaw_text_add(html, "<tr class=\"%s%s\">", best ? "best" : "", new_phase ? " phase" : "");
	thaw_report_cell(html, "", "%d", e->epoch);
	thaw_report_text_cell(html, "text", e->trained);
	thaw_report_cell(html, "", "%.3g", e->lr);
	thaw_report_cell(html, "", "%.4g", e->train.loss);
	thaw_report_cell(html, "", "%s%.4f", e->mixed ? "~" : "", thaw_accuracy(&e->train));
	thaw_report_cell(html, "", "%.4g", e->val.loss);
	thaw_report_cell(html, "", "%.4f", thaw_accuracy(&e->val));
	thaw_report_cell(html, "", "%lld/%lld", (long long)e->val.top1, (long long)e->val.count);
	if (average)
		thaw_report_cell(html, "", "%.4f", thaw_accuracy(&e->average));
	thaw_report_cell(html, "", "%.1f", e->seconds);
	thaw_text_add(html, "</tr>\n");
}

static void add_epochs(struct thaw_text *html, const struct thaw_report_run *run)
{
	const struct thaw_history *history = &run->history;
	bool folded = history->count > OPEN_ROWS, average = has_average(history);

	thaw_text_add(html, "<h2>Epochs</h2>\n");
	if (folded)
		thaw_text_add(html, "<details><summary>%d epochs</summary>", history->count);
	thaw_text_add(html, "<div class=\"wide\"><table>\n<tr><th>epoch</th><th class=\"text\">trained</th>"
	                    "<th>rate</th><th>train loss</th><th>accuracy</th><th>val loss</th>"
	                    "<th>accuracy</th><th>right</th>%s<th>seconds</th></tr>\n", average ? "<th>average</th>" : "");
	for (int i = 0; i < history->count; i++) {
		const struct thaw_epoch *e = &history->epochs[i];

		add_epoch(html, e, i == run->verdict.best, i > 0 && e->phase != e[-1].phase, average);
	}
	thaw_text_add(html, "</table></div>%s\n", folded ? "</details>" : "");
}

static thaw_status add_settings(struct thaw_text *html, const struct thaw_job *job)
{
	struct thaw_text yaml = THAW_TEXT_EMPTY;
	thaw_status status = thaw_job_dump(job, &yaml);

	if (!status) {
		thaw_text_add(html, "<h2>Settings</h2>\n<details><summary>job.yaml</summary><pre>");
		for (const char *line = yaml.data; *line;) { /* line ends are not printable, and stay */
			struct thaw_text one = THAW_TEXT_EMPTY;
			const char *end = line;

			while (*end && *end != '\n')
				end++;
			thaw_text_add_bytes(&one, line, (size_t)(end - line));
			thaw_html_add(html, one.data);
			thaw_text_add(html, "\n");
			thaw_text_release(&one);
			line = *end ? end + 1 : end;
		}
		thaw_text_add(html, "</pre></details>\n");
	}
	thaw_text_release(&yaml);
	return status;
}

static thaw_status add_run(struct thaw_text *html, const struct thaw_report_run *run, int number)
{
	thaw_status status = THAW_OK;

	thaw_text_add(html, "<section id=\"run-%d\">\n", number);
	add_head(html, run);
	if (run->history.count > 0)
		status = add_curves(html, run);
	if (!status && run->predictions.count > 0)
		status = thaw_report_classes(run, html);
	if (!status && run->history.count > 0)
		add_epochs(html, run);
	if (!status && run->job)
		status = add_settings(html, run->job);
	thaw_text_add(html, "</section>\n");
	return status;
}

thaw_status thaw_report_page(const struct thaw_report_run *runs, int count, struct thaw_text *html)
{
	thaw_status status = THAW_OK;

	thaw_text_add(html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	                    "<meta name=\"viewport\" content=\"width=device-width\">\n"
	                    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	                    "style-src 'unsafe-inline'; img-src data:\">\n<title>");
	if (count == 1)
		thaw_html_add(html, runs[0].name);
	else
		thaw_text_add(html, "%d runs", count);
	thaw_text_add(html, "</title>\n<style>%s</style>\n</head>\n<body>\n", thaw_report_style);
	if (count > 1)
		status = thaw_report_comparison(runs, count, html);
	for (int i = 0; i < count && !status; i++)
		status = add_run(html, &runs[i], i + 1);
	thaw_text_add(html, "</body>\n</html>\n");
	return status ? status : thaw_text_status(html);
}
