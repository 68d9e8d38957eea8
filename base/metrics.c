#include "base/metrics.h"

#include <math.h>

double thaw_accuracy(const struct thaw_metrics *metrics)
{
	return metrics->count > 0 ? (double)metrics->top1 / (double)metrics->count : NAN;
}

struct thaw_interval thaw_wilson(int64_t right, int64_t count)
{
	const double z = 1.959964, n = (double)count, p = (double)right / n;
	double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
	double half = z / (1 + z * z / n) * sqrt(p * (1 - p) / n + z * z / (4 * n * n));

	return (struct thaw_interval){middle - half, middle + half};
}
