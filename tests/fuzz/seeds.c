/*
 * seeds CORPUS FIXTURES: writes the seeds of the corpora, the files that thaw itself would write, and those of
 * shards.bin and weights.bin (tests/golden/make_*.py) whose structure is of another kind each.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "io/checkpoint.h"
#include "tests/fixtures.h"
#include "tests/unit/split.h"

static int fail(void)
{
	fprintf(stderr, "seeds: %s\n", thaw_fail_text());
	return 1;
}

static thaw_status write_shard(const char *corpus)
{
	char path[512];

	snprintf(path, sizeof path, "%s/shard/two-pictures", corpus);
	return split_write(path, 2, 0, 2);
}

/* `count` tensors in two groups; more than one leaf of names can hold, for the larger one. */
static thaw_status write_checkpoint(const char *corpus, const char *target, const char *name, int count)
{
	static const char *const classes[] = {"ants", "bees"};
	static const double losses[] = {0.5, 4, 1.5, 4}, val_losses[] = {1, 0.5, 0.75};
	static float values[24];
	const struct thaw_checkpoint_facts facts = {
		.epoch = 3,
		.step = 12,
		.best = 0.75,
		.best_epoch = 2,
		.best_metrics = {0.5, 8, 6, 8, 0.75},
		.average_epoch = 1,
		.average_metrics = {0.25, 8, 7, 8, 0.875},
		.val_losses = val_losses,
		.replicas = 2,
		.losses = losses,
		.metric = "top1",
		.arch = "resnet18",
		.mean = {0.5f, 0.5f, 0.5f},
		.std = {0.25f, 0.25f, 0.25f},
		.classes = 2,
		.names = classes,
		.job = "name: x\n",
		.build = "thaw",
	};
	struct thaw_checkpoint_tensor tensors[16];
	char names[16][40], path[512];

	for (int i = 0; i < count; i++) {
		snprintf(names[i], sizeof names[i], i % 4 ? "model/t%d" : "optimizer/momentum/t%d", i);
		tensors[i] = (struct thaw_checkpoint_tensor){names[i], i % 5, {1, 2, 3, 1}, values};
	}
	snprintf(path, sizeof path, "%s/%s/%s", corpus, target, name);
	return thaw_checkpoint_write(path, NULL, &facts, tensors, count);
}

/* Fixtures of `file`, those that are wanted, each into a file of its own. */
static thaw_status split_fixtures(const char *folder, const char *golden, const char *file, const char *const *wanted,
                                  size_t count)
{
	struct fixtures f = fixtures_open(golden, file);
	thaw_status status = THAW_OK;
	char path[512];
	size_t found = 0;

	while (fixtures_next(&f))
		for (size_t i = 0; i < count && !status; i++)
			if (strcmp(f.name, wanted[i]) == 0) {
				snprintf(path, sizeof path, "%s/%s", folder, f.name);
				status = thaw_file_publish(path, f.bytes, f.length);
				found++;
			}
	return status || found == count ? status : thaw_fail(THAW_FAILED, "'%s' has only %zu of %zu", file, found, count);
}

static thaw_status split_shards(const char *corpus, const char *golden)
{
	static const char *const wanted[] = {"good",          "variable-split", "chunked-index", "external-pixels",
	                                     "external-link", "virtual-pixels", "soft-link",     "group-pixels"};
	char folder[512];

	snprintf(folder, sizeof folder, "%s/shard", corpus);
	return split_fixtures(folder, golden, "shards.bin", wanted, sizeof wanted / sizeof *wanted);
}

static thaw_status split_weights(const char *corpus, const char *golden)
{
	static const char *const wanted[] = {"zip-f16",        "zip-checkpoint", "zip-python2",     "one-tensor",
	                                     "stream-bf16",    "stream-view",    "stream-checkpoint", "tar-views",
	                                     "safetensors-f32", "safetensors-facts", "safetensors-empty-tensor"};
	char folder[512];

	snprintf(folder, sizeof folder, "%s/weights", corpus);
	return split_fixtures(folder, golden, "weights.bin", wanted, sizeof wanted / sizeof *wanted);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: seeds CORPUS FIXTURES\n");
		return 2;
	}
	return write_shard(argv[1]) || write_checkpoint(argv[1], "checkpoint", "two-tensors", 2) ||
	               write_checkpoint(argv[1], "checkpoint", "many-tensors", 16) ||
	               write_checkpoint(argv[1], "weights", "checkpoint", 5) || split_shards(argv[1], argv[2]) ||
	               split_weights(argv[1], argv[2])
	           ? fail()
	           : 0;
}
