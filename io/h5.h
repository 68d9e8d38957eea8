/*
 * HDF5 for shards and checkpoints: it builds them in memory. What reads them is io/h5_read.h.
 *
 * HDF5 never touches a disk, on a full one it crashes in its own close, and never sees a file that it has not built.
 * Its core driver builds in the oldest format, which every HDF5 since 1.6 reads, without times, so that the same
 * content gives the same bytes: hard links to contiguous, unfiltered datasets, and fixed-size attributes. Numbers are
 * little-endian in files, and in memory.
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

#endif
