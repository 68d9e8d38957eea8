/* The file of timings: kept, read back, healed where it is damaged. */
#define _GNU_SOURCE /* mkdtemp, setenv */
#include "nn/cpu/tuning.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "tests/test.h"

static char folder[] = "/tmp/thaw-tuning-XXXXXX";
static struct thaw_text path = THAW_TEXT_EMPTY;

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
	CHECK(!thaw_tuning_find("conv 3x3"));
	CHECK_OK(thaw_tuning_add("conv 3x3", "winograd"));
	CHECK_OK(thaw_tuning_add("conv 3x3 wide", "direct"));
	CHECK_TEXT(thaw_tuning_find("conv 3x3"), "winograd");
	CHECK(keeps("library 1 | conv 3x3 | winograd\n"));
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_TEXT(thaw_tuning_find("conv 3x3"), "winograd");
	CHECK_TEXT(thaw_tuning_find("conv 3x3 wide"), "direct");
	CHECK(!thaw_tuning_find("conv"));
	CHECK_OK(thaw_tuning_load("library 2"));
	CHECK(!thaw_tuning_find("conv 3x3"));
}

/* A later answer counts, so a name that means nothing is replaced once and for all. */
static void test_healed(void)
{
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_OK(thaw_tuning_add("conv 5x5", "w\x01nograd"));
	CHECK_OK(thaw_file_append(path.data, "no line of ours\n", 16));
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_TEXT(thaw_tuning_find("conv 5x5"), "w\x01nograd");
	CHECK_OK(thaw_tuning_add("conv 5x5", "direct"));
	CHECK_TEXT(thaw_tuning_find("conv 5x5"), "direct");
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_TEXT(thaw_tuning_find("conv 5x5"), "direct");
	CHECK_TEXT(thaw_tuning_find("conv 3x3"), "winograd");
}

static void test_learnt(void)
{
	struct thaw_text theirs = THAW_TEXT_EMPTY;

	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_OK(thaw_tuning_text(&theirs));
	CHECK_OK(thaw_tuning_add("conv 3x3", "direct"));
	CHECK_OK(thaw_tuning_learn(theirs.data));
	CHECK_TEXT(thaw_tuning_find("conv 3x3"), "winograd");
	thaw_text_release(&theirs);
}

static void test_nothing_kept(void)
{
	CHECK_OK(thaw_file_append(path.data, "a\0b", 3)); /* no text at all: as if it were not there */
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK(!thaw_tuning_find("conv 3x3"));
	unlink(path.data);
	setenv("THAW_CACHE", "", 1);
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_OK(thaw_tuning_add("conv 3x3", "direct"));
	CHECK_TEXT(thaw_tuning_find("conv 3x3"), "direct");
	CHECK(!thaw_file_exists(path.data));
	setenv("THAW_CACHE", "/proc/none", 1); /* cannot be written: only the next run's time is lost */
	CHECK_OK(thaw_tuning_load("library 1"));
	CHECK_OK(thaw_tuning_add("conv 3x3", "direct"));
	CHECK_TEXT(thaw_tuning_find("conv 3x3"), "direct");
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	setenv("THAW_CACHE", folder, 1);
	thaw_text_add(&path, "%s/convolutions.txt", folder);
	test_kept();
	test_healed();
	test_learnt();
	test_nothing_kept();
	rmdir(folder);
	return TEST_END();
}
