/*
 * What the three forms of torch.save() have in common: the names that their pickles may use, storages, tensors, and
 * where in what was saved the weights are.
 *
 * A storage is a block of numbers that tensors look into. Pickles tell of storages before their bytes are found; only
 * those of the weights are looked for.
 */
#ifndef THAW_IO_WEIGHTS_TORCH_H
#define THAW_IO_WEIGHTS_TORCH_H

#include "io/pickle.h"
#include "io/weights_reader.h"

struct thaw_storage {
	enum thaw_dtype dtype;
	const char *key;       /* (key_length) by which the bytes are found */
	size_t key_length;
	int64_t elems;         /* that it claims to have */
	int64_t skipped, seen; /* of these a view sees `seen`, behind the first `skipped` */
	const uint8_t *data;   /* (data_length) bytes; NULL: not found yet */
	uint64_t data_length;
};

/* In dims and strides of elements, `offset` elements into its storage. */
struct thaw_torch_tensor {
	struct thaw_storage *storage;
	int64_t offset;
	int rank;
	int64_t dims[THAW_WEIGHT_RANK], strides[THAW_WEIGHT_RANK];
};

/* A value that stands for a storage or a tensor; NULL after thaw_fail(), as thaw_pickle_new(). */
struct thaw_pickle_value *thaw_torch_storage_new(struct thaw_pickle *pickle, const struct thaw_storage *storage);
struct thaw_pickle_value *thaw_torch_tensor_new(struct thaw_pickle *pickle, const struct thaw_torch_tensor *tensor);

/* The storage or tensor that a value stands for; NULL: none. */
struct thaw_storage *thaw_torch_storage(const struct thaw_pickle_value *value);
const struct thaw_torch_tensor *thaw_torch_tensor(const struct thaw_pickle_value *value);

/* The type of numbers in storages that a name stands for ("torch.FloatStorage"). False: it is no such name. */
bool thaw_torch_dtype(const struct thaw_pickle_value *name, enum thaw_dtype *dtype_out);

/* Names of torch, and persistent ids that are storages. */
extern const struct thaw_pickle_rules thaw_torch_rules;

/* The bytes of a storage: sets data and data_length. */
typedef thaw_status thaw_storage_fn(void *context, struct thaw_storage *storage);

/* Adds all tensors of the weights in `root` to the reader's. */
thaw_status thaw_torch_collect(struct thaw_weights_reader *reader, const struct thaw_pickle_value *root,
                               thaw_storage_fn *locate, void *context);

#endif
