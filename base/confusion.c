#include "base/confusion.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/printable.h"

enum {
	MATRIX_CLASSES = 10, /* up to so many classes the matrix itself is shown, otherwise */
	MISTAKES = 10,       /* so many mistakes, */
	ALL_CLASSES = 20,    /* and up to so many classes all of them, otherwise */
	WORST_CLASSES = 10,  /* so many */
	NAME_COLUMNS = 24,   /* of a name at the beginning of a line */
	HEAD_COLUMNS = 8,    /* of a name over a column; with longer ones, columns are numbered */
};

static int compare_cells(const void *a, const void *b)
{
	const struct thaw_confusion_cell *x = a, *y = b;

	return x->label != y->label ? (x->label > y->label) - (x->label < y->label)
	                            : (x->predicted > y->predicted) - (x->predicted < y->predicted);
}

/* Sorts a cell for each picture and adds up those that are the same. */
static void merge_cells(struct thaw_confusion *c)
{
	int64_t kept = 0;

	qsort(c->cells, (size_t)c->cells_count, sizeof *c->cells, compare_cells);
	for (int64_t i = 0; i < c->cells_count; i++) {
		if (kept > 0 && compare_cells(&c->cells[kept - 1], &c->cells[i]) == 0)
			c->cells[kept - 1].count += c->cells[i].count;
		else
			c->cells[kept++] = c->cells[i];
	}
	c->cells_count = kept;
}

thaw_status thaw_confusion_init(const int32_t *labels, const int32_t *predicted, int64_t count, int classes,
                                struct thaw_confusion *confusion_out)
{
	struct thaw_confusion c = {.classes = classes, .pictures = count, .cells_count = count};

	c.of = thaw_alloc((size_t)classes, sizeof *c.of);
	c.cells = thaw_alloc((size_t)count, sizeof *c.cells);
	if (!c.of || !c.cells) {
		thaw_confusion_release(&c);
		return THAW_OUT_OF_MEMORY;
	}
	for (int64_t i = 0; i < count; i++) {
		bool right = labels[i] == predicted[i];

		c.cells[i] = (struct thaw_confusion_cell){labels[i], predicted[i], 1};
		c.of[labels[i]].pictures++;
		c.of[predicted[i]].predicted++;
		c.of[labels[i]].right += right;
		c.right += right;
	}
	merge_cells(&c);
	*confusion_out = c;
	return THAW_OK;
}

void thaw_confusion_release(struct thaw_confusion *confusion)
{
	free(confusion->of);
	free(confusion->cells);
	*confusion = (struct thaw_confusion){0};
}

int64_t thaw_confusion_at(const struct thaw_confusion *confusion, int label, int predicted)
{
	const struct thaw_confusion_cell wanted = {label, predicted, 0}, *cell;

	cell = bsearch(&wanted, confusion->cells, (size_t)confusion->cells_count, sizeof wanted, compare_cells);
	return cell ? cell->count : 0;
}

static double share(int64_t part, int64_t whole)
{
	return whole > 0 ? (double)part / (double)whole : NAN;
}

double thaw_recall(const struct thaw_class_counts *of)
{
	return share(of->right, of->pictures);
}

double thaw_precision(const struct thaw_class_counts *of)
{
	return share(of->right, of->predicted);
}

double thaw_f1(const struct thaw_class_counts *of)
{
	return share(2 * of->right, of->pictures + of->predicted);
}

double thaw_balanced_accuracy(const struct thaw_confusion *confusion)
{
	double sum = 0;
	int with_pictures = 0;

	for (int c = 0; c < confusion->classes; c++)
		if (confusion->of[c].pictures > 0) {
			sum += thaw_recall(&confusion->of[c]);
			with_pictures++;
		}
	return with_pictures > 0 ? sum / with_pictures : NAN;
}

int thaw_confusion_mistakes(const struct thaw_confusion *confusion, int limit, struct thaw_confusion_cell *mistakes_out)
{
	int found = 0;

	for (int64_t i = 0; i < confusion->cells_count; i++) {
		const struct thaw_confusion_cell *cell = &confusion->cells[i];
		int at = found;

		if (cell->label == cell->predicted)
			continue;
		while (at > 0 && mistakes_out[at - 1].count < cell->count)
			at--;
		if (at == limit)
			continue;
		found += found < limit;
		memmove(mistakes_out + at + 1, mistakes_out + at, (size_t)(found - 1 - at) * sizeof *mistakes_out);
		mistakes_out[at] = *cell;
	}
	return found;
}

/* --- text -------------------------------------------------------------------------------------------------------- */

static int most(int a, int b)
{
	return a > b ? a : b;
}

static int widest_name(const struct thaw_confusion *confusion, const char *const *names)
{
	int widest = 0;

	for (int c = 0; c < confusion->classes; c++)
		widest = most(widest, thaw_characters(names[c]));
	return widest;
}

/* Bytes of the first `characters` of a text in UTF-8. */
static int bytes_of(const char *text, int characters)
{
	int bytes = 0;

	for (; text[bytes]; bytes++)
		if (((unsigned char)text[bytes] & 0xC0) != 0x80 && characters-- == 0)
			break;
	return bytes;
}

/* Adds `name` in so many columns: cut, or filled up on one side. */
static void add_name(struct thaw_text *text, const char *name, int columns, bool to_the_right)
{
	int characters = thaw_characters(name), fill = columns > characters ? columns - characters : 0;
	bool cut = characters > columns;

	thaw_text_add(text, "%*s%.*s%s%*s", to_the_right ? fill : 0, "", bytes_of(name, cut ? columns - 3 : characters),
	              name, cut ? "..." : "", to_the_right ? 0 : fill, "");
}

/* "0.929", or "-" for NaN. */
static const char *share_text(double value, char text[16])
{
	snprintf(text, 16, isnan(value) ? "-" : "%.3f", value);
	return text;
}

/* What is said of a class at the end of its line, under this head. */
static const char shares_head[] = "  pictures   recall  precision     F1\n";

static void add_shares(struct thaw_text *text, const struct thaw_class_counts *of)
{
	char recall[16], precision[16], f1[16];

	thaw_text_add(text, "  %8lld  %7s  %9s  %5s\n", (long long)of->pictures, share_text(thaw_recall(of), recall),
	              share_text(thaw_precision(of), precision), share_text(thaw_f1(of), f1));
}

static void add_matrix(const struct thaw_confusion *c, const char *const *names, struct thaw_text *text)
{
	const char *corner = "true / predicted";
	int widest = widest_name(c, names), digits = snprintf(NULL, 0, "%lld", (long long)c->pictures);
	bool numbered = widest > HEAD_COLUMNS;
	int column = numbered ? most(digits, 2) : most(digits, widest);
	int first = most(widest < NAME_COLUMNS ? widest : NAME_COLUMNS, (int)strlen(corner) - (numbered ? 3 : 0));
	char number[16];

	add_name(text, corner, first + (numbered ? 3 : 0), false);
	for (int p = 0; p < c->classes; p++) {
		snprintf(number, sizeof number, "%d", p);
		thaw_text_add(text, "  ");
		add_name(text, numbered ? number : names[p], column, true);
	}
	thaw_text_add(text, "%s", shares_head);
	for (int l = 0; l < c->classes; l++) {
		if (numbered)
			thaw_text_add(text, "%-3d", l);
		add_name(text, names[l], first, false);
		for (int p = 0; p < c->classes; p++)
			thaw_text_add(text, "  %*lld", column, (long long)thaw_confusion_at(c, l, p));
		add_shares(text, &c->of[l]);
	}
}

/* The classes of the lowest F1, lowest first; those that nothing can be said of are left out. */
static int worst_classes(const struct thaw_confusion *c, int limit, int *worst_out)
{
	int found = 0;

	for (int l = 0; l < c->classes; l++) {
		double f1 = thaw_f1(&c->of[l]);
		int at = found;

		while (at > 0 && thaw_f1(&c->of[worst_out[at - 1]]) > f1)
			at--;
		if (isnan(f1) || at == limit)
			continue;
		found += found < limit;
		memmove(worst_out + at + 1, worst_out + at, (size_t)(found - 1 - at) * sizeof *worst_out);
		worst_out[at] = l;
	}
	return found;
}

static void add_classes(const struct thaw_confusion *c, const char *const *names, struct thaw_text *text)
{
	int shown[ALL_CLASSES], count = c->classes, widest = widest_name(c, names);
	int width = most(widest < NAME_COLUMNS ? widest : NAME_COLUMNS, (int)strlen("class"));

	for (int i = 0; i < count && i < ALL_CLASSES; i++)
		shown[i] = i;
	if (c->classes > ALL_CLASSES) {
		count = worst_classes(c, WORST_CLASSES, shown);
		thaw_text_add(text, "of %d classes the %d of the lowest F1\n", c->classes, count);
	}
	add_name(text, "class", width, false);
	thaw_text_add(text, "%s", shares_head);
	for (int i = 0; i < count; i++) {
		add_name(text, names[shown[i]], width, false);
		add_shares(text, &c->of[shown[i]]);
	}
}

static void add_mistakes(const struct thaw_confusion *c, const char *const *names, struct thaw_text *text)
{
	struct thaw_confusion_cell mistakes[MISTAKES];
	int count = thaw_confusion_mistakes(c, MISTAKES, mistakes), widest = widest_name(c, names);

	if (count > 0)
		thaw_text_add(text, "most frequent mistakes\n");
	for (int i = 0; i < count; i++) {
		thaw_text_add(text, "%7lld of %-5lld  ", (long long)mistakes[i].count,
		              (long long)c->of[mistakes[i].label].pictures);
		add_name(text, names[mistakes[i].label], widest < NAME_COLUMNS ? widest : NAME_COLUMNS, false);
		thaw_text_add(text, "  taken for  %s\n", names[mistakes[i].predicted]);
	}
}

void thaw_confusion_add_text(const struct thaw_confusion *confusion, const char *const *names, struct thaw_text *text)
{
	if (confusion->classes <= MATRIX_CLASSES) {
		add_matrix(confusion, names, text);
	} else {
		add_classes(confusion, names, text);
		add_mistakes(confusion, names, text);
	}
	thaw_text_add(text, "balanced accuracy %.4f\n", thaw_balanced_accuracy(confusion));
}

void thaw_confusion_add_json(const struct thaw_confusion *confusion, const char *const *names, struct thaw_text *json)
{
	thaw_json_number(json, "balanced", thaw_balanced_accuracy(confusion));
	thaw_json_open(json, "classes", '[');
	for (int c = 0; c < confusion->classes; c++) {
		const struct thaw_class_counts *of = &confusion->of[c];

		thaw_json_open(json, NULL, '{');
		thaw_json_text(json, "name", names[c]);
		thaw_json_integer(json, "pictures", of->pictures);
		thaw_json_number(json, "recall", thaw_recall(of));
		thaw_json_number(json, "precision", thaw_precision(of));
		thaw_json_number(json, "f1", thaw_f1(of));
		thaw_json_close(json, '}');
	}
	thaw_json_close(json, ']');
	thaw_json_open(json, "confusion", '[');
	for (int64_t i = 0; i < confusion->cells_count; i++) {
		thaw_json_open(json, NULL, '{');
		thaw_json_text(json, "label", names[confusion->cells[i].label]);
		thaw_json_text(json, "predicted", names[confusion->cells[i].predicted]);
		thaw_json_integer(json, "count", confusion->cells[i].count);
		thaw_json_close(json, '}');
	}
	thaw_json_close(json, ']');
}
