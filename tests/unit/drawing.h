/*
 * Small pictures that tests/golden/make_distort.py draws too.
 *
 * Kinds: 0 slopes of colour with some noise; 1 noise of four levels, where channels are often equal; 2 noise.
 */
#ifndef THAW_TESTS_UNIT_DRAWING_H
#define THAW_TESTS_UNIT_DRAWING_H

#include <stdint.h>
#include <stdlib.h>

#include "base/random.h"

/* (height, width, 3); the caller frees it. */
static inline uint8_t *drawing(int kind, int height, int width)
{
	uint8_t *pixels = malloc((size_t)height * (size_t)width * 3);
	struct thaw_random random;
	uint32_t word = 0;

	thaw_random_init(&random, 30, THAW_RANDOM_TEST, 0, 0);
	for (int i = 0; i < height * width * 3; i++) {
		int x = i / 3 % width, y = i / 3 / width, noise;
		const int slopes[3] = {x * 9, y * 13, 255 - x * 4 - y * 5};

		word = i % 4 == 0 ? thaw_random_u32(&random) : word >> 8;
		noise = word & 255;
		if (kind == 0)
			noise = slopes[i % 3] + noise / 8;
		else if (kind == 1)
			noise = noise / 64 * 85;
		pixels[i] = (uint8_t)(noise & 255);
	}
	return pixels;
}

#endif
