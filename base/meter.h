/*
 * How far a long work is, told on standard error.
 *
 * On a terminal one line that is written over as the work goes on, under what the log says. Elsewhere, as in Slurm's
 * output file, a plain line now and then. Neither is part of the log: whoever reads it later wants what came out.
 */
#ifndef THAW_BASE_METER_H
#define THAW_BASE_METER_H

#include <stdbool.h>

#include "base/status.h"

enum { THAW_METER_SECONDS = 60 }; /* between two plain lines, if nobody says otherwise */

struct thaw_meter {
	double interval; /* seconds between two lines; 0: none is shown */
	double shown;    /* thaw_clock_seconds() at the last one */
	bool terminal;   /* standard error is one */
};

/* `seconds` between plain lines, on a terminal a fraction of one; 0: nothing is shown, there neither. */
void thaw_meter_init(struct thaw_meter *meter, double seconds);

/* Whether the last line, or thaw_meter_rest(), was long enough ago: only then is there anything to work out. */
bool thaw_meter_due(const struct thaw_meter *meter);

/* Shows a line. */
void thaw_meter_show(struct thaw_meter *meter, const char *format, ...) THAW_PRINTF(2, 3);

/* Something else told how far the work is: no plain line for the next interval. A terminal's line goes, until there is
 * another. */
void thaw_meter_rest(struct thaw_meter *meter);

/* "0:07", "12:34", "1:02:03": hours, minutes, seconds; "?" for what is not known. Returns `out`. */
const char *thaw_meter_time(double seconds, char out[24]);

#endif
