#include "io/history.h"

#include <float.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "io/csv.h"

enum { FILE_LIMIT = 1 << 28 };

/* The columns that are read; from NEEDED on, if they are there. */
enum column {
	EPOCH, PHASE, TRAINED, LR, TRAIN_LOSS, TRAIN_CORRECT, TRAIN_COUNT, VAL_LOSS, VAL_TOP5, VAL_CORRECT, VAL_COUNT,
	SECONDS, BEST, NEEDED, TRAIN_MIXED = NEEDED, AVERAGE_LOSS, AVERAGE_CORRECT, COLUMNS
};

static const char *const column_names[COLUMNS] = {
	"epoch", "phase", "trained", "lr", "train_loss", "train_correct", "train_count", "val_loss", "val_top5",
	"val_correct", "val_count", "seconds", "best", "train_mixed", "average_loss", "average_correct",
};

/* Finds the columns in the head. */
static thaw_status find_columns(const struct thaw_csv *csv, int columns[COLUMNS])
{
	for (int c = 0; c < COLUMNS; c++) {
		columns[c] = 0;
		while (columns[c] < csv->count && strcmp(csv->fields[columns[c]], column_names[c]) != 0)
			columns[c]++;
		if (columns[c] == csv->count && c < NEEDED)
			return thaw_fail(THAW_FAILED, "'%s' has no column '%s'", csv->path, column_names[c]);
	}
	return THAW_OK;
}

/* A record with its columns. */
struct row {
	const struct thaw_csv *csv;
	const int *columns;
	thaw_status status; /* of the first value that could not be read; later ones are not tried */
};

static int64_t integer(struct row *row, enum column c, int64_t low, int64_t high)
{
	int64_t value = 0;

	if (!row->status)
		row->status = thaw_csv_integer(row->csv, row->columns[c], column_names[c], low, high, &value);
	return value;
}

static double number(struct row *row, enum column c, double high)
{
	double value = 0;

	if (!row->status)
		row->status = thaw_csv_number(row->csv, row->columns[c], column_names[c], 0, high, &value);
	return value;
}

static thaw_status read_epoch(const struct thaw_csv *csv, const int columns[COLUMNS], int before,
                              struct thaw_epoch *epoch)
{
	struct row row = {csv, columns, THAW_OK};

	epoch->epoch = (int)integer(&row, EPOCH, before + 1, INT_MAX);
	epoch->phase = (int)integer(&row, PHASE, 1, INT_MAX);
	epoch->trained = csv->fields[columns[TRAINED]];
	epoch->lr = number(&row, LR, DBL_MAX);
	epoch->train.loss = number(&row, TRAIN_LOSS, DBL_MAX);
	epoch->train.count = integer(&row, TRAIN_COUNT, 1, INT64_MAX);
	epoch->train.top1 = integer(&row, TRAIN_CORRECT, 0, epoch->train.count);
	epoch->val.loss = number(&row, VAL_LOSS, DBL_MAX);
	epoch->val.count = integer(&row, VAL_COUNT, 1, INT64_MAX);
	epoch->val.top1 = integer(&row, VAL_CORRECT, 0, epoch->val.count);
	epoch->val.top5 = (int64_t)(number(&row, VAL_TOP5, 1) * (double)epoch->val.count + 0.5);
	epoch->seconds = number(&row, SECONDS, DBL_MAX);
	epoch->mixed = columns[TRAIN_MIXED] < csv->count && integer(&row, TRAIN_MIXED, 0, 1);
	epoch->best = integer(&row, BEST, 0, 1);
	if (columns[AVERAGE_LOSS] < csv->count && columns[AVERAGE_CORRECT] < csv->count) {
		epoch->average.loss = number(&row, AVERAGE_LOSS, DBL_MAX);
		epoch->average.count = epoch->val.count;
		epoch->average.top1 = integer(&row, AVERAGE_CORRECT, 0, epoch->val.count);
	}
	return row.status;
}

static thaw_status read_epochs(struct thaw_csv *csv, struct thaw_history *history)
{
	int columns[COLUMNS], fields;
	bool more;
	thaw_status status;

	history->epochs = thaw_alloc(thaw_csv_lines(csv), sizeof *history->epochs);
	if (!history->epochs)
		return THAW_OUT_OF_MEMORY;
	status = thaw_csv_next(csv, &more);
	if (!status && more)
		status = find_columns(csv, columns);
	fields = csv->count;
	while (!status && more && !(status = thaw_csv_next(csv, &more)) && more) {
		if (csv->count != fields)
			return thaw_fail(THAW_FAILED, "'%s', line %lld has %d fields, its head has %d", csv->path,
			                 (long long)csv->line, csv->count, fields);
		status = read_epoch(csv, columns, history->count ? history->epochs[history->count - 1].epoch : 0,
		                    &history->epochs[history->count]);
		history->count += !status;
	}
	return status;
}

thaw_status thaw_history_read(const char *path, struct thaw_history *history_out)
{
	struct thaw_history history = {0};
	struct thaw_csv csv;
	size_t length;
	thaw_status status = thaw_file_read(path, FILE_LIMIT, &history.bytes, &length);

	if (status)
		return status;
	thaw_csv_init(&csv, path, history.bytes);
	status = read_epochs(&csv, &history);
	if (status)
		thaw_history_release(&history);
	else
		*history_out = history;
	return status;
}

void thaw_history_release(struct thaw_history *history)
{
	free(history->epochs);
	free(history->bytes);
	*history = (struct thaw_history){0};
}
