#include "nn/cuda/plan_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/cache.h"
#include "base/checksum.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

enum { DIGEST = 64 }; /* characters of a checksum */

/* --- lines ------------------------------------------------------------------------------------------------------- */

struct line {
	const char *whole, *key, *plan;
	size_t length, key_length, plan_length;
};

static void digest_of(const struct line *line, char digest_out[DIGEST + 1])
{
	struct thaw_sha256_stream stream;
	uint8_t digest[32];

	thaw_sha256_begin(&stream);
	thaw_sha256_add(&stream, line->key, line->key_length);
	thaw_sha256_add(&stream, "\t", 1);
	thaw_sha256_add(&stream, line->plan, line->plan_length);
	thaw_sha256_end(&stream, digest);
	thaw_sha256_text(digest, digest_out);
}

/* Whether `whole` is a line that thaw wrote; then finds its parts. */
static bool is_record(struct line *line)
{
	char digest[DIGEST + 1];
	const char *end = line->whole + line->length, *tab;

	if (line->length <= DIGEST || line->whole[DIGEST] != '\t')
		return false;
	line->key = line->whole + DIGEST + 1;
	tab = memchr(line->key, '\t', (size_t)(end - line->key));
	if (!tab)
		return false;
	line->key_length = (size_t)(tab - line->key);
	line->plan = tab + 1;
	line->plan_length = (size_t)(end - line->plan);
	digest_of(line, digest);
	return memcmp(line->whole, digest, DIGEST) == 0;
}

/* Goes to the next line of ours between `at` and `end`; false where there is none. */
static bool next_record(const char **at, const char *end, struct line *line)
{
	while (*at < end) {
		const char *stop = memchr(*at, '\n', (size_t)(end - *at));

		line->whole = *at;
		line->length = (size_t)((stop ? stop : end) - *at);
		*at = stop ? stop + 1 : end;
		if (is_record(line))
			return true;
	}
	return false;
}

static void add_line(struct thaw_text *text, const struct thaw_plan_record *record)
{
	const struct line line = {
		.key = record->key,
		.key_length = strlen(record->key),
		.plan = record->plan,
		.plan_length = strlen(record->plan),
	};
	char digest[DIGEST + 1];

	digest_of(&line, digest);
	thaw_text_add(text, "%s\t%s\t%s\n", digest, record->key, record->plan);
}

/* --- the table --------------------------------------------------------------------------------------------------- */

/* Where the number of the record with this key stands, or would. */
static size_t *slot_of(const struct thaw_plan_cache *cache, const char *key, size_t length)
{
	size_t at = thaw_crc32c(0, key, length) & (cache->slot_count - 1);

	while (cache->slots[at]) {
		const char *other = cache->records[cache->slots[at] - 1].key;

		if (strlen(other) == length && memcmp(other, key, length) == 0)
			break;
		at = (at + 1) & (cache->slot_count - 1);
	}
	return &cache->slots[at];
}

/* Keeps at least half of the slots free, so that a search ends soon. */
static thaw_status make_room(struct thaw_plan_cache *cache)
{
	size_t *before = cache->slots, *slots;

	if (2 * (cache->count + 1) <= cache->slot_count)
		return THAW_OK;
	slots = thaw_alloc(cache->slot_count ? 2 * cache->slot_count : 64, sizeof *slots);
	if (!slots)
		return THAW_OUT_OF_MEMORY;
	cache->slots = slots;
	cache->slot_count = cache->slot_count ? 2 * cache->slot_count : 64;
	for (size_t i = 0; i < cache->count; i++)
		*slot_of(cache, cache->records[i].key, strlen(cache->records[i].key)) = i + 1;
	free(before);
	return THAW_OK;
}

static thaw_status put(struct thaw_plan_cache *cache, const struct line *line, enum thaw_plan_origin origin, bool used)
{
	char *block = thaw_alloc(line->key_length + line->plan_length + 2, 1);
	struct thaw_plan_record *record;
	size_t *slot;
	thaw_status status = block ? make_room(cache) : THAW_OUT_OF_MEMORY;

	if (status)
		goto free_block;
	memcpy(block, line->key, line->key_length);
	memcpy(block + line->key_length + 1, line->plan, line->plan_length);
	slot = slot_of(cache, line->key, line->key_length);
	if (*slot) {
		record = &cache->records[*slot - 1];
		used |= record->used;
		free(record->key);
	} else {
		record = thaw_append(&cache->records, cache->count, sizeof *record);
		status = record ? THAW_OK : THAW_OUT_OF_MEMORY;
		if (status)
			goto free_block;
		*slot = ++cache->count;
	}
	*record = (struct thaw_plan_record){block, block + line->key_length + 1, origin, used};
	return THAW_OK;
free_block:
	free(block);
	return status;
}

static thaw_status put_all(struct thaw_plan_cache *cache, const char *bytes, size_t length,
                           enum thaw_plan_origin origin)
{
	const char *at = bytes;
	struct line line;
	thaw_status status = THAW_OK;

	while (!status && next_record(&at, bytes + length, &line))
		status = put(cache, &line, origin, false);
	return status;
}

const struct thaw_plan_record *thaw_plan_cache_find(struct thaw_plan_cache *cache, const char *key)
{
	size_t number = cache->slot_count ? *slot_of(cache, key, strlen(key)) : 0;

	if (!number)
		return NULL;
	cache->records[number - 1].used = true;
	return &cache->records[number - 1];
}

thaw_status thaw_plan_cache_add(struct thaw_plan_cache *cache, const char *key, const char *plan,
                                enum thaw_plan_origin origin)
{
	const struct line line = {
		.key = key,
		.key_length = strlen(key),
		.plan = plan,
		.plan_length = strlen(plan),
	};
	thaw_status status = put(cache, &line, origin, true);

	if (!status && origin == THAW_PLAN_TIMED && cache->path.length)
		cache->changed = true;
	return status;
}

/* --- the file ---------------------------------------------------------------------------------------------------- */

thaw_status thaw_plan_cache_load(struct thaw_plan_cache *cache_out)
{
	struct thaw_plan_cache cache = {.path = THAW_TEXT_EMPTY};
	char *bytes;
	size_t length;
	thaw_status status = thaw_cache_path("cudnn-plans.txt", &cache.path);

	if (!status && cache.path.length && !thaw_file_read(cache.path.data, THAW_PLAN_CACHE_LIMIT, &bytes, &length)) {
		status = put_all(&cache, bytes, length, THAW_PLAN_KEPT);
		free(bytes);
	}
	if (status)
		thaw_plan_cache_release(&cache);
	else
		*cache_out = cache;
	return status;
}

void thaw_plan_cache_release(struct thaw_plan_cache *cache)
{
	for (size_t i = 0; i < cache->count; i++)
		free(cache->records[i].key);
	free(cache->records);
	free(cache->slots);
	thaw_text_release(&cache->path);
	*cache = (struct thaw_plan_cache){.path = THAW_TEXT_EMPTY};
}

/* Whether this process has timed what the line is of. */
static bool is_replaced(const struct thaw_plan_cache *cache, const struct line *line)
{
	size_t number = *slot_of(cache, line->key, line->key_length);

	return number && cache->records[number - 1].origin == THAW_PLAN_TIMED;
}

/* Adds what others have put into the file, as far as there is room. */
static void add_theirs(const struct thaw_plan_cache *cache, struct thaw_text *text)
{
	char *bytes;
	size_t length;
	struct line line;
	const char *at;

	if (thaw_file_read(cache->path.data, THAW_PLAN_CACHE_LIMIT, &bytes, &length))
		return;
	for (at = bytes; next_record(&at, bytes + length, &line);) {
		if (is_replaced(cache, &line) || text->length + line.length + 1 > THAW_PLAN_CACHE_LIMIT)
			continue;
		thaw_text_add_bytes(text, line.whole, line.length);
		thaw_text_add_bytes(text, "\n", 1);
	}
	free(bytes);
}

void thaw_plan_cache_keep(struct thaw_plan_cache *cache)
{
	struct thaw_text text = THAW_TEXT_EMPTY;
	thaw_status status;

	if (!cache->changed)
		return;
	cache->changed = false; /* also after a failure: what could not be written once is not tried at every call */
	for (size_t i = 0; i < cache->count; i++)
		if (cache->records[i].origin == THAW_PLAN_TIMED)
			add_line(&text, &cache->records[i]);
	add_theirs(cache, &text);
	status = thaw_text_status(&text);
	if (!status)
		status = thaw_cache_make_folder(cache->path.data);
	if (!status)
		status = thaw_file_publish(cache->path.data, text.data, text.length);
	if (status && !cache->warned) {
		thaw_warn("plans of convolutions cannot be kept in '%s': the next run times again", cache->path.data);
		cache->warned = true;
	}
	thaw_text_release(&text);
}

/* --- other processes --------------------------------------------------------------------------------------------- */

thaw_status thaw_plan_cache_text(const struct thaw_plan_cache *cache, struct thaw_text *text)
{
	for (size_t i = 0; i < cache->count; i++)
		if (cache->records[i].used)
			add_line(text, &cache->records[i]);
	return thaw_text_status(text);
}

thaw_status thaw_plan_cache_learn(struct thaw_plan_cache *cache, const char *text)
{
	return put_all(cache, text, strlen(text), THAW_PLAN_LEARNT);
}
