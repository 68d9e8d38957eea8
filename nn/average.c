#include "nn/average.h"

#include "base/mem.h"

thaw_status thaw_average_init(struct thaw_average *average, const struct thaw_average_spec *spec,
                              struct thaw_params *params)
{
	float *values;

	if (!(spec->decay >= 0.0 && spec->decay <= 0.999999))
		return thaw_fail(THAW_BAD_JOB, "average.decay: %g, allowed is 0 to 0.999999", spec->decay);
	values = thaw_alloc_slab((size_t)thaw_net_param_elems(params->net) * sizeof *values, "averaged parameters");
	if (!values)
		return THAW_OUT_OF_MEMORY;
	*average = (struct thaw_average){*spec, params, values};
	return THAW_OK;
}

void thaw_average_release(struct thaw_average *average)
{
	thaw_free_slab(average->values);
	*average = (struct thaw_average){0};
}

/* d of this update; 0 copies. */
static double decay_at(const struct thaw_average_spec *spec, int64_t step)
{
	double most = (1.0 + (double)step) / (10.0 + (double)step);

	if (step == 0)
		return 0.0;
	return spec->warm_up && most < spec->decay ? most : spec->decay;
}

void thaw_average_update(struct thaw_average *average, int64_t step)
{
	const float mix = (float)(1.0 - decay_at(&average->spec, step));
	const float *restrict w = average->params->values;
	float *restrict a = average->values;
	int64_t count = thaw_net_param_elems(average->params->net);

#pragma omp parallel for simd num_threads(average->spec.threads) schedule(static)
	for (int64_t i = 0; i < count; i++)
		a[i] = a[i] == w[i] ? w[i] : a[i] + mix * (w[i] - a[i]); /* where they are equal, to the bit: -0 + 0 is 0 */
}

void thaw_average_swap(struct thaw_average *average)
{
	float *values = average->params->values;

	average->params->values = average->values;
	average->values = values;
	average->params->version++;
}
