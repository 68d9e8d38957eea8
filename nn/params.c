#include "nn/params.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"

thaw_status thaw_params_init(struct thaw_params *params, const struct thaw_net *net)
{
	float *values = thaw_alloc_slab((size_t)thaw_net_param_elems(net) * sizeof *values, "parameters");
	float *states =
		values ? thaw_alloc_slab((size_t)thaw_net_state_elems(net) * sizeof *states, "running statistics") : NULL;

	if (!states) {
		thaw_free_slab(values);
		return THAW_OUT_OF_MEMORY;
	}
	*params = (struct thaw_params){net, values, states, 1};
	return THAW_OK;
}

void thaw_params_release(struct thaw_params *params)
{
	thaw_free_slab(params->values);
	thaw_free_slab(params->states);
	*params = (struct thaw_params){0};
}

float *thaw_params_at(const struct thaw_params *params, int i)
{
	const struct thaw_param *param = thaw_net_param(params->net, i);

	return (thaw_role_is_state(param->role) ? params->states : params->values) + param->offset;
}

static void fill(float *x, int64_t count, float value)
{
	for (int64_t i = 0; i < count; i++)
		x[i] = value;
}

static void uniform(float *x, int64_t count, double bound, struct thaw_random *random)
{
	for (int64_t i = 0; i < count; i++)
		x[i] = (float)thaw_random_between(random, -bound, bound);
}

/* Parameter `i`; a stream of its own, so that parameters can be filled in any order. */
static void randomize(struct thaw_params *params, int i, uint64_t seed)
{
	const struct thaw_param *p = thaw_net_param(params->net, i);
	float *x = thaw_params_at(params, i);
	struct thaw_random random;

	thaw_random_init(&random, seed, THAW_RANDOM_INIT, (uint32_t)i, 0);
	switch (p->role) {
	case THAW_WEIGHT:
		if (p->rank == 4)
			thaw_random_normals(&random, x, p->elems, sqrt(2.0 / (double)(p->shape[0] * p->shape[2] * p->shape[3])));
		else
			uniform(x, p->elems, 1.0 / sqrt((double)(p->elems / p->shape[0])), &random);
		break;
	case THAW_BIAS: /* the weight before it tells the bound: 1 / sqrt(numbers that make one output) */
		p = thaw_net_param(params->net, i - 1);
		uniform(x, p->shape[0], 1.0 / sqrt((double)(p->elems / p->shape[0])), &random);
		break;
	case THAW_NORM_WEIGHT:
	case THAW_RUNNING_VAR:
		fill(x, p->elems, 1.0f);
		break;
	case THAW_NORM_BIAS:
	case THAW_RUNNING_MEAN:
		fill(x, p->elems, 0.0f);
		break;
	}
}

void thaw_params_randomize(struct thaw_params *params, uint64_t seed)
{
#pragma omp parallel for schedule(dynamic)
	for (int i = 0; i < thaw_net_params(params->net); i++)
		randomize(params, i, seed);
	params->version++;
}
