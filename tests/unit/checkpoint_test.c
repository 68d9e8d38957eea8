/* Checkpoints: what is written comes back bit for bit, what was damaged is refused, what was there survives. */
#define _XOPEN_SOURCE 700
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "io/checkpoint.h"
#include "io/h5.h"
#include "io/seal.h"
#include "tests/test.h"

static char folder[] = "/tmp/thaw-test-XXXXXX", path[64];

/* Sanitizers end a program whose allocation fails unless they are told not to. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

static const char *const classes[] = {"ants", "bees", "h\xc3\xb6rnchen"};

static const double losses[] = {1.5, 8, 0, 0, 1e-300, 8, 22.25, 7.5};
static const double val_losses[] = {2.5, 1, 1e-300, -0.0, 0.125, 3, 0.1, 7}; /* and one that is left out */
static const struct thaw_checkpoint_facts facts = {
	.epoch = 7,
	.step = 1234567890123,
	.best = 0.9477124183006536,
	.best_epoch = 5,
	.best_metrics = {0.125, 153, 145, 153, 0.9375},
	.average_epoch = 6,
	.average_metrics = {0.0625, 153, 146, 152, 0.96875},
	.val_losses = val_losses,
	.so_far = {0, 32, 20, 31, 0},
	.replicas = 4,
	.losses = losses,
	.skipped = 3,
	.seconds = 1.75,
	.train_data = 0xfedcba98,
	.val_data = 0,
	.metric = "top1",
	.arch = "resnet18",
	.resize = 36,
	.crop = 32,
	.mean = {0.485f, 0.456f, 0.406f},
	.std = {0.229f, 0.224f, 0.225f},
	.classes = 3,
	.names = classes,
	.job = "name: ants\nepochs: 9\n",
	.build = "",
};

/* Not in order; bits that arithmetic would lose: a NaN with a payload, -0, the smallest number. */
static float weight[2 * 3 * 1 * 2], bias[2] = {-0.0f, 1e-45f}, scalar[1] = {42};
static const struct thaw_checkpoint_tensor tensors[] = {
	{.name = "optimizer/momentum/fc.bias", .rank = 1, .dims = {2}, .data = bias},
	{.name = "model/fc.bias", .rank = 1, .dims = {2}, .data = bias},
	{.name = "model/conv1.weight", .rank = 4, .dims = {2, 3, 1, 2}, .data = weight},
	{.name = "model/bn1.num_batches_tracked", .rank = 0, .data = scalar},
	{.name = "optimizer-2/fc.bias", .rank = 1, .dims = {2}, .data = bias}, /* '-' comes before '/' */
};
enum { TENSORS = sizeof tensors / sizeof *tensors };

static thaw_status try_open(void)
{
	struct thaw_checkpoint *checkpoint = NULL;
	thaw_status status = thaw_checkpoint_open(path, &checkpoint);

	if (!status)
		thaw_checkpoint_free(checkpoint);
	else
		CHECK(checkpoint == NULL);
	return status;
}

static void check_facts(const struct thaw_checkpoint_facts *got)
{
	CHECK_INT(got->epoch, 7);
	CHECK_INT(got->step, 1234567890123);
	CHECK(got->best == 0.9477124183006536);
	CHECK_INT(got->best_epoch, 5);
	CHECK(memcmp(&got->best_metrics, &facts.best_metrics, sizeof facts.best_metrics) == 0);
	CHECK_INT(got->average_epoch, 6);
	CHECK(memcmp(&got->average_metrics, &facts.average_metrics, sizeof facts.average_metrics) == 0);
	CHECK(got->val_losses && memcmp(got->val_losses, val_losses, 7 * sizeof *val_losses) == 0);
	CHECK(memcmp(&got->so_far, &facts.so_far, sizeof facts.so_far) == 0);
	CHECK_INT(got->replicas, 4);
	CHECK(memcmp(got->losses, losses, sizeof losses) == 0);
	CHECK_INT(got->skipped, 3);
	CHECK(got->seconds == 1.75);
	CHECK_INT(got->train_data, 0xfedcba98);
	CHECK_INT(got->val_data, 0);
	CHECK_TEXT(got->metric, "top1");
	CHECK_TEXT(got->arch, "resnet18");
	CHECK(memcmp(got->mean, facts.mean, sizeof facts.mean) == 0);
	CHECK(memcmp(got->std, facts.std, sizeof facts.std) == 0);
	CHECK_INT(got->classes, 3);
	CHECK_TEXT(got->names[0], "ants");
	CHECK_TEXT(got->names[2], "h\xc3\xb6rnchen");
	CHECK_TEXT(got->job, "name: ants\nepochs: 9\n");
	CHECK_TEXT(got->build, "");
}

static void test_round_trip(void)
{
	static const char *const sorted[] = {"model/bn1.num_batches_tracked", "model/conv1.weight", "model/fc.bias",
										 "optimizer-2/fc.bias", "optimizer/momentum/fc.bias"};
	struct thaw_checkpoint *checkpoint;
	const uint32_t odd_nan = 0x7fc12345;

	for (int i = 0; i < 12; i++)
		weight[i] = (float)i / 7;
	memcpy(&weight[3], &odd_nan, 4);
	CHECK_OK(thaw_checkpoint_write(path, NULL, &facts, tensors, TENSORS));
	CHECK_OK(thaw_checkpoint_open(path, &checkpoint));
	check_facts(thaw_checkpoint_facts(checkpoint));
	CHECK_INT(thaw_checkpoint_count(checkpoint), TENSORS);
	for (int i = 0; i < TENSORS; i++)
		CHECK_TEXT(thaw_checkpoint_tensor(checkpoint, i)->name, sorted[i]);
	CHECK_INT(thaw_checkpoint_tensor(checkpoint, 0)->rank, 0);
	CHECK_INT(thaw_checkpoint_tensor(checkpoint, 1)->rank, 4);
	CHECK_INT(thaw_checkpoint_tensor(checkpoint, 1)->dims[1], 3);
	for (int i = 0; i < TENSORS; i++) {
		float data[14];
		struct thaw_checkpoint_tensor want = tensors[i];
		size_t elems = i == 2 ? 12 : i == 3 ? 1 : 2;

		for (int k = 0; k < 14; k++)
			data[k] = 99;
		want.data = data + 1;
		CHECK_OK(thaw_checkpoint_read(checkpoint, &want));
		CHECK(memcmp(data + 1, tensors[i].data, elems * sizeof *data) == 0);
		CHECK(data[0] == 99 && data[elems + 1] == 99);
	}
	thaw_checkpoint_free(checkpoint);
	thaw_checkpoint_free(NULL);
}

static void test_missing_and_misshapen(void)
{
	struct thaw_checkpoint *checkpoint;
	float data[12] = {5};
	struct thaw_checkpoint_tensor want = {.name = "model/fc.weight", .rank = 2, .dims = {3, 4}, .data = data};

	CHECK_OK(thaw_checkpoint_open(path, &checkpoint));
	CHECK_FAILS(thaw_checkpoint_read(checkpoint, &want), THAW_FAILED, "last.h5' has no tensor 'model/fc.weight'");
	want.name = "model/conv1.weight";
	CHECK_FAILS(thaw_checkpoint_read(checkpoint, &want), THAW_FAILED,
				"last.h5': 'model/conv1.weight' is (2, 3, 1, 2), expected (3, 4)");
	want = (struct thaw_checkpoint_tensor){.name = "model/fc.bias", .rank = 1, .dims = {3}, .data = data};
	CHECK_FAILS(thaw_checkpoint_read(checkpoint, &want), THAW_FAILED, "'model/fc.bias' is (2), expected (3)");
	want.rank = 0;
	CHECK_FAILS(thaw_checkpoint_read(checkpoint, &want), THAW_FAILED, "'model/fc.bias' is (2), expected ()");
	CHECK(data[0] == 5);
	thaw_checkpoint_free(checkpoint);
}

static void test_no_tensors_and_long_texts(void)
{
	struct thaw_checkpoint_facts long_facts = facts;
	struct thaw_checkpoint *checkpoint;
	struct thaw_checkpoint_tensor want = tensors[1];
	char *job = malloc(200001); /* beyond what an attribute can hold */

	memset(job, 'j', 200000);
	job[200000] = '\0';
	long_facts.job = job;
	CHECK_OK(thaw_checkpoint_write(path, NULL, &long_facts, NULL, 0));
	CHECK_OK(thaw_checkpoint_open(path, &checkpoint));
	CHECK_INT(thaw_checkpoint_count(checkpoint), 0);
	CHECK_TEXT(thaw_checkpoint_facts(checkpoint)->job, job);
	CHECK_FAILS(thaw_checkpoint_read(checkpoint, &want), THAW_FAILED, "has no tensor");
	thaw_checkpoint_free(checkpoint);
	free(job);
}

/* A checkpoint of more than HDF5's buffers, and more tensors than one node of its tree. */
static void test_many(void)
{
	enum { COUNT = 300, ELEMS = 3000 };
	static struct thaw_checkpoint_tensor many[COUNT];
	static char names[COUNT][32];
	static float data[COUNT][ELEMS], back[ELEMS];
	struct thaw_checkpoint *checkpoint;
	int wrong = 0;

	for (int i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof names[i], "model/layer%03d.weight", i * 7 % COUNT);
		for (int k = 0; k < ELEMS; k++)
			data[i][k] = (float)(i * ELEMS + k);
		many[i] = (struct thaw_checkpoint_tensor){.name = names[i], .rank = 2, .dims = {30, 100}, .data = data[i]};
	}
	CHECK_OK(thaw_checkpoint_write(path, NULL, &facts, many, COUNT));
	CHECK_OK(thaw_checkpoint_open(path, &checkpoint));
	CHECK_INT(thaw_checkpoint_count(checkpoint), COUNT);
	for (int i = 0; i < COUNT; i++) {
		struct thaw_checkpoint_tensor want = many[i];

		want.data = back;
		wrong += thaw_checkpoint_read(checkpoint, &want) || memcmp(back, data[i], sizeof back) != 0;
		wrong += i > 0 && strcmp(thaw_checkpoint_tensor(checkpoint, i - 1)->name,
								 thaw_checkpoint_tensor(checkpoint, i)->name) >= 0;
	}
	CHECK_INT(wrong, 0);
	thaw_checkpoint_free(checkpoint);
}

static void put_byte(size_t at, int byte)
{
	FILE *file = fopen(path, "r+b");

	CHECK(file && fseek(file, (long)at, SEEK_SET) == 0 && putc(byte, file) != EOF && fclose(file) == 0);
}

/* Every byte flipped, one bit of it at least; then every length. */
static void test_damage(void)
{
	char *bytes;
	size_t length;
	int wrong = 0;

	CHECK_OK(thaw_checkpoint_write(path, NULL, &facts, tensors, TENSORS));
	CHECK_OK(thaw_file_read(path, 1 << 20, &bytes, &length));
	for (size_t at = 0; at < length; at++) {
		put_byte(at, bytes[at] ^ (at % 5 == 0 ? 0xff : 1 << at % 8));
		wrong += try_open() != THAW_FAILED || !strstr(thaw_fail_text(), "last.h5'");
		put_byte(at, bytes[at]);
	}
	CHECK_INT(wrong, 0);
	CHECK_OK(try_open());
	put_byte(length - 1, bytes[length - 1] ^ 1);
	CHECK_FAILS(try_open(), THAW_FAILED, "last.h5' is damaged: its SHA-256 is not the one it was sealed with");
	put_byte(length - THAW_SEAL_LENGTH + 16, bytes[length - THAW_SEAL_LENGTH + 16] ^ 1);
	CHECK_FAILS(try_open(), THAW_FAILED, "last.h5' is damaged: it has ");
	for (size_t shorter = length - 1; shorter > 0; shorter--) {
		CHECK(truncate(path, (off_t)shorter) == 0);
		wrong += try_open() != THAW_FAILED;
		if (shorter == 1000)
			CHECK(strstr(thaw_fail_text(), "last.h5' is cut short, or an HDF5 file that thaw did not write"));
	}
	CHECK_INT(wrong, 0);
	CHECK_FAILS(try_open(), THAW_FAILED, "last.h5' is not a thaw checkpoint");
	CHECK(truncate(path, 0) == 0);
	CHECK_FAILS(try_open(), THAW_FAILED, "last.h5': not a plain file, or empty");
	CHECK(unlink(path) == 0);
	CHECK_FAILS(try_open(), THAW_FAILED, "last.h5': No such file or directory");
	free(bytes);
}

/* A shard is no checkpoint, and a seal that leaves bytes out seals no checkpoint. */
static void test_other_seals(void)
{
	static const struct thaw_seal seals[] = {{"shard", 100, 0}, {"checkpoint", 100, 50}, {"checkpoint", 100, 0}};
	static const char *const words[] = {"is a shard, not a checkpoint", "its seal leaves 50 bytes out", "is not HDF5"};
	const char *kind = "";

	for (int i = 0; i < 3; i++) {
		uint8_t bytes[100 + THAW_SEAL_LENGTH] = "nothing";

		thaw_seal_make(&seals[i], bytes, bytes + 100);
		CHECK_OK(thaw_file_publish(path, bytes, sizeof bytes));
		CHECK_FAILS(try_open(), THAW_FAILED, words[i]);
		CHECK_OK(thaw_seal_kind(path, &kind));
		CHECK_TEXT(kind, seals[i].kind);
	}
	CHECK_OK(thaw_file_publish(path, "\x89HDF\r\n\x1a\n and nothing more", 24));
	CHECK_FAILS(thaw_seal_kind(path, &kind), THAW_FAILED, "last.h5' is cut short, or an HDF5 file that thaw did not");
	CHECK_OK(thaw_file_publish(path, "no", 2));
	CHECK_FAILS(thaw_seal_kind(path, &kind), THAW_FAILED, "last.h5' is not a thaw shard or checkpoint");
	CHECK_FAILS(thaw_seal_kind("/none", &kind), THAW_FAILED, "cannot open '/none': No such file or directory");
}

static void put_losses(struct thaw_h5_writer *writer, const char *name, hid_t type, const void *losses_in, hsize_t count)
{
	thaw_h5_put_array(writer, name, &(struct thaw_h5_array){type, type, 1, &count, losses_in});
}

/* A well-sealed file in which `change` put something first; what it did not is added. */
static void check_built(void (*change)(struct thaw_h5_writer *), const char *words)
{
	static const char *const ints[] = {"format_version", "epoch",       "step",          "best_epoch",
	                                   "best_count",     "best_top1",   "best_top5",     "so_far_count",
	                                   "so_far_top1",    "so_far_top5", "replicas",      "skipped",
	                                   "average_epoch",  "average_top1", "average_top5", "average_count",
	                                   "train_data",     "val_data",     "resize",        "crop"};
	static const char *const reals[] = {"best",    "best_loss",    "so_far_loss", "losses",
	                                    "seconds", "best_balanced", "average_loss", "average_balanced"};
	static const char *const text[] = {"text"};
	const float mean[3] = {0};
	const double loss = 0.5;
	struct thaw_seal seal = {.kind = "checkpoint"};
	struct thaw_h5_writer writer;
	struct thaw_h5_image image;

	thaw_h5_begin(&writer, "built");
	change(&writer);
	for (size_t i = 0; i < sizeof ints / sizeof *ints; i++)
		if (H5Aexists(writer.file, ints[i]) == 0)
			thaw_h5_put_int(&writer, ints[i], i > 0 ? 1 : 3);
	for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
		thaw_h5_put_numbers(&writer, reals[i], H5T_IEEE_F64LE, (const double[2]){0}, strcmp(reals[i], "losses") ? 1 : 2);
	if (H5Lexists(writer.file, "val_loss", H5P_DEFAULT) == 0)
		put_losses(&writer, "val_loss", H5T_IEEE_F64LE, &loss, 1);
	thaw_h5_put_text(&writer, "arch", "resnet18");
	if (H5Aexists(writer.file, "metric") == 0)
		thaw_h5_put_text(&writer, "metric", "top1");
	thaw_h5_put_numbers(&writer, "mean", H5T_IEEE_F32LE, mean, 3);
	thaw_h5_put_numbers(&writer, "std", H5T_IEEE_F32LE, mean, 3);
	if (H5Lexists(writer.file, "classes", H5P_DEFAULT) == 0)
		thaw_h5_put_texts(&writer, "classes", text, 1);
	thaw_h5_put_texts(&writer, "build", text, 1);
	if (H5Lexists(writer.file, "job", H5P_DEFAULT) == 0)
		thaw_h5_put_texts(&writer, "job", text, 1);
	CHECK_OK(thaw_h5_end(&writer, &image));
	seal.length = image.length;
	thaw_seal_make(&seal, image.bytes, (uint8_t *)image.bytes + image.length);
	CHECK_OK(thaw_file_publish(path, image.bytes, (size_t)image.length + THAW_SEAL_LENGTH));
	free(image.bytes);
	if (words)
		CHECK_FAILS(try_open(), THAW_FAILED, words);
	else
		CHECK_OK(try_open());
}

static void change_nothing(struct thaw_h5_writer *writer)
{
	(void)writer;
}

static void change_version(struct thaw_h5_writer *writer)
{
	thaw_h5_put_int(writer, "format_version", 4);
}

static void change_version_back(struct thaw_h5_writer *writer)
{
	thaw_h5_put_int(writer, "format_version", 2);
}

static void change_average(struct thaw_h5_writer *writer)
{
	thaw_h5_put_int(writer, "average_epoch", -1);
}

static void change_average_counts(struct thaw_h5_writer *writer)
{
	thaw_h5_put_int(writer, "average_top5", 2);
}

static void change_val_loss(struct thaw_h5_writer *writer)
{
	put_losses(writer, "val_loss", H5T_IEEE_F64LE, losses, 2);
}

static void change_val_loss_type(struct thaw_h5_writer *writer)
{
	put_losses(writer, "val_loss", H5T_IEEE_F32LE, bias, 1);
}

static void change_step(struct thaw_h5_writer *writer)
{
	thaw_h5_put_int(writer, "step", -1);
}

static void change_counts(struct thaw_h5_writer *writer)
{
	thaw_h5_put_int(writer, "so_far_top1", 2);
}

static void change_replicas(struct thaw_h5_writer *writer)
{
	thaw_h5_put_int(writer, "replicas", 0);
}

static void change_metric(struct thaw_h5_writer *writer)
{
	thaw_h5_put_text(writer, "metric", "sixteen letters!");
}

static void change_job(struct thaw_h5_writer *writer)
{
	thaw_h5_put_texts(writer, "job", classes, 3);
}

static void change_type(struct thaw_h5_writer *writer)
{
	hsize_t dims[1] = {1};
	int32_t one = 1;

	thaw_h5_put_array(writer, "model/fc.bias", &(struct thaw_h5_array){H5T_STD_I32LE, H5T_STD_I32LE, 1, dims, &one});
}

static void change_rank(struct thaw_h5_writer *writer)
{
	hsize_t dims[5] = {1, 1, 1, 1, 1};
	float one = 1;

	thaw_h5_put_array(writer, "model/w", &(struct thaw_h5_array){H5T_IEEE_F32LE, H5T_IEEE_F32LE, 5, dims, &one});
}

static void change_resize(struct thaw_h5_writer *writer)
{
	thaw_h5_put_int(writer, "resize", 4097);
}

static void change_crop(struct thaw_h5_writer *writer)
{
	thaw_h5_put_int(writer, "crop", 0);
}

static void change_classes(struct thaw_h5_writer *writer)
{
	static const char *names[1000001];

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		names[i] = "x";
	thaw_h5_put_texts(writer, "classes", names, sizeof names / sizeof *names);
}

static void change_link(struct thaw_h5_writer *writer)
{
	CHECK(H5Lcreate_external("elsewhere.h5", "/model", writer->file, "model", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void change_soft_link(struct thaw_h5_writer *writer)
{
	CHECK(H5Lcreate_soft("/classes", writer->file, "model", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

static void change_cycle(struct thaw_h5_writer *writer)
{
	hid_t group = H5Gcreate2(writer->file, "model", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

	CHECK(H5Lcreate_hard(group, ".", group, "model", H5P_DEFAULT, H5P_DEFAULT) >= 0);
	H5Gclose(group);
}

/* Six groups within each other, each under eight names: 8^6 ways down. */
static void change_lattice(struct thaw_h5_writer *writer)
{
	hid_t group = H5Gcreate2(writer->file, "model", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

	for (int depth = 0; depth < 6; depth++) {
		hid_t next = H5Gcreate2(group, "0", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

		for (char name[] = "1"; *name < '8'; ++*name)
			CHECK(H5Lcreate_hard(group, "0", group, name, H5P_DEFAULT, H5P_DEFAULT) >= 0);
		H5Gclose(group);
		group = next;
	}
	H5Gclose(group);
}

static void change_kind(struct thaw_h5_writer *writer)
{
	hid_t type = H5Tcopy(H5T_STD_I32LE);

	CHECK(H5Tcommit2(writer->file, "model", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) >= 0);
	H5Tclose(type);
}

static void test_well_sealed_but_wrong(void)
{
	check_built(change_nothing, NULL);
	check_built(change_version, "has format version 4, this thaw reads 3");
	check_built(change_version_back, "has format version 2, this thaw reads 3");
	check_built(change_average, "average epoch -1: allowed are 0 and more");
	check_built(change_average_counts, "'average_top5' 2, 'average_count' 1: each must hold the one before");
	check_built(change_val_loss, "'val_loss' is not one number for each of 1 epochs");
	check_built(change_val_loss_type, "the elements of 'val_loss' are of another type");
	check_built(change_step, "step -1, best epoch 1: allowed are 0 and more");
	check_built(change_counts, "'so_far_top1' is 2, 'so_far_top5' 1, 'so_far_count' 1: each must hold the one before");
	check_built(change_replicas, "0 replicas, allowed are 1 to");
	check_built(change_metric, "attribute 'metric' is not a text of at most 15 bytes");
	check_built(change_job, "'job' has 3 texts, expected 1");
	check_built(change_type, "the elements of 'model/fc.bias' are of another type");
	check_built(change_rank, "'model/w' is empty or reaches beyond the file");
	check_built(change_resize, "resize 4097, crop 1: allowed are 1 to 4096, or 0 for both");
	check_built(change_crop, "resize 1, crop 0: allowed are 1 to 4096, or 0 for both");
	check_built(change_classes, "1000001 classes whose names take");
	check_built(change_link, "'/' holds links to elsewhere, or is of a newer HDF5 than thaw reads");
	check_built(change_soft_link, "'model' is a link to elsewhere");
	check_built(change_cycle, "more than 8 groups within each other");
	check_built(change_lattice, " is not as thaw writes it");
	check_built(change_kind, "'model' is neither a group nor a dataset");
}

/* Writes `bytes`, a checkpoint that was changed, under a seal that fits again. */
static void check_resealed(char *bytes, size_t length, const char *words)
{
	struct thaw_seal seal = {.kind = "checkpoint", .length = length - THAW_SEAL_LENGTH};

	thaw_seal_make(&seal, bytes, (uint8_t *)bytes + seal.length);
	CHECK_OK(thaw_file_publish(path, bytes, length));
	CHECK_FAILS(try_open(), THAW_FAILED, words);
}

/* The structure of the file itself, byte by byte as HDF5's specification has it. */
static void test_structure(void)
{
	size_t length, layout = 0, tree = 0;
	uint64_t root;
	char *bytes;

	CHECK_OK(thaw_checkpoint_write(path, NULL, &facts, tensors, TENSORS));
	CHECK_OK(thaw_file_read(path, 1 << 20, &bytes, &length));
	bytes[8] = 2; /* the superblock's version */
	check_resealed(bytes, length, "last.h5' is of another version of HDF5's format than thaw reads, its first");
	bytes[8] = 0;
	bytes[64 + 7] = 1; /* the root group's header, 2^56 bytes further on */
	check_resealed(bytes, length, "last.h5': the header of '/' is not as thaw writes it");
	bytes[64 + 7] = 0;
	memcpy(&root, bytes + 64, 8);
	bytes[root + 16 + 3] ^= 0x7f; /* the first message's length */
	check_resealed(bytes, length, "last.h5': the header of '/' is not as thaw writes it");
	bytes[root + 16 + 3] ^= 0x7f;
	while (memcmp(bytes + layout, "\x08\0\x18", 3) != 0) /* a message of this kind and length, */
		layout++;
	bytes[layout + 8 + 10]++; /* in which behind version, kind and address there is the number of bytes */
	check_resealed(bytes, length, "' is empty or reaches beyond the file");
	bytes[layout + 8 + 10]--;
	while (memcmp(bytes + tree, "TREE", 4) != 0)
		tree++;
	CHECK_INT(bytes[tree + 6], 1); /* leaves */
	bytes[tree + 6] = 2;           /* and both the same: each name twice */
	memcpy(bytes + tree + 24 + 8 + 16, bytes + tree + 24 + 8, 8);
	check_resealed(bytes, length, "last.h5': a name of '/' is not as thaw writes it");
	bytes[tree + 6] = 0; /* no leaf, no names */
	check_resealed(bytes, length, "last.h5' has no 'classes'");
	bytes[tree + 6] = 1;
	bytes[tree + 5] = 3; /* three levels of nodes above the leaves */
	check_resealed(bytes, length, "last.h5': a node of '/' is not as thaw writes it");
	free(bytes);
}

static void check_epoch(const char *file, int64_t want)
{
	struct thaw_checkpoint *checkpoint;

	CHECK_OK(thaw_checkpoint_open(file, &checkpoint));
	CHECK_INT(thaw_checkpoint_facts(checkpoint)->epoch, want);
	thaw_checkpoint_free(checkpoint);
}

/* The one before is kept where it is asked for. */
static void test_previous(void)
{
	struct thaw_checkpoint_facts next = facts;
	char previous[80];

	snprintf(previous, sizeof previous, "%s/previous.h5", folder);
	CHECK(unlink(path) == 0);
	for (next.epoch = 1; next.epoch <= 3; next.epoch++) {
		CHECK_OK(thaw_checkpoint_write(path, previous, &next, tensors, TENSORS));
		CHECK_INT(thaw_file_exists(previous), next.epoch > 1);
	}
	check_epoch(path, 3);
	check_epoch(previous, 2);
	CHECK_OK(thaw_checkpoint_write(path, NULL, &facts, tensors, TENSORS));
	check_epoch(path, 7);
	check_epoch(previous, 2);
	CHECK(unlink(previous) == 0);
}

/* 256 TiB: more than any process can have. The data are never looked at. */
static void test_no_memory(void)
{
	const struct thaw_checkpoint_tensor huge = {
		.name = "model/huge", .rank = 2, .dims = {1 << 23, 1 << 23}, .data = scalar};

	CHECK_FAILS(thaw_checkpoint_write(path, NULL, &facts, &huge, 1), THAW_OUT_OF_MEMORY, "last.h5' needs 281474976");
	check_epoch(path, 7);
}

/* A write that fails leaves the old file and nothing else. */
static void test_failed_writes(void)
{
	struct thaw_checkpoint_tensor twice[] = {tensors[1], tensors[1]};
	struct thaw_checkpoint_facts next = facts;
	struct rlimit limit, small;

	CHECK_OK(thaw_checkpoint_write(path, NULL, &facts, tensors, TENSORS));
	next.epoch = 8;
	CHECK_FAILS(thaw_checkpoint_write(path, NULL, &next, twice, 2), THAW_FAILED,
				"last.h5': HDF5 refuses 'model/fc.bias'"); /* it is there already */
	CHECK_FAILS(thaw_checkpoint_write("/none/last.h5", NULL, &next, tensors, 1), THAW_FAILED,
	            "cannot create '/none/last.h5");
	signal(SIGXFSZ, SIG_IGN); /* a full disk, more or less */
	CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	for (rlim_t most = 0; most < 4096; most += 512) {
		small = (struct rlimit){most, limit.rlim_max};
		CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
		CHECK_FAILS(thaw_checkpoint_write(path, NULL, &next, tensors, TENSORS), THAW_FAILED, "File too large");
	}
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	check_epoch(path, 7);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof path, "%s/last.h5", folder);
	test_round_trip();
	test_missing_and_misshapen();
	test_no_tensors_and_long_texts();
	test_many();
	test_damage();
	test_other_seals();
	test_well_sealed_but_wrong();
	test_structure();
	test_failed_writes();
	test_previous();
	test_no_memory();
	unlink(path);
	CHECK(rmdir(folder) == 0); /* nothing was left behind */
	return TEST_END();
}
