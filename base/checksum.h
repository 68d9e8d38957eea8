/* Checksums: CRC-32C for every picture of a shard, SHA-256 for files that must be exactly what was written. */
#ifndef THAW_BASE_CHECKSUM_H
#define THAW_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* CRC-32C (Castagnoli, RFC 3720) of `bytes`, continued from `crc` (0 to begin). "123456789" gives 0xE3069283. */
uint32_t thaw_crc32c(uint32_t crc, const void *bytes, size_t length);

/* SHA-256 (FIPS 180-4). */
void thaw_sha256(const void *bytes, size_t length, uint8_t digest_out[32]);

/* The same of bytes that come in pieces. */
struct thaw_sha256_stream {
	uint32_t state[8];
	uint64_t length;   /* bytes so far */
	uint8_t block[64]; /* the last length % 64 of them */
};

void thaw_sha256_begin(struct thaw_sha256_stream *stream);
void thaw_sha256_add(struct thaw_sha256_stream *stream, const void *bytes, size_t length);
void thaw_sha256_end(struct thaw_sha256_stream *stream, uint8_t digest_out[32]);

/* A digest as 64 lower-case hexadecimal digits and a terminator. */
void thaw_sha256_text(const uint8_t digest[32], char text_out[65]);

#endif
