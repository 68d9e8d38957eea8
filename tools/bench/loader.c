/*
 * How fast pictures become batches, on one loader thread.
 *
 *     bench_loader 'data/train-*.h5' [SIZE]
 *
 * Prints pictures per second of RandomResizedCrop and flip to SIZE (224) pixels, in batches of 32, over at least one
 * epoch and 3 s.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "io/loader.h"

enum { BATCH = 32 };

/* One epoch: all whole batches of a shuffle. */
static thaw_status run_epoch(struct thaw_loader *loader, int epoch, int32_t *order, int32_t count, int64_t *pictures)
{
	int64_t batches = count / BATCH;
	struct thaw_batch_range *ranges = thaw_alloc((size_t)batches, sizeof *ranges);
	struct thaw_random random;
	struct thaw_batch batch;
	thaw_status status;

	if (!ranges)
		return THAW_OUT_OF_MEMORY;
	for (int64_t i = 0; i < batches; i++)
		ranges[i] = (struct thaw_batch_range){i * BATCH, BATCH};
	thaw_random_init(&random, 0, THAW_RANDOM_SHUFFLE, (uint32_t)epoch, 0);
	thaw_random_permutation(&random, order, count);
	status = thaw_loader_start(loader, epoch, order, ranges, batches);
	for (int64_t i = 0; i < batches && !status; i++)
		status = thaw_loader_get(loader, &batch);
	free(ranges);
	*pictures += batches * BATCH;
	return status;
}

static thaw_status measure(const struct thaw_dataset *dataset, int size, double *rate_out)
{
	const struct thaw_loader_spec spec = {
		.dataset = dataset,
		.augment =
			{
				.crop = THAW_CROP_RANDOM_RESIZED,
				.scale = {0.08, 1},
				.ratio = {0.75, 4.0 / 3},
				.flip = 0.5,
				.size = size,
			},
		.threads = 1,
		.ahead = 3,
		.batch_limit = BATCH,
	};
	int32_t count = (int32_t)thaw_dataset_facts(dataset)->count, *order = thaw_alloc((size_t)count, sizeof *order);
	struct thaw_loader *loader = NULL;
	double begun, seconds = 0;
	int64_t pictures = 0;
	thaw_status status = order ? thaw_loader_new(&spec, &loader) : THAW_OUT_OF_MEMORY;

	if (!status)
		status = run_epoch(loader, 0, order, count, &pictures); /* brings the files into memory */
	begun = thaw_clock_seconds();
	pictures = 0;
	for (int epoch = 1; !status && seconds < 3; epoch++) {
		status = run_epoch(loader, epoch, order, count, &pictures);
		seconds = thaw_clock_seconds() - begun;
	}
	thaw_loader_free(loader);
	free(order);
	*rate_out = (double)pictures / seconds;
	return status;
}

int main(int argc, char **argv)
{
	struct thaw_dataset *dataset;
	double rate = 0;
	thaw_status status;

	if (argc < 2) {
		fprintf(stderr, "usage: bench_loader 'data/train-*.h5' [SIZE]\n");
		return 2;
	}
	status = thaw_dataset_open(argv[1], NULL, &dataset);
	if (!status) {
		status = thaw_dataset_facts(dataset)->count < BATCH
		             ? thaw_fail(THAW_BAD_JOB, "'%s' has less than %d pictures", argv[1], BATCH)
		             : measure(dataset, argc > 2 ? atoi(argv[2]) : 224, &rate);
		thaw_dataset_free(dataset);
	}
	if (status)
		fprintf(stderr, "bench_loader: %s\n", thaw_fail_text());
	else
		printf("%.1f\n", rate);
	return thaw_status_exit_code(status);
}
