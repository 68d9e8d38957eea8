#define _GNU_SOURCE /* getrusage */
#include "runner/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "nn/clip.h"
#include "runner/fault.h"
#include "runner/formats.h"
#include "runner/stop.h"
#include "runner/watchdog.h"
#include "runner/world.h"

/* --- one step ---------------------------------------------------------------------------------------------------- */

/* Forward and backward of one replica with pictures. */
static thaw_status replica_step(struct thaw_trainer *t, int replica, int64_t step)
{
	struct thaw_gradients slab = thaw_exchange_slab(t->exchange);
	struct thaw_score score;
	struct thaw_plan *plan;
	struct thaw_input input;
	int count;
	thaw_status status = thaw_trainer_input(t, step, &input, &count);

	if (!status)
		status = thaw_trainer_plan(t, count, &plan);
	if (!status)
		status = thaw_plan_forward(plan, &input, &slab, &score);
	if (status)
		return status;
	t->step_losses[2 * replica] = score.loss;
	t->step_losses[2 * replica + 1] = score.weight;
	t->step_correct[0] += score.count;
	t->step_correct[1] += score.top1;
	t->step_correct[2] += score.top5;
	return thaw_plan_backward(plan, &slab, thaw_exchange_ready, t->exchange);
}

/* States for which this phase's plans gather statistics. */
static const bool *updates(const struct thaw_trainer *t)
{
	return thaw_plan_updates(t->plans[0]);
}

/* What a stop is called when it has been agreed on; every rank words it, the others may not have had the signal. */
static thaw_status ask_for_stop(void)
{
	return thaw_stop_asked() ? thaw_fail(THAW_REQUEUE, "stopped by signal %s", thaw_stop_asked()) : THAW_OK;
}

/* All ranks agree whether this step is the last before a stop. */
static thaw_status check_stop(struct thaw_trainer *t)
{
	thaw_status status = thaw_world_agree(ask_for_stop());

	t->stopping = status == THAW_REQUEUE;
	return t->stopping ? THAW_OK : status;
}

/* Counts a step that is left out, and ends a run that has too many of them. */
static thaw_status skip(struct thaw_trainer *t, const struct thaw_trainer_place *place, const char *what)
{
	t->skipped++;
	if (t->job->max_skipped == 0)
		return thaw_world_agree(thaw_fail(THAW_DIVERGED,
		                                  "epoch %d, step %lld: %s is not finite; a lower optimizer.lr may help",
		                                  place->epoch, (long long)place->step + 1, what));
	if (t->skipped > t->job->max_skipped)
		return thaw_world_agree(
			thaw_fail(THAW_DIVERGED,
		              "epoch %d, step %lld: %s is not finite, and %lld of %d steps were left out; a lower "
		              "optimizer.lr may help",
		              place->epoch, (long long)place->step + 1, what, (long long)t->skipped - 1, t->job->max_skipped));
	thaw_warn("epoch %d, step %lld: %s is not finite: the step is left out, %lld of %d that may be", place->epoch,
	          (long long)place->step + 1, what, (long long)t->skipped, t->job->max_skipped);
	return THAW_OK;
}

/* What the gradients of the whole batch are to be multiplied by; 0: the step is left out. Every rank has the same sum,
 * and so the same answer: a loss that is not finite makes gradients that are not. */
static thaw_status check_gradients(struct thaw_trainer *t, const struct thaw_trainer_place *place,
                                   const struct thaw_gradients *sum, double *factor_out)
{
	const struct thaw_net *net = t->setup->net;
	double norm, clip = t->job->optimizer.clip;
	char what[160];

	if (thaw_fault_due("gradient", t->step + 1))
		sum->values[0] = INFINITY;
	norm = thaw_gradients_norm(net, sum, t->trains, t->setup->threads);
	*factor_out = 0;
	if (isfinite(norm)) {
		*factor_out = clip > 0 ? thaw_clip_factor(norm, clip) : 1;
		return THAW_OK;
	}
	snprintf(what, sizeof what, "the gradient of '%s'",
	         thaw_net_param(net, thaw_gradients_broken(net, sum, t->trains))->name);
	return skip(t, place, what);
}

/* Adds the step to what its epoch has gathered. */
static void count_step(struct thaw_trainer *t)
{
	for (int i = 0; i < 2 * t->setup->replicas; i++)
		t->losses[i] += t->step_losses[i];
	for (int i = 0; i < 3; i++)
		t->correct[i] += t->step_correct[i];
}

/* One global batch: this rank's replicas, the sum over all, the update. */
static thaw_status train_step(struct thaw_trainer *t, const struct thaw_trainer_place *place)
{
	int first = thaw_exchange_first(t->exchange), count = thaw_exchange_count(t->exchange);
	struct thaw_gradients sum;
	struct thaw_update update = {
		.gradients = &sum,
		.trains = t->trains,
		.updates = updates(t),
		.rate = place->rate,
	};
	thaw_status status = THAW_OK;

	thaw_watchdog_at(THAW_AT_STEP, t->step + 1);
	thaw_fault_strike(t->setup->rank, t->step + 1);
	memset(t->step_losses, 0, 2 * (size_t)t->setup->replicas * sizeof *t->step_losses);
	memset(t->step_correct, 0, sizeof t->step_correct);
	for (int r = first; r < first + count && !status; r++) {
		bool empty = thaw_trainer_range(t, t->phase, place->step, r).count == 0;

		if (!empty)
			status = replica_step(t, r, place->step);
		if (!status)
			status = thaw_exchange_done(t->exchange, empty);
	}
	if (!status)
		status = check_stop(t);
	if (status)
		return status;
	sum = thaw_exchange_sum(t->exchange);
	status = check_gradients(t, place, &sum, &update.factor);
	if (status)
		return status;
	if (update.factor > 0) {
		thaw_optimizer_step(&t->optimizer, &update);
		if (t->average.values)
			thaw_average_update(&t->average, t->step - t->skipped);
		count_step(t);
	}
	t->step++;
	t->pictures += thaw_trainer_pictures(t, t->phase, place->step);
	if (t->first_step_seconds == 0) {
		t->first_step_seconds = thaw_clock_seconds() - t->options.begun_seconds;
		t->first_pictures = t->pictures;
	}
	return THAW_OK;
}

thaw_status thaw_trainer_probe(struct thaw_trainer *t, double rate, struct thaw_metrics *metrics_out)
{
	struct thaw_trainer_place place = {
		.epoch = t->epoch + 1,
		.step = t->step % thaw_trainer_steps(t, t->phase),
		.rate = rate,
	};
	thaw_status status = THAW_OK;

	if (place.step == 0 && t->step > 0) {
		bool last = t->epoch + 1 == t->job->epochs || thaw_trainer_phase_of(t, t->epoch + 1) != t->phase;

		t->epoch += !last;
		status = thaw_trainer_start_epoch(t, t->epoch, 0);
	}
	memset(t->losses, 0, 2 * (size_t)t->setup->replicas * sizeof *t->losses);
	memset(t->correct, 0, sizeof t->correct);
	if (!status)
		status = train_step(t, &place);
	return status ? status : thaw_trainer_metrics(t, t->sums, metrics_out);
}

/* --- one epoch --------------------------------------------------------------------------------------------------- */

/* A last checkpoint, and the end of the run until it is started again. */
static thaw_status stop(struct thaw_trainer *t, double seconds)
{
	thaw_status status = thaw_trainer_save_within(t, seconds);

	if (status)
		return status;
	return thaw_world_agree(thaw_fail(THAW_REQUEUE, "stopped at step %lld of %lld: the same command goes on from there",
	                                  (long long)t->step, (long long)thaw_trainer_steps_of(t, t->job->epochs)));
}

/* THAW_REQUEUE: a signal came. The average first: what the evaluator knows of each picture is then by the parameters. */
static thaw_status validate(struct thaw_trainer *t, struct thaw_row *row)
{
	thaw_status status = THAW_OK;

	t->standing.loss = row->train_metrics.loss;
	t->validation = 0;
	if (t->average.values) {
		thaw_average_swap(&t->average);
		status = thaw_evaluate(t->evaluator, &row->average_metrics);
		thaw_average_swap(&t->average);
		t->validation = 1;
		if (!status)
			status = thaw_world_agree(ask_for_stop());
	}
	if (!status)
		status = thaw_evaluate(t->evaluator, &row->val_metrics);
	return status ? status : thaw_world_agree(ask_for_stop());
}

static thaw_status check_loss(int epoch, const char *of, const struct thaw_metrics *metrics)
{
	if (isfinite(metrics->loss))
		return THAW_OK;
	return thaw_world_agree(thaw_fail(THAW_DIVERGED,
	                                  "epoch %d: the validation loss%s is %g; a lower optimizer.lr may help", epoch, of,
	                                  fabs(metrics->loss)));
}

/* Validation and what follows from it. THAW_REQUEUE: a signal came before it was over. */
static thaw_status finish_epoch(struct thaw_trainer *t, struct thaw_row *row, double begun)
{
	thaw_status status = thaw_trainer_metrics(t, t->sums, &row->train_metrics);

	if (!status && row->epoch < t->job->epochs) /* the loader works ahead while validation runs */
		status = thaw_trainer_start_epoch(t, row->epoch, 0);
	thaw_fault_strike_at("validation", t->setup->rank, t->step);
	if (!status)
		status = validate(t, row);
	if (status == THAW_REQUEUE)
		return stop(t, thaw_clock_seconds() - begun);
	if (!status && thaw_fault_due("validation", t->step))
		row->val_metrics.loss = NAN;
	if (!status && row->train_metrics.count == 0)
		status = thaw_world_agree(thaw_fail(THAW_DIVERGED, "epoch %d: all its steps were left out", row->epoch));
	if (!status)
		status = check_loss(row->epoch, "", &row->val_metrics);
	if (!status && t->average.values)
		status = check_loss(row->epoch, " of the average", &row->average_metrics);
	if (status)
		return status;
	memset(t->losses, 0, 2 * (size_t)t->setup->replicas * sizeof *t->losses);
	memset(t->correct, 0, sizeof t->correct);
	t->val_losses[t->epoch] = row->val_metrics.loss;
	t->epoch = row->epoch;
	t->seconds_before = 0;
	row->best = thaw_trainer_is_better(t, &row->val_metrics, &t->best.val_metrics);
	row->average_best =
		t->average.values && thaw_trainer_is_better(t, &row->average_metrics, &t->average_best.val_metrics);
	row->seconds = thaw_clock_seconds() - begun;
	if (row->best)
		t->best = *row;
	if (row->average_best) {
		t->average_best = *row;
		t->average_best.val_metrics = row->average_metrics;
	}
	thaw_trainer_tell_validated(t, row);
	status = thaw_trainer_save_epoch(t, row);
	thaw_meter_rest(&t->standing.meter);
	return status;
}

static bool measured_enough(const struct thaw_trainer *t)
{
	return t->options.measure_steps > 0 && t->step >= t->options.measure_steps;
}

/* The epoch after those that are done, or what is left of it. */
static thaw_status train_epoch(struct thaw_trainer *t)
{
	struct thaw_trainer_place place = {
		.epoch = t->epoch + 1,
		.step = t->step - thaw_trainer_steps_of(t, t->epoch),
		.begun = thaw_clock_seconds(),
		.pictures_before = t->pictures,
	};
	struct thaw_row row = {
		.epoch = place.epoch,
		.phase = t->phase + 1,
		.train = &t->job->phases[t->phase].train,
		.lr = thaw_trainer_rate(t, t->epoch, 0),
		.mixed = thaw_recipe_mixes(&t->job->phases[t->phase].recipe),
	};
	int64_t steps = thaw_trainer_steps(t, t->phase);
	double begun = thaw_clock_seconds() - t->seconds_before;
	thaw_status status = THAW_OK;

	thaw_trainer_tell_epoch(t, &place);
	for (; place.step < steps && !measured_enough(t) && !t->stopping && !status; place.step++) {
		place.rate = thaw_trainer_rate(t, t->epoch, place.step);
		status = train_step(t, &place);
		if (!status && t->folder && !t->stopping)
			status = thaw_trainer_save_when_due(t, thaw_clock_seconds() - begun);
		if (!status)
			thaw_trainer_tell_step(t, &place);
	}
	if (status)
		return status;
	if (t->options.measure_steps > 0) {
		t->epoch++;
		return measured_enough(t) || t->epoch == t->job->epochs ? THAW_OK : thaw_trainer_start_epoch(t, t->epoch, 0);
	}
	return t->stopping ? stop(t, thaw_clock_seconds() - begun) : finish_epoch(t, &row, begun);
}

/* --- the run ----------------------------------------------------------------------------------------------------- */

/* Speed of the steps after the first, which also warmed up. */
static void tell_speed(const struct thaw_trainer *t)
{
	double seconds = thaw_clock_seconds() - t->options.begun_seconds - t->first_step_seconds;
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	if (t->step < t->options.measure_steps)
		thaw_warn("the job ended after %lld of %lld steps", (long long)t->step, (long long)t->options.measure_steps);
	thaw_record_speed(&(struct thaw_speed){
		.steps = t->step,
		.first_step_seconds = t->first_step_seconds,
		.images_per_second = t->step > 1 ? (double)(t->pictures - t->first_pictures) / seconds : NAN,
		.memory_mib = (double)usage.ru_maxrss / 1024.0,
	});
}

/* The next epoch's phase, if it is another. */
static thaw_status change_phase(struct thaw_trainer *t)
{
	int phase = thaw_trainer_phase_of(t, t->epoch);
	thaw_status status;

	if (phase == t->phase)
		return THAW_OK;
	t->standing.phase = phase + 1;
	t->standing.step = t->standing.steps = 0;
	thaw_standing_at(&t->standing, THAW_STARTING);
	status = thaw_record_phase(t->setup, phase);
	if (status)
		return status;
	thaw_fault_strike_at("phase", t->setup->rank, t->step);
	return thaw_trainer_begin_phase(t, phase);
}

/* From the epoch after those that are done to the last. */
static thaw_status train_epochs(struct thaw_trainer *t)
{
	bool measures = t->options.measure_steps > 0;
	thaw_status status = THAW_OK;

	thaw_fault_strike_at("start", t->setup->rank, t->step);
	if (!measures && t->setup->rank == 0)
		status = thaw_events_open(t->folder, thaw_clock_wall_seconds(), t->epoch ? t->epoch + 1 : 0, &t->events);
	if (!status && !measures && !t->options.resume && t->setup->rank == 0)
		status = thaw_trainer_save_first(t); /* a disk that is full is found now, not after the first epoch */
	while (!thaw_trainer_is_done(t) && !status && !measured_enough(t)) {
		status = change_phase(t);
		if (!status)
			status = train_epoch(t);
	}
	return status;
}

thaw_status thaw_trainer_run(struct thaw_trainer *t, const char *folder)
{
	bool measures = t->options.measure_steps > 0;
	thaw_status status;

	t->folder = folder;
	t->saved = thaw_clock_seconds();
	thaw_trainer_tell_begin(t);
	status = train_epochs(t);
	thaw_standing_end(&t->standing, status);
	if (!status && t->epoch < t->job->epochs && thaw_trainer_is_done(t))
		thaw_log("stopped early: %d epochs without a better one", t->epoch - t->best.epoch);
	thaw_fault_strike_at("end", t->setup->rank, t->step);
	if (!status && measures)
		tell_speed(t);
	else if (!status && t->setup->rank == 0)
		thaw_record_end(t->setup, folder, &t->best, thaw_trainer_merit(t, &t->best), &t->average_best);
	return status;
}
