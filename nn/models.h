/*
 * Architectures by name. Each family is one file under nn/models/ with a table of variants and one builder.
 */
#ifndef THAW_NN_MODELS_H
#define THAW_NN_MODELS_H

#include "nn/net.h"

/* Builds `arch` for pictures of `size` x `size` and `classes` classes. THAW_BAD_JOB for an unknown name (listing
 * those there are), a size the network cannot take, or fewer than two classes. */
thaw_status thaw_model_build(const char *arch, int classes, int size, struct thaw_net **net_out);

/* The i-th architecture's name, NULL past the last. */
const char *thaw_model_name(int i);

/* The file in which its pre-trained weights are usually met: "resnet18-f37072fd.pth"; NULL where there is none. */
const char *thaw_model_weights(int i);

#endif
