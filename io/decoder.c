#define _POSIX_C_SOURCE 200809L
#include "io/decoder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/checksum.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "io/image.h"
#include "io/resize.h"

enum { AHEAD = 4 }; /* pictures for each thread that may be ready or under way */

struct slot {
	bool ready;
	struct thaw_decoded picture;
};

struct thaw_decoder {
	struct thaw_decoder_spec spec;
	pthread_t *thread; /* (threads) */
	int threads;       /* started */
	struct slot *ring; /* (ring_length), picture i in slot i % ring_length */
	int64_t ring_length;
	pthread_mutex_t mutex; /* guards what follows, and `ready` */
	pthread_cond_t changed;
	int64_t begun, handed_out; /* pictures */
	bool stop;
};

/* Resizes `image` to the stored size, or moves its pixels when it has that already; `name` is for messages. */
static thaw_status resize(struct thaw_image *image, const char *name, int shorter, struct thaw_resizer *resizer,
                          struct thaw_decoded *picture)
{
	const struct thaw_box whole = {.height = image->height, .width = image->width};
	thaw_status status;
	int64_t high, wide;
	int height, width;
	uint8_t *pixels;

	thaw_resize_shorter(image->height, image->width, shorter, &high, &wide);
	if (high > UINT16_MAX || wide > UINT16_MAX)
		return thaw_fail(THAW_FAILED, "'%s' is %d x %d, which becomes %lld x %lld: edges up to %d are allowed", name,
		                 image->width, image->height, (long long)wide, (long long)high, UINT16_MAX);
	height = (int)high;
	width = (int)wide;
	if (height == image->height && width == image->width) {
		pixels = image->pixels;
		image->pixels = NULL;
	} else {
		pixels = thaw_alloc((size_t)height * (size_t)width, 3);
		if (!pixels)
			return THAW_OUT_OF_MEMORY;
		status = thaw_resize(resizer, image->pixels, image->width, whole, pixels, height, width, false);
		if (status) {
			free(pixels);
			return status;
		}
	}
	picture->height = height;
	picture->width = width;
	picture->pixels = pixels;
	return THAW_OK;
}

static void measure(struct thaw_decoded *picture)
{
	size_t count = (size_t)picture->height * (size_t)picture->width;

	for (size_t i = 0; i < count; i++)
		for (int c = 0; c < 3; c++) {
			uint64_t value = picture->pixels[3 * i + (size_t)c];

			picture->sum[c] += value;
			picture->squares[c] += value * value;
		}
}

/* Pipes and devices are not even opened: that alone can wait, or do something. */
static thaw_status check_plain(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0 && !S_ISREG(info.st_mode)
	           ? thaw_fail(THAW_FAILED, "cannot read '%s': not a plain file", path)
	           : THAW_OK;
}

static thaw_status decode(const struct thaw_decoder_spec *spec, int64_t i, struct thaw_resizer *resizer,
                          struct thaw_decoded *picture)
{
	struct thaw_text name = THAW_TEXT_EMPTY;
	struct thaw_image image = {0};
	size_t length = 0;
	char *bytes = NULL;
	thaw_status status;

	spec->path(spec->context, i, &name);
	status = thaw_text_status(&name);
	if (!status)
		status = check_plain(name.data);
	if (!status)
		status = thaw_file_read(name.data, THAW_IMAGE_FILE_LIMIT, &bytes, &length);
	if (!status)
		status = thaw_image_decode(name.data, bytes, length, &image);
	if (!status)
		status = resize(&image, name.data, spec->resize, resizer, picture);
	if (!status) {
		picture->crc32c = thaw_crc32c(0, picture->pixels, (size_t)picture->height * (size_t)picture->width * 3);
		picture->file_crc32c = thaw_crc32c(0, bytes, length);
		picture->file_bytes = length;
		if (spec->measure)
			measure(picture);
	}
	thaw_image_release(&image);
	free(bytes);
	thaw_text_release(&name);
	return status;
}

/* Waits for a picture to begin, -1 when there is no more work. */
static int64_t begin(struct thaw_decoder *decoder)
{
	int64_t i = -1;

	pthread_mutex_lock(&decoder->mutex);
	while (!decoder->stop && decoder->begun < decoder->spec.count && decoder->begun >= decoder->handed_out + decoder->ring_length)
		pthread_cond_wait(&decoder->changed, &decoder->mutex);
	if (!decoder->stop && decoder->begun < decoder->spec.count)
		i = decoder->begun++;
	pthread_mutex_unlock(&decoder->mutex);
	return i;
}

static void *work(void *context)
{
	struct thaw_decoder *decoder = context;
	struct thaw_resizer resizer = {0};
	int64_t i;

	while ((i = begin(decoder)) >= 0) {
		struct slot *slot = &decoder->ring[i % decoder->ring_length];
		struct thaw_decoded picture = {0};

		picture.status = decode(&decoder->spec, i, &resizer, &picture);
		if (picture.status)
			snprintf(picture.words, sizeof picture.words, "%s", thaw_fail_text());
		pthread_mutex_lock(&decoder->mutex);
		slot->picture = picture;
		slot->ready = true;
		pthread_cond_broadcast(&decoder->changed);
		pthread_mutex_unlock(&decoder->mutex);
	}
	thaw_resizer_release(&resizer);
	return NULL;
}

thaw_status thaw_decoder_new(const struct thaw_decoder_spec *spec, struct thaw_decoder **decoder_out)
{
	struct thaw_decoder *decoder = thaw_alloc(1, sizeof *decoder);

	if (!decoder)
		return THAW_OUT_OF_MEMORY;
	decoder->spec = *spec;
	decoder->ring_length = (int64_t)AHEAD * spec->threads;
	pthread_mutex_init(&decoder->mutex, NULL);
	pthread_cond_init(&decoder->changed, NULL);
	decoder->ring = thaw_alloc((size_t)decoder->ring_length, sizeof *decoder->ring);
	decoder->thread = thaw_alloc((size_t)spec->threads, sizeof *decoder->thread);
	if (!decoder->ring || !decoder->thread) {
		thaw_decoder_free(decoder);
		return THAW_OUT_OF_MEMORY;
	}
	for (; decoder->threads < spec->threads; decoder->threads++) {
		int error = pthread_create(&decoder->thread[decoder->threads], NULL, work, decoder);

		if (error) {
			thaw_status status = thaw_fail(THAW_FAILED, "cannot start thread %d of %d: %s", decoder->threads + 1,
			                               spec->threads, strerror(error));

			thaw_decoder_free(decoder);
			return status;
		}
	}
	*decoder_out = decoder;
	return THAW_OK;
}

void thaw_decoder_next(struct thaw_decoder *decoder, struct thaw_decoded *picture_out)
{
	struct slot *slot = &decoder->ring[decoder->handed_out % decoder->ring_length];

	pthread_mutex_lock(&decoder->mutex);
	while (!slot->ready)
		pthread_cond_wait(&decoder->changed, &decoder->mutex);
	*picture_out = slot->picture;
	slot->picture.pixels = NULL;
	slot->ready = false;
	decoder->handed_out++;
	pthread_cond_broadcast(&decoder->changed);
	pthread_mutex_unlock(&decoder->mutex);
}

void thaw_decoder_free(struct thaw_decoder *decoder)
{
	if (!decoder)
		return;
	pthread_mutex_lock(&decoder->mutex);
	decoder->stop = true;
	pthread_cond_broadcast(&decoder->changed);
	pthread_mutex_unlock(&decoder->mutex);
	for (int i = 0; i < decoder->threads; i++)
		pthread_join(decoder->thread[i], NULL);
	for (int64_t i = 0; decoder->ring && i < decoder->ring_length; i++)
		free(decoder->ring[i].picture.pixels);
	pthread_cond_destroy(&decoder->changed);
	pthread_mutex_destroy(&decoder->mutex);
	free(decoder->ring);
	free(decoder->thread);
	free(decoder);
}
