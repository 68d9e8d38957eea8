#include "io/mix.h"

#include <math.h>
#include <string.h>

enum { share_bits = 16, block = 1024 /* bytes that are exchanged at once */ };

/* (1 + t / sqrt(2 alpha + t^2)) / 2, where t has Student's distribution of 2 alpha degrees of freedom, which is drawn
 * by the polar method (Bailey, "Polar generation of random variates with the t-distribution", Mathematics of
 * Computation 62, 1994): t^2 = 2 alpha (u^(-1 / alpha) - 1) cos^2(2 pi v). Written so that infinity is no harm. */
double thaw_random_beta(struct thaw_random *random, double alpha)
{
	double u = thaw_random_uniform(random) + 0x1p-33;
	double direction = cos(2 * acos(-1) * thaw_random_uniform(random));
	double ratio = expm1(-log(u) / alpha) * direction * direction;

	return 0.5 + copysign(0.5 / sqrt(1 + 1 / ratio), direction);
}

static struct thaw_mix draw_mixup(struct thaw_random *random, double alpha)
{
	const double whole = 1 << share_bits;

	return (struct thaw_mix){.share = nearbyint(thaw_random_beta(random, alpha) * whole) / whole};
}

static int within(int x, int high)
{
	return x < 0 ? 0 : x < high ? x : high;
}

static struct thaw_mix draw_cutmix(struct thaw_random *random, double alpha, int size)
{
	int half = (int)(0.5 * sqrt(1 - thaw_random_beta(random, alpha)) * size);
	int x = (int)thaw_random_below(random, (uint32_t)size), y = (int)thaw_random_below(random, (uint32_t)size);
	int top = within(y - half, size), left = within(x - half, size);
	struct thaw_box box = {top, left, within(y + half, size) - top, within(x + half, size) - left};

	return (struct thaw_mix){1 - (double)(box.height * box.width) / (size * size), box};
}

struct thaw_mix thaw_mix_draw(const struct thaw_augment *augment, uint64_t seed, int epoch, int64_t first)
{
	struct thaw_random random;
	bool heads;

	thaw_random_init(&random, seed, THAW_RANDOM_MIX, (uint32_t)epoch, (uint32_t)first);
	heads = thaw_random_uniform(&random) < 0.5;
	if (augment->mixup > 0 && (heads || augment->cutmix == 0))
		return draw_mixup(&random, augment->mixup);
	if (augment->cutmix > 0)
		return draw_cutmix(&random, augment->cutmix, augment->size);
	return (struct thaw_mix){.share = 1};
}

/* a * share + b * (1 - share), and the other way round. */
static void blend(uint8_t *restrict a, uint8_t *restrict b, size_t count, int32_t share)
{
	const int32_t half = 1 << (share_bits - 1);

	for (size_t i = 0; i < count; i++) {
		int32_t x = a[i], y = b[i], moved = (x - y) * share;

		a[i] = (uint8_t)(y + ((moved + half) >> share_bits));
		b[i] = (uint8_t)(x + ((half - moved) >> share_bits));
	}
}

static void exchange(uint8_t *a, uint8_t *b, size_t count)
{
	uint8_t between[block];

	for (size_t i = 0; i < count; i += block) {
		size_t length = count - i < block ? count - i : block;

		memcpy(between, a + i, length);
		memcpy(a + i, b + i, length);
		memcpy(b + i, between, length);
	}
}

void thaw_mix(const struct thaw_mix *mix, uint8_t *pixels, int count, int size)
{
	const size_t row = (size_t)size * 3, picture = row * size;
	const struct thaw_box *box = &mix->box;

	if (mix->share == 1)
		return;
	for (int i = 0; i < count / 2; i++) {
		uint8_t *a = pixels + i * picture, *b = pixels + (count - 1 - i) * picture;

		if (box->height == 0)
			blend(a, b, picture, (int32_t)(mix->share * (1 << share_bits)));
		for (int y = box->top; y < box->top + box->height; y++)
			exchange(a + y * row + (size_t)box->left * 3, b + y * row + (size_t)box->left * 3, (size_t)box->width * 3);
	}
}
