#include "io/h5_read.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* --- types and shapes -------------------------------------------------------------------------------------------- */

/* As a message has them: section IV.A.2.d. A text's size follows its first four bytes. */
static const struct {
	int length;
	uint8_t bytes[20];
} types[] = {
	[THAW_H5_U8] = {12, {0x10, 0x00, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0}},
	[THAW_H5_U16] = {12, {0x10, 0x00, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0}},
	[THAW_H5_I32] = {12, {0x10, 0x08, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0}},
	[THAW_H5_U32] = {12, {0x10, 0x00, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0}},
	[THAW_H5_I64] = {12, {0x10, 0x08, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0}},
	[THAW_H5_U64] = {12, {0x10, 0x00, 0, 0, 8, 0, 0, 0, 0, 0, 64, 0}},
	[THAW_H5_F32] = {20, {0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0}},
	[THAW_H5_F64] = {20, {0x11, 0x20, 63, 0, 8, 0, 0, 0, 0, 0, 64, 0, 52, 11, 0, 52, 0xff, 3, 0, 0}},
	[THAW_H5_TEXT] = {4, {0x13, 0x11, 0, 0}},
};

static bool is_type(struct thaw_h5_part part, enum thaw_h5_type type)
{
	return part.length >= 8 && part.length >= (size_t)types[type].length &&
	       memcmp(part.at, types[type].bytes, (size_t)types[type].length) == 0;
}

/* A row's type: each member has its name, its place, four empty fields for arrays, and its own type. */
static size_t put_row_type(const struct thaw_h5_member *members, int count, uint8_t bytes[8 + 8 * 60])
{
	size_t at = 8, row = 0;

	memset(bytes, 0, 8 + 8 * 60);
	for (int i = 0; i < count; i++) {
		const uint8_t *type = types[members[i].type].bytes;

		memcpy(bytes + at, members[i].name, strlen(members[i].name));
		bytes[at + 8] = (uint8_t)row;
		memcpy(bytes + at + 40, type, (size_t)types[members[i].type].length);
		at += 40 + (size_t)types[members[i].type].length;
		row += type[4];
	}
	bytes[0] = 0x16;
	bytes[1] = (uint8_t)count;
	bytes[4] = (uint8_t)row;
	return at;
}

/* The bytes of an element; 0 if a message is too short to tell. */
static uint64_t size_of(struct thaw_h5_part type)
{
	return type.length >= 8 ? thaw_h5_number(type.at + 4, 4) : 0;
}

/* The shape that a message tells: section IV.A.2.b, both versions. -1 if it is none. */
static int shape_of(struct thaw_h5_part space, uint64_t dims[32])
{
	size_t head = space.length >= 4 && space.at[0] == 1 ? 8 : 4;
	int rank = space.length >= head && space.at[0] >= 1 && space.at[0] <= 2 ? space.at[1] : -1;

	if (rank < 0 || rank > 32 || space.length < head + 8 * (size_t)rank || (space.at[0] == 2 && space.at[3] == 2))
		return -1;
	for (int i = 0; i < rank; i++)
		dims[i] = thaw_h5_number(space.at + head + 8 * i, 8);
	return rank;
}

/* --- attributes -------------------------------------------------------------------------------------------------- */

struct attribute {
	struct thaw_h5_part type, space, data;
};

static uint64_t padded(uint64_t length, bool pads)
{
	return pads ? (length + 7) & ~UINT64_C(7) : length;
}

/* The parts of an attribute's message, whose version 1 fills each up to 8 bytes; false unless it has this name. */
static bool parse_attribute(struct thaw_h5_part part, const char *name, struct attribute *attribute)
{
	uint64_t at = part.length >= 9 && part.at[0] == 3 ? 9 : 8, lengths[3], length = strlen(name) + 1;
	bool pads = part.length >= 8 && part.at[0] == 1, known = part.length >= at && part.at[0] >= 1 && part.at[0] <= 3;
	const uint8_t *places[3];

	if (!known || (!pads && part.at[1] != 0)) /* parts that are kept elsewhere */
		return false;
	for (int i = 0; i < 3; i++) {
		lengths[i] = thaw_h5_number(part.at + 2 + 2 * i, 2);
		places[i] = part.at + at;
		if (padded(lengths[i], pads) > part.length - at)
			return false;
		at += padded(lengths[i], pads);
	}
	attribute->type = (struct thaw_h5_part){places[1], (size_t)lengths[1]};
	attribute->space = (struct thaw_h5_part){places[2], (size_t)lengths[2]};
	attribute->data = (struct thaw_h5_part){part.at + at, part.length - (size_t)at};
	return lengths[0] == length && memcmp(places[0], name, (size_t)length) == 0;
}

/* Finds attribute `name`, which has to have exactly this many elements. */
static thaw_status find_attribute(const struct thaw_h5_reader *reader, const char *name, int count,
                                  struct attribute *attribute)
{
	uint64_t dims[32], elements = 1;
	bool found = false;
	int rank;

	for (size_t i = 0; i < reader->attributes_count && !found; i++)
		found = parse_attribute(reader->attributes[i], name, attribute);
	if (!found)
		return thaw_fail(THAW_FAILED, "'%s' has no attribute '%s'", reader->path, name);
	rank = shape_of(attribute->space, dims);
	for (int i = 0; i < rank; i++)
		elements = dims[i] <= attribute->data.length ? elements * dims[i] : UINT32_MAX;
	if (rank < 0 || elements != (uint64_t)count)
		return thaw_fail(THAW_FAILED, "'%s': attribute '%s' has %llu value%s, expected %d", reader->path, name,
		                 rank < 0 ? 0 : (unsigned long long)elements, elements == 1 ? "" : "s", count);
	return THAW_OK;
}

thaw_status thaw_h5_get_numbers(const struct thaw_h5_reader *reader, const char *name, enum thaw_h5_type type,
                                void *values_out, int count)
{
	struct attribute attribute;
	thaw_status status = find_attribute(reader, name, count, &attribute);
	uint64_t bytes = (uint64_t)count * types[type].bytes[4];

	if (status)
		return status;
	if (!is_type(attribute.type, type) || bytes > attribute.data.length)
		return thaw_fail(THAW_FAILED, "'%s': attribute '%s' is of another type than thaw's", reader->path, name);
	memcpy(values_out, attribute.data.at, (size_t)bytes);
	return THAW_OK;
}

thaw_status thaw_h5_get_int(const struct thaw_h5_reader *reader, const char *name, int64_t *value_out)
{
	return thaw_h5_get_numbers(reader, name, THAW_H5_I64, value_out, 1);
}

thaw_status thaw_h5_get_text(const struct thaw_h5_reader *reader, const char *name, char *text_out, size_t size)
{
	struct attribute attribute;
	thaw_status status = find_attribute(reader, name, 1, &attribute);
	uint64_t width;

	if (status)
		return status;
	width = is_type(attribute.type, THAW_H5_TEXT) ? size_of(attribute.type) : 0;
	if (width == 0 || width >= size || width > attribute.data.length)
		return thaw_fail(THAW_FAILED, "'%s': attribute '%s' is not a text of at most %zu bytes", reader->path, name,
		                 size - 1);
	memset(text_out, 0, size);
	memcpy(text_out, attribute.data.at, (size_t)width);
	return THAW_OK;
}

/* --- datasets ---------------------------------------------------------------------------------------------------- */

/* Fills in what a dataset's shape and place say; false unless they fit each other and the file. */
static bool measure(const struct thaw_h5_reader *reader, const struct thaw_h5_object *object,
                    struct thaw_h5_plain *plain)
{
	uint64_t dims[32], bytes = size_of(object->type), offset = thaw_h5_number(object->layout.at + 2, 8);
	int rank = shape_of(object->space, dims);
	bool fits = bytes > 0 && rank >= 0 && rank <= 4;

	for (int i = 0; fits && i < rank; i++) {
		fits = dims[i] > 0 && bytes <= reader->length / dims[i];
		bytes *= dims[i];
		plain->dims[i] = (int64_t)dims[i];
	}
	if (!fits || bytes > reader->length || offset > reader->length - bytes ||
	    thaw_h5_number(object->layout.at + 10, 8) != bytes)
		return false;
	plain->rank = rank;
	plain->bytes = bytes;
	plain->offset = offset;
	plain->data = reader->bytes + offset;
	return true;
}

/* The same for any type that is as `fits` says. */
static thaw_status look(const struct thaw_h5_reader *reader, const struct thaw_h5_object *object, bool fits,
                        struct thaw_h5_plain *plain_out)
{
	struct thaw_h5_plain plain = {.rank = 0};

	if (object->kind == THAW_H5_LINK)
		return thaw_fail(THAW_FAILED, "'%s': '%s' is a link to elsewhere", reader->path, object->name);
	if (object->kind != THAW_H5_DATASET)
		return thaw_fail(THAW_FAILED, "'%s': '%s' is not a dataset", reader->path, object->name);
	if (object->layout.length < 18 || object->layout.at[0] != 3 || object->layout.at[1] != 1)
		return thaw_fail(THAW_FAILED, "'%s': '%s' is not stored in one piece as it is", reader->path, object->name);
	if (!fits)
		return thaw_fail(THAW_FAILED, "'%s': the elements of '%s' are of another type than thaw's", reader->path,
		                 object->name);
	if (!measure(reader, object, &plain))
		return thaw_fail(THAW_FAILED, "'%s': '%s' is empty or reaches beyond the file", reader->path, object->name);
	*plain_out = plain;
	return THAW_OK;
}

static const struct thaw_h5_object *find(const struct thaw_h5_reader *reader, const char *name)
{
	for (size_t i = 0; i < reader->objects_count; i++)
		if (strcmp(reader->objects[i].name, name) == 0)
			return &reader->objects[i];
	thaw_fail(THAW_FAILED, "'%s' has no '%s'", reader->path, name);
	return NULL;
}

thaw_status thaw_h5_look(const struct thaw_h5_reader *reader, const struct thaw_h5_object *object,
                         enum thaw_h5_type type, struct thaw_h5_plain *plain_out)
{
	return look(reader, object, is_type(object->type, type), plain_out);
}

thaw_status thaw_h5_find(const struct thaw_h5_reader *reader, const char *name, enum thaw_h5_type type,
                         struct thaw_h5_plain *plain_out)
{
	const struct thaw_h5_object *object = find(reader, name);

	return object ? thaw_h5_look(reader, object, type, plain_out) : THAW_FAILED;
}

static thaw_status check_rank_1(const struct thaw_h5_reader *reader, const char *name,
                                const struct thaw_h5_plain *plain)
{
	if (plain->rank == 1)
		return THAW_OK;
	return thaw_fail(THAW_FAILED, "'%s': '%s' has %d dimensions, expected 1", reader->path, name, plain->rank);
}

thaw_status thaw_h5_find_rows(const struct thaw_h5_reader *reader, const char *name,
                              const struct thaw_h5_member *members, int count, struct thaw_h5_plain *plain_out)
{
	const struct thaw_h5_object *object = find(reader, name);
	uint8_t type[8 + 8 * 60];
	size_t length = put_row_type(members, count, type);
	struct thaw_h5_plain plain;
	thaw_status status;

	if (!object)
		return THAW_FAILED;
	status = look(reader, object, object->type.length >= length && memcmp(object->type.at, type, length) == 0, &plain);
	if (!status)
		status = check_rank_1(reader, name, &plain);
	if (!status)
		*plain_out = plain;
	return status;
}

thaw_status thaw_h5_get_texts(const struct thaw_h5_reader *reader, const char *name, char ***texts_out,
                              int64_t *count_out)
{
	struct thaw_h5_plain plain;
	thaw_status status = thaw_h5_find(reader, name, THAW_H5_TEXT, &plain);
	size_t count, width;
	char **texts, *table;

	if (!status)
		status = check_rank_1(reader, name, &plain);
	if (status)
		return status;
	count = (size_t)plain.dims[0];
	width = (size_t)plain.bytes / count;
	texts = thaw_alloc(count, sizeof *texts + width + 1);
	if (!texts)
		return THAW_OUT_OF_MEMORY;
	table = (char *)(texts + count);
	for (size_t i = 0; i < count; i++) {
		texts[i] = table + i * (width + 1);
		memcpy(texts[i], plain.data + i * width, width);
	}
	*texts_out = texts;
	*count_out = (int64_t)count;
	return THAW_OK;
}
