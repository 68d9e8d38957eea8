/* Damage at random: no bit of a checkpoint or shard can change unnoticed, nor can a file lose its end; and a picture
 * whose pixels changed is not trained on. Every byte of small files is changed in checkpoint_test and dataset_test. */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <sys/stat.h>

#include "base/random.h"
#include "io/checkpoint.h"
#include "io/loader.h"
#include "tests/test.h"
#include "tests/unit/split.h"

enum { FLIPS = 10000, PAGE = 4096 };

static const char *folder;

static void write_checkpoint(const char *path)
{
	enum { TENSORS = 12, ELEMS = 900 };
	static const char *const names[] = {"ants", "bees"};
	static char tensor_names[TENSORS][32];
	static float values[ELEMS];
	const double losses[2] = {0};
	const struct thaw_checkpoint_facts facts = {.replicas = 1,
	                                            .losses = losses,
	                                            .metric = "top1",
	                                            .arch = "resnet20",
	                                            .classes = 2,
	                                            .names = names,
	                                            .job = "x: 1\n",
	                                            .build = ""};
	struct thaw_checkpoint_tensor tensors[TENSORS];

	for (int i = 0; i < ELEMS; i++)
		values[i] = (float)i;
	for (int i = 0; i < TENSORS; i++) {
		snprintf(tensor_names[i], sizeof tensor_names[i], "model/layer%d.weight", i);
		tensors[i] = (struct thaw_checkpoint_tensor){tensor_names[i], 2, {30, 30}, values};
	}
	CHECK_OK(thaw_checkpoint_write(path, NULL, &facts, tensors, TENSORS));
}

static thaw_status try_checkpoint(const char *path)
{
	struct thaw_checkpoint *checkpoint;
	thaw_status status = thaw_checkpoint_open(path, &checkpoint);

	if (!status)
		thaw_checkpoint_free(checkpoint);
	return status;
}

static thaw_status try_split(const char *path)
{
	struct thaw_dataset *dataset;
	thaw_status status = thaw_dataset_open(path, NULL, &dataset);

	if (status)
		return status;
	status = thaw_dataset_verify(dataset);
	thaw_dataset_free(dataset);
	return status;
}

static void flip(int fd, off_t at, int bit)
{
	uint8_t byte;

	CHECK(pread(fd, &byte, 1, at) == 1);
	byte ^= (uint8_t)(1 << bit);
	CHECK(pwrite(fd, &byte, 1, at) == 1);
}

static void check_damage(const char *path, thaw_status (*try)(const char *))
{
	int fd = open(path, O_RDWR), accepted = 0;
	struct thaw_random random;
	struct stat info;

	CHECK(fd >= 0 && fstat(fd, &info) == 0);
	CHECK_OK(try(path));
	thaw_random_init(&random, 1, THAW_RANDOM_TEST, 0, 0);
	for (int i = 0; i < FLIPS; i++) {
		off_t at = thaw_random_below(&random, (uint32_t)info.st_size);
		int bit = (int)thaw_random_below(&random, 8);

		flip(fd, at, bit);
		accepted += try(path) != THAW_FAILED || !strstr(thaw_fail_text(), path);
		flip(fd, at, bit);
	}
	CHECK_INT(accepted, 0);
	CHECK_OK(try(path));
	for (off_t length = (info.st_size - 1) / PAGE * PAGE; length >= 0; length -= PAGE) {
		CHECK(ftruncate(fd, length) == 0);
		accepted += try(path) != THAW_FAILED;
	}
	CHECK_INT(accepted, 0);
	close(fd);
}

/* Trains on one pixel that changed: in the third of five pictures, after the split was opened or before. */
static void test_training(const char *path)
{
	static const int32_t order[] = {0, 1, 2, 3, 4};
	static const struct thaw_batch_range ranges[] = {{0, 2}, {2, 2}, {4, 1}};
	struct thaw_loader *loader;
	struct thaw_dataset *dataset;
	struct thaw_batch batch;
	struct stat info;
	int fd;

	CHECK_OK(split_write(path, 5, 0, 5));
	fd = open(path, O_RDWR);
	CHECK(fd >= 0 && fstat(fd, &info) == 0);
	CHECK_OK(thaw_dataset_open(path, NULL, &dataset));
	for (int damaged = 0; damaged < 2; damaged++) {
		/* Behind the pixels stand 64 bytes; pictures 3 and 4 have 31 x 20 and 16 x 27 of them. */
		if (damaged)
			flip(fd, info.st_size - 64 - 3 * (31 * 20 + 16 * 27) - 1, 0);
		CHECK_OK(thaw_loader_new(&(struct thaw_loader_spec){.dataset = dataset,
		                                                    .augment = {.crop = THAW_CROP_CENTER, .size = 8},
		                                                    .threads = 1,
		                                                    .ahead = 2,
		                                                    .batch_limit = 2},
		                         &loader));
		CHECK_OK(thaw_loader_start(loader, 0, order, ranges, 3));
		if (damaged) {
			CHECK_FAILS(thaw_loader_get(loader, &batch) || thaw_loader_get(loader, &batch) ? THAW_FAILED : THAW_OK,
			            THAW_FAILED, "t-0-of-1.h5' is damaged: the pixels of 'wasps/2.png' have another checksum");
		} else {
			for (int b = 0; b < 3; b++)
				CHECK_OK(thaw_loader_get(loader, &batch));
		}
		thaw_loader_free(loader);
		if (!damaged) { /* what was right once is not looked at again */
			thaw_dataset_free(dataset);
			CHECK_OK(thaw_dataset_open(path, NULL, &dataset));
		}
	}
	thaw_dataset_free(dataset);
	close(fd);
}

int main(void)
{
	char path[300];

	folder = split_folder();
	snprintf(path, sizeof path, "%s/last.h5", folder);
	write_checkpoint(path);
	check_damage(path, try_checkpoint);
	snprintf(path, sizeof path, "%s/s-0-of-1.h5", folder);
	CHECK_OK(split_write(path, 16, 0, 16));
	check_damage(path, try_split);
	snprintf(path, sizeof path, "%s/t-0-of-1.h5", folder);
	test_training(path);
	split_remove(folder);
	return TEST_END();
}
