#include "base/checksum.h"

#include <stdio.h>
#include <string.h>

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#endif
#if defined(__SHA__) && defined(__SSE4_1__)
#include <immintrin.h>
#endif

#if !defined(__SSE4_2__)
/* Two steps of four bits: the remainders of the sixteen half bytes. */
static uint32_t crc32c_byte(uint32_t crc, uint8_t byte)
{
	static const uint32_t remainders[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	crc ^= byte;
	crc = crc >> 4 ^ remainders[crc & 15];
	return crc >> 4 ^ remainders[crc & 15];
}
#endif

uint32_t thaw_crc32c(uint32_t crc, const void *bytes, size_t length)
{
	const uint8_t *p = bytes;

	crc = ~crc;
#if defined(__SSE4_2__)
	for (; length >= 8; length -= 8, p += 8) {
		uint64_t word;

		memcpy(&word, p, 8);
		crc = (uint32_t)_mm_crc32_u64(crc, word);
	}
	for (; length > 0; length--)
		crc = _mm_crc32_u8(crc, *p++);
#else
	for (; length > 0; length--)
		crc = crc32c_byte(crc, *p++);
#endif
	return ~crc;
}

static const uint32_t sha256_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

#if defined(__SHA__) && defined(__SSE4_1__)

/* The processor's instructions keep the state as {a b e f} and {c d g h} and make two rounds at once. */
static void sha256_blocks(uint32_t state[8], const uint8_t *p, size_t count)
{
	const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i dcba = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
	__m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
	__m128i abef = _mm_alignr_epi8(dcba, hgfe, 8), cdgh = _mm_blend_epi16(hgfe, dcba, 0xf0);

	for (; count > 0; count--, p += 64) {
		__m128i abef_before = abef, cdgh_before = cdgh, w[4];

		for (int i = 0; i < 4; i++)
			w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * i)), big_endian);
		for (int i = 0; i < 16; i++) { /* four rounds each */
			__m128i *now = &w[i & 3], last = w[(i + 3) & 3];
			__m128i wk = _mm_add_epi32(*now, _mm_loadu_si128((const __m128i *)(sha256_k + 4 * i)));

			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0e));
			*now = _mm_add_epi32(_mm_sha256msg1_epu32(*now, w[(i + 1) & 3]), _mm_alignr_epi8(last, w[(i + 2) & 3], 4));
			*now = _mm_sha256msg2_epu32(*now, last);
		}
		abef = _mm_add_epi32(abef, abef_before);
		cdgh = _mm_add_epi32(cdgh, cdgh_before);
	}
	dcba = _mm_shuffle_epi32(abef, 0x1b);
	hgfe = _mm_shuffle_epi32(cdgh, 0xb1);
	_mm_storeu_si128((__m128i *)state, _mm_blend_epi16(dcba, hgfe, 0xf0));
	_mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(hgfe, dcba, 8));
}

#else

static uint32_t rotate(uint32_t x, int by)
{
	return x >> by | x << (32 - by);
}

/* Round t for the letters as they stand: instead of moving eight words, the next round names them shifted by one. */
#define SHA256_ROUND(a, b, c, d, e, f, g, h, t)                                                                      \
	do {                                                                                                             \
		uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + (g ^ (e & (f ^ g))) + sha256_k[t] + w[t]; \
		d += t1;                                                                                                     \
		h = t1 + (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) | (c & (a | b)));                         \
	} while (0)

static void sha256_block(uint32_t state[8], const uint8_t *p)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7], w[64];

	for (int i = 0; i < 16; i++, p += 4)
		w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	for (int i = 16; i < 64; i++) {
		uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;

		w[i] = w[i - 16] + s0 + w[i - 7] + s1;
	}
	for (int i = 0; i < 64; i += 8) {
		SHA256_ROUND(a, b, c, d, e, f, g, h, i);
		SHA256_ROUND(h, a, b, c, d, e, f, g, i + 1);
		SHA256_ROUND(g, h, a, b, c, d, e, f, i + 2);
		SHA256_ROUND(f, g, h, a, b, c, d, e, i + 3);
		SHA256_ROUND(e, f, g, h, a, b, c, d, i + 4);
		SHA256_ROUND(d, e, f, g, h, a, b, c, i + 5);
		SHA256_ROUND(c, d, e, f, g, h, a, b, i + 6);
		SHA256_ROUND(b, c, d, e, f, g, h, a, i + 7);
	}
	state[0] += a, state[1] += b, state[2] += c, state[3] += d;
	state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void sha256_blocks(uint32_t state[8], const uint8_t *p, size_t count)
{
	for (; count > 0; count--, p += 64)
		sha256_block(state, p);
}

#endif

void thaw_sha256_begin(struct thaw_sha256_stream *stream)
{
	*stream = (struct thaw_sha256_stream){
		.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
	};
}

void thaw_sha256_add(struct thaw_sha256_stream *stream, const void *bytes, size_t length)
{
	const uint8_t *p = bytes;
	size_t kept = stream->length % 64, room = 64 - kept;

	stream->length += length;
	if (kept > 0 && length >= room) {
		memcpy(stream->block + kept, p, room);
		sha256_blocks(stream->state, stream->block, 1);
		p += room;
		length -= room;
		kept = 0;
	}
	if (kept == 0) {
		sha256_blocks(stream->state, p, length / 64);
		p += length / 64 * 64;
		length %= 64;
	}
	if (length > 0)
		memcpy(stream->block + kept, p, length);
}

void thaw_sha256_end(struct thaw_sha256_stream *stream, uint8_t digest_out[32])
{
	uint64_t bits = stream->length * 8;
	uint8_t tail[72] = {0x80}; /* at most 64 bytes of padding, then the length, big-endian */
	size_t padding = 64 - (stream->length + 8) % 64;

	for (int i = 0; i < 8; i++)
		tail[padding + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
	thaw_sha256_add(stream, tail, padding + 8);
	for (int i = 0; i < 32; i++)
		digest_out[i] = (uint8_t)(stream->state[i / 4] >> (24 - 8 * (i % 4)));
}

void thaw_sha256(const void *bytes, size_t length, uint8_t digest_out[32])
{
	struct thaw_sha256_stream stream;

	thaw_sha256_begin(&stream);
	thaw_sha256_add(&stream, bytes, length);
	thaw_sha256_end(&stream, digest_out);
}

void thaw_sha256_text(const uint8_t digest[32], char text_out[65])
{
	for (int i = 0; i < 32; i++)
		snprintf(text_out + 2 * i, 3, "%02x", digest[i]);
}
