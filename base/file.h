/*
 * Files, the safe way.
 *
 * A file that matters is published whole: written under a temporary name beside its place, synced, read back, renamed
 * over the old one, and the folder synced. Whoever looks at any moment, also after a crash or with a full disk, finds
 * the old contents or the new. Errors name the path and the reason, THAW_FAILED.
 */
#ifndef THAW_BASE_FILE_H
#define THAW_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* Reads the file whole. `bytes_out` gets a block of `length_out` bytes and a terminating 0 behind them; the caller
 * frees it. A file over `limit_bytes` is refused before anything is allocated. */
thaw_status thaw_file_read(const char *path, size_t limit_bytes, char **bytes_out, size_t *length_out);

/* Publishes `length` bytes under `path` as told above. On failure `path` is what it was and no temporary file stays. */
thaw_status thaw_file_publish(const char *path, const void *bytes, size_t length);

/* Writes all `length` bytes at the place where `fd` stands; `path` is for the message. */
thaw_status thaw_file_write_all(int fd, const char *path, const void *bytes, size_t length);

/* Renames `from` to `to` (same folder) and syncs the folder; `from` must be synced already. */
thaw_status thaw_file_rename(const char *from, const char *to);

/* Appends with one write(2), so that a reader never sees half a line; creates the file. */
thaw_status thaw_file_append(const char *path, const void *bytes, size_t length);

/* Makes the folder and those above it; no error if it is there. */
thaw_status thaw_folder_make(const char *path);

bool thaw_file_exists(const char *path);

/* Removes everything in folder `path` whose name starts with `prefix` and ends with `suffix` (left-over temporary
 * files). A folder that is not there has nothing to remove. */
thaw_status thaw_folder_clean(const char *path, const char *prefix, const char *suffix);

#endif
