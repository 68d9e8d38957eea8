/*
 * Files of pictures decoded and resized by several threads, handed out in order.
 *
 * Memory is bounded: threads run at most a few pictures ahead of the one that is to be handed out next. What comes out
 * does not depend on the number of threads.
 */
#ifndef THAW_IO_DECODER_H
#define THAW_IO_DECODER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct thaw_decoder_spec {
	int64_t count; /* pictures */
	/* Appends the path of picture i. Called by several threads. */
	void (*path)(const void *context, int64_t i, struct thaw_text *path);
	const void *context; /* borrowed until the decoder is freed */
	int resize;          /* length of the shorter edge */
	int threads;         /* >= 1 */
	bool measure;        /* fill sum and squares */
};

struct thaw_decoded {
	thaw_status status;  /* THAW_FAILED: cannot be read, `words` say why, and the rest is not set */
	char words[THAW_WORDS];
	int height, width;
	uint8_t *pixels;     /* (height, width, 3) RGB, freed by the caller */
	uint32_t crc32c;     /* of the pixels */
	uint32_t file_crc32c;
	uint64_t file_bytes;
	uint64_t sum[3], squares[3]; /* over the pixels, for each channel */
};

struct thaw_decoder;

thaw_status thaw_decoder_new(const struct thaw_decoder_spec *spec, struct thaw_decoder **decoder_out);
void thaw_decoder_free(struct thaw_decoder *decoder); /* stops the threads; NULL is fine */

/* Waits for the next picture, of spec->count in all. */
void thaw_decoder_next(struct thaw_decoder *decoder, struct thaw_decoded *picture_out);

#endif
