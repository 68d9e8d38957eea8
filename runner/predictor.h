/*
 * Networks that tell what is in pictures: one, or several whose probabilities are averaged.
 *
 * They come from files of weights (io/weights.h), which tell their architecture by names and shapes. What a file does
 * not say of a network that torchvision has is taken to be as there: resize 256, crop 224, ImageNet's normalisation.
 */
#ifndef THAW_RUNNER_PREDICTOR_H
#define THAW_RUNNER_PREDICTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct thaw_predictor_spec {
	const char *const *files; /* (count) of weights */
	int count;
	const char *device;       /* as thaw_device_open() */
	int threads;
	int batch;                /* pictures that are computed at once, N */
	int resize, crop;         /* pixels; 0: as the first file says */
	bool flip;                /* each picture is seen mirrored too, and the mean counts */
};

struct thaw_predictor;

/* Opens all networks, which must have equally many classes, with the same names where both have names. THAW_BAD_JOB
 * says which of them does not go with the first, or is no network of thaw's. */
thaw_status thaw_predictor_new(const struct thaw_predictor_spec *spec, struct thaw_predictor **predictor_out);
void thaw_predictor_free(struct thaw_predictor *predictor); /* NULL is fine */

/* What a picture is made to before the network sees it, and what it can be. */
struct thaw_predictor_facts {
	int resize, crop, classes;
	const char *const *names; /* (classes) borrowed; NULL: not known */
	const char *arch;         /* of the first */
};
const struct thaw_predictor_facts *thaw_predictor_facts(const struct thaw_predictor *predictor);

/* Probabilities (N, classes) of pixels (N, crop, crop, 3); the whole batch is computed, whatever part of it means
 * something. */
thaw_status thaw_predictor_run(struct thaw_predictor *predictor, const uint8_t *pixels, float *probabilities_out);

#endif
