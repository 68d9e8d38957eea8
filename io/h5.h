/*
 * HDF5 for shards and checkpoints: it builds files in memory, and parses memory.
 *
 * HDF5 never touches a disk: on a full one it crashes in its own close, and what it would read from one could be a
 * link to elsewhere, a plugin to load, or a pipe. Files are built by its core driver in the oldest format, which every
 * HDF5 since 1.6 reads, without times, so that the same content gives the same bytes. What is read was digested before
 * (io/seal.h) and still has to be exactly of the kind that thaw writes: hard links to contiguous, unfiltered datasets
 * and fixed-size attributes. Numbers are little-endian in files, and in memory.
 *
 * HDF5 keeps its state in the process: one thread at a time.
 */
#ifndef THAW_IO_H5_H
#define THAW_IO_H5_H

#include <hdf5.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct thaw_h5_memory {
	char *bytes;
	size_t capacity;
	size_t refused; /* bytes that it could not grow to; 0 if it always could */
};

/* A file being built. The first failure sticks: later calls do nothing, thaw_h5_end() returns it. */
struct thaw_h5_writer {
	const char *path; /* for messages */
	hid_t file;
	thaw_status status;
	uint64_t left_out; /* bytes of the dataset that thaw_h5_put_last() announced */
	struct thaw_h5_memory memory;
};

void thaw_h5_begin(struct thaw_h5_writer *writer, const char *path);

/* Attributes of the root group: a 64-bit integer; `count` numbers of `type` (a scalar if 1); a UTF-8 text. */
void thaw_h5_put_int(struct thaw_h5_writer *writer, const char *name, int64_t value);
void thaw_h5_put_numbers(struct thaw_h5_writer *writer, const char *name, hid_t type, const void *values, int count);
void thaw_h5_put_text(struct thaw_h5_writer *writer, const char *name, const char *text);

/* What a dataset is made of. */
struct thaw_h5_array {
	hid_t file_type, memory_type;
	int rank;
	const hsize_t *dims; /* (rank) */
	const void *data;
};

/* A dataset; groups named in its path are made. */
void thaw_h5_put_array(struct thaw_h5_writer *writer, const char *name, const struct thaw_h5_array *array);

/* A one-dimensional dataset of texts, as wide as the longest. */
void thaw_h5_put_texts(struct thaw_h5_writer *writer, const char *name, const char *const *texts, int64_t count);

/* A dataset of `bytes` bytes that is the last thing in the file and in nobody's memory: the caller writes it behind
 * what thaw_h5_end() gives. Nothing else may be put after it. */
void thaw_h5_put_last(struct thaw_h5_writer *writer, const char *name, uint64_t bytes);

struct thaw_h5_image {
	char *bytes;       /* the first `length - left_out` bytes of the file and room for THAW_SEAL_LENGTH more; free() */
	uint64_t length;   /* of the file */
	uint64_t left_out; /* bytes at its end that the caller writes */
};

/* Ends the file, whatever happened. THAW_FAILED names the path and what HDF5 refused, THAW_OUT_OF_MEMORY the bytes. */
thaw_status thaw_h5_end(struct thaw_h5_writer *writer, struct thaw_h5_image *image_out);

/* A file being parsed. Errors name the path and the part, THAW_FAILED. */
struct thaw_h5_reader {
	const char *path;
	hid_t file;
	uint64_t length; /* of the file */
	struct thaw_h5_memory memory;
};

/* Opens the `length` bytes of a file; they stay the caller's and have to live until the close. */
thaw_status thaw_h5_open(const char *path, const void *bytes, size_t length, struct thaw_h5_reader *reader_out);
void thaw_h5_close(struct thaw_h5_reader *reader);

/* Attributes, as they were put. A text longer than size - 1 bytes is refused. */
thaw_status thaw_h5_get_int(const struct thaw_h5_reader *reader, const char *name, int64_t *value_out);
thaw_status thaw_h5_get_numbers(const struct thaw_h5_reader *reader, const char *name, hid_t type, void *values_out,
                                int count);
thaw_status thaw_h5_get_text(const struct thaw_h5_reader *reader, const char *name, char *text_out, size_t size);

/* A dataset whose bytes stand in the file one after another. */
struct thaw_h5_plain {
	hid_t dataset; /* closed with the reader */
	uint64_t offset, bytes;
	int rank; /* 0 .. 4 */
	int64_t dims[4];
};

/* Finds dataset `name`, whose elements are of `type`, or texts if that is H5I_INVALID_HID. It lies within the file and
 * is not empty. */
thaw_status thaw_h5_find(const struct thaw_h5_reader *reader, const char *name, hid_t type,
                         struct thaw_h5_plain *plain_out);

/* A one-dimensional dataset of texts: one block for free(), pointers first. */
thaw_status thaw_h5_get_texts(const struct thaw_h5_reader *reader, const char *name, char ***texts_out,
                              int64_t *count_out);

#endif
