#include "runner/head.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "base/processors.h"
#include "base/strategy.h"
#include "jobs/warnings.h"

const char *thaw_patterns_text(const struct thaw_patterns *patterns, char *text, size_t size)
{
	size_t at = 0;

	text[0] = '\0';
	for (int i = 0; i < patterns->count && at < size; i++)
		at += (size_t)snprintf(text + at, size - at, "%s%s", i ? " " : "", patterns->text[i]);
	return text;
}

const char *thaw_phase_epochs_text(const struct thaw_job *job, int phase, char text[32])
{
	int first = 1, epochs = job->phases[phase].epochs;

	for (int i = 0; i < phase; i++)
		first += job->phases[i].epochs;
	if (epochs > 1)
		snprintf(text, 32, "%d-%d", first, first + epochs - 1);
	else
		snprintf(text, 32, "%d", first);
	return text;
}

const char *thaw_batch_text(int batch, int replicas, char text[64])
{
	int length = snprintf(text, 64, "%d = %d x %d", batch, replicas, batch / replicas);

	if (batch % replicas)
		snprintf(text + length, 64 - (size_t)length, " or %d", batch / replicas + 1);
	return text;
}

const char *thaw_duration_text(double seconds, char text[48])
{
	if (seconds < 60)
		snprintf(text, 48, "%.1f s", seconds);
	else if (seconds < 3600)
		snprintf(text, 48, "%.0f min %.0f s", floor(seconds / 60), floor(fmod(seconds, 60)));
	else
		snprintf(text, 48, "%.0f h %.0f min", floor(seconds / 3600), floor(fmod(seconds, 3600) / 60));
	return text;
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

/* "244 train (ants 123, bees 121)": the first few classes by name. */
static void add_split(struct thaw_text *text, const struct thaw_dataset *dataset)
{
	const struct thaw_dataset_facts *facts = thaw_dataset_facts(dataset);
	const int named = facts->classes <= 6 ? facts->classes : 3;
	char count[32];

	thaw_text_add(text, "%s %s (", thaw_count_text(facts->count, count), facts->split);
	for (int i = 0; i < named; i++) {
		thaw_text_add(text, "%s", i ? ", " : "");
		thaw_text_add_printable(text, thaw_dataset_class(dataset, i));
		thaw_text_add(text, " %lld", (long long)thaw_dataset_class_count(dataset, i));
	}
	if (named < facts->classes)
		thaw_text_add(text, ", ... %d classes", facts->classes);
	thaw_text_add(text, ")");
}

/* What a GPU computes with, and what sums its gradients; a processor has no choice of either. */
static void add_arithmetic(const struct thaw_setup *setup, struct thaw_text *text)
{
	const struct thaw_job *job = setup->job;

	if (!setup->device->backend->memory)
		return;
	thaw_text_add(text, ", %s", job->tf32 && setup->device->number == THAW_FLOAT32 ? "tf32" : job->precision);
	if (setup->sums && setup->ranks > 1)
		thaw_text_add(text, ", %s", thaw_sums_describe(setup->sums));
}

void thaw_head_add(const struct thaw_setup *setup, const char *where, struct thaw_text *lines)
{
	const struct thaw_job *job = setup->job;
	const float *mean = setup->facts->mean, *std = setup->facts->std;
	char count[32], batch[64];

	thaw_text_add(lines, "thaw %s  ", THAW_VERSION);
	thaw_text_add_printable(lines, where);
	thaw_text_add(lines, "  %d rank%s, %s", setup->ranks, thaw_plural(setup->ranks),
	              thaw_device_describe(setup->device));
	add_arithmetic(setup, lines);
	thaw_text_add(lines, ", %d thread%s each\n", setup->threads, thaw_plural(setup->threads));
	thaw_text_add(lines, "data    ");
	add_split(lines, setup->train);
	thaw_text_add(lines, "  ");
	add_split(lines, setup->val);
	thaw_text_add(lines, "  crop %d  batch %s\n", job->data.crop,
	              thaw_batch_text(job->recipe.batch, setup->replicas, batch));
	thaw_text_add(lines, "        normalised as the shards say: mean %g %g %g, std %g %g %g\n", (double)mean[0],
	              (double)mean[1], (double)mean[2], (double)std[0], (double)std[1], (double)std[2]);
	thaw_text_add(lines, "model   %s %s parameters  weights ", job->model.arch,
	              thaw_count_text(thaw_net_count(setup->net, NULL), count));
	thaw_text_add_printable(lines, setup->weights);
	thaw_text_add(lines, "\n");
}

thaw_status thaw_head_add_phases(const struct thaw_setup *setup, struct thaw_text *lines)
{
	int64_t all = thaw_net_count(setup->net, NULL);

	thaw_text_add(lines, "phases");
	for (int i = 0; i < setup->job->phases_count; i++) {
		char epochs[32], names[256], count[32];
		bool *trains;
		thaw_status status = thaw_setup_select(setup, i, &trains);

		if (status)
			return status;
		thaw_text_add(lines, "  %s %s %s (%.1f%%)", thaw_phase_epochs_text(setup->job, i, epochs),
		              thaw_patterns_text(&setup->job->phases[i].train, names, sizeof names),
		              thaw_count_text(thaw_net_count(setup->net, trains), count),
		              100.0 * (double)thaw_net_count(setup->net, trains) / (double)all);
		free(trains);
	}
	thaw_text_add(lines, "\n");
	return THAW_OK;
}

/* --- advice and warnings ------------------------------------------------------------------------------------------ */

/* Pictures of each class, (classes); the caller frees them. NULL: out of memory. */
static int64_t *class_counts(const struct thaw_dataset *dataset)
{
	int classes = thaw_dataset_facts(dataset)->classes;
	int64_t *counts = thaw_alloc((size_t)classes, sizeof *counts);

	for (int c = 0; counts && c < classes; c++)
		counts[c] = thaw_dataset_class_count(dataset, c);
	return counts;
}

/* The most that trains in any phase. The head is the last stage of the table of parameters. */
static thaw_status find_extent(const struct thaw_setup *setup, enum thaw_extent *extent_out)
{
	const struct thaw_net *net = setup->net;
	const char *head = thaw_net_param(net, thaw_net_params(net) - 1)->group;
	enum thaw_extent extent = THAW_TRAINS_HEAD;

	for (int phase = 0; phase < setup->job->phases_count; phase++) {
		bool *trains;
		thaw_status status = thaw_setup_select(setup, phase, &trains);

		if (status)
			return status;
		for (int i = 0; i < thaw_net_params(net) && extent == THAW_TRAINS_HEAD; i++)
			if (trains[i] && !thaw_same_stage(thaw_net_param(net, i)->group, head))
				extent = THAW_TRAINS_PART;
		if (thaw_net_count(net, trains) == thaw_net_count(net, NULL))
			extent = THAW_TRAINS_ALL;
		free(trains);
	}
	*extent_out = extent;
	return THAW_OK;
}

thaw_status thaw_head_add_advice(const struct thaw_setup *setup, bool always, struct thaw_text *lines)
{
	int64_t *counts = class_counts(setup->train);
	enum thaw_extent extent;
	thaw_status status = counts ? find_extent(setup, &extent) : THAW_OUT_OF_MEMORY;

	if (!status) {
		const struct thaw_strategy *strategy = thaw_strategy_of(counts, setup->facts->classes, thaw_job_pretrained(setup->job));

		if (always || strategy->extent != extent) {
			thaw_text_add(lines, "advice  ");
			thaw_strategy_add_text(strategy, extent, lines);
			thaw_text_add(lines, "\n");
		}
	}
	free(counts);
	return status;
}

static void warn_lines(const char *lines)
{
	for (size_t length; *lines; lines += length + 1) {
		length = strcspn(lines, "\n");
		thaw_warn("%.*s", (int)length, lines);
	}
}

static thaw_status count_norms(const struct thaw_setup *setup, struct thaw_norm_counts norms[THAW_PHASES])
{
	for (int phase = 0; phase < setup->job->phases_count; phase++) {
		bool *trains;
		thaw_status status = thaw_setup_select(setup, phase, &trains);

		if (status)
			return status;
		norms[phase] = (struct thaw_norm_counts){0};
		for (int i = 0; i < thaw_net_params(setup->net); i++)
			if (thaw_net_param(setup->net, i)->role == THAW_NORM_WEIGHT)
				*(trains[i] ? &norms[phase].trained : &norms[phase].frozen) += 1;
		free(trains);
	}
	return THAW_OK;
}

thaw_status thaw_head_warn(const struct thaw_setup *setup)
{
	struct thaw_norm_counts norms[THAW_PHASES];
	int64_t *train = class_counts(setup->train), *val = class_counts(setup->val);
	const char **names = thaw_setup_class_names(setup);
	struct thaw_text lines = THAW_TEXT_EMPTY;
	thaw_status status = train && val && names ? count_norms(setup, norms) : THAW_OUT_OF_MEMORY;

	if (!status) {
		const struct thaw_data_counts data = {setup->facts->classes, names, train, val, setup->facts->resize};
		const struct thaw_rank_counts ranks = {setup->replicas, thaw_comm_local_size(setup->comm),
		                                       thaw_processors_unbound()};

		thaw_job_add_warnings(setup->job, &data, norms, &ranks, &lines);
		status = thaw_text_status(&lines);
	}
	if (!status)
		warn_lines(lines.data);
	thaw_text_release(&lines);
	free(names);
	free(train);
	free(val);
	return status;
}
