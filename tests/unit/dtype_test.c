/* Types of numbers in files of weights: every half and bfloat16, and what lies between two of them. */
#include "io/dtype.h"

#include "tests/test.h"

static float to_float(enum thaw_dtype dtype, const void *number)
{
	float x = -77;

	thaw_dtype_to_floats(dtype, number, 1, &x);
	return x;
}

static uint16_t to_bits(enum thaw_dtype dtype, float x)
{
	uint8_t bytes[2];
	uint16_t bits;

	thaw_dtype_from_floats(dtype, &x, 1, bytes);
	memcpy(&bits, bytes, sizeof bits);
	return bits;
}

/* IEEE 754, 3.4: what `bits` with so many of exponent and fraction mean. */
static double meaning(unsigned bits, int exponent_bits, int fraction_bits)
{
	int top = (1 << exponent_bits) - 1, bias = top >> 1, exponent = (int)(bits >> fraction_bits) & top;
	double fraction = (double)(bits & ((1u << fraction_bits) - 1)) / (double)(1 << fraction_bits);
	double sign = bits >> (exponent_bits + fraction_bits) & 1 ? -1 : 1;

	if (exponent == top)
		return fraction > 0 ? NAN : sign * INFINITY;
	return exponent == 0 ? sign * ldexp(fraction, 1 - bias) : sign * ldexp(1 + fraction, exponent - bias);
}

static void test_every(enum thaw_dtype dtype, int exponent_bits, int fraction_bits)
{
	int wrong = 0;

	for (unsigned i = 0; i < 65536; i++) {
		uint16_t bits = (uint16_t)i;
		double want = meaning(i, exponent_bits, fraction_bits);
		float got = to_float(dtype, &bits);

		if (isnan(want)) {
			wrong += !isnan(got) || !isnan(meaning(to_bits(dtype, got), exponent_bits, fraction_bits));
			continue;
		}
		wrong += got != want || !signbit(got) != !signbit(want) || to_bits(dtype, got) != bits;
	}
	CHECK_INT(wrong, 0);
}

/* Between two neighbours the nearer wins, and in the middle the even one. */
static void test_rounding(enum thaw_dtype dtype, int exponent_bits, int fraction_bits)
{
	unsigned infinite = ((1u << exponent_bits) - 1) << fraction_bits;
	int wrong = 0;

	for (unsigned i = 0; i + 1 < infinite; i++) {
		double low = meaning(i, exponent_bits, fraction_bits), high = meaning(i + 1, exponent_bits, fraction_bits);
		float middle = (float)((low + high) / 2);

		if ((double)middle != (low + high) / 2) /* a float has no such number: below bfloat16's smallest */
			continue;
		wrong += to_bits(dtype, middle) != i + (i & 1);
		wrong += to_bits(dtype, nextafterf(middle, 0)) != i;
		wrong += to_bits(dtype, nextafterf(middle, INFINITY)) != i + 1;
		wrong += to_bits(dtype, -middle) != (i + (i & 1)) + 0x8000;
	}
	CHECK_INT(wrong, 0);
}

static void test_large(void)
{
	CHECK_INT(to_bits(THAW_F16, 65519.99f), 0x7bff);
	CHECK_INT(to_bits(THAW_F16, 65520), 0x7c00);
	CHECK_INT(to_bits(THAW_F16, -1e9f), 0xfc00);
	CHECK_INT(to_bits(THAW_F16, INFINITY), 0x7c00);
	CHECK_INT(to_bits(THAW_F16, 1e-9f), 0);
	CHECK_INT(to_bits(THAW_BF16, 3.4e38f), 0x7f80);
	CHECK_INT(to_bits(THAW_BF16, -INFINITY), 0xff80);
}

static void test_others(void)
{
	CHECK(to_float(THAW_F32, &(float){0.1f}) == 0.1f);
	CHECK(to_float(THAW_F64, &(double){0.1}) == 0.1f);
	CHECK(to_float(THAW_I64, &(int64_t){-7}) == -7);
	CHECK(to_float(THAW_I32, &(int32_t){-7}) == -7);
	CHECK(to_float(THAW_I16, &(int16_t){-7}) == -7);
	CHECK(to_float(THAW_I8, &(int8_t){-7}) == -7);
	CHECK(to_float(THAW_U8, &(uint8_t){250}) == 250);
	CHECK(to_float(THAW_BOOL, &(uint8_t){2}) == 1);
	for (int i = 0; i < THAW_DTYPES; i++)
		CHECK(thaw_dtype_name((enum thaw_dtype)i)[0] && thaw_dtype_bytes((enum thaw_dtype)i) > 0);
}

int main(void)
{
	test_every(THAW_F16, 5, 10);
	test_every(THAW_BF16, 8, 7);
	test_rounding(THAW_F16, 5, 10);
	test_rounding(THAW_BF16, 8, 7);
	test_large();
	test_others();
	return TEST_END();
}
