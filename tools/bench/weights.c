/*
 * How long a file of weights takes to become parameters that can be trained.
 *
 *     bench_weights FILE ARCH CLASSES
 *
 * Prints milliseconds, the median of nine: opening the file, checking it, and the copy into the parameters of a network
 * that stands there, as it does for load_state_dict().
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "nn/models.h"
#include "runner/fit.h"

enum { ROUNDS = 9 };

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static thaw_status load(const char *path, struct thaw_params *params)
{
	struct thaw_weights weights;
	struct thaw_fit fit;
	thaw_status status = thaw_weights_open(path, &weights);

	if (status)
		return status;
	status = thaw_fit_look(params->net, &weights, &fit, NULL);
	if (!status && fit.missing + fit.misshapen + fit.left_over > 0)
		status = thaw_fail(THAW_FAILED, "'%s' does not fit", path);
	if (!status)
		status = thaw_fit_copy(&fit, &weights, params);
	thaw_weights_release(&weights);
	return status;
}

int main(int argc, char **argv)
{
	double milliseconds[ROUNDS];
	struct thaw_params params = {.net = NULL};
	struct thaw_net *net = NULL;
	thaw_status status;

	if (argc != 4) {
		fprintf(stderr, "usage: bench_weights FILE ARCH CLASSES\n");
		return 2;
	}
	status = thaw_model_build(argv[2], atoi(argv[3]), THAW_FIT_SIZE, &net);
	if (!status)
		status = thaw_params_init(&params, net);
	for (int i = 0; i < ROUNDS && !status; i++) {
		double begun = thaw_clock_seconds();

		status = load(argv[1], &params);
		milliseconds[i] = 1e3 * (thaw_clock_seconds() - begun);
	}
	thaw_params_release(&params);
	thaw_net_free(net);
	if (status) {
		fprintf(stderr, "bench_weights: %s\n", thaw_fail_text());
		return 1;
	}
	qsort(milliseconds, ROUNDS, sizeof *milliseconds, by_value);
	printf("%.2f\n", milliseconds[ROUNDS / 2]);
	return 0;
}
