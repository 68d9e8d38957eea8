/* Max pooling, and the mean over the whole picture. Ties and NaN go as in PyTorch (nn/reference/pool.c). */
#include "nn/cuda/kernels/kernel.h"

/* Where the i-th eight of an output stands. */
struct spot {
	int n, p, q, eight;
};

DEVICE struct spot spot_of(size_t i, int height, int width, int c)
{
	struct spot s;

	s.eight = (int)(i % ((size_t)c / 8));
	i /= (size_t)c / 8;
	s.q = (int)(i % (size_t)width);
	i /= (size_t)width;
	s.p = (int)(i % (size_t)height);
	s.n = (int)(i / (size_t)height);
	return s;
}

DEVICE size_t eight_at(const struct thaw_window *w, int height, int width, int n, int y, int x, int eight)
{
	return (((size_t)n * (size_t)height + (size_t)y) * (size_t)width + (size_t)x) * ((size_t)w->c / 8) + (size_t)eight;
}

DEVICE void max_pool(enum thaw_number number, const struct thaw_max_pool_args *a, struct thaw_at at)
{
	const struct thaw_window *w = &a->window;
	size_t all = (size_t)w->n * (size_t)w->oh * (size_t)w->ow * ((size_t)w->c / 8);

	for (size_t i = thaw_first(at); i < all; i += thaw_stride(at)) {
		struct spot s = spot_of(i, w->oh, w->ow, w->c);
		float best[8] = {0};
		uint64_t taps = 0;
		unsigned tap[8] = {0};
		bool any = false;

		for (int r = 0; r < w->kernel; r++) {
			for (int t = 0; t < w->kernel; t++) {
				int y = s.p * w->stride - w->pad + r, x = s.q * w->stride - w->pad + t;
				float here[8];

				if (y < 0 || y >= w->h || x < 0 || x >= w->w)
					continue;
				thaw_load8(number, a->x, eight_at(w, w->h, w->w, s.n, y, x, s.eight), here);
				for (int k = 0; k < 8; k++) {
					bool better = !any || here[k] > best[k] || here[k] != here[k];

					best[k] = better ? here[k] : best[k];
					tap[k] = better ? (unsigned)(r * w->kernel + t) : tap[k];
				}
				any = true;
			}
		}
		thaw_store8(number, a->y, i, best);
		for (int k = 0; k < 8; k++)
			taps |= (uint64_t)tap[k] << 8 * k;
		if (a->tap)
			thaw_store_bytes(a->tap, i, taps);
	}
}

KERNEL(max_pool)
{
	BY_NUMBER(a.number, max_pool, &a, at);
}

/* The first output whose window reaches `place`, of kernel and stride. */
DEVICE int first_window(const struct thaw_window *w, int place)
{
	int from = place + w->pad - w->kernel + 1;

	return from <= 0 ? 0 : (from + w->stride - 1) / w->stride;
}

/* A thread for each eight of dx looks at the windows that reach it. */
DEVICE void max_pool_gradient(enum thaw_number number, const struct thaw_max_pool_gradient_args *a, struct thaw_at at)
{
	const struct thaw_window *w = &a->window;
	size_t all = (size_t)w->n * (size_t)w->h * (size_t)w->w * ((size_t)w->c / 8);

	for (size_t i = thaw_first(at); i < all; i += thaw_stride(at)) {
		struct spot s = spot_of(i, w->h, w->w, w->c);
		float sums[8] = {0};

		for (int p = first_window(w, s.p); p < w->oh && p * w->stride - w->pad <= s.p; p++) {
			for (int q = first_window(w, s.q); q < w->ow && q * w->stride - w->pad <= s.q; q++) {
				unsigned tap = (unsigned)((s.p - p * w->stride + w->pad) * w->kernel + s.q - q * w->stride + w->pad);
				size_t from = eight_at(w, w->oh, w->ow, s.n, p, q, s.eight);
				uint64_t taps = thaw_load_bytes(a->tap, from);
				float dy[8];

				thaw_load8(number, a->dy, from, dy);
				for (int k = 0; k < 8; k++)
					sums[k] += (taps >> 8 * k & 255) == tap ? dy[k] : 0;
			}
		}
		thaw_store8(number, a->dx, i, sums);
	}
}

KERNEL(max_pool_gradient)
{
	BY_NUMBER(a.number, max_pool_gradient, &a, at);
}

/* A thread for each eight of y. */
DEVICE void global_pool(enum thaw_number number, const struct thaw_global_pool_args *a, struct thaw_at at)
{
	size_t eights = (size_t)a->c / 8, all = (size_t)a->n * eights;

	for (size_t i = thaw_first(at); i < all; i += thaw_stride(at)) {
		float sums[8] = {0};

		for (size_t pixel = 0; pixel < (size_t)a->pixels; pixel++) {
			float x[8];

			thaw_load8(number, a->x, (i / eights * (size_t)a->pixels + pixel) * eights + i % eights, x);
			for (int k = 0; k < 8; k++)
				sums[k] += x[k];
		}
		for (int k = 0; k < 8; k++)
			sums[k] /= (float)a->pixels;
		thaw_store8(number, a->y, i, sums);
	}
}

KERNEL(global_pool)
{
	BY_NUMBER(a.number, global_pool, &a, at);
}

DEVICE void global_pool_gradient(enum thaw_number number, const struct thaw_global_pool_gradient_args *a,
                                 struct thaw_at at)
{
	size_t eights = (size_t)a->c / 8, all = (size_t)a->n * (size_t)a->pixels * eights;

	for (size_t i = thaw_first(at); i < all; i += thaw_stride(at)) {
		float g[8];

		thaw_load8(number, a->dy, i / eights / (size_t)a->pixels * eights + i % eights, g);
		for (int k = 0; k < 8; k++)
			g[k] /= (float)a->pixels;
		thaw_store8(number, a->dx, i, g);
	}
}

KERNEL(global_pool_gradient)
{
	BY_NUMBER(a.number, global_pool_gradient, &a, at);
}
