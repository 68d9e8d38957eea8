#include "base/lr_range.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

static const double memory = 0.98;   /* share of the smoothed loss that goes on */
static const double diverged = 4;    /* times the least loss */
static const double sure = 3.8;      /* standard errors */
enum { SCATTER = 10 };               /* differences at least, to estimate the scatter from */
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
	int valley, steepest, least = 0;

	if (!length)
		return THAW_OUT_OF_MEMORY;
	valley = find_valley(smoothed + first, n, length);
	for (int i = 0; i < n; i++)
		if (smoothed[first + i] < smoothed[first + least])
			least = i;
	steepest = valley < 0 ? -1 : find_steepest(smoothed + first + valley, least + 1 - valley);
	free(length);
	suggestion_out->valley = valley < 0 ? -1 : first + valley;
	suggestion_out->steepest = steepest < 0 ? -1 : first + valley + steepest;
	return THAW_OK;
}

/* The standard deviation of a loss, from the differences of neighbours, which a slow fall leaves alone (von Neumann
 * 1941). */
static double find_scatter(const double *losses, int count)
{
	double sum = 0;

	for (int i = 0; i + 1 < count; i++)
		sum += (losses[i + 1] - losses[i]) * (losses[i + 1] - losses[i]);
	return count > 1 ? sqrt(sum / (2 * (count - 1))) : 0;
}

/* Of v_i, for losses with a variance of 1: sum of w_ik^2 with w_ik = 0.02 * 0.98^(i-k) / (1 - 0.98^(i+1)). */
static double variance(int i)
{
	double rest = pow(memory, i + 1);

	return (1 - memory) / (1 + memory) * (1 + rest) / (1 - rest);
}

/* Of v_i - v_j, i < j: v_j is v_i times 0.98^(j-i) (1 - 0.98^(i+1)) / (1 - 0.98^(j+1)), and later losses. */
static double variance_of_fall(int i, int j)
{
	double shared = pow(memory, j - i) * (1 - pow(memory, i + 1)) / (1 - pow(memory, j + 1));

	return variance(i) + variance(j) - 2 * shared * variance(i);
}

struct thaw_lr_fall thaw_lr_range_fall(const struct thaw_lr_range *range, const double *losses, const double *smoothed,
                                       int count)
{
	int first = range->steps / FIRST_SHARE, last = count - LAST, least = first, seen;
	struct thaw_lr_fall fall = {0};
	double scatter;

	for (int i = first; i < last; i++)
		if (smoothed[i] < smoothed[least])
			least = i;
	seen = least > SCATTER ? least + 1 : SCATTER + 1;
	scatter = find_scatter(losses, seen < count ? seen : count);
	for (int i = first; i < least; i++) {
		double depth = smoothed[i] - smoothed[least];

		fall.share = fmax(fall.share, smoothed[i] > 0 ? depth / smoothed[i] : 0);
		if (depth > 0)
			fall.errors = fmax(fall.errors, depth / (scatter * sqrt(variance_of_fall(i, least))));
	}
	return fall;
}

bool thaw_lr_range_is_chance(struct thaw_lr_fall fall)
{
	return !(fall.errors >= sure);
}
