/*
 * Files of weights: named tensors, whoever made them.
 *
 * Read are all three forms that torch.save() has had (a zip file; the stream before PyTorch 1.6; the tar file before
 * 0.1.10), safetensors, and thaw's own checkpoints. Which it is, the content tells, never the name. What is in a file
 * is data, whatever it claims: a pickle is interpreted by io/pickle.h, which can build values and nothing else.
 *
 * The file stays mapped; numbers are looked at where they are copied. Besides the map an open file takes at most 64
 * MiB. Every offset and length is checked against the file at the opening, before anything is allocated by it.
 *
 * Names are the file's, without what wraps a network and stands before names: "module." of DataParallel, "_orig_mod."
 * of torch.compile. Of a training checkpoint the weights are looked for under state_dict_ema, model_ema,
 * ema_state_dict, ema, state_dict, model_state_dict, model, net, network, weights and module: the first of them that
 * has tensors in it.
 */
#ifndef THAW_IO_WEIGHTS_H
#define THAW_IO_WEIGHTS_H

#include <stdbool.h>

#include "base/status.h"
#include "io/dtype.h"

enum { THAW_WEIGHT_RANK = 8, THAW_WEIGHT_NAME = 256 };

struct thaw_weight {
	const char *name; /* "layer1.0.conv1.weight" */
	enum thaw_dtype dtype;
	int rank;
	int64_t dims[THAW_WEIGHT_RANK], strides[THAW_WEIGHT_RANK]; /* in elements */
	int64_t elems;
	const uint8_t *data; /* in the file; NULL where there are no elements */
};

/* What a file that thaw wrote says of its network. */
struct thaw_weights_facts {
	char arch[32];     /* "resnet18"; "": not known, and so is all else */
	float mean[3], std[3];
	int resize, crop;  /* pixels; 0: not known */
	int classes;       /* 0: not known */
	const char *const *names; /* (classes) */
};

struct thaw_weights {
	const char *path;
	const char *format;    /* "torch zip" */
	const char *container; /* "state_dict"; "": the file holds nothing else */
	char prefix[32];       /* "module."; "" */
	struct thaw_weights_facts facts;
	int count;
	struct thaw_weight *tensors; /* (count) in byte-wise order of their names */
	struct thaw_weights_memory *memory;
};

/* Opens a file. THAW_FAILED names it and says why it is refused. */
thaw_status thaw_weights_open(const char *path, struct thaw_weights *weights_out);
void thaw_weights_release(struct thaw_weights *weights);

/* NULL: there is none. */
const struct thaw_weight *thaw_weights_find(const struct thaw_weights *weights, const char *name);

/* Copies (dims) in C order. False: not all of them are finite as floats. */
bool thaw_weight_copy(const struct thaw_weight *tensor, float *values_out);

/* Publishes `count` tensors as safetensors, with what is known of the network. Those of floating-point numbers become
 * `*floats` (F32, F16, BF16), unless that is NULL; all else, and they then, keep every bit. A finite number that F16
 * cannot hold is refused. Names of classes that are not all UTF-8 are left out; such a name of a tensor is refused.
 * THAW_FAILED names path and reason; what was there stays. */
thaw_status thaw_weights_write(const char *path, const struct thaw_weights_facts *facts,
                               const struct thaw_weight *tensors, int count, const enum thaw_dtype *floats);

/* Whether JSON can hold the names of all classes: they are UTF-8 without control characters. */
bool thaw_weights_can_name(const struct thaw_weights_facts *facts);

#endif
