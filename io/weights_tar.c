/*
 * torch.save() before PyTorch 0.1.10: a tar file with the members
 *
 *     storages   how many (a pickle); for each its key, device and type (a pickle), number of elements (int64),
 *                elements; then a pickle of views: (key, key of the storage, first element, elements)
 *     tensors    how many; for each its key, storage (None: it is empty) and type (a pickle), then rank (int32),
 *                4 bytes, sizes, strides, offset (int64 each)
 *     pickle     what was saved; a persistent id is the key of a tensor, as text
 */
#include "io/weights_torch.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BLOCK = 512 };

struct keyed {
	int64_t key;
	struct thaw_pickle_value *value; /* a storage or a tensor */
};

/* Of one kind, in the file's order and then sorted. */
struct table {
	struct keyed *rows;
	size_t count;
};

struct tar {
	struct thaw_weights_reader *reader;
	struct thaw_pickle pickle;
	struct table storages, tensors;
};

static thaw_status fail(const struct tar *tar, const char *what)
{
	return thaw_fail(THAW_FAILED, "'%s' is damaged: %s", tar->reader->path, what);
}

/* --- members ----------------------------------------------------------------------------------------------------- */

/* Lets the pickle stand before a member's bytes. A header has the name in its first 100 bytes and the length in octal
 * digits at 124. */
static thaw_status open_member(struct tar *tar, const char *name)
{
	const uint8_t *bytes = tar->reader->bytes;
	size_t left = tar->reader->length;

	while (left >= BLOCK && bytes[0]) {
		uint64_t length = 0;

		for (int i = 124; i < 136 && bytes[i] >= '0' && bytes[i] <= '7'; i++)
			length = length * 8 + (uint64_t)(bytes[i] - '0');
		if (length > left - BLOCK)
			return thaw_fail(THAW_FAILED, "'%s' is cut short: a member of the tar file ends behind its end",
			                 tar->reader->path);
		if (strncmp((const char *)bytes, name, 100) == 0) {
			tar->pickle.at = bytes + BLOCK;
			tar->pickle.end = tar->pickle.at + length;
			return THAW_OK;
		}
		length = (length + BLOCK - 1) / BLOCK * BLOCK;
		bytes += BLOCK + length;
		left = length > left - BLOCK ? 0 : left - BLOCK - length;
	}
	return thaw_fail(THAW_FAILED, "'%s' is a tar file, and not one of torch.save(): no '%s' in it", tar->reader->path,
	                 name);
}

static thaw_status read_count(struct tar *tar, int64_t *count_out)
{
	struct thaw_pickle_value *value;
	thaw_status status = thaw_pickle_read(&tar->pickle, &value);

	if (status)
		return status;
	if (value->kind != THAW_PICKLE_INT || value->integer < 0)
		return fail(tar, "a count that is no number");
	*count_out = value->integer;
	return THAW_OK;
}

/* Little-endian numbers of 8 bytes. */
static thaw_status read_numbers(struct tar *tar, int count, int64_t *numbers_out)
{
	const uint8_t *bytes;
	thaw_status status = thaw_pickle_skip(&tar->pickle, 8 * (uint64_t)count, &bytes);

	if (!status)
		memcpy(numbers_out, bytes, 8 * (size_t)count);
	return status;
}

/* --- tables ------------------------------------------------------------------------------------------------------ */

static int by_key(const void *a, const void *b)
{
	int64_t x = ((const struct keyed *)a)->key, y = ((const struct keyed *)b)->key;

	return (x > y) - (x < y);
}

static struct thaw_pickle_value *look_up(const struct table *table, int64_t key)
{
	struct keyed wanted = {.key = key}, *found = NULL;

	if (table->count > 0)
		found = bsearch(&wanted, table->rows, table->count, sizeof wanted, by_key);
	return found ? found->value : NULL;
}

static thaw_status add_row(struct tar *tar, struct table *table, int64_t key, struct thaw_pickle_value *value)
{
	struct keyed *row;

	if (!value)
		return tar->pickle.status;
	row = thaw_append(&table->rows, table->count, sizeof *row);
	if (!row)
		return THAW_OUT_OF_MEMORY;
	*row = (struct keyed){key, value};
	table->count++;
	return THAW_OK;
}

static thaw_status sort_table(const struct tar *tar, struct table *table)
{
	if (table->count > 0)
		qsort(table->rows, table->count, sizeof *table->rows, by_key);
	for (size_t i = 1; i < table->count; i++)
		if (table->rows[i].key == table->rows[i - 1].key)
			return fail(tar, "two storages or tensors with the same key");
	return THAW_OK;
}

/* --- storages ---------------------------------------------------------------------------------------------------- */

/* (key, device, type), and the elements. */
static thaw_status read_storage(struct tar *tar)
{
	struct thaw_storage storage = {.key = "", .skipped = 0};
	const struct thaw_pickle_value *key;
	struct thaw_pickle_value *said;
	thaw_status status = thaw_pickle_read(&tar->pickle, &said);

	if (status)
		return status;
	key = said->kind == THAW_PICKLE_TUPLE ? thaw_pickle_item(said, 0, THAW_PICKLE_INT) : NULL;
	if (!key || !thaw_torch_dtype(thaw_pickle_item(said, 2, THAW_PICKLE_NAME), &storage.dtype))
		return fail(tar, "a storage without key and type");
	status = read_numbers(tar, 1, &storage.elems);
	if (status)
		return status;
	if (storage.elems < 0 || (uint64_t)storage.elems > tar->reader->length)
		return fail(tar, "a storage with more elements than the file has bytes");
	storage.seen = storage.elems;
	storage.data_length = (uint64_t)storage.elems * thaw_dtype_bytes(storage.dtype);
	status = thaw_pickle_skip(&tar->pickle, storage.data_length, &storage.data);
	return status ? status : add_row(tar, &tar->storages, key->integer, thaw_torch_storage_new(&tar->pickle, &storage));
}

/* (key, key of the whole, first element, elements) */
static thaw_status read_view(struct tar *tar, const struct thaw_pickle_value *view, const struct table *wholes)
{
	int64_t numbers[4];
	struct thaw_storage storage;
	const struct thaw_storage *whole;

	for (int i = 0; i < 4; i++) {
		const struct thaw_pickle_value *number =
			view->kind == THAW_PICKLE_TUPLE ? thaw_pickle_item(view, i, THAW_PICKLE_INT) : NULL;

		if (!number)
			return fail(tar, "a view without key, storage and range");
		numbers[i] = number->integer;
	}
	whole = thaw_torch_storage(look_up(wholes, numbers[1]));
	if (!whole || numbers[2] < 0 || numbers[3] < 0 || numbers[2] > whole->elems ||
	    numbers[3] > whole->elems - numbers[2])
		return fail(tar, "a view that reaches beyond its storage");
	storage = *whole;
	storage.skipped = numbers[2];
	storage.seen = numbers[3];
	return add_row(tar, &tar->storages, numbers[0], thaw_torch_storage_new(&tar->pickle, &storage));
}

static thaw_status read_storages(struct tar *tar)
{
	struct thaw_pickle_value *views;
	struct table wholes;
	int64_t count = 0;
	thaw_status status = open_member(tar, "storages");

	if (!status)
		status = read_count(tar, &count);
	for (int64_t i = 0; i < count && !status; i++)
		status = read_storage(tar);
	if (!status)
		status = sort_table(tar, &tar->storages);
	if (!status)
		status = thaw_pickle_read(&tar->pickle, &views);
	if (status)
		return status;
	if (views->kind != THAW_PICKLE_LIST)
		return fail(tar, "no list of views");
	if (views->count == 0)
		return THAW_OK;
	wholes = tar->storages; /* a copy, since rows move */
	wholes.rows = thaw_alloc(wholes.count, sizeof *wholes.rows);
	if (!wholes.rows)
		return THAW_OUT_OF_MEMORY;
	if (wholes.count > 0)
		memcpy(wholes.rows, tar->storages.rows, wholes.count * sizeof *wholes.rows);
	for (const struct thaw_pickle_item *item = views->first; item && !status; item = item->next)
		status = read_view(tar, item->value, &wholes);
	free(wholes.rows);
	return status ? status : sort_table(tar, &tar->storages);
}

/* --- tensors ----------------------------------------------------------------------------------------------------- */

/* (key, storage, type), and the shape. */
static thaw_status read_tensor(struct tar *tar)
{
	struct thaw_torch_tensor tensor = {.rank = 0};
	const struct thaw_pickle_value *key, *storage;
	struct thaw_pickle_value *said;
	bool is_empty;
	int64_t rank;
	thaw_status status = thaw_pickle_read(&tar->pickle, &said);

	if (status)
		return status;
	key = said->kind == THAW_PICKLE_TUPLE ? thaw_pickle_item(said, 0, THAW_PICKLE_INT) : NULL;
	storage = key ? thaw_pickle_item(said, 1, THAW_PICKLE_INT) : NULL;
	tensor.storage = storage ? thaw_torch_storage(look_up(&tar->storages, storage->integer)) : NULL;
	is_empty = key && thaw_pickle_item(said, 1, THAW_PICKLE_NONE);
	if (!tensor.storage && !is_empty)
		return fail(tar, "a tensor without a storage");
	status = read_numbers(tar, 1, &rank);
	if (status)
		return status;
	tensor.rank = (int)(rank & 0xffffffff);
	if (tensor.rank < 0 || tensor.rank > THAW_WEIGHT_RANK)
		return fail(tar, "a tensor of more than 8 dimensions");
	status = read_numbers(tar, tensor.rank, tensor.dims);
	if (!status)
		status = read_numbers(tar, tensor.rank, tensor.strides);
	if (!status)
		status = read_numbers(tar, 1, &tensor.offset);
	if (status)
		return status;
	return add_row(tar, &tar->tensors, key->integer,
	               is_empty ? thaw_pickle_new(&tar->pickle, THAW_PICKLE_OPAQUE)
	                        : thaw_torch_tensor_new(&tar->pickle, &tensor));
}

static thaw_status read_tensors(struct tar *tar)
{
	int64_t count = 0;
	thaw_status status = open_member(tar, "tensors");

	if (!status)
		status = read_count(tar, &count);
	for (int64_t i = 0; i < count && !status; i++)
		status = read_tensor(tar);
	return status ? status : sort_table(tar, &tar->tensors);
}

/* --- what was saved ---------------------------------------------------------------------------------------------- */

/* A key as PyTorch wrote it into the pickle, in decimal digits; or as a number. */
static bool take_key(const struct thaw_pickle_value *id, int64_t *key_out)
{
	uint64_t key = 0;

	if (id->kind == THAW_PICKLE_INT) {
		*key_out = id->integer;
		return true;
	}
	if (id->kind != THAW_PICKLE_TEXT || id->count == 0 || id->count > 18)
		return false;
	for (int64_t i = 0; i < id->count; i++) {
		if (id->text[i] < '0' || id->text[i] > '9')
			return false;
		key = 10 * key + (uint64_t)(id->text[i] - '0');
	}
	*key_out = (int64_t)key;
	return true;
}

static thaw_status find(struct thaw_pickle *pickle, const struct thaw_pickle_value *id,
                        struct thaw_pickle_value **value_out)
{
	const struct tar *tar = pickle->context;
	int64_t key;

	*value_out = take_key(id, &key) ? look_up(&tar->tensors, key) : NULL;
	if (!*value_out && take_key(id, &key))
		*value_out = look_up(&tar->storages, key);
	return *value_out ? THAW_OK : fail(tar, "its pickle refers to a tensor that is not there");
}

/* All are found already. */
static thaw_status locate(void *context, struct thaw_storage *storage)
{
	(void)storage;
	return fail(context, "a storage without bytes");
}

thaw_status thaw_weights_read_tar(struct thaw_weights_reader *reader)
{
	struct thaw_pickle_rules rules = thaw_torch_rules;
	struct tar tar = {.reader = reader, .pickle = {.path = reader->path, .rules = &rules, .context = &tar}};
	struct thaw_pickle_value *root;
	thaw_status status;

	rules.find = find;
	status = read_storages(&tar);
	if (!status)
		status = read_tensors(&tar);
	if (!status)
		status = open_member(&tar, "pickle");
	if (!status)
		status = thaw_pickle_read(&tar.pickle, &root);
	if (!status)
		status = thaw_torch_collect(reader, root, locate, &tar);
	thaw_pickle_release(&tar.pickle);
	free(tar.storages.rows);
	free(tar.tensors.rows);
	return status;
}
