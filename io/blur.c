#include "io/blur.h"

#include <math.h>
#include <string.h>

/* Between the passes a byte has 8 more bits behind the point. Weights are shares of 2^16, and sum to one less: none
 * overflows, and white stays white. A product keeps its upper 16 bits, which processors multiply to directly; what that
 * cuts off, half a unit for each weight on average, the sum begins with. */
enum {
	lanes = 64, /* numbers weighed at once; rows are as long as a multiple of it */
	taps_limit = 2 * THAW_BLUR_RADIUS + 1,
};

struct kernel {
	int radius;
	uint16_t weight[taps_limit];
};

int thaw_blur_radius(double sigma, int size)
{
	int radius = (int)ceil(3 * sigma);

	return radius < size ? radius : size - 1;
}

static struct kernel make_kernel(double sigma, int radius)
{
	struct kernel kernel = {.radius = radius};
	double share[taps_limit], sum = 0;
	int left = 65535;

	for (int k = -radius; k <= radius; k++)
		sum += share[k + radius] = exp(-0.5 * (k / sigma) * (k / sigma));
	for (int k = 0; k < radius; k++) {
		kernel.weight[k] = kernel.weight[2 * radius - k] = (uint16_t)(share[k] / sum * 65535 + 0.5);
		left -= 2 * kernel.weight[k];
	}
	kernel.weight[radius] = (uint16_t)left;
	return kernel;
}

static inline int reflect(int i, int size)
{
	return i < 0 ? -i : i < size ? i : 2 * (size - 1) - i;
}

static inline void add(uint16_t sum[lanes], const uint16_t *x, uint16_t weight)
{
	for (int i = 0; i < lanes; i++)
		sum[i] = (uint16_t)(sum[i] + ((uint32_t)x[i] * weight >> 16));
}

/* The rows around row y of `src`, rows of bytes. */
static void blur_down(const struct kernel *kernel, const uint8_t *src, size_t stride, int size, int y, uint16_t *dst)
{
	for (size_t x = 0; x < stride; x += lanes) {
		uint16_t sum[lanes], wide[lanes];

		for (int i = 0; i < lanes; i++)
			sum[i] = (uint16_t)kernel->radius;
		for (int k = 0; k <= 2 * kernel->radius; k++) {
			const uint8_t *row = src + (size_t)reflect(y + k - kernel->radius, size) * stride + x;

			for (int i = 0; i < lanes; i++)
				wide[i] = (uint16_t)(row[i] << 8);
			add(sum, wide, kernel->weight[k]);
		}
		memcpy(dst + x, sum, sizeof sum);
	}
}

/* `row` has its reflections before and behind it. */
static void blur_across(const struct kernel *kernel, const uint16_t *row, uint8_t *dst, size_t length)
{
	for (size_t x = 0; x < length; x += lanes) {
		const uint16_t *first = row + x - (size_t)kernel->radius * 3;
		uint16_t sum[lanes];
		uint8_t bytes[lanes];

		for (int i = 0; i < lanes; i++)
			sum[i] = (uint16_t)(kernel->radius + 128);
		for (int k = 0; k <= 2 * kernel->radius; k++)
			add(sum, first + k * 3, kernel->weight[k]);
		for (int i = 0; i < lanes; i++)
			bytes[i] = (uint8_t)(sum[i] >> 8);
		memcpy(dst + x, bytes, length - x < lanes ? length - x : lanes);
	}
}

thaw_status thaw_blur(struct thaw_scratch *scratch, uint8_t *pixels, int size, double sigma)
{
	const struct kernel kernel = make_kernel(sigma, thaw_blur_radius(sigma, size));
	const size_t length = (size_t)size * 3, stride = (length + lanes - 1) / lanes * lanes;
	const size_t margin = (size_t)kernel.radius * 3;
	uint8_t *copy =
		thaw_scratch_reserve(scratch, size * stride + (stride + 2 * (size_t)THAW_BLUR_RADIUS * 3) * sizeof(uint16_t),
	                         "a picture being blurred");
	uint16_t *row;

	if (!copy)
		return THAW_OUT_OF_MEMORY;
	row = (uint16_t *)(copy + size * stride) + margin;
	for (int y = 0; y < size; y++)
		memcpy(copy + y * stride, pixels + y * length, length);
	for (int y = 0; y < size; y++) {
		blur_down(&kernel, copy, stride, size, y, row);
		for (int x = 1; x <= kernel.radius; x++) {
			memcpy(row - x * 3, row + x * 3, 3 * sizeof *row);
			memcpy(row + (size - 1 + x) * 3, row + (size - 1 - x) * 3, 3 * sizeof *row);
		}
		blur_across(&kernel, row, pixels + y * length, length);
	}
	return THAW_OK;
}
