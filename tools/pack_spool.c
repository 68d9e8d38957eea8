#define _POSIX_C_SOURCE 200809L
#include "tools/pack_spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/printable.h"
#include "base/text.h"

static void add_shard_path(const struct thaw_spool *spool, int shard, struct thaw_text *path)
{
	thaw_text_add(path, "%s/%s-%05d.tmp", spool->folder, spool->split, shard);
}

static thaw_status fail_spool(const char *doing, const struct thaw_spool *spool)
{
	return thaw_fail(THAW_FAILED, "cannot %s '%s/%s.pixels.tmp': %s", doing, spool->folder, spool->split,
	                 strerror(errno));
}

/* Opens the spool file and takes its name away: however the process ends, its pixels end with it. */
static thaw_status open_file(struct thaw_spool *spool)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_text_add(&path, "%s/%s.pixels.tmp", spool->folder, spool->split);
	status = thaw_text_status(&path);
	if (!status && !(spool->file = fopen(path.data, "w+be")))
		status = fail_spool("create", spool);
	if (!status && unlink(path.data) != 0)
		status = fail_spool("remove", spool);
	thaw_text_release(&path);
	return status;
}

thaw_status thaw_spool_init(struct thaw_spool *spool, const char *folder, const char *split, int64_t capacity,
                            uint64_t limit_bytes)
{
	thaw_status status = THAW_OUT_OF_MEMORY;

	*spool = (struct thaw_spool){.folder = folder, .split = split, .capacity = capacity, .limit_bytes = limit_bytes};
	spool->index = thaw_alloc((size_t)capacity, sizeof *spool->index);
	spool->names = thaw_alloc((size_t)capacity, sizeof *spool->names);
	spool->first = thaw_alloc((size_t)capacity, sizeof *spool->first);
	if (spool->index && spool->names && spool->first)
		status = open_file(spool);
	if (status)
		thaw_spool_release(spool);
	return status;
}

void thaw_spool_release(struct thaw_spool *spool)
{
	if (spool->file)
		fclose(spool->file);
	for (int64_t i = 0; i < spool->count; i++)
		free(spool->names[i]);
	free(spool->index);
	free(spool->names);
	free(spool->first);
	*spool = (struct thaw_spool){0};
}

static size_t picture_bytes(const struct thaw_picture *picture)
{
	return (size_t)picture->height * picture->width * 3;
}

thaw_status thaw_spool_add(struct thaw_spool *spool, const struct thaw_picture *picture, const char *name,
                           const uint8_t *pixels)
{
	size_t bytes = picture_bytes(picture);
	struct thaw_text printable = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_text_add_printable(&printable, name);
	status = thaw_text_status(&printable);
	if (!status && !(spool->names[spool->count] = thaw_copy_text(printable.data)))
		status = THAW_OUT_OF_MEMORY;
	thaw_text_release(&printable);
	if (status)
		return status;
	if (spool->count == 0 || spool->shard_bytes + bytes > spool->limit_bytes) {
		spool->first[spool->shards++] = spool->count;
		spool->shard_bytes = 0;
	}
	spool->index[spool->count] = *picture;
	spool->index[spool->count++].offset = spool->shard_bytes;
	spool->shard_bytes += bytes;
	spool->bytes += bytes;
	return fwrite(pixels, 1, bytes, spool->file) == bytes ? THAW_OK : fail_spool("write", spool);
}

/* Reads the last `length` bytes of the spool file, which ends at `end`, and cuts them off: their room is needed for the
 * shard. */
static thaw_status take_tail(const struct thaw_spool *spool, uint64_t end, char *bytes, size_t length)
{
	if (fseeko(spool->file, (off_t)(end - length), SEEK_SET) != 0)
		return fail_spool("read", spool);
	if (fread(bytes, 1, length, spool->file) != length)
		return ferror(spool->file) ? fail_spool("read", spool)
		                           : thaw_fail(THAW_FAILED, "cannot read '%s/%s.pixels.tmp': it became shorter",
		                                       spool->folder, spool->split);
	if (ftruncate(fileno(spool->file), (off_t)(end - length)) != 0)
		return fail_spool("shorten", spool);
	return THAW_OK;
}

/* Whether `path` holds what was written to it. */
static thaw_status read_back(const char *path)
{
	struct thaw_shard_map shard;
	thaw_status status = thaw_shard_open(path, &shard);

	if (status)
		return status;
	status = thaw_shard_verify(path, &shard);
	thaw_shard_close(&shard);
	return status;
}

/* Shard `shard`, whose pixels are `bytes`, under its temporary name. */
static thaw_status write_pixels(const struct thaw_spool *spool, int shard, const char *bytes,
                                struct thaw_shard *contents)
{
	const uint8_t **pixels = thaw_alloc((size_t)contents->count, sizeof *pixels);
	struct thaw_text path = THAW_TEXT_EMPTY;
	thaw_status status;

	add_shard_path(spool, shard, &path);
	status = pixels ? thaw_text_status(&path) : THAW_OUT_OF_MEMORY;
	for (int64_t i = 0; !status && i < contents->count; i++) {
		const struct thaw_picture *picture = &contents->index[i];

		pixels[i] = (const uint8_t *)bytes + picture->offset;
		if (thaw_crc32c(0, pixels[i], picture_bytes(picture)) != picture->crc32c)
			status =
				thaw_fail(THAW_FAILED, "'%s/%s.pixels.tmp' reads back different from what was written: picture '%s'",
			              spool->folder, spool->split, contents->names[i]);
	}
	contents->pixels = pixels;
	if (!status)
		status = thaw_shard_write(path.data, contents);
	if (!status)
		status = read_back(path.data);
	thaw_text_release(&path);
	free(pixels);
	return status;
}

/* Writes the shard whose pixels end at byte `end` of the spool file, and moves that to where they begin. */
static thaw_status write_shard(const struct thaw_spool *spool, int shard, uint64_t *end, struct thaw_shard *contents)
{
	int64_t first = spool->first[shard], behind = shard + 1 < spool->shards ? spool->first[shard + 1] : spool->count;
	size_t length = (size_t)spool->index[behind - 1].offset + picture_bytes(&spool->index[behind - 1]);
	char *bytes = thaw_alloc(length, 1);
	thaw_status status = bytes ? take_tail(spool, *end, bytes, length) : THAW_OUT_OF_MEMORY;

	contents->count = behind - first;
	contents->index = spool->index + first;
	contents->names = (const char *const *)spool->names + first;
	if (!status)
		status = write_pixels(spool, shard, bytes, contents);
	*end -= length;
	free(bytes);
	return status;
}

thaw_status thaw_spool_write(struct thaw_spool *spool, const struct thaw_dataset_facts *facts,
                             const char *const *classes)
{
	struct thaw_shard contents = {.facts = facts, .classes = classes};
	thaw_status status = fflush(spool->file) == 0 ? THAW_OK : fail_spool("write", spool);
	uint64_t end = spool->bytes;

	for (int shard = spool->shards - 1; !status && shard >= 0; shard--)
		status = write_shard(spool, shard, &end, &contents);
	return status;
}

thaw_status thaw_spool_publish(const struct thaw_spool *spool)
{
	thaw_status status = THAW_OK;

	for (int shard = 0; !status && shard < spool->shards; shard++) {
		struct thaw_text from = THAW_TEXT_EMPTY, to = THAW_TEXT_EMPTY;

		add_shard_path(spool, shard, &from);
		thaw_text_add(&to, "%s/", spool->folder);
		thaw_shard_name_add(&to, spool->split, shard, spool->shards);
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
	return thaw_folder_clean(folder, "^(train|val)(-[0-9]{5,}|\\.pixels)\\.tmp$");
}
