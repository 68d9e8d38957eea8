/*
 * oneDNN, the little of it that is used: one convolution pass as one prepared primitive.
 *
 * The C API changed at 3.0; nn/cpu/onednn.c is the only file that sees it and serves both. Activations are float32 in
 * a layout given by `block` (nn/backend.h), weights in whatever layout the primitive wants: they are reordered to and
 * from PyTorch's OIHW. A primitive that oneDNN could only do with its slow reference code is refused.
 */
#ifndef THAW_NN_CPU_ONEDNN_H
#define THAW_NN_CPU_ONEDNN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum thaw_pass { THAW_FORWARD, THAW_INFERENCE, THAW_BACKWARD_DATA, THAW_BACKWARD_WEIGHTS, THAW_PASSES };
enum thaw_algorithm { THAW_DIRECT, THAW_WINOGRAD };

struct thaw_conv_spec {
	enum thaw_pass pass;
	enum thaw_algorithm algorithm;
	int n, c, h, w, k, oh, ow; /* (N,C,H,W) -> (N,K,OH,OW) */
	int kernel, stride, pad, groups;
	int x_block, y_block;
	bool bias; /* forward: y += bias */
	bool add;  /* INFERENCE: y's memory holds what is added */
	bool relu; /* INFERENCE */
};

struct thaw_onednn_conv;

/* "oneDNN 2.6.3 avx512_core_bf16"; static text. */
const char *thaw_onednn_describe(void);

/* Channels that one vector register of this processor holds, 8 or 16: the best block for activations. */
int thaw_onednn_block(void);

/* THAW_FAILED when oneDNN has no fast primitive for this. */
thaw_status thaw_onednn_conv_create(const struct thaw_conv_spec *spec, struct thaw_onednn_conv **conv_out);
void thaw_onednn_conv_free(struct thaw_onednn_conv *conv); /* NULL is fine */

const char *thaw_onednn_conv_name(const struct thaw_onednn_conv *conv); /* oneDNN's own: "jit_wino_4x3:avx512_core" */
size_t thaw_onednn_conv_scratch_bytes(const struct thaw_onednn_conv *conv);
size_t thaw_onednn_conv_weight_bytes(const struct thaw_onednn_conv *conv); /* weights in its own layout */
bool thaw_onednn_conv_same_weights(const struct thaw_onednn_conv *a, const struct thaw_onednn_conv *b);

/* (K, C / groups, R, S) to the primitive's own layout, and back. */
thaw_status thaw_onednn_conv_take_weights(struct thaw_onednn_conv *conv, const float *oihw, void *own);
thaw_status thaw_onednn_conv_give_weights(struct thaw_onednn_conv *conv, const void *own, float *oihw);

/* Runs the pass. forward, inference: x, weights, bias -> y. backward data: y (its gradient), weights -> x. backward
 * weights: x, y -> weights. */
struct thaw_conv_memory {
	void *x, *y, *weights; /* weights in its own layout */
	void *bias;            /* (K), NULL without */
	void *scratch;         /* thaw_onednn_conv_scratch_bytes() */
};
thaw_status thaw_onednn_conv_run(struct thaw_onednn_conv *conv, const struct thaw_conv_memory *memory);

#endif
