#define _POSIX_C_SOURCE 200809L
#include "tools/pack_pool.h"

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
	struct thaw_pack_picture picture;
};

struct thaw_pack_pool {
	struct thaw_pack_pool_spec spec;
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
                          struct thaw_pack_picture *picture)
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

static void measure(struct thaw_pack_picture *picture)
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

static thaw_status decode(const struct thaw_pack_pool_spec *spec, int64_t i, struct thaw_resizer *resizer,
                          struct thaw_pack_picture *picture)
{
	struct thaw_text name = THAW_TEXT_EMPTY;
	struct thaw_image image = {0};
	size_t length = 0;
	char *bytes = NULL;
	thaw_status status;

	thaw_text_add(&name, "%s/%s", spec->split->folder, spec->split->files[i].path);
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
static int64_t begin(struct thaw_pack_pool *pool)
{
	int64_t i = -1;

	pthread_mutex_lock(&pool->mutex);
	while (!pool->stop && pool->begun < pool->spec.split->count && pool->begun >= pool->handed_out + pool->ring_length)
		pthread_cond_wait(&pool->changed, &pool->mutex);
	if (!pool->stop && pool->begun < pool->spec.split->count)
		i = pool->begun++;
	pthread_mutex_unlock(&pool->mutex);
	return i;
}

static void *work(void *context)
{
	struct thaw_pack_pool *pool = context;
	struct thaw_resizer resizer = {0};
	int64_t i;

	while ((i = begin(pool)) >= 0) {
		struct slot *slot = &pool->ring[i % pool->ring_length];
		struct thaw_pack_picture picture = {0};

		picture.status = decode(&pool->spec, i, &resizer, &picture);
		if (picture.status)
			snprintf(picture.words, sizeof picture.words, "%s", thaw_fail_text());
		pthread_mutex_lock(&pool->mutex);
		slot->picture = picture;
		slot->ready = true;
		pthread_cond_broadcast(&pool->changed);
		pthread_mutex_unlock(&pool->mutex);
	}
	thaw_resizer_release(&resizer);
	return NULL;
}

thaw_status thaw_pack_pool_new(const struct thaw_pack_pool_spec *spec, struct thaw_pack_pool **pool_out)
{
	struct thaw_pack_pool *pool = thaw_alloc(1, sizeof *pool);

	if (!pool)
		return THAW_OUT_OF_MEMORY;
	pool->spec = *spec;
	pool->ring_length = (int64_t)AHEAD * spec->threads;
	pthread_mutex_init(&pool->mutex, NULL);
	pthread_cond_init(&pool->changed, NULL);
	pool->ring = thaw_alloc((size_t)pool->ring_length, sizeof *pool->ring);
	pool->thread = thaw_alloc((size_t)spec->threads, sizeof *pool->thread);
	if (!pool->ring || !pool->thread) {
		thaw_pack_pool_free(pool);
		return THAW_OUT_OF_MEMORY;
	}
	for (; pool->threads < spec->threads; pool->threads++) {
		int error = pthread_create(&pool->thread[pool->threads], NULL, work, pool);

		if (error) {
			thaw_status status = thaw_fail(THAW_FAILED, "cannot start thread %d of %d: %s", pool->threads + 1,
			                               spec->threads, strerror(error));

			thaw_pack_pool_free(pool);
			return status;
		}
	}
	*pool_out = pool;
	return THAW_OK;
}

void thaw_pack_pool_next(struct thaw_pack_pool *pool, struct thaw_pack_picture *picture_out)
{
	struct slot *slot = &pool->ring[pool->handed_out % pool->ring_length];

	pthread_mutex_lock(&pool->mutex);
	while (!slot->ready)
		pthread_cond_wait(&pool->changed, &pool->mutex);
	*picture_out = slot->picture;
	slot->picture.pixels = NULL;
	slot->ready = false;
	pool->handed_out++;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->mutex);
}

void thaw_pack_pool_free(struct thaw_pack_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->mutex);
	pool->stop = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->mutex);
	for (int i = 0; i < pool->threads; i++)
		pthread_join(pool->thread[i], NULL);
	for (int64_t i = 0; pool->ring && i < pool->ring_length; i++)
		free(pool->ring[i].picture.pixels);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->mutex);
	free(pool->ring);
	free(pool->thread);
	free(pool);
}
