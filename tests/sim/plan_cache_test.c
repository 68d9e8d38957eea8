/* Plans that are kept: read back, damaged, shared, not to be written; how they are told apart, and which is taken. */
#define _GNU_SOURCE /* mkdtemp, setenv */
#include "nn/cuda/plan_cache.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "nn/cuda/choice.h"
#include "tests/test.h"

static char folder[] = "/tmp/thaw-plans-XXXXXX";
static struct thaw_text path = THAW_TEXT_EMPTY;

/* printf 'one\tplan 1' | sha256sum */
#define ONE "1377f8745a1371690f9336509b212f16f1d4f2eec801bf458dc7af3853fa6759\tone\tplan 1\n"
#define TWO "1c79712e87b7d8d09b4eb4139b24511a2e6aea7dc61f8b98e6d5c7bab6bbb358\ttwo\tplan 2\n"
#define THREE "739def8eb92e4b9e6fb48932ccac17c8d68895223436ae8bf6e8e35de375a807\tthree\tplan 3\n"

static const char *const keys[] = {"one", "two", "three"}, *const plans[] = {"plan 1", "plan 2", "plan 3"};

static void write_file(const void *bytes, size_t length)
{
	CHECK_OK(thaw_file_replace(path.data, bytes, length));
}

static struct thaw_plan_cache load(void)
{
	struct thaw_plan_cache cache = {.path = THAW_TEXT_EMPTY};

	CHECK_OK(thaw_plan_cache_load(&cache));
	return cache;
}

/* What the file has for a key; "" for nothing. */
static const char *find(struct thaw_plan_cache *cache, const char *key)
{
	const struct thaw_plan_record *record = thaw_plan_cache_find(cache, key);

	return record ? record->plan : "";
}

static void check_file(const char *want)
{
	char *bytes = NULL;
	size_t length;

	CHECK_OK(thaw_file_read(path.data, 1 << 20, &bytes, &length));
	if (bytes)
		CHECK_TEXT(bytes, want);
	free(bytes);
}

/* --- the file ---------------------------------------------------------------------------------------------------- */

static void test_kept(void)
{
	struct thaw_plan_cache cache = load();

	CHECK_TEXT(find(&cache, "one"), "");
	CHECK_OK(thaw_plan_cache_add(&cache, "one", "plan 9", THAW_PLAN_TIMED));
	CHECK_OK(thaw_plan_cache_add(&cache, "one", "plan 1", THAW_PLAN_TIMED));
	CHECK_OK(thaw_plan_cache_add(&cache, "four", "plan 4", THAW_PLAN_PROPOSED));
	CHECK_TEXT(find(&cache, "one"), "plan 1");
	CHECK(!thaw_file_exists(path.data));
	thaw_plan_cache_keep(&cache);
	check_file(ONE);
	CHECK_OK(thaw_plan_cache_add(&cache, "two", "plan 2", THAW_PLAN_TIMED));
	thaw_plan_cache_keep(&cache);
	check_file(ONE TWO);
	thaw_plan_cache_release(&cache);
	cache = load();
	CHECK_TEXT(find(&cache, "one"), "plan 1");
	CHECK_TEXT(find(&cache, "two"), "plan 2");
	CHECK_TEXT(find(&cache, "four"), "");
	CHECK_INT(thaw_plan_cache_find(&cache, "one")->origin, THAW_PLAN_KEPT);
	unlink(path.data);
	thaw_plan_cache_keep(&cache); /* nothing is new: nothing is written */
	CHECK(!thaw_file_exists(path.data));
	thaw_plan_cache_release(&cache);
}

/* Two who began with the same file: what one added meanwhile stays, and of one key the later timing does. */
static void test_merged(void)
{
	struct thaw_plan_cache a, b;

	write_file(ONE, strlen(ONE));
	a = load();
	b = load();
	CHECK_OK(thaw_plan_cache_add(&a, "one", "plan 7", THAW_PLAN_TIMED));
	CHECK_OK(thaw_plan_cache_add(&a, "two", "plan 2", THAW_PLAN_TIMED));
	thaw_plan_cache_keep(&a);
	CHECK_OK(thaw_plan_cache_add(&b, "one", "plan 1", THAW_PLAN_TIMED));
	CHECK_OK(thaw_plan_cache_add(&b, "three", "plan 3", THAW_PLAN_TIMED));
	thaw_plan_cache_keep(&b);
	check_file(ONE THREE TWO);
	thaw_plan_cache_release(&a);
	thaw_plan_cache_release(&b);
}

static void test_many(void)
{
	struct thaw_plan_cache cache = load();
	char key[32], plan[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "key %d", i);
		snprintf(plan, sizeof plan, "plan %d", i);
		CHECK_OK(thaw_plan_cache_add(&cache, key, plan, THAW_PLAN_TIMED));
	}
	thaw_plan_cache_keep(&cache);
	thaw_plan_cache_release(&cache);
	cache = load();
	for (int i = 0; i < 1000; i++) {
		snprintf(key, sizeof key, "key %d", i);
		snprintf(plan, sizeof plan, "plan %d", i);
		CHECK_TEXT(find(&cache, key), plan);
	}
	CHECK_TEXT(find(&cache, "key 1000"), "");
	thaw_plan_cache_release(&cache);
	unlink(path.data);
}

/* --- damage ------------------------------------------------------------------------------------------------------ */

/* Each key finds its own plan or nothing; at least `least` of them do. */
static void check_damaged(const char *bytes, size_t length, int least)
{
	struct thaw_plan_cache cache;
	int right = 0;

	write_file(bytes, length);
	cache = load();
	for (int i = 0; i < 3; i++) {
		const char *plan = find(&cache, keys[i]);

		CHECK(!*plan || strcmp(plan, plans[i]) == 0);
		right += *plan != '\0';
	}
	CHECK(right >= least && cache.count <= 3);
	thaw_plan_cache_release(&cache);
}

static void test_damaged(void)
{
	static const char whole[] = ONE TWO THREE;
	static const char values[] = {0, '\n', '\t', ' ', '0', 'a', (char)0xff};
	enum { LENGTH = sizeof whole - 1 };
	char bytes[LENGTH + 1];

	for (size_t at = 0; at < LENGTH; at++) {
		for (int bit = 0; bit < 8; bit++) {
			memcpy(bytes, whole, LENGTH);
			bytes[at] ^= (char)(1 << bit);
			check_damaged(bytes, LENGTH, 1); /* a line's end that is lost takes two with it */
		}
		for (size_t i = 0; i < sizeof values; i++) {
			memcpy(bytes, whole, LENGTH);
			bytes[at] = values[i];
			check_damaged(bytes, LENGTH, 1);
			memcpy(bytes + at + 1, whole + at, LENGTH - at); /* one more */
			check_damaged(bytes, LENGTH + 1, 1);
		}
		memcpy(bytes, whole, at);
		memcpy(bytes + at, whole + at + 1, LENGTH - at - 1); /* one less */
		check_damaged(bytes, LENGTH - 1, 1);
		check_damaged(whole, at, at < strlen(ONE) - 1 ? 0 : 1); /* cut off */
	}
	check_damaged(whole, LENGTH, 3);
}

static void test_foreign(void)
{
	static const char other[] = "\x89HDF\r\n\x1a\n\0\0\0 plan 1 one\n\t\t\t\n\n";
	struct thaw_plan_cache cache;

	check_damaged(other, sizeof other, 0);
	cache = load();
	CHECK_OK(thaw_plan_cache_add(&cache, "one", "plan 1", THAW_PLAN_TIMED));
	thaw_plan_cache_keep(&cache);
	check_file(ONE);
	thaw_plan_cache_release(&cache);
}

/* One that has a byte too many is as if it were not there, and is replaced; the file never becomes one. */
static void test_huge(void)
{
	static const char *const name = "long";
	struct thaw_plan_cache cache;
	char *plan = malloc(THAW_PLAN_CACHE_LIMIT);

	write_file(ONE, strlen(ONE));
	CHECK_INT(truncate(path.data, THAW_PLAN_CACHE_LIMIT + 1), 0);
	cache = load();
	CHECK_TEXT(find(&cache, "one"), "");
	CHECK_OK(thaw_plan_cache_add(&cache, "two", "plan 2", THAW_PLAN_TIMED));
	thaw_plan_cache_keep(&cache);
	check_file(TWO);
	thaw_plan_cache_release(&cache);
	cache = load();
	memset(plan, 'x', THAW_PLAN_CACHE_LIMIT);
	plan[THAW_PLAN_CACHE_LIMIT - 64 - 1 - strlen(name) - 1 - 1] = '\0'; /* checksum, tab, key, tab, plan, line's end */
	CHECK_OK(thaw_plan_cache_add(&cache, name, plan, THAW_PLAN_TIMED));
	thaw_plan_cache_keep(&cache);
	thaw_plan_cache_release(&cache);
	cache = load();
	CHECK_TEXT(find(&cache, name), plan); /* it just fits, */
	CHECK_TEXT(find(&cache, "two"), "");  /* but not this too */
	CHECK_OK(thaw_plan_cache_add(&cache, "one", "plan 1", THAW_PLAN_TIMED));
	thaw_plan_cache_keep(&cache);
	check_file(ONE);
	thaw_plan_cache_release(&cache);
	free(plan);
	unlink(path.data);
}

/* --- several processes ------------------------------------------------------------------------------------------- */

enum { WRITERS = 6, ROUNDS = 20 };

static void write_often(int writer)
{
	char key[64], plan[64];

	for (int round = 0; round < ROUNDS; round++) {
		struct thaw_plan_cache cache = load();

		snprintf(key, sizeof key, "writer %d, round %d", writer, round);
		snprintf(plan, sizeof plan, "plan of %d in %d", writer, round);
		CHECK_OK(thaw_plan_cache_add(&cache, key, plan, THAW_PLAN_TIMED));
		thaw_plan_cache_keep(&cache);
		CHECK(!cache.warned);
		thaw_plan_cache_release(&cache);
	}
}

/* How many of the writers' plans the file has; none is wrong. */
static int count_right(void)
{
	struct thaw_plan_cache cache = load();
	char key[64], plan[64];
	int right = 0;

	for (int writer = 0; writer < WRITERS; writer++)
		for (int round = 0; round < ROUNDS; round++) {
			const char *found;

			snprintf(key, sizeof key, "writer %d, round %d", writer, round);
			snprintf(plan, sizeof plan, "plan of %d in %d", writer, round);
			found = find(&cache, key);
			CHECK(!*found || strcmp(found, plan) == 0);
			right += *found != '\0';
		}
	CHECK_INT(cache.count, right);
	thaw_plan_cache_release(&cache);
	return right;
}

static void test_writers(void)
{
	pid_t children[WRITERS];
	int code;

	fflush(stdout);
	for (int i = 0; i < WRITERS; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			write_often(i);
			fflush(stdout);
			_exit(test_failures != 0);
		}
	}
	for (int i = 0; i < WRITERS; i++) {
		while (waitpid(children[i], &code, WNOHANG) == 0)
			count_right();
		CHECK_INT(code, 0);
	}
	CHECK(count_right() > 0); /* how many were lost is chance */
	unlink(path.data);
}

static void test_learnt(void)
{
	struct thaw_plan_cache cache;
	struct thaw_text said = THAW_TEXT_EMPTY;

	write_file(ONE TWO, strlen(ONE TWO));
	cache = load();
	CHECK_TEXT(find(&cache, "two"), "plan 2");
	CHECK_OK(thaw_plan_cache_text(&cache, &said));
	CHECK_TEXT(said.data, TWO); /* what was not asked for is of no interest */
	thaw_plan_cache_release(&cache);

	write_file(ONE, strlen(ONE));
	cache = load();
	CHECK_OK(thaw_plan_cache_add(&cache, "one", "plan 7", THAW_PLAN_TIMED));
	CHECK_OK(thaw_plan_cache_add(&cache, "two", "plan 8", THAW_PLAN_PROPOSED));
	CHECK_OK(thaw_plan_cache_learn(&cache, ONE "not of ours\n" TWO THREE));
	for (int i = 0; i < 3; i++)
		CHECK_TEXT(find(&cache, keys[i]), plans[i]);
	CHECK_INT(thaw_plan_cache_find(&cache, "three")->origin, THAW_PLAN_LEARNT);
	CHECK_OK(thaw_plan_cache_add(&cache, "four", "plan 4", THAW_PLAN_PROPOSED));
	thaw_plan_cache_keep(&cache);
	check_file(ONE); /* what others timed, they keep */
	thaw_plan_cache_release(&cache);
	thaw_text_release(&said);
	unlink(path.data);
}

/* --- nothing kept ------------------------------------------------------------------------------------------------ */

static void test_nothing_kept(void)
{
	struct thaw_plan_cache cache;

	setenv("THAW_CACHE", "", 1);
	cache = load();
	CHECK_OK(thaw_plan_cache_add(&cache, "one", "plan 1", THAW_PLAN_TIMED));
	thaw_plan_cache_keep(&cache);
	CHECK_TEXT(find(&cache, "one"), "plan 1");
	CHECK(!cache.changed && !cache.warned);
	thaw_plan_cache_release(&cache);
	setenv("THAW_CACHE", folder, 1);
}

/* Where nothing can be written only the next run's time is lost: said once. */
static void test_cannot_be_kept(void)
{
	static const char words[] = "thaw: warning: plans of convolutions cannot be kept in '/proc/none/cudnn-plans.txt': "
								"the next run times again\n";
	struct thaw_plan_cache cache;
	struct thaw_text log = THAW_TEXT_EMPTY;
	char *bytes = NULL;
	size_t length;

	thaw_text_add(&log, "%s/log.txt", folder);
	CHECK_OK(thaw_log_open(log.data));
	setenv("THAW_CACHE", "/proc/none", 1);
	cache = load();
	for (int i = 0; i < 2; i++) {
		CHECK_OK(thaw_plan_cache_add(&cache, keys[i], plans[i], THAW_PLAN_TIMED));
		thaw_plan_cache_keep(&cache);
	}
	CHECK_TEXT(find(&cache, "one"), "plan 1");
	thaw_plan_cache_release(&cache);
	setenv("THAW_CACHE", folder, 1);
	CHECK_OK(thaw_log_open(NULL));
	CHECK_OK(thaw_file_read(log.data, 1 << 20, &bytes, &length));
	CHECK_TEXT(bytes, words);
	free(bytes);
	unlink(log.data);
	thaw_text_release(&log);
}

static void test_folder_in_its_place(void)
{
	struct thaw_plan_cache cache;

	CHECK_INT(mkdir(path.data, 0777), 0);
	cache = load();
	CHECK_OK(thaw_plan_cache_add(&cache, "one", "plan 1", THAW_PLAN_TIMED));
	thaw_plan_cache_keep(&cache);
	CHECK_TEXT(find(&cache, "one"), "plan 1");
	CHECK(cache.warned);
	thaw_plan_cache_release(&cache);
	CHECK_INT(rmdir(path.data), 0);
}

/* --- keys and times ---------------------------------------------------------------------------------------------- */

static const struct thaw_gpu_conv_spec plain = {
	.number = THAW_BFLOAT16,
	.n = 32,
	.c = 64,
	.h = 56,
	.w = 57,
	.k = 128,
	.oh = 28,
	.ow = 29,
	.kernel = 3,
	.stride = 2,
	.pad = 1,
	.groups = 4,
	.workspace_limit = 1000,
};

static void check_other_key(const struct thaw_gpu_conv_spec *spec, const char *machine)
{
	struct thaw_text key = THAW_TEXT_EMPTY;

	CHECK_OK(thaw_choice_key(spec, machine, &key));
	CHECK(strcmp(key.data, "H200 | forward bf16, x 32x56x57x64, y 28x29x128, kernel 3, stride 2, pad 1, groups 4, "
	                       "workspace 1000") != 0);
	CHECK(!strpbrk(key.data, "\t\n"));
	thaw_text_release(&key);
}

static void test_keys(void)
{
	struct thaw_gpu_conv_spec others[19];
	struct thaw_text key = THAW_TEXT_EMPTY;

	CHECK_OK(thaw_choice_key(&plain, "H200", &key));
	CHECK_TEXT(key.data, "H200 | forward bf16, x 32x56x57x64, y 28x29x128, kernel 3, stride 2, pad 1, groups 4, "
	                     "workspace 1000");
	thaw_text_release(&key);
	for (int i = 0; i < 19; i++)
		others[i] = plain;
	others[0].pass = THAW_GPU_WEIGHTS;
	others[1].number = THAW_FLOAT16;
	others[2].n = others[3].c = others[4].h = others[5].w = others[6].k = others[7].oh = others[8].ow = 31;
	others[9].kernel = others[10].stride = others[11].pad = others[12].groups = 5;
	others[13].bias = others[14].residual = others[15].relu = others[16].tf32 = others[17].deterministic = true;
	others[18].statistics = true;
	for (int i = 0; i < 19; i++)
		check_other_key(&others[i], "H200");
	others[0] = plain;
	others[0].workspace_limit++;
	check_other_key(&others[0], "H200");
	check_other_key(&plain, "A100");
}

/* One file for two kinds of GPU: each finds its own. */
static void test_two_machines(void)
{
	static const char *const machines[] = {"H200, sm_90", "A100, sm_80"};
	struct thaw_plan_cache cache;
	struct thaw_text key = THAW_TEXT_EMPTY;

	for (int i = 0; i < 2; i++) {
		cache = load();
		CHECK_OK(thaw_choice_key(&plain, machines[i], &key));
		CHECK_TEXT(find(&cache, key.data), "");
		CHECK_OK(thaw_plan_cache_add(&cache, key.data, plans[i], THAW_PLAN_TIMED));
		thaw_plan_cache_keep(&cache);
		thaw_plan_cache_release(&cache);
	}
	cache = load();
	for (int i = 0; i < 2; i++) {
		CHECK_OK(thaw_choice_key(&plain, machines[i], &key));
		CHECK_TEXT(find(&cache, key.data), plans[i]);
	}
	thaw_plan_cache_release(&cache);
	thaw_text_release(&key);
	unlink(path.data);
}

static void test_fastest(void)
{
	static const struct {
		int count, want;
		double seconds; /* that it took */
		struct thaw_choice_times times[4];
	} rows[] = {
		{0, -1, 0, {{{0}}}},
		{1, 0, 3, {{{3, 3, 3}}}},
		{3, 1, 2, {{{3, 3, 3}}, {{2, 2, 2}}, {{4, 4, 4}}}},
		{3, 2, 2, {{{1, 9, 9}}, {{5, 3, 1}}, {{9, 2, 1}}}},                          /* medians 9, 3, 2 */
		{3, 0, 2, {{{2, 2, 2}}, {{2, 2, 2}}, {{2, 2, 2}}}},                          /* of equals the first, */
		{3, 0, 1.019, {{{1.019, 1.019, 1.019}}, {{1, 1, 1}}, {{1.01, 1.01, 1.01}}}}, /* also of nearly equal ones */
		{3, 1, 1, {{{1.021, 1.021, 1.021}}, {{1, 1, 1}}, {{1.01, 1.01, 1.01}}}},
		{3, 1, 1.015, {{{1.03, 1.03, 1.03}}, {{1.015, 1.015, 1.015}}, {{1, 1, 1}}}}, /* within 2 % of the least only */
		{2, 1, 7, {{{NAN, NAN, NAN}}, {{7, 7, 7}}}},
		{3, 2, 7, {{{1, 1, NAN}}, {{NAN, 1, 1}}, {{7, 7, 7}}}},
		{2, -1, 0, {{{NAN, NAN, NAN}}, {{1, NAN, 1}}}},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		double seconds = 0;

		CHECK_INT(thaw_choice_fastest(rows[i].times, rows[i].count, &seconds), rows[i].want);
		CHECK_NEAR(seconds, rows[i].seconds, 0);
	}
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	setenv("THAW_CACHE", folder, 1);
	thaw_text_add(&path, "%s/cudnn-plans.txt", folder);
	test_kept();
	test_merged();
	test_damaged();
	test_foreign();
	test_huge();
	test_many();
	test_writers();
	test_learnt();
	test_nothing_kept();
	test_cannot_be_kept();
	test_folder_in_its_place();
	test_keys();
	test_two_machines();
	test_fastest();
	CHECK_INT(rmdir(folder), 0); /* nothing else was left there */
	thaw_text_release(&path);
	return TEST_END();
}
