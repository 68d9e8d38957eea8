/*
 * base/: known vectors for checksums and random numbers, and text, memory, log, processors and status by their
 * contracts.
 *
 * Constants not from a standard were computed in Python: hashlib's SHA-256, CRC-32C bit by bit, Philox from its paper.
 */
#define _GNU_SOURCE /* cpu_set_t */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/processors.h"
#include "base/random.h"
#include "base/text.h"
#include "tests/test.h"

static char folder[] = "/tmp/thaw-test-XXXXXX";

/* Sanitizers end a program whose allocation fails unless they are told not to. */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* RFC 3720, appendix B.4, and the check value of the CRC catalogues. */
static void test_crc32c(void)
{
	static const uint8_t read_command[48] = {
		0x01, 0xc0, 0, 0,    0, 0, 0, 0,    0,    0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 0x04, 0,
		0,    0,    0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0,    0,
	};
	uint8_t bytes[32], *more = malloc(100003);
	uint32_t crc = 0;

	CHECK_INT(thaw_crc32c(0, "", 0), 0);
	CHECK_INT(thaw_crc32c(0, "123456789", 9), 0xe3069283);
	memset(bytes, 0, 32);
	CHECK_INT(thaw_crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	CHECK_INT(thaw_crc32c(0, bytes, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	CHECK_INT(thaw_crc32c(0, bytes, 32), 0x46dd794e);
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t)(31 - i);
	CHECK_INT(thaw_crc32c(0, bytes, 32), 0x113fdb5c);
	CHECK_INT(thaw_crc32c(0, read_command, 48), 0xd9963a56);
	for (int64_t i = 0; i < 100003; i++)
		more[i] = (uint8_t)(i * i % 251);
	CHECK_INT(thaw_crc32c(0, more, 100003), 0xcbd4ab49);
	for (size_t at = 0, step = 0; at < 100003; at += step++) /* in pieces of 0, 1, 2, ... bytes */
		crc = thaw_crc32c(crc, more + at, at + step > 100003 ? 100003 - at : step);
	CHECK_INT(crc, 0xcbd4ab49);
	free(more);
}

static const char *sha256_of(const void *bytes, size_t length)
{
	static char text[65];
	uint8_t digest[32];

	thaw_sha256(bytes, length, digest);
	thaw_sha256_text(digest, text);
	return text;
}

/* FIPS 180-4's examples; then the digest of the digests of 0 .. 300 bytes: a last block of every length. */
static void test_sha256(void)
{
	static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	char *million = malloc(1000000), text[65];
	struct thaw_sha256_stream stream;
	uint8_t bytes[300], digest[32];

	CHECK_TEXT(sha256_of("", 0), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	CHECK_TEXT(sha256_of("abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	CHECK_TEXT(sha256_of(two_blocks, 56), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	memset(million, 'a', 1000000);
	CHECK_TEXT(sha256_of(million, 1000000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	thaw_sha256_begin(&stream);
	for (size_t at = 0, step = 0; at < 1000000; at += step++)
		thaw_sha256_add(&stream, million + at, at + step > 1000000 ? 1000000 - at : step);
	thaw_sha256_end(&stream, digest);
	thaw_sha256_text(digest, text);
	CHECK_TEXT(text, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	free(million);
	thaw_sha256_begin(&stream);
	for (int n = 0; n <= 300; n++) {
		for (int i = 0; i < n; i++)
			bytes[i] = (uint8_t)((i * 7 + n) % 251);
		thaw_sha256(bytes, (size_t)n, digest);
		thaw_sha256_add(&stream, digest, 32);
	}
	thaw_sha256_end(&stream, digest);
	thaw_sha256_text(digest, text);
	CHECK_TEXT(text, "d2606c72e64eadacbe60c817c8a74d1c658cc446db20c6735634c2665c7d7cf6");
}

/* philox4x32-10 of Random123's kat_vectors: counter, key, result. */
static void test_philox(void)
{
	static const uint32_t known[3][10] = {
		{0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
		{~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09, 0x94fdcceb, 0x5001e420,
		 0x24126ea1},
	};
	static const uint32_t stream[6] = {0xf4e576fd, 0x97794f8a, 0xaf877331, 0x8daaf92d, 0x370bebeb, 0x7abf6b19};
	struct thaw_random random;

	for (int v = 0; v < 3; v++) {
		random = (struct thaw_random){.used = 4};
		memcpy(random.counter, known[v], 16);
		memcpy(random.key, known[v] + 4, 8);
		for (int i = 0; i < 4; i++)
			CHECK_INT(thaw_random_u32(&random), known[v][6 + i]);
	}
	thaw_random_init(&random, 0x123456789abcdef0, THAW_RANDOM_TEST, 7, 8);
	for (int i = 0; i < 6; i++)
		CHECK_INT(thaw_random_u32(&random), stream[i]);
}

static void test_random_numbers(void)
{
	static const uint32_t below[5] = {1610590751, 2533215410, 1044405774, 3055243574, 2030749733};
	static const int32_t permuted[12] = {1, 10, 3, 4, 8, 6, 5, 7, 2, 11, 9, 0};
	enum { DRAWS = 60000 };
	struct thaw_random random;
	double chi_squared = 0, sum = 0, low = 1, high = 0;
	int counts[6] = {0};
	int32_t order[12];

	thaw_random_init(&random, 42, THAW_RANDOM_TEST, 0, 0);
	for (int i = 0; i < 5; i++) /* a quarter of the words is rejected */
		CHECK_INT(thaw_random_below(&random, 3u << 30), below[i]);
	for (int i = 0; i < 10; i++)
		CHECK_INT(thaw_random_below(&random, 1), 0);
	for (int i = 0; i < DRAWS; i++)
		counts[thaw_random_below(&random, 6)]++;
	for (int i = 0; i < 6; i++)
		chi_squared += (counts[i] - DRAWS / 6) * (counts[i] - DRAWS / 6) / (DRAWS / 6.0);
	CHECK(chi_squared < 20.5); /* 5 degrees of freedom: 1 in 1000 */
	for (int i = 0; i < DRAWS; i++) {
		double x = thaw_random_between(&random, -2, 6);

		low = fmin(low, x);
		high = fmax(high, x);
		sum += x;
	}
	CHECK(low >= -2 && low < -1.99 && high < 6 && high > 5.99);
	CHECK_NEAR(sum / DRAWS, 2, 0.04); /* four standard errors of 8 / sqrt(12 * 60000) */
	thaw_random_init(&random, 42, THAW_RANDOM_SHUFFLE, 3, 0);
	thaw_random_permutation(&random, order, 12);
	for (int i = 0; i < 12; i++)
		CHECK_INT(order[i], permuted[i]);
	order[0] = 5;
	thaw_random_permutation(&random, order, 0);
	CHECK_INT(order[0], 5);
}

/* Every number is the quantile of its word: libm's erfc is the judge. */
static void test_normal_numbers(void)
{
	enum { DRAWS = 60001 };
	static float x[DRAWS + 1];
	struct thaw_random random;
	double worst = 0, least = 0, most = 0;

	x[DRAWS] = 7;
	thaw_random_init(&random, 42, THAW_RANDOM_TEST, 0, 0);
	thaw_random_normals(&random, x, DRAWS, 2.0);
	thaw_random_init(&random, 42, THAW_RANDOM_TEST, 0, 0);
	for (int i = 0; i < DRAWS; i++) {
		double p = (thaw_random_u32(&random) + 0.5) * 0x1p-32, z = x[i] / 2.0;
		double tail = p < 0.5 ? p : 1 - p, found = 0.5 * erfc(fabs(z) / sqrt(2.0));

		CHECK(p < 0.5 ? z <= 0 : z >= 0);
		worst = fmax(worst, fabs(found / tail - 1));
		least = fmin(least, z);
		most = fmax(most, z);
	}
	CHECK(worst < 1e-5); /* an error of 1e-6 in z, where z is 4 */
	CHECK(least < -3.8 && most > 3.8);
	CHECK(x[DRAWS] == 7);
}

static void test_text(void)
{
	struct thaw_text text = THAW_TEXT_EMPTY;

	CHECK_TEXT(text.data, "");
	thaw_text_add_json(&text, "a\"b\\c/\n\t\x01\x7f \xc3\xb6");
	CHECK_TEXT(text.data, "\"a\\\"b\\\\c/\\u000a\\u0009\\u0001\\u007f \xc3\xb6\"");
	thaw_text_release(&text);
	thaw_text_release(&text);
	for (int i = 0; i < 1000; i++)
		thaw_text_add(&text, "%03d,", i);
	CHECK_INT(text.length, 4000);
	CHECK(strncmp(text.data + 4 * 517, "517,518,", 8) == 0 && text.data[4000] == '\0');
	thaw_text_add_bytes(&text, "x\0y", 3);
	CHECK_INT(text.length, 4003);
	CHECK_INT(text.data[4002], 'y');
	CHECK_OK(thaw_text_status(&text));
	text.out_of_memory = true;
	thaw_text_add(&text, "lost");
	CHECK_INT(text.length, 4003);
	CHECK_FAILS(thaw_text_status(&text), THAW_OUT_OF_MEMORY, "out of memory: 4003 bytes of text");
	thaw_text_release(&text);
}

static void test_memory(void)
{
	volatile size_t huge = SIZE_MAX / 2; /* unseen by the compiler */
	unsigned char *bytes = thaw_alloc(3, 5), *slab;
	char *copy = thaw_copy_text("words");
	int set = 0;

	for (int i = 0; i < 15; i++)
		set += bytes[i];
	CHECK_INT(set, 0);
	free(bytes);
	CHECK_TEXT(copy, "words");
	free(copy);
	bytes = thaw_alloc(0, 8);
	CHECK(bytes != NULL);
	free(bytes);
	CHECK(thaw_alloc(huge, 16) == NULL); /* the product does not fit a size_t */
	CHECK(strstr(thaw_fail_text(), "objects of 16 bytes") != NULL);
	slab = thaw_alloc_slab(((size_t)3 << 20) + 1, "activations");
	CHECK_INT((uintptr_t)slab % ((size_t)2 << 20), 0);
	CHECK_INT(slab[0] | slab[(size_t)3 << 20], 0);
	thaw_free_slab(slab);
	slab = thaw_alloc_slab(100, "activations");
	CHECK_INT((uintptr_t)slab % 64, 0);
	thaw_free_slab(slab);
	CHECK(thaw_alloc_slab(huge * 2, "activations") == NULL);
	CHECK(strstr(thaw_fail_text(), "out of memory: activations need") != NULL);
}

static void test_status(void)
{
	char words[THAW_WORDS + 100];

	memset(words, 'w', sizeof words);
	words[sizeof words - 1] = '\0';
	CHECK_INT(thaw_fail(THAW_DIVERGED, "%s", words), THAW_DIVERGED);
	CHECK_INT(strlen(thaw_fail_text()), THAW_WORDS - 1);
	CHECK_INT(thaw_status_exit_code(THAW_OK), 0);
	CHECK_INT(thaw_status_exit_code(THAW_FAILED), 1);
	CHECK_INT(thaw_status_exit_code(THAW_BAD_JOB), 2);
	CHECK_INT(thaw_status_exit_code(THAW_REQUEUE), 75);
	CHECK_INT(thaw_status_exit_code(THAW_DIVERGED), 76);
	CHECK_INT(thaw_status_exit_code(THAW_OUT_OF_MEMORY), 78);
	CHECK_TEXT(thaw_status_meaning(THAW_REQUEUE), "checkpoint written, run the same command again");
	CHECK(thaw_clock_seconds() <= thaw_clock_seconds());
}

static int machine; /* processors of the system, a third of which this process may use; 0: it does not tell */

int sched_getaffinity(pid_t process, size_t size, cpu_set_t *set)
{
	if (machine == 0 || size * 8 < (size_t)machine) {
		errno = EINVAL;
		return -1;
	}
	CHECK_INT(process, 0);
	CPU_ZERO_S(size, set);
	for (int i = 0; i < machine; i += 3)
		CPU_SET_S((size_t)i, size, set);
	return 0;
}

static void test_processors(void)
{
	CHECK_INT(thaw_processors(), 1);
	machine = 1;
	CHECK_INT(thaw_processors(), 1);
	machine = 96;
	CHECK_INT(thaw_processors(), 32);
	machine = 1023;
	CHECK_INT(thaw_processors(), 341);
	machine = 6000;
	CHECK_INT(thaw_processors(), 2000);
	machine = 0;
	CHECK_OK(thaw_processor_check()); /* or nothing here would have run */
}

/* Lines come whole, however long, and those from before there was a file. */
static void test_log(void)
{
	enum { LONG = 100000 };
	char *line = malloc(LONG + 1), *got, *want = malloc(2 * LONG + 100), path[64];
	int out = dup(STDOUT_FILENO), error = dup(STDERR_FILENO), nowhere = open("/dev/null", O_WRONLY);
	size_t length;

	memset(line, 'x', LONG);
	line[LONG] = '\0';
	snprintf(want, 2 * LONG + 100, "early\n%s 7\n\xc3\xa4 \\x1B[31mred\\x0A\\xFF\nthaw: warning: %s\n", line, line);
	snprintf(path, sizeof path, "%s/log.txt", folder);
	fflush(stdout);
	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	thaw_log("early");
	CHECK_OK(thaw_log_open(path));
	thaw_log("%s %d", line, 7);
	thaw_log("%s", "\xc3\xa4 \x1b[31mred\n\xff");
	thaw_warn("%s", line);
	CHECK_OK(thaw_log_open("/dev/full"));
	thaw_log("lost there"); /* and nothing else happens */
	CHECK_OK(thaw_log_open(NULL));
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(error, STDERR_FILENO);
	CHECK_OK(thaw_file_read(path, 3 * LONG, &got, &length));
	CHECK(strcmp(got, want) == 0);
	CHECK_FAILS(thaw_log_open("/none/log.txt"), THAW_FAILED, "cannot open '/none/log.txt': No such file");
	CHECK(unlink(path) == 0 && close(out) == 0 && close(error) == 0 && close(nowhere) == 0);
	free(line);
	free(got);
	free(want);
}

int main(void)
{
	test_crc32c();
	test_sha256();
	test_philox();
	test_random_numbers();
	test_normal_numbers();
	test_text();
	test_memory();
	test_status();
	test_processors();
	if (!mkdtemp(folder))
		return 1;
	test_log();
	CHECK(rmdir(folder) == 0);
	return TEST_END();
}
