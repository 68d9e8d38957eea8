/* Which implementations a plan has chosen, as a table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "nn/plan_memory.h"

enum { SHAPE = 96 };

static const char *const heads[THAW_STEP_PASSES] = {"forward", "gradient by input", "gradient by weights"};

struct row {
	char shape[SHAPE];
	const char *engines[THAW_STEP_PASSES];
	int count;
};

/* "64 to 128, 56x56 to 28x28, kernel 3, stride 2" */
static void describe_shape(const struct thaw_step *step, char text[SHAPE])
{
	int at = snprintf(text, SHAPE, "%d to %d, %dx%d", step->x->c, step->y->c, step->x->h, step->x->w);

	if (step->y->h != step->x->h || step->y->w != step->x->w)
		at += snprintf(text + at, SHAPE - (size_t)at, " to %dx%d", step->y->h, step->y->w);
	at += snprintf(text + at, SHAPE - (size_t)at, ", kernel %d", step->kernel);
	if (step->stride > 1)
		at += snprintf(text + at, SHAPE - (size_t)at, ", stride %d", step->stride);
	if (step->groups > 1)
		at += snprintf(text + at, SHAPE - (size_t)at, ", groups %d", step->groups);
	if (step->residual)
		snprintf(text + at, SHAPE - (size_t)at, ", residual");
}

/* Whether both name the same; how it was found, in brackets, does not matter. */
static bool same_engine(const char *a, const char *b)
{
	size_t length = strcspn(a, "(");

	return length == strcspn(b, "(") && strncmp(a, b, length) == 0;
}

static bool same_row(const struct row *a, const struct row *b)
{
	bool same = strcmp(a->shape, b->shape) == 0;

	for (int pass = 0; pass < THAW_STEP_PASSES; pass++)
		same = same && same_engine(a->engines[pass], b->engines[pass]);
	return same;
}

static int collect(const struct thaw_plan *plan, struct row *rows)
{
	int count = 0;

	for (int i = 0; i < plan->steps_count; i++) {
		const struct thaw_step *step = &plan->steps[i];
		struct row row = {.count = 1};
		int k = 0;

		if (!step->ops->engine)
			continue;
		describe_shape(step, row.shape);
		for (int pass = 0; pass < THAW_STEP_PASSES; pass++) {
			const char *engine = step->ops->engine(step, (enum thaw_step_pass)pass);

			row.engines[pass] = engine ? engine : "-";
		}
		while (k < count && !same_row(&rows[k], &row))
			k++;
		if (k < count)
			rows[k].count++;
		else
			rows[count++] = row;
	}
	return count;
}

static int wider(int wide, const char *text)
{
	return (int)strlen(text) > wide ? (int)strlen(text) : wide;
}

void thaw_plan_add_engines(const struct thaw_plan *plan, struct thaw_text *lines)
{
	struct row *rows = thaw_alloc((size_t)plan->steps_count, sizeof *rows);
	int count = rows ? collect(plan, rows) : 0, shape = (int)strlen("convolution");
	int wide[THAW_STEP_PASSES];

	lines->out_of_memory |= !rows;
	for (int pass = 0; pass < THAW_STEP_PASSES; pass++)
		wide[pass] = (int)strlen(heads[pass]);
	for (int i = 0; i < count; i++) {
		shape = wider(shape, rows[i].shape);
		for (int pass = 0; pass < THAW_STEP_PASSES; pass++)
			wide[pass] = wider(wide[pass], rows[i].engines[pass]);
	}
	thaw_text_add(lines, "count  %-*s  %-*s  %-*s  %s\n", shape, "convolution", wide[0], heads[0], wide[1], heads[1],
	              heads[2]);
	for (int i = 0; i < count; i++)
		thaw_text_add(lines, "%5d  %-*s  %-*s  %-*s  %s\n", rows[i].count, shape, rows[i].shape, wide[0],
		              rows[i].engines[0], wide[1], rows[i].engines[1], rows[i].engines[2]);
	free(rows);
}
