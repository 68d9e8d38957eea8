#define _POSIX_C_SOURCE 200809L
#include "io/loader.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/distort.h"
#include "io/mix.h"
#include "io/rotate.h"

struct slot {
	uint8_t *pixels;           /* (batch_limit, size, size, 3) */
	int32_t *labels, *labels2; /* (batch_limit) */
	float *share;              /* (batch_limit) */
	int64_t batch;             /* the number of the batch that is made here; -1 for none */
	int done;                  /* its pictures that are ready */
	bool whole;                /* all are, and they are mixed */
};

struct thaw_loader {
	struct thaw_loader_spec spec;
	uint8_t fill[3]; /* the dataset's mean colour */
	uint8_t *pixels; /* of all slots */
	int32_t *labels, *labels2;
	float *share;
	struct slot *slots; /* (ahead); batch b is made in slot b % ahead */
	pthread_t *threads;
	int threads_count; /* running */

	pthread_mutex_t mutex; /* guards all that follows */
	pthread_cond_t work;   /* something to do, or to stop */
	pthread_cond_t ready;  /* a batch is whole, a failure, or nobody is busy any more */
	int epoch;
	int32_t *order;   /* picture ids, */
	int32_t *repeats; /* and how often each stands before its place */
	struct thaw_batch_range *ranges;
	int64_t batches;
	int64_t next_batch; /* the first picture that nobody has taken: in this batch, */
	int next_picture;   /* at this place */
	int64_t given;      /* batches that get() handed out; the last of them is borrowed, those before it are over */
	int busy;           /* pictures being made */
	bool stop;
	thaw_status status; /* the first failure of a thread since the start, and its words */
	char words[THAW_WORDS];
};

/* One picture to make: what and where. */
struct item {
	struct slot *slot;
	struct thaw_batch_range range; /* of its batch */
	int place;
	struct thaw_sample sample;
};

/* What a thread works with. */
struct tools {
	struct thaw_resizer resizer;
	struct thaw_scratch scratch;
};

static thaw_status make(const struct thaw_loader *loader, const struct item *item, struct tools *tools)
{
	const struct thaw_augment *augment = &loader->spec.augment;
	const size_t size = (size_t)augment->size;
	uint8_t *dst = item->slot->pixels + (size_t)item->place * size * size * 3;
	const uint8_t *src;
	const struct thaw_picture *picture = thaw_dataset_picture(loader->spec.dataset, item->sample.picture, &src);
	struct thaw_view view = thaw_augment_view(augment, &item->sample, picture->height, picture->width);
	struct thaw_distortion distortion = thaw_distort_draw(augment, &item->sample);
	thaw_status status = thaw_rotate(&tools->resizer, &tools->scratch, src, picture->height, picture->width, view.box,
	                                 view.degrees, dst, augment->size, view.flip);

	item->slot->labels[item->place] = picture->label;
	if (!status)
		status = thaw_distort(&distortion, loader->fill, &tools->scratch, dst, augment->size);
	return status;
}

/* What is left to do when all pictures of a batch are ready. */
static void mix(const struct thaw_loader *loader, const struct item *item)
{
	const struct thaw_augment *augment = &loader->spec.augment;
	const struct slot *slot = item->slot;
	int count = item->range.count;
	struct thaw_mix drawn = thaw_mix_draw(augment, item->sample.seed, item->sample.epoch, item->range.first);

	thaw_mix(&drawn, slot->pixels, count, augment->size);
	for (int i = 0; i < count; i++) {
		slot->labels2[i] = slot->labels[count - 1 - i];
		slot->share[i] = (float)drawn.share;
	}
}

/* Takes the next picture; false if there is none, or its batch has no slot yet. */
static bool take(struct thaw_loader *loader, struct item *item)
{
	int64_t b = loader->next_batch, over = loader->given > 0 ? loader->given - 1 : 0, place;
	struct slot *slot = &loader->slots[b % loader->spec.ahead];

	if (b == loader->batches || b - over >= loader->spec.ahead)
		return false;
	if (loader->next_picture == 0) {
		slot->batch = b;
		slot->done = 0;
		slot->whole = false;
	}
	place = loader->ranges[b].first + loader->next_picture;
	*item = (struct item){
		.slot = slot,
		.range = loader->ranges[b],
		.place = loader->next_picture,
		.sample = {loader->spec.seed, loader->epoch, loader->order[place], loader->repeats[place]},
	};
	if (++loader->next_picture == loader->ranges[b].count) {
		loader->next_batch++;
		loader->next_picture = 0;
	}
	loader->busy++;
	return true;
}

static void finish(struct thaw_loader *loader, const struct item *item, thaw_status status)
{
	loader->busy--;
	if (status && !loader->status) {
		loader->status = status;
		snprintf(loader->words, sizeof loader->words, "%s", thaw_fail_text());
	}
	if (status || loader->busy == 0 || item->slot->whole)
		pthread_cond_signal(&loader->ready); /* the loader's one user */
}

/* Whoever makes the last picture of a batch mixes it: nobody else touches it any more. */
static void *run(void *argument)
{
	struct thaw_loader *loader = argument;
	struct tools tools = {0};
	struct item item;

	pthread_mutex_lock(&loader->mutex);
	while (!loader->stop) {
		thaw_status status;

		if (!take(loader, &item)) {
			pthread_cond_wait(&loader->work, &loader->mutex);
			continue;
		}
		pthread_mutex_unlock(&loader->mutex);
		status = thaw_dataset_check(loader->spec.dataset, item.sample.picture);
		if (!status)
			status = make(loader, &item, &tools);
		pthread_mutex_lock(&loader->mutex);
		if (++item.slot->done == item.range.count) {
			pthread_mutex_unlock(&loader->mutex);
			mix(loader, &item);
			pthread_mutex_lock(&loader->mutex);
			item.slot->whole = true;
		}
		finish(loader, &item, status);
	}
	pthread_mutex_unlock(&loader->mutex);
	thaw_resizer_release(&tools.resizer);
	thaw_scratch_release(&tools.scratch);
	return NULL;
}

static thaw_status start_threads(struct thaw_loader *loader)
{
	sigset_t all, before;
	int error = 0;

	loader->threads = thaw_alloc((size_t)loader->spec.threads, sizeof *loader->threads);
	if (!loader->threads)
		return THAW_OUT_OF_MEMORY;
	sigfillset(&all);
	sigdelset(&all, SIGBUS); /* of a mapped file that became shorter: io/mapped.h */
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the main thread's */
	while (!error && loader->threads_count < loader->spec.threads) {
		error = pthread_create(&loader->threads[loader->threads_count], NULL, run, loader);
		if (!error)
			loader->threads_count++;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error ? thaw_fail(THAW_FAILED, "cannot start %d loader threads: %s", loader->spec.threads, strerror(error))
				 : THAW_OK;
}

static thaw_status allocate_slots(struct thaw_loader *loader)
{
	const struct thaw_loader_spec *spec = &loader->spec;
	size_t ahead = (size_t)spec->ahead, limit = (size_t)spec->batch_limit, size = (size_t)spec->augment.size;
	void *pixels;
	thaw_status status;

	loader->slots = thaw_alloc(ahead, sizeof *loader->slots);
	loader->labels = thaw_alloc(ahead * limit, sizeof *loader->labels);
	loader->labels2 = thaw_alloc(ahead * limit, sizeof *loader->labels2);
	loader->share = thaw_alloc(ahead * limit, sizeof *loader->share);
	if (!loader->slots || !loader->labels || !loader->labels2 || !loader->share)
		return THAW_OUT_OF_MEMORY;
	status = thaw_allocator_take(&spec->memory, ahead * limit * size * size * 3, "batches that are loaded ahead", &pixels);
	if (status)
		return status;
	loader->pixels = pixels;
	for (size_t i = 0; i < ahead; i++) {
		loader->slots[i].labels = loader->labels + i * limit;
		loader->slots[i].labels2 = loader->labels2 + i * limit;
		loader->slots[i].share = loader->share + i * limit;
		loader->slots[i].pixels = loader->pixels + i * limit * size * size * 3;
		loader->slots[i].batch = -1;
	}
	return THAW_OK;
}

thaw_status thaw_loader_new(const struct thaw_loader_spec *spec, struct thaw_loader **loader_out)
{
	const float *mean = thaw_dataset_facts(spec->dataset)->mean;
	thaw_status status = thaw_augment_check(&spec->augment);
	struct thaw_loader *loader;

	if (status)
		return status;
	loader = thaw_alloc(1, sizeof *loader);
	if (!loader)
		return THAW_OUT_OF_MEMORY;
	assert(spec->threads >= 1 && spec->ahead >= 2 && spec->batch_limit >= 1 && spec->augment.size >= 1);
	loader->spec = *spec;
	for (int c = 0; c < 3; c++)
		loader->fill[c] = (uint8_t)nearbyintf(fmaxf(0, fminf(255, 255 * mean[c])));
	pthread_mutex_init(&loader->mutex, NULL);
	pthread_cond_init(&loader->work, NULL);
	pthread_cond_init(&loader->ready, NULL);
	status = allocate_slots(loader);
	if (!status)
		status = start_threads(loader);
	if (status)
		thaw_loader_free(loader);
	else
		*loader_out = loader;
	return status;
}

void thaw_loader_free(struct thaw_loader *loader)
{
	if (!loader)
		return;
	pthread_mutex_lock(&loader->mutex);
	loader->stop = true;
	pthread_cond_broadcast(&loader->work);
	pthread_mutex_unlock(&loader->mutex);
	for (int i = 0; i < loader->threads_count; i++)
		pthread_join(loader->threads[i], NULL);
	pthread_cond_destroy(&loader->ready);
	pthread_cond_destroy(&loader->work);
	pthread_mutex_destroy(&loader->mutex);
	free(loader->threads);
	free(loader->order);
	free(loader->repeats);
	free(loader->ranges);
	free(loader->slots);
	free(loader->labels);
	free(loader->labels2);
	free(loader->share);
	thaw_allocator_give(&loader->spec.memory, loader->pixels);
	free(loader);
}

/* Lets nothing more be taken and waits for what was; then the threads look at nothing but `batches`. */
static void drop_work(struct thaw_loader *loader)
{
	loader->batches = loader->next_batch = 0;
	loader->next_picture = 0;
	while (loader->busy > 0)
		pthread_cond_wait(&loader->ready, &loader->mutex);
	for (int i = 0; i < loader->spec.ahead; i++)
		loader->slots[i].batch = -1;
}

/* The ids that the ranges use: how many from order[0] on. */
static int64_t order_length(const struct thaw_loader *loader, const struct thaw_batch_range *ranges, int64_t batches)
{
	int64_t length = 0;

	for (int64_t b = 0; b < batches; b++) {
		assert(ranges[b].first >= 0 && ranges[b].count >= 1 && ranges[b].count <= loader->spec.batch_limit);
		if (ranges[b].first + ranges[b].count > length)
			length = ranges[b].first + ranges[b].count;
	}
	return length;
}

/* repeats[i]: how often order[i] stands before its place. */
static thaw_status count_repeats(const struct thaw_dataset *dataset, const int32_t *order, int32_t *repeats, size_t ids)
{
	int32_t *seen = thaw_alloc((size_t)thaw_dataset_facts(dataset)->count, sizeof *seen);

	if (!seen)
		return THAW_OUT_OF_MEMORY;
	for (size_t i = 0; i < ids; i++)
		repeats[i] = seen[order[i]]++;
	free(seen);
	return THAW_OK;
}

thaw_status thaw_loader_start(struct thaw_loader *loader, int epoch, const int32_t *order,
                              const struct thaw_batch_range *ranges, int64_t batches)
{
	size_t ids = (size_t)order_length(loader, ranges, batches);
	int32_t *order_copy = thaw_alloc(ids, sizeof *order_copy), *repeats = thaw_alloc(ids, sizeof *repeats);
	struct thaw_batch_range *ranges_copy = thaw_alloc((size_t)batches, sizeof *ranges_copy);

	if (!order_copy || !repeats || !ranges_copy || count_repeats(loader->spec.dataset, order, repeats, ids)) {
		free(order_copy);
		free(repeats);
		free(ranges_copy);
		return THAW_OUT_OF_MEMORY;
	}
	memcpy(order_copy, order, ids * sizeof *order_copy);
	memcpy(ranges_copy, ranges, (size_t)batches * sizeof *ranges_copy);
	pthread_mutex_lock(&loader->mutex);
	drop_work(loader);
	free(loader->order);
	free(loader->repeats);
	free(loader->ranges);
	loader->order = order_copy;
	loader->repeats = repeats;
	loader->ranges = ranges_copy;
	loader->epoch = epoch;
	loader->batches = batches;
	loader->given = 0;
	loader->status = THAW_OK;
	pthread_cond_broadcast(&loader->work);
	pthread_mutex_unlock(&loader->mutex);
	return THAW_OK;
}

thaw_status thaw_loader_get(struct thaw_loader *loader, struct thaw_batch *batch_out)
{
	const struct slot *slot;
	struct thaw_batch batch;
	thaw_status status;
	int64_t b;

	pthread_mutex_lock(&loader->mutex);
	b = loader->given++;
	assert(b < loader->batches);
	pthread_cond_broadcast(&loader->work); /* the batch before this one is over: its slot is free */
	slot = &loader->slots[b % loader->spec.ahead];
	batch = (struct thaw_batch){
		.count = loader->ranges[b].count,
		.size = loader->spec.augment.size,
		.pixels = slot->pixels,
		.labels = slot->labels,
		.labels2 = slot->labels2,
		.share = slot->share,
	};
	while (!loader->status && !(slot->batch == b && slot->whole))
		pthread_cond_wait(&loader->ready, &loader->mutex);
	status = loader->status;
	if (status)
		thaw_fail(status, "%s", loader->words);
	pthread_mutex_unlock(&loader->mutex);
	if (!status)
		*batch_out = batch;
	return status;
}
