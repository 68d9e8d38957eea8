#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/meter.h"
#include "base/text.h"
#include "io/seal.h"
#include "runner/classes.h"
#include "runner/commands.h"
#include "runner/evaluate.h"
#include "runner/pretrained.h"
#include "runner/record.h"
#include "runner/snapshot.h"
#include "runner/world.h"

struct arguments {
	const char *job, *checkpoint;
	struct thaw_texts sets;
	bool json;
};

static thaw_status parse(const struct thaw_command *self, int argc, char **argv, struct arguments *a, bool *help_out)
{
	const struct thaw_option options[] = {
		{"checkpoint", 'c', THAW_OPTION_TEXT, &a->checkpoint, 0, 0, "FILE",
	     "the checkpoint, or other file of weights, to evaluate\n(the job's model.weights)"},
		{"set", 0, THAW_OPTION_TEXTS, &a->sets, 0, 0, "KEY=VALUE", "set a key of the job file; may be repeated"},
		{"json", 0, THAW_OPTION_FLAG, &a->json, 0, 0, NULL, "print one object of JSON, with the whole confusion matrix"},
	};
	struct thaw_texts files = {0};
	thaw_status status =
		thaw_options_parse(self, options, sizeof options / sizeof *options, argc, argv, &files, help_out);

	if (status || *help_out)
		return status;
	if (files.count != 1)
		return thaw_fail(THAW_BAD_JOB, "eval takes one job file, not %d", files.count);
	a->job = files.text[0];
	return THAW_OK;
}

static void tell_progress(void *context, int64_t done, int64_t batches)
{
	struct thaw_meter *meter = context;

	if (thaw_meter_due(meter))
		thaw_meter_show(meter, "validation %lld/%lld", (long long)done, (long long)batches);
}

/* Reads a checkpoint of thaw, or what others wrote, of which no epoch is known: -1. */
static thaw_status read_weights(struct thaw_setup *setup, const char *path, int64_t *epoch_out)
{
	struct thaw_snapshot_wanted nothing_else = {.losses = NULL};
	struct thaw_checkpoint_facts facts;
	const char *kind;
	thaw_status status;

	*epoch_out = -1;
	if (thaw_seal_kind(path, &kind) != THAW_OK || strcmp(kind, "checkpoint") != 0)
		return thaw_pretrained_read(setup, path);
	status = thaw_world_agree(thaw_snapshot_read(path, setup, nothing_else, &facts));
	if (!status) {
		*epoch_out = facts.epoch;
		status = thaw_setup_compare(path, thaw_setup_checksum(setup));
	}
	return status;
}

/* What came of it. */
struct result {
	const char *file;
	int64_t epoch; /* -1: not known */
	struct thaw_metrics metrics;
	double seconds;
	const struct thaw_prediction *predictions; /* (count of the split) */
};

static thaw_status tell_text(const struct thaw_setup *setup, const struct result *r)
{
	const struct thaw_metrics *m = &r->metrics;
	struct thaw_text top5 = THAW_TEXT_EMPTY;
	double count = (double)m->count;
	char epoch[32] = "";

	if (setup->facts->classes > 5)
		thaw_text_add(&top5, "  top5 %.6f (%lld/%lld)", (double)m->top5 / count, (long long)m->top5,
		              (long long)m->count);
	if (r->epoch >= 0)
		snprintf(epoch, sizeof epoch, " of epoch %lld", (long long)r->epoch);
	thaw_log("%s  %s%s", r->file, setup->job->model.arch, epoch);
	thaw_log("val loss %.9g  top1 %.6f (%lld/%lld)%s  %.1f s  %.1f img/s", m->loss, (double)m->top1 / count,
	         (long long)m->top1, (long long)m->count, top5.data, r->seconds, count / r->seconds);
	thaw_text_release(&top5);
	return thaw_classes_tell(setup, r->predictions, setup->facts->count, NULL);
}

static thaw_status tell_json(const struct thaw_setup *setup, const struct result *r)
{
	const struct thaw_metrics *m = &r->metrics;
	const char **names = thaw_setup_class_names(setup);
	struct thaw_confusion confusion = {0};
	struct thaw_text json = THAW_TEXT_EMPTY;
	thaw_status status =
		names ? thaw_classes_count(setup, r->predictions, setup->facts->count, &confusion) : THAW_OUT_OF_MEMORY;

	if (!status) {
		thaw_json_open(&json, NULL, '{');
		thaw_json_text(&json, "file", r->file);
		thaw_json_text(&json, "arch", setup->job->model.arch);
		if (r->epoch >= 0)
			thaw_json_integer(&json, "epoch", r->epoch);
		else
			thaw_json_text(&json, "epoch", NULL);
		thaw_json_number(&json, "loss", m->loss);
		thaw_json_integer(&json, "count", m->count);
		thaw_json_integer(&json, "top1_correct", m->top1);
		if (setup->facts->classes > 5)
			thaw_json_integer(&json, "top5_correct", m->top5);
		thaw_json_fixed(&json, "seconds", r->seconds, 3);
		thaw_confusion_add_json(&confusion, names, &json);
		thaw_json_close(&json, '}');
		status = thaw_text_status(&json);
	}
	if (!status)
		thaw_log_print("%s", json.data);
	thaw_text_release(&json);
	thaw_confusion_release(&confusion);
	free(names);
	return status;
}

static thaw_status evaluate(struct thaw_setup *setup, const void *arguments)
{
	const struct arguments *a = arguments;
	struct result r = {.file = a->checkpoint ? a->checkpoint : setup->job->model.weights};
	struct thaw_evaluator *evaluator;
	struct thaw_meter meter;
	double begun;
	thaw_status status = read_weights(setup, r.file, &r.epoch);

	if (!status)
		status = thaw_evaluator_new(setup, &evaluator);
	if (status)
		return status;
	thaw_meter_init(&meter, setup->rank == 0 ? THAW_METER_SECONDS : 0);
	thaw_evaluator_watch(evaluator, tell_progress, &meter);
	begun = thaw_clock_seconds();
	status = thaw_evaluate(evaluator, &r.metrics);
	if (!status && !isfinite(r.metrics.loss))
		status = thaw_world_agree(thaw_fail(THAW_DIVERGED,
		                                    "'%s': the validation loss is %g: its accuracy means nothing", r.file,
		                                    fabs(r.metrics.loss)));
	if (!status) {
		r.seconds = thaw_clock_seconds() - begun;
		r.predictions = thaw_evaluator_predictions(evaluator);
		if (setup->rank == 0)
			status = a->json ? tell_json(setup, &r) : tell_text(setup, &r);
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
	if (!arguments.checkpoint && !thaw_job_pretrained(job))
		status = thaw_world_agree(
			thaw_fail(THAW_BAD_JOB, "eval needs --checkpoint FILE: '%s' names no model.weights", arguments.job));
	else
		status = thaw_setup_with(job, false, evaluate, &arguments);
	free(job);
	return status;
}

const struct thaw_command thaw_command_eval = {
	.name = "eval",
	.summary = "exact loss and accuracy of a checkpoint on the job's validation pictures",
	.synopsis = "[mpirun -n N] thaw eval JOB.yaml [--checkpoint FILE] [options]",
	.notes = "Every picture counts once, whatever N is. FILE may also be what torch.save() wrote, or safetensors.\n",
	.run = run,
};
