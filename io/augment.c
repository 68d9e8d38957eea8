#include "io/augment.h"

#include <math.h>

#include "base/random.h"

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

struct thaw_view thaw_augment_view(const struct thaw_augment *augment, uint64_t seed, int epoch, int64_t picture,
                                   int height, int width)
{
	struct thaw_random random;
	struct thaw_view view;

	thaw_random_init(&random, seed, THAW_RANDOM_AUGMENT, (uint32_t)epoch, (uint32_t)picture);
	if (augment->crop == THAW_CROP_RANDOM_RESIZED)
		view.box = random_resized_crop(augment, &random, height, width);
	else
		view.box = center_crop(augment->size, height, width);
	view.flip = thaw_random_uniform(&random) < augment->flip;
	return view;
}
