/*
 * How fast pictures become batches, on one loader thread.
 *
 *     bench_loader 'data/train-*.h5' [SIZE [DISTORTION]]
 *
 * Prints pictures per second of RandomResizedCrop and flip to SIZE (224) pixels, in batches of 32, over at least one
 * epoch and 3 s. A DISTORTION (a row of the table below) is done to every picture.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "io/loader.h"
#include "io/sampler.h"

enum { BATCH = 32 };

#define BLUR .blur = 1, .blur_sigma = {0.1, 2}
#define ERASE .erase = 1, .erase_scale = {0.02, 0.33}, .erase_ratio = {0.3, 3.3}
#define COLOUR .brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1

/* As torch_bench.py has them. */
static const struct distortion {
	const char *name;
	struct thaw_augment augment;
} distortions[] = {
	{"none", {.size = 0}},
	{"rotation", {.rotation = 15}},
	{"brightness", {.brightness = 0.4}},
	{"contrast", {.contrast = 0.4}},
	{"saturation", {.saturation = 0.4}},
	{"hue", {.hue = 0.1}},
	{"colour", {COLOUR}},
	{"grey", {.grey = 1}},
	{"blur", {BLUR}},
	{"erase", {ERASE}},
	{"mixup", {.mixup = 0.2}},
	{"cutmix", {.cutmix = 1}},
	{"usual", {.rotation = 15, COLOUR, BLUR, ERASE}},
	{"all", {.rotation = 15, COLOUR, .grey = 0.2, BLUR, ERASE, .mixup = 0.2, .cutmix = 1}},
};

enum { DISTORTIONS = sizeof distortions / sizeof distortions[0] };

/* One epoch: all whole batches of a shuffle. */
static thaw_status run_epoch(struct thaw_loader *loader, int epoch, int32_t *order, int32_t count, int64_t *pictures)
{
	int64_t batches = count / BATCH;
	struct thaw_batch_range *ranges = thaw_alloc((size_t)batches, sizeof *ranges);
	struct thaw_batch batch;
	thaw_status status;

	if (!ranges)
		return THAW_OUT_OF_MEMORY;
	for (int64_t i = 0; i < batches; i++)
		ranges[i] = (struct thaw_batch_range){i * BATCH, BATCH};
	thaw_sample_shuffled(0, epoch, order, count);
	status = thaw_loader_start(loader, epoch, order, ranges, batches);
	for (int64_t i = 0; i < batches && !status; i++)
		status = thaw_loader_get(loader, &batch);
	free(ranges);
	*pictures += batches * BATCH;
	return status;
}

static thaw_status measure(const struct thaw_dataset *dataset, struct thaw_augment augment, double *rate_out)
{
	const struct thaw_loader_spec spec = {
		.dataset = dataset, .augment = augment, .threads = 1, .ahead = 3, .batch_limit = BATCH};
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

/* Crop and flip of a named distortion, made to come out at `size`; NULL: none. */
static thaw_status find(const char *name, int size, struct thaw_augment *augment_out)
{
	for (int i = 0; i < DISTORTIONS; i++)
		if (!name || strcmp(name, distortions[i].name) == 0) {
			*augment_out = distortions[i].augment;
			augment_out->crop = THAW_CROP_RANDOM_RESIZED;
			augment_out->scale[0] = 0.08;
			augment_out->scale[1] = 1;
			augment_out->ratio[0] = 0.75;
			augment_out->ratio[1] = 4.0 / 3;
			augment_out->flip = 0.5;
			augment_out->size = size;
			return THAW_OK;
		}
	return thaw_fail(THAW_BAD_JOB, "unknown distortion '%s': the table in tools/bench/loader.c lists them", name);
}

int main(int argc, char **argv)
{
	struct thaw_dataset *dataset;
	struct thaw_augment augment;
	double rate = 0;
	thaw_status status;

	if (argc < 2) {
		fprintf(stderr, "usage: bench_loader 'data/train-*.h5' [SIZE [DISTORTION]]\n");
		return 2;
	}
	status = find(argc > 3 ? argv[3] : NULL, argc > 2 ? atoi(argv[2]) : 224, &augment);
	if (!status)
		status = thaw_dataset_open(argv[1], NULL, &dataset);
	if (!status) {
		status = thaw_dataset_facts(dataset)->count < BATCH
		             ? thaw_fail(THAW_BAD_JOB, "'%s' has less than %d pictures", argv[1], BATCH)
		             : measure(dataset, augment, &rate);
		thaw_dataset_free(dataset);
	}
	if (status)
		fprintf(stderr, "bench_loader: %s\n", thaw_fail_text());
	else
		printf("%.1f\n", rate);
	return thaw_status_exit_code(status);
}
