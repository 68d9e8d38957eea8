#include "io/distort.h"

#include <math.h>
#include <string.h>

#include "io/blur.h"
#include "io/colour.h"

/* --- draws ------------------------------------------------------------------------------------------------------- */

/* All four are drawn, used or not, so that none depends on whether another is used. */
static void draw_colours(const struct thaw_augment *augment, struct thaw_random *random, struct thaw_distortion *d)
{
	const double range[THAW_COLOURS] = {
		[THAW_BRIGHTNESS] = augment->brightness,
		[THAW_CONTRAST] = augment->contrast,
		[THAW_SATURATION] = augment->saturation,
		[THAW_HUE] = augment->hue,
	};
	double by[THAW_COLOURS];
	int32_t order[THAW_COLOURS];

	for (int i = 0; i < THAW_COLOURS; i++) {
		double middle = i == THAW_HUE ? 0 : 1, low = i == THAW_HUE ? -range[i] : fmax(0, 1 - range[i]);

		by[i] = thaw_random_between(random, low, middle + range[i]);
	}
	thaw_random_permutation(random, order, THAW_COLOURS);
	for (int i = 0; i < THAW_COLOURS; i++)
		if (range[order[i]] > 0) {
			d->change[d->changes].what = (enum thaw_colour)order[i];
			d->change[d->changes++].by = by[order[i]];
		}
}

static void draw_grey(const struct thaw_augment *augment, struct thaw_random *random, struct thaw_distortion *d)
{
	d->grey = thaw_random_uniform(random) < augment->grey;
}

static void draw_blur(const struct thaw_augment *augment, struct thaw_random *random, struct thaw_distortion *d)
{
	if (thaw_random_uniform(random) < augment->blur)
		d->sigma = thaw_random_between(random, augment->blur_sigma[0], augment->blur_sigma[1]);
}

static void draw_erasing(const struct thaw_augment *augment, struct thaw_random *random, struct thaw_distortion *d)
{
	const double *scale = augment->erase_scale, *ratio = augment->erase_ratio;
	const int size = augment->size;

	if (!(thaw_random_uniform(random) < augment->erase))
		return;
	for (int tries = 0; tries < 10; tries++) {
		double area = (double)size * size * thaw_random_between(random, scale[0], scale[1]);
		double aspect = exp(thaw_random_between(random, log(ratio[0]), log(ratio[1])));
		int height = (int)nearbyint(sqrt(area * aspect)), width = (int)nearbyint(sqrt(area / aspect));

		if (height < size && width < size) {
			int top = (int)thaw_random_below(random, (uint32_t)(size - height) + 1);
			int left = (int)thaw_random_below(random, (uint32_t)(size - width) + 1);

			d->erased = (struct thaw_box){top, left, height, width};
			return;
		}
	}
}

/* --- what is done ------------------------------------------------------------------------------------------------ */

/* A picture at work. */
struct work {
	uint8_t *pixels;
	int size;
	const uint8_t *fill;
	struct thaw_scratch *scratch;
};

static thaw_status change_colours(const struct thaw_distortion *d, const struct work *work)
{
	static void (*const adjust[THAW_COLOURS])(uint8_t *, size_t, double) = {
		[THAW_BRIGHTNESS] = thaw_adjust_brightness,
		[THAW_CONTRAST] = thaw_adjust_contrast,
		[THAW_SATURATION] = thaw_adjust_saturation,
		[THAW_HUE] = thaw_adjust_hue,
	};

	for (int i = 0; i < d->changes; i++)
		adjust[d->change[i].what](work->pixels, (size_t)work->size * work->size, d->change[i].by);
	return THAW_OK;
}

static thaw_status make_grey(const struct thaw_distortion *d, const struct work *work)
{
	if (d->grey)
		thaw_greyscale(work->pixels, (size_t)work->size * work->size);
	return THAW_OK;
}

static thaw_status blur(const struct thaw_distortion *d, const struct work *work)
{
	return d->sigma > 0 ? thaw_blur(work->scratch, work->pixels, work->size, d->sigma) : THAW_OK;
}

static thaw_status erase(const struct thaw_distortion *d, const struct work *work)
{
	const struct thaw_box *box = &d->erased;

	for (int y = box->top; y < box->top + box->height; y++)
		for (int x = box->left; x < box->left + box->width; x++)
			memcpy(work->pixels + ((size_t)y * work->size + x) * 3, work->fill, 3);
	return THAW_OK;
}

/* In the order in which they are done. */
static const struct {
	enum thaw_purpose purpose; /* of the stream it draws from */
	void (*draw)(const struct thaw_augment *augment, struct thaw_random *random, struct thaw_distortion *distortion);
	thaw_status (*apply)(const struct thaw_distortion *distortion, const struct work *work);
} kinds[] = {
	{THAW_RANDOM_COLOUR, draw_colours, change_colours},
	{THAW_RANDOM_GREY, draw_grey, make_grey},
	{THAW_RANDOM_BLUR, draw_blur, blur},
	{THAW_RANDOM_ERASE, draw_erasing, erase},
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct thaw_distortion thaw_distort_draw(const struct thaw_augment *augment, const struct thaw_sample *sample)
{
	struct thaw_distortion distortion = {0};

	for (int i = 0; i < KINDS; i++) {
		struct thaw_random random;

		thaw_sample_random(sample, kinds[i].purpose, &random);
		kinds[i].draw(augment, &random, &distortion);
	}
	return distortion;
}

thaw_status thaw_distort(const struct thaw_distortion *distortion, const uint8_t fill[3], struct thaw_scratch *scratch,
                         uint8_t *pixels, int size)
{
	const struct work work = {pixels, size, fill, scratch};
	thaw_status status = THAW_OK;

	for (int i = 0; i < KINDS && !status; i++)
		status = kinds[i].apply(distortion, &work);
	return status;
}
