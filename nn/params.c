#include "nn/params.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/random.h"
#include "nn/device.h"

thaw_status thaw_params_init(struct thaw_params *params, const struct thaw_net *net)
{
	float *values = thaw_alloc_slab((size_t)thaw_net_param_elems(net) * sizeof *values, "parameters");
	float *states =
		values ? thaw_alloc_slab((size_t)thaw_net_state_elems(net) * sizeof *states, "running statistics") : NULL;

	if (!states) {
		thaw_free_slab(values);
		return THAW_OUT_OF_MEMORY;
	}
	*params = (struct thaw_params){net, values, states, 1, NULL};
	return THAW_OK;
}

static void free_twin(struct thaw_twin *twin)
{
	if (!twin)
		return;
	twin->device->backend->memory->release(twin->device, twin->values);
	twin->device->backend->memory->release(twin->device, twin->states);
	twin->device->backend->memory->release(twin->device, twin->copy);
	free(twin);
}

void thaw_params_release(struct thaw_params *params)
{
	thaw_free_slab(params->values);
	thaw_free_slab(params->states);
	free_twin(params->twin);
	*params = (struct thaw_params){0};
}

float *thaw_params_at(const struct thaw_params *params, int i)
{
	const struct thaw_param *param = thaw_net_param(params->net, i);

	return (thaw_role_is_state(param->role) ? params->states : params->values) + param->offset;
}

thaw_status thaw_params_attach(struct thaw_params *params, struct thaw_device *device)
{
	const struct thaw_memory_ops *memory = device->backend->memory;
	size_t count = (size_t)thaw_net_param_elems(params->net);
	struct thaw_twin *twin;
	void *values = NULL, *states = NULL, *copy = NULL;
	thaw_status status;

	if (!memory)
		return THAW_OK;
	twin = thaw_alloc(1, sizeof *twin);
	if (!twin)
		return THAW_OUT_OF_MEMORY;
	twin->device = device;
	status = memory->allocate(device, count * sizeof(float), "parameters", &values);
	if (!status)
		status = memory->allocate(device, (size_t)thaw_net_state_elems(params->net) * sizeof(float),
		                          "running statistics", &states);
	if (!status && device->number != THAW_FLOAT32)
		status = memory->allocate(device, count * thaw_number_bytes(device->number), "parameters", &copy);
	if (!status)
		status = memory->zero(device, values, count * sizeof(float)); /* what lies between them, too */
	twin->values = values;
	twin->states = states;
	twin->copy = copy;
	if (status)
		free_twin(twin);
	else
		params->twin = twin;
	return status;
}

float *thaw_params_near(const struct thaw_params *params, int i)
{
	const struct thaw_param *param = thaw_net_param(params->net, i);

	if (!params->twin)
		return thaw_params_at(params, i);
	return (thaw_role_is_state(param->role) ? params->twin->states : params->twin->values) + param->offset;
}

const void *thaw_params_near_copy(const struct thaw_params *params, int i)
{
	const struct thaw_twin *twin = params->twin;

	if (!twin || !twin->copy)
		return NULL;
	return (const char *)twin->copy +
	       (size_t)thaw_net_param(params->net, i)->offset * thaw_number_bytes(twin->device->number);
}

static thaw_status copy_values(const struct thaw_params *params)
{
	const struct thaw_twin *twin = params->twin;

	if (!twin->copy)
		return THAW_OK;
	return twin->device->backend->memory->round(twin->device, twin->copy, twin->values,
	                                            thaw_net_param_elems(params->net));
}

thaw_status thaw_params_push(const struct thaw_params *params)
{
	struct thaw_twin *twin = params->twin;
	thaw_status status = THAW_OK;

	if (!twin || twin->version == params->version)
		return THAW_OK;
	for (int i = 0; i < thaw_net_params(params->net) && !status; i++)
		status = twin->device->backend->memory->put_param(twin->device, thaw_params_near(params, i),
		                                                  thaw_params_at(params, i), thaw_net_param(params->net, i));
	if (!status)
		status = copy_values(params);
	if (!status)
		twin->version = params->version;
	return status;
}

void thaw_params_moved(struct thaw_params *params)
{
	params->twin->version = ++params->version;
}

thaw_status thaw_params_pull(struct thaw_params *params)
{
	struct thaw_twin *twin = params->twin;
	thaw_status status = THAW_OK;

	for (int i = 0; i < thaw_net_params(params->net) && !status; i++)
		status = twin->device->backend->memory->get_param(twin->device, thaw_params_at(params, i),
		                                                  thaw_params_near(params, i), thaw_net_param(params->net, i));
	return status;
}

thaw_status thaw_params_exchange(struct thaw_params *params, float **values_inout)
{
	float *values = params->twin->values;

	params->twin->values = *values_inout;
	*values_inout = values;
	thaw_params_moved(params);
	return copy_values(params);
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
