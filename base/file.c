#define _POSIX_C_SOURCE 200809L
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
	char *back;
	size_t back_length;
	thaw_status status = thaw_file_read(path, length, &back, &back_length);

	if (status)
		return status;
	if (back_length != length || memcmp(back, bytes, length) != 0)
		status = thaw_fail(THAW_FAILED, "'%s' reads back different from what was written", path);
	free(back);
	return status;
}

thaw_status thaw_file_publish(const char *path, const void *bytes, size_t length)
{
	struct thaw_text temporary = THAW_TEXT_EMPTY;
	thaw_status status;
	int fd;

	thaw_text_add(&temporary, "%s.%ld.tmp", path, (long)getpid());
	status = thaw_text_status(&temporary);
	if (status)
		return status;
	fd = open(temporary.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0) {
		status = fail_errno("create", temporary.data);
		goto release_name;
	}
	status = thaw_file_write_all(fd, temporary.data, bytes, length);
	if (!status && fsync(fd) != 0)
		status = fail_errno("sync", temporary.data);
	if (close(fd) != 0 && !status)
		status = fail_errno("close", temporary.data);
	if (!status)
		status = verify(temporary.data, bytes, length);
	if (!status)
		status = thaw_file_rename(temporary.data, path);
	if (status)
		(void)unlink(temporary.data);
release_name:
	thaw_text_release(&temporary);
	return status;
}

thaw_status thaw_file_append(const char *path, const void *bytes, size_t length)
{
	thaw_status status;
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd < 0)
		return fail_errno("open", path);
	status = thaw_file_write_all(fd, path, bytes, length);
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

static bool has_affixes(const char *name, const char *prefix, const char *suffix)
{
	size_t length = strlen(name), p = strlen(prefix), s = strlen(suffix);

	return length >= p + s && memcmp(name, prefix, p) == 0 && memcmp(name + length - s, suffix, s) == 0;
}

thaw_status thaw_folder_clean(const char *path, const char *prefix, const char *suffix)
{
	DIR *folder = opendir(path);
	thaw_status status = THAW_OK;
	struct dirent *entry;

	if (!folder)
		return errno == ENOENT ? THAW_OK : fail_errno("open folder", path);
	while (!status && (entry = readdir(folder)) != NULL)
		if (has_affixes(entry->d_name, prefix, suffix) && unlinkat(dirfd(folder), entry->d_name, 0) != 0)
			status = fail_errno("remove", entry->d_name);
	closedir(folder);
	return status;
}
