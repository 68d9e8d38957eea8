#include "base/lr_range.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

static const double memory = 0.98;   /* share of the smoothed loss that goes on */
static const double diverged = 4;    /* times the least loss */
enum { FIRST_SHARE = 10, LAST = 5 }; /* the first tenth of the steps and the last five say nothing */

double thaw_lr_range_rate(const struct thaw_lr_range *range, int i)
{
	return range->from * pow(range->to / range->from, (double)i / (range->steps - 1));
}

void thaw_lr_range_smooth(const double *losses, int count, double *smoothed_out)
{
	double mean = 0, weight = 1;

	for (int i = 0; i < count; i++) {
		mean = memory * mean + (1 - memory) * losses[i];
		weight *= memory;
		smoothed_out[i] = mean / (1 - weight);
	}
}

bool thaw_lr_range_ends(const double *smoothed, int count)
{
	double least = INFINITY;

	for (int i = 0; i < count; i++)
		least = fmin(least, smoothed[i]);
	return count > 0 && !(smoothed[count - 1] <= diverged * least);
}

/* The place that `valley` suggests among s (n); -1: nothing falls. length (n) is scratch: of the longest falling
 * subsequence that ends at each place. */
static int find_valley(const double *s, int n, int *length)
{
	int end = 0, place;

	for (int i = 0; i < n; i++) {
		length[i] = 1;
		for (int j = 0; j < i; j++)
			if (s[i] < s[j] && length[i] <= length[j])
				length[i] = length[j] + 1;
		if (length[i] > length[end])
			end = i;
	}
	if (n == 0 || length[end] == 1)
		return -1;
	place = end - length[end] + length[end] / 3 + length[end] / 6;
	return place < 0 ? 0 : place;
}

/* The rates are equally far apart on their logarithmic axis, so that differences of losses tell the slope. */
static int find_steepest(const double *s, int n)
{
	int steepest = -1;
	double least = 0;

	for (int i = 0; i + 1 < n; i++)
		if (s[i + 1] - s[i] < least) {
			least = s[i + 1] - s[i];
			steepest = i;
		}
	return steepest;
}

thaw_status thaw_lr_range_suggest(const struct thaw_lr_range *range, const double *smoothed, int count,
                                  struct thaw_lr_suggestion *suggestion_out)
{
	int first = range->steps / FIRST_SHARE, n = count - LAST > first ? count - LAST - first : 0;
	int *length = thaw_alloc((size_t)n + 1, sizeof *length);
	int valley, steepest;

	if (!length)
		return THAW_OUT_OF_MEMORY;
	valley = find_valley(smoothed + first, n, length);
	steepest = find_steepest(smoothed + first, n);
	free(length);
	suggestion_out->valley = valley < 0 ? -1 : first + valley;
	suggestion_out->steepest = steepest < 0 ? -1 : first + steepest;
	return THAW_OK;
}

double thaw_lr_range_fall(const double *smoothed, int count)
{
	double fall = 0, most = 0;

	for (int i = 0; i < count; i++) {
		most = fmax(most, smoothed[i]);
		fall = fmax(fall, most > 0 ? 1 - smoothed[i] / most : 0);
	}
	return fall;
}
