/* What a pass over pictures found, and an epoch: plain data, which the runner gathers and files keep. */
#ifndef THAW_BASE_METRICS_H
#define THAW_BASE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

struct thaw_metrics {
	double loss;               /* mean over the pictures; in training with class weights, smoothing and mixing */
	int64_t count, top1, top5; /* pictures; and those whose label was first, among the first five */
	double balanced;           /* mean recall of the classes that have pictures; of validation only, otherwise 0 */
};

/* A row of metrics.csv (docs/formats.md). */
struct thaw_epoch {
	int epoch, phase;               /* from 1 */
	const char *trained;            /* "layer4 fc" */
	double lr;                      /* at the epoch's first step */
	struct thaw_metrics train, val; /* train.top5 is not kept: 0 */
	struct thaw_metrics average;    /* loss, count and top1 of the average's validation; count 0: there was none */
	double seconds;                 /* training and validation */
	bool mixed;                     /* train.top1 is of mixed pictures: the label of the larger share counts as right */
	bool best;                      /* best.h5 was written */
};

/* Share of right pictures; NaN without pictures. */
double thaw_accuracy(const struct thaw_metrics *metrics);

struct thaw_interval {
	double low, high;
};

/* Where the share of right pictures may lie, at 95%, when `right` of `count` were (Wilson 1927); count >= 1. */
struct thaw_interval thaw_wilson(int64_t right, int64_t count);

#endif
