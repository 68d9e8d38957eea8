#include "io/dtype.h"

#include <string.h>

#include "base/half.h"

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
	case THAW_F16: EACH(uint16_t, thaw_half_to_float(x));
	case THAW_BF16: EACH(uint16_t, thaw_bf16_to_float(x));
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
			uint16_t half = dtype == THAW_F16 ? thaw_float_to_half(from[i]) : thaw_float_to_bf16(from[i]);

			memcpy(to + i * sizeof half, &half, sizeof half);
		}
}
