/*
 * From gradients to new parameters, over whole slabs: nn/optimizer.c, nn/clip.c and nn/average.c as three kernels.
 *
 * Everything that a step depends on stands in device memory: the rate, what the norm of the gradients was, how many
 * updates each parameter has had. So the same launches do for every step, and the host need not know whether a step
 * was left out.
 */
#include "nn/cuda/kernels/kernel.h"

KERNEL(fold)
{
	for (size_t i = thaw_first(at); i < (size_t)a.count; i += thaw_stride(at))
		a.to[i] += a.from[i];
}

/* --- the norm, and what follows from it -------------------------------------------------------------------------- */

/* The numbers [begin, end) of the slab that chunk `i` is. */
struct span {
	int64_t begin, end;
};

DEVICE struct span span_of(const struct thaw_segment *segments, struct thaw_chunk chunk)
{
	struct thaw_segment segment = segments[chunk.segment];
	struct span span;

	span.begin = (int64_t)chunk.begin * THAW_CHUNK;
	span.end = span.begin + THAW_CHUNK < segment.count ? span.begin + THAW_CHUNK : segment.count;
	span.begin += segment.offset;
	span.end += segment.offset;
	return span;
}

/* What is the same for all numbers of a parameter is computed in double precision and rounded once. */
DEVICE struct thaw_coefficients coefficients_of(const struct thaw_squares_args *a, struct thaw_segment segment)
{
	const struct thaw_rules *rules = &a->rules;
	double rate = a->facts->rate * segment.lr_scale, t = (double)a->counters[segment.counter];
	struct thaw_coefficients c;

	c.rate = (float)rate;
	c.decay = rules->decoupled ? 0 : (float)segment.decay;
	c.shrink = rules->decoupled ? (float)(1.0 - rate * segment.decay) : 1;
	c.size = rules->rule == THAW_RULE_ADAM ? (float)(rate / (1.0 - pow(rules->beta1, t))) : 0;
	c.root = rules->rule == THAW_RULE_ADAM ? (float)sqrt(1.0 - pow(rules->beta2, t)) : 1;
	return c;
}

/* What the average moves by: 1 - decay; the first update copies. `n`: updates before this one. */
DEVICE double average_mix(const struct thaw_rules *rules, double n)
{
	double most = (1.0 + n) / (10.0 + n), decay = rules->average_decay;

	if (n == 0)
		return 1.0;
	return 1.0 - (rules->average_warm_up && most < decay ? most : decay);
}

/* min(1, limit / (norm + 1e-6)) */
DEVICE double clip_factor(double limit, double norm)
{
	double factor = limit / (norm + 1e-6);

	return limit > 0 && factor < 1.0 ? factor : 1.0;
}

DEVICE bool is_finite(double x)
{
	return x - x == 0; /* neither infinite nor NaN */
}

/* The first parameter whose squares do not add up to a number. */
DEVICE int64_t find_broken(const struct thaw_squares_args *a)
{
	for (int i = 0; i < a->chunks_count; i++)
		if (!is_finite(a->partials[i]))
			return a->segments[a->chunks[i].segment].counter;
	return -1;
}

DEVICE void decide(struct thaw_at at, const struct thaw_squares_args *a, double norm)
{
	bool applied = is_finite(norm);

	if (at.thread == 0) {
		a->facts->norm = norm;
		a->facts->applied = applied;
		a->facts->broken = applied ? -1 : find_broken(a);
	}
	if (!applied)
		return;
	for (int i = (int)at.thread; i < a->segments_count; i += (int)at.threads) {
		a->counters[a->segments[i].counter]++;
		a->coefficients[i] = coefficients_of(a, a->segments[i]);
	}
	if (at.thread == 0) {
		a->coefficients[a->segments_count].rate = (float)(clip_factor(a->rules.clip, norm) * a->rules.unscale);
		a->coefficients[a->segments_count].size =
			(float)average_mix(&a->rules, (double)a->counters[a->counters_count]++);
	}
}

KERNEL(squares)
{
	struct span span = span_of(a.segments, a.chunks[at.block]);
	double sum = 0;

	for (int64_t i = span.begin + at.thread; i < span.end; i += at.threads)
		sum += (double)a.g[i] * (double)a.g[i];
	sum = thaw_block_sum(at, sum);
	if (at.thread == 0)
		a.partials[at.block] = sum;
	if (!thaw_last_block(at, a.tickets, at.blocks))
		return;
	sum = 0;
	for (int i = (int)at.thread; i < a.chunks_count; i += (int)at.threads)
		sum += a.partials[i];
	decide(at, &a, sqrt(thaw_block_sum(at, sum)) * a.rules.unscale);
}

/* --- the step ---------------------------------------------------------------------------------------------------- */

DEVICE float sgd(const struct thaw_update_args *a, struct thaw_coefficients c, float factor, int64_t i)
{
	float momentum = a->rules.momentum, w = a->w[i];
	float into = a->rules.of_steps ? c.rate : 1, out = a->rules.of_steps ? 1 : c.rate;
	float push = into * (factor * a->g[i] + c.decay * w), v = momentum * a->slot0[i] + push;

	a->slot0[i] = v;
	return w - out * (a->rules.nesterov ? push + momentum * v : v);
}

/* torch.lerp(): exact at both ends. */
DEVICE float lerp(float from, float to, float weight)
{
	return weight < 0.5f ? from + weight * (to - from) : to - (to - from) * (1.0f - weight);
}

DEVICE float adam(const struct thaw_update_args *a, struct thaw_coefficients c, float factor, int64_t i)
{
	float w = c.shrink * a->w[i], push = factor * a->g[i] + c.decay * w;
	float m = lerp(a->slot0[i], push, a->rules.mix);
	float s = a->rules.keep * a->slot1[i] + a->rules.add * push * push;

	a->slot0[i] = m;
	a->slot1[i] = s;
	return w - c.size * m / (sqrtf(s) / c.root + a->rules.epsilon);
}

DEVICE float averaged(float average, float w, float mix)
{
	return average == w ? w : average + mix * (w - average);
}

KERNEL(update)
{
	struct thaw_chunk chunk = a.chunks[at.block];
	struct span span = span_of(a.segments, chunk);
	struct thaw_coefficients c = a.coefficients[chunk.segment];
	float factor = a.coefficients[a.segments_count].rate, mix = a.coefficients[a.segments_count].size;

	if (!a.facts->applied)
		return;
	for (int64_t i = span.begin + at.thread; i < span.end; i += at.threads) {
		float w = a.rules.rule == THAW_RULE_SGD ? sgd(&a, c, factor, i) : adam(&a, c, factor, i);

		a.w[i] = w;
		if (a.average)
			a.average[i] = averaged(a.average[i], w, mix);
		if (a.copy)
			thaw_store(a.number, a.copy, (size_t)i, w);
	}
}

KERNEL(average)
{
	struct span span = span_of(a.segments, a.chunks[at.block]);
	float mix = a.coefficients[a.trained].size;

	if (!a.facts->applied)
		return;
	for (int64_t i = span.begin + at.thread; i < span.end; i += at.threads)
		a.average[i] = averaged(a.average[i], a.w[i], mix);
}

KERNEL(statistics)
{
	struct span span = span_of(a.segments, a.chunks[at.block]);

	if (!a.facts->applied)
		return;
	for (int64_t i = span.begin + at.thread; i < span.end; i += at.threads)
		a.running[i] = (1.0f - 0.1f) * a.running[i] + 0.1f * a.batch[i];
}
