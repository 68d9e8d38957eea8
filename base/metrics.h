/* What a pass over pictures found: plain data, which the runner gathers and checkpoints keep. */
#ifndef THAW_BASE_METRICS_H
#define THAW_BASE_METRICS_H

#include <stdint.h>

struct thaw_metrics {
	double loss;               /* mean over the pictures */
	int64_t count, top1, top5; /* pictures; and those whose label was first, among the first five */
};

#endif
