/* The folders that pictures and shards stand in. */
#ifndef THAW_TOOLS_PACK_LAYOUT_H
#define THAW_TOOLS_PACK_LAYOUT_H

#include <stdbool.h>

#include "base/status.h"

/* Whether `above`/`name` is a folder. */
bool thaw_pack_is_folder(const char *above, const char *name);

/* Whether a folder of this name is a split rather than a class: train, test, val, valid, validation, in any case. */
bool thaw_pack_is_split_name(const char *name);

/* The names of the folders that the splits stand in below `folder`: "train", and "val" or "valid". With `draw` class
 * folders stand directly in `folder`, and both names are ".". THAW_BAD_JOB says what layout is wanted. */
thaw_status thaw_pack_choose_folders(const char *folder, bool draw, const char **train_out, const char **val_out);

/* THAW_BAD_JOB if `out` is `folder` itself or lies where its classes are looked for. `out` need not be there. */
thaw_status thaw_pack_check_out(const char *folder, bool draw, const char *out);

#endif
