/*
 * The seal: the last 64 bytes of a shard or checkpoint.
 *
 * HDF5's format has no checksums of its own where it is simple: nearly every flipped bit passes as another value. So
 * thaw's files end with a digest of all that is parsed, which is checked before. It tells damage, no more: anyone can
 * seal a file. HDF5 readers ignore what stands behind its end of file.
 *
 *      0  16  "thaw shard\n" or "thaw checkpoint\n", filled up with zeros
 *     16   8  length of the HDF5 file before the seal, little-endian
 *     24   8  bytes at its end that the digest leaves out: a shard's `pixels`, which have their own checksums; else 0
 *     32  32  SHA-256 of the HDF5 file, without those, and of the 32 bytes above
 */
#ifndef THAW_IO_SEAL_H
#define THAW_IO_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { THAW_SEAL_LENGTH = 64 };

struct thaw_seal {
	const char *kind;    /* "shard" or "checkpoint" */
	uint64_t length;     /* of the HDF5 file */
	uint64_t left_out;   /* bytes at its end, <= length */
};

/* Makes the seal of a file that begins with the `length - left_out` bytes at `covered`. */
void thaw_seal_make(const struct thaw_seal *seal, const void *covered, uint8_t bytes_out[THAW_SEAL_LENGTH]);

/* "shard" or "checkpoint": what the seal at the end of `path` claims; nothing is checked. THAW_FAILED if there is none.
 */
thaw_status thaw_seal_kind(const char *path, const char **kind_out);

/* Checks the seal at the end of a whole file of `length` bytes. THAW_FAILED says whether `path` is something else, cut
 * short or damaged. */
thaw_status thaw_seal_check(const char *path, const char *kind, const void *file, size_t length,
                            struct thaw_seal *seal_out);

#endif
