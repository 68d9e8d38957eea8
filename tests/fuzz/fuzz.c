#define _GNU_SOURCE /* memfd_create */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/seal.h"

void fuzz_fail(const char *file, int line, const char *condition)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
	abort();
}

/* A file without a name on any disk, always the same one. */
static int memory_file(const char **path_out)
{
	static int fd = -1;
	static char path[64];

	if (fd < 0) {
		fd = memfd_create("fuzz", 0);
		FUZZ_CHECK(fd >= 0);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	}
	*path_out = path;
	return fd;
}

void fuzz_file(const uint8_t *bytes, size_t length, const char **path_out)
{
	int fd = memory_file(path_out);

	FUZZ_CHECK(ftruncate(fd, 0) == 0);
	FUZZ_CHECK(pwrite(fd, bytes, length, 0) == (ssize_t)length);
}

void fuzz_seal(const char *kind, const uint8_t *bytes, size_t length, const char **path_out)
{
	struct thaw_seal seal = {.kind = kind, .length = length < THAW_SEAL_LENGTH ? 0 : length - THAW_SEAL_LENGTH};
	uint8_t end[THAW_SEAL_LENGTH];
	int fd = memory_file(path_out);

	if (length >= THAW_SEAL_LENGTH)
		memcpy(&seal.left_out, bytes + seal.length + 24, 8);
	if (seal.left_out > seal.length)
		seal.left_out = 0;
	thaw_seal_make(&seal, bytes, end);
	fuzz_file(bytes, seal.length, path_out);
	FUZZ_CHECK(pwrite(fd, end, sizeof end, (off_t)seal.length) == (ssize_t)sizeof end);
}
