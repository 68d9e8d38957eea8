/* Writing safetensors: io/weights_safetensors.c says what they are. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/printable.h"
#include "io/weights_reader.h"

static const float half_overflow = 65520; /* rounds to infinity as F16 */

/* Where a tensor stands in the file. */
struct place {
	const struct thaw_weight *tensor;
	enum thaw_dtype dtype;
	uint64_t begin, end; /* bytes behind the header */
};

/* Wide numbers first, so that all are aligned; then by name. */
static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	size_t wide_x = thaw_dtype_bytes(x->dtype), wide_y = thaw_dtype_bytes(y->dtype);

	return wide_x != wide_y ? (wide_x < wide_y ? 1 : -1) : strcmp(x->tensor->name, y->tensor->name);
}

static bool is_float(enum thaw_dtype dtype)
{
	return dtype == THAW_F32 || dtype == THAW_F16 || dtype == THAW_BF16 || dtype == THAW_F64;
}

static struct place *find_places(const struct thaw_weight *tensors, int count, const enum thaw_dtype *floats)
{
	struct place *places = thaw_alloc((size_t)count, sizeof *places);
	uint64_t at = 0;

	if (!places)
		return NULL;
	for (int i = 0; i < count; i++)
		places[i] = (struct place){
			.tensor = &tensors[i], .dtype = floats && is_float(tensors[i].dtype) ? *floats : tensors[i].dtype};
	qsort(places, (size_t)count, sizeof *places, by_place);
	for (int i = 0; i < count; i++) {
		places[i].begin = at;
		at += (uint64_t)places[i].tensor->elems * thaw_dtype_bytes(places[i].dtype);
		places[i].end = at;
	}
	return places;
}

/* --- header ------------------------------------------------------------------------------------------------------ */

/* A value of the metadata, all of which are texts. */
static void add_three(struct thaw_text *header, const char *key, const float numbers[3])
{
	char text[64];

	snprintf(text, sizeof text, "%.9g %.9g %.9g", numbers[0], numbers[1], numbers[2]);
	thaw_json_text(header, key, text);
}

static void add_pixels(struct thaw_text *header, const char *key, int pixels)
{
	char text[16];

	snprintf(text, sizeof text, "%d", pixels);
	if (pixels > 0)
		thaw_json_text(header, key, text);
}

bool thaw_weights_can_name(const struct thaw_weights_facts *facts)
{
	int count = facts->classes;

	while (count > 0 && thaw_is_printable(facts->names[count - 1]))
		count--;
	return count == 0;
}

static void add_facts(struct thaw_text *header, const struct thaw_weights_facts *facts)
{
	struct thaw_text classes = THAW_TEXT_EMPTY;

	thaw_json_text(header, "thaw.arch", facts->arch);
	add_three(header, "thaw.mean", facts->mean);
	add_three(header, "thaw.std", facts->std);
	add_pixels(header, "thaw.resize", facts->resize);
	add_pixels(header, "thaw.crop", facts->crop);
	if (facts->classes > 0 && thaw_weights_can_name(facts)) {
		thaw_json_open(&classes, NULL, '[');
		for (int i = 0; i < facts->classes; i++)
			thaw_json_text(&classes, NULL, facts->names[i]);
		thaw_json_close(&classes, ']');
		header->out_of_memory |= classes.out_of_memory;
		thaw_json_text(header, "thaw.classes", classes.data);
	}
	thaw_text_release(&classes);
}

static void add_header(struct thaw_text *header, const struct thaw_weights_facts *facts, const struct place *places,
                       int count)
{
	thaw_json_open(header, NULL, '{');
	thaw_json_open(header, "__metadata__", '{');
	thaw_json_text(header, "format", "pt");
	if (facts->arch[0])
		add_facts(header, facts);
	thaw_json_close(header, '}');
	for (int i = 0; i < count; i++) {
		thaw_json_open(header, places[i].tensor->name, '{');
		thaw_json_text(header, "dtype", thaw_dtype_name(places[i].dtype));
		thaw_json_open(header, "shape", '[');
		for (int d = 0; d < places[i].tensor->rank; d++)
			thaw_json_integer(header, NULL, places[i].tensor->dims[d]);
		thaw_json_close(header, ']');
		thaw_json_open(header, "data_offsets", '[');
		thaw_json_integer(header, NULL, (int64_t)places[i].begin);
		thaw_json_integer(header, NULL, (int64_t)places[i].end);
		thaw_json_close(header, ']');
		thaw_json_close(header, '}');
	}
	thaw_json_close(header, '}');
	while (header->length % 8 != 0 && !header->out_of_memory)
		thaw_text_add(header, " ");
}

/* What JSON cannot hold, or the format has for something else. */
static thaw_status check_names(const char *path, const struct thaw_weight *tensors, int count)
{
	for (int i = 0; i < count; i++)
		if (!thaw_is_printable(tensors[i].name) || strcmp(tensors[i].name, "__metadata__") == 0)
			return thaw_fail(THAW_FAILED, "'%s' cannot hold a tensor called '%s'", path, tensors[i].name);
	return THAW_OK;
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

static thaw_status copy_numbers(const struct place *place, uint8_t *to)
{
	thaw_status status = THAW_OK;
	float *floats;

	if (place->dtype == place->tensor->dtype) {
		thaw_weight_copy_bytes(place->tensor, to);
		return THAW_OK;
	}
	floats = thaw_alloc((size_t)place->tensor->elems, sizeof *floats);
	if (!floats)
		return THAW_OUT_OF_MEMORY;
	(void)thaw_weight_copy(place->tensor, floats); /* what is not finite stays so */
	for (int64_t i = 0; i < place->tensor->elems && place->dtype == THAW_F16 && !status; i++)
		if (isfinite(floats[i]) && fabsf(floats[i]) >= half_overflow)
			status = thaw_fail(THAW_FAILED, "'%s' has %g in it, and the largest number of F16 is 65504",
			                   place->tensor->name, (double)floats[i]);
	if (!status)
		thaw_dtype_from_floats(place->dtype, floats, (size_t)place->tensor->elems, to);
	free(floats);
	return status;
}

thaw_status thaw_weights_write(const char *path, const struct thaw_weights_facts *facts,
                               const struct thaw_weight *tensors, int count, const enum thaw_dtype *floats)
{
	struct place *places = find_places(tensors, count, floats);
	struct thaw_text header = THAW_TEXT_EMPTY;
	uint8_t *bytes = NULL;
	uint64_t length, body = places && count > 0 ? places[count - 1].end : 0;
	thaw_status status;

	if (!places)
		return THAW_OUT_OF_MEMORY;
	status = check_names(path, tensors, count);
	if (status)
		goto release;
	add_header(&header, facts, places, count);
	status = thaw_text_status(&header);
	if (!status && header.length > THAW_SAFETENSORS_HEADER)
		status = thaw_fail(THAW_FAILED, "'%s' would have a header of %zu bytes, allowed are %d", path, header.length,
		                   THAW_SAFETENSORS_HEADER);
	if (status)
		goto release;
	length = header.length;
	bytes = thaw_alloc((size_t)(sizeof length + length + body), 1);
	if (!bytes) {
		status = THAW_OUT_OF_MEMORY;
		goto release;
	}
	memcpy(bytes, &length, sizeof length);
	memcpy(bytes + sizeof length, header.data, header.length);
	for (int i = 0; i < count && !status; i++)
		status = copy_numbers(&places[i], bytes + sizeof length + length + places[i].begin);
	if (!status)
		status = thaw_file_publish(path, bytes, (size_t)(sizeof length + length + body));
release:
	free(bytes);
	thaw_text_release(&header);
	free(places);
	return status;
}
