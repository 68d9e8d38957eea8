#include "tools/shard_names.h"

#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "io/shard.h"

bool thaw_shard_name_is(const char *name)
{
	struct thaw_shard_name parsed;

	if (!thaw_shard_name_parse(name, &parsed))
		return false;
	return (parsed.split_length == 5 && memcmp(name, "train", 5) == 0) ||
	       (parsed.split_length == 3 && memcmp(name, "val", 3) == 0);
}

/* Adds `length` bytes of a path to a glob, so that they stand for themselves. */
static void add_escaped(struct thaw_text *pattern, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (strchr("*?[\\", text[i]))
			thaw_text_add_bytes(pattern, "\\", 1);
		thaw_text_add_bytes(pattern, text + i, 1);
	}
}

thaw_status thaw_shard_find(const char *text, glob_t *found)
{
	struct thaw_text pattern = THAW_TEXT_EMPTY;
	struct stat info;
	thaw_status status;

	if (stat(text, &info) != 0) {
		thaw_text_add(&pattern, "%s", text);
	} else {
		add_escaped(&pattern, text, strlen(text));
		if (S_ISDIR(info.st_mode))
			thaw_text_add(&pattern, "%s*-of-*.h5", text[strlen(text) - 1] == '/' ? "" : "/");
	}
	status = thaw_text_status(&pattern);
	if (!status) {
		int code = glob(pattern.data, GLOB_NOCHECK | (found->gl_pathc ? GLOB_APPEND : 0), NULL, found);

		if (code == GLOB_NOSPACE)
			status = thaw_fail(THAW_OUT_OF_MEMORY, "out of memory searching for '%s'", text);
		else if (code)
			status = thaw_fail(THAW_FAILED, "cannot search for '%s'", text);
	}
	thaw_text_release(&pattern);
	return status;
}

thaw_status thaw_shard_split_pattern(const char *path, struct thaw_text *pattern_out)
{
	struct thaw_shard_name name;

	if (!thaw_file_exists(path)) {
		thaw_text_add(pattern_out, "%s", path);
	} else if (!thaw_shard_name_parse(path, &name)) {
		add_escaped(pattern_out, path, strlen(path));
	} else {
		const char *split_end = name.split + name.split_length;

		add_escaped(pattern_out, path, (size_t)(split_end - path));
		thaw_text_add(pattern_out, "-*%s", strstr(split_end, "-of-"));
	}
	return thaw_text_status(pattern_out);
}
