#define _POSIX_C_SOURCE 200809L
#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/text.h"

void thaw_files_release(struct thaw_files *files)
{
	for (int64_t i = 0; i < files->count; i++)
		free(files->path[i]);
	free(files->path);
	*files = (struct thaw_files){NULL, 0};
}

thaw_status thaw_files_add(struct thaw_files *files, const char *path)
{
	char **added = thaw_append(&files->path, (size_t)files->count, sizeof *added);

	if (!added)
		return THAW_OUT_OF_MEMORY;
	*added = thaw_copy_text(path);
	files->count += *added != NULL;
	return *added ? THAW_OK : THAW_OUT_OF_MEMORY;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void thaw_files_sort(struct thaw_files *files, int64_t first)
{
	if (files->count > first)
		qsort(files->path + first, (size_t)(files->count - first), sizeof *files->path, by_bytes);
}

/* A folder being walked, and those above it. */
struct place {
	const char *path;
	size_t skipped; /* bytes at the beginning of `path` that its files are listed without */
	dev_t device;
	ino_t inode;
	const struct place *above;
};

static bool is_above(const struct place *place, const struct stat *info)
{
	for (; place; place = place->above)
		if (place->device == info->st_dev && place->inode == info->st_ino)
			return true;
	return false;
}

static thaw_status walk(const struct place *place, struct thaw_files *files);

/* Adds `path` to the files, or all that is below it. */
static thaw_status visit(const char *path, const struct place *above, struct thaw_files *files)
{
	struct stat info;

	if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
		return thaw_files_add(files, path + above->skipped);
	if (is_above(above, &info))
		return THAW_OK;
	return walk(&(struct place){path, above->skipped, info.st_dev, info.st_ino, above}, files);
}

static thaw_status walk(const struct place *place, struct thaw_files *files)
{
	size_t length = strlen(place->path);
	const char *slash = length > 0 && place->path[length - 1] == '/' ? "" : "/";
	DIR *folder = opendir(place->path);
	thaw_status status = THAW_OK;
	struct dirent *entry;

	if (!folder)
		return thaw_fail(THAW_FAILED, "cannot open folder '%s': %s", place->path, strerror(errno));
	while (!status && (errno = 0, entry = readdir(folder)) != NULL) {
		struct thaw_text path = THAW_TEXT_EMPTY;

		if (entry->d_name[0] == '.')
			continue;
		thaw_text_add(&path, "%s%s%s", place->path, slash, entry->d_name);
		status = thaw_text_status(&path);
		if (!status)
			status = visit(path.data, place, files);
		thaw_text_release(&path);
	}
	if (!status && errno)
		status = thaw_fail(THAW_FAILED, "cannot read folder '%s': %s", place->path, strerror(errno));
	closedir(folder);
	return status;
}

thaw_status thaw_files_walk(struct thaw_files *files, const char *folder, const char *root)
{
	struct place top = {.skipped = root ? strlen(root) + 1 : 0};
	struct stat info;

	if (root && stat(root, &info) == 0) {
		top.device = info.st_dev;
		top.inode = info.st_ino;
	}
	return visit(folder, &top, files);
}
