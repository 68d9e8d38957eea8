#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/meter.h"
#include "base/text.h"
#include "runner/classes.h"
#include "runner/commands.h"
#include "runner/evaluate.h"
#include "runner/record.h"
#include "runner/snapshot.h"
#include "runner/world.h"

struct arguments {
	const char *job, *checkpoint;
	struct thaw_texts sets;
};

static thaw_status parse(const struct thaw_command *self, int argc, char **argv, struct arguments *a, bool *help_out)
{
	const struct thaw_option options[] = {
		{"checkpoint", 'c', THAW_OPTION_TEXT, &a->checkpoint, 0, 0, "FILE.h5", "the checkpoint to evaluate (needed)"},
		{"set", 0, THAW_OPTION_TEXTS, &a->sets, 0, 0, "KEY=VALUE", "set a key of the job file; may be repeated"},
	};
	struct thaw_texts files = {0};
	thaw_status status =
		thaw_options_parse(self, options, sizeof options / sizeof *options, argc, argv, &files, help_out);

	if (status || *help_out)
		return status;
	if (files.count != 1)
		return thaw_fail(THAW_BAD_JOB, "eval takes one job file, not %d", files.count);
	if (!a->checkpoint)
		return thaw_fail(THAW_BAD_JOB, "eval needs --checkpoint FILE.h5");
	a->job = files.text[0];
	return THAW_OK;
}

static void tell_progress(void *context, int64_t done, int64_t batches)
{
	struct thaw_meter *meter = context;

	if (thaw_meter_due(meter))
		thaw_meter_show(meter, "validation %lld/%lld", (long long)done, (long long)batches);
}

static thaw_status evaluate(struct thaw_setup *setup, const void *arguments)
{
	const char *checkpoint = ((const struct arguments *)arguments)->checkpoint;
	struct thaw_checkpoint_facts facts;
	struct thaw_evaluator *evaluator;
	struct thaw_metrics m = {0};
	struct thaw_snapshot_wanted nothing_else = {.losses = NULL};
	struct thaw_meter meter;
	double begun;
	thaw_status status = thaw_world_agree(thaw_snapshot_read(checkpoint, setup, nothing_else, &facts));

	if (!status)
		status = thaw_setup_compare(checkpoint, thaw_setup_checksum(setup));
	if (!status)
		status = thaw_evaluator_new(setup, &evaluator);
	if (status)
		return status;
	thaw_meter_init(&meter, setup->rank == 0 ? THAW_METER_SECONDS : 0);
	thaw_evaluator_watch(evaluator, tell_progress, &meter);
	begun = thaw_clock_seconds();
	status = thaw_evaluate(evaluator, &m);
	if (!status && !isfinite(m.loss))
		status = thaw_world_agree(thaw_fail(
			THAW_DIVERGED, "'%s': the validation loss is %g: its accuracy means nothing", checkpoint, fabs(m.loss)));
	if (!status) {
		double seconds = thaw_clock_seconds() - begun, count = (double)m.count;
		struct thaw_text top5 = THAW_TEXT_EMPTY;

		if (setup->facts->classes > 5)
			thaw_text_add(&top5, "  top5 %.6f (%lld/%lld)", (double)m.top5 / count, (long long)m.top5,
			              (long long)m.count);
		thaw_log("%s  %s of epoch %lld", checkpoint, setup->job->model.arch, (long long)facts.epoch);
		thaw_log("val loss %.9g  top1 %.6f (%lld/%lld)%s  %.1f s  %.1f img/s", m.loss, (double)m.top1 / count,
		         (long long)m.top1, (long long)m.count, top5.data, seconds, count / seconds);
		thaw_text_release(&top5);
		if (setup->rank == 0)
			status = thaw_classes_tell(setup, thaw_evaluator_predictions(evaluator), setup->facts->count, NULL);
		status = thaw_world_agree(status);
	}
	thaw_evaluator_free(evaluator);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct arguments arguments = {0};
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
	status = thaw_setup_with(job, false, evaluate, &arguments);
	free(job);
	return status;
}

const struct thaw_command thaw_command_eval = {
	.name = "eval",
	.summary = "exact loss and accuracy of a checkpoint on the job's validation pictures",
	.synopsis = "[mpirun -n N] thaw eval JOB.yaml --checkpoint FILE.h5 [options]",
	.notes = "Every picture counts once, whatever N is.\n",
	.run = run,
};
