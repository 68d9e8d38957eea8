#include "io/h5.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/seal.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "thaw's files are mapped as they are: little-endian processors only"
#endif

/* Opened by name before it is made, a file would be read into memory if it existed: this one cannot. */
static const char no_file[] = "/dev/null/thaw";

/* HDF5's core driver asks these for its memory, and so works in ours: it never copies an image, and what it built is
 * still there after its close. */
static void *lend(size_t size, H5FD_file_image_op_t why, void *context)
{
	const struct thaw_h5_memory *memory = context;

	(void)size, (void)why;
	return memory->bytes;
}

static void *keep(void *to, const void *from, size_t size, H5FD_file_image_op_t why, void *context)
{
	(void)from, (void)size, (void)why, (void)context; /* lend() made both the same */
	return to;
}

static void *grow(void *bytes, size_t size, H5FD_file_image_op_t why, void *context)
{
	struct thaw_h5_memory *memory = context;
	char *grown = realloc(bytes, size);

	(void)why;
	if (grown)
		*memory = (struct thaw_h5_memory){.bytes = grown, .capacity = size};
	else
		memory->refused = size;
	return grown;
}

static herr_t leave(void *bytes, H5FD_file_image_op_t why, void *context)
{
	(void)bytes, (void)why, (void)context;
	return 0;
}

static void *same_context(void *context)
{
	return context;
}

static herr_t leave_context(void *context)
{
	(void)context;
	return 0;
}

/* File access through `memory`; with `length` > 0 that many bytes of it are the file. Negative on failure. */
static hid_t access_list(struct thaw_h5_memory *memory, size_t length)
{
	H5FD_file_image_callbacks_t callbacks = {lend, keep, grow, leave, same_context, leave_context, memory};
	hid_t list;

	(void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* thaw words its errors itself */
	(void)H5PLset_loading_state(0);              /* a file may name filters, and HDF5 would load code for them */
	list = H5Pcreate(H5P_FILE_ACCESS);
	if (list < 0)
		return list;
	if (H5Pset_fapl_core(list, (size_t)1 << 16, 0) < 0 || H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) < 0 ||
		H5Pset_libver_bounds(list, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST) < 0 || H5Pset_meta_block_size(list, 0) < 0 ||
		H5Pset_small_data_block_size(list, 0) < 0 || H5Pset_file_image_callbacks(list, &callbacks) < 0 ||
		(length > 0 && H5Pset_file_image(list, memory->bytes, length) < 0)) {
		H5Pclose(list);
		return H5I_INVALID_HID;
	}
	return list;
}

static void refuse(struct thaw_h5_writer *writer, const char *name)
{
	if (writer->status)
		return;
	if (writer->memory.refused)
		writer->status = thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: '%s' needs %zu bytes", writer->path,
		                           writer->memory.refused);
	else
		writer->status = thaw_fail(THAW_FAILED, "cannot build '%s': HDF5 refuses '%s'", writer->path, name);
}

void thaw_h5_begin(struct thaw_h5_writer *writer, const char *path)
{
	hid_t list;

	*writer = (struct thaw_h5_writer){.path = path, .file = H5I_INVALID_HID, .status = THAW_OK};
	list = access_list(&writer->memory, 0);
	if (list >= 0) {
		writer->file = H5Fcreate(no_file, H5F_ACC_TRUNC, H5P_DEFAULT, list);
		H5Pclose(list);
	}
	if (writer->file < 0)
		refuse(writer, "/");
}

void thaw_h5_put_numbers(struct thaw_h5_writer *writer, const char *name, hid_t type, const void *values, int count)
{
	hsize_t dims[1] = {(hsize_t)count};
	hid_t space, attribute;

	if (writer->status)
		return;
	space = count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, dims, NULL);
	attribute = H5Acreate2(writer->file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
	if (attribute < 0 || H5Awrite(attribute, type, values) < 0)
		refuse(writer, name);
	H5Aclose(attribute);
	H5Sclose(space);
}

void thaw_h5_put_int(struct thaw_h5_writer *writer, const char *name, int64_t value)
{
	thaw_h5_put_numbers(writer, name, H5T_STD_I64LE, &value, 1);
}

/* UTF-8 of a fixed number of bytes: filled up with zeros in files; in memory, where they are read, terminated. */
static hid_t text_type(size_t width, H5T_str_t end)
{
	hid_t type = H5Tcopy(H5T_C_S1);

	if (H5Tset_size(type, width) < 0 || H5Tset_strpad(type, end) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
		H5Tclose(type);
		return H5I_INVALID_HID;
	}
	return type;
}

/* HDF5 has no texts of 0 bytes. */
static size_t width_of(const char *text)
{
	size_t length = strlen(text);

	return length > 0 ? length : 1;
}

void thaw_h5_put_text(struct thaw_h5_writer *writer, const char *name, const char *text)
{
	hid_t type = text_type(width_of(text), H5T_STR_NULLPAD);

	thaw_h5_put_numbers(writer, name, type, text, 1);
	H5Tclose(type);
}

/* A new dataset; `links` may make the groups of its path. */
static hid_t create_dataset(struct thaw_h5_writer *writer, const char *name, hid_t type, hid_t space)
{
	hid_t links = H5Pcreate(H5P_LINK_CREATE), list = H5Pcreate(H5P_DATASET_CREATE), dataset = H5I_INVALID_HID;

	if (H5Pset_create_intermediate_group(links, 1) >= 0 && H5Pset_obj_track_times(list, 0) >= 0 &&
		H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0)
		dataset = H5Dcreate2(writer->file, name, type, space, links, list, H5P_DEFAULT);
	H5Pclose(links);
	H5Pclose(list);
	return dataset;
}

void thaw_h5_put_array(struct thaw_h5_writer *writer, const char *name, const struct thaw_h5_array *array)
{
	hid_t space, dataset;

	if (writer->status)
		return;
	space = array->rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(array->rank, array->dims, NULL);
	dataset = create_dataset(writer, name, array->file_type, space);
	if (dataset < 0 || H5Dwrite(dataset, array->memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, array->data) < 0)
		refuse(writer, name);
	H5Dclose(dataset);
	H5Sclose(space);
}

void thaw_h5_put_texts(struct thaw_h5_writer *writer, const char *name, const char *const *texts, int64_t count)
{
	hsize_t dims[1] = {(hsize_t)count};
	size_t width = 1;
	char *table;
	hid_t type;

	if (writer->status)
		return;
	for (int64_t i = 0; i < count; i++)
		width = width_of(texts[i]) > width ? width_of(texts[i]) : width;
	table = thaw_alloc((size_t)count, width);
	if (!table) {
		writer->status = THAW_OUT_OF_MEMORY;
		return;
	}
	for (int64_t i = 0; i < count; i++)
		memcpy(table + (size_t)i * width, texts[i], strlen(texts[i]));
	type = text_type(width, H5T_STR_NULLPAD);
	thaw_h5_put_array(
		writer, name,
		&(struct thaw_h5_array){.file_type = type, .memory_type = type, .rank = 1, .dims = dims, .data = table});
	H5Tclose(type);
	free(table);
}

void thaw_h5_put_last(struct thaw_h5_writer *writer, const char *name, uint64_t bytes)
{
	const hsize_t dims[1] = {bytes}, first[1] = {0}, one[1] = {1};
	const uint8_t zero = 0;
	hid_t space, element, dataset;

	if (writer->status)
		return;
	space = H5Screate_simple(1, dims, NULL);
	element = H5Screate_simple(1, one, NULL);
	dataset = create_dataset(writer, name, H5T_STD_U8LE, space);
	/* The first element written makes HDF5 take space for all of them, at the end of the file. */
	if (dataset < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, first, NULL, one, NULL) < 0 ||
		H5Dwrite(dataset, H5T_NATIVE_UINT8, element, space, H5P_DEFAULT, &zero) < 0)
		refuse(writer, name);
	writer->left_out = bytes;
	H5Dclose(dataset);
	H5Sclose(element);
	H5Sclose(space);
}

thaw_status thaw_h5_end(struct thaw_h5_writer *writer, struct thaw_h5_image *image_out)
{
	struct thaw_h5_image image = {.left_out = writer->left_out};
	size_t size;

	if (writer->file >= 0 && H5Fclose(writer->file) < 0)
		refuse(writer, "the end");
	if (!writer->status) {
		memcpy(&image.length, writer->memory.bytes + 40, 8); /* "end of file address" of the version 0 superblock */
		size = (size_t)(image.length - image.left_out);
		if (image.length < image.left_out || size > writer->memory.capacity)
			refuse(writer, "the order of its parts");
		else if (!grow(writer->memory.bytes, size + THAW_SEAL_LENGTH, H5FD_FILE_IMAGE_OP_NO_OP, &writer->memory))
			refuse(writer, "its seal");
	}
	if (writer->status) {
		free(writer->memory.bytes);
		return writer->status;
	}
	image.bytes = writer->memory.bytes;
	*image_out = image;
	return THAW_OK;
}

thaw_status thaw_h5_open(const char *path, const void *bytes, size_t length, struct thaw_h5_reader *reader_out)
{
	hid_t list;

	*reader_out = (struct thaw_h5_reader){
		.path = path,
		.file = H5I_INVALID_HID,
		.length = length,
		.memory = {.bytes = (char *)bytes, .capacity = length}, /* only read: the file is opened so */
	};
	list = length > 0 ? access_list(&reader_out->memory, length) : H5I_INVALID_HID;
	if (list >= 0) {
		reader_out->file = H5Fopen(no_file, H5F_ACC_RDONLY, list);
		H5Pclose(list);
	}
	if (reader_out->file < 0)
		return thaw_fail(THAW_FAILED, "'%s' is not HDF5", path);
	return THAW_OK;
}

void thaw_h5_close(struct thaw_h5_reader *reader)
{
	if (reader->file >= 0)
		H5Fclose(reader->file);
	reader->file = H5I_INVALID_HID;
}

/* Opens attribute `name` if it has exactly this many elements; a negative id after thaw_fail(). */
static hid_t open_attribute(const struct thaw_h5_reader *reader, const char *name, int count)
{
	hid_t attribute = H5Aexists(reader->file, name) > 0 ? H5Aopen(reader->file, name, H5P_DEFAULT) : H5I_INVALID_HID;
	hid_t space;
	hssize_t elements;

	if (attribute < 0) {
		thaw_fail(THAW_FAILED, "'%s' has no attribute '%s'", reader->path, name);
		return attribute;
	}
	space = H5Aget_space(attribute);
	elements = H5Sget_simple_extent_npoints(space);
	H5Sclose(space);
	if (elements == count)
		return attribute;
	thaw_fail(THAW_FAILED, "'%s': attribute '%s' has %lld value%s, expected %d", reader->path, name, (long long)elements,
	          elements == 1 ? "" : "s",
			  count);
	H5Aclose(attribute);
	return H5I_INVALID_HID;
}

thaw_status thaw_h5_get_numbers(const struct thaw_h5_reader *reader, const char *name, hid_t type, void *values_out,
								int count)
{
	hid_t attribute = open_attribute(reader, name, count), found;
	thaw_status status = THAW_OK;

	if (attribute < 0)
		return THAW_FAILED;
	found = H5Aget_type(attribute);
	if (H5Tequal(found, type) <= 0 || H5Aread(attribute, type, values_out) < 0)
		status = thaw_fail(THAW_FAILED, "'%s': attribute '%s' is of another type than thaw's", reader->path, name);
	H5Tclose(found);
	H5Aclose(attribute);
	return status;
}

thaw_status thaw_h5_get_int(const struct thaw_h5_reader *reader, const char *name, int64_t *value_out)
{
	return thaw_h5_get_numbers(reader, name, H5T_STD_I64LE, value_out, 1);
}

/* The number of bytes of each text of a fixed-size UTF-8 type filled up with zeros; 0 if it is anything else. */
static size_t text_width(hid_t type)
{
	size_t width = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 ? H5Tget_size(type) : 0;

	return width > 0 && H5Tget_strpad(type) == H5T_STR_NULLPAD && H5Tget_cset(type) == H5T_CSET_UTF8 ? width : 0;
}

thaw_status thaw_h5_get_text(const struct thaw_h5_reader *reader, const char *name, char *text_out, size_t size)
{
	hid_t attribute = open_attribute(reader, name, 1), found, type;
	thaw_status status = THAW_OK;
	size_t width;

	if (attribute < 0)
		return THAW_FAILED;
	found = H5Aget_type(attribute);
	width = text_width(found);
	type = text_type(size, H5T_STR_NULLTERM);
	if (width == 0 || width >= size || H5Aread(attribute, type, text_out) < 0)
		status = thaw_fail(THAW_FAILED, "'%s': attribute '%s' is not a text of at most %zu bytes", reader->path, name,
						   size - 1);
	H5Tclose(type);
	H5Tclose(found);
	H5Aclose(attribute);
	return status;
}

/* Whether the dataset's bytes stand in this file, in one piece, as they are. */
static bool is_plain(hid_t dataset)
{
	hid_t list = H5Dget_create_plist(dataset);
	bool plain =
		H5Pget_layout(list) == H5D_CONTIGUOUS && H5Pget_nfilters(list) == 0 && H5Pget_external_count(list) == 0;

	H5Pclose(list);
	return plain;
}

/* Fills in what the dataset's shape and place say; false unless they fit each other and the file. */
static bool measure(const struct thaw_h5_reader *reader, hid_t dataset, struct thaw_h5_plain *plain)
{
	hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
	uint64_t bytes = H5Tget_size(type);
	hsize_t dims[H5S_MAX_RANK];
	int rank = H5Sget_simple_extent_type(space) == H5S_NULL ? -1 : H5Sget_simple_extent_ndims(space);
	bool fits = bytes > 0 && rank >= 0 && rank <= 4 && H5Sget_simple_extent_dims(space, dims, NULL) == rank;

	for (int i = 0; fits && i < rank; i++) {
		fits = dims[i] > 0 && bytes <= reader->length / dims[i];
		bytes *= dims[i];
		plain->dims[i] = (int64_t)dims[i];
	}
	plain->rank = rank;
	plain->bytes = bytes;
	plain->offset = fits ? H5Dget_offset(dataset) : HADDR_UNDEF;
	H5Tclose(type);
	H5Sclose(space);
	return fits && H5Dget_storage_size(dataset) == bytes && bytes <= reader->length &&
		   plain->offset <= reader->length - bytes;
}

thaw_status thaw_h5_find(const struct thaw_h5_reader *reader, const char *name, hid_t type,
						 struct thaw_h5_plain *plain_out)
{
	struct thaw_h5_plain plain = {.dataset = H5I_INVALID_HID};
	thaw_status status;
	H5L_info_t link;
	hid_t found;

	if (H5Lexists(reader->file, name, H5P_DEFAULT) <= 0 || H5Lget_info(reader->file, name, &link, H5P_DEFAULT) < 0)
		return thaw_fail(THAW_FAILED, "'%s' has no '%s'", reader->path, name);
	if (link.type != H5L_TYPE_HARD)
		return thaw_fail(THAW_FAILED, "'%s': '%s' is a link to elsewhere", reader->path, name);
	plain.dataset = H5Dopen2(reader->file, name, H5P_DEFAULT);
	if (plain.dataset < 0)
		return thaw_fail(THAW_FAILED, "'%s': '%s' is not a dataset", reader->path, name);
	found = H5Dget_type(plain.dataset);
	if (!is_plain(plain.dataset))
		status = thaw_fail(THAW_FAILED, "'%s': '%s' is not stored in one piece as it is", reader->path, name);
	else if (type >= 0 ? H5Tequal(found, type) <= 0 : text_width(found) == 0)
		status =
			thaw_fail(THAW_FAILED, "'%s': the elements of '%s' are of another type than thaw's", reader->path, name);
	else if (!measure(reader, plain.dataset, &plain))
		status = thaw_fail(THAW_FAILED, "'%s': '%s' is empty or reaches beyond the file", reader->path, name);
	else
		status = THAW_OK;
	H5Tclose(found);
	if (status)
		H5Dclose(plain.dataset);
	else
		*plain_out = plain;
	return status;
}

/* Reads `count` texts into a block of as many pointers and, behind them, the texts. */
static thaw_status read_texts(const struct thaw_h5_reader *reader, const char *name, const struct thaw_h5_plain *plain,
							  char ***texts_out)
{
	size_t count = (size_t)plain->dims[0], width = (size_t)plain->bytes / count + 1;
	char **texts = thaw_alloc(count, sizeof *texts + width), *table;
	thaw_status status = THAW_OK;
	hid_t type;

	if (!texts)
		return THAW_OUT_OF_MEMORY;
	table = (char *)(texts + count);
	type = text_type(width, H5T_STR_NULLTERM);
	if (H5Dread(plain->dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, table) < 0)
		status = thaw_fail(THAW_FAILED, "'%s': cannot read '%s'", reader->path, name);
	H5Tclose(type);
	for (size_t i = 0; i < count; i++)
		texts[i] = table + i * width;
	if (status)
		free(texts);
	else
		*texts_out = texts;
	return status;
}

thaw_status thaw_h5_get_texts(const struct thaw_h5_reader *reader, const char *name, char ***texts_out,
							  int64_t *count_out)
{
	struct thaw_h5_plain plain;
	thaw_status status = thaw_h5_find(reader, name, H5I_INVALID_HID, &plain);

	if (status)
		return status;
	if (plain.rank != 1)
		status = thaw_fail(THAW_FAILED, "'%s': '%s' has %d dimensions, expected 1", reader->path, name, plain.rank);
	else
		status = read_texts(reader, name, &plain, texts_out);
	if (!status)
		*count_out = plain.dims[0];
	H5Dclose(plain.dataset);
	return status;
}
