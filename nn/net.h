/*
 * A network as a list of operations over values.
 *
 * Pure description: no memory, no device, no batch. Each operation reads values that stand before it and makes one
 * new value, so the list is its own topological order; backward walks it in reverse. Parameters are declared as
 * operations are added and keep that order in every slab, so that gradients become final from the slab's tail towards
 * its head.
 *
 * Builder calls on a net that has failed do nothing and return THAW_NO_VALUE; thaw_net_finish() tells the first
 * error. So model files need no checks. Shapes are per picture, (C,H,W); a built net does not change.
 */
#ifndef THAW_NN_NET_H
#define THAW_NN_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef int thaw_value;
enum { THAW_NO_VALUE = -1, THAW_NAME = 56 };

struct thaw_shape {
	int c, h, w;
};

enum thaw_op_kind {
	THAW_OP_INPUT,       /* uint8 RGB pictures, normalised: (x / 255 - mean) / std */
	THAW_OP_CONV,        /* 2-D convolution with groups; weight (K, C / groups, R, S) */
	THAW_OP_BATCH_NORM,  /* per channel; weight, bias, running_mean, running_var (C) */
	THAW_OP_RELU,
	THAW_OP_ADD,         /* a + b, same shape */
	THAW_OP_MAX_POOL,
	THAW_OP_GLOBAL_POOL, /* mean over H and W: (C,1,1) */
	THAW_OP_SHORTCUT,    /* every stride-th pixel, zero channels added on both sides: He et al. 2015, option A */
	THAW_OP_LINEAR,      /* y = W x + b; weight (K, C), bias (K) */
	THAW_OP_LOSS,        /* softmax cross-entropy, mean over the global batch: struct thaw_loss, nn/plan.h */
	THAW_OP_KINDS
};

/* "conv", "batch_norm", ...: for messages. */
const char *thaw_op_kind_name(enum thaw_op_kind kind);

struct thaw_op {
	enum thaw_op_kind kind;
	char name[THAW_NAME];            /* torchvision's: "layer1.0.conv1"; operations without parameters have names too */
	thaw_value in[2], out;           /* in[1]: only ADD */
	struct thaw_shape in_shape, out_shape;
	int kernel, stride, pad, groups; /* CONV, MAX_POOL; SHORTCUT: stride */
	bool bias;                       /* CONV, LINEAR */
	int param, params;               /* its parameters are param .. param + params - 1 */
};

enum thaw_role { THAW_WEIGHT, THAW_BIAS, THAW_NORM_WEIGHT, THAW_NORM_BIAS, THAW_RUNNING_MEAN, THAW_RUNNING_VAR };

/* Running statistics stand in a slab of their own, the state slab; all others in the parameter slab. */
static inline bool thaw_role_is_state(enum thaw_role role)
{
	return role >= THAW_RUNNING_MEAN;
}

struct thaw_param {
	char name[THAW_NAME + 16]; /* torchvision's: "layer1.0.bn1.running_mean" */
	char group[16];            /* what freezing names: "conv1", "layer4.1", "fc" */
	enum thaw_role role;
	int rank;                  /* 1, 2 or 4 */
	int64_t shape[4];          /* PyTorch's order: OIHW, (out, in), (C) */
	int64_t elems;
	int64_t offset;            /* in floats, within its slab; multiple of 16 */
};

struct thaw_net;

/* --- building ---------------------------------------------------------------------------------------------------- */

struct thaw_conv {
	int out;            /* K */
	int kernel, stride; /* square; stride 0 means 1 */
	int pad;
	int groups;         /* 0 means 1 */
	bool bias;
};

/* NULL only when out of memory. */
struct thaw_net *thaw_net_new(void);
void thaw_net_free(struct thaw_net *net); /* NULL is fine */

/* Parameters added from now on belong to `group`, a stage ("fc") or a block of a stage ("layer4.1"). */
void thaw_net_group(struct thaw_net *net, const char *group);

thaw_value thaw_net_input(struct thaw_net *net, struct thaw_shape shape); /* once, first */
thaw_value thaw_net_conv(struct thaw_net *net, const char *name, thaw_value x, const struct thaw_conv *conv);
thaw_value thaw_net_batch_norm(struct thaw_net *net, const char *name, thaw_value x);
thaw_value thaw_net_relu(struct thaw_net *net, thaw_value x);
thaw_value thaw_net_add(struct thaw_net *net, thaw_value a, thaw_value b);
thaw_value thaw_net_max_pool(struct thaw_net *net, thaw_value x, int kernel, int stride, int pad);
thaw_value thaw_net_global_pool(struct thaw_net *net, thaw_value x);
thaw_value thaw_net_shortcut(struct thaw_net *net, thaw_value x, int channels, int stride);
thaw_value thaw_net_linear(struct thaw_net *net, const char *name, thaw_value x, int out);
void thaw_net_head(struct thaw_net *net, thaw_value logits); /* once, last: the loss on (K,1,1) logits */

/* The first error of building, if any: THAW_BAD_JOB for what the caller's numbers made impossible (an input too
 * small), naming the operation. After success the net is constant. */
thaw_status thaw_net_finish(struct thaw_net *net);

/* --- looking ----------------------------------------------------------------------------------------------------- */

int thaw_net_ops(const struct thaw_net *net);
const struct thaw_op *thaw_net_op(const struct thaw_net *net, int i);

int thaw_net_params(const struct thaw_net *net);
const struct thaw_param *thaw_net_param(const struct thaw_net *net, int i);
int64_t thaw_net_param_elems(const struct thaw_net *net); /* floats in a parameter slab, padding included */
int64_t thaw_net_state_elems(const struct thaw_net *net); /* floats in a state slab */

/* Trainable numbers: the sum of elems of all parameters that are not state and, if `trains` (one flag per parameter)
 * is given, train. */
int64_t thaw_net_count(const struct thaw_net *net, const bool *trains);

/* Characters of a group's name that name its stage: 6 in "layer4.1", all in "fc". */
int thaw_stage_length(const char *group);

/* Whether two groups are parts of one stage: "layer4.0" and "layer4.1". */
bool thaw_same_stage(const char *a, const char *b);

/* Sets trains_out[i] for every parameter (state never trains): those whose group is one of the patterns or stands
 * below one ("layer4" covers "layer4.0" and "layer4.1"); the pattern "all" covers everything. A pattern that covers
 * nothing is THAW_BAD_JOB, listing the stages there are. */
thaw_status thaw_net_select(const struct thaw_net *net, const char *const *patterns, int count, bool *trains_out);

#endif
