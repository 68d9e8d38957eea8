/* What a run confuses: the matrix, the classes, the worst mistakes. */
#include "tools/report.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "tools/html.h"

enum {
	MATRIX_CLASSES = 20, /* up to so many classes the matrix is drawn, otherwise */
	PAIRS = 20,          /* so many of the most frequent mistakes */
	PICTURES = 24,       /* of the worst mistakes */
	EDGE = 160,          /* of a picture, pixels */
	BAR = 100,           /* longest, pixels */
};

/* --- matrix ------------------------------------------------------------------------------------------------------ */

/* A cell, as dark as its share of the class: right ones and wrong ones have different colours. */
static void add_shaded(struct thaw_text *html, const struct thaw_confusion *c, int label, int predicted)
{
	int64_t count = thaw_confusion_at(c, label, predicted), pictures = c->of[label].pictures;
	double share = pictures > 0 ? (double)count / (double)pictures : 0;

	if (count == 0)
		thaw_text_add(html, "<td class=\"cell none\">&middot;</td>");
	else
		thaw_text_add(html, "<td class=\"cell%s\" style=\"background:rgba(var(--%s),%.2f)\">%lld</td>",
		              share > 0.5 ? " deep" : "", label == predicted ? "right" : "wrong", 0.06 + 0.9 * share,
		              (long long)count);
}

static void add_matrix(struct thaw_text *html, const struct thaw_report_run *run)
{
	const struct thaw_confusion *c = &run->confusion;
	const char **names = run->predictions.class_names;

	thaw_text_add(html, "<div class=\"wide\"><table class=\"matrix\">\n<tr><th class=\"text\">true \\ predicted</th>");
	for (int p = 0; p < c->classes; p++) {
		thaw_text_add(html, "<th class=\"top\" title=\"");
		thaw_html_add(html, names[p]);
		thaw_text_add(html, "\">");
		thaw_html_add(html, names[p]);
		thaw_text_add(html, "</th>");
	}
	thaw_text_add(html, "</tr>\n");
	for (int l = 0; l < c->classes; l++) {
		thaw_text_add(html, "<tr>");
		thaw_report_text_cell(html, "text", names[l]);
		for (int p = 0; p < c->classes; p++)
			add_shaded(html, c, l, p);
		thaw_text_add(html, "</tr>\n");
	}
	thaw_text_add(html, "</table></div>\n");
}

static void add_pairs(struct thaw_text *html, const struct thaw_report_run *run)
{
	struct thaw_confusion_cell mistakes[PAIRS];
	int count = thaw_confusion_mistakes(&run->confusion, PAIRS, mistakes);

	thaw_text_add(html,
	              "<div class=\"wide\"><table>\n<tr><th class=\"text\">class</th><th class=\"text\">taken for</th>"
	              "<th>pictures</th><th>of</th></tr>\n");
	for (int i = 0; i < count; i++) {
		thaw_text_add(html, "<tr>");
		thaw_report_text_cell(html, "text", run->predictions.class_names[mistakes[i].label]);
		thaw_report_text_cell(html, "text", run->predictions.class_names[mistakes[i].predicted]);
		thaw_report_cell(html, "", "%lld", (long long)mistakes[i].count);
		thaw_report_cell(html, "", "%lld", (long long)run->confusion.of[mistakes[i].label].pictures);
		thaw_text_add(html, "</tr>\n");
	}
	thaw_text_add(html, "</table></div>\n");
}

/* --- classes ----------------------------------------------------------------------------------------------------- */

struct ranked {
	const struct thaw_class_counts *of;
	const char *name;
	int number;
};

/* By F1, the worst first; then in the order of the classes. F1 is a number, since a listed class occurs. */
static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	double f = thaw_f1(x->of), g = thaw_f1(y->of);

	return f != g ? (f > g) - (f < g) : x->number - y->number;
}

static void add_share(struct thaw_text *html, double value)
{
	if (isnan(value))
		thaw_report_cell(html, "none", "&ndash;");
	else
		thaw_report_cell(html, "", "%.3f", value);
}

static void add_class(struct thaw_text *html, const struct ranked *class)
{
	double f1 = thaw_f1(class->of);

	thaw_text_add(html, "<tr>");
	thaw_report_text_cell(html, "text", class->name);
	thaw_report_cell(html, "", "%lld", (long long)class->of->pictures);
	add_share(html, thaw_recall(class->of));
	add_share(html, thaw_precision(class->of));
	add_share(html, f1);
	thaw_report_cell(html, "bars", "<span class=\"bar\" style=\"width:%.0fpx\"></span>", BAR * f1);
	thaw_text_add(html, "</tr>\n");
}

static thaw_status add_table(struct thaw_text *html, const struct thaw_report_run *run)
{
	const struct thaw_confusion *c = &run->confusion;
	struct ranked *ranked = thaw_alloc((size_t)c->classes, sizeof *ranked);
	bool folded = c->classes > MATRIX_CLASSES;

	if (!ranked)
		return THAW_OUT_OF_MEMORY;
	for (int i = 0; i < c->classes; i++)
		ranked[i] = (struct ranked){&c->of[i], run->predictions.class_names[i], i};
	qsort(ranked, (size_t)c->classes, sizeof *ranked, compare_ranked);
	thaw_text_add(html, "<h2>Classes</h2>\n<p class=\"note\">balanced accuracy %.4f; worst F1 first</p>\n",
	              thaw_balanced_accuracy(c));
	if (folded)
		thaw_text_add(html, "<details><summary>%d classes</summary>", c->classes);
	thaw_text_add(html, "<div class=\"wide\"><table>\n<tr><th class=\"text\">class</th><th>pictures</th>"
	                    "<th>recall</th><th>precision</th><th>F1</th><th></th></tr>\n");
	for (int i = 0; i < c->classes; i++)
		add_class(html, &ranked[i]);
	thaw_text_add(html, "</table></div>%s\n", folded ? "</details>" : "");
	free(ranked);
	return THAW_OK;
}

/* --- mistakes ---------------------------------------------------------------------------------------------------- */

/* The rows of the wrong predictions with the largest losses, the largest first. Returns how many. */
static int find_worst(const struct thaw_predictions *predictions, int64_t worst_out[PICTURES])
{
	const struct thaw_prediction *rows = predictions->rows;
	int found = 0;

	for (int64_t i = 0; i < predictions->count; i++) {
		int at = found;

		if (rows[i].label == rows[i].predicted)
			continue;
		for (; at > 0 && rows[worst_out[at - 1]].loss < rows[i].loss; at--)
			if (at < PICTURES)
				worst_out[at] = worst_out[at - 1];
		if (at < PICTURES)
			worst_out[at] = i;
		found += found < PICTURES;
	}
	return found;
}

static thaw_status add_mistake(struct thaw_text *html, const struct thaw_report_run *run, int64_t i)
{
	const struct thaw_prediction *row = &run->predictions.rows[i];
	const uint8_t *pixels;
	thaw_status status = THAW_OK;

	thaw_text_add(html, "<figure>");
	if (run->val) {
		const struct thaw_picture *picture = thaw_dataset_picture(run->val, row->index, &pixels);

		status = thaw_html_add_picture(html, picture, pixels, EDGE);
	}
	thaw_text_add(html, "<figcaption><b>");
	thaw_html_add(html, run->predictions.class_names[row->label]);
	thaw_text_add(html, "</b>, taken for <b>");
	thaw_html_add(html, run->predictions.class_names[row->predicted]);
	thaw_text_add(html, "</b> %.3f<br><span class=\"soft\">", row->probability);
	thaw_html_add(html, run->predictions.names[i]);
	thaw_text_add(html, "</span></figcaption></figure>\n");
	return status;
}

static thaw_status add_mistakes(struct thaw_text *html, const struct thaw_report_run *run)
{
	int64_t worst[PICTURES];
	int count = find_worst(&run->predictions, worst);
	thaw_status status = THAW_OK;

	if (count == 0)
		return THAW_OK;
	thaw_text_add(html,
	              "<h2>Worst mistakes</h2>\n<p class=\"note\">%d of %lld, largest loss first, with the probability "
	              "of what was predicted</p>\n<div class=\"mistakes\">\n",
	              count, (long long)(run->confusion.pictures - run->confusion.right));
	for (int i = 0; i < count && !status; i++)
		status = add_mistake(html, run, worst[i]);
	thaw_text_add(html, "</div>\n");
	return status;
}

thaw_status thaw_report_classes(const struct thaw_report_run *run, struct thaw_text *html)
{
	thaw_status status;

	thaw_text_add(html, "<h2>%s</h2>\n",
	              run->confusion.classes <= MATRIX_CLASSES ? "Confusion matrix" : "Most frequent mistakes");
	if (run->confusion.classes <= MATRIX_CLASSES)
		add_matrix(html, run);
	else
		add_pairs(html, run);
	status = add_table(html, run);
	return status ? status : add_mistakes(html, run);
}
