/*
 * The inside of a trainer, shared by runner/trainer.c (what it is made of: plans, phases, its parts),
 * runner/trainer_batches.c (what it works on), runner/trainer_step.c (one global batch), runner/trainer_save.c (what it
 * leaves), runner/trainer_tell.c (what it says on the way) and runner/train.c (what it does: epochs, the run). Commands
 * that only look at what a run would be use them as well: runner/forecast.c, runner/cmd_plan.c, runner/cmd_lr_find.c.
 */
#ifndef THAW_RUNNER_TRAINER_PARTS_H
#define THAW_RUNNER_TRAINER_PARTS_H

#include "io/events.h"
#include "io/loader.h"
#include "nn/average.h"
#include "nn/optimizer.h"
#include "nn/plan.h"
#include "nn/schedule.h"
#include "nn/updater.h"
#include "runner/evaluate.h"
#include "runner/exchange.h"
#include "runner/record.h"
#include "runner/standing.h"
#include "runner/trainer.h"

enum { THAW_TRAINER_PLANS = 4 }; /* sizes of micro-batches: two of a full batch, two of the last */

/* Where in the run a step stands. */
struct thaw_trainer_place {
	int epoch;               /* from 1 */
	int64_t step;            /* within the epoch, from 0 */
	double rate;             /* learning rate */
	double begun;            /* thaw_clock_seconds() when this process began with the epoch, */
	int64_t pictures_before; /* and the pictures it had seen by then */
};

/* What a device did for one replica of a global batch of so many pictures, to be replayed; it is done once before it is
 * recorded. */
struct thaw_trainer_recording {
	int64_t pictures; /* 0: the place is free */
	int times;        /* that it was done */
	unsigned moves;   /* of the device's memory, until it was recorded */
	struct thaw_recording *recording;
};

struct thaw_trainer {
	struct thaw_setup *setup;
	const struct thaw_job *job;
	struct thaw_train_options options;
	const char *folder;
	struct thaw_events events; /* rank 0 */
	struct thaw_optimizer optimizer;
	struct thaw_average average; /* values NULL: the job has none */
	struct thaw_updater *updater;
	double *shares;        /* (largest micro-batch) of a mixed one */
	int32_t *labels[2];    /* (largest micro-batch) each: the label of the larger share, and the other */
	double *class_weights; /* (classes) of the loss, NULL: all 1 */
	struct thaw_loader *loader;
	int loader_phase; /* whose pictures it makes */
	struct thaw_evaluator *evaluator;

	/* The phase. */
	bool *trains; /* (params) */
	struct thaw_exchange *exchange;
	struct thaw_plan *plans[THAW_TRAINER_PLANS]; /* by size, as they were first needed */
	int plan_batch[THAW_TRAINER_PLANS];
	bool plans_complete; /* all sizes of the phase have one */
	struct thaw_trainer_recording *recordings; /* (2, replicas of this rank) of a full batch, of the last */

	/* The epoch. */
	int64_t count;                   /* training pictures */
	int32_t *order;                  /* (count) the epoch's shuffle */
	struct thaw_batch_range *ranges; /* (most steps * replicas of this rank) without empty ones */
	double *losses;                  /* (replicas, 2) losses and their weights; zero for other ranks' replicas */
	double *sums;                    /* (replicas, 2) the same of all ranks, for a moment */
	int64_t correct[3];              /* pictures, top-1, top-5 of this rank's replicas */

	/* The run. */
	int phase;                 /* from 0 */
	int epoch;                 /* done */
	int64_t step;              /* optimizer steps done, or given to the device */
	struct thaw_trainer_place under_way[2]; /* steps that the device has not told of yet, */
	int under_way_count;                    /* the last ones */
	struct thaw_score *scores; /* (replicas of this rank) of a step */
	int64_t skipped;           /* steps left out */
	bool stopping;             /* a signal asked for it */
	double saved;              /* thaw_clock_seconds() at the last checkpoint */
	double seconds_before;     /* that this epoch took before the run was stopped */
	int64_t pictures;          /* that the steps of this process saw, */
	int64_t first_pictures;    /* and of these the first step */
	double first_step_seconds; /* from the program's start to the end of the first step */
	double measured_from;      /* thaw_clock_seconds() when the second began */
	double speed;              /* pictures a second in this process' last steps; NaN: not known yet */
	int validation;            /* of the epoch, under way: 0, or 1 for the second */
	double validation_begun;   /* thaw_clock_seconds() at the first */
	double validation_seconds; /* that those of the last epoch took; NaN: there was none in this process */
	double *val_losses;        /* (epochs of the job) of the epochs done */
	struct thaw_row best, average_best; /* in average_best, val_metrics are the average's */
	struct thaw_standing standing;
};

/* --- runner/trainer_batches.c ------------------------------------------------------------------------------------ */

/* Validations of an epoch: of the parameters, and of their average where there is one. */
int thaw_trainer_validations(const struct thaw_trainer *t);

/* The phase that epoch `epoch` (from 0) belongs to. */
int thaw_trainer_phase_of(const struct thaw_trainer *t, int epoch);

/* Steps of an epoch of phase `phase` (from 0). */
int64_t thaw_trainer_steps(const struct thaw_trainer *t, int phase);

/* Steps done when `epochs` epochs are. */
int64_t thaw_trainer_steps_of(const struct thaw_trainer *t, int epochs);

/* Pictures of the global batch of `step` within an epoch of phase `phase`; the last one may be smaller. */
int64_t thaw_trainer_pictures(const struct thaw_trainer *t, int phase, int64_t step);

/* Replica `r`'s part of that batch, as even as can be: places first .. first + count - 1 of the order; count may be
 * 0. */
struct thaw_batch_range thaw_trainer_range(const struct thaw_trainer *t, int phase, int64_t step, int r);

/* Pictures of phase `phase`'s largest micro-batch. */
int thaw_trainer_micro_batch(const struct thaw_trainer *t, int phase);

/* How phase `phase` treats its pictures. */
struct thaw_augment thaw_trainer_augment(const struct thaw_trainer *t, int phase);

/* Shuffles for `epoch` (from 0) and lets the loader begin at step `first` of it. */
thaw_status thaw_trainer_start_epoch(struct thaw_trainer *t, int epoch, int64_t first);

/* The next micro-batch as the network takes it, on `step` of the epoch; borrowed until the next one. */
thaw_status thaw_trainer_input(struct thaw_trainer *t, int64_t step, struct thaw_input *input_out, int *count_out);

/* A recipe's schedule; an epoch has so many `steps`. */
struct thaw_schedule thaw_trainer_schedule(const struct thaw_recipe *recipe, int64_t steps);

/* The learning rate of step `step` of epoch `epoch` (both from 0; of an epoch to come as if validation said nothing
 * more). A schedule runs over the phases that share it, and begins anew where a phase has another one or says
 * `restart`. */
double thaw_trainer_rate(const struct thaw_trainer *t, int epoch, int64_t step);

/* --- runner/trainer.c -------------------------------------------------------------------------------------------- */

/* The phase's plan for micro-batches of this size, which is one of those that there are. */
struct thaw_plan *thaw_trainer_plan(const struct thaw_trainer *t, int batch);

/* Compiles the plans that are missing for `step` of an epoch, for the sizes of micro-batches on any rank. All ranks call
 * it, between steps, and succeed or fail together: they take the same implementations, and no memory moves later on some
 * of them alone. */
thaw_status thaw_trainer_compile(struct thaw_trainer *t, int64_t step);

/* Selects what phase `phase` (from 0) trains and compiles the plan of the largest micro-batch; all ranks succeed or
 * fail together. */
thaw_status thaw_trainer_begin_phase(struct thaw_trainer *t, int phase);

/* --- runner/trainer_step.c --------------------------------------------------------------------------------------- */

/* One global batch: this rank's replicas, the sum over all, the update. A device may still be at it. */
thaw_status thaw_trainer_submit(struct thaw_trainer *t, const struct thaw_trainer_place *place);

/* Waits until no more than `left` steps are under way, and counts those that are over. THAW_DIVERGED, on all ranks, when
 * one of them was left out that must not be. */
thaw_status thaw_trainer_collect(struct thaw_trainer *t, int left);

/* Steps that may be under way while the next is given to the device. */
int thaw_trainer_ahead(const struct thaw_trainer *t);

/* Drops what was recorded. */
void thaw_trainer_forget(struct thaw_trainer *t);

/* --- runner/train.c ---------------------------------------------------------------------------------------------- */

/* One step of the trainer's phase at this learning rate, whatever the schedule says; steps follow one another from the
 * first of epoch t->epoch with t->step 0, without validation and beyond the phase's end, where its last epoch comes
 * again. *metrics_out: of the step's pictures on all ranks, before the update. A step whose gradients are not finite
 * updates nothing, and counts no picture; THAW_DIVERGED: there were more of them than max_skipped allows. All ranks call
 * it. */
thaw_status thaw_trainer_probe(struct thaw_trainer *t, double rate, struct thaw_metrics *metrics_out);

/* --- runner/trainer_save.c --------------------------------------------------------------------------------------- */

/* What the steps of this epoch have gathered, over all ranks; `losses` (replicas, 2) gets the sums of each. */
thaw_status thaw_trainer_metrics(const struct thaw_trainer *t, double *losses, struct thaw_metrics *metrics_out);

/* Whether an epoch is better than the best (count 0: there is none): by checkpoint.metric, then by the smaller loss; of
 * equal ones the first stays. */
bool thaw_trainer_is_better(const struct thaw_trainer *t, const struct thaw_metrics *now,
                            const struct thaw_metrics *best);

/* Whether all epochs are done, or as many as early stopping allows. */
bool thaw_trainer_is_done(const struct thaw_trainer *t);

/* What an epoch has of checkpoint.metric. */
double thaw_trainer_merit(const struct thaw_trainer *t, const struct thaw_row *row);

/* The checkpoint before the first step. Rank 0 only. */
thaw_status thaw_trainer_save_first(struct thaw_trainer *t);

/* A checkpoint in the midst of an epoch, which has taken so many `seconds`; when_due: if the last one is too long ago.
 * All ranks call it, and succeed or fail together. */
thaw_status thaw_trainer_save_within(struct thaw_trainer *t, double seconds);
thaw_status thaw_trainer_save_when_due(struct thaw_trainer *t, double seconds);

/* What an epoch leaves: its row, its points, best.h5, best-average.h5 and last.h5, written by rank 0. All ranks call
 * it, and succeed or fail together. */
thaw_status thaw_trainer_save_epoch(struct thaw_trainer *t, const struct thaw_row *row);

/* --- runner/trainer_tell.c --------------------------------------------------------------------------------------- */

/* The standing is told from now on; the epoch's next step comes; a step is done; validation is, and whether it was the
 * best is known. Rank 0 tells, the others may call as well. */
void thaw_trainer_tell_begin(struct thaw_trainer *t);
void thaw_trainer_tell_epoch(struct thaw_trainer *t, const struct thaw_trainer_place *place);
void thaw_trainer_tell_step(struct thaw_trainer *t, const struct thaw_trainer_place *place);
void thaw_trainer_tell_validated(struct thaw_trainer *t, const struct thaw_row *row);

#endif
