#include "io/augment.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

/* Settings of one number. */
static const struct {
	const char *key;
	size_t offset;
	double high; /* 0 .. high */
} numbers[] = {
	{"augment.flip", offsetof(struct thaw_augment, flip), 1},
	{"augment.rotation", offsetof(struct thaw_augment, rotation), 180},
	{"augment.brightness", offsetof(struct thaw_augment, brightness), 10},
	{"augment.contrast", offsetof(struct thaw_augment, contrast), 10},
	{"augment.saturation", offsetof(struct thaw_augment, saturation), 10},
	{"augment.hue", offsetof(struct thaw_augment, hue), 0.5},
	{"augment.grey", offsetof(struct thaw_augment, grey), 1},
	{"augment.blur", offsetof(struct thaw_augment, blur), 1},
	{"augment.erase", offsetof(struct thaw_augment, erase), 1},
	{"augment.mixup", offsetof(struct thaw_augment, mixup), 10},
	{"augment.cutmix", offsetof(struct thaw_augment, cutmix), 10},
};

static thaw_status check_range(const char *key, const double range[2], double low, double high)
{
	if (!(range[0] >= low && range[0] <= range[1] && range[1] <= high))
		return thaw_fail(THAW_BAD_JOB, "%s: %g to %g, allowed is a range within %g to %g", key, range[0], range[1], low,
		                 high);
	return THAW_OK;
}

/* Ranges count only where something is drawn from them. */
thaw_status thaw_augment_check(const struct thaw_augment *augment)
{
	thaw_status status = THAW_OK;

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		double value = *(const double *)((const char *)augment + numbers[i].offset);

		if (!(value >= 0 && value <= numbers[i].high))
			return thaw_fail(THAW_BAD_JOB, "%s: %g, allowed is 0 to %g", numbers[i].key, value, numbers[i].high);
	}
	if (augment->crop == THAW_CROP_RANDOM_RESIZED)
		status = check_range("augment.scale", augment->scale, DBL_TRUE_MIN, 1);
	if (!status && augment->crop == THAW_CROP_RANDOM_RESIZED)
		status = check_range("augment.ratio", augment->ratio, 0.01, 100);
	if (!status && augment->blur > 0)
		status = check_range("augment.blur_sigma", augment->blur_sigma, 0.01, 10);
	if (!status && augment->erase > 0)
		status = check_range("augment.erase_scale", augment->erase_scale, 0, 1);
	if (!status && augment->erase > 0)
		status = check_range("augment.erase_ratio", augment->erase_ratio, 0.01, 100);
	return status;
}

/* A repeat has another key of the generator: the seed moved by the odd number nearest to 2^64 over the golden ratio,
 * which no two seeds that people choose differ by. */
void thaw_sample_random(const struct thaw_sample *sample, enum thaw_purpose purpose, struct thaw_random *random_out)
{
	uint64_t seed = sample->seed + (uint64_t)sample->repeat * 0x9E3779B97F4A7C15u;

	thaw_random_init(random_out, seed, purpose, (uint32_t)sample->epoch, (uint32_t)sample->picture);
}

/* As Python's round() does: halves go to the even neighbour. */
static int round_even(double x)
{
	return (int)nearbyint(x);
}

/* A picture whose shorter edge is below `size` gives the square of that edge, which is resized up afterwards. */
static struct thaw_box center_crop(int size, int height, int width)
{
	int shorter = height < width ? height : width, edge = shorter < size ? shorter : size;

	return (struct thaw_box){round_even((height - edge) / 2.0), round_even((width - edge) / 2.0), edge, edge};
}

static int at_least_1(int x)
{
	return x < 1 ? 1 : x;
}

/* The largest central box whose ratio is allowed. RandomResizedCrop halves the margin downwards here, not to even. */
static struct thaw_box nearest_ratio(const double ratio[2], int height, int width)
{
	double have = (double)width / height;
	int box_height = height, box_width = width;

	if (have < ratio[0])
		box_height = at_least_1(round_even(width / ratio[0]));
	else if (have > ratio[1])
		box_width = at_least_1(round_even(height * ratio[1]));
	return (struct thaw_box){(height - box_height) / 2, (width - box_width) / 2, box_height, box_width};
}

/* Words of the stream: two a try, two for the place of the box once it fits. */
static struct thaw_box random_resized_crop(const struct thaw_augment *augment, struct thaw_random *random, int height,
                                           int width)
{
	double low = log(augment->ratio[0]), high = log(augment->ratio[1]);

	for (int tries = 0; tries < 10; tries++) {
		double area = (double)height * width * thaw_random_between(random, augment->scale[0], augment->scale[1]);
		double ratio = exp(thaw_random_between(random, low, high));
		int box_width = round_even(sqrt(area * ratio)), box_height = round_even(sqrt(area / ratio));

		if (box_width > 0 && box_width <= width && box_height > 0 && box_height <= height) {
			int top = (int)thaw_random_below(random, (uint32_t)(height - box_height) + 1);
			int left = (int)thaw_random_below(random, (uint32_t)(width - box_width) + 1);

			return (struct thaw_box){top, left, box_height, box_width};
		}
	}
	return nearest_ratio(augment->ratio, height, width);
}

struct thaw_view thaw_augment_view(const struct thaw_augment *augment, const struct thaw_sample *sample, int height,
                                   int width)
{
	struct thaw_random random;
	struct thaw_view view;

	thaw_sample_random(sample, THAW_RANDOM_AUGMENT, &random);
	if (augment->crop == THAW_CROP_RANDOM_RESIZED)
		view.box = random_resized_crop(augment, &random, height, width);
	else
		view.box = center_crop(augment->size, height, width);
	view.flip = thaw_random_uniform(&random) < augment->flip;
	thaw_sample_random(sample, THAW_RANDOM_ROTATION, &random);
	view.degrees = augment->rotation * thaw_random_between(&random, -1, 1);
	return view;
}
