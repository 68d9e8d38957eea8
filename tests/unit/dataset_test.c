/*
 * Shards and splits: what is written comes back, what h5py wrote is read, and what is wrong is refused by name.
 *
 *     dataset_test [tests/golden]
 */
#define _XOPEN_SOURCE 700
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "io/dataset.h"
#include "io/seal.h"
#include "io/shard.h"
#include "tests/fixtures.h"
#include "tests/test.h"
#include "tests/unit/split.h"

static const char *folder;

/* A path in the test's folder; two may be in use at a time. */
static const char *in_folder(const char *format, ...)
{
	static char paths[2][256];
	static int turn;
	char name[128];
	va_list args;

	va_start(args, format);
	vsnprintf(name, sizeof name, format, args);
	va_end(args);
	turn ^= 1;
	snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
	return paths[turn];
}

static void clean(void)
{
	CHECK_OK(thaw_folder_clean(folder, "\\.h5$"));
}

static void write_bytes(const char *path, const void *bytes, size_t length)
{
	FILE *file = fopen(path, "wb");

	CHECK(file && fwrite(bytes, 1, length, file) == length && fclose(file) == 0);
}

static void flip(const char *path, size_t at)
{
	FILE *file = fopen(path, "r+b");
	int byte;

	CHECK(file && fseek(file, (long)at, SEEK_SET) == 0 && (byte = getc(file)) != EOF &&
		  fseek(file, (long)at, SEEK_SET) == 0 && putc(byte ^ 1 << at % 8, file) != EOF && fclose(file) == 0);
}

static thaw_status try_open(const char *pattern)
{
	struct thaw_dataset *dataset = NULL;
	thaw_status status = thaw_dataset_open(pattern, NULL, &dataset);

	if (!status)
		thaw_dataset_free(dataset);
	else
		CHECK(dataset == NULL); /* outputs are written only on success */
	return status;
}

static void check_pixels(const struct thaw_dataset *dataset, int64_t i)
{
	const uint8_t *pixels;
	const struct thaw_picture *picture = thaw_dataset_picture(dataset, i, &pixels);
	int wrong = 0;

	for (int y = 0; y < picture->height; y++)
		for (int x = 0; x < picture->width; x++)
			for (int c = 0; c < 3; c++)
				wrong += *pixels++ != split_pixel(i, y, x, c);
	CHECK_INT(wrong, 0);
}

static void test_round_trip(void)
{
	struct thaw_dataset *dataset;
	const struct thaw_dataset_facts *facts;

	CHECK_OK(split_write(in_folder("train-00000-of-00003.h5"), 7, 0, 3));
	CHECK_OK(split_write(in_folder("train-00001-of-00003.h5"), 7, 3, 1));
	CHECK_OK(split_write(in_folder("train-00002-of-00003.h5"), 7, 4, 3));
	CHECK_OK(thaw_dataset_open(in_folder("train-*.h5"), NULL, &dataset));
	facts = thaw_dataset_facts(dataset);
	CHECK_TEXT(facts->split, "train");
	CHECK_INT(facts->count, 7);
	CHECK_INT(facts->classes, 3);
	CHECK_INT(facts->resize, 16);
	CHECK_NEAR(facts->mean[1], 0.25, 0);
	CHECK_NEAR(facts->std[2], 4, 0);
	CHECK_TEXT(thaw_dataset_class(dataset, 0), "ants");
	CHECK_TEXT(thaw_dataset_class(dataset, 2), "wasps");
	CHECK_INT(thaw_dataset_class_count(dataset, 0), 3); /* pictures 0, 3, 6 */
	CHECK_INT(thaw_dataset_class_count(dataset, 1), 2);
	CHECK_INT(thaw_dataset_class_count(dataset, 2), 2);
	for (int i = 0; i < 7; i++) {
		const struct thaw_picture *picture = thaw_dataset_picture(dataset, i, NULL);
		char name[32];

		CHECK_INT(picture->height, 16 + 5 * (i % 4));
		CHECK_INT(picture->width, 20 + 7 * (i % 3));
		CHECK_INT(picture->label, i % 3);
		snprintf(name, sizeof name, "%s/%d.png", split_classes[i % 3], i);
		CHECK_TEXT(thaw_dataset_name(dataset, i), name);
		check_pixels(dataset, i);
	}
	CHECK_OK(thaw_dataset_verify(dataset));
	thaw_dataset_free(dataset);
	thaw_dataset_free(NULL);
	clean();
}

/* Neither the time nor what stands between the members of an index row in memory reaches the file. */
static void test_same_pictures_same_bytes(void)
{
	struct split_shard *s = split_draw(3, 0, 3);
	char *bytes[2];
	size_t length[2];
	time_t first = time(NULL);

	for (int k = 0; k < 2; k++) {
		const char *path = in_folder("%d.h5", k);

		CHECK_OK(thaw_shard_write(path, &s->shard));
		CHECK_OK(thaw_file_read(path, 1 << 20, &bytes[k], &length[k]));
		while (time(NULL) == first)
			nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		for (int i = 0; i < 3; i++)
			memset((char *)&s->index[i] + offsetof(struct thaw_picture, crc32c) + 4, 0xee,
				   sizeof s->index[i] - offsetof(struct thaw_picture, crc32c) - 4);
	}
	CHECK(length[0] == length[1] && memcmp(bytes[0], bytes[1], length[0]) == 0);
	free(bytes[0]);
	free(bytes[1]);
	split_free(s);
	clean();
}

/* Shards of any number of pixels have them last. */
static void test_sizes(void)
{
	for (int size = 1; size < 60; size++) {
		struct split_shard *s = split_draw(1, 0, 1);

		s->index[0].height = 1;
		s->index[0].width = (uint16_t)size;
		CHECK_OK(thaw_shard_write(in_folder("a-0-of-1.h5"), &s->shard));
		CHECK_OK(try_open(in_folder("a-0-of-1.h5")));
		split_free(s);
	}
	clean();
}

/* What make_shards.py put into shards.bin, and the words that each must be refused with; "" for the good one. */
static const struct {
	const char *name, *words;
} made[] = {
	{"good", ""},
	{"no-version", "has no attribute 'format_version'"},
	{"other-version", "has format version 2, this thaw reads 1"},
	{"big-endian-count", "attribute 'count' is of another type"},
	{"real-count", "attribute 'count' is of another type"},
	{"long-split", "attribute 'split' is not a text of at most 7 bytes"},
	{"variable-split", "attribute 'split' is not a text of at most 7 bytes"},
	{"two-means", "attribute 'mean' has 2 values, expected 3"},
	{"nan-mean", "channel 1 has mean nan and std 0.224"},
	{"zero-std", "channel 2 has mean 0.406 and std 0"},
	{"zero-resize", "resize is 0, allowed are 1 to 65535"},
	{"wrong-count", "hold 4 pictures, expected 5"},
	{"no-classes", "has no 'classes'"},
	{"unsorted-classes", "class 'bees' stands before 'ants', they must ascend"},
	{"equal-classes", "class 'ants' stands before 'ants', they must ascend"},
	{"nameless-class", "class 0 has no name"},
	{"variable-classes", "the elements of 'classes' are of another type"},
	{"square-classes", "'classes' has 2 dimensions, expected 1"},
	{"three-names", "has 4 pictures and 3 names"},
	{"chunked-index", "'index' is not stored in one piece"},
	{"narrow-index", "the elements of 'index' are of another type"},
	{"square-index", "'index' has 2 dimensions, expected 1"},
	{"label-too-large", "picture 1 has label 3, allowed are 0 to 2"},
	{"label-negative", "picture 1 has label -1, allowed are 0 to 2"},
	{"offset-wrong", "picture 2 begins at byte 9223372036854775808 of 'pixels', expected 2112"},
	{"no-height", "picture 3 has no size"},
	{"too-high", "its pictures have 6097839 bytes, 'pixels' has 4572"},
	{"chunked-pixels", "'pixels' is not stored in one piece"},
	{"deflated-pixels", "'pixels' is not stored in one piece"},
	{"external-pixels", "'pixels' is not stored in one piece"},
	{"virtual-pixels", "'pixels' is not stored in one piece"},
	{"huge-pixels", "'pixels' is empty or reaches beyond the file"},
	{"empty-pixels", "'pixels' is empty or reaches beyond the file"},
	{"signed-pixels", "the elements of 'pixels' are of another type"},
	{"soft-link", "'pixels' is a link to elsewhere"},
	{"external-link", "'/' holds links to elsewhere, or is of a newer HDF5 than thaw reads"},
	{"group-pixels", "'pixels' is not a dataset"},
	{"pixels-first", "'pixels' are not what its seal leaves out"},
	{"not-hdf5", "is not HDF5"},
	{"checkpoint", "is a checkpoint, not a shard"},
};

/* The good one's facts and pixels are computed here and there from the same formula; its CRCs by two programs. */
static void check_good(const char *path)
{
	struct thaw_dataset *dataset;

	CHECK_OK(thaw_dataset_open(path, NULL, &dataset));
	CHECK_INT(thaw_dataset_facts(dataset)->count, 4);
	CHECK_NEAR(thaw_dataset_facts(dataset)->mean[2], 0.406, 1e-7);
	CHECK_TEXT(thaw_dataset_name(dataset, 1), "wasps/1.jpg");
	CHECK_INT(thaw_dataset_class_count(dataset, 2), 2);
	CHECK_INT(thaw_dataset_picture(dataset, 3, NULL)->width, 31);
	for (int i = 0; i < 4; i++)
		check_pixels(dataset, i);
	CHECK_OK(thaw_dataset_verify(dataset));
	thaw_dataset_free(dataset);
}

static void test_shards_of_h5py(const char *golden)
{
	struct fixtures f = fixtures_open(golden, "shards.bin");
	size_t count = 0;

	for (; fixtures_next(&f); count++) {
		const char *shard = in_folder("%s-00000-of-00001.h5", f.name);

		write_bytes(shard, f.bytes, f.length);
		if (count == sizeof made / sizeof *made || strcmp(f.name, made[count].name) != 0)
			TEST_FAIL("'%s' is not the shard expected at place %zu", f.name, count);
		else if (made[count].words[0])
			CHECK_FAILS(try_open(shard), THAW_FAILED, made[count].words);
		else
			check_good(shard);
		CHECK(!made[count].words[0] || strstr(thaw_fail_text(), f.name)); /* the message names the file */
	}
	CHECK_INT(count, sizeof made / sizeof *made);
	clean();
}

/* One split of two shards, of which the second was changed, or has another name. */
static void check_split(const char *second_name, void (*change)(struct split_shard *), thaw_status want,
                        const char *words)
{
	struct split_shard *s = split_draw(4, 2, 2);

	if (change)
		change(s);
	CHECK_OK(split_write(in_folder("train-00000-of-00002.h5"), 4, 0, 2));
	CHECK_OK(thaw_shard_write(in_folder("%s", second_name), &s->shard));
	if (words)
		CHECK_FAILS(try_open(in_folder("*.h5")), want, words);
	else
		CHECK_OK(try_open(in_folder("*.h5")));
	split_free(s);
	clean();
}

static void change_split(struct split_shard *s)
{
	strcpy(s->facts.split, "val");
}

static void change_count(struct split_shard *s)
{
	s->facts.count = 5;
}

static void change_resize(struct split_shard *s)
{
	s->facts.resize = 17;
}

static void change_mean(struct split_shard *s)
{
	s->facts.mean[2] = 0.5f;
}

static void change_std(struct split_shard *s)
{
	s->facts.std[0] = 0.5f;
}

static void change_classes(struct split_shard *s)
{
	s->facts.classes = 2;
	s->index[0].label = 0; /* was 2 */
}

static void change_class(struct split_shard *s)
{
	s->classes[1] = "beetles";
}

static void test_splits(void)
{
	check_split("train-00001-of-00002.h5", NULL, THAW_OK, NULL);
	check_split("train-00001-of-00003.h5", NULL, THAW_FAILED, "is one of 3 shards");
	check_split("train-0-of-2.h5", NULL, THAW_FAILED, "are the same part of a split");
	check_split("train-00001-of-00002.h5", change_split, THAW_FAILED, "has another split than");
	check_split("train-00001-of-00002.h5", change_count, THAW_FAILED, "has another count than");
	check_split("train-00001-of-00002.h5", change_resize, THAW_FAILED, "has another resize than");
	check_split("train-00001-of-00002.h5", change_mean, THAW_FAILED, "channel 2 is normalised by mean 0.75, std 4 in '");
	check_split("train-00001-of-00002.h5", change_std, THAW_FAILED, "channel 0 is normalised by mean 0.5, std 1 in '");
	check_split("train-00001-of-00002.h5", change_classes, THAW_FAILED, "-00000-of-00002.h5' has 3 classes, '");
	check_split("train-00001-of-00002.h5", change_class, THAW_FAILED, "class 1 is 'bees' in '");
	CHECK_OK(split_write(in_folder("train-00000-of-00002.h5"), 4, 0, 2));
	CHECK_FAILS(try_open(in_folder("*.h5")), THAW_FAILED, "is one of 2 shards");
	clean();
	CHECK(mkdir(in_folder("d-0-of-1.h5"), 0777) == 0);
	CHECK_FAILS(try_open(in_folder("*.h5")), THAW_FAILED, "not a plain file");
	CHECK(rmdir(in_folder("d-0-of-1.h5")) == 0);
	CHECK(mkfifo(in_folder("d-0-of-1.h5"), 0666) == 0);
	CHECK_FAILS(try_open(in_folder("*.h5")), THAW_FAILED, "d-0-of-1.h5': not a plain file");
	clean();
}

/* Patterns that cannot be used, whatever the files hold. */
static void test_patterns(void)
{
	struct thaw_dataset *dataset = NULL;
	const char *wrong[] = {"train.h5",         "train-2-of-2.h5",      "train-1234567890-of-2.h5",
	                       "1-of-2.h5",        "train-1-of-.h5",       "train- 1-of-2.h5",
	                       "train-+1-of-2.h5", "train-0-of-2.h5.h5"};
	char words[600], here[500];

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		check_split(wrong[i], NULL, THAW_BAD_JOB, "is not named as a shard: expected ...-00000-of-00001.h5");
	snprintf(words, sizeof words,
	         "'%s/*.h5' matches shards of 'train' and of 'val': expected is a pattern of one of them, such as "
	         "'%s/train-*.h5'",
	         folder, folder);
	check_split("val-00000-of-00001.h5", NULL, THAW_BAD_JOB, words);
	CHECK_FAILS(try_open(in_folder("none-*.h5")), THAW_BAD_JOB, "no shard matches '");
	CHECK(!strstr(thaw_fail_text(), " (from "));
	CHECK(getcwd(here, sizeof here) != NULL);
	snprintf(words, sizeof words, "no shard matches 'none-*.h5' (from %s)", here);
	CHECK_FAILS(try_open("none-*.h5"), THAW_BAD_JOB, words);
	snprintf(words, sizeof words, "'%s' is a folder: expected is a pattern of shards, such as '%s/val-*.h5'", folder,
	         folder);
	CHECK_FAILS(thaw_dataset_open(folder, "val", &dataset), THAW_BAD_JOB, words);
	snprintf(words, sizeof words, "such as '%s/train-*.h5'", folder);
	CHECK_FAILS(try_open(in_folder("")), THAW_BAD_JOB, words);
	CHECK(dataset == NULL);
}

static void test_names(void)
{
	struct thaw_shard_name name = {.number = -1};
	struct thaw_text text = THAW_TEXT_EMPTY;

	CHECK(thaw_shard_name_parse("some-0-of-1.h5/my-train-00012-of-00345.h5", &name));
	CHECK(name.split_length == 8 && memcmp(name.split, "my-train", 8) == 0);
	CHECK_INT(name.number, 12);
	CHECK_INT(name.of, 345);
	CHECK(!thaw_shard_name_parse("train-0-of-1.h5/x", &name));
	CHECK_INT(name.number, 12);
	thaw_shard_name_add(&text, "val", 7, 123456);
	CHECK_TEXT(text.data, "val-00007-of-123456.h5");
	thaw_text_release(&text);
}

/* The split that is asked for, and none that has more pictures than an epoch's order can name. */
static void test_asked_split(void)
{
	const char *path = in_folder("x-0-of-1.h5");
	struct thaw_dataset *dataset = NULL;
	struct split_shard *s = split_draw(2, 0, 2);

	CHECK_OK(thaw_shard_write(path, &s->shard));
	CHECK_FAILS(thaw_dataset_open(path, "val", &dataset), THAW_BAD_JOB, "x-0-of-1.h5' holds the train split, not val");
	CHECK(dataset == NULL);
	CHECK_OK(thaw_dataset_open(path, "train", &dataset));
	thaw_dataset_free(dataset);
	for (int k = 0; k < 2; k++) {
		s->facts.count = k ? (int64_t)1 << 31 : 0;
		CHECK_OK(thaw_shard_write(path, &s->shard));
		CHECK_FAILS(try_open(path), THAW_FAILED,
		            k ? "x-0-of-1.h5' is of a split of 2147483648 pictures, allowed are 1 to 2147483647"
		              : "x-0-of-1.h5' is of a split of 0 pictures");
	}
	split_free(s);
	clean();
}

/* Every byte beside the pixels flipped, and every length: refused. A flipped pixel: found by verify. */
static void test_damage(void)
{
	const char *path = in_folder("d-0-of-1.h5");
	const size_t pixels = 16 * 20 * 3 + 21 * 27 * 3;
	struct thaw_dataset *dataset;
	struct stat info;
	size_t length, first;
	int wrong = 0;

	CHECK_OK(split_write(path, 2, 0, 2));
	CHECK(stat(path, &info) == 0);
	length = (size_t)info.st_size;
	first = length - THAW_SEAL_LENGTH - pixels;
	for (size_t at = 0; at < length; at = at + 1 == first ? first + pixels : at + 1) {
		flip(path, at);
		wrong += try_open(path) != THAW_FAILED;
		flip(path, at);
	}
	CHECK_INT(wrong, 0);
	flip(path, first + pixels - 1);
	CHECK_OK(thaw_dataset_open(path, NULL, &dataset));
	CHECK_FAILS(thaw_dataset_verify(dataset), THAW_FAILED, "d-0-of-1.h5' is damaged: the pixels of 'bees/1.png'");
	thaw_dataset_free(dataset);
	for (off_t shorter = (off_t)length - 1; shorter >= 0; shorter--) {
		CHECK(truncate(path, shorter) == 0);
		wrong += try_open(path) != THAW_FAILED;
		if (shorter == 1000)
			CHECK(strstr(thaw_fail_text(), "is cut short"));
	}
	CHECK_INT(wrong, 0);
	clean();
}

/* Two splits of one shard each; the second was changed. */
static void check_match(void (*change)(struct split_shard *), const char *words)
{
	struct split_shard *s = split_draw(2, 0, 2);
	struct thaw_dataset *a, *b;

	if (change)
		change(s);
	CHECK_OK(split_write(in_folder("a-0-of-1.h5"), 2, 0, 2));
	CHECK_OK(thaw_shard_write(in_folder("b-0-of-1.h5"), &s->shard));
	CHECK_OK(thaw_dataset_open(in_folder("a-0-of-1.h5"), NULL, &a));
	CHECK_OK(thaw_dataset_open(in_folder("b-0-of-1.h5"), NULL, &b));
	if (words)
		CHECK_FAILS(thaw_dataset_match(a, b), THAW_BAD_JOB, words);
	else
		CHECK_OK(thaw_dataset_match(a, b));
	thaw_dataset_free(a);
	thaw_dataset_free(b);
	split_free(s);
	clean();
}

static void test_match(void)
{
	check_match(change_split, NULL);
	check_match(change_resize, NULL);
	check_match(change_classes, "a-0-of-1.h5' has 3 classes");
	check_match(change_class, "class 1 is 'bees' in '");
	check_match(change_mean, "channel 2 is normalised by mean 0.75, std 4 in '");
	check_match(change_std, "channel 0 is normalised by mean 0.5, std 1 in '");
}

static void test_failed_writes(void)
{
	struct rlimit limit, small;

	CHECK_FAILS(split_write(in_folder("none/a.h5"), 2, 0, 2), THAW_FAILED, "cannot create '");
	signal(SIGXFSZ, SIG_IGN); /* a full disk, more or less */
	CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	for (rlim_t most = 0; most < 8192; most += 512) {
		small = (struct rlimit){most, limit.rlim_max};
		CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
		CHECK_FAILS(split_write(in_folder("a.h5"), 4, 0, 4), THAW_FAILED, "a.h5': File too large");
		CHECK(access(in_folder("a.h5"), F_OK) != 0);
	}
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK_OK(split_write(in_folder("a.h5"), 4, 0, 4));
	clean();
}

enum { OWN_MAP, TWO_SHARDS };

/* Reads behind the end of a file that became shorter, in a process of its own: its exit, and what it says. */
static int read_shortened(int which, char *said, size_t size)
{
	static const struct rlimit no_core;
	int pipes[2], end = 0;
	struct thaw_dataset *dataset = NULL;
	const uint8_t *pixels;
	ssize_t length;
	pid_t child;

	CHECK(pipe(pipes) == 0);
	child = fork();
	if (child == 0) {
		dup2(pipes[1], STDERR_FILENO);
		setrlimit(RLIMIT_CORE, &no_core);
		thaw_dataset_open(in_folder("t-*.h5"), NULL, &dataset);
		thaw_dataset_picture(dataset, 2, &pixels); /* the first of the second shard */
		if (which == OWN_MAP) {
			int fd = open(in_folder("other.h5"), O_RDWR | O_CREAT, 0666);

			pixels = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
		} else if (truncate(in_folder("t-1-of-2.h5"), 0) != 0) {
			_exit(2);
		}
		_exit(*(const volatile uint8_t *)pixels == 0 ? 3 : 4);
	}
	close(pipes[1]);
	length = read(pipes[0], said, size - 1);
	said[length > 0 ? length : 0] = '\0';
	close(pipes[0]);
	CHECK(child > 0 && waitpid(child, &end, 0) == child);
	return end;
}

static void test_shortened(void)
{
	char said[600], words[600];
	int end;

	CHECK_OK(split_write(in_folder("t-0-of-2.h5"), 4, 0, 2));
	CHECK_OK(split_write(in_folder("t-1-of-2.h5"), 4, 2, 2));
	end = read_shortened(OWN_MAP, said, sizeof said);
	CHECK(WIFSIGNALED(end) && WTERMSIG(end) == SIGBUS);
	CHECK_TEXT(said, "");
	end = read_shortened(TWO_SHARDS, said, sizeof said);
	CHECK(WIFEXITED(end) && WEXITSTATUS(end) == 1);
	snprintf(words, sizeof words, "thaw: '%s/t-1-of-2.h5' became shorter while it was read, or its disk fails\n", folder);
	CHECK_TEXT(said, words);
	clean();
}

int main(int argc, char **argv)
{
	signal(SIGBUS, SIG_DFL); /* a sanitizer has its own */
	folder = split_folder();
	test_round_trip();
	test_same_pictures_same_bytes();
	test_sizes();
	test_shards_of_h5py(argc > 1 ? argv[1] : "tests/golden");
	test_splits();
	test_patterns();
	test_names();
	test_asked_split();
	test_damage();
	test_match();
	test_failed_writes();
	test_shortened();
	split_remove(folder);
	return TEST_END();
}
