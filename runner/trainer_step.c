#define _POSIX_C_SOURCE 200809L
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "comm/sums.h"
#include "runner/fault.h"
#include "runner/trainer_parts.h"
#include "runner/watchdog.h"
#include "runner/world.h"

static const struct thaw_queue_ops *queue_of(const struct thaw_trainer *t)
{
	return t->setup->device->backend->queue;
}

int thaw_trainer_ahead(const struct thaw_trainer *t)
{
	return queue_of(t) ? 1 : 0;
}

/* --- one replica ------------------------------------------------------------------------------------------------- */

/* The gradients are summed: the update. */
static thaw_status update(struct thaw_trainer *t)
{
	struct thaw_gradients sum = thaw_exchange_sum(t->exchange);
	const struct thaw_memory_ops *memory = t->setup->device->backend->memory;
	const float infinity = INFINITY;
	thaw_status status = THAW_OK;

	if (thaw_fault_due("gradient", t->step + 1) && memory)
		status = memory->put(t->setup->device, sum.values, &infinity, sizeof infinity);
	else if (thaw_fault_due("gradient", t->step + 1))
		sum.values[0] = infinity;
	return status ? status : thaw_updater_step(t->updater, &sum);
}

/* Forward and backward of this rank's i-th replica and, after the last, the update. */
static thaw_status work(struct thaw_trainer *t, int i, struct thaw_plan *plan)
{
	struct thaw_gradients slab = thaw_exchange_slab(t->exchange);
	thaw_status status = thaw_plan_run(plan, &slab);

	if (!status && !queue_of(t))
		status = thaw_plan_score(plan, &t->scores[i]);
	if (!status)
		status = thaw_plan_backward(plan, &slab, thaw_exchange_ready, t->exchange);
	if (!status)
		status = thaw_exchange_done(t->exchange, false);
	return status || i < thaw_exchange_count(t->exchange) - 1 ? status : update(t);
}

/* --- recordings -------------------------------------------------------------------------------------------------- */

void thaw_trainer_forget(struct thaw_trainer *t)
{
	int count = t->setup->replicas / t->setup->ranks;

	for (int k = 0; t->recordings && k < 2 * count; k++) {
		if (queue_of(t))
			queue_of(t)->forget(t->setup->device, t->recordings[k].recording);
		t->recordings[k] = (struct thaw_trainer_recording){.pictures = 0};
	}
}

/* What is kept of replica i in global batches of so many pictures: a phase has two sizes of them. All ranks then record,
 * and replay, in the same steps. */
static struct thaw_trainer_recording *claim_recording(struct thaw_trainer *t, int i, int64_t pictures)
{
	struct thaw_trainer_recording *recording = &t->recordings[2 * i];

	if (recording->pictures != 0 && recording->pictures != pictures)
		recording++;
	assert(recording->pictures == 0 || recording->pictures == pictures);
	recording->pictures = pictures;
	return recording;
}

/* A device keeps hundreds of nodes for each recording. */
enum { RECORDED_REPLICAS = 64 };

static bool may_record(const struct thaw_trainer *t, int64_t pictures)
{
	return queue_of(t) && t->job->graphs && thaw_sums_recordable(t->setup->sums) && pictures >= t->setup->replicas &&
	       thaw_exchange_count(t->exchange) <= RECORDED_REPLICAS && !thaw_fault_due("gradient", t->step + 1);
}

static thaw_status record(struct thaw_trainer *t, int i, struct thaw_plan *plan,
                          struct thaw_trainer_recording *recording)
{
	struct thaw_device *device = t->setup->device;
	thaw_status status = queue_of(t)->record(device), ended;

	if (status)
		return status;
	status = work(t, i, plan);
	ended = queue_of(t)->recorded(device, &recording->recording);
	recording->moves = device->moves;
	return status ? status : ended;
}

/* What the device has to do for replica i is done the first time, recorded the second, and replayed from then on. */
static thaw_status work_or_replay(struct thaw_trainer *t, int i, int64_t pictures, struct thaw_plan *plan)
{
	struct thaw_device *device = t->setup->device;
	struct thaw_trainer_recording *recording;
	thaw_status status = THAW_OK;

	if (!may_record(t, pictures))
		return work(t, i, plan);
	recording = claim_recording(t, i, pictures);
	if (recording->times++ == 0)
		return work(t, i, plan);
	if (recording->recording) {
		assert(recording->moves == device->moves); /* the phase's plans are all made before it is recorded */
		thaw_exchange_pass(t->exchange);
	} else {
		status = record(t, i, plan, recording);
	}
	return status ? status : queue_of(t)->replay(device, recording->recording);
}

/* --- one global batch -------------------------------------------------------------------------------------------- */

static thaw_status replica_step(struct thaw_trainer *t, int i, const struct thaw_trainer_place *place)
{
	struct thaw_plan *plan;
	struct thaw_input input;
	int count;
	thaw_status status = thaw_trainer_input(t, place->step, &input, &count);

	if (status)
		return status;
	plan = thaw_trainer_plan(t, count);
	input.row = i;
	status = thaw_plan_feed(plan, &input);
	return status ? status : work_or_replay(t, i, thaw_trainer_pictures(t, t->phase, place->step), plan);
}

/* A replica without pictures adds nothing to the sum. */
static thaw_status empty_step(struct thaw_trainer *t, int i)
{
	thaw_status status = thaw_exchange_done(t->exchange, true);

	return status || i < thaw_exchange_count(t->exchange) - 1 ? status : update(t);
}

static bool is_empty(const struct thaw_trainer *t, const struct thaw_trainer_place *place, int i)
{
	return thaw_trainer_range(t, t->phase, place->step, thaw_exchange_first(t->exchange) + i).count == 0;
}

thaw_status thaw_trainer_submit(struct thaw_trainer *t, const struct thaw_trainer_place *place)
{
	int count = thaw_exchange_count(t->exchange);
	thaw_status status;

	thaw_watchdog_at(THAW_AT_STEP, t->step + 1);
	thaw_fault_strike(t->setup->rank, t->step + 1);
	status = thaw_updater_rate(t->updater, place->rate);
	for (int i = 0; i < count && !status; i++)
		status = is_empty(t, place, i) ? empty_step(t, i) : replica_step(t, i, place);
	if (!status && queue_of(t))
		status = queue_of(t)->tell(t->setup->device, count);
	if (status)
		return status;
	thaw_updater_stepped(t->updater);
	t->under_way[t->under_way_count++] = *place;
	t->step++;
	return THAW_OK;
}

/* --- what it came to --------------------------------------------------------------------------------------------- */

/* Counts a step that is left out, and ends a run that has too many of them. */
static thaw_status skip(struct thaw_trainer *t, const struct thaw_trainer_place *place, const char *what)
{
	bool scaled = t->setup->device->loss_scale > 1;
	char left_out[64] = "";

	t->skipped++;
	if (t->skipped <= t->job->max_skipped) {
		thaw_warn("epoch %d, step %lld: %s is not finite: the step is left out, %lld of %d that may be", place->epoch,
		          (long long)place->step + 1, what, (long long)t->skipped, t->job->max_skipped);
		return THAW_OK;
	}
	if (t->job->max_skipped > 0)
		snprintf(left_out, sizeof left_out, ", and %lld of %d steps were left out", (long long)t->skipped - 1,
		         t->job->max_skipped);
	return thaw_world_agree(thaw_fail(THAW_DIVERGED, "epoch %d, step %lld: %s is not finite%s; a lower %s may help",
	                                  place->epoch, (long long)place->step + 1, what, left_out,
	                                  scaled ? "loss_scale or optimizer.lr" : "optimizer.lr"));
}

/* Adds the step to what its epoch has gathered. */
static void count_step(struct thaw_trainer *t, const struct thaw_trainer_place *place)
{
	for (int i = 0; i < thaw_exchange_count(t->exchange); i++) {
		const struct thaw_score *score = &t->scores[i];
		double *losses = t->losses + 2 * (thaw_exchange_first(t->exchange) + i);

		if (is_empty(t, place, i))
			continue;
		losses[0] += score->loss;
		losses[1] += score->weight;
		t->correct[0] += score->count;
		t->correct[1] += score->top1;
		t->correct[2] += score->top5;
	}
}

/* Waits for what a device tells of a step; looks meanwhile whether the other ranks are still there. */
static thaw_status wait_for_device(struct thaw_trainer *t, struct thaw_told *told_out)
{
	const struct timespec nap = {.tv_nsec = 20000};
	struct thaw_device *device = t->setup->device;
	bool here = false;
	thaw_status status = queue_of(t)->here(device, &here);

	thaw_watchdog_waits("the device, or other ranks' gradients there");
	while (!status && !here) {
		status = thaw_sums_check(t->setup->sums);
		nanosleep(&nap, NULL);
		if (!status)
			status = queue_of(t)->here(device, &here);
	}
	thaw_watchdog_waits(NULL);
	return status ? status : queue_of(t)->told(device, t->scores, told_out);
}

/* The first of the steps under way. Every rank has the same sum of gradients, and so the same answer: a loss that is not
 * finite makes gradients that are not. */
static thaw_status collect(struct thaw_trainer *t)
{
	struct thaw_trainer_place place = t->under_way[0];
	struct thaw_told told = thaw_updater_told(t->updater);
	char what[160] = "the norm of the gradients";
	thaw_status status = queue_of(t) ? wait_for_device(t, &told) : THAW_OK;

	if (status)
		return status;
	t->under_way[0] = t->under_way[1];
	t->under_way_count--;
	t->pictures += thaw_trainer_pictures(t, t->phase, place.step);
	if (t->first_step_seconds == 0) {
		t->first_step_seconds = thaw_clock_seconds() - t->options.begun_seconds;
		t->first_pictures = t->pictures;
	}
	if (told.applied) {
		count_step(t, &place);
		return THAW_OK;
	}
	if (told.broken >= 0)
		snprintf(what, sizeof what, "the gradient of '%s'", thaw_net_param(t->setup->net, told.broken)->name);
	return skip(t, &place, what);
}

thaw_status thaw_trainer_collect(struct thaw_trainer *t, int left)
{
	thaw_status status = THAW_OK;

	while (t->under_way_count > left && !status)
		status = collect(t);
	return status;
}
