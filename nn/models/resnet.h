/* The ResNet families (nn/models/resnet.c). */
#ifndef THAW_NN_MODELS_RESNET_H
#define THAW_NN_MODELS_RESNET_H

#include "nn/net.h"

/* Adds the operations of variant `arch`, input and head included, to an empty net. False when `arch` is no ResNet. */
bool thaw_resnet_build(struct thaw_net *net, const char *arch, int classes, int size);

/* The i-th variant's name, NULL past the last. */
const char *thaw_resnet_name(int i);

/* The usual file of its weights, NULL where there is none. */
const char *thaw_resnet_weights(int i);

#endif
