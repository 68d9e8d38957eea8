/*
 * Types of numbers in files of weights, and how each becomes a float.
 */
#ifndef THAW_IO_DTYPE_H
#define THAW_IO_DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum thaw_dtype {
	THAW_F32,
	THAW_F16,  /* IEEE 754 binary16 */
	THAW_BF16, /* the upper half of a float */
	THAW_F64,
	THAW_I64,
	THAW_I32,
	THAW_I16,
	THAW_I8,
	THAW_U8,
	THAW_BOOL,
	THAW_DTYPES
};

/* "F32": as safetensors calls them. */
const char *thaw_dtype_name(enum thaw_dtype dtype);
size_t thaw_dtype_bytes(enum thaw_dtype dtype);

/* `count` numbers, little-endian and not aligned, to the nearest floats. */
void thaw_dtype_to_floats(enum thaw_dtype dtype, const uint8_t *from, size_t count, float *to);

/* The other way, for F32, F16 and BF16: to the nearest, ties to even; what is too large becomes infinite. */
void thaw_dtype_from_floats(enum thaw_dtype dtype, const float *from, size_t count, uint8_t *to);

#endif
