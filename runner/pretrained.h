/*
 * The numbers that a network begins with: random, or those of a file.
 */
#ifndef THAW_RUNNER_PRETRAINED_H
#define THAW_RUNNER_PRETRAINED_H

#include "runner/setup.h"

/* Fills the setup's parameters with random numbers by the job's seed, and, where model.weights names a file, with its
 * tensors: a head of other classes stays random. All ranks call it, and succeed or fail together. setup->weights then
 * says what they are. THAW_BAD_JOB lists what does not fit, unless model.weights_strict is false. */
thaw_status thaw_pretrained_begin(struct thaw_setup *setup);

/* Fills them with the tensors of `path`, head included, which has to have the shards' classes. All ranks call it. */
thaw_status thaw_pretrained_read(struct thaw_setup *setup, const char *path);

#endif
