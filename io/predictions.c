#include "io/predictions.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/csv.h"

enum { FILE_LIMIT = 1 << 30 };

enum column { INDEX, NAME, LABEL, PREDICTED, PROBABILITY, LOSS, COLUMNS };

static const char *const column_names[COLUMNS] = {"index", "name", "label", "predicted", "probability", "loss"};

/* --- writing ----------------------------------------------------------------------------------------------------- */

static void add_row(struct thaw_text *text, const struct thaw_dataset *dataset, const struct thaw_prediction *row)
{
	thaw_text_add(text, "%lld,", (long long)row->index);
	thaw_csv_add(text, thaw_dataset_name(dataset, row->index));
	thaw_text_add(text, ",");
	thaw_csv_add(text, thaw_dataset_class(dataset, row->label));
	thaw_text_add(text, ",");
	thaw_csv_add(text, thaw_dataset_class(dataset, row->predicted));
	thaw_text_add(text, ",%.6f,%.9g\n", row->probability, row->loss);
}

thaw_status thaw_predictions_write(const char *path, const struct thaw_dataset *dataset,
                                   const struct thaw_prediction *rows, int64_t count)
{
	struct thaw_text text = THAW_TEXT_EMPTY;
	thaw_status status;

	for (int c = 0; c < COLUMNS; c++)
		thaw_text_add(&text, "%s%c", column_names[c], c + 1 < COLUMNS ? ',' : '\n');
	for (int64_t i = 0; i < count; i++)
		add_row(&text, dataset, &rows[i]);
	status = thaw_text_status(&text);
	if (!status)
		status = thaw_file_publish(path, text.data, text.length);
	thaw_text_release(&text);
	return status;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

struct reading {
	struct thaw_predictions p;
	const char **labels, **predicted; /* (rows) class names, until all are known and get their places */
};

static thaw_status read_head(const struct thaw_csv *csv)
{
	bool known = csv->count == COLUMNS;

	for (int c = 0; c < COLUMNS && known; c++)
		known = strcmp(csv->fields[c], column_names[c]) == 0;
	return known ? THAW_OK : thaw_fail(THAW_FAILED, "'%s' does not begin as a file of predictions", csv->path);
}

static thaw_status read_row(const struct thaw_csv *csv, struct reading *r)
{
	struct thaw_prediction *row = &r->p.rows[r->p.count];
	thaw_status status = THAW_OK;

	if (csv->count != COLUMNS)
		return thaw_fail(THAW_FAILED, "'%s', line %lld has %d fields, its head has %d", csv->path, (long long)csv->line,
		                 csv->count, COLUMNS);
	status = thaw_csv_integer(csv, INDEX, column_names[INDEX], 0, INT32_MAX, &row->index);
	if (!status)
		status = thaw_csv_number(csv, PROBABILITY, column_names[PROBABILITY], 0, 1, &row->probability);
	if (!status)
		status = thaw_csv_number(csv, LOSS, column_names[LOSS], -DBL_MAX, INFINITY, &row->loss);
	r->p.names[r->p.count] = csv->fields[NAME];
	r->labels[r->p.count] = csv->fields[LABEL];
	r->predicted[r->p.count] = csv->fields[PREDICTED];
	r->p.count += !status;
	return status;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int32_t place_of(const struct thaw_predictions *p, const char *name)
{
	const char **found = bsearch(&name, p->class_names, (size_t)p->classes, sizeof name, compare_names);

	return (int32_t)(found - p->class_names);
}

/* The class list from all labels and predictions, and the places in it of each row's. */
static void find_classes(struct reading *r)
{
	struct thaw_predictions *p = &r->p;
	size_t all = 2 * (size_t)p->count;

	for (int64_t i = 0; i < p->count; i++) {
		p->class_names[2 * i] = r->labels[i];
		p->class_names[2 * i + 1] = r->predicted[i];
	}
	qsort(p->class_names, all, sizeof *p->class_names, compare_names);
	for (size_t i = 0; i < all; i++)
		if (p->classes == 0 || strcmp(p->class_names[p->classes - 1], p->class_names[i]) != 0)
			p->class_names[p->classes++] = p->class_names[i];
	for (int64_t i = 0; i < p->count; i++) {
		p->rows[i].label = place_of(p, r->labels[i]);
		p->rows[i].predicted = place_of(p, r->predicted[i]);
	}
}

static thaw_status read_rows(struct thaw_csv *csv, struct reading *r)
{
	size_t lines = thaw_csv_lines(csv);
	bool more;
	thaw_status status;

	r->p.rows = thaw_alloc(lines, sizeof *r->p.rows);
	r->p.names = thaw_alloc(lines, sizeof *r->p.names);
	r->p.class_names = thaw_alloc(lines, 2 * sizeof *r->p.class_names);
	r->labels = thaw_alloc(lines, sizeof *r->labels);
	r->predicted = thaw_alloc(lines, sizeof *r->predicted);
	if (!r->p.rows || !r->p.names || !r->p.class_names || !r->labels || !r->predicted)
		return THAW_OUT_OF_MEMORY;
	status = thaw_csv_next(csv, &more);
	if (!status)
		status = read_head(csv);
	while (!status && !(status = thaw_csv_next(csv, &more)) && more)
		status = read_row(csv, r);
	return status;
}

thaw_status thaw_predictions_read(const char *path, struct thaw_predictions *predictions_out)
{
	struct reading r = {0};
	struct thaw_csv csv;
	size_t length;
	thaw_status status = thaw_file_read(path, FILE_LIMIT, &r.p.bytes, &length);

	if (status)
		return status;
	thaw_csv_init(&csv, path, r.p.bytes);
	status = read_rows(&csv, &r);
	if (!status)
		find_classes(&r);
	free(r.labels);
	free(r.predicted);
	if (status)
		thaw_predictions_release(&r.p);
	else
		*predictions_out = r.p;
	return status;
}

void thaw_predictions_release(struct thaw_predictions *predictions)
{
	free(predictions->rows);
	free(predictions->names);
	free(predictions->class_names);
	free(predictions->bytes);
	*predictions = (struct thaw_predictions){0};
}
