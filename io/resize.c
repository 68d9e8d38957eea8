#include "io/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
	weight_bits = 22, /* weights are integers that sum to 2^22, as nearly as rounding lets them */
	lanes = 32,       /* bytes weighed at once: what compilers turn into full vector registers */
	together = 8,     /* rows that pass across at once, at 4 bytes a pixel */
};

/* One direction of a resampling: output i is the sum of weight[i * taps + k] * input[first[i] + k] over k. Every output
 * has the same number of weights, some of them 0, because a loop of constant length is the faster one. */
struct axis {
	int inputs, outputs, taps;
	double scale, support; /* inputs to an output; half the width of the filter, in inputs */
	int *first;
	int32_t *weight;
	uint8_t *block; /* across only: (inputs, together, 4) */
};

struct span {
	int first, count;
};

static double center_of(const struct axis *axis, int output)
{
	return (output + 0.5) * axis->scale;
}

/* The inputs whose middles the filter around an output covers, rounded the way Pillow rounds. */
static struct span span_of(const struct axis *axis, int output)
{
	double center = center_of(axis, output);
	int first = (int)(center - axis->support + 0.5), end = (int)(center + axis->support + 0.5);

	if (first < 0)
		first = 0;
	if (end > axis->inputs)
		end = axis->inputs;
	return (struct span){first, end - first};
}

static struct axis axis_init(int inputs, int outputs)
{
	double scale = (double)inputs / outputs;
	struct axis axis = {.inputs = inputs, .outputs = outputs, .scale = scale, .support = scale < 1.0 ? 1.0 : scale};

	for (int i = 0; i < outputs; i++) {
		int count = span_of(&axis, i).count;

		if (count > axis.taps)
			axis.taps = count;
	}
	return axis;
}

static double triangle(double x)
{
	x = fabs(x);
	return x < 1.0 ? 1.0 - x : 0.0;
}

/* Weights of output `i`, kept at place `at`. The divisions are Pillow's, term by term: their roundings decide bits. */
static void weigh(struct axis *axis, int i, int at)
{
	struct span span = span_of(axis, i);
	double center = center_of(axis, i), inverse = 1.0 / axis->support, sum = 0.0;
	int first = span.first + axis->taps <= axis->inputs ? span.first : axis->inputs - axis->taps;
	int32_t *weight = axis->weight + (size_t)at * axis->taps;

	memset(weight, 0, axis->taps * sizeof *weight);
	axis->first[at] = first;
	for (int k = 0; k < span.count; k++)
		sum += triangle((k + span.first - center + 0.5) * inverse);
	for (int k = 0; k < span.count; k++) {
		double share = triangle((k + span.first - center + 0.5) * inverse) / sum;

		weight[span.first - first + k] = (int32_t)(0.5 + share * (1 << weight_bits));
	}
}

/* The one inner loop: `count` (up to `lanes`) weighted sums over `taps` rows of bytes that lie `stride` apart. */
static inline void blend(const uint8_t *restrict src, size_t stride, const int32_t *restrict weight, int taps,
                         uint8_t *restrict dst, int count)
{
	int32_t sum[lanes];

	for (int i = 0; i < count; i++)
		sum[i] = 1 << (weight_bits - 1);
	for (int k = 0; k < taps; k++)
		for (int i = 0; i < count; i++)
			sum[i] += src[k * stride + i] * weight[k];
	for (int i = 0; i < count; i++) {
		int32_t value = sum[i] >> weight_bits;

		dst[i] = (uint8_t)(value < 255 ? value : 255);
	}
}

static void resample_down(const struct axis *axis, const uint8_t *src, size_t src_stride, uint8_t *dst,
                          size_t dst_stride, size_t length)
{
	for (int y = 0; y < axis->outputs; y++) {
		const uint8_t *from = src + axis->first[y] * src_stride;
		const int32_t *weight = axis->weight + (size_t)y * axis->taps;
		uint8_t *to = dst + y * dst_stride;
		size_t x = 0;

		for (; x + lanes <= length; x += lanes)
			blend(from + x, src_stride, weight, axis->taps, to + x, lanes);
		blend(from + x, src_stride, weight, axis->taps, to + x, (int)(length - x));
	}
}

/* Spreads the 3 bytes of each pixel of a row to a column of the (width, together, 4) block. All but the last pixel are
 * moved as 4 bytes, which is one instruction; the fourth is never used. */
static void interleave(const uint8_t *src, int width, uint8_t *block)
{
	for (int x = 0; x + 1 < width; x++)
		memcpy(block + (size_t)x * lanes, src + (size_t)x * 3, 4);
	memcpy(block + (size_t)(width - 1) * lanes, src + (size_t)(width - 1) * 3, 3);
}

/* A row of `together` is a column of lanes: what is left of a last, smaller group is weighed along and thrown away. */
static void resample_across(const struct axis *axis, const uint8_t *src, size_t src_stride, uint8_t *dst,
                            size_t dst_stride, int rows)
{
	for (int y = 0; y < rows; y += together) {
		int group = rows - y < together ? rows - y : together;

		for (int row = 0; row < group; row++)
			interleave(src + (y + row) * src_stride, axis->inputs, axis->block + row * 4);
		for (int x = 0; x < axis->outputs; x++) {
			uint8_t pixels[lanes], *to = dst + y * dst_stride + (size_t)x * 3;

			blend(axis->block + (size_t)axis->first[x] * lanes, lanes, axis->weight + (size_t)x * axis->taps,
			      axis->taps, pixels, lanes);
			if (x + 1 < axis->outputs)
				for (int row = 0; row < group; row++)
					memcpy(to + row * dst_stride, pixels + row * 4, 4);
			else
				for (int row = 0; row < group; row++)
					memcpy(to + row * dst_stride, pixels + row * 4, 3);
		}
	}
}

static void copy_rows(const uint8_t *src, size_t src_stride, uint8_t *dst, size_t length, int rows)
{
	for (int y = 0; y < rows; y++)
		memcpy(dst + y * length, src + y * src_stride, length);
}

/* Takes `size_bytes`, rounded up to whole cache lines, from *offset on. */
static size_t take(size_t *offset, size_t size_bytes)
{
	size_t at = *offset;

	*offset += (size_bytes + 63) / 64 * 64;
	return at;
}

/* Lets the scratch memory hold both axes and the rows between the passes. */
static thaw_status reserve(struct thaw_resizer *resizer, struct axis *across, struct axis *down, size_t between_bytes,
                           uint8_t **between_out)
{
	size_t need = 0;
	size_t first_across = take(&need, across->outputs * sizeof *across->first);
	size_t weight_across = take(&need, (size_t)across->outputs * across->taps * sizeof *across->weight);
	size_t first_down = take(&need, down->outputs * sizeof *down->first);
	size_t weight_down = take(&need, (size_t)down->outputs * down->taps * sizeof *down->weight);
	size_t block = take(&need, (size_t)across->inputs * lanes);
	size_t between = take(&need, between_bytes);
	uint8_t *memory = resizer->memory;

	if (need > resizer->capacity_bytes) {
		thaw_resizer_release(resizer);
		memory = thaw_alloc_slab(need, "the rows of a picture being resized");
		if (!memory)
			return THAW_OUT_OF_MEMORY;
		*resizer = (struct thaw_resizer){memory, need};
	}
	across->first = (int *)(memory + first_across);
	across->weight = (int32_t *)(memory + weight_across);
	across->block = memory + block;
	down->first = (int *)(memory + first_down);
	down->weight = (int32_t *)(memory + weight_down);
	*between_out = memory + between;
	return THAW_OK;
}

void thaw_resizer_release(struct thaw_resizer *resizer)
{
	thaw_free_slab(resizer->memory);
	*resizer = (struct thaw_resizer){NULL, 0};
}

/* Mirroring is a matter of where the weights of a column are kept. A direction that keeps its size needs no pass: its
 * weights are 1 and 0. */
thaw_status thaw_resize(struct thaw_resizer *resizer, const uint8_t *src, int src_width, struct thaw_box box,
                        uint8_t *dst, int dst_height, int dst_width, bool flip)
{
	const uint8_t *corner = src + ((size_t)box.top * src_width + box.left) * 3;
	size_t src_stride = (size_t)src_width * 3, dst_stride = (size_t)dst_width * 3, box_stride = (size_t)box.width * 3;
	struct axis across = axis_init(box.width, dst_width), down = axis_init(box.height, dst_height);
	bool down_first = dst_height < box.height && box.height - dst_height > 2 * (box.width - dst_width);
	uint8_t *between;

	if (box.width == dst_width && box.height == dst_height && !flip) {
		copy_rows(corner, src_stride, dst, dst_stride, dst_height);
		return THAW_OK;
	}
	if (reserve(resizer, &across, &down, down_first ? dst_height * box_stride : box.height * dst_stride, &between))
		return THAW_OUT_OF_MEMORY;
	for (int x = 0; x < dst_width; x++)
		weigh(&across, x, flip ? dst_width - 1 - x : x);
	for (int y = 0; y < dst_height; y++)
		weigh(&down, y, y);

	if (box.height == dst_height) {
		resample_across(&across, corner, src_stride, dst, dst_stride, dst_height);
	} else if (box.width == dst_width && !flip) {
		resample_down(&down, corner, src_stride, dst, dst_stride, dst_stride);
	} else if (down_first) {
		resample_down(&down, corner, src_stride, between, box_stride, box_stride);
		resample_across(&across, between, box_stride, dst, dst_stride, dst_height);
	} else {
		resample_across(&across, corner, src_stride, between, dst_stride, box.height);
		resample_down(&down, between, dst_stride, dst, dst_stride, dst_stride);
	}
	return THAW_OK;
}

void thaw_resize_shorter(int height, int width, int shorter, int64_t *height_out, int64_t *width_out)
{
	int shortest = height < width ? height : width, longest = height < width ? width : height;
	int64_t longer = (int64_t)shorter * longest / shortest;

	*height_out = height <= width ? shorter : longer;
	*width_out = width <= height ? shorter : longer;
}
