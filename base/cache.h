/*
 * The folder where answers that took time are kept for later runs: $THAW_CACHE, else $XDG_CACHE_HOME/thaw or
 * ~/.cache/thaw. With an empty THAW_CACHE, or none of the three, nothing is kept.
 */
#ifndef THAW_BASE_CACHE_H
#define THAW_BASE_CACHE_H

#include "base/status.h"
#include "base/text.h"

/* Makes `path` that of the file called `name` in the folder; "" where nothing is kept. */
thaw_status thaw_cache_path(const char *name, struct thaw_text *path);

/* Makes the folder that such a path leads to. */
thaw_status thaw_cache_make_folder(const char *path);

#endif
