/* The epochs of a run, from its metrics.csv (docs/formats.md). Columns are found by their names; others are skipped. */
#ifndef THAW_IO_HISTORY_H
#define THAW_IO_HISTORY_H

#include "base/metrics.h"
#include "base/status.h"

struct thaw_history {
	int count;
	struct thaw_epoch *epochs; /* (count) in rising order */
	char *bytes;               /* of the file, which the texts point into */
};

/* Also of a run that is under way: a last row without its line end is left out. THAW_FAILED names path, line and what
 * is wrong. */
thaw_status thaw_history_read(const char *path, struct thaw_history *history_out);
void thaw_history_release(struct thaw_history *history);

#endif
