#define _POSIX_C_SOURCE 200809L
#include "io/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checksum.h"

static void put_u64(uint8_t *bytes, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get_u64(const uint8_t *bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value |= (uint64_t)bytes[i] << 8 * i;
	return value;
}

static void magic_of(const char *kind, uint8_t magic_out[16])
{
	char text[17] = {0};

	snprintf(text, sizeof text, "thaw %s\n", kind);
	memcpy(magic_out, text, 16);
}

void thaw_seal_make(const struct thaw_seal *seal, const void *covered, uint8_t bytes_out[THAW_SEAL_LENGTH])
{
	struct thaw_sha256_stream stream;

	magic_of(seal->kind, bytes_out);
	put_u64(bytes_out + 16, seal->length);
	put_u64(bytes_out + 24, seal->left_out);
	thaw_sha256_begin(&stream);
	thaw_sha256_add(&stream, covered, (size_t)(seal->length - seal->left_out));
	thaw_sha256_add(&stream, bytes_out, 32);
	thaw_sha256_end(&stream, bytes_out + 32);
}

/* The kind whose magic a seal begins with; NULL if it is none. */
static const char *kind_of(const uint8_t seal[THAW_SEAL_LENGTH])
{
	static const char *const kinds[] = {"shard", "checkpoint"};
	uint8_t magic[16];

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		magic_of(kinds[i], magic);
		if (memcmp(seal, magic, sizeof magic) == 0)
			return kinds[i];
	}
	return NULL;
}

/* Words for a file that has no seal at its end, by its first bytes. */
static thaw_status fail_unsealed(const char *path, const char *wanted, const uint8_t *head, size_t length)
{
	if (length >= 8 && memcmp(head, "\x89HDF\r\n\x1a\n", 8) == 0)
		return thaw_fail(THAW_FAILED, "'%s' is cut short, or an HDF5 file that thaw did not write: no seal at its end",
		                 path);
	return thaw_fail(THAW_FAILED, "'%s' is not a thaw %s", path, wanted);
}

thaw_status thaw_seal_kind(const char *path, const char **kind_out)
{
	uint8_t head[8], seal[THAW_SEAL_LENGTH];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused below, not waited for */
	const char *kind = NULL;
	struct stat info;
	ssize_t length;

	if (fd < 0)
		return thaw_fail(THAW_FAILED, "cannot open '%s': %s", path, strerror(errno));
	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
		close(fd);
		return thaw_fail(THAW_FAILED, "cannot read '%s': not a plain file", path);
	}
	length = pread(fd, head, sizeof head, 0);
	if (info.st_size >= THAW_SEAL_LENGTH &&
	    pread(fd, seal, sizeof seal, info.st_size - THAW_SEAL_LENGTH) == THAW_SEAL_LENGTH)
		kind = kind_of(seal);
	close(fd);
	if (!kind)
		return fail_unsealed(path, "shard or checkpoint", head, length > 0 ? (size_t)length : 0);
	*kind_out = kind;
	return THAW_OK;
}

thaw_status thaw_seal_check(const char *path, const char *kind, const void *file, size_t length,
							struct thaw_seal *seal_out)
{
	const uint8_t *bytes = file, *found = length < THAW_SEAL_LENGTH ? NULL : bytes + length - THAW_SEAL_LENGTH;
	const char *found_kind = found ? kind_of(found) : NULL;
	uint8_t made[THAW_SEAL_LENGTH];
	struct thaw_seal seal = {.kind = kind};

	if (!found_kind)
		return fail_unsealed(path, kind, bytes, length);
	if (strcmp(found_kind, kind) != 0)
		return thaw_fail(THAW_FAILED, "'%s' is a %s, not a %s", path, found_kind, kind);
	seal.length = get_u64(found + 16);
	seal.left_out = get_u64(found + 24);
	if (seal.length != length - THAW_SEAL_LENGTH || seal.left_out > seal.length)
		return thaw_fail(THAW_FAILED, "'%s' is damaged: it has %zu bytes, its seal tells of %llu", path, length,
						 (unsigned long long)seal.length + THAW_SEAL_LENGTH);
	thaw_seal_make(&seal, file, made);
	if (memcmp(made, found, sizeof made) != 0)
		return thaw_fail(THAW_FAILED, "'%s' is damaged: its SHA-256 is not the one it was sealed with", path);
	*seal_out = seal;
	return THAW_OK;
}
