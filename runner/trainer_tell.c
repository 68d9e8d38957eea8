/* Where a run stands, brought up to date: how much of the epoch is done, how fast, and what is left. */
#include "runner/trainer_parts.h"

#include <math.h>

#include "base/clock.h"

/* The mean loss of the epoch so far, over this rank's replicas: all ranks' would be a collective in each step. */
static double loss_so_far(const struct thaw_trainer *t)
{
	double loss = 0, weight = 0;

	for (int r = 0; r < t->setup->replicas; r++) {
		loss += t->losses[2 * r];
		weight += t->losses[2 * r + 1];
	}
	return weight > 0 ? loss / weight : NAN;
}

/* Seconds of an epoch's validation; one that was never measured counts as slow as training. */
static double validation_time(const struct thaw_trainer *t)
{
	double pictures = (double)t->setup->facts->count * thaw_trainer_validations(t);

	return isnan(t->validation_seconds) ? pictures / t->speed : t->validation_seconds;
}

/* So many seconds of the epoch are left. Later epochs are taken to be like this one, which those of a phase that trains
 * more are not. */
static void set_left(struct thaw_trainer *t, double epoch_left)
{
	struct thaw_standing *s = &t->standing;

	s->epoch_left = epoch_left;
	s->run_left = epoch_left + (s->epochs - s->epoch) * ((double)t->count / t->speed + validation_time(t));
}

void thaw_trainer_tell_epoch(struct thaw_trainer *t, const struct thaw_trainer_place *place)
{
	struct thaw_standing *s = &t->standing;
	int64_t left = t->count - place->step * t->job->phases[t->phase].recipe.batch;

	s->epoch = place->epoch;
	s->phase = t->phase + 1;
	s->step = place->step;
	s->steps = thaw_trainer_steps(t, t->phase);
	s->loss = loss_so_far(t);
	s->images_per_second = NAN;
	set_left(t, (double)left / t->speed + validation_time(t));
	thaw_standing_at(s, THAW_TRAINING);
}

void thaw_trainer_tell_step(struct thaw_trainer *t, const struct thaw_trainer_place *place)
{
	struct thaw_standing *s = &t->standing;
	int64_t left;

	if (!thaw_standing_due(s))
		return;
	left = t->count - (place->step + 1) * t->job->phases[t->phase].recipe.batch;
	t->speed = (double)(t->pictures - place->pictures_before) / (thaw_clock_seconds() - place->begun);
	s->step = place->step + 1;
	s->loss = loss_so_far(t);
	s->images_per_second = t->speed;
	set_left(t, (left > 0 ? (double)left / t->speed : 0) + validation_time(t));
	thaw_standing_tell(s);
}

/* So many of this rank's batches are validated; the other ranks have as many. The average's come first. */
static void tell_validation(void *context, int64_t done, int64_t batches)
{
	struct thaw_trainer *t = context;
	struct thaw_standing *s = &t->standing;
	int64_t all = batches * thaw_trainer_validations(t);
	double seconds;

	done += batches * t->validation;
	if (done == 0)
		t->validation_begun = thaw_clock_seconds();
	else if (!thaw_standing_due(s))
		return;
	seconds = thaw_clock_seconds() - t->validation_begun;
	s->step = done;
	s->steps = all;
	s->images_per_second = done > 0 ? (double)(t->setup->facts->count * done / batches) / seconds : NAN;
	set_left(t, done > 0 ? seconds / (double)done * (double)(all - done) : validation_time(t));
	if (done == 0)
		thaw_standing_at(s, THAW_VALIDATING);
	else
		thaw_standing_tell(s);
}

void thaw_trainer_tell_validated(struct thaw_trainer *t, const struct thaw_row *row)
{
	struct thaw_standing *s = &t->standing;

	t->validation_seconds = thaw_clock_seconds() - t->validation_begun;
	s->step = s->steps;
	s->loss = row->train_metrics.loss;
	if (t->best.epoch > 0) {
		s->best = thaw_trainer_merit(t, &t->best);
		s->best_epoch = t->best.epoch;
	}
	set_left(t, 0);
}

void thaw_trainer_tell_begin(struct thaw_trainer *t)
{
	struct thaw_standing *s = &t->standing;

	t->speed = t->validation_seconds = NAN;
	*s = (struct thaw_standing){
		.epoch = t->epoch + 1,
		.epochs = t->job->epochs,
		.phase = t->phase + 1,
		.phases = t->job->phases_count,
		.loss = NAN,
		.images_per_second = NAN,
		.epoch_left = NAN,
		.run_left = NAN,
		.metric = t->job->checkpoint.metric,
		.best = t->best.epoch > 0 ? thaw_trainer_merit(t, &t->best) : 0,
		.best_epoch = t->best.epoch,
	};
	if (t->setup->rank == 0)
		thaw_standing_begin(s, t->folder, t->options.progress);
	if (t->evaluator)
		thaw_evaluator_watch(t->evaluator, tell_validation, t);
}
