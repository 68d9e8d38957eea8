#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "runner/commands.h"
#include "runner/forecast.h"
#include "runner/head.h"
#include "runner/rates.h"
#include "runner/world.h"

enum {
	CLASSES = 20, /* that are listed in full; of more, half as many of the rarest and of the most frequent */
};

struct arguments {
	const char *job;
	struct thaw_texts sets;
	bool rates, no_time, engines;
	double begun; /* thaw_clock_seconds() */
};

static thaw_status parse(const struct thaw_command *self, int argc, char **argv, struct arguments *a, bool *help_out)
{
	const struct thaw_option options[] = {
		{"set", 0, THAW_OPTION_TEXTS, &a->sets, 0, 0, "KEY=VALUE", "set a key of the job file; may be repeated"},
		{"rates", 0, THAW_OPTION_FLAG, &a->rates, 0, 0, NULL,
	     "learning rates of every epoch, not of the first and last of each phase alone"},
		{"no-time", 0, THAW_OPTION_FLAG, &a->no_time, 0, 0, NULL,
	     "measure nothing, convolutions neither: quick, but without an estimate"},
		{"engines", 0, THAW_OPTION_FLAG, &a->engines, 0, 0, NULL,
	     "which implementation computes which convolution, in each phase"},
	};
	struct thaw_texts files = {0};
	thaw_status status =
		thaw_options_parse(self, options, sizeof options / sizeof *options, argc, argv, &files, help_out);

	if (status || *help_out)
		return status;
	if (files.count != 1)
		return thaw_fail(THAW_BAD_JOB, "plan takes one job file, not %d", files.count);
	a->job = files.text[0];
	return THAW_OK;
}

/* --- classes ----------------------------------------------------------------------------------------------------- */

struct class_count {
	int label;
	int64_t train, val;
};

static int rarer(const void *a, const void *b)
{
	const struct class_count *x = a, *y = b;

	if (x->train != y->train)
		return x->train < y->train ? -1 : 1;
	return x->label - y->label;
}

/* Pictures of each class in both splits: of many classes the rarest and the most frequent. */
static thaw_status add_classes(const struct thaw_setup *setup, struct thaw_text *lines)
{
	int classes = setup->facts->classes;
	bool listed = classes <= CLASSES;
	struct class_count *counts = thaw_alloc((size_t)classes, sizeof *counts);

	if (!counts)
		return THAW_OUT_OF_MEMORY;
	for (int c = 0; c < classes; c++)
		counts[c] =
			(struct class_count){c, thaw_dataset_class_count(setup->train, c), thaw_dataset_class_count(setup->val, c)};
	if (!listed)
		qsort(counts, (size_t)classes, sizeof *counts, rarer);
	thaw_text_add(lines, "   train      val  class\n");
	for (int c = 0; c < classes; c++) {
		if (!listed && c == CLASSES / 2) {
			thaw_text_add(lines, "     ...      ...  %d class%s between\n", classes - CLASSES,
			              classes - CLASSES == 1 ? "" : "es");
			c = classes - CLASSES / 2;
		}
		thaw_text_add(lines, "%8lld %8lld  ", (long long)counts[c].train, (long long)counts[c].val);
		thaw_text_add_printable(lines, thaw_dataset_class(setup->train, counts[c].label));
		thaw_text_add(lines, "\n");
	}
	free(counts);
	return THAW_OK;
}

/* --- phases ------------------------------------------------------------------------------------------------------ */

static double phase_seconds(const struct thaw_setup *setup, const struct thaw_forecast *forecast, int phase)
{
	return setup->job->phases[phase].epochs * (forecast->phases[phase].seconds + forecast->validation_seconds);
}

static void add_phases(const struct thaw_setup *setup, const struct thaw_forecast *forecast, struct thaw_text *lines)
{
	double all = (double)thaw_net_count(setup->net, NULL);
	int wide = 6;

	for (int i = 0; i < setup->job->phases_count; i++) {
		char names[256];
		int length = (int)strlen(thaw_patterns_text(&setup->job->phases[i].train, names, sizeof names));

		wide = length > wide ? length : wide;
	}
	thaw_text_add(lines, "phase  epochs     %-*s   parameters   share  steps/epoch  memory/rank  batch%s\n", wide,
	              "trains", forecast->validation_seconds > 0 ? "              time" : "");
	for (int i = 0; i < setup->job->phases_count; i++) {
		const struct thaw_phase *phase = &setup->job->phases[i];
		const struct thaw_phase_forecast *f = &forecast->phases[i];
		char epochs[32], names[256], count[32], batch[64], time[48];

		thaw_text_add(
			lines, "%5d  %-9s  %-*s  %11s  %5.1f%%  %11lld  %7.0f MiB  %s", i + 1,
			thaw_phase_epochs_text(setup->job, i, epochs), wide, thaw_patterns_text(&phase->train, names, sizeof names),
			thaw_count_text(f->parameters, count), 100.0 * (double)f->parameters / all, (long long)f->steps,
			(double)f->memory_bytes / (1024.0 * 1024.0), thaw_batch_text(phase->recipe.batch, setup->replicas, batch));
		if (forecast->validation_seconds > 0)
			thaw_text_add(lines, "%*s%s", (int)(19 - strlen(batch)) > 2 ? (int)(19 - strlen(batch)) : 2, "",
			              thaw_duration_text(phase_seconds(setup, forecast, i), time));
		thaw_text_add(lines, "\n");
	}
}

/* What the memory of a phase is for, where rank 0 computes. */
static void add_memory(const struct thaw_setup *setup, const struct thaw_forecast *forecast, struct thaw_text *lines)
{
	static const struct {
		const char *head;
		enum thaw_memory_kind kind;
	} columns[] = {
		{"parameters", THAW_MEMORY_PARAMETERS},   {"average", THAW_MEMORY_AVERAGE},
		{"optimizer", THAW_MEMORY_SLOTS},         {"gradients", THAW_MEMORY_GRADIENTS},
		{"activations", THAW_MEMORY_ACTIVATIONS}, {"workspace", THAW_MEMORY_WORKSPACE},
		{"pictures", THAW_MEMORY_PICTURES},
	};
	bool gpu = setup->device->backend->memory != NULL;

	thaw_text_add(lines, "MiB of %s\nphase", gpu ? "rank 0's GPU" : "rank 0");
	for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
		thaw_text_add(lines, "  %s", columns[i].head);
	thaw_text_add(lines, "%s\n", gpu ? "  held in all" : "");
	for (int phase = 0; phase < setup->job->phases_count; phase++) {
		const struct thaw_phase_forecast *f = &forecast->phases[phase];

		thaw_text_add(lines, "%5d", phase + 1);
		for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
			thaw_text_add(lines, "  %*.1f", (int)strlen(columns[i].head),
			              (double)f->memory[columns[i].kind] / 1048576.0);
		if (gpu)
			thaw_text_add(lines, "  %11.1f", (double)f->held_bytes / 1048576.0);
		thaw_text_add(lines, "\n");
	}
}

/* "time    about 12 min 3 s for 16 epochs, 1,216 steps: an epoch validates in 0.6 s; checkpoints come on top" */
static void add_total(const struct thaw_setup *setup, const struct thaw_forecast *forecast, struct thaw_text *lines)
{
	const struct thaw_job *job = setup->job;
	bool may_stop = job->early_stopping.patience > 0;
	int64_t steps = 0;
	double seconds = 0;
	char count[32], total[48], validation[48];

	for (int i = 0; i < job->phases_count; i++) {
		steps += job->phases[i].epochs * forecast->phases[i].steps;
		seconds += phase_seconds(setup, forecast, i);
	}
	thaw_text_add(lines, "total   %s%d epoch%s, %s steps", may_stop ? "at most " : "", job->epochs,
	              thaw_plural(job->epochs), thaw_count_text(steps, count));
	if (forecast->validation_seconds > 0)
		thaw_text_add(lines, ", about %s; of an epoch validation takes %s; checkpoints come on top",
		              thaw_duration_text(seconds, total), thaw_duration_text(forecast->validation_seconds, validation));
	thaw_text_add(lines, "\n");
}

/* Whether validation has a say in the rates. */
static bool follows_losses(const struct thaw_job *job)
{
	bool follows = false;

	for (int i = 0; i < job->phases_count; i++)
		follows |= strcmp(job->phases[i].recipe.schedule.kind, "plateau") == 0;
	return follows;
}

/* --- the command ------------------------------------------------------------------------------------------------- */

/* What is known before anything is measured. */
static thaw_status tell_data(const struct thaw_setup *setup)
{
	struct thaw_text lines = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_head_add(setup, "plan", &lines);
	thaw_text_add(&lines, "\n");
	status = add_classes(setup, &lines);
	thaw_text_add(&lines, "\n");
	if (!status)
		status = thaw_text_status(&lines);
	if (!status)
		thaw_log_lines(lines.data);
	thaw_text_release(&lines);
	return status;
}

static thaw_status tell_phases(const struct thaw_setup *setup, const struct thaw_trainer *trainer,
                               const struct thaw_forecast *forecast, bool all_rates)
{
	struct thaw_text lines = THAW_TEXT_EMPTY;
	thaw_status status;

	add_phases(setup, forecast, &lines);
	thaw_text_add(&lines, "\n");
	add_memory(setup, forecast, &lines);
	thaw_text_add(&lines, "\nlearning rates at the first step of an epoch%s\n",
	              follows_losses(setup->job) ? ", at most" : "");
	status = thaw_rates_add(trainer, all_rates, &lines);
	thaw_text_add(&lines, "\n");
	add_total(setup, forecast, &lines);
	if (!status)
		status = thaw_head_add_advice(setup, true, &lines);
	if (!status)
		status = thaw_text_status(&lines);
	if (!status)
		thaw_log_lines(lines.data);
	thaw_text_release(&lines);
	return status ? status : thaw_head_warn(setup);
}

static thaw_status plan(struct thaw_setup *setup, const void *arguments)
{
	const struct arguments *a = arguments;
	struct thaw_train_options options = {.begun_seconds = a->begun};
	struct thaw_text engines = THAW_TEXT_EMPTY;
	struct thaw_forecast forecast;
	struct thaw_trainer *trainer;
	thaw_status status;

	setup->device->untimed = a->no_time;
	status = thaw_trainer_new(setup, &options, &trainer);
	if (status)
		return status;
	status = thaw_world_agree(tell_data(setup));
	if (!status)
		status = thaw_forecast_job(trainer, !a->no_time, a->engines ? &engines : NULL, &forecast);
	if (!status)
		status = thaw_world_agree(tell_phases(setup, trainer, &forecast, a->rates));
	if (!status)
		status = thaw_world_agree(thaw_text_status(&engines));
	if (!status)
		thaw_log_lines(engines.data);
	thaw_text_release(&engines);
	if (!thaw_world_alone(status))
		thaw_trainer_free(trainer);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct arguments arguments = {.begun = thaw_clock_seconds()};
	struct thaw_job *job;
	bool help;
	thaw_status status = thaw_world_start(&argc, &argv);

	if (!status)
		status = thaw_world_agree(parse(self, argc, argv, &arguments, &help));
	if (status || help)
		return status;
	status = thaw_setup_load(arguments.job, &arguments.sets, &job);
	if (status)
		return status;
	status = thaw_setup_with(job, true, plan, &arguments);
	free(job);
	return status;
}

const struct thaw_command thaw_command_plan = {
	.name = "plan",
	.summary = "what a job would do, without doing it: phases, rates, memory, time",
	.synopsis = "[mpirun -n N] thaw plan JOB.yaml [options]",
	.notes =
		"What `thaw train` checks of job and data is checked; no run folder is looked at, made or changed. With as many\n"
		"ranks as the run will have, memory and time are those of the run: a few steps of each phase and a few batches of\n"
		"validation are measured. Memory is that of parameters, gradients, optimizer and activations, where they are\n"
		"computed with; libraries and pictures on their way come on top. What a GPU has given away since it was opened, to\n"
		"all of these, is asked of it.\n"
		"\n"
		"    mpirun -n 2 thaw plan job.yaml --set batch=64\n",
	.run = run,
};
