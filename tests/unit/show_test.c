/* What `thaw show` says of a checkpoint, of which everything is known; shards are shown in tests/cli/pack_test.sh. */
#define _POSIX_C_SOURCE 200809L
#include "tools/commands.h"

#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/checkpoint.h"
#include "tests/test.h"
#include "tests/unit/split.h"

static char folder[] = "/tmp/thaw-show-XXXXXX";
static char path[64], said[4096];

static void write_checkpoint(void)
{
	static const char *const names[] = {"ants", "bees"};
	static float values[1200];
	const double losses[2] = {0}, val_losses[9] = {0};
	const struct thaw_checkpoint_facts facts = {
		.epoch = 9,
		.step = 36,
		.best = 0.94771,
		.best_epoch = 8,
		.replicas = 1,
		.losses = losses,
		.val_losses = val_losses,
		.metric = "top1",
		.arch = "resnet18",
		.mean = {0.485f, 0.456f, 0.406f},
		.std = {0.229f, 0.224f, 0.225f},
		.classes = 2,
		.names = names,
		.job = "name: x\n",
		.build = "oneDNN 2.6.3 avx2, 1 thread a rank",
	};
	const struct thaw_checkpoint_tensor tensors[] = {
		{"average/fc.weight", 2, {2, 20}, values},
		{"model/bn1.running_mean", 1, {20}, values},
		{"model/bn1.weight", 1, {20}, values},
		{"model/conv1.weight", 4, {20, 3, 4, 5}, values},
		{"model/fc.weight", 2, {2, 20}, values},
		{"optimizer/momentum/fc.weight", 2, {2, 20}, values},
	};

	CHECK_OK(thaw_checkpoint_write(path, NULL, &facts, tensors, 6));
}

/* Runs the command with standard output in a file, and reads that into `said`. */
static thaw_status show(const char *option)
{
	char *argv[] = {(char *)"show", path, (char *)option, NULL};
	int kept = dup(STDOUT_FILENO);
	FILE *file = tmpfile();
	thaw_status status;

	if (!file)
		SKIP("no temporary file");
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	status = thaw_command_show.run(&thaw_command_show, option ? 3 : 2, argv);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	rewind(file);
	said[fread(said, 1, sizeof said - 1, file)] = '\0';
	fclose(file);
	return status;
}

static void test_facts(void)
{
	static const char want[] = "  arch       resnet18\n"
	                           "  epoch      9, step 36\n"
	                           "  best       top1 0.9477 at epoch 8\n"
	                           "  model      1,260 parameters in 3 tensors, 1 of statistics\n" /* 20 + 1200 + 40 */
	                           "  optimizer  1 tensor\n"
	                           "  average    1 tensor\n"
	                           "  normalise  mean 0.485 0.456 0.406  deviation 0.229 0.224 0.225\n"
	                           "  build      oneDNN 2.6.3 avx2, 1 thread a rank\n"
	                           "  classes    2\n"
	                           "        0  ants\n"
	                           "        1  bees\n";

	CHECK_OK(show(NULL));
	CHECK(strncmp(said, path, strlen(path)) == 0 && said[strlen(path)] == '\n');
	CHECK_TEXT(said + strlen(path) + 1, want);
}

/* Counts stand below each other by characters, but for a very long name, and nothing reaches the terminal as it is. */
static void test_class_names(void)
{
	static const char want[] = "  classes    4\n"
	                           "        0  \\x1B[31mred               1\n"
	                           "        1  a name of just over 40 characters, and more  1\n"
	                           "        2  caf\xC3\xA9s and their terraces  1\n"
	                           "        3  x\\xFF                     1\n";
	const char *classes[] = {"\x1B[31mred", "a name of just over 40 characters, and more",
	                         "caf\xC3\xA9s and their terraces", "x\xFF"};
	struct split_shard *s = split_draw(4, 0, 4);
	char checkpoint[64], *at;

	memcpy(checkpoint, path, sizeof path);
	snprintf(path, sizeof path, "%s/train-00000-of-00001.h5", folder);
	s->facts.classes = 4;
	s->shard.classes = classes;
	s->index[3].label = 3;
	s->names[1] = "bees/\x07.png";
	CHECK_OK(thaw_shard_write(path, &s->shard));
	CHECK_OK(show("--names"));
	at = strstr(said, "  classes ");
	CHECK(at && strncmp(at, want, strlen(want)) == 0);
	CHECK(strstr(said, "  bees/\\x07.png\n"));
	unlink(path);
	memcpy(path, checkpoint, sizeof path);
	split_free(s);
}

static void test_pipe_is_refused(void)
{
	char checkpoint[64];

	memcpy(checkpoint, path, sizeof path);
	snprintf(path, sizeof path, "%s/f-00000-of-00001.h5", folder);
	CHECK(mkfifo(path, 0666) == 0);
	CHECK_FAILS(show(NULL), THAW_FAILED, "f-00000-of-00001.h5': not a plain file");
	unlink(path);
	memcpy(path, checkpoint, sizeof path);
}

/* The digests are those of 4800 and of 160 zero bytes, by sha256sum. */
static void test_tensors(void)
{
	CHECK_OK(show("--tensors"));
	CHECK(strstr(said, "  model/conv1.weight                                20 x 3 x 4 x 5        24ddaa4710480313\n"));
	CHECK(strstr(said, "  optimizer/momentum/fc.weight                      2 x 20                b393978842a0fa3d\n"));
}

static void test_damage_is_refused(void)
{
	FILE *file = fopen(path, "r+b");

	CHECK(file && fseek(file, 700, SEEK_SET) == 0);
	if (file) {
		int byte = fgetc(file);

		fseek(file, 700, SEEK_SET);
		fputc(byte ^ 4, file);
		fclose(file);
	}
	CHECK_FAILS(show(NULL), THAW_FAILED, "damaged");
}

int main(void)
{
	if (!mkdtemp(folder))
		SKIP("no folder under /tmp");
	snprintf(path, sizeof path, "%s/best.h5", folder);
	write_checkpoint();
	test_facts();
	test_tensors();
	test_class_names();
	test_pipe_is_refused();
	test_damage_is_refused();
	unlink(path);
	rmdir(folder);
	return TEST_END();
}
