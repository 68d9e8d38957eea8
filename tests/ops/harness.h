/*
 * One operation alone: a struct thaw_step built by hand, with its arrays in plain NCHW order.
 *
 * What a plan does for a step is done here for one case, watchfully: results are NaN before and have guards around
 * them, scratch memory is rubbish before every call, x and y are destroyed between forward and backward where the step
 * did not ask to keep them, inputs must come out unchanged, and the padding of blocked layouts must come out 0. Unless
 * the step is frozen, it runs with other parameters first, so that numbers kept from them show.
 */
#ifndef THAW_TESTS_OPS_HARNESS_H
#define THAW_TESTS_OPS_HARNESS_H

#include "nn/backend.h"

/* Everything a case reads, then everything it makes. The order is that of the fixtures. */
enum op_array {
	OP_X, OP_RESIDUAL, OP_WEIGHT, OP_BIAS, OP_GAMMA, OP_BETA, OP_MEAN, OP_VARIANCE, OP_DY,
	OP_INPUTS,
	OP_Y = OP_INPUTS, OP_DX, OP_DRESIDUAL, OP_DWEIGHT, OP_DBIAS, OP_DGAMMA, OP_DBETA, OP_BATCH_MEAN, OP_BATCH_VARIANCE,
	OP_PREDICTIONS, OP_SCORE, /* {loss, top1, top5, weight} */
	OP_ARRAYS
};

struct op_case {
	const char *name;
	enum thaw_op_kind kind;
	int stream;                     /* of the random inputs */
	int n, c, h, w;                 /* x */
	int k;                          /* channels of y */
	int kernel, stride, pad, groups; /* LOSS: the last `pad` pictures have the label -1 */
	bool bias, relu, residual, fold, batch_statistics;
	bool ties;                      /* x holds few different values */
	int smoothing;                  /* LOSS: of labels, in percent */
	bool weighted, mixed;           /* LOSS: class weights; second labels */
	bool sums;                      /* CONV: sums over y are wanted; BATCH_NORM: x comes with sums */
	bool forward_only;
	bool frozen;                    /* step.frozen; otherwise other parameters are tried first, then these */
	bool aliased;                   /* dresidual (dx) over dy[0], y over residual, where the backend allows it */
	int dy_tensors;                 /* dy is handed over as the sum of so many tensors; 0 means 1 */
	unsigned unwanted;              /* bit 1 << OP_DX ..: gradients that nobody wants */
};

struct op_arrays {
	float *data[OP_ARRAYS]; /* NULL: the case does not have it */
	size_t elems[OP_ARRAYS];
};

/* Seed of the streams; a is the case's stream, b the array. */
enum { OP_SEED = 20 };

/* The normalisation of INPUT cases and the weight of a case's batch in the global one. */
#define OP_NORMALISATION_MEAN {0.485f, 0.456f, 0.406f}
#define OP_NORMALISATION_STD {0.229f, 0.224f, 0.225f}
#define OP_SHARE 0.25

const char *op_array_name(enum op_array array);

/* Height or width of y. */
int op_out_size(const struct op_case *c, int in_size);

/* Allocates the case's arrays (test over when out of memory), draws its inputs from thaw's random streams, and sets its
 * results to NaN. */
void op_arrays_init(struct op_arrays *arrays, const struct op_case *c);
void op_arrays_release(struct op_arrays *arrays);

/* Rounds what a device gets in this type of numbers: activations, gradients, and the weights it multiplies with. */
void op_arrays_round(struct op_arrays *arrays, const struct op_case *c, enum thaw_number number);

/* Whether the device has such an operation: GPUs have no groups of channels that are no multiples of 8. */
bool op_exists(const struct thaw_device *device, const struct op_case *c);

/* Runs the case and fills the results. Returns NULL, or what went wrong (static text). */
const char *op_run(struct thaw_device *device, const struct op_case *c, struct op_arrays *arrays);

/* How many values came with sums so far, all of which were right. */
int op_sums_made(void);

/* ||got - want|| / ||want||; where want is NaN got must be. Infinity on any mismatch of NaN. */
double op_error(const float *got, const float *want, size_t elems);

#endif
