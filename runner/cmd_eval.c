#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/confusion.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "runner/commands.h"
#include "runner/evaluate.h"
#include "runner/record.h"
#include "runner/snapshot.h"
#include "runner/watchdog.h"
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

/* Which classes are taken for which. */
static thaw_status tell_classes(const struct thaw_setup *setup, const struct thaw_prediction *predictions)
{
	size_t count = (size_t)setup->facts->count;
	int32_t *labels = thaw_alloc(count, sizeof *labels), *predicted = thaw_alloc(count, sizeof *predicted);
	const char **names = thaw_setup_class_names(setup);
	struct thaw_confusion confusion = {0};
	struct thaw_text text = THAW_TEXT_EMPTY;
	thaw_status status = labels && predicted && names ? THAW_OK : THAW_OUT_OF_MEMORY;

	for (size_t i = 0; i < count && !status; i++) {
		labels[i] = predictions[i].label;
		predicted[i] = predictions[i].predicted;
	}
	if (!status)
		status = thaw_confusion_init(labels, predicted, (int64_t)count, setup->facts->classes, &confusion);
	if (!status) {
		thaw_confusion_add_text(&confusion, names, &text);
		status = thaw_text_status(&text);
	}
	if (!status) {
		thaw_log("%s", "");
		thaw_log_lines(text.data);
	}
	thaw_confusion_release(&confusion);
	thaw_text_release(&text);
	free(names);
	free(predicted);
	free(labels);
	return status;
}

static thaw_status evaluate(struct thaw_setup *setup, const char *checkpoint)
{
	struct thaw_checkpoint_facts facts;
	struct thaw_evaluator *evaluator;
	struct thaw_metrics m = {0};
	struct thaw_snapshot_wanted nothing_else = {NULL, NULL};
	double begun;
	thaw_status status = thaw_world_agree(thaw_snapshot_read(checkpoint, setup, nothing_else, &facts));

	if (!status)
		status = thaw_setup_compare(checkpoint, thaw_setup_checksum(setup));
	if (!status)
		status = thaw_evaluator_new(setup, &evaluator);
	if (status)
		return status;
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
			status = tell_classes(setup, thaw_evaluator_predictions(evaluator));
		status = thaw_world_agree(status);
	}
	thaw_evaluator_free(evaluator);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct arguments arguments = {0};
	struct thaw_setup setup;
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
	status = thaw_watchdog_start(thaw_comm_rank(thaw_world()), job->timeout);
	if (!status)
		status = thaw_setup_open(job, false, &setup);
	if (!status) {
		status = evaluate(&setup, arguments.checkpoint);
		thaw_setup_release(&setup);
	}
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
