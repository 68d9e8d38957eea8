#define _GNU_SOURCE /* isatty, getrusage */
#include "runner/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "runner/snapshot.h"
#include "runner/stop.h"
#include "runner/world.h"

/* Where in the run a step stands. */
struct trainer_place {
	const struct thaw_phase *phase;
	int epoch;               /* from 1 */
	int64_t step;            /* within the epoch, from 0 */
	int64_t pictures_before; /* the epoch, in the whole run */
};

/* --- one step ---------------------------------------------------------------------------------------------------- */

/* Forward and backward of one replica with pictures. */
static thaw_status replica_step(struct thaw_trainer *t, int replica, int64_t global_count)
{
	struct thaw_gradients slab = thaw_exchange_slab(t->exchange);
	struct thaw_score score;
	struct thaw_plan *plan;
	struct thaw_batch batch;
	thaw_status status = thaw_loader_get(t->loader, &batch);

	if (!status)
		status = thaw_trainer_plan(t, batch.count, &plan);
	if (!status)
		status = thaw_plan_forward(
			plan, &(struct thaw_input){.pixels = batch.pixels, .labels = batch.labels, .global_count = global_count},
			&slab, &score);
	if (status)
		return status;
	t->losses[replica] += score.loss;
	t->correct[0] += score.count;
	t->correct[1] += score.top1;
	t->correct[2] += score.top5;
	return thaw_plan_backward(plan, &slab, thaw_exchange_ready, t->exchange);
}

static double rate_at(const struct thaw_trainer *t, const struct thaw_phase *phase, int64_t step)
{
	struct thaw_progress at = {.step = step, .steps = t->steps * t->job->epochs, .epoch = (int)(step / t->steps)};

	return phase->lr * thaw_schedule_factor(&t->schedule, &at);
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

/* All ranks agree whether a loss is still finite, before anything moves by it, and whether this step is the last before
 * a stop. */
static thaw_status check_step(struct thaw_trainer *t, const struct trainer_place *place)
{
	thaw_status status = ask_for_stop();

	for (int r = 0; r < t->setup->replicas && status != THAW_DIVERGED; r++)
		if (!isfinite(t->losses[r]))
			status =
				thaw_fail(THAW_DIVERGED, "epoch %d, step %lld: the training loss is %g; a lower optimizer.lr may help",
			              place->epoch, (long long)place->step + 1, fabs(t->losses[r]));
	status = thaw_world_agree(status);
	t->stopping = status == THAW_REQUEUE;
	return t->stopping ? THAW_OK : status;
}

/* One global batch: this rank's replicas, the sum over all, the update. */
static thaw_status train_step(struct thaw_trainer *t, const struct trainer_place *place)
{
	int first = thaw_exchange_first(t->exchange), count = thaw_exchange_count(t->exchange);
	struct thaw_gradients sum;
	thaw_status status = THAW_OK;

	for (int r = first; r < first + count && !status; r++) {
		bool empty = thaw_trainer_range(t, place->step, r).count == 0;

		if (!empty)
			status = replica_step(t, r, thaw_trainer_pictures(t, place->step));
		if (!status)
			status = thaw_exchange_done(t->exchange, empty);
	}
	if (!status)
		status = check_step(t, place);
	if (status)
		return status;
	sum = thaw_exchange_sum(t->exchange);
	thaw_optimizer_step(&t->optimizer, &(struct thaw_update){
										   .gradients = &sum,
										   .trains = t->trains,
										   .updates = updates(t),
										   .rate = rate_at(t, place->phase, t->step),
										   .factor = 1.0,
									   });
	t->step++;
	t->pictures += thaw_trainer_pictures(t, place->step);
	if (t->first_step_seconds == 0) {
		t->first_step_seconds = thaw_clock_seconds() - t->options.begun_seconds;
		t->first_pictures = t->pictures;
	}
	return THAW_OK;
}

/* --- one epoch --------------------------------------------------------------------------------------------------- */

/* What the steps of this epoch have gathered, over all ranks; `losses` (replicas) gets the sums of each. */
static thaw_status gather_metrics(const struct thaw_trainer *t, double *losses, struct thaw_metrics *metrics_out)
{
	struct thaw_metrics metrics = {0};
	int64_t correct[3];
	thaw_status status;

	memcpy(losses, t->losses, (size_t)t->setup->replicas * sizeof *losses);
	memcpy(correct, t->correct, sizeof correct);
	status = thaw_comm_gather_double(t->setup->comm, losses, t->setup->replicas);
	if (!status)
		status = thaw_comm_sum_int64(t->setup->comm, correct, 3);
	if (status)
		return status;
	for (int r = 0; r < t->setup->replicas; r++)
		metrics.loss += losses[r];
	metrics.count = correct[0];
	metrics.top1 = correct[1];
	metrics.top5 = correct[2];
	metrics.loss = metrics.count ? metrics.loss / (double)metrics.count : 0;
	*metrics_out = metrics;
	return THAW_OK;
}

/* One line on a terminal that is written over as the epoch goes on. On standard error, since mpirun makes standard
 * output look like a terminal always. */
static void show_progress(struct thaw_trainer *t, const struct trainer_place *place, double seconds)
{
	double now = thaw_clock_seconds();

	if (t->setup->rank != 0 || !isatty(STDERR_FILENO) || now - t->shown < 0.2)
		return;
	t->shown = now;
	fprintf(stderr, "\r\033[Kepoch %d  step %lld/%lld  %.1f img/s", place->epoch, (long long)place->step + 1,
	        (long long)t->steps, (double)(t->pictures - place->pictures_before) / seconds);
}

static void clear_progress(struct thaw_trainer *t)
{
	if (t->shown > 0)
		fprintf(stderr, "\r\033[K");
	t->shown = 0;
}

/* The larger share of right pictures, then the smaller loss. */
static bool is_better(const struct thaw_metrics *now, const struct thaw_metrics *best)
{
	return best->count == 0 || now->top1 > best->top1 || (now->top1 == best->top1 && now->loss < best->loss);
}

/* Writes last.h5, and the one before it to previous.h5; best.h5 without optimizer for `best`. Rank 0 only. `so_far`:
 * what the epoch under way has gathered, with the sums of its losses in t->sums; all zero between epochs. */
static thaw_status write_checkpoint(const struct thaw_trainer *t, bool best, const struct thaw_metrics *so_far,
                                    double seconds)
{
	struct thaw_text yaml = THAW_TEXT_EMPTY, path = THAW_TEXT_EMPTY, previous = THAW_TEXT_EMPTY;
	struct thaw_checkpoint_facts facts = {
		.epoch = t->epoch,
		.step = t->step,
		.best_epoch = t->best.epoch,
		.best_metrics = t->best.val_metrics,
		.metric = "top1",
		.so_far = *so_far,
		.replicas = t->setup->replicas,
		.losses = t->sums,
		.seconds = seconds,
	};
	thaw_status status = thaw_job_dump(t->job, &yaml);

	if (t->best.epoch > 0)
		facts.best = (double)t->best.val_metrics.top1 / (double)t->best.val_metrics.count;
	facts.job = yaml.data;
	thaw_text_add(&path, "%s/%s.h5", t->folder, best ? "best" : "last");
	thaw_text_add(&previous, "%s/previous.h5", t->folder);
	if (!status)
		status = thaw_text_status(&path);
	if (!status)
		status = thaw_text_status(&previous);
	if (!status)
		status =
			thaw_snapshot_write(path.data, best ? NULL : previous.data, facts, t->setup, best ? NULL : &t->optimizer);
	thaw_text_release(&yaml);
	thaw_text_release(&path);
	thaw_text_release(&previous);
	return status;
}

/* A checkpoint between two epochs. Rank 0 only. */
static thaw_status write_between(struct thaw_trainer *t, bool best)
{
	const struct thaw_metrics nothing = {0};

	memset(t->sums, 0, (size_t)t->setup->replicas * sizeof *t->sums);
	return write_checkpoint(t, best, &nothing, 0);
}

/* A checkpoint in the midst of an epoch, and the end of the run until it is started again. */
static thaw_status stop(struct thaw_trainer *t, double seconds)
{
	struct thaw_metrics so_far;
	thaw_status status = gather_metrics(t, t->sums, &so_far);

	so_far.loss = 0; /* kept by replica */
	if (!status && t->setup->rank == 0)
		status = write_checkpoint(t, false, &so_far, seconds);
	status = thaw_world_agree(status);
	if (status)
		return status;
	return thaw_world_agree(thaw_fail(THAW_REQUEUE, "stopped at step %lld of %lld: the same command goes on from there",
	                                  (long long)t->step, (long long)(t->steps * t->job->epochs)));
}

/* best.h5 before the epoch's row says that it is the best; last.h5 after the row, which belongs to what it holds. Rank 0
 * only. */
static thaw_status write_epoch(struct thaw_trainer *t, const struct thaw_row *row)
{
	thaw_status status = row->best ? write_between(t, true) : THAW_OK;

	if (!status)
		status = thaw_record_row(t->setup, t->folder, row);
	if (!status && (row->epoch == t->job->epochs || row->epoch % t->job->checkpoint.every == 0))
		status = write_between(t, false);
	return status;
}

/* Validation and what follows from it. THAW_REQUEUE: a signal came before it was over. */
static thaw_status finish_epoch(struct thaw_trainer *t, struct thaw_row *row, double begun)
{
	thaw_status status = gather_metrics(t, t->sums, &row->train_metrics);

	if (!status && row->epoch < t->job->epochs) /* the loader works ahead while validation runs */
		status = thaw_trainer_start_epoch(t, row->epoch, 0);
	if (!status)
		status = thaw_evaluate(t->evaluator, &row->val_metrics);
	if (!status)
		status = thaw_world_agree(ask_for_stop());
	if (status == THAW_REQUEUE)
		return stop(t, thaw_clock_seconds() - begun);
	if (!status && !isfinite(row->val_metrics.loss))
		status = thaw_world_agree(thaw_fail(THAW_DIVERGED,
		                                    "epoch %d: the validation loss is %g; a lower optimizer.lr may help",
		                                    row->epoch, fabs(row->val_metrics.loss)));
	if (status)
		return status;
	memset(t->losses, 0, (size_t)t->setup->replicas * sizeof *t->losses);
	memset(t->correct, 0, sizeof t->correct);
	t->epoch = row->epoch;
	t->seconds_before = 0;
	row->best = is_better(&row->val_metrics, &t->best.val_metrics);
	row->seconds = thaw_clock_seconds() - begun;
	if (row->best)
		t->best = *row;
	return t->setup->rank == 0 ? write_epoch(t, row) : THAW_OK;
}

static bool measured_enough(const struct thaw_trainer *t)
{
	return t->options.measure_steps > 0 && t->step >= t->options.measure_steps;
}

/* The epoch after those that are done, or what is left of it. */
static thaw_status train_epoch(struct thaw_trainer *t)
{
	struct trainer_place place = {
		.phase = &t->job->phases[t->phase],
		.epoch = t->epoch + 1,
		.step = t->step - t->epoch * t->steps,
		.pictures_before = t->pictures,
	};
	struct thaw_row row = {.epoch = place.epoch, .phase = t->phase + 1, .train = &place.phase->train};
	double begun = thaw_clock_seconds() - t->seconds_before;
	thaw_status status = THAW_OK;

	row.lr = rate_at(t, place.phase, t->epoch * t->steps);
	for (; place.step < t->steps && !measured_enough(t) && !t->stopping && !status; place.step++) {
		status = train_step(t, &place);
		show_progress(t, &place, thaw_clock_seconds() - begun);
	}
	clear_progress(t);
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
	if (t->step > 1)
		thaw_log("start to first step %.3f s  then %.2f img/s over %lld step%s  peak memory %.0f MiB a rank",
		         t->first_step_seconds, (double)(t->pictures - t->first_pictures) / seconds, (long long)t->step - 1,
		         t->step == 2 ? "" : "s", (double)usage.ru_maxrss / 1024.0);
	else
		thaw_log("start to first step %.3f s  peak memory %.0f MiB a rank", t->first_step_seconds,
		         (double)usage.ru_maxrss / 1024.0);
}

/* The next epoch's phase, if it is another. */
static thaw_status change_phase(struct thaw_trainer *t)
{
	int phase = thaw_trainer_phase_of(t, t->epoch);
	thaw_status status = THAW_OK;

	if (phase != t->phase)
		status = thaw_record_phase(t->setup, phase);
	if (!status && phase != t->phase)
		status = thaw_trainer_begin_phase(t, phase);
	return status;
}

thaw_status thaw_trainer_run(struct thaw_trainer *t, const char *folder)
{
	double begun = thaw_clock_seconds();
	bool measures = t->options.measure_steps > 0;
	thaw_status status = THAW_OK;

	t->folder = folder;
	if (!measures && !t->options.resume && t->setup->rank == 0)
		status = write_between(t, false); /* a disk that is full is found now, not after the first epoch */
	while (t->epoch < t->job->epochs && !status && !measured_enough(t)) {
		status = change_phase(t);
		if (!status)
			status = train_epoch(t);
	}
	if (!status && measures)
		tell_speed(t);
	else if (!status)
		thaw_record_end(folder, &t->best, thaw_clock_seconds() - begun);
	return status;
}
