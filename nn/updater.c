#include "nn/updater.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "nn/clip.h"
#include "nn/device.h"

struct thaw_updater {
	struct thaw_updater_spec spec;
	const bool *trains, *updates;
	double rate;
	int64_t applied;       /* steps, on the host */
	struct thaw_told told; /* on the host */

	struct thaw_device_update *update; /* NULL: on the host, or nothing is selected */
	struct thaw_slabs slabs;           /* those of the parameters are the twin's */
	bool ahead;                        /* the device is, of the host */
};

static const struct thaw_memory_ops *memory_of(const struct thaw_updater *u)
{
	return u->spec.device->backend->memory;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static thaw_status allocate(struct thaw_updater *u)
{
	const struct thaw_net *net = u->spec.params->net;
	size_t slab_bytes = (size_t)thaw_net_param_elems(net) * sizeof(float);
	thaw_status status = THAW_OK;
	void *memory;

	for (int i = 0; i < u->spec.optimizer->slots && !status; i++) {
		status = memory_of(u)->allocate(u->spec.device, slab_bytes, "optimizer slots", &memory);
		u->slabs.slot[i] = status ? NULL : memory;
	}
	if (!status && u->spec.average) {
		status = memory_of(u)->allocate(u->spec.device, slab_bytes, "averaged parameters", &memory);
		u->slabs.average = status ? NULL : memory;
	}
	if (!status)
		status = memory_of(u)->allocate(u->spec.device, ((size_t)thaw_net_params(net) + 1) * sizeof *u->slabs.counters,
		                                "counters", &memory);
	u->slabs.counters = status ? NULL : memory;
	return status;
}

thaw_status thaw_updater_new(const struct thaw_updater_spec *spec, struct thaw_updater **updater_out)
{
	struct thaw_updater *u = thaw_alloc(1, sizeof *u);
	thaw_status status;

	if (!u)
		return THAW_OUT_OF_MEMORY;
	u->spec = *spec;
	status = memory_of(u) ? allocate(u) : THAW_OK;
	if (status)
		thaw_updater_free(u);
	else
		*updater_out = u;
	return status;
}

static void free_update(struct thaw_updater *u)
{
	if (u->update)
		u->spec.device->backend->update->release(u->update);
	u->update = NULL;
}

void thaw_updater_free(struct thaw_updater *updater)
{
	if (!updater)
		return;
	free_update(updater);
	if (memory_of(updater)) {
		for (int i = 0; i < THAW_SLOTS; i++)
			memory_of(updater)->release(updater->spec.device, updater->slabs.slot[i]);
		memory_of(updater)->release(updater->spec.device, updater->slabs.average);
		memory_of(updater)->release(updater->spec.device, updater->slabs.counters);
	}
	free(updater);
}

/* --- between host and device ------------------------------------------------------------------------------------- */

typedef thaw_status move_fn(struct thaw_device *device, float *to, const float *from, const struct thaw_param *param);

/* All parameters of a slab, there (put_param) or back (get_param); running statistics have none. */
static thaw_status move_slab(const struct thaw_updater *u, move_fn *move, float *to, const float *from)
{
	const struct thaw_net *net = u->spec.params->net;
	thaw_status status = THAW_OK;

	for (int i = 0; i < thaw_net_params(net) && !status; i++) {
		const struct thaw_param *p = thaw_net_param(net, i);

		if (!thaw_role_is_state(p->role))
			status = move(u->spec.device, to + p->offset, from + p->offset, p);
	}
	return status;
}

/* The device counts in whole numbers, the host, where it counts at all, in those that a checkpoint keeps. */
static thaw_status put_counters(struct thaw_updater *u)
{
	const struct thaw_optimizer *optimizer = u->spec.optimizer;
	int params = thaw_net_params(u->spec.params->net);
	int64_t *counters = thaw_alloc((size_t)params + 1, sizeof *counters);
	thaw_status status = counters ? THAW_OK : THAW_OUT_OF_MEMORY;

	if (status)
		return status;
	for (int i = 0; i < params && optimizer->steps; i++)
		counters[i] = (int64_t)optimizer->steps[i];
	counters[params] = u->applied;
	status = memory_of(u)->put(u->spec.device, u->slabs.counters, counters, ((size_t)params + 1) * sizeof *counters);
	free(counters);
	return status;
}

static thaw_status get_counters(struct thaw_updater *u)
{
	const struct thaw_optimizer *optimizer = u->spec.optimizer;
	int params = thaw_net_params(u->spec.params->net);
	int64_t *counters = thaw_alloc((size_t)params + 1, sizeof *counters);
	thaw_status status = counters ? THAW_OK : THAW_OUT_OF_MEMORY;

	if (status)
		return status;
	status = memory_of(u)->get(u->spec.device, counters, u->slabs.counters, ((size_t)params + 1) * sizeof *counters);
	for (int i = 0; i < params && optimizer->steps && !status; i++)
		optimizer->steps[i] = (float)counters[i];
	if (!status)
		u->applied = counters[params];
	free(counters);
	return status;
}

thaw_status thaw_updater_begin(struct thaw_updater *u, int64_t applied)
{
	thaw_status status = THAW_OK;

	u->applied = applied;
	u->ahead = false;
	if (!memory_of(u))
		return THAW_OK;
	/* Not only when a plan first runs: a rank may have no picture in the first step, or the average come before it. */
	status = thaw_params_push(u->spec.params);
	for (int i = 0; i < u->spec.optimizer->slots && !status; i++)
		status = move_slab(u, memory_of(u)->put_param, u->slabs.slot[i], u->spec.optimizer->slot[i]);
	/* The first update copies: until then nothing else can be told from the parameters. */
	if (!status && u->spec.average)
		status = move_slab(u, memory_of(u)->put_param, u->slabs.average,
		                   applied ? u->spec.average->values : u->spec.params->values);
	return status ? status : put_counters(u);
}

thaw_status thaw_updater_pull(struct thaw_updater *u)
{
	thaw_status status = THAW_OK;

	if (!u->ahead)
		return THAW_OK;
	for (int i = 0; i < u->spec.optimizer->slots && !status; i++)
		status = move_slab(u, memory_of(u)->get_param, u->spec.optimizer->slot[i], u->slabs.slot[i]);
	if (!status && u->spec.average)
		status = move_slab(u, memory_of(u)->get_param, u->spec.average->values, u->slabs.average);
	if (!status)
		status = get_counters(u);
	if (!status)
		status = thaw_params_pull(u->spec.params);
	u->ahead = status != THAW_OK;
	return status;
}

thaw_status thaw_updater_swap(struct thaw_updater *u)
{
	if (!memory_of(u)) {
		thaw_average_swap(u->spec.average);
		return THAW_OK;
	}
	return thaw_params_exchange(u->spec.params, &u->slabs.average);
}

/* --- steps ------------------------------------------------------------------------------------------------------- */

thaw_status thaw_updater_select(struct thaw_updater *u, const bool *trains, const bool *updates)
{
	const struct thaw_optimizer *optimizer = u->spec.optimizer;
	const struct thaw_average *average = u->spec.average;
	struct thaw_optimizer_spec rule = optimizer->spec;

	u->trains = trains;
	u->updates = updates;
	free_update(u);
	if (!memory_of(u))
		return THAW_OK;
	rule.lr_scale = optimizer->lr_scale;
	return u->spec.device->backend->update->make(u->spec.device,
	                                             &(struct thaw_update_spec){
													 .net = u->spec.params->net,
													 .rule = &rule,
													 .trains = trains,
													 .updates = updates,
													 .clip = u->spec.clip,
													 .averages = average != NULL,
													 .average_decay = average ? average->spec.decay : 0,
													 .average_warm_up = average && average->spec.warm_up,
												 },
	                                             &u->update);
}

thaw_status thaw_updater_rate(struct thaw_updater *u, double rate)
{
	u->rate = rate;
	return u->update ? u->spec.device->backend->update->rate(u->spec.device, rate) : THAW_OK;
}

static void step_on_host(struct thaw_updater *u, const struct thaw_gradients *gradients)
{
	const struct thaw_optimizer *optimizer = u->spec.optimizer;
	const struct thaw_net *net = u->spec.params->net;
	double norm = thaw_gradients_norm(net, gradients, u->trains, optimizer->spec.threads);
	bool finite = isfinite(norm);

	u->told = (struct thaw_told){
		.norm = norm,
		.applied = finite,
		.broken = finite ? -1 : thaw_gradients_broken(net, gradients, u->trains),
	};
	if (!finite)
		return;
	thaw_optimizer_step(u->spec.optimizer, &(struct thaw_update){
											   .gradients = gradients,
											   .trains = u->trains,
											   .updates = u->updates,
											   .rate = u->rate,
											   .factor = u->spec.clip > 0 ? thaw_clip_factor(norm, u->spec.clip) : 1,
										   });
	if (u->spec.average)
		thaw_average_update(u->spec.average, u->applied);
	u->applied++;
}

thaw_status thaw_updater_step(struct thaw_updater *u, const struct thaw_gradients *gradients)
{
	const struct thaw_twin *twin = u->spec.params->twin;

	if (!u->update) {
		step_on_host(u, gradients);
		return THAW_OK;
	}
	u->slabs.values = twin->values;
	u->slabs.states = twin->states;
	u->slabs.copy = twin->copy;
	return u->spec.device->backend->update->run(u->update, &u->slabs, gradients);
}

void thaw_updater_stepped(struct thaw_updater *u)
{
	if (!u->update)
		return;
	u->ahead = true;
	thaw_params_moved(u->spec.params);
}

struct thaw_told thaw_updater_told(const struct thaw_updater *u)
{
	return u->told;
}
