#include "runner/rates.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runner/trainer_parts.h"

enum { COLUMN = 9 };

/* Parameters first .. last; what stands between them moves as they do. */
struct column {
	int first, last;
	char name[48];
};

struct table {
	const struct thaw_trainer *trainer;
	const struct thaw_net *net;
	bool *trains[THAW_PHASES]; /* (params) */
	struct column *columns;    /* (count) */
	int count;
};

/* Whether parameters i and j have the same rate in every epoch. */
static bool moves_alike(const struct table *table, int i, int j)
{
	const double *scale = table->trainer->optimizer.lr_scale;

	for (int phase = 0; phase < table->trainer->job->phases_count; phase++)
		if (table->trains[phase][i] != table->trains[phase][j])
			return false;
	return scale[i] == scale[j];
}

/* The name of parameter i's stage if the column has all of it, otherwise of its block. */
static int part_length(const struct table *table, const struct column *column, int i)
{
	const char *group = thaw_net_param(table->net, i)->group;

	for (int k = 0; k < thaw_net_params(table->net); k++) {
		const struct thaw_param *other = thaw_net_param(table->net, k);

		if (!thaw_role_is_state(other->role) && thaw_same_stage(other->group, group) &&
		    (k < column->first || k > column->last))
			return (int)strlen(group);
	}
	return thaw_stage_length(group);
}

static void name_column(const struct table *table, struct column *column)
{
	const char *first = thaw_net_param(table->net, column->first)->group;
	const char *last = thaw_net_param(table->net, column->last)->group;
	int first_length = part_length(table, column, column->first);
	int last_length = part_length(table, column, column->last);

	if (table->count == 1)
		snprintf(column->name, sizeof column->name, "all");
	else if (first_length == last_length && strncmp(first, last, (size_t)first_length) == 0)
		snprintf(column->name, sizeof column->name, "%.*s", first_length, first);
	else
		snprintf(column->name, sizeof column->name, "%.*s-%.*s", first_length, first, last_length, last);
}

static thaw_status make_table(struct table *table, const struct thaw_trainer *t)
{
	struct column *now = NULL;
	thaw_status status = THAW_OK;

	table->trainer = t;
	table->net = t->setup->net;
	table->columns = thaw_alloc((size_t)thaw_net_params(table->net), sizeof *table->columns);
	if (!table->columns)
		return THAW_OUT_OF_MEMORY;
	for (int phase = 0; phase < t->job->phases_count && !status; phase++)
		status = thaw_setup_select(t->setup, phase, &table->trains[phase]);
	for (int i = 0; i < thaw_net_params(table->net) && !status; i++) {
		if (thaw_role_is_state(thaw_net_param(table->net, i)->role))
			continue;
		if (!now || !moves_alike(table, now->first, i)) {
			now = &table->columns[table->count++];
			now->first = i;
		}
		now->last = i;
	}
	for (int c = 0; c < table->count && !status; c++)
		name_column(table, &table->columns[c]);
	return status;
}

static void release_table(struct table *table)
{
	for (int phase = 0; phase < THAW_PHASES; phase++)
		free(table->trains[phase]);
	free(table->columns);
}

static int width(const struct column *column)
{
	int length = (int)strlen(column->name);

	return length > COLUMN ? length : COLUMN;
}

static void add_epoch(const struct table *table, int phase, int epoch, struct thaw_text *lines)
{
	double rate = thaw_trainer_rate(table->trainer, epoch, 0);

	thaw_text_add(lines, "%5d  %5d", epoch + 1, phase + 1);
	for (int c = 0; c < table->count; c++) {
		const struct column *column = &table->columns[c];

		if (table->trains[phase][column->first])
			thaw_text_add(lines, "  %*.2e", width(column), rate * table->trainer->optimizer.lr_scale[column->first]);
		else
			thaw_text_add(lines, "  %*s", width(column), "-");
	}
	thaw_text_add(lines, "\n");
}

thaw_status thaw_rates_add(const struct thaw_trainer *trainer, bool all, struct thaw_text *lines)
{
	struct table table = {0};
	thaw_status status = make_table(&table, trainer);

	if (!status) {
		thaw_text_add(lines, "epoch  phase");
		for (int c = 0; c < table.count; c++)
			thaw_text_add(lines, "  %*s", width(&table.columns[c]), table.columns[c].name);
		thaw_text_add(lines, "\n");
	}
	for (int phase = 0, epoch = 0; phase < trainer->job->phases_count && !status; phase++) {
		int end = epoch + trainer->job->phases[phase].epochs;

		for (int i = epoch; i < end; i++)
			if (all || i == epoch || i == end - 1)
				add_epoch(&table, phase, i, lines);
		epoch = end;
	}
	release_table(&table);
	return status;
}
