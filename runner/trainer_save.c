/* What a run leaves on disk: checkpoints, when and which, and the files of an epoch. */
#include "runner/trainer_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "runner/fault.h"
#include "runner/folder.h"
#include "runner/snapshot.h"
#include "runner/watchdog.h"
#include "runner/world.h"

thaw_status thaw_trainer_metrics(const struct thaw_trainer *t, double *losses, struct thaw_metrics *metrics_out)
{
	struct thaw_metrics metrics = {0};
	double weight = 0;
	int64_t correct[3];
	thaw_status status;

	memcpy(losses, t->losses, 2 * (size_t)t->setup->replicas * sizeof *losses);
	memcpy(correct, t->correct, sizeof correct);
	status = thaw_comm_gather_double(t->setup->comm, losses, 2 * t->setup->replicas);
	if (!status)
		status = thaw_comm_sum_int64(t->setup->comm, correct, 3);
	if (status)
		return status;
	for (int r = 0; r < t->setup->replicas; r++) {
		metrics.loss += losses[2 * r];
		weight += losses[2 * r + 1];
	}
	metrics.count = correct[0];
	metrics.top1 = correct[1];
	metrics.top5 = correct[2];
	metrics.loss = weight > 0 ? metrics.loss / weight : 0;
	*metrics_out = metrics;
	return THAW_OK;
}

/* What checkpoint.metric looks at: more is better. All epochs have the same pictures. */
static double merit(const struct thaw_trainer *t, const struct thaw_metrics *metrics)
{
	const char *metric = t->job->checkpoint.metric;

	if (strcmp(metric, "loss") == 0)
		return -metrics->loss;
	if (strcmp(metric, "balanced") == 0)
		return metrics->balanced;
	return (double)(strcmp(metric, "top5") == 0 ? metrics->top5 : metrics->top1) / (double)metrics->count;
}

double thaw_trainer_merit(const struct thaw_trainer *t, const struct thaw_row *row)
{
	return fabs(merit(t, &row->val_metrics)); /* a loss as it is */
}

bool thaw_trainer_is_better(const struct thaw_trainer *t, const struct thaw_metrics *now,
                            const struct thaw_metrics *best)
{
	return best->count == 0 || merit(t, now) > merit(t, best) ||
	       (merit(t, now) == merit(t, best) && now->loss < best->loss);
}

/* LAST is all that a run goes on from; the others are parameters, or their average. */
enum checkpoint { LAST, BEST, BEST_AVERAGE };
static const char *const file_names[] = {"last.h5", "best.h5", "best-average.h5"};

/* Publishes what `facts` belong to. */
static thaw_status write_snapshot(struct thaw_trainer *t, enum checkpoint which, const char *path, const char *previous,
                                  struct thaw_checkpoint_facts facts)
{
	struct thaw_snapshot_state state = {NULL, NULL};
	thaw_status status;

	if (which == LAST)
		state = (struct thaw_snapshot_state){&t->optimizer, t->average.values ? &t->average : NULL};
	if (which == BEST_AVERAGE)
		thaw_average_swap(&t->average);
	status = thaw_snapshot_write(path, which == LAST ? previous : NULL, facts, t->setup, state);
	if (which == BEST_AVERAGE)
		thaw_average_swap(&t->average);
	return status;
}

/* Writes one of them, and the former last.h5 to previous.h5. Rank 0 only. `so_far`: what the epoch under way has
 * gathered, with the sums of its losses in t->sums; all zero between epochs. */
static thaw_status write_checkpoint(struct thaw_trainer *t, enum checkpoint which, const struct thaw_metrics *so_far,
                                    double seconds)
{
	struct thaw_text yaml = THAW_TEXT_EMPTY, path = THAW_TEXT_EMPTY, previous = THAW_TEXT_EMPTY;
	const struct thaw_row *best = which == BEST_AVERAGE ? &t->average_best : &t->best;
	struct thaw_checkpoint_facts facts = {
		.epoch = t->epoch,
		.step = t->step,
		.best_epoch = best->epoch,
		.best_metrics = best->val_metrics,
		.average_epoch = t->average_best.epoch,
		.average_metrics = t->average_best.val_metrics,
		.val_losses = t->val_losses,
		.so_far = *so_far,
		.replicas = t->setup->replicas,
		.losses = t->sums,
		.skipped = t->skipped,
		.seconds = seconds,
	};
	thaw_status status = thaw_folder_check(t->folder);

	if (!status)
		status = thaw_updater_pull(t->updater);
	if (!status)
		status = thaw_job_dump(t->job, &yaml);
	thaw_watchdog_at(THAW_AT_CHECKPOINT, t->step);
	thaw_watchdog_waits("the disk");
	thaw_fault_strike_at("checkpoint", t->setup->rank, t->step);
	snprintf(facts.metric, sizeof facts.metric, "%s", t->job->checkpoint.metric);
	if (best->epoch > 0)
		facts.best = thaw_trainer_merit(t, best);
	facts.job = yaml.data;
	thaw_text_add(&path, "%s/%s", t->folder, file_names[which]);
	thaw_text_add(&previous, "%s/previous.h5", t->folder);
	if (!status)
		status = thaw_text_status(&path);
	if (!status)
		status = thaw_text_status(&previous);
	if (!status)
		status = write_snapshot(t, which, path.data, previous.data, facts);
	thaw_watchdog_waits(NULL);
	if (which == LAST && !status)
		t->saved = thaw_clock_seconds();
	thaw_text_release(&yaml);
	thaw_text_release(&path);
	thaw_text_release(&previous);
	return status;
}

/* A checkpoint between two epochs. Rank 0 only. */
static thaw_status write_between(struct thaw_trainer *t, enum checkpoint which)
{
	const struct thaw_metrics nothing = {0};

	memset(t->sums, 0, 2 * (size_t)t->setup->replicas * sizeof *t->sums);
	return write_checkpoint(t, which, &nothing, 0);
}

thaw_status thaw_trainer_save_within(struct thaw_trainer *t, double seconds)
{
	struct thaw_metrics so_far;
	thaw_status status = thaw_trainer_collect(t, 0);

	if (!status)
		status = thaw_trainer_metrics(t, t->sums, &so_far);
	so_far.loss = 0; /* kept by replica */
	thaw_standing_at(&t->standing, THAW_CHECKPOINTING);
	if (!status && t->setup->rank == 0)
		status = write_checkpoint(t, LAST, &so_far, seconds);
	thaw_standing_at(&t->standing, THAW_TRAINING);
	return thaw_world_agree(status);
}

thaw_status thaw_trainer_save_when_due(struct thaw_trainer *t, double seconds)
{
	double minutes = t->job->checkpoint.minutes;
	int due = minutes > 0 && thaw_clock_seconds() - t->saved >= 60 * minutes;
	thaw_status status = THAW_OK;

	if (minutes > 0)
		status = thaw_comm_broadcast(t->setup->comm, &due, sizeof due); /* rank 0's clock */
	return status || !due ? status : thaw_trainer_save_within(t, seconds);
}

/* best.h5, and what it says of each validation picture. */
static thaw_status write_best(struct thaw_trainer *t)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	thaw_status status = write_between(t, BEST);

	thaw_text_add(&path, "%s/predictions.csv", t->folder);
	if (!status)
		status = thaw_text_status(&path);
	if (!status)
		status = thaw_predictions_write(path.data, t->setup->val, thaw_evaluator_predictions(t->evaluator),
		                                t->setup->facts->count);
	thaw_text_release(&path);
	return status;
}

static thaw_status write_row(struct thaw_trainer *t, const struct thaw_row *row)
{
	thaw_status status;

	thaw_standing_at(&t->standing, THAW_CHECKPOINTING);
	status = row->best ? write_best(t) : thaw_folder_check(t->folder);
	if (!status && row->average_best)
		status = write_between(t, BEST_AVERAGE);
	if (!status)
		status = thaw_record_row(t->setup, t->folder, row);
	return status ? status : thaw_record_curves(&t->events, row);
}

static thaw_status write_last(struct thaw_trainer *t)
{
	thaw_status status = write_between(t, LAST);

	return status ? status : thaw_folder_keep(t->folder, t->job, t->epoch, "last.h5");
}

/* best.h5 and best-average.h5 before the epoch's row says that it is the best; last.h5 after the row, which belongs to
 * what it holds. The other ranks wait for each as for a checkpoint of their own. */
thaw_status thaw_trainer_save_epoch(struct thaw_trainer *t, const struct thaw_row *row)
{
	bool writes = t->setup->rank == 0, due = thaw_trainer_is_done(t) || row->epoch % t->job->checkpoint.every == 0;
	thaw_status status;

	thaw_watchdog_at(THAW_AT_CHECKPOINT, t->step);
	status = thaw_world_agree(writes ? write_row(t, row) : THAW_OK);
	if (status || !due)
		return status;
	thaw_watchdog_at(THAW_AT_CHECKPOINT, t->step);
	return thaw_world_agree(writes ? write_last(t) : THAW_OK);
}

thaw_status thaw_trainer_save_first(struct thaw_trainer *t)
{
	thaw_standing_at(&t->standing, THAW_CHECKPOINTING);
	return write_between(t, LAST);
}

bool thaw_trainer_is_done(const struct thaw_trainer *t)
{
	return thaw_job_done(t->job, t->epoch, t->best.epoch);
}
