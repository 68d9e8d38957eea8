/*
 * Batch normalisation (Ioffe & Szegedy 2015), per channel over (N, H, W):
 *
 *     z = (x - mean) / sqrt(variance + epsilon),  y = gamma * z + beta
 *
 * With the batch's own mean and variance these depend on every x of the channel, and with g the gradient of y
 *
 *     dx = gamma / sqrt(variance + epsilon) * (g - mean(g) - z * mean(g * z))
 *
 * With running statistics the last two terms fall away. The batch's variance is divided by the count where it
 * normalises, and by one less where it becomes a running statistic, as PyTorch has it.
 */
#include <math.h>

#include "nn/reference/reference.h"

/* Kept from forward to backward, one per channel. */
struct channel {
	double mean, scale; /* scale: 1 / sqrt(variance + epsilon) */
};

static size_t plane_elems(const struct thaw_step *step)
{
	return (size_t)step->x->h * (size_t)step->x->w;
}

static thaw_status prepare(struct thaw_step *step)
{
	bool backward = step->dy_count > 0;

	thaw_tensor_layout(step->y, 1);
	step->saved_bytes = (size_t)step->x->c * sizeof(struct channel);
	step->keeps_x = backward && ((step->batch_statistics && step->dx) || step->dgamma);
	step->keeps_y = backward && step->relu;
	return THAW_OK;
}

/* Sum over the channel of (x - shift) ^ power, power 1 or 2. */
static double channel_sum(const struct thaw_step *step, int c, double shift, int power)
{
	double sum = 0;

	for (int n = 0; n < step->x->n; n++) {
		const float *x = thaw_reference_plane(step->x, n, c);

		for (size_t i = 0; i < plane_elems(step); i++)
			sum += power == 1 ? x[i] - shift : (x[i] - shift) * (x[i] - shift);
	}
	return sum;
}

/* A single number has no variance: it contributes what the running statistics are, and so does not move them. */
static struct channel batch_statistics(struct thaw_step *step, int c)
{
	double count = (double)step->x->n * (double)plane_elems(step);
	double mean = channel_sum(step, c, 0, 1) / count;
	double squares = channel_sum(step, c, mean, 2);

	step->batch_mean[c] = (float)(step->run->share * (count > 1 ? mean : step->mean[c]));
	step->batch_variance[c] = (float)(step->run->share * (count > 1 ? squares / (count - 1) : step->variance[c]));
	return (struct channel){mean, 1 / sqrt(squares / count + step->epsilon)};
}

static thaw_status forward(struct thaw_step *step)
{
	struct channel *channels = step->saved;

	for (int c = 0; c < step->x->c; c++) {
		struct channel channel = {0};

		if (step->batch_statistics)
			channel = batch_statistics(step, c);
		else
			channel = (struct channel){step->mean[c], 1 / sqrt(step->variance[c] + step->epsilon)};
		channels[c] = channel;
		for (int n = 0; n < step->x->n; n++) {
			const float *x = thaw_reference_plane(step->x, n, c);
			const float *residual = step->residual ? thaw_reference_plane(step->residual, n, c) : NULL;
			float *y = thaw_reference_plane(step->y, n, c);

			for (size_t i = 0; i < plane_elems(step); i++) {
				double value = (x[i] - channel.mean) * channel.scale * step->gamma[c] + step->beta[c];

				y[i] = (float)thaw_reference_clamp(step, value + (residual ? residual[i] : 0));
			}
		}
	}
	return THAW_OK;
}

/* Sums of g and of g * z over channel c. Without keeps_x nobody needs the second, and x may be gone. */
static void gradient_sums(const struct thaw_step *step, int c, double *g_out, double *gz_out)
{
	const struct channel *channel = (const struct channel *)step->saved + c;

	*g_out = *gz_out = 0;
	for (int n = 0; n < step->x->n; n++) {
		const float *x = thaw_reference_plane(step->x, n, c);
		size_t first = (size_t)(thaw_reference_plane(step->y, n, c) - step->y->data);

		for (size_t i = 0; i < plane_elems(step); i++) {
			double g = thaw_reference_gradient(step, first + i);

			*g_out += g;
			if (step->keeps_x)
				*gz_out += g * (x[i] - channel->mean) * channel->scale;
		}
	}
}

static void backward_channel(struct thaw_step *step, int c, double mean_g, double mean_gz)
{
	const struct channel *channel = (const struct channel *)step->saved + c;

	for (int n = 0; n < step->x->n; n++) {
		const float *x = thaw_reference_plane(step->x, n, c);
		size_t first = (size_t)(thaw_reference_plane(step->y, n, c) - step->y->data);

		for (size_t i = 0; i < plane_elems(step); i++) {
			double g = thaw_reference_gradient(step, first + i), dz = g;

			if (step->dresidual)
				step->dresidual->data[first + i] = (float)g;
			if (!step->dx)
				continue;
			if (step->batch_statistics)
				dz -= mean_g + (x[i] - channel->mean) * channel->scale * mean_gz;
			step->dx->data[first + i] = (float)(dz * channel->scale * step->gamma[c]);
		}
	}
}

static thaw_status backward(struct thaw_step *step)
{
	double count = (double)step->x->n * (double)plane_elems(step), g, gz;

	for (int c = 0; c < step->x->c; c++) {
		gradient_sums(step, c, &g, &gz);
		if (step->dgamma)
			step->dgamma[c] = (float)gz;
		if (step->dbeta)
			step->dbeta[c] = (float)g;
		backward_channel(step, c, g / count, gz / count);
	}
	return THAW_OK;
}

const struct thaw_op_ops thaw_reference_batch_norm = {
	.prepare = prepare,
	.forward = forward,
	.backward = backward,
	.gradients_limit = 1,
};
