#include "tools/pack_spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

static void add_spool_path(const struct thaw_spool *spool, int shard, struct thaw_text *path)
{
	thaw_text_add(path, "%s/%s-%05d.pixels.tmp", spool->folder, spool->split, shard);
}

static void add_shard_path(const struct thaw_spool *spool, int shard, struct thaw_text *path)
{
	thaw_text_add(path, "%s/%s-%05d.tmp", spool->folder, spool->split, shard);
}

thaw_status thaw_spool_init(struct thaw_spool *spool, const char *folder, const char *split, int64_t capacity,
                            uint64_t limit_bytes)
{
	*spool = (struct thaw_spool){.folder = folder, .split = split, .capacity = capacity, .limit_bytes = limit_bytes};
	spool->index = thaw_alloc((size_t)capacity, sizeof *spool->index);
	spool->names = thaw_alloc((size_t)capacity, sizeof *spool->names);
	spool->first = thaw_alloc((size_t)capacity, sizeof *spool->first);
	if (!spool->index || !spool->names || !spool->first) {
		thaw_spool_release(spool);
		return THAW_OUT_OF_MEMORY;
	}
	return THAW_OK;
}

void thaw_spool_release(struct thaw_spool *spool)
{
	if (spool->file)
		fclose(spool->file);
	free(spool->index);
	free(spool->names);
	free(spool->first);
	*spool = (struct thaw_spool){0};
}

static thaw_status fail_spool(const char *doing, const struct thaw_spool *spool)
{
	return thaw_fail(THAW_FAILED, "cannot %s '%s/%s-%05d.pixels.tmp': %s", doing, spool->folder, spool->split,
	                 spool->shards - 1, strerror(errno));
}

static thaw_status close_file(struct thaw_spool *spool)
{
	FILE *file = spool->file;

	spool->file = NULL;
	return file && fclose(file) != 0 ? fail_spool("write", spool) : THAW_OK;
}

static thaw_status begin_shard(struct thaw_spool *spool)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	thaw_status status = close_file(spool);

	if (status)
		return status;
	spool->first[spool->shards++] = spool->count;
	spool->file_bytes = 0;
	add_spool_path(spool, spool->shards - 1, &path);
	status = thaw_text_status(&path);
	if (!status && !(spool->file = fopen(path.data, "wbe")))
		status = fail_spool("create", spool);
	thaw_text_release(&path);
	return status;
}

thaw_status thaw_spool_add(struct thaw_spool *spool, const struct thaw_picture *picture, const char *name,
                           const uint8_t *pixels)
{
	size_t bytes = (size_t)picture->height * picture->width * 3;
	thaw_status status = THAW_OK;

	if (!spool->file || spool->file_bytes + bytes > spool->limit_bytes)
		status = begin_shard(spool);
	if (!status && fwrite(pixels, 1, bytes, spool->file) != bytes)
		status = fail_spool("write", spool);
	if (status)
		return status;
	spool->index[spool->count] = *picture;
	spool->index[spool->count].offset = spool->file_bytes;
	spool->names[spool->count++] = name;
	spool->file_bytes += bytes;
	spool->bytes += bytes;
	return THAW_OK;
}

/* Shard `shard`, whose pixels are `bytes`, under its temporary name. */
static thaw_status write_pixels(const struct thaw_spool *spool, int shard, const char *bytes,
                                struct thaw_shard *contents)
{
	int64_t first = spool->first[shard], end = shard + 1 < spool->shards ? spool->first[shard + 1] : spool->count;
	const uint8_t **pixels = thaw_alloc((size_t)(end - first), sizeof *pixels);
	struct thaw_text path = THAW_TEXT_EMPTY;
	thaw_status status;

	add_shard_path(spool, shard, &path);
	status = pixels ? thaw_text_status(&path) : THAW_OUT_OF_MEMORY;
	if (!status) {
		for (int64_t i = first; i < end; i++)
			pixels[i - first] = (const uint8_t *)bytes + spool->index[i].offset;
		contents->count = end - first;
		contents->index = spool->index + first;
		contents->names = spool->names + first;
		contents->pixels = pixels;
		status = thaw_shard_write(path.data, contents);
	}
	thaw_text_release(&path);
	free(pixels);
	return status;
}

static thaw_status write_shard(const struct thaw_spool *spool, int shard, struct thaw_shard *contents)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	thaw_status status;
	size_t length;
	char *bytes;

	add_spool_path(spool, shard, &path);
	status = thaw_text_status(&path);
	if (!status)
		status = thaw_file_read(path.data, SIZE_MAX, &bytes, &length);
	if (!status) {
		status = write_pixels(spool, shard, bytes, contents);
		free(bytes);
	}
	if (!status && remove(path.data) != 0)
		status = thaw_fail(THAW_FAILED, "cannot remove '%s': %s", path.data, strerror(errno));
	thaw_text_release(&path);
	return status;
}

thaw_status thaw_spool_write(struct thaw_spool *spool, const struct thaw_dataset_facts *facts,
                             const char *const *classes)
{
	struct thaw_shard contents = {.facts = facts, .classes = classes};
	thaw_status status = close_file(spool);

	for (int shard = 0; !status && shard < spool->shards; shard++)
		status = write_shard(spool, shard, &contents);
	return status;
}

thaw_status thaw_spool_publish(const struct thaw_spool *spool)
{
	thaw_status status = THAW_OK;

	for (int shard = 0; !status && shard < spool->shards; shard++) {
		struct thaw_text from = THAW_TEXT_EMPTY, to = THAW_TEXT_EMPTY;

		add_shard_path(spool, shard, &from);
		thaw_text_add(&to, "%s/%s-%05d-of-%05d.h5", spool->folder, spool->split, shard, spool->shards);
		status = thaw_text_status(&from);
		if (!status)
			status = thaw_text_status(&to);
		if (!status)
			status = thaw_file_rename(from.data, to.data);
		thaw_text_release(&from);
		thaw_text_release(&to);
	}
	return status;
}

thaw_status thaw_spool_clean(const char *folder)
{
	return thaw_folder_clean(folder, "^(train|val)-[0-9]{5,}(\\.pixels)?\\.tmp$");
}
