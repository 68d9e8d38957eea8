#define _GNU_SOURCE /* memmem */
#include "runner/standing.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "runner/folder.h"
#include "runner/formats.h"
#include "runner/watchdog.h"

static const double status_pause = 5; /* seconds between two status.json of one state */
enum { LONGEST = 1 << 16 };            /* bytes of a status.json */

static const char *const names[THAW_STATES] = {"starting", "training", "validating", "checkpointing",
                                               "stopped",  "finished", "failed"};

/* --- status.json ------------------------------------------------------------------------------------------------- */

void thaw_standing_add_json(const struct thaw_standing *s, struct thaw_text *json)
{
	thaw_json_text(json, "state", names[s->state]);
	thaw_json_integer(json, "epoch", s->epoch);
	thaw_json_integer(json, "epochs", s->epochs);
	thaw_json_integer(json, "step", s->step);
	thaw_json_integer(json, "steps", s->steps);
	thaw_json_integer(json, "phase", s->phase);
	thaw_json_integer(json, "phases", s->phases);
	thaw_json_number(json, "loss", s->loss);
	thaw_json_fixed(json, "images_per_second", s->images_per_second, 1);
	thaw_json_fixed(json, "epoch_eta_seconds", s->epoch_left, 0);
	thaw_json_fixed(json, "eta_seconds", s->run_left, 0);
	thaw_json_text(json, "metric", s->metric);
	thaw_json_number(json, "best", s->best_epoch > 0 ? s->best : NAN);
	thaw_json_integer(json, "best_epoch", s->best_epoch);
}

/* Who writes, and when: a reader tells a run that was killed by a time that does not move on. */
static void add_source(struct thaw_text *json)
{
	double now = thaw_clock_wall_seconds();
	time_t seconds = (time_t)now;
	char host[256] = "", text[32] = "";
	struct tm utc;

	(void)gethostname(host, sizeof host - 1);
	if (gmtime_r(&seconds, &utc))
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
	thaw_json_text(json, "host", host);
	thaw_json_integer(json, "pid", getpid());
	thaw_json_text(json, "slurm_job", getenv("SLURM_JOB_ID"));
	thaw_json_text(json, "updated", text);
	thaw_json_fixed(json, "updated_seconds", now, 3);
}

static thaw_status write_status(const struct thaw_standing *s, const char *words)
{
	struct thaw_text json = THAW_TEXT_EMPTY, path = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_json_open(&json, NULL, '{');
	thaw_standing_add_json(s, &json);
	add_source(&json);
	thaw_json_text(&json, "message", words);
	thaw_json_close(&json, '}');
	thaw_text_add(&json, "\n");
	thaw_text_add(&path, "%s/status.json", s->folder);
	status = thaw_text_status(&json);
	if (!status)
		status = thaw_text_status(&path);
	if (!status)
		status = thaw_file_replace(path.data, json.data, json.length);
	thaw_text_release(&json);
	thaw_text_release(&path);
	return status;
}

/* A folder that is another process' now is left alone; the checkpoint that finds it too ends the run. Whatever fails
 * here, the words of another failure stay. */
static void publish(struct thaw_standing *s, bool with_words)
{
	char words[THAW_WORDS];

	if (!s->folder)
		return;
	thaw_watchdog_waits("the disk");
	snprintf(words, sizeof words, "%s", thaw_fail_text());
	s->written = thaw_clock_seconds();
	if (thaw_folder_check(s->folder) == THAW_OK && write_status(s, with_words ? words : NULL) != THAW_OK &&
	    !s->warned) {
		thaw_warn("%s: the run goes on without it", thaw_fail_text());
		s->warned = true;
	}
	(void)thaw_fail(THAW_FAILED, "%s", words);
	thaw_watchdog_waits(NULL);
}

/* --- lines ------------------------------------------------------------------------------------------------------- */

static void show_line(struct thaw_standing *s)
{
	bool validates = s->state == THAW_VALIDATING;
	char loss[32] = "", epoch_left[24], run_left[24];

	if (!validates && isfinite(s->loss))
		snprintf(loss, sizeof loss, s->loss < 1000 ? "  loss %.4f" : "  loss %.2e", s->loss);
	thaw_meter_show(&s->meter, "epoch %d/%d  %s %lld/%lld  %.1f img/s%s  left %s, run %s", s->epoch, s->epochs,
	                validates ? "validation" : "step", (long long)s->step, (long long)s->steps, s->images_per_second,
	                loss, thaw_meter_time(s->epoch_left, epoch_left), thaw_meter_time(s->run_left, run_left));
}

void thaw_standing_begin(struct thaw_standing *s, const char *folder, double seconds)
{
	const struct thaw_format *format = thaw_format();

	s->tells = true;
	s->folder = folder;
	thaw_meter_init(&s->meter, format->shows_meter || format->progress ? seconds : 0);
	if (format->progress) { /* it is no terminal's line, wherever it is read */
		s->meter.interval = seconds;
		s->meter.terminal = false;
	}
	thaw_standing_at(s, THAW_STARTING);
}

bool thaw_standing_due(const struct thaw_standing *s)
{
	return s->tells && (thaw_meter_due(&s->meter) || (s->folder && thaw_clock_seconds() - s->written >= status_pause));
}

void thaw_standing_tell(struct thaw_standing *s)
{
	const struct thaw_format *format = thaw_format();

	if (!s->tells)
		return;
	if (thaw_clock_seconds() - s->written >= status_pause)
		publish(s, false);
	if (!thaw_meter_due(&s->meter))
		return;
	if (format->progress) {
		format->progress(s);
		thaw_meter_rest(&s->meter);
	} else {
		show_line(s);
	}
}

void thaw_standing_at(struct thaw_standing *s, enum thaw_state state)
{
	s->state = state;
	publish(s, false);
}

void thaw_standing_end(struct thaw_standing *s, thaw_status status)
{
	if (!s->tells)
		return;
	s->state = status == THAW_OK ? THAW_FINISHED : status == THAW_REQUEUE ? THAW_STOPPED : THAW_BROKEN;
	s->epoch_left = s->run_left = status == THAW_OK ? 0 : NAN;
	publish(s, status != THAW_OK);
	thaw_log_live("");
}

/* Whether status.json says that the run is finished. */
static bool said_finished(const char *folder)
{
	struct thaw_text path = THAW_TEXT_EMPTY, words = THAW_TEXT_EMPTY;
	char *bytes = NULL;
	size_t length;
	bool finished = false;

	thaw_text_add(&path, "%s/status.json", folder);
	thaw_json_text(&words, "state", names[THAW_FINISHED]);
	if (thaw_text_status(&path) == THAW_OK && thaw_text_status(&words) == THAW_OK &&
	    thaw_file_read(path.data, LONGEST, &bytes, &length) == THAW_OK)
		finished = memmem(bytes, length, words.data, words.length) != NULL;
	free(bytes);
	thaw_text_release(&words);
	thaw_text_release(&path);
	return finished;
}

void thaw_standing_settle(struct thaw_standing *s, const char *folder)
{
	if (said_finished(folder))
		return;
	s->tells = true;
	s->folder = folder;
	thaw_standing_end(s, THAW_OK);
}
