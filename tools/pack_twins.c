#include "tools/pack_twins.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

static int compare_contents(const void *left, const void *right)
{
	const struct thaw_pack_key *a = left, *b = right;

	if (a->bytes != b->bytes)
		return a->bytes < b->bytes ? -1 : 1;
	return a->crc32c < b->crc32c ? -1 : a->crc32c > b->crc32c;
}

static int compare_keys(const void *left, const void *right)
{
	const struct thaw_pack_key *a = left, *b = right;
	int order = compare_contents(a, b);

	return order != 0 ? order : a->file < b->file ? -1 : a->file > b->file;
}

static void add_path(struct thaw_text *path, const struct thaw_pack_split *split, int64_t file)
{
	thaw_text_add(path, "%s/%s", split->folder, split->files[file].path);
}

static thaw_status same_bytes(const char *a, const char *b, bool *same_out)
{
	char *a_bytes = NULL, *b_bytes = NULL;
	size_t a_length = 0, b_length = 0;
	thaw_status status = thaw_file_read(a, SIZE_MAX, &a_bytes, &a_length);

	if (!status)
		status = thaw_file_read(b, SIZE_MAX, &b_bytes, &b_length);
	if (!status)
		*same_out = a_length == b_length && memcmp(a_bytes, b_bytes, a_length) == 0;
	free(a_bytes);
	free(b_bytes);
	return status;
}

/* A picture of a split. */
struct twin {
	const struct thaw_pack_split *split;
	int64_t file;
};

/* Compares two files whose keys are equal, and warns when they are. */
static thaw_status compare_files(struct twin a, struct twin b, const char *where, bool *same_out)
{
	struct thaw_text a_path = THAW_TEXT_EMPTY, b_path = THAW_TEXT_EMPTY;
	bool same = false;
	thaw_status status;

	add_path(&a_path, a.split, a.file);
	add_path(&b_path, b.split, b.file);
	status = thaw_text_status(&a_path);
	if (!status)
		status = thaw_text_status(&b_path);
	if (!status)
		status = same_bytes(a_path.data, b_path.data, &same);
	if (!status && same)
		thaw_warn("'%s' and '%s' are the same picture, in %s", a_path.data, b_path.data, where);
	if (!status)
		*same_out = same;
	thaw_text_release(&a_path);
	thaw_text_release(&b_path);
	return status;
}

/* The first training key with the contents of `key`, or where it would stand. */
static int64_t lower_bound(const struct thaw_pack_keys *train, const struct thaw_pack_key *key)
{
	int64_t low = 0, high = train->count;

	while (low < high) {
		int64_t middle = low + (high - low) / 2;

		if (compare_contents(&train->keys[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void sort(const struct thaw_pack_keys *keys)
{
	qsort(keys->keys, (size_t)keys->count, sizeof *keys->keys, compare_keys);
}

/* Warns of pictures that one split, sorted, has under two labels. */
static thaw_status warn_two_labels(const struct thaw_pack_keys *keys)
{
	thaw_status status = THAW_OK;
	bool same;

	for (int64_t i = 1; !status && i < keys->count; i++) {
		const struct thaw_pack_key *a = &keys->keys[i - 1], *b = &keys->keys[i];

		if (compare_contents(a, b) == 0 && keys->split->files[a->file].label != keys->split->files[b->file].label)
			status = compare_files((struct twin){keys->split, a->file}, (struct twin){keys->split, b->file},
			                       "two classes", &same);
	}
	return status;
}

thaw_status thaw_pack_warn_twins(const struct thaw_pack_keys *train, const struct thaw_pack_keys *val,
                                 int64_t *count_out)
{
	thaw_status status = THAW_OK;
	int64_t count = 0;

	sort(train);
	for (int64_t i = 0; !status && i < val->count; i++) {
		bool same = false;

		for (int64_t t = lower_bound(train, &val->keys[i]);
		     !status && !same && t < train->count && compare_contents(&train->keys[t], &val->keys[i]) == 0; t++)
			status = compare_files((struct twin){train->split, train->keys[t].file},
			                       (struct twin){val->split, val->keys[i].file}, "training and in validation", &same);
		count += same;
	}
	sort(val);
	if (!status)
		status = warn_two_labels(train);
	if (!status)
		status = warn_two_labels(val);
	if (!status)
		*count_out = count;
	return status;
}
