#include "runner/forecast.h"

#include "base/clock.h"
#include "base/text.h"
#include "runner/trainer_parts.h"
#include "runner/world.h"

static const double enough_seconds = 1;
enum { ENOUGH_STEPS = 3 };

static void find_kinds(const struct thaw_trainer *t, size_t bytes[THAW_MEMORY_KINDS])
{
	const struct thaw_setup *setup = t->setup;
	const struct thaw_plan_facts plan = thaw_plan_facts(t->plans[0]);
	size_t params = (size_t)thaw_net_param_elems(setup->net), slab = params * sizeof(float);
	size_t validation = thaw_evaluator_arena(t->evaluator), crop = (size_t)t->job->data.crop;
	size_t arena = plan.arena_bytes > validation ? plan.arena_bytes : validation;

	bytes[THAW_MEMORY_PARAMETERS] = slab + (size_t)thaw_net_state_elems(setup->net) * sizeof(float);
	bytes[THAW_MEMORY_AVERAGE] = t->average.values ? slab : 0;
	bytes[THAW_MEMORY_SLOTS] = (size_t)t->optimizer.slots * slab;
	bytes[THAW_MEMORY_GRADIENTS] = thaw_exchange_bytes(t->exchange);
	bytes[THAW_MEMORY_ACTIVATIONS] = arena - plan.workspace_bytes;
	bytes[THAW_MEMORY_WORKSPACE] = plan.workspace_bytes;
	bytes[THAW_MEMORY_PICTURES] = 0;
	if (setup->device->backend->memory)
		bytes[THAW_MEMORY_PICTURES] = (size_t)t->plan_batch[0] * crop * crop * 3;
	if (setup->params.twin && setup->params.twin->copy)
		bytes[THAW_MEMORY_PARAMETERS] += params * thaw_number_bytes(setup->device->number);
}

static thaw_status find_memory(const struct thaw_trainer *t, struct thaw_phase_forecast *forecast)
{
	double bytes = 0, most;
	thaw_status status;

	find_kinds(t, forecast->memory);
	for (int i = 0; i < THAW_MEMORY_KINDS; i++)
		bytes += (double)forecast->memory[i];
	status = thaw_world_largest(bytes, &most);
	if (!status)
		forecast->memory_bytes = (size_t)most;
	return status;
}

/* Seconds of an epoch: pictures that went through in a while, after a step that warms up. Rank 0's clock decides. */
static thaw_status time_steps(struct thaw_trainer *t, double *seconds_out)
{
	struct thaw_metrics metrics;
	int64_t before;
	double begun, elapsed = 0;
	bool enough = false;
	thaw_status status = thaw_trainer_compile(t, 0);

	if (!status)
		status = thaw_trainer_compile(t, thaw_trainer_steps(t, t->phase) - 1);
	t->step = 0;
	if (!status)
		status = thaw_trainer_start_epoch(t, t->epoch, 0);
	if (!status)
		status = thaw_trainer_probe(t, 0, &metrics);
	before = t->pictures;
	begun = thaw_clock_seconds();
	for (int steps = 1; !enough && !status; steps++) {
		status = thaw_trainer_probe(t, 0, &metrics);
		elapsed = thaw_clock_seconds() - begun;
		if (!status)
			status = thaw_comm_broadcast(t->setup->comm, &elapsed, sizeof elapsed);
		enough = elapsed >= enough_seconds && steps >= ENOUGH_STEPS;
	}
	if (!status)
		*seconds_out = elapsed * (double)t->count / (double)(t->pictures - before);
	return status;
}

static void add_engines(const struct thaw_trainer *t, int phase, struct thaw_text *engines)
{
	thaw_text_add(engines, "\nphase %d, batches of %d\n", phase + 1, t->plan_batch[0]);
	thaw_plan_add_engines(t->plans[0], engines);
}

static thaw_status forecast_phase(struct thaw_trainer *t, int phase, bool measures,
                                  struct thaw_phase_forecast *forecast)
{
	thaw_status status = thaw_trainer_begin_phase(t, phase);

	if (status)
		return status;
	forecast->parameters = thaw_net_count(t->setup->net, t->trains);
	forecast->steps = thaw_trainer_steps(t, phase);
	status = find_memory(t, forecast);
	if (!status && measures)
		status = time_steps(t, &forecast->seconds);
	return status ? status : thaw_world_agree(thaw_setup_held(t->setup, &forecast->held_bytes));
}

thaw_status thaw_forecast_job(struct thaw_trainer *t, bool measures, struct thaw_text *engines,
                              struct thaw_forecast *forecast_out)
{
	struct thaw_forecast forecast = {0};
	thaw_status status = THAW_OK;

	for (int phase = 0, epoch = 0; phase < t->job->phases_count && !status; phase++) {
		t->epoch = epoch;
		status = forecast_phase(t, phase, measures, &forecast.phases[phase]);
		if (!status && engines)
			add_engines(t, phase, engines);
		epoch += t->job->phases[phase].epochs;
	}
	if (!status && measures)
		status = thaw_evaluator_measure(t->evaluator, &forecast.validation_seconds);
	forecast.validation_seconds *= thaw_trainer_validations(t);
	t->epoch = 0;
	t->step = 0;
	if (!status)
		*forecast_out = forecast;
	return status;
}
