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

/* HDF5's core driver asks these for its memory, and so works in ours: what it built is still there after its close. */
static void *grow(void *bytes, size_t size, H5FD_file_image_op_t why, void *context)
{
	struct thaw_h5_memory *memory = context;
	char *grown = realloc(bytes, size);

	(void)why;
	if (!grown) {
		memory->refused = size;
		return NULL;
	}
	memory->bytes = grown;
	memory->capacity = size;
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

/* File access through `memory`. Negative on failure. */
static hid_t access_list(struct thaw_h5_memory *memory)
{
	H5FD_file_image_callbacks_t callbacks = {NULL, NULL, grow, leave, same_context, leave_context, memory};
	hid_t list;

	(void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* thaw words its errors itself */
	list = H5Pcreate(H5P_FILE_ACCESS);
	if (list < 0)
		return list;
	if (H5Pset_fapl_core(list, (size_t)1 << 16, 0) < 0 || H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) < 0 ||
		H5Pset_libver_bounds(list, H5F_LIBVER_EARLIEST, H5F_LIBVER_LATEST) < 0 || H5Pset_meta_block_size(list, 0) < 0 ||
		H5Pset_small_data_block_size(list, 0) < 0 || H5Pset_file_image_callbacks(list, &callbacks) < 0) {
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
	list = access_list(&writer->memory);
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
