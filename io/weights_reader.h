/*
 * Between io/weights.c, which opens a file, and the readers of its formats, each in one file: weights_*.c.
 */
#ifndef THAW_IO_WEIGHTS_READER_H
#define THAW_IO_WEIGHTS_READER_H

#include <stdbool.h>

#include "io/weights.h"

enum { THAW_SAFETENSORS_HEADER = 768 << 10 }; /* bytes, of which each may take 77 as JSON; a ResNet-152 has 110,000 */

/* A file that is being opened. */
struct thaw_weights_reader {
	const char *path;
	const uint8_t *bytes; /* (length) the whole file, mapped until the weights are released */
	size_t length;
	uint64_t claimed;     /* bytes of all tensors so far */
	struct thaw_weights *weights;
	char **names;         /* of classes, up to NULL: released with the weights */
	struct thaw_checkpoint *checkpoint; /* whose bytes the tensors are, where it is one: released with the weights */
};

/* What makes a tensor. */
struct thaw_weight_claim {
	const char *name;     /* (name_length) need not be terminated */
	size_t name_length;
	enum thaw_dtype dtype;
	int64_t rank;
	const int64_t *dims;
	const int64_t *strides; /* in elements; NULL: C order */
	const uint8_t *data;  /* where its storage begins, */
	uint64_t data_length; /* of so many bytes; */
	int64_t offset;       /* in it, elements to the first */
};

/* Adds a tensor whose every element lies in its storage, of which it has not more than that has; all tensors together
 * are at most 4 times as long as the file. THAW_FAILED names file, tensor and what is wrong. */
thaw_status thaw_weights_add(struct thaw_weights_reader *reader, const struct thaw_weight_claim *claim);

/* Copies the numbers of a tensor in C order as they are. */
void thaw_weight_copy_bytes(const struct thaw_weight *tensor, uint8_t *bytes_out);

/* Readers. They find out by themselves what else may be wrong. */
thaw_status thaw_weights_read_zip(struct thaw_weights_reader *reader);
thaw_status thaw_weights_read_stream(struct thaw_weights_reader *reader);
thaw_status thaw_weights_read_tar(struct thaw_weights_reader *reader);
thaw_status thaw_weights_read_safetensors(struct thaw_weights_reader *reader);
thaw_status thaw_weights_read_checkpoint(struct thaw_weights_reader *reader);

#endif
