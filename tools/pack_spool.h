/*
 * From pictures in order to the shards of one split.
 *
 * Every shard states facts of the whole split (its count, a measured normalisation), which are known only when the last
 * picture was read. So the pixels go to a spool file first, which has no name and ends with the process. When all is
 * known its tail is read back, cut off and written as the last shard, then that of the shard before: no more than one
 * shard takes up room twice. Every picture is compared with its checksum, from the spool file and from the shard. When
 * all shards are written, synced and read back they get their names. Until then they end in ".tmp": a pack that was
 * killed leaves nothing else, and thaw_spool_clean() removes it.
 */
#ifndef THAW_TOOLS_PACK_SPOOL_H
#define THAW_TOOLS_PACK_SPOOL_H

#include <stdio.h>

#include "io/shard.h"

struct thaw_spool {
	const char *folder, *split; /* where shards go, and "train" or "val"; borrowed */
	uint64_t limit_bytes;       /* of pixels in a shard; a larger picture has a shard of its own */
	int64_t count, capacity;    /* pictures */
	struct thaw_picture *index; /* (count) offset within the shard */
	char **names;               /* (count) printable */
	int shards;
	int64_t *first;              /* (shards) the first picture of each */
	FILE *file;                  /* the spool file */
	uint64_t shard_bytes, bytes; /* pixels of the last shard, and in all */
};

/* Makes an empty spool for up to `capacity` pictures. */
thaw_status thaw_spool_init(struct thaw_spool *spool, const char *folder, const char *split, int64_t capacity,
                            uint64_t limit_bytes);
void thaw_spool_release(struct thaw_spool *spool); /* memory and the spool file; shards stay */

/* Appends a picture; picture->offset is not looked at, and what is not printable in `name` is stored as \xHH. */
thaw_status thaw_spool_add(struct thaw_spool *spool, const struct thaw_picture *picture, const char *name,
                           const uint8_t *pixels);

/* Writes the shards, still under temporary names, and empties the spool file. THAW_FAILED names the picture whose bytes
 * are no longer those that were added. */
thaw_status thaw_spool_write(struct thaw_spool *spool, const struct thaw_dataset_facts *facts,
                             const char *const *classes);

/* Gives the shards their names. */
thaw_status thaw_spool_publish(const struct thaw_spool *spool);

/* Removes the temporary files of all splits from the folder. */
thaw_status thaw_spool_clean(const char *folder);

#endif
