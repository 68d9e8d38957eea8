/* Time for measuring and for limits, which is monotonic, so that a changed clock on the wall alters nothing; and that
 * clock, for readers of what a run wrote. */
#ifndef THAW_BASE_CLOCK_H
#define THAW_BASE_CLOCK_H

/* Seconds since some fixed moment, nanosecond steps. Differences only. */
double thaw_clock_seconds(void);

/* Seconds since 1970 (UTC). */
double thaw_clock_wall_seconds(void);

#endif
