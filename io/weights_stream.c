/*
 * torch.save() of PyTorch 0.1.10 to 1.5: pickles one behind the other, then the storages:
 *
 *     magic number, protocol version (1001), facts of the machine, what was saved, keys of the storages in a list
 *     for each key: number of elements (int64), elements
 */
#include "io/weights_torch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MAGIC = 15, PROTOCOL = 1001 };

struct stream {
	struct thaw_weights_reader *reader;
	struct thaw_pickle pickle;
	struct thaw_pickle_value *seen;  /* LIST of all storages that the pickle names */
	struct thaw_storage **storages;  /* (count) in order of their keys, each key once */
	size_t count;
};

/* Keeps all storages: those of optimizers as well have bytes that have to be gone past. */
static thaw_status find(struct thaw_pickle *pickle, const struct thaw_pickle_value *id,
                        struct thaw_pickle_value **value_out)
{
	struct stream *stream = pickle->context;
	thaw_status status = thaw_torch_rules.find(pickle, id, value_out);

	return status ? status : thaw_pickle_append(pickle, stream->seen, *value_out);
}

static int by_key(const void *a, const void *b)
{
	const struct thaw_storage *x = *(struct thaw_storage *const *)a, *y = *(struct thaw_storage *const *)b;
	int order = memcmp(x->key, y->key, x->key_length < y->key_length ? x->key_length : y->key_length);

	return order ? order : (x->key_length > y->key_length) - (x->key_length < y->key_length);
}

static thaw_status sort_storages(struct stream *stream)
{
	size_t once = 0;

	stream->storages = thaw_alloc((size_t)stream->seen->count, sizeof(struct thaw_storage *));
	if (!stream->storages)
		return THAW_OUT_OF_MEMORY;
	for (const struct thaw_pickle_item *item = stream->seen->first; item; item = item->next)
		stream->storages[stream->count++] = thaw_torch_storage(item->value);
	if (stream->count == 0)
		return THAW_OK;
	qsort(stream->storages, stream->count, sizeof(struct thaw_storage *), by_key);
	for (size_t i = 0; i < stream->count; i++)
		if (i == 0 || by_key(&stream->storages[once - 1], &stream->storages[i]) != 0)
			stream->storages[once++] = stream->storages[i];
	stream->count = once;
	return THAW_OK;
}

/* NULL: the pickle named none with this key. */
static struct thaw_storage *find_storage(const struct stream *stream, const char *key, size_t key_length)
{
	struct thaw_storage wanted = {.key = key, .key_length = key_length}, *pointer = &wanted, **found = NULL;

	if (stream->count > 0)
		found = bsearch(&pointer, stream->storages, stream->count, sizeof(struct thaw_storage *), by_key);
	return found ? *found : NULL;
}

/* Storages of one key all look into the same bytes. */
static thaw_status locate(void *context, struct thaw_storage *storage)
{
	const struct stream *stream = context;
	const struct thaw_storage *found = find_storage(stream, storage->key, storage->key_length);

	if (!found->data || found->dtype != storage->dtype)
		return thaw_fail(THAW_FAILED, "'%s' is damaged: a storage that its pickle names is not there, or of another type",
		                 stream->reader->path);
	storage->data = found->data;
	storage->data_length = found->data_length;
	return THAW_OK;
}

/* The bytes of a storage: a count of elements before them. */
static thaw_status read_storage(struct stream *stream, const struct thaw_pickle_value *key)
{
	struct thaw_storage *storage =
		key->kind == THAW_PICKLE_TEXT ? find_storage(stream, key->text, (size_t)key->count) : NULL;
	const uint8_t *count;
	uint64_t elems;
	thaw_status status;

	if (!storage || storage->data)
		return thaw_fail(THAW_FAILED, "'%s' is damaged: its list of storages has one that nothing uses, or one twice",
		                 stream->reader->path);
	status = thaw_pickle_skip(&stream->pickle, sizeof elems, &count);
	if (status)
		return status;
	memcpy(&elems, count, sizeof elems);
	storage->data_length = elems * thaw_dtype_bytes(storage->dtype);
	if (elems > stream->reader->length)
		return thaw_fail(THAW_FAILED, "'%s' is cut short or damaged: a storage claims %llu elements",
		                 stream->reader->path, (unsigned long long)elems);
	return thaw_pickle_skip(&stream->pickle, storage->data_length, &storage->data);
}

static thaw_status check_beginning(struct stream *stream)
{
	struct thaw_pickle_value *value = NULL;
	thaw_status status = thaw_pickle_read(&stream->pickle, &value);

	if (!status && (value->kind != THAW_PICKLE_INT || value->integer != PROTOCOL))
		return thaw_fail(THAW_FAILED, "'%s' is of another protocol version than %d", stream->reader->path, PROTOCOL);
	if (!status)
		status = thaw_pickle_read(&stream->pickle, &value);
	if (status || value->kind != THAW_PICKLE_DICT)
		return status;
	for (const struct thaw_pickle_item *item = value->first; item; item = item->next->next)
		if (thaw_pickle_is_text(item->value, "little_endian") && item->next->value->kind == THAW_PICKLE_BOOL &&
		    !item->next->value->integer)
			return thaw_fail(THAW_FAILED, "'%s' was written on a big-endian machine", stream->reader->path);
	return THAW_OK;
}

static thaw_status read_stream(struct stream *stream)
{
	struct thaw_pickle_value *root, *keys;
	thaw_status status = check_beginning(stream);

	if (!status)
		status = thaw_pickle_read(&stream->pickle, &root);
	if (!status)
		status = thaw_pickle_read(&stream->pickle, &keys);
	if (!status && keys->kind != THAW_PICKLE_LIST)
		status = thaw_fail(THAW_FAILED, "'%s' is damaged: no list of storages", stream->reader->path);
	if (!status)
		status = sort_storages(stream);
	for (const struct thaw_pickle_item *item = status ? NULL : keys->first; item && !status; item = item->next)
		status = read_storage(stream, item->value);
	return status ? status : thaw_torch_collect(stream->reader, root, locate, stream);
}

thaw_status thaw_weights_read_stream(struct thaw_weights_reader *reader)
{
	struct thaw_pickle_rules rules = thaw_torch_rules;
	struct stream stream = {
		.reader = reader,
		.pickle = {.path = reader->path, .rules = &rules, .context = &stream, .at = reader->bytes + MAGIC,
		           .end = reader->bytes + reader->length},
	};
	thaw_status status;

	rules.find = find;
	stream.seen = thaw_pickle_new(&stream.pickle, THAW_PICKLE_LIST);
	status = stream.seen ? read_stream(&stream) : stream.pickle.status;
	thaw_pickle_release(&stream.pickle);
	free(stream.storages);
	return status;
}
