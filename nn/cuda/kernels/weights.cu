/* Weights of convolutions and linear layers: folded, padded, cast; their gradients back; between orders. */
#include "nn/cuda/kernels/kernel.h"

/* What a norm multiplies channel k by. */
DEVICE float fold_of(const struct thaw_weights_args *a, int k)
{
	return a->gamma ? (float)((double)a->gamma[k] / sqrt((double)a->variance[k] + (double)a->epsilon)) : 1.0f;
}

/* A thread for each number of y; those of the first channels and tap also make the bias. */
DEVICE void weights(enum thaw_number number, const struct thaw_weights_args *a, struct thaw_at at)
{
	size_t c_padded = (size_t)a->c_padded, taps = (size_t)a->taps, all = (size_t)a->k_padded * taps * c_padded;

	for (size_t i = thaw_first(at); i < all; i += thaw_stride(at)) {
		int k = (int)(i / c_padded / taps), c = (int)(i % c_padded);
		size_t tap = i / c_padded % taps;
		bool inside = k < a->k && c < a->c;
		float scale = inside ? fold_of(a, k) : 0;

		thaw_store(number, a->y, i,
		           inside ? scale * a->w[((size_t)k * taps + tap) * (size_t)a->c + (size_t)c] : 0);
	}
	for (size_t k = thaw_first(at); a->bias_out && k < (size_t)a->k_padded; k += thaw_stride(at)) {
		double bias = k < (size_t)a->k && a->bias ? (double)a->bias[k] : 0;

		if (a->gamma && k < (size_t)a->k)
			bias = (bias - (double)a->mean[k]) * (double)fold_of(a, (int)k) + (double)a->beta[k];
		thaw_store(number, a->bias_out, k, (float)bias);
	}
}

KERNEL(weights)
{
	BY_NUMBER(a.number, weights, &a, at);
}

KERNEL(weights_gradient)
{
	size_t c = (size_t)a.c, taps = (size_t)a.taps, all = (size_t)a.k * taps * c;

	for (size_t i = thaw_first(at); i < all; i += thaw_stride(at))
		a.dw[i] = thaw_load(a.number, a.dy, i / c * (size_t)a.c_padded + i % c);
}

KERNEL(transpose)
{
	size_t rows = (size_t)a.rows, columns = (size_t)a.columns, all = (size_t)a.count * rows * columns;

	for (size_t i = thaw_first(at); i < all; i += thaw_stride(at)) {
		size_t row = i % rows, column = i / rows % columns, matrix = i / rows / columns;

		a.to[i] = a.from[(matrix * rows + row) * columns + column];
	}
}
