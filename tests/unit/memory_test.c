/*
 * No memory: whichever allocation fails, ours or a library's, what is read or written ends with THAW_OUT_OF_MEMORY or
 * another failure in words, and gives back all it took.
 *
 * The program has its own malloc() and its kin, through which also the libraries get their memory. With a sanitizer,
 * which has its own, the linker puts them in the place of the system's for thaw's own code alone (CMakeLists.txt).
 *
 * Three libraries are spared. HDF5 1.10.8, when it gets no memory, keeps some of what it has, and crashes now and then;
 * it only builds files, which touch no disk before they are whole. libwebp 1.2.4 calls the file damaged, and follows a
 * pointer that it never set. minizip 1.2.8 does not say why it opens no file.
 */
#define _POSIX_C_SOURCE 200809L
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "base/file.h"
#include "io/checkpoint.h"
#include "io/image.h"
#include "io/weights.h"
#include "jobs/job.h"
#include "tests/fixtures.h"
#include "tests/test.h"
#include "tests/unit/split.h"

/* --- memory that runs out ---------------------------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OURS(name) __wrap_##name
#define SYSTEMS(name) __real_##name
#else
#define OURS(name) name
#define SYSTEMS(name) __libc_##name
#endif

void *SYSTEMS(malloc)(size_t size);
void *SYSTEMS(calloc)(size_t count, size_t size);
void *SYSTEMS(realloc)(void *memory, size_t size);
void SYSTEMS(free)(void *memory);

void *OURS(malloc)(size_t size);
void *OURS(calloc)(size_t count, size_t size);
void *OURS(realloc)(void *memory, size_t size);
void OURS(free)(void *memory);

extern const char __executable_start[], etext[]; /* this program's own code */

static bool counting;
static bool libraries;            /* take part */
static int fails_at;              /* the number of the allocation that fails, from 0; -1: none */
static int asked;                 /* allocations so far */
static const void *blocks[10000]; /* (taken) those that were not given back */
static int taken;
static size_t largest; /* bytes that were asked for at once */

/* Whether an allocation that returns to `caller` takes part. */
static bool counts(const void *caller)
{
	return counting && (libraries || ((const char *)caller >= __executable_start && (const char *)caller < etext));
}

#define COUNTED counts(__builtin_return_address(0))

static void *take(void *memory, bool counted)
{
	if (counted && memory && taken < 10000)
		blocks[taken++] = memory;
	return memory;
}

static void give(const void *memory)
{
	for (int i = taken - 1; memory && i >= 0; i--)
		if (blocks[i] == memory) {
			blocks[i] = blocks[--taken];
			return;
		}
}

void *OURS(malloc)(size_t size)
{
	bool counted = COUNTED;

	largest = counted && size > largest ? size : largest;
	return counted && asked++ == fails_at ? NULL : take(SYSTEMS(malloc)(size), counted);
}

void *OURS(calloc)(size_t count, size_t size)
{
	bool counted = COUNTED;

	return counted && asked++ == fails_at ? NULL : take(SYSTEMS(calloc)(count, size), counted);
}

void *OURS(realloc)(void *memory, size_t size)
{
	bool counted = COUNTED;

	if (counted && asked++ == fails_at)
		return NULL;
	give(memory);
	return take(SYSTEMS(realloc)(memory, size), counted);
}

void OURS(free)(void *memory)
{
	give(memory);
	SYSTEMS(free)(memory);
}

/* --- what is done ------------------------------------------------------------------------------------------------ */

static const char *folder, *golden;
static char path[300];

static thaw_status read_job(void)
{
	static const char yaml[] = "model: {arch: resnet18}\n"
							   "data: {train: t.h5, val: v.h5}\n"
							   "phases: [{epochs: 2, train: [fc]}, {epochs: 1, train: all, lr: 3}]\n"
							   "augment: {scale: [0.5, 1]}\n";
	static const char *const sets[] = {"augment.ratio=[1, 2]", "batch=9"};
	static struct thaw_job job;

	return thaw_job_parse("job.yaml", yaml, sizeof yaml - 1, sets, 2, &job);
}

static thaw_status refuse_job(void)
{
	static struct thaw_job job;

	return thaw_job_parse("job.yaml", "model: {arch: [x, y]}\n", 22, NULL, 0, &job) == THAW_OUT_OF_MEMORY
	           ? THAW_OUT_OF_MEMORY
	           : THAW_OK;
}

static thaw_status read_split(void)
{
	struct thaw_dataset *dataset;
	thaw_status status = thaw_dataset_open(path, "train", &dataset);

	if (!status)
		thaw_dataset_free(dataset);
	return status;
}

static thaw_status write_split(void)
{
	static struct split_shard *shard;

	if (!shard) {
		counting = false;
		shard = split_draw(3, 0, 3);
		counting = true;
	}
	return thaw_shard_write(path, &shard->shard);
}

static thaw_status write_checkpoint(void)
{
	static const char *const names[] = {"ants", "bees"};
	static float values[6];
	const double losses[2] = {0};
	const struct thaw_checkpoint_facts facts = {.replicas = 1,
	                                            .losses = losses,
	                                            .metric = "top1",
	                                            .arch = "resnet20",
	                                            .std = {1, 1, 1},
	                                            .classes = 2,
	                                            .names = names,
	                                            .job = "",
	                                            .build = ""};
	const struct thaw_checkpoint_tensor tensors[] = {{"model/fc.weight", 2, {2, 3}, values},
	                                                 {"model/fc.bias", 1, {2}, values},
	                                                 {"optimizer/momentum/fc.bias", 1, {2}, values}};

	return thaw_checkpoint_write(path, NULL, &facts, tensors, 3);
}

static thaw_status read_checkpoint(void)
{
	struct thaw_checkpoint *checkpoint;
	thaw_status status = thaw_checkpoint_open(path, &checkpoint);

	if (!status)
		thaw_checkpoint_free(checkpoint);
	return status;
}

static thaw_status write_weights(void)
{
	static const char *const names[] = {"ants", "bees"};
	static const float values[6];
	const struct thaw_weights_facts facts = {"resnet20", {0}, {1, 1, 1}, 36, 32, 2, names};
	const struct thaw_weight tensors[] = {
		{.name = "fc.weight", .dtype = THAW_F32, .rank = 2, .dims = {2, 3}, .strides = {3, 1}, .elems = 6,
	     .data = (const uint8_t *)values},
		{.name = "fc.bias", .dtype = THAW_F32, .rank = 1, .dims = {2}, .strides = {1}, .elems = 2,
	     .data = (const uint8_t *)values},
	};
	enum thaw_dtype half = THAW_F16;

	return thaw_weights_write(path, &facts, tensors, 2, &half);
}

static thaw_status read_weights(void)
{
	struct thaw_weights weights;
	thaw_status status = thaw_weights_open(path, &weights);

	if (!status)
		thaw_weights_release(&weights);
	return status;
}

static thaw_status read_picture(void)
{
	struct thaw_image image;
	thaw_status status = thaw_image_read(path, &image);

	if (!status)
		thaw_image_release(&image);
	return status;
}

static const struct {
	const char *name, *file; /* of `golden` if it has a slash, else of the test's folder */
	thaw_status (*run)(void);
	bool spares_libraries;
} works[] = {
	{"a job", "", read_job, false},
	{"a bad job", "", refuse_job, false},
	{"writing a shard", "train-0-of-1.h5", write_split, true},
	{"a split", "train-0-of-1.h5", read_split, false},
	{"writing a checkpoint", "last.h5", write_checkpoint, true},
	{"a checkpoint", "last.h5", read_checkpoint, false},
	{"writing weights", "x.safetensors", write_weights, false},
	{"weights in a checkpoint", "last.h5", read_weights, false},
	{"weights in a zip file", "zip-checkpoint", read_weights, true},
	{"weights in a stream", "stream-checkpoint", read_weights, false},
	{"weights in a tar file", "tar-views", read_weights, false},
	{"weights in safetensors", "safetensors-facts", read_weights, false},
	{"a JPEG", "pictures/exif_6.jpg", read_picture, false},
	{"a progressive JPEG", "pictures/progressive.jpg", read_picture, false},
	{"a JPEG of four colours", "pictures/cmyk.jpg", read_picture, false},
	{"a PNG", "pictures/exif_6.png", read_picture, false},
	{"a PNG with a palette", "pictures/interlaced_palette4.png", read_picture, false},
	{"a WebP", "pictures/lossy_alpha.webp", read_picture, true},
	{"a lossless WebP", "pictures/exif_7.webp", read_picture, true},
};

/* Those files of weights.bin that are read. */
static void unpack_weights(void)
{
	struct fixtures f = fixtures_open(golden, "weights.bin");
	char file[300];

	while (fixtures_next(&f))
		for (size_t i = 0; i < sizeof works / sizeof *works; i++)
			if (works[i].run == read_weights && strcmp(works[i].file, f.name) == 0) {
				snprintf(file, sizeof file, "%s/%s", folder, f.name);
				CHECK_OK(thaw_file_publish(file, f.bytes, f.length));
			}
}

/* Does the work with one allocation more each time, until it needs no more. */
static void sweep(const char *name, thaw_status (*run)(void))
{
	int failures = 0;
	thaw_status status = THAW_FAILED;

	fails_at = -1;
	CHECK_OK(run()); /* what libraries keep for ever, they have now */
	for (fails_at = 0; status || asked > fails_at; fails_at++) {
		asked = taken = 0;
		thaw_fail(THAW_FAILED, "%s", ""); /* no words of an earlier failure */
		counting = true;
		status = run();
		counting = false;
		if (status && (status != THAW_OUT_OF_MEMORY || !strstr(thaw_fail_text(), "out of memory")))
			TEST_FAIL("%s, allocation %d: status %d, '%s'", name, fails_at, (int)status, thaw_fail_text());
		if (taken != 0)
			TEST_FAIL("%s, allocation %d: %d blocks stay", name, fails_at, taken);
		failures += status != THAW_OK;
		if (fails_at > 20000) {
			TEST_FAIL("%s never has enough", name);
			return;
		}
	}
	printf("%s: %d of %d allocations were needed\n", name, failures, fails_at - 1);
	CHECK(failures > 0);
}

/* A PNG of which a part says that it has a gigabyte: libpng asks for it before it looks. */
static void test_memory_that_a_file_claims(void)
{
	struct thaw_image image;
	char file[300], *bytes;
	size_t length, at = 0;

	snprintf(file, sizeof file, "%s/pictures/exif_6.png", golden);
	CHECK_OK(thaw_file_read(file, 1 << 20, &bytes, &length));
	while (memcmp(bytes + at, "eXIf", 4) != 0)
		at++;
	bytes[at - 4] = 0x40; /* the length's highest byte */
	largest = 0;
	counting = true;
	CHECK_FAILS(thaw_image_decode("x.png", bytes, length, &image), THAW_FAILED, "'x.png' is cut short");
	counting = false;
	CHECK(largest > 0 && largest < (size_t)1 << 24);
	free(bytes);
}

int main(int argc, char **argv)
{
	golden = argc > 1 ? argv[1] : "tests/golden";
	folder = split_folder();
	unpack_weights();
	for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
		snprintf(path, sizeof path, "%s/%s", strchr(works[i].file, '/') ? golden : folder, works[i].file);
		libraries = !works[i].spares_libraries;
		sweep(works[i].name, works[i].run);
	}
	fails_at = -1;
	test_memory_that_a_file_claims();
	split_remove(folder);
	return TEST_END();
}
