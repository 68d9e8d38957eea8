/*
 * One shard file: writing it, and mapping it. Splits of many are io/dataset.h's; the format stands in docs/formats.md.
 *
 * The same pictures give the same bytes. `pixels` is the last dataset of the file and a seal (io/seal.h) over
 * everything else stands behind it: a shard is written from start to end, from where the pictures are, and a label or
 * an offset that changed on the way is found before it is believed.
 */
#ifndef THAW_IO_SHARD_H
#define THAW_IO_SHARD_H

#include <stdbool.h>

#include "base/text.h"
#include "io/dataset.h"

/* What "data/train-00001-of-00004.h5" says about itself: 1 of 4 of "train". */
struct thaw_shard_name {
	const char *split; /* in the path */
	int split_length;
	int number, of;    /* 0 <= number < of */
};

/* False if the last part of `path` is not of the form SPLIT-NUMBER-of-NUMBER.h5, with one to nine digits each. */
bool thaw_shard_name_parse(const char *path, struct thaw_shard_name *name_out);

/* Adds the name of a shard: "train-00001-of-00004.h5". */
void thaw_shard_name_add(struct thaw_text *path, const char *split, int number, int of);

struct thaw_shard {
	const struct thaw_dataset_facts *facts; /* count: of the whole split */
	const char *const *classes;             /* facts->classes names */
	int64_t count;                          /* pictures in this shard, >= 1 */
	const struct thaw_picture *index;       /* (count); offset: the bytes of the pictures before it */
	const char *const *names;               /* (count) source paths */
	const uint8_t *const *pixels;           /* (count) pointers to (H,W,3) bytes */
};

/* Writes and syncs `path`. THAW_FAILED names path and reason, and removes what was begun. The caller, so that a killed
 * `thaw pack` leaves nothing that looks like a shard, writes under a temporary name and renames. */
thaw_status thaw_shard_write(const char *path, const struct thaw_shard *shard);

/* A shard that was found to be whole and consistent; `pixels` and nothing else is still on disk. */
struct thaw_shard_map {
	struct thaw_dataset_facts facts; /* count: of the whole split */
	char **classes;                  /* (facts.classes), ascending */
	int64_t count;
	struct thaw_picture *index;      /* (count) */
	char **names;                    /* (count) */
	const uint8_t *pixels;
	void *map;
	size_t map_length;
};

/* THAW_FAILED names the path and what is wrong. */
thaw_status thaw_shard_open(const char *path, struct thaw_shard_map *shard_out);
void thaw_shard_close(struct thaw_shard_map *shard);

/* Compares the pixels of picture `i` with their checksum: THAW_FAILED naming `path` and the picture if they differ. */
thaw_status thaw_shard_check(const char *path, const struct thaw_shard_map *shard, int64_t i);

/* The same for every picture, up to the first that differs. */
thaw_status thaw_shard_verify(const char *path, const struct thaw_shard_map *shard);

#endif
