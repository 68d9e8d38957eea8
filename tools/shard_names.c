#include "tools/shard_names.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"

/* The length of "train" or "val" in front of "-00000-of-00004.h5"; 0 when `name` is not of this form. */
static size_t split_length(const char *name)
{
	size_t length = strcspn(name, "-");
	int shard, shards, end = 0;

	if (!(length == 5 && memcmp(name, "train", 5) == 0) && !(length == 3 && memcmp(name, "val", 3) == 0))
		return 0;
	if (sscanf(name + length, "-%9d-of-%9d.h5%n", &shard, &shards, &end) != 2 || end == 0 || name[length + end])
		return 0;
	return length;
}

bool thaw_shard_name_is(const char *name)
{
	return split_length(name) > 0;
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

thaw_status thaw_shard_split_pattern(const char *path, struct thaw_text *pattern_out)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t split = split_length(name);

	if (!thaw_file_exists(path)) {
		thaw_text_add(pattern_out, "%s", path);
	} else if (split == 0) {
		add_escaped(pattern_out, path, strlen(path));
	} else {
		add_escaped(pattern_out, path, (size_t)(name - path));
		thaw_text_add_bytes(pattern_out, name, split);
		thaw_text_add(pattern_out, "-*%s", strstr(name + split, "-of-"));
	}
	return thaw_text_status(pattern_out);
}
