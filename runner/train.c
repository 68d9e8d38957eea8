#define _GNU_SOURCE /* getrusage */
#include "runner/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "runner/fault.h"
#include "runner/formats.h"
#include "runner/stop.h"
#include "runner/watchdog.h"
#include "runner/world.h"

/* --- one step ---------------------------------------------------------------------------------------------------- */

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

/* Whether this was the phase's first step, and it is not known that its last batch is beyond what is measured. */
static bool needs_more_plans(const struct thaw_trainer *t)
{
	return !t->plans_complete &&
	       (t->options.measure_steps == 0 || t->options.measure_steps >= thaw_trainer_steps(t, t->phase));
}

/* Plans for the last batch of an epoch come after the first step, which is sooner seen so. */
static thaw_status train_step(struct thaw_trainer *t, const struct thaw_trainer_place *place)
{
	int64_t last = thaw_trainer_steps(t, t->phase) - 1;
	thaw_status status = t->plans_complete ? THAW_OK : thaw_trainer_compile(t, place->step);

	if (!status)
		status = thaw_trainer_submit(t, place);
	if (!status)
		status = check_stop(t);
	if (!status)
		status = thaw_trainer_collect(t, t->stopping || needs_more_plans(t) ? 0 : thaw_trainer_ahead(t));
	if (!status && !t->stopping && needs_more_plans(t)) {
		status = thaw_trainer_compile(t, last);
		t->plans_complete = last == 0 || place->step < last; /* a run may go on with the last one */
	}
	if (t->measured_from == 0)
		t->measured_from = thaw_clock_seconds();
	return status;
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
	if (!status)
		status = thaw_trainer_collect(t, 0);
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
		status = thaw_updater_swap(t->updater);
		if (!status)
			status = thaw_evaluate(t->evaluator, &row->average_metrics);
		if (!status)
			status = thaw_updater_swap(t->updater);
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
	if (!status)
		status = thaw_trainer_collect(t, 0);
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
static thaw_status tell_speed(const struct thaw_trainer *t)
{
	double seconds = thaw_clock_seconds() - t->measured_from;
	struct rusage usage;
	size_t held;
	thaw_status status = thaw_setup_held(t->setup, &held);

	if (status)
		return status;
	getrusage(RUSAGE_SELF, &usage);
	if (t->step < t->options.measure_steps)
		thaw_warn("the job ended after %lld of %lld steps", (long long)t->step, (long long)t->options.measure_steps);
	thaw_record_speed(&(struct thaw_speed){
		.steps = t->step,
		.first_step_seconds = t->first_step_seconds,
		.images_per_second = t->step > 1 ? (double)(t->pictures - t->first_pictures) / seconds : NAN,
		.memory_mib = (double)usage.ru_maxrss / 1024.0,
		.gpu_memory_mib = (double)held / (1024.0 * 1024.0),
	});
	return THAW_OK;
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
		status = tell_speed(t);
	else if (!status && t->setup->rank == 0)
		thaw_record_end(t->setup, folder, &t->best, thaw_trainer_merit(t, &t->best), &t->average_best);
	return status;
}
