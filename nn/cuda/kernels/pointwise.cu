/* What treats each pixel or number by itself: pictures to numbers, adding, clamping, casts, the shortcut. */
#include "nn/cuda/kernels/kernel.h"

DEVICE void input(enum thaw_number number, const struct thaw_input_args *a, struct thaw_at at)
{
	for (size_t i = thaw_first(at); i < (size_t)a->rows; i += thaw_stride(at)) {
		float y[8] = {0};

		for (int c = 0; c < 3; c++)
			y[c] = ((float)a->pixels[i * 3 + (size_t)c] / 255.0f - a->mean[c]) / a->std[c];
		thaw_store8(number, a->y, i, y);
	}
}

KERNEL(input)
{
	BY_NUMBER(a.number, input, &a, at);
}

DEVICE void add(enum thaw_number number, const struct thaw_add_args *a, struct thaw_at at)
{
	for (size_t i = thaw_first(at); i < (size_t)a->eights; i += thaw_stride(at)) {
		float x[8], residual[8] = {0};

		thaw_load8(number, a->x, i, x);
		if (a->residual)
			thaw_load8(number, a->residual, i, residual);
		for (int k = 0; k < 8; k++) {
			float y = x[k] + residual[k];

			x[k] = a->relu && y < 0 ? 0 : y;
		}
		thaw_store8(number, a->y, i, x);
	}
}

KERNEL(add)
{
	BY_NUMBER(a.number, add, &a, at);
}

DEVICE void add_gradient(enum thaw_number number, const struct thaw_add_gradient_args *a, struct thaw_at at)
{
	for (size_t i = thaw_first(at); i < (size_t)a->eights; i += thaw_stride(at)) {
		float g[8], more[8] = {0}, y[8];

		thaw_load8(number, a->dy0, i, g);
		if (a->dy1)
			thaw_load8(number, a->dy1, i, more);
		if (a->y)
			thaw_load8(number, a->y, i, y);
		for (int k = 0; k < 8; k++)
			g[k] = a->y && y[k] <= 0 ? 0 : g[k] + more[k];
		if (a->dx)
			thaw_store8(number, a->dx, i, g);
		if (a->dresidual)
			thaw_store8(number, a->dresidual, i, g);
	}
}

KERNEL(add_gradient)
{
	BY_NUMBER(a.number, add_gradient, &a, at);
}

DEVICE void sum(enum thaw_number number, const struct thaw_sum_args *a, struct thaw_at at)
{
	for (size_t i = thaw_first(at); i < (size_t)a->eights; i += thaw_stride(at)) {
		float x[8], y[8];

		thaw_load8(number, a->from, i, x);
		thaw_load8(number, a->to, i, y);
		for (int k = 0; k < 8; k++)
			y[k] += x[k];
		thaw_store8(number, a->to, i, y);
	}
}

KERNEL(sum)
{
	BY_NUMBER(a.number, sum, &a, at);
}

KERNEL(cast)
{
	for (size_t i = thaw_first(at); i < (size_t)a.eights; i += thaw_stride(at)) {
		float x[8];

		thaw_load8(a.from_number, a.from, i, x);
		thaw_store8(a.to_number, a.to, i, x);
	}
}

/* A thread for each number of y. */
DEVICE void shortcut(enum thaw_number number, const struct thaw_shortcut_args *a, struct thaw_at at)
{
	const struct thaw_window *w = &a->window;
	size_t k_padded = (size_t)a->k_padded, all = (size_t)w->n * (size_t)w->oh * (size_t)w->ow * k_padded;

	for (size_t i = thaw_first(at); i < all; i += thaw_stride(at)) {
		int c = (int)(i % k_padded) - a->before, q = (int)(i / k_padded % (size_t)w->ow);
		size_t line = i / k_padded / (size_t)w->ow, n = line / (size_t)w->oh, p = line % (size_t)w->oh;
		size_t pixel = (n * (size_t)w->h + p * (size_t)w->stride) * (size_t)w->w + (size_t)(q * w->stride);

		thaw_store(number, a->y, i,
		           c >= 0 && c < a->channels ? thaw_load(number, a->x, pixel * (size_t)w->c + (size_t)c) : 0);
	}
}

KERNEL(shortcut)
{
	BY_NUMBER(a.number, shortcut, &a, at);
}

/* A thread for each number of dx. */
DEVICE void shortcut_gradient(enum thaw_number number, const struct thaw_shortcut_gradient_args *a, struct thaw_at at)
{
	const struct thaw_window *w = &a->window;
	size_t all = (size_t)w->n * (size_t)w->h * (size_t)w->w * (size_t)w->c;

	for (size_t i = thaw_first(at); i < all; i += thaw_stride(at)) {
		int c = (int)(i % (size_t)w->c), x = (int)(i / (size_t)w->c % (size_t)w->w);
		size_t line = i / (size_t)w->c / (size_t)w->w, n = line / (size_t)w->h;
		int y = (int)(line % (size_t)w->h), p = y / w->stride, q = x / w->stride;
		size_t pixel = (n * (size_t)w->oh + (size_t)p) * (size_t)w->ow + (size_t)q;
		bool taken = y % w->stride == 0 && x % w->stride == 0 && c < a->channels;

		thaw_store(number, a->dx, i,
		           taken ? thaw_load(number, a->dy, pixel * (size_t)a->k_padded + (size_t)(c + a->before)) : 0);
	}
}

KERNEL(shortcut_gradient)
{
	BY_NUMBER(a.number, shortcut_gradient, &a, at);
}
