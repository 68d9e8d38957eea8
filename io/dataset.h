/*
 * A split of packed pictures: all shards of `train` or of `val`, read at memory speed.
 *
 * Shards are HDF5 files that tools/pack writes (the format stands in docs/formats.md): `pixels` (uint8, contiguous:
 * RGB pictures one after another, each (H,W,3)), `index` (one thaw_picture each), `names` (source paths), `classes`
 * (byte-wise sorted), and attributes. Opening validates everything once, takes the address of `pixels` in the file and
 * maps the file; after that a picture is a pointer.
 *
 * An open dataset does not change: any number of threads may read it.
 */
#ifndef THAW_IO_DATASET_H
#define THAW_IO_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* One row of a shard's `index`. */
struct thaw_picture {
	uint64_t offset; /* of the first byte within `pixels` */
	uint16_t height, width;
	int32_t label;   /* 0 .. classes - 1 */
	uint32_t crc32c; /* of the height * width * 3 bytes */
};

/* What is the same in all shards of a split. */
struct thaw_dataset_facts {
	char split[8];         /* "train" or "val" */
	int64_t count;         /* pictures, up to INT32_MAX */
	int classes;
	int resize;            /* length of the shorter edge */
	float mean[3], std[3]; /* normalisation the shards were packed for, of pixels scaled to [0, 1] */
};

struct thaw_dataset;

/* Opens every shard that `pattern` (a glob: "data/train-*.h5") matches, in the order of their numbers. They must be one
 * whole split: the same facts and classes, each `-i-of-n` once. Errors name the shard and what is wrong with it,
 * THAW_FAILED. A pattern that cannot be used is THAW_BAD_JOB: it matches nothing, a folder, what is not named as a
 * shard, shards of two splits, or another split than `split` ("train", "val"; NULL: any). */
thaw_status thaw_dataset_open(const char *pattern, const char *split, struct thaw_dataset **dataset_out);
void thaw_dataset_free(struct thaw_dataset *dataset); /* NULL is fine */

const struct thaw_dataset_facts *thaw_dataset_facts(const struct thaw_dataset *dataset);

/* The name of class 0 .. classes - 1. Borrowed until the dataset is freed. */
const char *thaw_dataset_class(const struct thaw_dataset *dataset, int label);

/* Pictures with this label. */
int64_t thaw_dataset_class_count(const struct thaw_dataset *dataset, int label);

/* Picture 0 .. count - 1 over all shards; `pixels_out` (may be NULL) gets its (H,W,3) bytes, borrowed from the map. */
const struct thaw_picture *thaw_dataset_picture(const struct thaw_dataset *dataset, int64_t i,
                                                const uint8_t **pixels_out);

/* The path that picture was packed from, relative to the split's folder ("ants/0013035.jpg"). */
const char *thaw_dataset_name(const struct thaw_dataset *dataset, int64_t i);

/* Compares the pixels of a picture with their checksum, when it is asked for the first time: THAW_FAILED naming shard
 * and picture if they differ. What was right once is taken to stay so. */
thaw_status thaw_dataset_check(const struct thaw_dataset *dataset, int64_t i);

/* Reads every picture and compares its checksum: THAW_FAILED naming shard and picture of the first that differs. */
thaw_status thaw_dataset_verify(const struct thaw_dataset *dataset);

/* What the labels and pixels of a dataset mean, which a network that knows them has to agree with. Borrowed. */
struct thaw_meaning {
	const char *where;            /* for messages: a pattern, or the path of a file */
	int classes;
	const char *const *names;     /* (classes) */
	const float *mean, *std;      /* (3) normalisation */
};

struct thaw_meaning thaw_dataset_meaning(const struct thaw_dataset *dataset);

/* Fails with `difference` unless both have the same class list and normalisation; names the first difference. */
thaw_status thaw_meaning_match(const struct thaw_meaning *a, const struct thaw_meaning *b, thaw_status difference);

/* The same for two datasets, THAW_BAD_JOB. */
thaw_status thaw_dataset_match(const struct thaw_dataset *a, const struct thaw_dataset *b);

#endif
