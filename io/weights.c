#include "io/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/checkpoint.h"
#include "io/mapped.h"
#include "io/weights_reader.h"

enum {
	TENSORS_LIMIT = 1 << 14,
	COPIED = 1 << 13, /* numbers at a time */
};

struct thaw_weights_memory {
	char *path;
	void *map;
	size_t length;
	struct thaw_checkpoint *checkpoint; /* whose tensors and names these are, or NULL */
	char **names;                       /* of classes, up to NULL; or NULL */
};

/* --- formats ----------------------------------------------------------------------------------------------------- */

static bool begins_with(const uint8_t *bytes, size_t length, const void *start, size_t start_length)
{
	return length >= start_length && memcmp(bytes, start, start_length) == 0;
}

static bool is_zip(const uint8_t *bytes, size_t length)
{
	return begins_with(bytes, length, "PK\3\4", 4);
}

/* A pickle of the number 0x1950a86a20f9469cfc6c. */
static bool is_stream(const uint8_t *bytes, size_t length)
{
	return begins_with(bytes, length, "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
}

static bool is_tar(const uint8_t *bytes, size_t length)
{
	return length >= 512 && memcmp(bytes + 257, "ustar", 5) == 0;
}

static bool is_checkpoint(const uint8_t *bytes, size_t length)
{
	return begins_with(bytes, length, "\x89HDF\r\n\x1a\n", 8);
}

static bool is_safetensors(const uint8_t *bytes, size_t length)
{
	return length > 8 && bytes[8] == '{';
}

static const struct format {
	const char *name;
	bool (*is)(const uint8_t *bytes, size_t length);
	thaw_status (*read)(struct thaw_weights_reader *reader);
} formats[] = {
	{"torch zip", is_zip, thaw_weights_read_zip},
	{"torch stream (before 1.6)", is_stream, thaw_weights_read_stream},
	{"torch tar (before 0.1.10)", is_tar, thaw_weights_read_tar},
	{"thaw checkpoint", is_checkpoint, thaw_weights_read_checkpoint},
	{"safetensors", is_safetensors, thaw_weights_read_safetensors},
};

/* What people take for weights. */
static thaw_status fail_unknown(const char *path, const uint8_t *bytes, size_t length)
{
	if (begins_with(bytes, length, "\x80", 1))
		return thaw_fail(THAW_FAILED, "'%s' is a pickle, and not one of torch.save(): refused", path);
	if (begins_with(bytes, length, "version https://git-lfs", 23))
		return thaw_fail(THAW_FAILED, "'%s' is a pointer of Git LFS: `git lfs pull` fetches the file", path);
	if (begins_with(bytes, length, "<", 1))
		return thaw_fail(THAW_FAILED, "'%s' is a page of HTML: was it downloaded whole?", path);
	return thaw_fail(THAW_FAILED, "'%s' holds no weights: .pth of torch.save(), safetensors and thaw's checkpoints do",
	                 path);
}

/* --- tensors ----------------------------------------------------------------------------------------------------- */

/* Sets dims, strides and elems, and checks that all lies in `data_length` bytes. NULL: it does; else what is wrong. */
static const char *check_claim(const struct thaw_weight_claim *claim, struct thaw_weight *tensor)
{
	int64_t stored = (int64_t)(claim->data_length / thaw_dtype_bytes(claim->dtype)), last = claim->offset;
	bool empty = false;

	if (claim->rank < 0 || claim->rank > THAW_WEIGHT_RANK)
		return "has more dimensions than 8";
	tensor->rank = (int)claim->rank;
	for (int i = 0; i < tensor->rank; i++) {
		if (claim->dims[i] < 0 || (claim->strides && claim->strides[i] < 0))
			return "has a negative size or stride";
		empty |= claim->dims[i] == 0;
		tensor->dims[i] = claim->dims[i];
	}
	if (empty)
		return NULL;
	tensor->elems = 1;
	for (int i = tensor->rank; i-- > 0;) {
		tensor->strides[i] = claim->strides ? claim->strides[i] : tensor->elems;
		if (tensor->elems > stored / tensor->dims[i])
			return "has more elements than its storage: an expanded one has to be saved with .contiguous()";
		tensor->elems *= tensor->dims[i];
	}
	if (last < 0 || last >= stored)
		return "begins outside its storage";
	for (int i = 0; i < tensor->rank; i++) {
		if (tensor->dims[i] > 1 && tensor->strides[i] > (stored - 1 - last) / (tensor->dims[i] - 1))
			return "reaches beyond its storage";
		last += (tensor->dims[i] - 1) * tensor->strides[i];
	}
	return NULL;
}

/* What wraps networks: torch.nn.DataParallel, torch.compile(). */
static size_t prefix_length(const char *name)
{
	static const char *const prefixes[] = {"module.", "_orig_mod."};
	size_t length = 0, before;

	do {
		before = length;
		for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
			if (strncmp(name + length, prefixes[i], strlen(prefixes[i])) == 0)
				length += strlen(prefixes[i]);
	} while (length > before);
	return name[length] ? length : 0;
}

thaw_status thaw_weights_add(struct thaw_weights_reader *reader, const struct thaw_weight_claim *claim)
{
	struct thaw_weights *weights = reader->weights;
	struct thaw_weight tensor = {.dtype = claim->dtype, .strides = {0}}, *added;
	char name[THAW_WEIGHT_NAME];
	const char *wrong;
	size_t prefix;

	if (claim->name_length == 0 || claim->name_length >= sizeof name ||
	    memchr(claim->name, '\0', claim->name_length))
		return thaw_fail(THAW_FAILED, "'%s' is damaged: a tensor whose name is empty, over 255 bytes, or has a zero in it",
		                 reader->path);
	memcpy(name, claim->name, claim->name_length);
	name[claim->name_length] = '\0';
	wrong = check_claim(claim, &tensor);
	reader->claimed += wrong ? 0 : (uint64_t)tensor.elems * thaw_dtype_bytes(tensor.dtype);
	if (!wrong && reader->claimed / 4 > reader->length)
		wrong = "and those before it are four times as long as the file";
	if (wrong)
		return thaw_fail(THAW_FAILED, "'%s': tensor '%s' %s", reader->path, name, wrong);
	if (tensor.elems > 0)
		tensor.data = claim->data + (uint64_t)claim->offset * thaw_dtype_bytes(tensor.dtype);
	if (weights->count == TENSORS_LIMIT)
		return thaw_fail(THAW_FAILED, "'%s': more than %d tensors", reader->path, TENSORS_LIMIT);
	added = thaw_append(&weights->tensors, (size_t)weights->count, sizeof *added);
	if (!added)
		return THAW_OUT_OF_MEMORY;
	prefix = prefix_length(name);
	if (prefix > 0)
		snprintf(weights->prefix, sizeof weights->prefix, "%.*s", (int)prefix, name);
	tensor.name = thaw_copy_text(name + prefix);
	if (!tensor.name)
		return THAW_OUT_OF_MEMORY;
	*added = tensor;
	weights->count++;
	return THAW_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct thaw_weight *)a)->name, ((const struct thaw_weight *)b)->name);
}

const struct thaw_weight *thaw_weights_find(const struct thaw_weights *weights, const char *name)
{
	struct thaw_weight wanted = {.name = name};

	return bsearch(&wanted, weights->tensors, (size_t)weights->count, sizeof wanted, by_name);
}

/* Goes through a tensor in C order, in runs of numbers that lie one after another. */
struct walk {
	const struct thaw_weight *tensor;
	int outer;   /* dimensions outside a run */
	int64_t run; /* numbers */
	int64_t at[THAW_WEIGHT_RANK], done;
};

static struct walk walk_init(const struct thaw_weight *tensor)
{
	struct walk walk = {.tensor = tensor, .outer = tensor->rank, .run = 1};

	while (walk.outer > 0 && (tensor->strides[walk.outer - 1] == walk.run || tensor->dims[walk.outer - 1] == 1))
		walk.run *= tensor->dims[--walk.outer];
	return walk;
}

/* Where the next run begins; NULL: all are done. */
static const uint8_t *walk_next(struct walk *walk)
{
	const struct thaw_weight *tensor = walk->tensor;
	int64_t offset = 0;

	if (walk->done == tensor->elems)
		return NULL;
	for (int d = 0; d < walk->outer; d++)
		offset += walk->at[d] * tensor->strides[d];
	for (int d = walk->outer; d-- > 0 && ++walk->at[d] == tensor->dims[d];)
		walk->at[d] = 0;
	walk->done += walk->run;
	return tensor->data + (size_t)offset * thaw_dtype_bytes(tensor->dtype);
}

/* By their bits, which is as fast as looking at them. */
static bool all_finite(const float *values, size_t count)
{
	uint32_t wrong = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, &values[i], sizeof bits);
		wrong |= (bits & 0x7f800000) == 0x7f800000;
	}
	return !wrong;
}

bool thaw_weight_copy(const struct thaw_weight *tensor, float *values_out)
{
	struct walk walk = walk_init(tensor);
	size_t bytes = thaw_dtype_bytes(tensor->dtype), block;
	const uint8_t *from;
	bool finite = true;

	for (; (from = walk_next(&walk)); values_out += walk.run)
		for (size_t at = 0; at < (size_t)walk.run; at += block) { /* in blocks that stay in the cache for the look */
			block = (size_t)walk.run - at < COPIED ? (size_t)walk.run - at : COPIED;
			thaw_dtype_to_floats(tensor->dtype, from + at * bytes, block, values_out + at);
			finite &= all_finite(values_out + at, block);
		}
	return finite;
}

void thaw_weight_copy_bytes(const struct thaw_weight *tensor, uint8_t *bytes_out)
{
	struct walk walk = walk_init(tensor);
	size_t bytes = (size_t)walk.run * thaw_dtype_bytes(tensor->dtype);
	const uint8_t *from;

	for (; (from = walk_next(&walk)); bytes_out += bytes)
		memcpy(bytes_out, from, bytes);
}

/* --- files ------------------------------------------------------------------------------------------------------- */

static thaw_status sort_tensors(struct thaw_weights *weights)
{
	if (weights->count == 0)
		return thaw_fail(THAW_FAILED, "'%s' holds no tensors", weights->path);
	qsort(weights->tensors, (size_t)weights->count, sizeof *weights->tensors, by_name);
	for (int i = 1; i < weights->count; i++)
		if (by_name(&weights->tensors[i - 1], &weights->tensors[i]) == 0)
			return thaw_fail(THAW_FAILED, "'%s': two tensors are called '%s'%s%s", weights->path,
			                 weights->tensors[i].name, weights->prefix[0] ? " without " : "", weights->prefix);
	return THAW_OK;
}

static thaw_status read_file(struct thaw_weights *weights)
{
	struct thaw_weights_memory *memory = weights->memory;
	struct thaw_weights_reader reader = {
		.path = weights->path, .bytes = memory->map, .length = memory->length, .weights = weights};

	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (formats[i].is(reader.bytes, reader.length)) {
			thaw_status status;

			weights->format = formats[i].name;
			status = formats[i].read(&reader);
			memory->checkpoint = reader.checkpoint;
			memory->names = reader.names;
			return status ? status : sort_tensors(weights);
		}
	return fail_unknown(weights->path, reader.bytes, reader.length);
}

thaw_status thaw_weights_open(const char *path, struct thaw_weights *weights_out)
{
	struct thaw_weights weights = {.container = "", .memory = thaw_alloc(1, sizeof *weights.memory)};
	thaw_status status;

	if (!weights.memory)
		return THAW_OUT_OF_MEMORY;
	weights.path = weights.memory->path = thaw_copy_text(path);
	status = weights.path ? thaw_mapped_open(path, &weights.memory->map, &weights.memory->length) : THAW_OUT_OF_MEMORY;
	if (!status)
		status = read_file(&weights);
	if (status)
		thaw_weights_release(&weights);
	else
		*weights_out = weights;
	return status;
}

void thaw_weights_release(struct thaw_weights *weights)
{
	if (!weights->memory)
		return;
	for (int i = 0; i < weights->count; i++)
		free((char *)weights->tensors[i].name);
	free(weights->tensors);
	for (int i = 0; weights->memory->names && weights->memory->names[i]; i++)
		free(weights->memory->names[i]);
	free(weights->memory->names);
	thaw_checkpoint_free(weights->memory->checkpoint);
	if (weights->memory->map)
		thaw_mapped_close(weights->memory->map, weights->memory->length);
	free(weights->memory->path);
	free(weights->memory);
	*weights = (struct thaw_weights){0};
}
