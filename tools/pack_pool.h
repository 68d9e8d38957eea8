/*
 * Pictures decoded and resized by several threads, handed out in order.
 *
 * Memory is bounded: threads run at most a few pictures ahead of the one that is to be handed out next. What comes out
 * does not depend on the number of threads.
 */
#ifndef THAW_TOOLS_PACK_POOL_H
#define THAW_TOOLS_PACK_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/pack_scan.h"

struct thaw_pack_pool_spec {
	const struct thaw_pack_split *split; /* borrowed until the pool is freed */
	int resize;                          /* length of the shorter edge */
	int threads;                         /* >= 1 */
	bool measure;                        /* fill sum and squares */
};

struct thaw_pack_picture {
	thaw_status status;  /* THAW_FAILED: cannot be read, `words` say why, and the rest is not set */
	char words[THAW_WORDS];
	int height, width;
	uint8_t *pixels;     /* (height, width, 3) RGB, freed by the caller */
	uint32_t crc32c;     /* of the pixels */
	uint32_t file_crc32c;
	uint64_t file_bytes;
	uint64_t sum[3], squares[3]; /* over the pixels, for each channel */
};

struct thaw_pack_pool;

thaw_status thaw_pack_pool_new(const struct thaw_pack_pool_spec *spec, struct thaw_pack_pool **pool_out);
void thaw_pack_pool_free(struct thaw_pack_pool *pool); /* stops the threads; NULL is fine */

/* Waits for the next picture, of split->count in all. */
void thaw_pack_pool_next(struct thaw_pack_pool *pool, struct thaw_pack_picture *picture_out);

#endif
