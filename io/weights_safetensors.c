/*
 * safetensors: the length of a header (8 bytes), the header in JSON, the numbers.
 *
 *     {"__metadata__": {"format": "pt"}, "fc.bias": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, ...}
 *
 * The ranges of the tensors, in order, begin at 0, follow one another without holes and end with the file.
 *
 * Source: https://github.com/huggingface/safetensors, README and tensor.rs.
 */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/resize.h"
#include "io/weights_reader.h"

enum { LENGTH = 8 };

struct range {
	const char *name;
	uint64_t begin, end; /* bytes behind the header */
};

static thaw_status fail(const struct thaw_weights_reader *reader, const char *name, const char *what)
{
	return thaw_fail(THAW_FAILED, "'%s' is damaged: '%.80s' %s", reader->path, name, what);
}

static thaw_status fail_fact(const struct thaw_weights_reader *reader, const char *name)
{
	return fail(reader, name, "is not what thaw writes there");
}

/* jansson does not tell a file that is wrong from memory that is not there. */
static _Thread_local bool out_of_memory;

static void *allocate(size_t size_bytes)
{
	void *memory = malloc(size_bytes);

	out_of_memory |= !memory;
	return memory;
}

/* JSON, which `what` is said to be. */
static thaw_status parse(const struct thaw_weights_reader *reader, const char *what, const char *text, size_t length,
                         json_t **json_out)
{
	json_error_t error;

	json_set_alloc_funcs(allocate, free);
	out_of_memory = false;
	*json_out = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
	if (*json_out)
		return THAW_OK;
	if (out_of_memory)
		return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: JSON of '%s'", reader->path);
	return thaw_fail(THAW_FAILED, "'%s' is damaged: %s is not JSON: byte %d: %s", reader->path, what, error.position,
	                 error.text);
}

static bool find_dtype(const json_t *text, enum thaw_dtype *dtype_out)
{
	for (int i = 0; i < THAW_DTYPES; i++)
		if (text && json_is_string(text) && strcmp(json_string_value(text), thaw_dtype_name((enum thaw_dtype)i)) == 0) {
			*dtype_out = (enum thaw_dtype)i;
			return true;
		}
	return false;
}

/* An array of `count` or up to `limit` numbers that are not negative; -1: it is none. */
static int take_numbers(const json_t *array, int64_t *numbers_out, int limit)
{
	size_t count = json_is_array(array) ? json_array_size(array) : SIZE_MAX;

	if (count > (size_t)limit)
		return -1;
	for (size_t i = 0; i < count; i++) {
		const json_t *number = json_array_get(array, i);

		if (!json_is_integer(number) || json_integer_value(number) < 0)
			return -1;
		numbers_out[i] = json_integer_value(number);
	}
	return (int)count;
}

static thaw_status read_tensor(struct thaw_weights_reader *reader, const char *name, const json_t *said,
                               uint64_t header, struct range *range_out)
{
	int64_t dims[THAW_WEIGHT_RANK], offsets[2];
	uint64_t left = reader->length - LENGTH - header, elems = 1;
	enum thaw_dtype dtype;
	int rank;

	if (!json_is_object(said) || json_object_size(said) != 3)
		return fail(reader, name, "has not dtype, shape and data_offsets, or more than them");
	if (!find_dtype(json_object_get(said, "dtype"), &dtype))
		return fail(reader, name, "has a dtype that is not read: F32 F16 BF16 F64 I64 I32 I16 I8 U8 BOOL are");
	rank = take_numbers(json_object_get(said, "shape"), dims, THAW_WEIGHT_RANK);
	if (rank < 0)
		return fail(reader, name, "has a shape that is not of up to 8 whole numbers");
	if (take_numbers(json_object_get(said, "data_offsets"), offsets, 2) != 2 || offsets[1] < offsets[0] ||
	    (uint64_t)offsets[1] > left)
		return fail(reader, name, "has data_offsets that do not lie in the file: cut short?");
	for (int i = 0; i < rank; i++) {
		if (dims[i] > 0 && elems > left / (uint64_t)dims[i])
			return fail(reader, name, "has a shape of more numbers than the file has bytes");
		elems *= (uint64_t)dims[i];
	}
	if (elems * thaw_dtype_bytes(dtype) != (uint64_t)(offsets[1] - offsets[0]))
		return fail(reader, name, "has a shape that does not fit its data_offsets");
	*range_out = (struct range){name, (uint64_t)offsets[0], (uint64_t)offsets[1]};
	return thaw_weights_add(reader, &(struct thaw_weight_claim){
										.name = name,
										.name_length = strlen(name),
										.dtype = dtype,
										.rank = rank,
										.dims = dims,
										.data = reader->bytes + LENGTH + header + offsets[0],
										.data_length = (uint64_t)(offsets[1] - offsets[0]),
									});
}

static int by_begin(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return (x->end > y->end) - (x->end < y->end);
}

/* No byte belongs to two tensors, or to none. */
static thaw_status check_ranges(const struct thaw_weights_reader *reader, struct range *ranges, size_t count,
                                uint64_t length)
{
	uint64_t at = 0;

	qsort(ranges, count, sizeof *ranges, by_begin);
	for (size_t i = 0; i < count; i++) {
		if (ranges[i].begin != at)
			return fail(reader, ranges[i].name, "overlaps the tensor before it, or leaves a hole");
		at = ranges[i].end;
	}
	if (at != length)
		return thaw_fail(THAW_FAILED, "'%s' is damaged: %llu bytes behind its last tensor", reader->path,
		                 (unsigned long long)(length - at));
	return THAW_OK;
}

/* Three numbers, and nothing else. */
static bool take_three(const char *text, float numbers_out[3])
{
	char *end = (char *)text;

	for (int i = 0; i < 3; i++) {
		const char *begin = end;

		numbers_out[i] = strtof(begin, &end);
		if (end == begin || !isfinite(numbers_out[i]))
			return false;
	}
	return !*end;
}

static bool take_pixels(const char *text, int *pixels_out)
{
	char *end;
	long pixels = strtol(text, &end, 10);

	*pixels_out = pixels > 0 && pixels <= THAW_EDGE_LIMIT ? (int)pixels : 0;
	return !*end && *pixels_out > 0;
}

/* An array of texts. */
static thaw_status read_classes(struct thaw_weights_reader *reader, const char *name, const char *text)
{
	struct thaw_weights_facts *facts = &reader->weights->facts;
	json_t *array = NULL, *class;
	thaw_status status = parse(reader, name, text, strlen(text), &array);
	size_t i;

	if (!status && (!json_is_array(array) || json_array_size(array) == 0 || reader->names))
		status = fail_fact(reader, name);
	if (!status && !(reader->names = thaw_alloc(json_array_size(array) + 1, sizeof *reader->names)))
		status = THAW_OUT_OF_MEMORY;
	json_array_foreach(array, i, class)
	{
		if (!status && !json_is_string(class))
			status = fail_fact(reader, name);
		if (!status && !(reader->names[i] = thaw_copy_text(json_string_value(class))))
			status = THAW_OUT_OF_MEMORY;
	}
	if (!status) {
		facts->names = (const char *const *)reader->names;
		facts->classes = (int)json_array_size(array);
	}
	json_decref(array);
	return status;
}

/* What thaw writes beside the tensors; what others write there is nobody's business here. */
static thaw_status read_fact(struct thaw_weights_reader *reader, const char *name, const char *value)
{
	struct thaw_weights_facts *facts = &reader->weights->facts;
	bool fits = true;

	if (strcmp(name, "thaw.arch") == 0)
		fits = snprintf(facts->arch, sizeof facts->arch, "%s", value) < (int)sizeof facts->arch;
	else if (strcmp(name, "thaw.mean") == 0)
		fits = take_three(value, facts->mean);
	else if (strcmp(name, "thaw.std") == 0)
		fits = take_three(value, facts->std) && facts->std[0] > 0 && facts->std[1] > 0 && facts->std[2] > 0;
	else if (strcmp(name, "thaw.resize") == 0)
		fits = take_pixels(value, &facts->resize);
	else if (strcmp(name, "thaw.crop") == 0)
		fits = take_pixels(value, &facts->crop);
	else if (strcmp(name, "thaw.classes") == 0)
		return read_classes(reader, name, value);
	return fits ? THAW_OK : fail_fact(reader, name);
}

static thaw_status read_metadata(struct thaw_weights_reader *reader, json_t *metadata)
{
	thaw_status status = json_is_object(metadata) ? THAW_OK : fail(reader, "__metadata__", "is no object");
	const char *name;
	json_t *value;

	json_object_foreach(metadata, name, value)
	{
		if (!status)
			status = json_is_string(value) ? read_fact(reader, name, json_string_value(value))
			                               : fail(reader, "__metadata__", "has something else than texts");
	}
	return status;
}

static thaw_status read_header(struct thaw_weights_reader *reader, json_t *root, uint64_t header)
{
	struct thaw_weights_facts *facts = &reader->weights->facts;
	struct range *ranges = thaw_alloc(json_object_size(root), sizeof *ranges);
	thaw_status status = ranges ? THAW_OK : THAW_OUT_OF_MEMORY;
	size_t count = 0;
	const char *name;
	json_t *value;

	json_object_foreach(root, name, value)
	{
		if (status)
			break;
		if (strcmp(name, "__metadata__") == 0)
			status = read_metadata(reader, value);
		else
			status = read_tensor(reader, name, value, header, &ranges[count++]);
	}
	if (!status && facts->arch[0] && !(facts->std[0] > 0))
		status = fail(reader, "thaw.arch", "stands there without thaw.std");
	if (!status && (facts->resize == 0) != (facts->crop == 0))
		status = fail(reader, facts->crop ? "thaw.crop" : "thaw.resize", "stands there without the other");
	if (!facts->arch[0]) /* then nothing is known */
		*facts = (struct thaw_weights_facts){.resize = 0};
	if (!status)
		status = check_ranges(reader, ranges, count, reader->length - LENGTH - header);
	free(ranges);
	return status;
}

thaw_status thaw_weights_read_safetensors(struct thaw_weights_reader *reader)
{
	uint64_t header;
	thaw_status status;
	json_t *root;

	memcpy(&header, reader->bytes, sizeof header);
	if (header > reader->length - LENGTH)
		return thaw_fail(THAW_FAILED, "'%s' is cut short: its header claims %llu bytes", reader->path,
		                 (unsigned long long)header);
	if (header > THAW_SAFETENSORS_HEADER)
		return thaw_fail(THAW_FAILED, "'%s': its header has %llu bytes, allowed are %d", reader->path,
		                 (unsigned long long)header, THAW_SAFETENSORS_HEADER);
	status = parse(reader, "its header", (const char *)reader->bytes + LENGTH, (size_t)header, &root);
	if (status)
		return status;
	status = json_is_object(root) ? read_header(reader, root, header)
	                              : thaw_fail(THAW_FAILED, "'%s' is damaged: its header is no object", reader->path);
	json_decref(root);
	return status;
}
