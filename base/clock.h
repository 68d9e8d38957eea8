/* Time for measuring and for limits: monotonic, so that a changed wall clock alters nothing. */
#ifndef THAW_BASE_CLOCK_H
#define THAW_BASE_CLOCK_H

/* Seconds since some fixed moment, nanosecond steps. Differences only. */
double thaw_clock_seconds(void);

#endif
