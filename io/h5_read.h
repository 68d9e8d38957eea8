/*
 * Reading shards and checkpoints: the part of HDF5's format that thaw writes, parsed from memory, and nothing else.
 *
 * HDF5 itself parses no file. A seal (io/seal.h) tells that a file is as it was written, not by whom, and HDF5 crashes
 * on files that were made to hurt it. What io/h5.h builds is a small part of the format, its oldest (superblock 0,
 * symbol tables, object headers of version 1), and so is what h5py writes with its defaults; a reader of that part can
 * check all it does. Known are: groups, contiguous unfiltered datasets of the types below, attributes of the root
 * group. All else is refused, by name where it is asked for.
 *
 * No more bytes of structure are visited than the file has, however often its parts point to one another: neither time
 * nor memory can be more than a multiple of its length (memory: 32 times).
 *
 * Source: The HDF Group, HDF5 File Format Specification Version 1.1. Errors name the path and the part, THAW_FAILED.
 */
#ifndef THAW_IO_H5_READ_H
#define THAW_IO_H5_READ_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Of elements, little-endian; a text has a fixed number of bytes of UTF-8, filled up with zeros. */
enum thaw_h5_type {
	THAW_H5_U8,
	THAW_H5_U16,
	THAW_H5_I32,
	THAW_H5_U32,
	THAW_H5_I64,
	THAW_H5_U64,
	THAW_H5_F32,
	THAW_H5_F64,
	THAW_H5_TEXT
};

/* Member of a row, which has no gaps. */
struct thaw_h5_member {
	const char *name; /* up to 7 bytes */
	enum thaw_h5_type type;
};

/* The number in so many bytes, the lowest first. */
static inline uint64_t thaw_h5_number(const uint8_t *at, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << 8 * i;
	return value;
}

/* A part of the bytes that are read; `at` NULL: there is none. */
struct thaw_h5_part {
	const uint8_t *at;
	size_t length;
};

enum thaw_h5_kind { THAW_H5_GROUP, THAW_H5_DATASET, THAW_H5_LINK, THAW_H5_OTHER };

struct thaw_h5_object {
	char *name; /* "model/fc.bias" */
	enum thaw_h5_kind kind;
	struct thaw_h5_part space, type, layout; /* of a dataset: messages of its header */
};

struct thaw_h5_reader {
	const char *path;
	const uint8_t *bytes;
	uint64_t length;                 /* of the file */
	uint64_t left;                   /* bytes that may still be visited */
	struct thaw_h5_object *objects;  /* (objects_count) each group before what it holds */
	struct thaw_h5_part *attributes; /* (attributes_count) of the root group: messages of its header */
	size_t objects_count, attributes_count;
};

/* Parses the `length` bytes of a file; they stay the caller's and have to live until the close. */
thaw_status thaw_h5_open(const char *path, const void *bytes, size_t length, struct thaw_h5_reader *reader_out);
void thaw_h5_close(struct thaw_h5_reader *reader);

/* Attributes, as they were put. A text longer than size - 1 bytes is refused. */
thaw_status thaw_h5_get_int(const struct thaw_h5_reader *reader, const char *name, int64_t *value_out);
thaw_status thaw_h5_get_numbers(const struct thaw_h5_reader *reader, const char *name, enum thaw_h5_type type,
                                void *values_out, int count);
thaw_status thaw_h5_get_text(const struct thaw_h5_reader *reader, const char *name, char *text_out, size_t size);

/* A dataset whose bytes stand in the file one after another. */
struct thaw_h5_plain {
	const uint8_t *data;
	uint64_t offset, bytes; /* of `data` in the file */
	int rank;               /* 0 .. 4 */
	int64_t dims[4];
};

/* What dataset `object` holds. It lies within the file and is not empty. */
thaw_status thaw_h5_look(const struct thaw_h5_reader *reader, const struct thaw_h5_object *object,
                         enum thaw_h5_type type, struct thaw_h5_plain *plain_out);

/* The same of the one with this name. */
thaw_status thaw_h5_find(const struct thaw_h5_reader *reader, const char *name, enum thaw_h5_type type,
                         struct thaw_h5_plain *plain_out);

/* A one-dimensional dataset of rows of up to 8 members. */
thaw_status thaw_h5_find_rows(const struct thaw_h5_reader *reader, const char *name,
                              const struct thaw_h5_member *members, int count, struct thaw_h5_plain *plain_out);

/* A one-dimensional dataset of texts: one block for free(), pointers first. */
thaw_status thaw_h5_get_texts(const struct thaw_h5_reader *reader, const char *name, char ***texts_out,
                              int64_t *count_out);

#endif
