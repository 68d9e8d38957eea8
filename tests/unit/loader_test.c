/* What a batch holds, for any number of threads and any ring, against crops made here one by one. */
#define _XOPEN_SOURCE 700
#include <malloc.h>
#include <sys/resource.h>

#include "base/random.h"
#include "io/distort.h"
#include "io/loader.h"
#include "io/mix.h"
#include "io/rotate.h"
#include "tests/test.h"
#include "tests/unit/split.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Sanitizers end a program whose allocation fails unless they are told not to. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

const char *__tsan_default_options(void)
{
	return "allocator_may_return_null=1";
}

enum { SIZE = 12, PICTURE_BYTES = SIZE * SIZE * 3, BATCH = 10 };

static const struct thaw_augment center = {.crop = THAW_CROP_CENTER, .size = SIZE};
static const struct thaw_augment resized = {
	.crop = THAW_CROP_RANDOM_RESIZED, .scale = {0.08, 1}, .ratio = {0.75, 4.0 / 3}, .flip = 0.5, .size = SIZE};

/* All at once, each often enough to be in every test. */
static const struct thaw_augment distorted = {
	.crop = THAW_CROP_RANDOM_RESIZED,
	.scale = {0.08, 1},
	.ratio = {0.75, 4.0 / 3},
	.flip = 0.5,
	.size = SIZE,
	.rotation = 30,
	.brightness = 0.4,
	.contrast = 0.4,
	.saturation = 0.4,
	.hue = 0.1,
	.grey = 0.3,
	.blur = 0.3,
	.blur_sigma = {0.1, 2},
	.erase = 0.3,
	.erase_scale = {0.02, 0.33},
	.erase_ratio = {0.3, 3.3},
	.mixup = 0.2,
	.cutmix = 1,
};

static struct thaw_dataset *dataset; /* 40 pictures in two shards */

static struct thaw_loader *new_loader(const struct thaw_augment *augment, int threads, int ahead)
{
	struct thaw_loader *loader;
	struct thaw_loader_spec spec = {
		.dataset = dataset, .augment = *augment, .seed = 42, .threads = threads, .ahead = ahead, .batch_limit = BATCH};

	CHECK_OK(thaw_loader_new(&spec, &loader));
	return loader;
}

/* torchvision's CenterCrop(12) of heights 16, 21, 26, 31 and widths 20, 27, 34: the margins halved, 4.5 to 4 (even),
 * 7.5 to 8, 9.5 to 10. */
static void crop_by_hand(int picture, bool flip, uint8_t *out)
{
	static const int tops[] = {2, 4, 7, 10}, lefts[] = {4, 8, 11};

	for (int y = 0; y < SIZE; y++)
		for (int x = 0; x < SIZE; x++)
			for (int c = 0; c < 3; c++)
				*out++ = split_pixel(picture, tops[picture % 4] + y, lefts[picture % 3] + (flip ? SIZE - 1 - x : x), c);
}

/* One picture, by the functions that are tested elsewhere. The mean of split.h is 0.5, 0.25, 0.75. */
static void make_directly(const struct thaw_augment *augment, int epoch, int picture, int repeat, uint8_t *out)
{
	static const uint8_t mean[] = {128, 64, 191};
	const struct thaw_sample sample = {.seed = 42, .epoch = epoch, .picture = picture, .repeat = repeat};
	struct thaw_resizer resizer = {NULL, 0};
	struct thaw_scratch scratch = {NULL, 0};
	const uint8_t *src;
	const struct thaw_picture *row = thaw_dataset_picture(dataset, picture, &src);
	struct thaw_view view = thaw_augment_view(augment, &sample, row->height, row->width);
	struct thaw_distortion distortion = thaw_distort_draw(augment, &sample);

	CHECK_OK(thaw_rotate(&resizer, &scratch, src, row->height, row->width, view.box, view.degrees, out, SIZE, view.flip));
	CHECK_OK(thaw_distort(&distortion, mean, &scratch, out, SIZE));
	thaw_resizer_release(&resizer);
	thaw_scratch_release(&scratch);
}

static int repeats_before(const int32_t *order, int64_t place)
{
	int repeats = 0;

	for (int64_t i = 0; i < place; i++)
		repeats += order[i] == order[place];
	return repeats;
}

/* Gets the next batch, which has to hold these pictures. */
static void check_batch(struct thaw_loader *loader, const struct thaw_augment *augment, int epoch, const int32_t *order,
						struct thaw_batch_range range)
{
	struct thaw_mix mix = thaw_mix_draw(augment, 42, epoch, range.first);
	const int32_t *pictures = order + range.first;
	struct thaw_batch batch = {.count = -1};
	uint8_t want[BATCH * PICTURE_BYTES];

	CHECK_OK(thaw_loader_get(loader, &batch));
	CHECK_INT(batch.count, range.count);
	CHECK_INT(batch.size, SIZE);
	for (int i = 0; i < batch.count; i++) {
		if (augment->crop == THAW_CROP_CENTER)
			crop_by_hand(pictures[i], augment->flip > 0, want + i * PICTURE_BYTES);
		else
			make_directly(augment, epoch, pictures[i], repeats_before(order, range.first + i), want + i * PICTURE_BYTES);
		CHECK_INT(batch.labels[i], pictures[i] % 3);
		CHECK_INT(batch.labels2[i], pictures[batch.count - 1 - i] % 3);
		CHECK(batch.share[i] == (float)mix.share);
	}
	thaw_mix(&mix, want, batch.count, SIZE);
	CHECK(memcmp(batch.pixels, want, (size_t)batch.count * PICTURE_BYTES) == 0);
}

static void shuffle(int epoch, int32_t order[40])
{
	struct thaw_random random;

	thaw_random_init(&random, 42, THAW_RANDOM_SHUFFLE, (uint32_t)epoch, 0);
	thaw_random_permutation(&random, order, 40);
}

static void test_threads_and_rings(const struct thaw_augment *augment)
{
	/* As the second of two ranks has them: the last one is shorter, and not all pictures are used. */
	static const struct thaw_batch_range ranges[] = {{5, 10}, {20, 7}, {30, 1}, {32, 3}, {38, 2}};
	static const int threads[] = {1, 2, 3, 5}, ahead[] = {2, 3, 7};
	int32_t order[40];

	for (size_t t = 0; t < 4; t++)
		for (size_t a = 0; a < 3; a++) {
			struct thaw_loader *loader = new_loader(augment, threads[t], ahead[a]);

			for (int epoch = 0; epoch < 4; epoch++) {
				shuffle(epoch, order);
				CHECK_OK(thaw_loader_start(loader, epoch, order, ranges, 5));
				for (int b = 0; b < 5; b++)
					check_batch(loader, augment, epoch, order, ranges[b]);
			}
			thaw_loader_free(loader);
		}
}

/* Dropped at any moment: at once, after some batches, and with nothing begun instead. */
static void test_restarts(const struct thaw_augment *augment)
{
	struct thaw_batch_range ranges[20];
	struct thaw_loader *loader = new_loader(augment, 3, 4);
	int32_t order[40];

	for (int b = 0; b < 20; b++)
		ranges[b] = (struct thaw_batch_range){2 * b, 2};
	for (int epoch = 0; epoch < 60; epoch++) {
		shuffle(epoch, order);
		CHECK_OK(thaw_loader_start(loader, epoch, order, ranges, epoch % 7 == 6 ? 0 : 20));
		memset(order + 2 * (epoch % 6), 0xff, sizeof order - 8 * (size_t)(epoch % 6)); /* it has its own copy */
		for (int b = 0; epoch % 7 != 6 && b < epoch % 6; b++)
			check_batch(loader, augment, epoch, order, ranges[b]);
	}
	thaw_loader_free(loader);
	thaw_loader_free(NULL);
}

/* An epoch that goes on in its midst has the batches that it would have had. */
static void test_resumed(void)
{
	static const struct thaw_batch_range ranges[] = {{0, 10}, {10, 10}, {20, 10}, {30, 10}};
	int32_t order[40];

	shuffle(3, order);
	for (int first = 0; first < 4; first++) {
		struct thaw_loader *loader = new_loader(&distorted, 2, 2);

		CHECK_OK(thaw_loader_start(loader, 3, order, ranges + first, 4 - first));
		for (int b = first; b < 4; b++)
			check_batch(loader, &distorted, 3, order, ranges[b]);
		thaw_loader_free(loader);
	}
}

/* Pictures that come again in an epoch are treated in another way. */
static void test_repeats(void)
{
	static const int32_t order[] = {7, 7, 3, 7, 3, 9};
	static const struct thaw_batch_range ranges[] = {{0, 4}, {4, 2}};
	struct thaw_loader *loader = new_loader(&resized, 2, 2);
	struct thaw_batch batch;

	CHECK_OK(thaw_loader_start(loader, 0, order, ranges, 2));
	for (int b = 0; b < 2; b++)
		check_batch(loader, &resized, 0, order, ranges[b]);
	CHECK_OK(thaw_loader_start(loader, 0, order, ranges, 1));
	CHECK_OK(thaw_loader_get(loader, &batch));
	CHECK(memcmp(batch.pixels, batch.pixels + PICTURE_BYTES, PICTURE_BYTES) != 0);
	CHECK(memcmp(batch.pixels, batch.pixels + 3 * PICTURE_BYTES, PICTURE_BYTES) != 0);
	thaw_loader_free(loader);
}

static void test_settings_are_checked(void)
{
	struct thaw_loader *loader = NULL;
	struct thaw_loader_spec spec = {
		.dataset = dataset, .augment = distorted, .threads = 1, .ahead = 2, .batch_limit = BATCH};

	spec.augment.hue = 0.6;
	CHECK_FAILS(thaw_loader_new(&spec, &loader), THAW_BAD_JOB, "augment.hue: 0.6");
	CHECK(loader == NULL);
}

/* Mirrored without being resized. */
static void test_flip(void)
{
	struct thaw_augment flipped = {.crop = THAW_CROP_CENTER, .flip = 1, .size = SIZE};
	struct thaw_loader *loader = new_loader(&flipped, 2, 2);
	static const int32_t order[] = {3, 1, 4, 15, 9, 26};
	struct thaw_batch_range all = {0, 6};

	CHECK_OK(thaw_loader_start(loader, 0, order, &all, 1));
	check_batch(loader, &flipped, 0, order, all);
	thaw_loader_free(loader);
}

/* A batch stays what it is while the threads go on. */
static void test_batch_is_borrowed_until_the_next(void)
{
	struct thaw_loader *loader = new_loader(&center, 5, 2);
	struct thaw_batch_range ranges[10];
	struct thaw_batch batch;
	int32_t order[40];

	shuffle(0, order);
	for (int b = 0; b < 10; b++)
		ranges[b] = (struct thaw_batch_range){4 * b, 4};
	CHECK_OK(thaw_loader_start(loader, 0, order, ranges, 10));
	for (int b = 0; b < 10; b++) {
		uint8_t copy[4 * PICTURE_BYTES];

		CHECK_OK(thaw_loader_get(loader, &batch));
		memcpy(copy, batch.pixels, sizeof copy);
		for (int again = 0; again < 200; again++)
			CHECK(memcmp(copy, batch.pixels, sizeof copy) == 0);
	}
	thaw_loader_free(loader);
}

static void test_no_memory_for_the_ring(void)
{
	struct thaw_loader *loader = NULL;
	struct thaw_loader_spec spec = {
		.dataset = dataset, .augment = center, .threads = 1, .ahead = 1 << 20, .batch_limit = 1 << 20};

	spec.augment.size = 4096;
	CHECK_FAILS(thaw_loader_new(&spec, &loader), THAW_OUT_OF_MEMORY, "out of memory");
	CHECK(loader == NULL);
}

/* Threads that cannot have memory fail in words of their own, which get() repeats; the next start begins anew. */
static void test_no_memory_in_a_thread(const char *folder)
{
	static uint8_t pixels[2000 * 2000 * 3];
	struct split_shard *s = split_draw(1, 0, 1);
	struct thaw_dataset *all = dataset;
	struct thaw_loader *loader;
	struct thaw_batch_range one = {0, 1};
	struct thaw_batch batch = {.count = -1};
	struct rlimit limit, none;
	char path[128];
	int32_t first = 0;

	snprintf(path, sizeof path, "%s/large-0-of-1.h5", folder);
	memcpy(s->pixels[0] = realloc(s->pixels[0], sizeof pixels), pixels, sizeof pixels);
	s->index[0].height = s->index[0].width = 2000;
	s->index[0].crc32c = split_crc32c(pixels, sizeof pixels);
	CHECK_OK(thaw_shard_write(path, &s->shard));
	split_free(s);
	CHECK_OK(thaw_dataset_open(path, NULL, &dataset));
	loader = new_loader(
		&(struct thaw_augment){.crop = THAW_CROP_RANDOM_RESIZED, .scale = {1, 1}, .ratio = {1, 1}, .size = 256}, 2, 2);
	CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
	none = (struct rlimit){0, limit.rlim_max};
	CHECK(setrlimit(RLIMIT_AS, &none) == 0);
	CHECK_OK(thaw_loader_start(loader, 0, &first, &one, 1));
	CHECK_FAILS(thaw_loader_get(loader, &batch), THAW_OUT_OF_MEMORY, "out of memory: the rows of a picture");
	CHECK_INT(batch.count, -1);
	CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
	CHECK_OK(thaw_loader_start(loader, 0, &first, &one, 1));
	CHECK_OK(thaw_loader_get(loader, &batch));
	CHECK_INT(batch.count, 1);
	thaw_loader_free(loader);
	thaw_dataset_free(dataset);
	dataset = all;
}

int main(void)
{
	const char *folder = split_folder();
	char path[128];

	/* No memory is kept for later, so that test_no_memory_in_a_thread() can have none. */
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 1 << 17);
	snprintf(path, sizeof path, "%s/train-00000-of-00002.h5", folder);
	CHECK_OK(split_write(path, 40, 0, 23));
	snprintf(path, sizeof path, "%s/train-00001-of-00002.h5", folder);
	CHECK_OK(split_write(path, 40, 23, 17));
	snprintf(path, sizeof path, "%s/train-*.h5", folder);
	CHECK_OK(thaw_dataset_open(path, NULL, &dataset));
	test_threads_and_rings(&center);
	test_threads_and_rings(&resized);
	test_threads_and_rings(&distorted);
	test_restarts(&resized);
	test_restarts(&distorted);
	test_resumed();
	test_repeats();
	test_settings_are_checked();
	test_flip();
	test_batch_is_borrowed_until_the_next();
	test_no_memory_for_the_ring();
	if (!SANITIZED)
		test_no_memory_in_a_thread(folder);
	thaw_dataset_free(dataset);
	split_remove(folder);
	return TEST_END();
}
