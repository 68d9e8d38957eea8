#include "io/dtype.h"

#include <string.h>

static const struct {
	const char *name;
	size_t bytes;
} dtypes[THAW_DTYPES] = {
	[THAW_F32] = {"F32", 4}, [THAW_F16] = {"F16", 2}, [THAW_BF16] = {"BF16", 2}, [THAW_F64] = {"F64", 8},
	[THAW_I64] = {"I64", 8}, [THAW_I32] = {"I32", 4}, [THAW_I16] = {"I16", 2},   [THAW_I8] = {"I8", 1},
	[THAW_U8] = {"U8", 1},   [THAW_BOOL] = {"BOOL", 1},
};

const char *thaw_dtype_name(enum thaw_dtype dtype)
{
	return dtypes[dtype].name;
}

size_t thaw_dtype_bytes(enum thaw_dtype dtype)
{
	return dtypes[dtype].bytes;
}

static float float_of(uint32_t bits)
{
	float x;

	memcpy(&x, &bits, sizeof x);
	return x;
}

static uint32_t bits_of(float x)
{
	uint32_t bits;

	memcpy(&bits, &x, sizeof bits);
	return bits;
}

/* The exponent moves by 127 - 15 = 112; a subnormal's is made by a subtraction that is exact. */
static float half_to_float(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = half & 0x7fff;

	if (rest >= 0x7c00) /* infinite, or not a number */
		return float_of(sign | 0x7f800000 | rest << 13);
	if (rest < 0x0400)
		return float_of(sign | bits_of(float_of((UINT32_C(113) << 23) | rest << 13) - float_of(UINT32_C(113) << 23)));
	return float_of(sign | (rest + (112 << 10)) << 13);
}

/* To the nearest of the upper bits, ties to even: what goes away is `bits` wide. */
static uint32_t round_off(uint32_t number, int bits)
{
	return (number + ((UINT32_C(1) << (bits - 1)) - 1) + (number >> bits & 1)) >> bits;
}

static uint16_t float_to_half(float x)
{
	uint32_t all = bits_of(x), sign = all >> 16 & 0x8000, rest = all & 0x7fffffff;

	if (rest > 0x7f800000)
		return (uint16_t)(sign | 0x7e00);
	if (rest >= (UINT32_C(143) << 23)) /* 65536; what rounds up to it becomes infinite below */
		return (uint16_t)(sign | 0x7c00);
	if (rest < (UINT32_C(113) << 23)) /* adding 0.5 rounds to units of 2^-24, the distance of half's subnormals */
		return (uint16_t)(sign | (bits_of(float_of(rest) + 0.5f) - bits_of(0.5f)));
	return (uint16_t)(sign | round_off(rest - (UINT32_C(112) << 23), 13));
}

static uint16_t float_to_bf16(float x)
{
	uint32_t bits = bits_of(x);

	return (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : round_off(bits, 16));
}

/* One loop for each type, so that each is a simple one. */
#define EACH(type, expression)                        \
	for (size_t i = 0; i < count; i++) {              \
		type x;                                       \
                                                      \
		memcpy(&x, from + i * sizeof x, sizeof x);    \
		to[i] = (expression);                         \
	}                                                 \
	break

void thaw_dtype_to_floats(enum thaw_dtype dtype, const uint8_t *from, size_t count, float *to)
{
	switch (dtype) {
	case THAW_F32:
		memcpy(to, from, count * sizeof *to);
		break;
	case THAW_F16: EACH(uint16_t, half_to_float(x));
	case THAW_BF16: EACH(uint16_t, float_of((uint32_t)x << 16));
	case THAW_F64: EACH(double, (float)x);
	case THAW_I64: EACH(int64_t, (float)x);
	case THAW_I32: EACH(int32_t, (float)x);
	case THAW_I16: EACH(int16_t, x);
	case THAW_I8: EACH(int8_t, x);
	case THAW_U8: EACH(uint8_t, x);
	case THAW_BOOL: EACH(uint8_t, x != 0);
	case THAW_DTYPES: break;
	}
}

void thaw_dtype_from_floats(enum thaw_dtype dtype, const float *from, size_t count, uint8_t *to)
{
	if (dtype == THAW_F32)
		memcpy(to, from, count * sizeof *from);
	else
		for (size_t i = 0; i < count; i++) {
			uint16_t half = dtype == THAW_F16 ? float_to_half(from[i]) : float_to_bf16(from[i]);

			memcpy(to + i * sizeof half, &half, sizeof half);
		}
}
