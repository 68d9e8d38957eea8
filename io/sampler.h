/*
 * The order in which an epoch has its pictures: pure functions of (seed, epoch).
 */
#ifndef THAW_IO_SAMPLER_H
#define THAW_IO_SAMPLER_H

#include "io/dataset.h"

/* Every picture 0 .. count - 1 once. */
void thaw_sample_shuffled(uint64_t seed, int epoch, int32_t *order, int32_t count);

/* `count` pictures drawn with replacement, each class with the same probability and within it each picture: torch's
 * WeightedRandomSampler with weights of 1 / pictures of the class. Classes without pictures do not count.
 * THAW_OUT_OF_MEMORY only. */
thaw_status thaw_sample_balanced(const struct thaw_dataset *dataset, uint64_t seed, int epoch, int32_t *order,
                                 int32_t count);

#endif
