/* The file of timings: kept, read back, damaged, shared, not to be written. */
#define _GNU_SOURCE /* mkdtemp, setenv */
#include "nn/cpu/tuning.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "tests/test.h"

static char folder[] = "/tmp/thaw-tuning-XXXXXX";
static struct thaw_text path = THAW_TEXT_EMPTY;

static bool known(const char *name)
{
	return strcmp(name, "winograd") == 0 || strcmp(name, "direct") == 0;
}

static bool known_later(const char *name)
{
	return known(name) || strcmp(name, "spectral") == 0;
}

static const char *find(const char *key)
{
	return thaw_tuning_find(key, known);
}

static bool keeps(const char *words)
{
	char *bytes = NULL;
	size_t length;
	bool found = thaw_file_read(path.data, 1 << 20, &bytes, &length) == THAW_OK && strstr(bytes, words);

	free(bytes);
	return found;
}

static void test_kept(void)
{
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK(!find("conv 3x3"));
	CHECK_OK(thaw_tuning_add("conv 3x3", "winograd"));
	CHECK_OK(thaw_tuning_add("conv 3x3 wide", "direct"));
	CHECK_TEXT(find("conv 3x3"), "winograd");
	CHECK(keeps("library 1 | conv 3x3 | winograd\n"));
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_TEXT(find("conv 3x3"), "winograd");
	CHECK_TEXT(find("conv 3x3 wide"), "direct");
	CHECK(!find("conv"));
	CHECK_OK(thaw_tuning_load("library 2"));
	CHECK(!find("conv 3x3"));
}

/* A later answer counts, if it means something to this build: two builds that share the file do not take turns. */
static void test_unknown_names(void)
{
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_OK(thaw_tuning_add("conv 5x5", "w\x01nograd"));
	CHECK(!find("conv 5x5"));
	CHECK_OK(thaw_tuning_add("conv 5x5", "winograd"));
	CHECK_OK(thaw_tuning_add("conv 5x5", "direct"));
	CHECK_OK(thaw_tuning_add("conv 5x5", "spectral"));
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_TEXT(find("conv 5x5"), "direct");
	CHECK_TEXT(thaw_tuning_find("conv 5x5", known_later), "spectral");
	CHECK_TEXT(find("conv 3x3"), "winograd");
}

/* A last line that is cut off: the next one that is kept stands on its own, and is found again. */
static void test_torn_file(void)
{
	CHECK_OK(thaw_file_append(path.data, "no line of ours\nhalf a l", 24));
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_TEXT(find("conv 5x5"), "direct");
	CHECK_OK(thaw_tuning_add("conv 7x7", "direct"));
	CHECK_OK(thaw_tuning_add("conv 9x9", "winograd"));
	CHECK(keeps("\nhalf a l\n") && keeps("conv 7x7 | direct\n") && !keeps("\n\n"));
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_TEXT(find("conv 7x7"), "direct");
	CHECK_TEXT(find("conv 9x9"), "winograd");
}

static void test_learnt(void)
{
	struct thaw_text theirs = THAW_TEXT_EMPTY;

	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_OK(thaw_tuning_text(&theirs));
	CHECK_OK(thaw_tuning_add("conv 3x3", "direct"));
	CHECK_OK(thaw_tuning_learn(theirs.data));
	CHECK_TEXT(find("conv 3x3"), "winograd");
	thaw_text_release(&theirs);
}

static void test_nothing_kept(void)
{
	CHECK_OK(thaw_file_append(path.data, "a\0b", 3)); /* no text at all: as if it were not there */
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK(!find("conv 3x3"));
	unlink(path.data);
	setenv("THAW_CACHE", "", 1);
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_OK(thaw_tuning_add("conv 3x3", "direct"));
	CHECK_TEXT(find("conv 3x3"), "direct");
	CHECK(!thaw_file_exists(path.data));
}

/* Where nothing can be written only the next run's time is lost: said once. */
static void test_cannot_be_kept(void)
{
	static const char words[] =
		"thaw: warning: timings of convolutions cannot be kept in '/proc/none/convolutions.txt': "
		"the next run times again\n";
	struct thaw_text log = THAW_TEXT_EMPTY;
	char *bytes = NULL;
	size_t length;

	thaw_text_add(&log, "%s/log.txt", folder);
	setenv("THAW_CACHE", "/proc/none", 1);
	CHECK_OK(thaw_log_open(log.data));
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_OK(thaw_tuning_add("conv 3x3", "direct"));
	CHECK_OK(thaw_tuning_add("conv 5x5", "direct"));
	CHECK_TEXT(find("conv 3x3"), "direct");
	CHECK_OK(thaw_log_open(NULL));
	CHECK_OK(thaw_file_read(log.data, 1 << 20, &bytes, &length));
	CHECK_TEXT(bytes, words);
	free(bytes);
	unlink(log.data);
	thaw_text_release(&log);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	setenv("THAW_CACHE", folder, 1);
	thaw_text_add(&path, "%s/convolutions.txt", folder);
	test_kept();
	test_unknown_names();
	test_torn_file();
	test_learnt();
	test_nothing_kept();
	test_cannot_be_kept();
	rmdir(folder);
	return TEST_END();
}
