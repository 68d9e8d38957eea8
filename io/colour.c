#include "io/colour.h"

#include <string.h>

enum { run = 64 }; /* pixels at once */

/* Some pixels, a plane for each channel: what compilers turn into full vector registers. */
struct planes {
	float r[run], g[run], b[run];
};

static void load(const uint8_t *pixels, struct planes *planes)
{
	for (int i = 0; i < run; i++) {
		planes->r[i] = pixels[i * 3];
		planes->g[i] = pixels[i * 3 + 1];
		planes->b[i] = pixels[i * 3 + 2];
	}
}

/* Levels of 0 to 255, cut off. */
static void store(const struct planes *planes, uint8_t *pixels)
{
	for (int i = 0; i < run; i++) {
		pixels[i * 3] = (uint8_t)(int32_t)planes->r[i];
		pixels[i * 3 + 1] = (uint8_t)(int32_t)planes->g[i];
		pixels[i * 3 + 2] = (uint8_t)(int32_t)planes->b[i];
	}
}

static inline float grey_of(const struct planes *planes, int i)
{
	return (float)(int32_t)(0.2989f * planes->r[i] + 0.587f * planes->g[i] + 0.114f * planes->b[i]);
}

static inline float level(float x)
{
	x = x > 0 ? x : 0;
	return x < 255 ? x : 255;
}

/* Calls `change` for all pixels, `run` at a time; the last ones are filled up with black. */
static inline void for_planes(uint8_t *pixels, size_t count, void (*change)(struct planes *, double), double by)
{
	struct planes planes;

	for (size_t i = 0; i < count; i += run) {
		if (count - i >= run) {
			load(pixels + i * 3, &planes);
			change(&planes, by);
			store(&planes, pixels + i * 3);
		} else {
			uint8_t last[run * 3] = {0};

			memcpy(last, pixels + i * 3, (count - i) * 3);
			load(last, &planes);
			change(&planes, by);
			store(&planes, last);
			memcpy(pixels + i * 3, last, (count - i) * 3);
		}
	}
}

static void blend(uint8_t *pixels, size_t count, double factor, float other)
{
	float share = (float)factor, offset = (float)(1 - factor) * other;

	for (size_t i = 0; i < count * 3; i++)
		pixels[i] = (uint8_t)(int32_t)level(share * pixels[i] + offset);
}

void thaw_adjust_brightness(uint8_t *pixels, size_t count, double factor)
{
	blend(pixels, count, factor, 0);
}

static double mean_grey(const uint8_t *pixels, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (uint32_t)(0.2989f * pixels[i * 3] + 0.587f * pixels[i * 3 + 1] + 0.114f * pixels[i * 3 + 2]);
	return (double)sum / (double)count;
}

void thaw_adjust_contrast(uint8_t *pixels, size_t count, double factor)
{
	blend(pixels, count, factor, (float)mean_grey(pixels, count));
}

static void change_saturation(struct planes *planes, double factor)
{
	float share = (float)factor, rest = (float)(1 - factor);

	for (int i = 0; i < run; i++) {
		float offset = rest * grey_of(planes, i);

		planes->r[i] = level(share * planes->r[i] + offset);
		planes->g[i] = level(share * planes->g[i] + offset);
		planes->b[i] = level(share * planes->b[i] + offset);
	}
}

void thaw_adjust_saturation(uint8_t *pixels, size_t count, double factor)
{
	for_planes(pixels, count, change_saturation, factor);
}

/* A channel of HSV with the largest channel `most`, the largest less the smallest `chroma`, and the hue in sixths of
 * the circle, 0 .. 12 with the channel's own place (5, 3, 1 for R, G, B) added. torchvision makes levels of shares by
 * 255.999, cut off. */
static inline float channel_of(float most, float chroma, float sixths)
{
	float back = sixths - 6, around = sixths < 6 ? sixths : back, down = 4 - around;
	float part = around < down ? around : down;

	part = part > 0 ? part : 0;
	part = part < 1 ? part : 1;
	return (most - chroma * part) * (255.999f / 255);
}

/* What could be chosen is computed first, so that choosing is not branching. */
static void change_hue(struct planes *planes, double shift)
{
	const float sixths = (float)(6 * shift);

	for (int i = 0; i < run; i++) {
		float r = planes->r[i], g = planes->g[i], b = planes->b[i];
		float more = r > g ? r : g, less = r < g ? r : g, most = more > b ? more : b;
		float chroma = most - (less < b ? less : b), inverse = 1 / (chroma > 0 ? chroma : 1);
		float from_r = (g - b) * inverse + sixths, from_g = 2 + (b - r) * inverse + sixths;
		float from_b = 4 + (r - g) * inverse + sixths;
		float hue = most == g ? from_g : from_b, up, down;

		hue = most == r ? from_r : hue;
		up = hue + 6;
		hue = hue < 0 ? up : hue;
		down = hue - 6;
		hue = hue < 6 ? hue : down;
		planes->r[i] = channel_of(most, chroma, hue + 5);
		planes->g[i] = channel_of(most, chroma, hue + 3);
		planes->b[i] = channel_of(most, chroma, hue + 1);
	}
}

void thaw_adjust_hue(uint8_t *pixels, size_t count, double shift)
{
	for_planes(pixels, count, change_hue, shift);
}

static void change_to_grey(struct planes *planes, double unused)
{
	(void)unused;
	for (int i = 0; i < run; i++)
		planes->r[i] = planes->g[i] = planes->b[i] = grey_of(planes, i);
}

void thaw_greyscale(uint8_t *pixels, size_t count)
{
	for_planes(pixels, count, change_to_grey, 0);
}
