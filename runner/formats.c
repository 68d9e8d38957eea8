#define _POSIX_C_SOURCE 200809L
#include "runner/formats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "runner/head.h"

/* --- classic ----------------------------------------------------------------------------------------------------- */

static void classic_row(const struct thaw_setup *setup, const struct thaw_row *row)
{
	const struct thaw_metrics *t = &row->train_metrics, *v = &row->val_metrics;

	thaw_log_print("Epoch %d/%d", row->epoch - 1, setup->job->epochs - 1);
	thaw_log_print("----------");
	thaw_log_print("train Loss: %.4f Acc: %.4f", t->loss, thaw_accuracy(t));
	thaw_log_print("val Loss: %.4f Acc: %.4f", v->loss, thaw_accuracy(v));
	thaw_log_print("%s", "");
}

static void classic_end(const struct thaw_run_end *end)
{
	long long seconds = llround(end->seconds);

	thaw_log_print("Training complete in %lldm %llds", seconds / 60, seconds % 60);
	thaw_log_print("Best val Acc: %4f", thaw_accuracy(&end->best->val_metrics));
}

/* --- json -------------------------------------------------------------------------------------------------------- */

static void open_event(struct thaw_text *json, const char *event)
{
	*json = (struct thaw_text)THAW_TEXT_EMPTY;
	thaw_json_open(json, NULL, '{');
	thaw_json_text(json, "event", event);
}

static void close_event(struct thaw_text *json)
{
	thaw_json_close(json, '}');
	if (!json->out_of_memory) /* half an object is worse than none */
		thaw_log_print("%s", json->data);
	thaw_text_release(json);
}

static void add_data(struct thaw_text *json, const struct thaw_setup *setup)
{
	thaw_json_integer(json, "train_count", thaw_dataset_facts(setup->train)->count);
	thaw_json_integer(json, "val_count", setup->facts->count);
	thaw_json_integer(json, "crop", setup->job->data.crop);
	thaw_json_open(json, "classes", '[');
	for (int i = 0; i < setup->facts->classes; i++)
		thaw_json_text(json, NULL, thaw_dataset_class(setup->val, i));
	thaw_json_close(json, ']');
}

static void add_phases(struct thaw_text *json, const struct thaw_setup *setup)
{
	thaw_json_open(json, "phases", '[');
	for (int i = 0; i < setup->job->phases_count; i++) {
		const struct thaw_phase *phase = &setup->job->phases[i];
		char trained[256];
		bool *trains;

		if (thaw_setup_select(setup, i, &trains) != THAW_OK)
			continue;
		thaw_json_open(json, NULL, '{');
		thaw_json_integer(json, "epochs", phase->epochs);
		thaw_json_text(json, "trained", thaw_patterns_text(&phase->train, trained, sizeof trained));
		thaw_json_integer(json, "parameters", thaw_net_count(setup->net, trains));
		thaw_json_number(json, "lr", phase->recipe.lr);
		thaw_json_integer(json, "batch", phase->recipe.batch);
		thaw_json_close(json, '}');
		free(trains);
	}
	thaw_json_close(json, ']');
}

static void json_begin(const struct thaw_setup *setup, const char *folder, const char *resume)
{
	struct thaw_text json;

	open_event(&json, "start");
	thaw_json_text(&json, "version", THAW_VERSION);
	thaw_json_text(&json, "folder", folder);
	thaw_json_text(&json, "checkpoint", resume);
	thaw_json_integer(&json, "epochs", setup->job->epochs);
	thaw_json_integer(&json, "ranks", setup->ranks);
	thaw_json_integer(&json, "threads", setup->threads);
	thaw_json_integer(&json, "replicas", setup->replicas);
	thaw_json_text(&json, "device", thaw_device_describe(setup->device));
	thaw_json_text(&json, "arch", setup->job->model.arch);
	thaw_json_integer(&json, "parameters", thaw_net_count(setup->net, NULL));
	thaw_json_integer(&json, "seed", (int64_t)setup->job->seed);
	add_data(&json, setup);
	add_phases(&json, setup);
	close_event(&json);
}

static void json_phase(int phase, const char *trained, int64_t parameters)
{
	struct thaw_text json;

	open_event(&json, "phase");
	thaw_json_integer(&json, "phase", phase);
	thaw_json_text(&json, "trained", trained);
	thaw_json_integer(&json, "parameters", parameters);
	close_event(&json);
}

static void json_progress(const struct thaw_standing *standing)
{
	struct thaw_text json;

	open_event(&json, "progress");
	thaw_standing_add_json(standing, &json);
	close_event(&json);
}

static void json_row(const struct thaw_setup *setup, const struct thaw_row *row)
{
	struct thaw_text json;

	open_event(&json, "epoch");
	thaw_record_add_json(setup->job, row, &json);
	close_event(&json);
}

static void json_speed(const struct thaw_speed *speed)
{
	struct thaw_text json;

	open_event(&json, "speed");
	thaw_json_integer(&json, "steps", speed->steps);
	thaw_json_fixed(&json, "first_step_seconds", speed->first_step_seconds, 3);
	thaw_json_fixed(&json, "images_per_second", speed->images_per_second, 2);
	thaw_json_fixed(&json, "memory_mib", speed->memory_mib, 0);
	thaw_json_fixed(&json, "gpu_memory_mib", speed->gpu_memory_mib, 0);
	close_event(&json);
}

static void json_end(const struct thaw_run_end *end)
{
	const struct thaw_metrics *v = &end->best->val_metrics, *a = &end->average->val_metrics;
	struct thaw_text json, fit = THAW_TEXT_EMPTY;

	thaw_verdict_add_name(end->verdict, &fit);
	open_event(&json, "end");
	thaw_json_text(&json, "state", "finished");
	thaw_json_integer(&json, "exit_code", 0);
	thaw_json_text(&json, "folder", end->folder);
	thaw_json_integer(&json, "epochs", end->epochs);
	thaw_json_fixed(&json, "seconds", end->seconds, 1);
	thaw_json_text(&json, "metric", end->metric);
	thaw_json_number(&json, "best", end->merit);
	thaw_json_integer(&json, "best_epoch", end->best->epoch);
	thaw_json_number(&json, "val_loss", v->loss);
	thaw_json_fixed(&json, "val_top1", thaw_accuracy(v), 6);
	thaw_json_integer(&json, "val_correct", v->top1);
	thaw_json_integer(&json, "val_count", v->count);
	if (end->average->epoch > 0) {
		thaw_json_integer(&json, "average_best_epoch", end->average->epoch);
		thaw_json_number(&json, "average_loss", a->loss);
		thaw_json_fixed(&json, "average_top1", thaw_accuracy(a), 6);
		thaw_json_integer(&json, "average_correct", a->top1);
	}
	thaw_json_text(&json, "fit", fit.data);
	close_event(&json);
	thaw_text_release(&fit);
}

static void json_done(const char *folder, int epochs)
{
	struct thaw_text json;

	open_event(&json, "end");
	thaw_json_text(&json, "state", "finished");
	thaw_json_integer(&json, "exit_code", 0);
	thaw_json_text(&json, "folder", folder);
	thaw_json_integer(&json, "epochs", epochs);
	close_event(&json);
}

static void json_broken(thaw_status status, const char *words)
{
	struct thaw_text json;

	open_event(&json, "end");
	thaw_json_text(&json, "state", status == THAW_REQUEUE ? "stopped" : "failed");
	thaw_json_integer(&json, "exit_code", thaw_status_exit_code(status));
	thaw_json_text(&json, "message", words);
	close_event(&json);
}

/* --- all --------------------------------------------------------------------------------------------------------- */

static const struct thaw_format formats[] = {
	{.name = "table", .shows_log = true, .shows_meter = true},
	{.name = "classic", .shows_meter = true, .row = classic_row, .end = classic_end},
	{.name = "json",
     .begin = json_begin,
     .phase = json_phase,
     .progress = json_progress,
     .row = json_row,
     .speed = json_speed,
     .end = json_end,
     .done = json_done,
     .broken = json_broken},
	{.name = "quiet"},
};
enum { FORMATS = sizeof formats / sizeof *formats };

static const struct thaw_format *format = &formats[0];

thaw_status thaw_format_choose(const char *name)
{
	struct thaw_text names = THAW_TEXT_EMPTY;
	thaw_status status;

	for (int i = 0; i < FORMATS; i++) {
		if (strcmp(formats[i].name, name) == 0) {
			format = &formats[i];
			thaw_log_hide(!format->shows_log);
			thaw_text_release(&names);
			return THAW_OK;
		}
		thaw_text_add(&names, "%s%s", i ? ", " : "", formats[i].name);
	}
	status = thaw_fail(THAW_BAD_JOB, "--format '%s': allowed are %s", name, names.data);
	thaw_text_release(&names);
	return status;
}

const struct thaw_format *thaw_format(void)
{
	return format;
}
