#include "runner/forecast.h"

#include "base/clock.h"
#include "runner/trainer_parts.h"
#include "runner/world.h"

static const double enough_seconds = 1;
enum { ENOUGH_STEPS = 3 };

static thaw_status find_memory(struct thaw_trainer *t, size_t *bytes_out)
{
	const struct thaw_net *net = t->setup->net;
	size_t params = (size_t)thaw_net_param_elems(net), states = (size_t)thaw_net_state_elems(net);
	size_t plan = thaw_plan_facts(t->plans[0]).arena_bytes, validation = thaw_evaluator_arena(t->evaluator);
	size_t slabs = 1 + (size_t)t->optimizer.slots + (t->average.values != NULL);
	size_t bytes = (params * slabs + states) * sizeof(float) +
	               thaw_exchange_bytes(t->exchange) + (plan > validation ? plan : validation);
	double most;
	thaw_status status = thaw_world_largest((double)bytes, &most);

	if (!status)
		*bytes_out = (size_t)most;
	return status;
}

/* Plans of all sizes of micro-batches that this rank will see, the last batch's too. */
static thaw_status compile_all(struct thaw_trainer *t)
{
	int first = thaw_exchange_first(t->exchange), count = thaw_exchange_count(t->exchange);
	const int64_t steps[] = {0, thaw_trainer_steps(t, t->phase) - 1};
	thaw_status status = THAW_OK;

	for (int i = 0; i < 2; i++)
		for (int r = first; r < first + count && !status; r++) {
			int pictures = thaw_trainer_range(t, t->phase, steps[i], r).count;
			struct thaw_plan *plan;

			if (pictures > 0)
				status = thaw_trainer_plan(t, pictures, &plan);
		}
	return thaw_world_agree(status);
}

/* Seconds of an epoch: pictures that went through in a while, after a step that warms up. Rank 0's clock decides. */
static thaw_status time_steps(struct thaw_trainer *t, double *seconds_out)
{
	struct thaw_metrics metrics;
	int64_t before;
	double begun, elapsed = 0;
	bool enough = false;
	thaw_status status = compile_all(t);

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

static thaw_status forecast_phase(struct thaw_trainer *t, int phase, bool measures,
                                  struct thaw_phase_forecast *forecast)
{
	thaw_status status = thaw_trainer_begin_phase(t, phase);

	if (status)
		return status;
	forecast->parameters = thaw_net_count(t->setup->net, t->trains);
	forecast->steps = thaw_trainer_steps(t, phase);
	status = find_memory(t, &forecast->memory_bytes);
	if (!status && measures)
		status = time_steps(t, &forecast->seconds);
	return status;
}

thaw_status thaw_forecast_job(struct thaw_trainer *t, bool measures, struct thaw_forecast *forecast_out)
{
	struct thaw_forecast forecast = {0};
	thaw_status status = THAW_OK;

	for (int phase = 0, epoch = 0; phase < t->job->phases_count && !status; phase++) {
		t->epoch = epoch;
		status = forecast_phase(t, phase, measures, &forecast.phases[phase]);
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
