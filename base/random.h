/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC
 * 2011).
 *
 * A stream is a pure function of (seed, purpose, a, b). Nothing is kept between steps: the shuffle of an epoch, the
 * crop of a picture and the first weights of a tensor come out the same for any number of ranks or threads and after
 * any restart, and a checkpoint has nothing to save here.
 */
#ifndef THAW_BASE_RANDOM_H
#define THAW_BASE_RANDOM_H

#include <stdint.h>

/* What a stream is for. The numbers are part of what makes a run repeatable: append, never reorder. */
enum thaw_purpose {
	THAW_RANDOM_INIT = 1,    /* a: parameter index */
	THAW_RANDOM_SHUFFLE = 2, /* a: epoch */
	THAW_RANDOM_AUGMENT = 3, /* a: epoch, b: picture */
	THAW_RANDOM_DEMO = 4,    /* a: split, b: picture */
	THAW_RANDOM_SPLIT = 5,   /* a: class */
	THAW_RANDOM_TEST = 6,
	THAW_RANDOM_ROTATION = 7, /* a: epoch, b: picture; so have the next four */
	THAW_RANDOM_COLOUR = 8,
	THAW_RANDOM_GREY = 9,
	THAW_RANDOM_BLUR = 10,
	THAW_RANDOM_ERASE = 11,
	THAW_RANDOM_MIX = 12,      /* a: epoch, b: place of the batch's first picture in the epoch's order */
	THAW_RANDOM_BALANCED = 13, /* a: epoch */
};

struct thaw_random {
	uint32_t key[2];
	uint32_t counter[4]; /* {block within the stream, purpose, a, b} */
	uint32_t block[4];   /* the four words of the present block */
	int used;            /* how many of them are spent */
};

void thaw_random_init(struct thaw_random *random, uint64_t seed, enum thaw_purpose purpose, uint32_t a, uint32_t b);

uint32_t thaw_random_u32(struct thaw_random *random);

/* Uniform in [0, 1), 2^-32 apart: one word. */
double thaw_random_uniform(struct thaw_random *random);

/* Uniform in [low, high). */
double thaw_random_between(struct thaw_random *random, double low, double high);

/* Uniform in 0 .. limit - 1, exactly (Lemire's rejection); limit >= 1. */
uint32_t thaw_random_below(struct thaw_random *random, uint32_t limit);

/* Fills x[0 .. count - 1] with normal numbers of mean 0, to six digits: each is one word, in their order, through the
 * inverse of the distribution (Wichura 1988, algorithm AS 241, PPND7). For a stream of its own: it begins at a whole
 * block of the stream, and skips words behind the last. */
void thaw_random_normals(struct thaw_random *random, float *x, int64_t count, double deviation);

/* Fills order[0 .. count - 1] with a permutation of 0 .. count - 1 (Fisher-Yates). */
void thaw_random_permutation(struct thaw_random *random, int32_t *order, int32_t count);

#endif
