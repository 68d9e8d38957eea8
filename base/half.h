/*
 * Numbers of 16 bits: half (IEEE 754 binary16) and bfloat16, the upper half of a float.
 *
 * To 16 bits: to the nearest, ties to even; what is too large for a half becomes infinite, NaN stays NaN. To floats:
 * exact.
 */
#ifndef THAW_BASE_HALF_H
#define THAW_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float thaw_float_of(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

static inline uint32_t thaw_bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

/* The exponent moves by 127 - 15 = 112; a subnormal's is made by a subtraction that is exact. */
static inline float thaw_half_to_float(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;

	if (rest >= 0x7c00) /* infinite, or not a number */
		return thaw_float_of(sign | 0x7f800000 | rest << 13);
	if (rest < 0x0400)
		return thaw_float_of(sign | thaw_bits_of(thaw_float_of((UINT32_C(113) << 23) | rest << 13) -
		                                         thaw_float_of(UINT32_C(113) << 23)));
	return thaw_float_of(sign | (rest + (112 << 10)) << 13);
}

/* To the nearest of the upper bits, ties to even: what goes away is `bits` wide. */
static inline uint32_t thaw_round_off(uint32_t number, int bits)
{
	return (number + ((UINT32_C(1) << (bits - 1)) - 1) + (number >> bits & 1)) >> bits;
}

static inline uint16_t thaw_float_to_half(float x)
{
	uint32_t all = thaw_bits_of(x), sign = all >> 16 & 0x8000, rest = all & 0x7fffffff;

	if (rest > 0x7f800000)
		return (uint16_t)(sign | 0x7e00);
	if (rest >= (UINT32_C(143) << 23)) /* 65536; what rounds up to it becomes infinite below */
		return (uint16_t)(sign | 0x7c00);
	if (rest < (UINT32_C(113) << 23)) /* adding 0.5 rounds to units of 2^-24, the distance of half's subnormals */
		return (uint16_t)(sign | (thaw_bits_of(thaw_float_of(rest) + 0.5f) - thaw_bits_of(0.5f)));
	return (uint16_t)(sign | thaw_round_off(rest - (UINT32_C(112) << 23), 13));
}

static inline uint16_t thaw_float_to_bf16(float x)
{
	uint32_t bits = thaw_bits_of(x);

	return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : thaw_round_off(bits, 16));
}

static inline float thaw_bf16_to_float(uint16_t bits)
{
	return thaw_float_of((uint32_t)bits << 16);
}

#endif
