#define _POSIX_C_SOURCE 200809L
#include "io/shard.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/file.h"
#include "base/mem.h"
#include "io/h5.h"
#include "io/h5_read.h"
#include "io/mapped.h"
#include "io/seal.h"

enum { FORMAT_VERSION = 1 };

/* Moves `end` before the digits in front of it, not before `begin`; their value, or -1 unless they are one to nine. */
static int number_before(const char *begin, const char **end)
{
	const char *digits = *end;
	int value = 0;

	while (digits > begin && digits[-1] >= '0' && digits[-1] <= '9')
		digits--;
	if (digits == *end || *end - digits > 9)
		return -1;
	for (const char *c = digits; c < *end; c++)
		value = value * 10 + (*c - '0');
	*end = digits;
	return value;
}

/* Moves `end` before `word` if that stands in front of it. */
static bool word_before(const char *begin, const char **end, const char *word)
{
	ptrdiff_t length = (ptrdiff_t)strlen(word);

	if (*end - begin < length || memcmp(*end - length, word, (size_t)length) != 0)
		return false;
	*end -= length;
	return true;
}

bool thaw_shard_name_parse(const char *path, struct thaw_shard_name *name_out)
{
	const char *slash = strrchr(path, '/'), *begin = slash ? slash + 1 : path, *end = begin + strlen(begin);
	struct thaw_shard_name name = {.split = begin};

	if (!word_before(begin, &end, ".h5") || (name.of = number_before(begin, &end)) < 0 ||
	    !word_before(begin, &end, "-of-") || (name.number = number_before(begin, &end)) < 0 ||
	    !word_before(begin, &end, "-") || name.number >= name.of)
		return false;
	name.split_length = (int)(end - begin);
	*name_out = name;
	return true;
}

void thaw_shard_name_add(struct thaw_text *path, const char *split, int number, int of)
{
	thaw_text_add(path, "%s-%05d-of-%05d.h5", split, number, of);
}

static uint64_t picture_bytes(const struct thaw_picture *picture)
{
	return (uint64_t)picture->height * picture->width * 3;
}

/* The members of an index row: packed, as files have them, or as struct thaw_picture has them. */
static hid_t index_type(bool packed)
{
	hid_t type = H5Tcreate(H5T_COMPOUND, packed ? 20 : sizeof(struct thaw_picture));

	H5Tinsert(type, "offset", packed ? 0 : offsetof(struct thaw_picture, offset), H5T_STD_U64LE);
	H5Tinsert(type, "height", packed ? 8 : offsetof(struct thaw_picture, height), H5T_STD_U16LE);
	H5Tinsert(type, "width", packed ? 10 : offsetof(struct thaw_picture, width), H5T_STD_U16LE);
	H5Tinsert(type, "label", packed ? 12 : offsetof(struct thaw_picture, label), H5T_STD_I32LE);
	H5Tinsert(type, "crc32c", packed ? 16 : offsetof(struct thaw_picture, crc32c), H5T_STD_U32LE);
	return type;
}

static void put_index(struct thaw_h5_writer *writer, const struct thaw_shard *shard)
{
	hsize_t dims[1] = {(hsize_t)shard->count};
	struct thaw_h5_array rows = {
		.file_type = index_type(true),
		.memory_type = index_type(false),
		.rank = 1,
		.dims = dims,
		.data = shard->index,
	};

	thaw_h5_put_array(writer, "index", &rows);
	H5Tclose(rows.file_type);
	H5Tclose(rows.memory_type);
}

/* Everything but the pixels. */
static thaw_status build(const char *path, const struct thaw_shard *shard, struct thaw_h5_image *image_out)
{
	const struct thaw_dataset_facts *facts = shard->facts;
	struct thaw_h5_writer writer;
	uint64_t bytes = 0;

	for (int64_t i = 0; i < shard->count; i++) {
		assert(shard->index[i].offset == bytes);
		bytes += picture_bytes(&shard->index[i]);
	}
	thaw_h5_begin(&writer, path);
	thaw_h5_put_int(&writer, "format_version", FORMAT_VERSION);
	thaw_h5_put_text(&writer, "split", facts->split);
	thaw_h5_put_int(&writer, "count", facts->count);
	thaw_h5_put_int(&writer, "resize", facts->resize);
	thaw_h5_put_numbers(&writer, "mean", H5T_IEEE_F32LE, facts->mean, 3);
	thaw_h5_put_numbers(&writer, "std", H5T_IEEE_F32LE, facts->std, 3);
	thaw_h5_put_texts(&writer, "classes", shard->classes, facts->classes);
	thaw_h5_put_texts(&writer, "names", shard->names, shard->count);
	put_index(&writer, shard);
	thaw_h5_put_last(&writer, "pixels", bytes);
	return thaw_h5_end(&writer, image_out);
}

/* The file from its first byte to its last: what HDF5 made, the pictures, the seal. */
static thaw_status write_parts(int fd, const char *path, const struct thaw_shard *shard,
							   const struct thaw_h5_image *image)
{
	struct thaw_seal seal = {.kind = "shard", .length = image->length, .left_out = image->left_out};
	uint8_t bytes[THAW_SEAL_LENGTH];
	thaw_status status = thaw_file_write_all(fd, path, image->bytes, (size_t)(image->length - image->left_out));

	for (int64_t i = 0; !status && i < shard->count; i++)
		status = thaw_file_write_all(fd, path, shard->pixels[i], (size_t)picture_bytes(&shard->index[i]));
	if (status)
		return status;
	thaw_seal_make(&seal, image->bytes, bytes);
	return thaw_file_write_all(fd, path, bytes, sizeof bytes);
}

thaw_status thaw_shard_write(const char *path, const struct thaw_shard *shard)
{
	struct thaw_h5_image image;
	thaw_status status = build(path, shard, &image);
	int fd;

	if (status)
		return status;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0) {
		status = thaw_fail(THAW_FAILED, "cannot create '%s': %s", path, strerror(errno));
		goto free_image;
	}
	status = write_parts(fd, path, shard, &image);
	if (!status && fsync(fd) != 0)
		status = thaw_fail(THAW_FAILED, "cannot sync '%s': %s", path, strerror(errno));
	if (close(fd) != 0 && !status)
		status = thaw_fail(THAW_FAILED, "cannot close '%s': %s", path, strerror(errno));
	if (status)
		(void)unlink(path);
free_image:
	free(image.bytes);
	return status;
}

static thaw_status read_facts(const struct thaw_h5_reader *reader, struct thaw_dataset_facts *facts)
{
	int64_t version, resize;
	thaw_status status;

	if ((status = thaw_h5_get_int(reader, "format_version", &version)))
		return status;
	if (version != FORMAT_VERSION)
		return thaw_fail(THAW_FAILED, "'%s' has format version %lld, this thaw reads %d", reader->path,
						 (long long)version, FORMAT_VERSION);
	if ((status = thaw_h5_get_text(reader, "split", facts->split, sizeof facts->split)) ||
		(status = thaw_h5_get_int(reader, "count", &facts->count)) ||
		(status = thaw_h5_get_int(reader, "resize", &resize)) ||
		(status = thaw_h5_get_numbers(reader, "mean", THAW_H5_F32, facts->mean, 3)) ||
		(status = thaw_h5_get_numbers(reader, "std", THAW_H5_F32, facts->std, 3)))
		return status;
	if (facts->count < 1 || facts->count > INT32_MAX)
		return thaw_fail(THAW_FAILED, "'%s' is of a split of %lld pictures, allowed are 1 to %d", reader->path,
		                 (long long)facts->count, INT32_MAX);
	if (resize < 1 || resize > UINT16_MAX)
		return thaw_fail(THAW_FAILED, "'%s': resize is %lld, allowed are 1 to 65535", reader->path, (long long)resize);
	facts->resize = (int)resize;
	for (int c = 0; c < 3; c++)
		if (!isfinite(facts->mean[c]) || !(facts->std[c] > 0 && isfinite(facts->std[c])))
			return thaw_fail(THAW_FAILED, "'%s': channel %d has mean %g and std %g, allowed are finite and positive",
							 reader->path, c, (double)facts->mean[c], (double)facts->std[c]);
	return THAW_OK;
}

static thaw_status read_classes(const struct thaw_h5_reader *reader, struct thaw_shard_map *shard)
{
	int64_t count;
	thaw_status status = thaw_h5_get_texts(reader, "classes", &shard->classes, &count);

	if (status)
		return status;
	if (count > INT32_MAX)
		return thaw_fail(THAW_FAILED, "'%s' has %lld classes", reader->path, (long long)count);
	if (shard->classes[0][0] == '\0')
		return thaw_fail(THAW_FAILED, "'%s': class 0 has no name", reader->path);
	for (int64_t i = 1; i < count; i++)
		if (strcmp(shard->classes[i - 1], shard->classes[i]) >= 0)
			return thaw_fail(THAW_FAILED, "'%s': class '%s' stands before '%s', they must ascend", reader->path,
							 shard->classes[i - 1], shard->classes[i]);
	shard->facts.classes = (int)count;
	return THAW_OK;
}

static thaw_status read_index(const struct thaw_h5_reader *reader, struct thaw_shard_map *shard)
{
	static const struct thaw_h5_member row[] = {{"offset", THAW_H5_U64},
	                                            {"height", THAW_H5_U16},
	                                            {"width", THAW_H5_U16},
	                                            {"label", THAW_H5_I32},
	                                            {"crc32c", THAW_H5_U32}};
	struct thaw_h5_plain plain;
	thaw_status status = thaw_h5_find_rows(reader, "index", row, sizeof row / sizeof *row, &plain);

	if (status)
		return status;
	shard->count = plain.dims[0];
	shard->index = thaw_alloc((size_t)shard->count, sizeof *shard->index);
	if (!shard->index)
		return THAW_OUT_OF_MEMORY;
	for (int64_t i = 0; i < shard->count; i++) {
		const uint8_t *at = plain.data + 20 * i;

		shard->index[i] = (struct thaw_picture){
			.offset = thaw_h5_number(at, 8),
			.height = (uint16_t)thaw_h5_number(at + 8, 2),
			.width = (uint16_t)thaw_h5_number(at + 10, 2),
			.label = (int32_t)thaw_h5_number(at + 12, 4),
			.crc32c = (uint32_t)thaw_h5_number(at + 16, 4),
		};
	}
	return THAW_OK;
}

/* The pictures follow each other without a gap from the first byte of `pixels` to the last. */
static thaw_status check_index(const char *path, const struct thaw_shard_map *shard, uint64_t bytes)
{
	uint64_t offset = 0;

	for (int64_t i = 0; i < shard->count; i++) {
		const struct thaw_picture *picture = &shard->index[i];

		if (picture->height < 1 || picture->width < 1)
			return thaw_fail(THAW_FAILED, "'%s': picture %lld has no size", path, (long long)i);
		if (picture->offset != offset)
			return thaw_fail(THAW_FAILED, "'%s': picture %lld begins at byte %llu of 'pixels', expected %llu", path,
							 (long long)i, (unsigned long long)picture->offset, (unsigned long long)offset);
		if (picture->label < 0 || picture->label >= shard->facts.classes)
			return thaw_fail(THAW_FAILED, "'%s': picture %lld has label %d, allowed are 0 to %d", path, (long long)i,
							 picture->label, shard->facts.classes - 1);
		offset += picture_bytes(picture); /* under 2^34 from each row of 20 bytes: does not overflow */
	}
	if (offset != bytes)
		return thaw_fail(THAW_FAILED, "'%s': its pictures have %llu bytes, 'pixels' has %llu", path,
						 (unsigned long long)offset, (unsigned long long)bytes);
	return THAW_OK;
}

/* Everything but the pixels, checked. What was allocated stays in `shard` also on failure. */
static thaw_status parse(const struct thaw_h5_reader *reader, const struct thaw_seal *seal,
						 struct thaw_shard_map *shard)
{
	struct thaw_h5_plain pixels;
	thaw_status status;
	int64_t names;

	if ((status = read_facts(reader, &shard->facts)) || (status = read_classes(reader, shard)) ||
		(status = read_index(reader, shard)) || (status = thaw_h5_get_texts(reader, "names", &shard->names, &names)) ||
		(status = thaw_h5_find(reader, "pixels", THAW_H5_U8, &pixels)))
		return status;
	if (names != shard->count)
		return thaw_fail(THAW_FAILED, "'%s' has %lld picture%s and %lld name%s", reader->path, (long long)shard->count,
		                 shard->count == 1 ? "" : "s", (long long)names, names == 1 ? "" : "s");
	if (pixels.bytes != seal->left_out || pixels.offset != seal->length - seal->left_out)
		return thaw_fail(THAW_FAILED, "'%s': 'pixels' are not what its seal leaves out", reader->path);
	shard->pixels = (const uint8_t *)shard->map + pixels.offset;
	return check_index(reader->path, shard, pixels.bytes);
}

thaw_status thaw_shard_open(const char *path, struct thaw_shard_map *shard_out)
{
	struct thaw_shard_map shard = {.map = NULL};
	struct thaw_h5_reader reader;
	struct thaw_seal seal;
	thaw_status status = thaw_mapped_open(path, &shard.map, &shard.map_length);

	if (status)
		return status;
	status = thaw_seal_check(path, "shard", shard.map, shard.map_length, &seal);
	if (status)
		goto close_shard;
	status = thaw_h5_open(path, shard.map, (size_t)seal.length, &reader);
	if (status)
		goto close_shard;
	status = parse(&reader, &seal, &shard);
	thaw_h5_close(&reader);
	if (status)
		goto close_shard;
	*shard_out = shard;
	return THAW_OK;
close_shard:
	thaw_shard_close(&shard);
	return status;
}

void thaw_shard_close(struct thaw_shard_map *shard)
{
	free(shard->classes);
	free(shard->names);
	free(shard->index);
	if (shard->map)
		thaw_mapped_close(shard->map, shard->map_length);
}

thaw_status thaw_shard_check(const char *path, const struct thaw_shard_map *shard, int64_t i)
{
	const struct thaw_picture *picture = &shard->index[i];

	if (thaw_crc32c(0, shard->pixels + picture->offset, (size_t)picture_bytes(picture)) != picture->crc32c)
		return thaw_fail(THAW_FAILED, "'%s' is damaged: the pixels of '%s' have another checksum", path,
		                 shard->names[i]);
	return THAW_OK;
}

thaw_status thaw_shard_verify(const char *path, const struct thaw_shard_map *shard)
{
	thaw_status status = THAW_OK;

	for (int64_t i = 0; i < shard->count && !status; i++)
		status = thaw_shard_check(path, shard, i);
	return status;
}
