/*
 * Files, the safe way.
 *
 * A file that matters is published whole: written under a temporary name beside its place ("PATH.HOST.PID.tmp"),
 * synced, read back, renamed over the old one, and the folder synced. Whoever looks at any moment, also after a crash
 * or with a full disk, finds the old contents or the new. Errors name the path and the reason, THAW_FAILED.
 */
#ifndef THAW_BASE_FILE_H
#define THAW_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* Reads the file whole. `bytes_out` gets a block of `length_out` bytes and a terminating 0 behind them; the caller
 * frees it. A file over `limit_bytes` is refused before anything is allocated. */
thaw_status thaw_file_read(const char *path, size_t limit_bytes, char **bytes_out, size_t *length_out);

/* Publishes `length` bytes under `path` as told above. On failure no temporary file stays and `path` is what it was,
 * unless only the last step failed, the sync of the folder: then it is new already, and a crash may bring the old back.
 */
thaw_status thaw_file_publish(const char *path, const void *bytes, size_t length);

/* The same, and what was at `path` before is afterwards at `previous` (in the same folder), which is left alone if
 * there was nothing. `path` itself is never moved away, so it names the old file or the new one at every moment. On
 * failure `previous` is what it was, or the same as `path`. NULL keeps nothing. */
thaw_status thaw_file_publish_keeping(const char *path, const char *previous, const void *bytes, size_t length);

/* Lets `path` hold these bytes for whoever looks now: whole as well, but neither synced nor read back, so that it costs
 * next to nothing. After a crash of the machine the file may be empty. For what only the present is interested in. */
thaw_status thaw_file_replace(const char *path, const void *bytes, size_t length);

/* Writes all `length` bytes at the place where `fd` stands; `path` is for the message. */
thaw_status thaw_file_write_all(int fd, const char *path, const void *bytes, size_t length);

/* Renames `from` to `to` (same folder) and syncs the folder; `from` must be synced already. */
thaw_status thaw_file_rename(const char *from, const char *to);

/* Appends with one write(2), so that a reader never sees half a line; creates the file. THAW_FAILED also when only part
 * could be written (the disk is full), which then stays. */
thaw_status thaw_file_append(const char *path, const void *bytes, size_t length);

/* Makes the folder and those above it; no error if it is there. */
thaw_status thaw_folder_make(const char *path);

bool thaw_file_exists(const char *path);

/* Removes the files in folder `path` whose names match a POSIX extended regular expression ("^a-[0-9]+\\.tmp$"). A
 * folder that is not there has nothing to remove. */
thaw_status thaw_folder_clean(const char *path, const char *expression);

/* Takes the lock that the file `path` stands for, which is made. Does not wait: `lock_out` is -1 when somebody else has
 * the lock. A lock ends with its process, so a file that a killed one left behind is no hindrance. On file systems
 * without locks everybody gets it. */
thaw_status thaw_file_lock(const char *path, int *lock_out);

/* Gives back a lock that was taken, and removes the file. */
void thaw_file_unlock(const char *path, int lock);

#endif
