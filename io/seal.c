#include "io/seal.h"

#include <stdio.h>
#include <string.h>

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

/* What a file without the right magic at its end is instead. */
static thaw_status fail_unsealed(const char *path, const char *kind, const uint8_t *file, size_t length)
{
	static const char *const kinds[] = {"shard", "checkpoint"};
	uint8_t magic[16];

	for (size_t i = 0; length >= THAW_SEAL_LENGTH && i < sizeof kinds / sizeof *kinds; i++) {
		magic_of(kinds[i], magic);
		if (memcmp(file + length - THAW_SEAL_LENGTH, magic, sizeof magic) == 0)
			return thaw_fail(THAW_FAILED, "'%s' is a %s, not a %s", path, kinds[i], kind);
	}
	if (length >= 8 && memcmp(file, "\x89HDF\r\n\x1a\n", 8) == 0)
		return thaw_fail(THAW_FAILED, "'%s' is cut short, or an HDF5 file that thaw did not write: no seal at its end",
						 path);
	return thaw_fail(THAW_FAILED, "'%s' is not a thaw %s", path, kind);
}

thaw_status thaw_seal_check(const char *path, const char *kind, const void *file, size_t length,
							struct thaw_seal *seal_out)
{
	const uint8_t *bytes = file, *found;
	uint8_t made[THAW_SEAL_LENGTH];
	struct thaw_seal seal = {.kind = kind};

	magic_of(kind, made);
	if (length < THAW_SEAL_LENGTH || memcmp(bytes + length - THAW_SEAL_LENGTH, made, 16) != 0)
		return fail_unsealed(path, kind, bytes, length);
	found = bytes + length - THAW_SEAL_LENGTH;
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
