/* One line on standard error that says how far a long command is; nothing when that is not a terminal. */
#ifndef THAW_TOOLS_PROGRESS_H
#define THAW_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct thaw_progress {
	int64_t done, total; /* pictures */
	double begun, shown; /* seconds of base/clock.h */
	bool terminal;
};

void thaw_progress_init(struct thaw_progress *progress, int64_t total);

/* Counts one more, and shows it when the last time was long enough ago. */
void thaw_progress_step(struct thaw_progress *progress);

/* Clears the line, before another is printed and at the end. */
void thaw_progress_clear(struct thaw_progress *progress);

#endif
