/*
 * Lists of files, and all files below a folder.
 *
 * What is hidden (".x") is passed over. Links are followed, unless they lead back to a folder above them. May be called
 * from any thread, each with a list of its own.
 */
#ifndef THAW_BASE_FILES_H
#define THAW_BASE_FILES_H

#include <stdint.h>

#include "base/status.h"

/* Begins as {NULL, 0}; every path is a copy of the list's own. */
struct thaw_files {
	char **path; /* (count) */
	int64_t count;
};

void thaw_files_release(struct thaw_files *files);

/* Adds a path; THAW_OUT_OF_MEMORY. */
thaw_status thaw_files_add(struct thaw_files *files, const char *path);

/* Adds all that is below `folder` and is no folder: also links that lead nowhere, pipes and devices, which reading will
 * name. With `root`, a folder at the beginning of `folder`, paths begin behind it, and what leads back to it is not
 * followed; NULL: paths are whole. THAW_FAILED names a folder that cannot be opened. */
thaw_status thaw_files_walk(struct thaw_files *files, const char *folder, const char *root);

/* Byte-wise, from the `first` on. */
void thaw_files_sort(struct thaw_files *files, int64_t first);

#endif
