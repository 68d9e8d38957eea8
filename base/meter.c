#define _POSIX_C_SOURCE 200809L
#include "base/meter.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

static const double blink = 0.2; /* seconds between two lines on a terminal */

void thaw_meter_init(struct thaw_meter *meter, double seconds)
{
	bool terminal = isatty(STDERR_FILENO);

	*meter = (struct thaw_meter){
		.interval = terminal && seconds > 0 ? blink : seconds,
		.shown = thaw_clock_seconds(),
		.terminal = terminal,
	};
}

bool thaw_meter_due(const struct thaw_meter *meter)
{
	return meter->interval > 0 && thaw_clock_seconds() - meter->shown >= meter->interval;
}

void thaw_meter_show(struct thaw_meter *meter, const char *format, ...)
{
	struct thaw_text line = THAW_TEXT_EMPTY;
	va_list args;

	va_start(args, format);
	thaw_text_add_list(&line, format, args);
	va_end(args);
	if (meter->terminal)
		thaw_log_live(line.data);
	else
		fprintf(stderr, "%s\n", line.data);
	thaw_text_release(&line);
	meter->shown = thaw_clock_seconds();
}

void thaw_meter_rest(struct thaw_meter *meter)
{
	thaw_log_live("");
	meter->shown = meter->terminal ? 0 : thaw_clock_seconds();
}

const char *thaw_meter_time(double seconds, char out[24])
{
	long long s;

	if (!(seconds >= 0 && seconds < 1e9)) {
		snprintf(out, 24, "?");
		return out;
	}
	s = (long long)(seconds + 0.5);
	if (s < 3600)
		snprintf(out, 24, "%lld:%02lld", s / 60, s % 60);
	else
		snprintf(out, 24, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
	return out;
}
