#include "io/rotate.h"

#include <math.h>
#include <string.h>

enum {
	run = 64,         /* pixels sampled at once */
	weight_bits = 15, /* the weights of a pixel's four neighbours are integers that sum to 2^15 */
	before = 1, /* black rows and columns around what is sampled: a place is held within one pixel of it, and its */
	behind = 2, /* four neighbours can be read without a question */
};

/* What is sampled: rows of RGB, (before + height + behind, before + width + behind, 3). */
struct frame {
	uint8_t *pixels;
	size_t stride;
	int height, width; /* of what is not black */
};

/* Where in the frame the middles of the pixels (row, column) that come out lie, in pixels from the frame's first. */
struct places {
	double x, x_column, x_row;
	double y, y_column, y_row;
};

/* The box that has to be resized, so that the rotated one lies within it as far as the picture goes. Two pixels more
 * of what comes out, because neighbours are mixed, and filters at the edge of the box are cut off there. */
static struct thaw_box enlarge(struct thaw_box box, double radians, int size, int height, int width)
{
	double margin = size * (fabs(cos(radians)) + fabs(sin(radians)) - 1) / 2 + 2;
	int down = (int)ceil(margin * box.height / size), across = (int)ceil(margin * box.width / size);
	int top = box.top > down ? box.top - down : 0, left = box.left > across ? box.left - across : 0;
	int bottom = box.top + box.height + down, right = box.left + box.width + across;

	return (struct thaw_box){top, left, (bottom < height ? bottom : height) - top,
	                         (right < width ? right : width) - left};
}

/* The inverse of the rotation, then of the resizing, then into the frame. */
static struct places find_places(struct thaw_box box, struct thaw_box large, const struct frame *frame, double radians,
                                 int size, bool flip)
{
	double to_frame_x = (double)box.width / size * frame->width / large.width;
	double to_frame_y = (double)box.height / size * frame->height / large.height;
	double x_column = to_frame_x * cos(radians), x_row = -to_frame_x * sin(radians);
	double y_column = to_frame_y * sin(radians), y_row = to_frame_y * cos(radians);
	double middle_x = (box.left + box.width / 2.0 - large.left) * frame->width / large.width - 0.5 + before;
	double middle_y = (box.top + box.height / 2.0 - large.top) * frame->height / large.height - 0.5 + before;
	double first = 0.5 - size / 2.0;

	if (flip) {
		x_column = -x_column;
		y_column = -y_column;
	}
	return (struct places){
		.x = middle_x + first * (x_column + x_row),
		.x_column = x_column,
		.x_row = x_row,
		.y = middle_y + first * (y_column + y_row),
		.y_column = y_column,
		.y_row = y_row,
	};
}

static void fill_frame(const struct frame *frame, const uint8_t *src)
{
	size_t length = (size_t)frame->width * 3;

	memset(frame->pixels, 0, before * frame->stride);
	memset(frame->pixels + (size_t)(before + frame->height) * frame->stride, 0, behind * frame->stride);
	for (int y = 0; y < frame->height; y++) {
		uint8_t *row = frame->pixels + (size_t)(before + y) * frame->stride;

		memset(row, 0, before * 3);
		memcpy(row + before * 3, src + y * length, length);
		memset(row + before * 3 + length, 0, behind * 3);
	}
}

/* Where a run's pixels are in the frame, and what their four neighbours weigh. */
struct taps {
	uint32_t offset[run];
	uint32_t weight[4][run]; /* left above, right above, left below, right below */
};

static inline float within(float x, float high)
{
	x = x > 0 ? x : 0;
	return x < high ? x : high;
}

static void weigh(const struct frame *frame, float x, float y, float x_step, float y_step, struct taps *taps)
{
	const float whole = 1 << weight_bits;
	float x_high = (float)(frame->width + before), y_high = (float)(frame->height + before);

	for (int i = 0; i < run; i++) {
		float at_x = within(x + x_step * (float)i, x_high), at_y = within(y + y_step * (float)i, y_high);
		int32_t left = (int32_t)at_x, above = (int32_t)at_y;
		float right = at_x - (float)left, below = at_y - (float)above;
		int32_t right_above = (int32_t)(right * (1 - below) * whole + 0.5f);
		int32_t left_below = (int32_t)((1 - right) * below * whole + 0.5f);
		int32_t right_below = (int32_t)(right * below * whole + 0.5f);

		taps->offset[i] = (uint32_t)above * (uint32_t)frame->stride + (uint32_t)left * 3;
		taps->weight[0][i] = (uint32_t)((1 << weight_bits) - right_above - left_below - right_below);
		taps->weight[1][i] = (uint32_t)right_above;
		taps->weight[2][i] = (uint32_t)left_below;
		taps->weight[3][i] = (uint32_t)right_below;
	}
}

/* Pixels are moved as words of 4 bytes, the last and highest of which is not used: the frame has one byte more. */
static void sample(const struct frame *frame, const struct taps *taps, uint8_t *dst, int count)
{
	uint32_t near[4][run], mixed[run];

	for (int i = 0; i < run; i++) {
		const uint8_t *above = frame->pixels + taps->offset[i], *below = above + frame->stride;

		memcpy(&near[0][i], above, 4);
		memcpy(&near[1][i], above + 3, 4);
		memcpy(&near[2][i], below, 4);
		memcpy(&near[3][i], below + 3, 4);
	}
	for (int i = 0; i < run; i++) {
		uint32_t pixel = 0;

		for (int shift = 0; shift < 24; shift += 8) {
			uint32_t sum = 1u << (weight_bits - 1);

			for (int k = 0; k < 4; k++)
				sum += (near[k][i] >> shift & 255) * taps->weight[k][i];
			pixel |= sum >> weight_bits << shift;
		}
		mixed[i] = pixel;
	}
	for (int i = 0; i + 1 < count; i++)
		memcpy(dst + (size_t)i * 3, &mixed[i], 4);
	memcpy(dst + (size_t)(count - 1) * 3, &mixed[count - 1], 3);
}

static void sample_all(const struct frame *frame, const struct places *places, uint8_t *dst, int size)
{
	struct taps taps;

	for (int row = 0; row < size; row++)
		for (int column = 0; column < size; column += run) {
			double x = places->x + row * places->x_row + column * places->x_column;
			double y = places->y + row * places->y_row + column * places->y_column;

			weigh(frame, (float)x, (float)y, (float)places->x_column, (float)places->y_column, &taps);
			sample(frame, &taps, dst + ((size_t)row * size + column) * 3, size - column < run ? size - column : run);
		}
}

static int at_scale(int length, int size, int box_length)
{
	int scaled = (int)lround((double)length * size / box_length);

	return scaled > 1 ? scaled : 1;
}

thaw_status thaw_rotate(struct thaw_resizer *resizer, struct thaw_scratch *scratch, const uint8_t *src, int height,
                        int width, struct thaw_box box, double degrees, uint8_t *dst, int size, bool flip)
{
	const double radians = degrees * acos(-1) / 180;
	struct thaw_box large = enlarge(box, radians, size, height, width);
	struct frame frame = {
		.height = at_scale(large.height, size, box.height),
		.width = at_scale(large.width, size, box.width),
	};
	size_t resized_bytes = (size_t)frame.height * frame.width * 3;
	struct places places;
	uint8_t *resized;
	thaw_status status;

	if (degrees == 0)
		return thaw_resize(resizer, src, width, box, dst, size, size, flip);
	frame.stride = (size_t)(before + frame.width + behind) * 3;
	resized = thaw_scratch_reserve(scratch, resized_bytes + (before + frame.height + behind) * frame.stride + 1,
	                               "a picture being rotated");
	if (!resized)
		return THAW_OUT_OF_MEMORY;
	frame.pixels = resized + resized_bytes;
	status = thaw_resize(resizer, src, width, large, resized, frame.height, frame.width, false);
	if (status)
		return status;
	fill_frame(&frame, resized);
	places = find_places(box, large, &frame, radians, size, flip);
	sample_all(&frame, &places, dst, size);
	return THAW_OK;
}
