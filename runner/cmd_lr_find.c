#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/lr_range.h"
#include "base/mem.h"
#include "base/meter.h"
#include "jobs/warnings.h"
#include "runner/commands.h"
#include "runner/head.h"
#include "runner/snapshot.h"
#include "runner/trainer_parts.h"
#include "runner/world.h"

enum {
	EPOCHS = 1000000, /* more than any sweep needs */
	ROWS = 25,        /* of the curve on a terminal, about */
	BAR = 40,         /* characters at most */
	SKIPPED = 10,     /* part of the steps, the first, that scatter too much to scale bars by */
};

struct arguments {
	const char *job, *checkpoint, *out;
	struct thaw_texts sets;
	struct thaw_lr_range range;
	int64_t steps, phase;
	bool own; /* the phase has another rate than the job */
};

/* What a sweep came to. */
struct sweep {
	const struct thaw_lr_range *range;
	int count;        /* steps done */
	double *loss;     /* (steps) */
	double *smoothed; /* (steps) */
	bool broke;       /* the loss was not finite in the step after them */
};

static thaw_status check(struct arguments *a, const struct thaw_texts *files)
{
	if (files->count != 1)
		return thaw_fail(THAW_BAD_JOB, "lr-find takes one job file, not %d", files->count);
	if (!(a->range.from < a->range.to))
		return thaw_fail(THAW_BAD_JOB, "--from %g: allowed is less than --to %g", a->range.from, a->range.to);
	a->job = files->text[0];
	a->range.steps = (int)a->steps;
	return THAW_OK;
}

static thaw_status parse(const struct thaw_command *self, int argc, char **argv, struct arguments *a, bool *help_out)
{
	const struct thaw_option options[] = {
		{"set", 0, THAW_OPTION_TEXTS, &a->sets, 0, 0, "KEY=VALUE", "set a key of the job file; may be repeated"},
		{"from", 0, THAW_OPTION_NUMBER, &a->range.from, 1e-12, 1e6, "RATE", "the first learning rate (1e-7)"},
		{"to", 0, THAW_OPTION_NUMBER, &a->range.to, 1e-12, 1e6, "RATE", "the last learning rate (10)"},
		{"steps", 0, THAW_OPTION_INT, &a->steps, 10, 10000, "N", "steps from the first to the last (100)"},
		{"phase", 0, THAW_OPTION_INT, &a->phase, 1, THAW_PHASES, "N", "the phase of the job to look at (1)"},
		{"checkpoint", 'c', THAW_OPTION_TEXT, &a->checkpoint, 0, 0, "FILE.h5",
	     "weights to begin with, such as the end of the phase before"},
		{"out", 'o', THAW_OPTION_TEXT, &a->out, 0, 0, "FILE.csv", "write the curve"},
	};
	struct thaw_texts files = {0};
	thaw_status status =
		thaw_options_parse(self, options, sizeof options / sizeof *options, argc, argv, &files, help_out);

	return status || *help_out ? status : check(a, &files);
}

/* --- the sweep --------------------------------------------------------------------------------------------------- */

/* The bars of the smoothed losses begin at the least. The longest is that of the highest up to the least, or of half
 * more, so that what runs away does not make the valley flat: what is cut off ends in '>'. */
static void tell_curve(const struct sweep *sweep)
{
	int every = (sweep->range->steps + ROWS - 1) / ROWS;
	int first = sweep->range->steps / SKIPPED < sweep->count ? sweep->range->steps / SKIPPED : 0;
	double least = sweep->smoothed[first], top = least, most = least;

	for (int i = first; i < sweep->count; i++) {
		most = fmax(most, sweep->smoothed[i]);
		if (sweep->smoothed[i] < least) {
			least = sweep->smoothed[i];
			top = most;
		}
	}
	top = top > least ? least + 1.5 * (top - least) : most;
	thaw_log(" step  lr             loss   smoothed");
	for (int i = 0; i < sweep->count; i++) {
		double loss = sweep->smoothed[i], length = top > least ? BAR * (loss - least) / (top - least) : 0;
		char bar[BAR + 2] = "";

		if (i % every != 0 && i != sweep->count - 1)
			continue;
		for (int n = 0; n < BAR && n + 0.5 < length; n++)
			bar[n] = '#';
		if (length > BAR + 0.5)
			bar[BAR] = '>';
		thaw_log("%5d  %.2e  %9.4g  %9.4g  %s", i + 1, thaw_lr_range_rate(sweep->range, i), sweep->loss[i], loss, bar);
	}
}

/* Steps at rising rates until the last, or until the loss has run away. */
static thaw_status run_sweep(struct thaw_trainer *trainer, struct sweep *sweep)
{
	struct thaw_meter meter;
	thaw_status status = THAW_OK;

	thaw_meter_init(&meter, trainer->setup->rank == 0 ? THAW_METER_SECONDS : 0);
	for (int i = 0; i < sweep->range->steps && !status && !sweep->broke; i++) {
		struct thaw_metrics metrics;

		status = thaw_trainer_probe(trainer, thaw_lr_range_rate(sweep->range, i), &metrics);
		sweep->broke = status == THAW_DIVERGED || (!status && !isfinite(metrics.loss));
		if (status || sweep->broke)
			break;
		sweep->loss[i] = metrics.loss;
		sweep->count = i + 1;
		thaw_lr_range_smooth(sweep->loss, sweep->count, sweep->smoothed);
		if (thaw_meter_due(&meter))
			thaw_meter_show(&meter, "step %d/%d  lr %.2e  smoothed loss %.4g", i + 1, sweep->range->steps,
			                thaw_lr_range_rate(sweep->range, i), sweep->smoothed[i]);
		if (thaw_lr_range_ends(sweep->smoothed, sweep->count))
			break;
	}
	thaw_meter_rest(&meter);
	return sweep->broke ? THAW_OK : status;
}

static thaw_status write_curve(const char *path, const struct sweep *sweep)
{
	struct thaw_text csv = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_text_add(&csv, "step,lr,loss,smoothed\n");
	for (int i = 0; i < sweep->count; i++)
		thaw_text_add(&csv, "%d,%.9g,%.9g,%.9g\n", i + 1, thaw_lr_range_rate(sweep->range, i), sweep->loss[i],
		              sweep->smoothed[i]);
	status = thaw_text_status(&csv);
	if (!status)
		status = thaw_file_publish(path, csv.data, csv.length);
	thaw_text_release(&csv);
	return status;
}

/* --- what it says ------------------------------------------------------------------------------------------------ */

static void tell_end(const struct sweep *sweep)
{
	double rate = thaw_lr_range_rate(sweep->range, sweep->count);

	if (sweep->broke)
		thaw_log("ended at step %d of %d, rate %.2e: the loss is no longer finite", sweep->count + 1,
		         sweep->range->steps, rate);
	else if (sweep->count < sweep->range->steps)
		thaw_log("ended after step %d of %d, rate %.2e: the smoothed loss is over 4 times the least", sweep->count,
		         sweep->range->steps, thaw_lr_range_rate(sweep->range, sweep->count - 1));
}

/* How a job takes over the rate: a phase that has one of its own does not look at optimizer.lr. One that has the same
 * may have it from there, or have been given it. */
static void tell_use(double rate, int phase, bool own)
{
	if (own) {
		thaw_log("use       lr: %.1e in phase %d of the job file, which has a rate of its own", rate, phase);
		return;
	}
	thaw_log("use       --set optimizer.lr=%.1e", rate);
	thaw_log("          or lr: %.1e in phase %d of the job file, where that is given a rate of its own", rate, phase);
}

static void warn_if_unusual(double rate, const struct thaw_job *job)
{
	double low, high;

	if (thaw_usual_rates(job->optimizer.kind, job->recipe.batch, &low, &high) && !(rate >= low && rate <= high))
		thaw_warn("usual for %s with batches of %d is %g to %g: try one of those beside it", job->optimizer.kind,
		          job->recipe.batch, low, high);
}

/* No rate can be read off the curve. */
static thaw_status fail_without(const struct sweep *sweep, struct thaw_lr_fall fall)
{
	if (sweep->broke)
		return thaw_fail(THAW_DIVERGED,
		                 "the loss is not finite at step %d, rate %.2e: too soon to suggest a rate; a lower --from may "
		                 "help",
		                 sweep->count + 1, thaw_lr_range_rate(sweep->range, sweep->count));
	if (fall.share > 0)
		return thaw_fail(THAW_FAILED,
		                 "no rate to suggest: the smoothed loss falls by %.1f%% in %d steps from %.2e on, which may be "
		                 "chance: more --steps, other --from and --to, or a larger batch, may help",
		                 100 * fall.share, sweep->count, sweep->range->from);
	return thaw_fail(
		THAW_FAILED,
		"no rate to suggest: the loss does not fall in %d steps from %.2e on; other --from and --to, or more "
		"--steps, may help",
		sweep->count, sweep->range->from);
}

static void tell_suggestion(const struct sweep *sweep, const struct thaw_lr_suggestion *suggestion,
                            const struct thaw_job *job, int phase, bool own)
{
	double rate = thaw_lr_range_rate(sweep->range, suggestion->valley);

	thaw_log("valley    %.1e", rate);
	if (suggestion->steepest >= 0)
		thaw_log("steepest  %.1e", thaw_lr_range_rate(sweep->range, suggestion->steepest));
	tell_use(rate, phase, own);
	warn_if_unusual(rate, job);
}

/* The file last, so that one that cannot be written costs nothing of what was found. */
static thaw_status tell(const struct sweep *sweep, const struct arguments *a, const struct thaw_job *job)
{
	struct thaw_lr_suggestion suggestion;
	struct thaw_lr_fall fall = thaw_lr_range_fall(sweep->range, sweep->loss, sweep->smoothed, sweep->count);
	thaw_status status = thaw_lr_range_suggest(sweep->range, sweep->smoothed, sweep->count, &suggestion);
	bool found = !status && suggestion.valley >= 0 && !thaw_lr_range_is_chance(fall);

	if (!status) {
		tell_curve(sweep);
		tell_end(sweep);
	}
	if (found)
		tell_suggestion(sweep, &suggestion, job, (int)a->phase, a->own);
	if (!status && a->out && thaw_comm_rank(thaw_world()) == 0)
		status = write_curve(a->out, sweep);
	if (!status && !found)
		status = fail_without(sweep, fall);
	return thaw_world_agree(status);
}

/* --- the command ------------------------------------------------------------------------------------------------- */

/* Leaves of the job the phase alone, as long as it takes. A step that cannot be made ends a sweep. */
static thaw_status keep_phase(struct thaw_job *job, int phase, bool *own_out)
{
	if (phase > job->phases_count)
		return thaw_fail(THAW_BAD_JOB, "--phase %d: the job has %d", phase, job->phases_count);
	job->phases[0] = job->phases[phase - 1];
	job->phases[0].epochs = job->epochs = EPOCHS;
	job->phases_count = 1;
	job->max_skipped = 0;
	*own_out = job->phases[0].recipe.lr != job->recipe.lr;
	job->recipe = job->phases[0].recipe;
	return THAW_OK;
}

static thaw_status tell_head(const struct thaw_setup *setup, const struct arguments *a)
{
	struct thaw_text lines = THAW_TEXT_EMPTY;
	char names[256];
	thaw_status status;

	thaw_head_add(setup, "lr-find", &lines);
	thaw_text_add(&lines, "sweep   phase %d, %s: %d steps from %g to %g\n\n", (int)a->phase,
	              thaw_patterns_text(&setup->job->phases[0].train, names, sizeof names), a->range.steps, a->range.from,
	              a->range.to);
	status = thaw_text_status(&lines);
	if (!status)
		thaw_log_lines(lines.data);
	thaw_text_release(&lines);
	return status;
}

static thaw_status find(struct thaw_setup *setup, const void *arguments)
{
	const struct arguments *a = arguments;
	struct thaw_train_options options = {.measure_steps = a->steps, .begun_seconds = thaw_clock_seconds()};
	struct sweep sweep = {.range = &a->range};
	struct thaw_checkpoint_facts facts;
	struct thaw_trainer *trainer;
	thaw_status status = thaw_trainer_new(setup, &options, &trainer);

	if (status)
		return status;
	if (a->checkpoint)
		status = thaw_snapshot_read(a->checkpoint, setup, (struct thaw_snapshot_wanted){.losses = NULL}, &facts);
	if (!status && a->checkpoint)
		status = thaw_updater_begin(trainer->updater, 0);
	sweep.loss = thaw_alloc((size_t)a->steps, sizeof *sweep.loss);
	sweep.smoothed = thaw_alloc((size_t)a->steps, sizeof *sweep.smoothed);
	if (!status)
		status = sweep.loss && sweep.smoothed ? tell_head(setup, a) : THAW_OUT_OF_MEMORY;
	status = thaw_world_agree(status);
	if (!status)
		status = thaw_setup_compare(a->checkpoint ? a->checkpoint : a->job, thaw_setup_checksum(setup));
	if (!status)
		status = run_sweep(trainer, &sweep);
	if (!status)
		status = tell(&sweep, a, setup->job);
	free(sweep.loss);
	free(sweep.smoothed);
	if (!thaw_world_alone(status))
		thaw_trainer_free(trainer);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct arguments arguments = {.range = {.from = 1e-7, .to = 10}, .steps = 100, .phase = 1};
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
	status = thaw_world_agree(keep_phase(job, (int)arguments.phase, &arguments.own));
	if (!status)
		status = thaw_setup_with(job, true, find, &arguments);
	free(job);
	return status;
}

const struct thaw_command thaw_command_lr_find = {
	.name = "lr-find",
	.summary = "a learning rate for a job, from a short training at rising rates",
	.synopsis = "[mpirun -n N] thaw lr-find JOB.yaml [options]",
	.notes =
		"The rate rises with every step, by equal factors. At first the loss stays, then it falls, and at the end it\n"
		"runs away: the sweep is over when the smoothed loss is 4 times its least, or not finite. `valley` lies in\n"
		"the middle of the fall, `steepest` where it is fastest (Smith 2017; fastai's lr_find). A fall that may be\n"
		"chance, below 3.8 standard errors, suggests nothing. Schedules are left out, factors of optimizer.lr_scale\n"
		"are not. No run folder is touched, and no weights are kept.\n"
		"\n"
		"    mpirun -n 2 thaw lr-find job.yaml -o curve.csv\n"
		"    thaw lr-find job.yaml --phase 2 -c runs/job/epoch-0003.h5 --from 1e-5 --to 1\n",
	.run = run,
};
