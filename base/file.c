#define _POSIX_C_SOURCE 200809L
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

static thaw_status fail_errno(const char *doing, const char *path)
{
	return thaw_fail(THAW_FAILED, "cannot %s '%s': %s", doing, path, strerror(errno));
}

thaw_status thaw_file_write_all(int fd, const char *path, const void *bytes, size_t length)
{
	const char *next = bytes;

	while (length > 0) {
		ssize_t written = write(fd, next, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return fail_errno("write", path);
		next += written;
		length -= (size_t)written;
	}
	return THAW_OK;
}

/* The length of what is open as `fd`, which must be a plain file within the limit. */
static thaw_status plain_length(int fd, const char *path, size_t limit_bytes, size_t *length_out)
{
	struct stat info;

	if (fstat(fd, &info) != 0)
		return fail_errno("look at", path);
	if (!S_ISREG(info.st_mode))
		return thaw_fail(THAW_FAILED, "cannot read '%s': not a plain file", path);
	if ((uintmax_t)info.st_size > limit_bytes)
		return thaw_fail(THAW_FAILED, "'%s' has %lld bytes, allowed are %zu", path, (long long)info.st_size,
		                 limit_bytes);
	*length_out = (size_t)info.st_size;
	return THAW_OK;
}

thaw_status thaw_file_read(const char *path, size_t limit_bytes, char **bytes_out, size_t *length_out)
{
	thaw_status status;
	size_t length = 0, have = 0;
	char *bytes;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused below, not waited for */

	if (fd < 0)
		return fail_errno("open", path);
	status = plain_length(fd, path, limit_bytes, &length);
	if (status)
		goto close_file;
	bytes = thaw_alloc(length + 1, 1);
	if (!bytes) {
		status = THAW_OUT_OF_MEMORY;
		goto close_file;
	}
	while (have < length) {
		ssize_t got = read(fd, bytes + have, length - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			status = got < 0 ? fail_errno("read", path)
			                 : thaw_fail(THAW_FAILED, "cannot read '%s': it became shorter", path);
			free(bytes);
			goto close_file;
		}
		have += (size_t)got;
	}
	*bytes_out = bytes;
	*length_out = length;
close_file:
	close(fd);
	return status;
}

/* fsync of the folder that holds `path`: only then is a rename in it sure. */
static thaw_status sync_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = thaw_copy_text(slash ? path : ".");
	thaw_status status = THAW_OK;
	int fd;

	if (!folder)
		return THAW_OUT_OF_MEMORY;
	if (slash)
		folder[slash == path ? 1 : slash - path] = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0)
		status = fail_errno("sync folder", folder);
	if (fd >= 0)
		close(fd);
	free(folder);
	return status;
}

thaw_status thaw_file_rename(const char *from, const char *to)
{
	if (rename(from, to) != 0)
		return fail_errno("rename to", to);
	return sync_folder_of(to);
}

/* Whether `path` holds exactly these bytes: a write that lied is found before the old file is gone. */
static thaw_status verify(const char *path, const void *bytes, size_t length)
{
	enum { PIECE = 1 << 20 };
	const char *want = bytes;
	char *piece = thaw_alloc(PIECE, 1);
	thaw_status status = THAW_OK;
	ssize_t got = 1;
	int fd;

	if (!piece)
		return THAW_OUT_OF_MEMORY;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		status = fail_errno("open", path);
		goto free_piece;
	}
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* from the disk, not from memory */
	while (!status && got != 0) {
		got = read(fd, piece, PIECE);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			status = fail_errno("read", path);
		else if ((size_t)got > length || (got == 0 && length > 0) || memcmp(piece, want, (size_t)got) != 0)
			status = thaw_fail(THAW_FAILED, "'%s' reads back different from what was written", path);
		else
			want += got, length -= (size_t)got;
	}
	close(fd);
free_piece:
	free(piece);
	return status;
}

/* Adds a name beside `path` that no other process uses, on whatever host it shares the folder from. */
static thaw_status add_temporary(const char *path, struct thaw_text *name)
{
	char host[256] = "";

	(void)gethostname(host, sizeof host - 1);
	thaw_text_add(name, "%s.%s.%ld.tmp", path, host, (long)getpid());
	return thaw_text_status(name);
}

/* Writes, syncs and verifies a file that is nobody's yet. What a failure leaves is the caller's to remove. */
static thaw_status write_verified(const char *path, const void *bytes, size_t length)
{
	thaw_status status;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0)
		return fail_errno("create", path);
	status = thaw_file_write_all(fd, path, bytes, length);
	if (!status && fsync(fd) != 0)
		status = fail_errno("sync", path);
	if (close(fd) != 0 && !status)
		status = fail_errno("close", path);
	return status ? status : verify(path, bytes, length);
}

/* Lets `copy` hold what `path` holds: another link to the same file or, on file systems without, a copy. */
static thaw_status link_or_copy(const char *path, const char *copy)
{
	size_t length;
	char *bytes;
	thaw_status status;

	(void)unlink(copy); /* a link that a killed process left is `path` itself: it must not be opened for writing */
	if (link(path, copy) == 0)
		return THAW_OK;
	status = thaw_file_read(path, SIZE_MAX - 1, &bytes, &length);
	if (status)
		return status;
	status = write_verified(copy, bytes, length);
	free(bytes);
	return status;
}

/* Lets `previous` name what `path` names. */
static thaw_status keep(const char *path, const char *previous)
{
	struct thaw_text temporary = THAW_TEXT_EMPTY;
	thaw_status status = add_temporary(previous, &temporary);

	if (!status)
		status = link_or_copy(path, temporary.data);
	if (!status && rename(temporary.data, previous) != 0)
		status = fail_errno("rename to", previous);
	(void)unlink(temporary.data); /* also after a success: renaming one link to a file over another one does nothing */
	thaw_text_release(&temporary);
	return status;
}

thaw_status thaw_file_publish_keeping(const char *path, const char *previous, const void *bytes, size_t length)
{
	struct thaw_text temporary = THAW_TEXT_EMPTY;
	thaw_status status = add_temporary(path, &temporary);

	if (!status)
		status = write_verified(temporary.data, bytes, length);
	if (!status && previous && thaw_file_exists(path))
		status = keep(path, previous);
	if (!status)
		status = thaw_file_rename(temporary.data, path);
	if (status)
		(void)unlink(temporary.data);
	thaw_text_release(&temporary);
	return status;
}

thaw_status thaw_file_publish(const char *path, const void *bytes, size_t length)
{
	return thaw_file_publish_keeping(path, NULL, bytes, length);
}

thaw_status thaw_file_replace(const char *path, const void *bytes, size_t length)
{
	struct thaw_text temporary = THAW_TEXT_EMPTY;
	thaw_status status = add_temporary(path, &temporary);
	int fd = status ? -1 : open(temporary.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (!status && fd < 0)
		status = fail_errno("create", temporary.data);
	if (!status)
		status = thaw_file_write_all(fd, temporary.data, bytes, length);
	if (fd >= 0 && close(fd) != 0 && !status)
		status = fail_errno("close", temporary.data);
	if (!status && rename(temporary.data, path) != 0)
		status = fail_errno("rename to", path);
	if (status && fd >= 0)
		(void)unlink(temporary.data);
	thaw_text_release(&temporary);
	return status;
}

thaw_status thaw_file_append(const char *path, const void *bytes, size_t length)
{
	thaw_status status = THAW_OK;
	ssize_t written;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd < 0)
		return fail_errno("open", path);
	do
		written = write(fd, bytes, length);
	while (written < 0 && errno == EINTR);
	if (written < 0)
		status = fail_errno("write", path);
	else if ((size_t)written != length)
		status = thaw_fail(THAW_FAILED, "cannot write '%s': only %zd of %zu bytes found room", path, written, length);
	if (!status && fsync(fd) != 0)
		status = fail_errno("sync", path);
	if (close(fd) != 0 && !status)
		status = fail_errno("close", path);
	return status;
}

thaw_status thaw_folder_make(const char *path)
{
	char *part = thaw_copy_text(path);
	thaw_status status = THAW_OK;
	struct stat info;

	if (!part)
		return THAW_OUT_OF_MEMORY;
	for (char *c = part + 1; !status && c[-1]; c++) {
		char kept = *c;

		if (kept != '/' && kept != '\0')
			continue;
		*c = '\0';
		if (mkdir(part, 0777) != 0 && errno != EEXIST)
			status = fail_errno("make folder", part);
		*c = kept;
	}
	if (!status && (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)))
		status = thaw_fail(THAW_FAILED, "'%s' is there and is not a folder", path);
	free(part);
	return status;
}

bool thaw_file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

thaw_status thaw_folder_clean(const char *path, const char *expression)
{
	DIR *folder = opendir(path);
	thaw_status status = THAW_OK;
	struct dirent *entry;
	regex_t regex;

	if (!folder)
		return errno == ENOENT ? THAW_OK : fail_errno("open folder", path);
	if (regcomp(&regex, expression, REG_EXTENDED | REG_NOSUB) != 0) {
		status = thaw_fail(THAW_FAILED, "'%s' is not a regular expression", expression);
		goto close_folder;
	}
	while (!status && (entry = readdir(folder)) != NULL)
		if (regexec(&regex, entry->d_name, 0, NULL, 0) == 0 && unlinkat(dirfd(folder), entry->d_name, 0) != 0)
			status = fail_errno("remove", entry->d_name);
	regfree(&regex);
close_folder:
	closedir(folder);
	return status;
}

/* Whether `path` still names what is open as `fd`: who unlocks removes the file, also under one who just opened it. */
static bool still_names(const char *path, int fd)
{
	struct stat at_path, opened;

	return stat(path, &at_path) == 0 && fstat(fd, &opened) == 0 && at_path.st_dev == opened.st_dev &&
	       at_path.st_ino == opened.st_ino;
}

thaw_status thaw_file_lock(const char *path, int *lock_out)
{
	for (;;) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
		thaw_status status = THAW_OK;

		if (fd < 0)
			return fail_errno("open", path);
		if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno == ENOSYS || errno == EOPNOTSUPP) {
			if (still_names(path, fd)) {
				*lock_out = fd;
				return THAW_OK;
			}
		} else if (errno == EWOULDBLOCK) {
			*lock_out = -1;
			close(fd);
			return THAW_OK;
		} else if (errno != EINTR) {
			status = fail_errno("lock", path);
		}
		close(fd);
		if (status)
			return status;
	}
}

void thaw_file_unlock(const char *path, int lock)
{
	if (still_names(path, lock))
		(void)unlink(path); /* while it is locked: afterwards it could be another's */
	close(lock);
}
