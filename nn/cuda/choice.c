#include "nn/cuda/choice.h"

#include <math.h>

#include "base/clock.h"
#include "nn/cuda/cuda.h"

/* --- keys -------------------------------------------------------------------------------------------------------- */

thaw_status thaw_choice_key(const struct thaw_gpu_conv_spec *s, const char *machine, struct thaw_text *key)
{
	static const char *const passes[] = {"forward", "data", "weights"}, *const numbers[] = {"fp32", "bf16", "fp16"};

	thaw_text_release(key);
	thaw_text_add(key, "%s | %s %s, x %dx%dx%dx%d, y %dx%dx%d, kernel %d, stride %d, pad %d, groups %d", machine,
	              passes[s->pass], numbers[s->number], s->n, s->h, s->w, s->c, s->oh, s->ow, s->k, s->kernel, s->stride,
	              s->pad, s->groups);
	thaw_text_add(key, "%s%s%s%s%s%s, workspace %zu", s->bias ? ", bias" : "", s->residual ? ", residual" : "",
	              s->relu ? ", relu" : "", s->statistics ? ", statistics" : "", s->tf32 ? ", tf32" : "",
	              s->deterministic ? ", deterministic" : "", s->workspace_limit);
	return thaw_text_status(key);
}

/* --- times ------------------------------------------------------------------------------------------------------- */

static const double equal = 1.02; /* times that differ by less say nothing */

/* NaN if any of them is. */
static double median(const struct thaw_choice_times *times)
{
	double a = times->seconds[0], b = times->seconds[1], c = times->seconds[2];

	if (isnan(a) || isnan(b) || isnan(c))
		return NAN;
	return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

int thaw_choice_fastest(const struct thaw_choice_times *times, int count, double *seconds_out)
{
	double least = INFINITY;

	for (int i = 0; i < count; i++)
		least = fmin(least, median(&times[i])); /* fmin() passes over NaN */
	for (int i = 0; i < count && least < INFINITY; i++) {
		if (!(median(&times[i]) <= equal * least))
			continue;
		*seconds_out = median(&times[i]);
		return i;
	}
	return -1;
}

/* --- the process' cache ------------------------------------------------------------------------------------------ */

static struct thaw_plan_cache cache;
static bool loaded;
static double kept_at;                /* when the file was read, or written last */
static const double kept_seconds = 5; /* after which something new is written although more is to come */

thaw_status thaw_choice_cache(struct thaw_plan_cache **cache_out)
{
	thaw_status status = loaded ? THAW_OK : thaw_plan_cache_load(&cache);

	if (status)
		return status;
	if (!loaded)
		kept_at = thaw_clock_seconds();
	loaded = true;
	*cache_out = &cache;
	return THAW_OK;
}

void thaw_choice_keep(void)
{
	if (!loaded || !cache.changed)
		return;
	thaw_plan_cache_keep(&cache);
	kept_at = thaw_clock_seconds();
}

void thaw_choice_keep_old(void)
{
	if (loaded && cache.changed && thaw_clock_seconds() - kept_at > kept_seconds)
		thaw_choice_keep();
}

thaw_status thaw_cuda_choices(struct thaw_text *text)
{
	struct thaw_plan_cache *own;
	thaw_status status = thaw_choice_cache(&own);

	return status ? status : thaw_plan_cache_text(own, text);
}

thaw_status thaw_cuda_learn(const char *text)
{
	struct thaw_plan_cache *own;
	thaw_status status = thaw_choice_cache(&own);

	return status ? status : thaw_plan_cache_learn(own, text);
}
