/*
 * Event files: records byte for byte as the package tensorboard makes them with its protocol buffers and masked CRC,
 * and their names. tests/golden/check_events.py has TensorBoard read those of a whole run.
 */
#define _POSIX_C_SOURCE 200809L
#include "io/events.h"

#include <dirent.h>
#include <stdint.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/test.h"
#include "tests/unit/split.h"

static const char *folder;

enum { BEGIN = 40 + 29 }; /* bytes before the first point of a run */

/* wall time 1700000000.0, file version; the same, START; 1700000001.5, step 1, val/acc 0.9477124; 1700000002.0, step 7,
 * START */
#define VERSION "1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d"
#define START_0 "0d000000000000003c37b8340900000040fc54d9413a020801b7a36b29"
#define POINT "1d00000000000000602fdf230900006040fc54d94110012a100a0e0a0776616c2f61636315489d723f00d5a2bb"
#define START_7 "0f000000000000006d532b090900008040fc54d94110073a020801d1e17c88"

/* The file's bytes are these hexadecimal digits. */
static void check_bytes(const char *path, const char *want)
{
	char *bytes, got[1024] = "";
	size_t length = 0;

	CHECK_OK(thaw_file_read(path, 500, &bytes, &length));
	for (size_t i = 0; i < length; i++)
		snprintf(got + 2 * i, 3, "%02x", (unsigned)(uint8_t)bytes[i]);
	CHECK_TEXT(got, want);
	free(bytes);
}

static void test_records(void)
{
	struct thaw_events events;

	CHECK_OK(thaw_events_open(folder, 1700000000.0, 0, &events));
	CHECK(!thaw_file_exists(events.path.data));
	CHECK_OK(thaw_events_flush(&events));
	check_bytes(events.path.data, VERSION START_0);
	thaw_events_add(&events, "val/acc", 1, 0.9477124, 1700000001.5);
	check_bytes(events.path.data, VERSION START_0);
	CHECK_OK(thaw_events_flush(&events));
	CHECK_OK(thaw_events_flush(&events)); /* nothing new */
	check_bytes(events.path.data, VERSION START_0 POINT);
	thaw_events_release(&events);
}

/* The start stands at its own time of day, so the vector's is given: only the version's differs from it. */
static void test_start(void)
{
	struct thaw_events events;
	char host[256] = "", name[400];

	CHECK_OK(thaw_events_open(folder, 1700000002.0, 7, &events));
	gethostname(host, sizeof host - 1);
	snprintf(name, sizeof name, "%s/events.out.tfevents.1700000002.%s.%ld.0", folder, host, (long)getpid());
	CHECK_TEXT(events.path.data, name);
	CHECK_INT(events.pending.length, 40 + 31);
	for (int i = 0; i < 31; i++) {
		unsigned want;

		sscanf(&START_7[2 * i], "%2x", &want);
		CHECK_INT((uint8_t)events.pending.data[40 + i], want);
	}
	CHECK_OK(thaw_events_flush(&events));
	thaw_events_release(&events);
}

/* A clock that is behind that of an earlier host gives a later name all the same. */
static void test_names_rise(void)
{
	struct thaw_events events;
	char head[400];

	CHECK_OK(thaw_events_open(folder, 1600000000.0, 3, &events));
	snprintf(head, sizeof head, "%s/events.out.tfevents.1700000003.", folder);
	CHECK(strncmp(events.path.data, head, strlen(head)) == 0);
	thaw_events_release(&events);
}

/* Lengths of 128 and more take two bytes: 300 = 0xac 0x02. */
static void test_long_tag(void)
{
	struct thaw_events events;
	char tag[301];

	memset(tag, 'x', 300);
	tag[300] = '\0';
	CHECK_OK(thaw_events_open(folder, 5, 0, &events));
	thaw_events_add(&events, tag, 300, -2, 6);
	/* after version and start: record head 12, time 9, step 3, summary 2a + 2, value 0a + 2, tag 0a + 2 */
	CHECK_INT(events.pending.length, BEGIN + 12 + 9 + 3 + 3 + 3 + 3 + 300 + 5 + 4);
	CHECK_INT((uint8_t)events.pending.data[BEGIN + 12 + 9], 0x10);
	CHECK_INT((uint8_t)events.pending.data[BEGIN + 12 + 10], 0xac);
	CHECK_INT((uint8_t)events.pending.data[BEGIN + 12 + 11], 0x02);
	CHECK_INT((uint8_t)events.pending.data[BEGIN + 12 + 18], 0x0a);
	CHECK_INT((uint8_t)events.pending.data[BEGIN + 12 + 19], 0xac);
	thaw_events_release(&events);
}

static void test_refusals(void)
{
	struct thaw_events events;

	CHECK_FAILS(thaw_events_open("/nowhere/run", 1, 0, &events), THAW_FAILED, "/nowhere/run");
	CHECK_OK(thaw_events_open(folder, 1, 0, &events));
	thaw_text_release(&events.path);
	thaw_text_add(&events.path, "/dev/full");
	CHECK_FAILS(thaw_events_flush(&events), THAW_FAILED, "/dev/full");
	thaw_events_release(&events);
}

int main(void)
{
	folder = split_folder();
	test_records();
	test_start();
	test_names_rise();
	test_long_tag();
	test_refusals();
	split_remove(folder);
	return TEST_END();
}
