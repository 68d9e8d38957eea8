/* Names of shards, train-00000-of-00004.h5, and from the name of one shard to the pattern of its whole split. */
#ifndef THAW_TOOLS_SHARD_NAMES_H
#define THAW_TOOLS_SHARD_NAMES_H

#include <stdbool.h>

#include <glob.h>

#include "base/text.h"

/* Whether a file of this name is a shard of some pack. */
bool thaw_shard_name_is(const char *name);

/* Appends to `found` the files that `text` stands for: itself if it is one, all that are named as shards if it is a
 * folder, else what it matches as a pattern; the pattern where that is nothing. globfree() it. */
thaw_status thaw_shard_find(const char *text, glob_t *found);

/* Sets `pattern_out`, empty before, to what thaw_dataset_open() takes for the split that `path` belongs to:
 * "data/train-*-of-00004.h5" for "data/train-00000-of-00004.h5". A path that is no file, such as a pattern already, is
 * kept as it is. THAW_OUT_OF_MEMORY only. */
thaw_status thaw_shard_split_pattern(const char *path, struct thaw_text *pattern_out);

#endif
