#define _GNU_SOURCE /* isatty, getrusage */
#include "runner/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/text.h"
#include "io/loader.h"
#include "nn/optimizer.h"
#include "nn/plan.h"
#include "nn/schedule.h"
#include "runner/evaluate.h"
#include "runner/exchange.h"
#include "runner/record.h"
#include "runner/snapshot.h"
#include "runner/world.h"

enum { PLANS = 4 }; /* sizes of micro-batches: two of a full batch, two of the last */

struct trainer {
	struct thaw_setup *setup;
	const struct thaw_job *job;
	const struct thaw_train_options *options;
	struct thaw_optimizer optimizer;
	struct thaw_schedule schedule;
	struct thaw_loader *loader;
	struct thaw_evaluator *evaluator;

	/* The phase. */
	bool *trains; /* (params) */
	struct thaw_exchange *exchange;
	struct thaw_plan *plans[PLANS]; /* by size, as they were first needed */
	int plan_batch[PLANS];

	/* The epoch. */
	int64_t count, steps;            /* training pictures; steps per epoch */
	int32_t *order;                  /* (count) the epoch's shuffle */
	struct thaw_batch_range *ranges; /* (steps * replicas of this rank) without empty ones */
	double *losses;                  /* (replicas) sums of this epoch; zero for other ranks' replicas */
	int64_t correct[3];              /* pictures, top-1, top-5 of this rank's replicas */

	/* The run. */
	int64_t step;              /* optimizer steps done */
	double first_step_seconds; /* from the program's start to the end of the first step */
	struct thaw_row best;
};

/* --- one step ---------------------------------------------------------------------------------------------------- */

/* Pictures of the global batch of `step` within its epoch; the last one may be smaller. */
static int64_t batch_pictures(const struct trainer *t, int64_t step)
{
	int64_t left = t->count - step * t->job->batch;

	return left < t->job->batch ? left : t->job->batch;
}

/* Replica `r`'s part of that batch, as even as can be: pictures first .. first + count - 1 of the order; count may be
 * 0. */
static struct thaw_batch_range replica_range(const struct trainer *t, int64_t step, int r)
{
	int64_t pictures = batch_pictures(t, step), replicas = t->setup->replicas;
	int64_t begin = pictures * r / replicas, end = pictures * (r + 1) / replicas;

	return (struct thaw_batch_range){step * t->job->batch + begin, (int)(end - begin)};
}

static struct thaw_plan_spec training_spec(const struct trainer *t, int batch)
{
	struct thaw_plan_spec spec = {
		.device = t->setup->device,
		.params = &t->setup->params,
		.batch = batch,
		.trains = t->trains,
		.frozen_batch_statistics = strcmp(t->job->batchnorm, "train") == 0,
	};

	memcpy(spec.mean, t->setup->facts->mean, sizeof spec.mean);
	memcpy(spec.std, t->setup->facts->std, sizeof spec.std);
	return spec;
}

/* The phase's plan for micro-batches of this size. */
static thaw_status plan_for(struct trainer *t, int batch, struct thaw_plan **plan_out)
{
	struct thaw_plan_spec spec = training_spec(t, batch);
	thaw_status status;
	int i = 0;

	while (t->plans[i] && t->plan_batch[i] != batch)
		i++;
	if (!t->plans[i]) {
		status = thaw_plan_compile(t->setup->net, &spec, &t->plans[i]);
		if (status)
			return status;
		t->plan_batch[i] = batch;
	}
	*plan_out = t->plans[i];
	return THAW_OK;
}

/* Forward and backward of one replica with pictures. */
static thaw_status replica_step(struct trainer *t, int replica, int64_t global_count)
{
	struct thaw_gradients slab = thaw_exchange_slab(t->exchange);
	struct thaw_score score;
	struct thaw_plan *plan;
	struct thaw_batch batch;
	thaw_status status = thaw_loader_get(t->loader, &batch);

	if (!status)
		status = plan_for(t, batch.count, &plan);
	if (!status)
		status = thaw_plan_forward(
			plan, &(struct thaw_input){.pixels = batch.pixels, .labels = batch.labels, .global_count = global_count},
			&slab, &score);
	if (status)
		return status;
	if (!isfinite(score.loss))
		return thaw_fail(THAW_DIVERGED, "step %lld: the training loss is %g; a lower optimizer.lr may help",
		                 (long long)t->step + 1, score.loss);
	t->losses[replica] += score.loss;
	t->correct[0] += score.count;
	t->correct[1] += score.top1;
	t->correct[2] += score.top5;
	return thaw_plan_backward(plan, &slab, thaw_exchange_ready, t->exchange);
}

static double rate_at(const struct trainer *t, const struct thaw_phase *phase, int64_t step)
{
	return phase->lr * thaw_schedule_factor(&t->schedule, step);
}

/* States for which this phase's plans gather statistics. */
static const bool *updates(const struct trainer *t)
{
	return thaw_plan_updates(t->plans[0]);
}

/* One global batch: this rank's replicas, the sum over all, the update. */
static thaw_status train_step(struct trainer *t, const struct thaw_phase *phase, int64_t step)
{
	int first = thaw_exchange_first(t->exchange), count = thaw_exchange_count(t->exchange);
	struct thaw_gradients sum;
	thaw_status status = THAW_OK;

	for (int r = first; r < first + count && !status; r++) {
		bool empty = replica_range(t, step, r).count == 0;

		if (!empty)
			status = replica_step(t, r, batch_pictures(t, step));
		if (!status)
			status = thaw_exchange_done(t->exchange, empty);
	}
	if (status)
		return status;
	sum = thaw_exchange_sum(t->exchange);
	thaw_optimizer_step(&t->optimizer, &sum, t->trains, updates(t), rate_at(t, phase, t->step));
	t->step++;
	if (t->first_step_seconds == 0)
		t->first_step_seconds = thaw_clock_seconds() - t->options->begun_seconds;
	return THAW_OK;
}

/* --- one epoch --------------------------------------------------------------------------------------------------- */

/* Shuffles for `epoch` (from 0) and lets the loader begin. */
static thaw_status start_epoch(struct trainer *t, int epoch)
{
	int share = t->setup->replicas / t->setup->ranks, first = t->setup->rank * share;
	struct thaw_random random;
	int64_t ranges = 0;

	thaw_random_init(&random, t->job->seed, THAW_RANDOM_SHUFFLE, (uint32_t)epoch, 0);
	thaw_random_permutation(&random, t->order, (int32_t)t->count);
	for (int64_t step = 0; step < t->steps; step++)
		for (int r = first; r < first + share; r++) {
			struct thaw_batch_range range = replica_range(t, step, r);

			if (range.count > 0)
				t->ranges[ranges++] = range;
		}
	return thaw_loader_start(t->loader, epoch, t->order, t->ranges, ranges);
}

static thaw_status gather_metrics(struct trainer *t, struct thaw_metrics *metrics_out)
{
	struct thaw_metrics metrics = {0};
	thaw_status status = thaw_comm_gather_double(t->setup->comm, t->losses, t->setup->replicas);

	if (!status)
		status = thaw_comm_sum_int64(t->setup->comm, t->correct, 3);
	if (status)
		return status;
	for (int r = 0; r < t->setup->replicas; r++)
		metrics.loss += t->losses[r];
	metrics.count = t->correct[0];
	metrics.top1 = t->correct[1];
	metrics.top5 = t->correct[2];
	metrics.loss /= (double)metrics.count;
	memset(t->losses, 0, (size_t)t->setup->replicas * sizeof *t->losses);
	memset(t->correct, 0, sizeof t->correct);
	*metrics_out = metrics;
	return THAW_OK;
}

/* One line on a terminal that is written over as the epoch goes on. On standard error, since mpirun makes standard
 * output look like a terminal always. */
static void show_progress(const struct trainer *t, int epoch, int64_t step, double seconds)
{
	static double shown;
	double now = thaw_clock_seconds();
	bool last = step == t->steps;

	if (t->setup->rank != 0 || !isatty(STDERR_FILENO) || (now - shown < 0.2 && !last))
		return;
	shown = now;
	if (last)
		fprintf(stderr, "\r\033[K");
	else
		fprintf(stderr, "\r\033[Kepoch %d  step %lld/%lld  %.1f img/s", epoch, (long long)step, (long long)t->steps,
		        (double)step * t->job->batch / seconds);
}

/* The larger share of right pictures, then the smaller loss; NaN is never better. */
static bool is_better(const struct thaw_metrics *now, const struct thaw_metrics *best)
{
	return best->count == 0 || now->top1 > best->top1 || (now->top1 == best->top1 && now->loss < best->loss);
}

static thaw_status write_checkpoints(struct trainer *t, const struct thaw_row *row)
{
	struct thaw_text yaml = THAW_TEXT_EMPTY, path = THAW_TEXT_EMPTY, before = THAW_TEXT_EMPTY;
	struct thaw_checkpoint_facts facts = {
		.epoch = row->epoch, .step = t->step, .best_epoch = t->best.epoch, .metric = "top1"};
	bool last = row->epoch == t->job->epochs || row->epoch % t->job->checkpoint.every == 0;
	thaw_status status = thaw_job_dump(t->job, &yaml);

	facts.best = (double)t->best.val_metrics.top1 / (double)t->best.val_metrics.count;
	facts.job = yaml.data;
	thaw_text_add(&path, "%s/best.h5", t->options->folder);
	if (!status && row->best)
		status = thaw_snapshot_write(path.data, facts, t->setup, NULL);
	thaw_text_release(&path);
	thaw_text_add(&path, "%s/last.h5", t->options->folder);
	thaw_text_add(&before, "%s/previous.h5", t->options->folder);
	if (!status && last && thaw_file_exists(path.data))
		status = thaw_file_rename(path.data, before.data);
	if (!status && last)
		status = thaw_snapshot_write(path.data, facts, t->setup, &t->optimizer);
	thaw_text_release(&path);
	thaw_text_release(&before);
	thaw_text_release(&yaml);
	return status;
}

static thaw_status finish_epoch(struct trainer *t, struct thaw_row *row, double begun)
{
	thaw_status status = gather_metrics(t, &row->train_metrics);

	if (!status && row->epoch < t->job->epochs)
		status = start_epoch(t, row->epoch); /* the loader works ahead while validation runs */
	if (!status)
		status = thaw_evaluate(t->evaluator, &row->val_metrics);
	if (status)
		return status;
	row->best = is_better(&row->val_metrics, &t->best.val_metrics);
	row->seconds = thaw_clock_seconds() - begun;
	if (row->best)
		t->best = *row;
	if (t->setup->rank == 0)
		status = thaw_record_row(t->setup, t->options->folder, row);
	if (!status && t->setup->rank == 0)
		status = write_checkpoints(t, row);
	return status;
}

static bool measured_enough(const struct trainer *t)
{
	return t->options->measure_steps > 0 && t->step >= t->options->measure_steps;
}

static thaw_status train_epoch(struct trainer *t, int phase, int epoch)
{
	const struct thaw_phase *p = &t->job->phases[phase];
	struct thaw_row row = {.epoch = epoch, .phase = phase + 1, .train = &p->train, .lr = rate_at(t, p, t->step)};
	double begun = thaw_clock_seconds();

	for (int64_t step = 0; step < t->steps && !measured_enough(t); step++) {
		thaw_status status = train_step(t, p, step);

		if (status)
			return status;
		show_progress(t, epoch, step + 1, thaw_clock_seconds() - begun);
	}
	return measured_enough(t) ? THAW_OK : finish_epoch(t, &row, begun);
}

/* --- the run ----------------------------------------------------------------------------------------------------- */

static void end_phase(struct trainer *t)
{
	thaw_exchange_free(t->exchange);
	t->exchange = NULL;
	for (int i = 0; i < PLANS; i++) {
		thaw_plan_free(t->plans[i]);
		t->plans[i] = NULL;
	}
	free(t->trains);
	t->trains = NULL;
}

/* Selects what trains and compiles the plan of the largest micro-batch, on all ranks together. */
static thaw_status begin_phase(struct trainer *t, int phase)
{
	struct thaw_plan_spec spec;
	thaw_status status;

	end_phase(t);
	status = thaw_setup_select(t->setup, phase, &t->trains);
	if (!status)
		status = thaw_exchange_new(t->setup, t->trains, &t->exchange);
	if (status)
		return status;
	t->plan_batch[0] = (int)((batch_pictures(t, 0) + t->setup->replicas - 1) / t->setup->replicas);
	spec = training_spec(t, t->plan_batch[0]);
	return thaw_setup_compile(t->setup, &spec, &t->plans[0]);
}

static thaw_status open_loader(struct trainer *t)
{
	const struct thaw_job *job = t->job;
	bool random = strcmp(job->augment.crop, "random_resized") == 0;

	return thaw_loader_new(
		&(struct thaw_loader_spec){
			.dataset = t->setup->train,
			.augment =
				{
					.crop = random ? THAW_CROP_RANDOM_RESIZED : THAW_CROP_CENTER,
					.scale = {job->augment.scale[0], job->augment.scale[1]},
					.ratio = {job->augment.ratio[0], job->augment.ratio[1]},
					.flip = job->augment.flip,
					.size = job->data.crop,
				},
			.seed = job->seed,
			.threads = job->data.threads,
			.ahead = 3,
			.batch_limit = (job->batch + t->setup->replicas - 1) / t->setup->replicas,
		},
		&t->loader);
}

static thaw_status trainer_open(struct trainer *t)
{
	const struct thaw_job *job = t->job;
	thaw_status status;

	t->count = thaw_dataset_facts(t->setup->train)->count;
	t->steps = (t->count + job->batch - 1) / job->batch;
	t->schedule = (struct thaw_schedule){
		.kind = job->schedule.kind,
		.steps_per_epoch = t->steps,
		.step_epochs = job->schedule.step,
		.gamma = job->schedule.gamma,
	};
	t->order = thaw_alloc((size_t)t->count, sizeof *t->order);
	t->ranges = thaw_alloc((size_t)t->steps * (size_t)(t->setup->replicas / t->setup->ranks), sizeof *t->ranges);
	t->losses = thaw_alloc((size_t)t->setup->replicas, sizeof *t->losses);
	if (!t->order || !t->ranges || !t->losses)
		return THAW_OUT_OF_MEMORY;
	status = thaw_schedule_check(&t->schedule);
	if (!status)
		status = thaw_optimizer_init(&t->optimizer,
		                             &(struct thaw_optimizer_spec){
										 .kind = job->optimizer.kind,
										 .momentum = job->optimizer.momentum,
										 .weight_decay = job->optimizer.weight_decay,
										 .decay_norms = job->optimizer.decay_norms,
										 .threads = t->setup->threads,
									 },
		                             &t->setup->params);
	if (!status)
		status = open_loader(t);
	return status;
}

static void trainer_release(struct trainer *t)
{
	end_phase(t);
	thaw_evaluator_free(t->evaluator);
	thaw_loader_free(t->loader);
	thaw_optimizer_release(&t->optimizer);
	free(t->order);
	free(t->ranges);
	free(t->losses);
}

/* Speed of the steps after the first, which also warmed up. */
static void tell_speed(const struct trainer *t, double end)
{
	struct rusage usage;
	double seconds = end - t->options->begun_seconds - t->first_step_seconds;

	getrusage(RUSAGE_SELF, &usage);
	thaw_log("start to first step %.3f s  then %.2f img/s over %lld steps  peak memory %.0f MiB a rank",
	         t->first_step_seconds, (double)((t->step - 1) * t->job->batch) / seconds, (long long)t->step - 1,
	         (double)usage.ru_maxrss / 1024.0);
}

static thaw_status train_phases(struct trainer *t)
{
	thaw_status status = THAW_OK;
	int epoch = 1;

	for (int phase = 0; phase < t->job->phases_count && !status && !measured_enough(t); phase++) {
		if (phase > 0)
			status = thaw_record_phase(t->setup, phase);
		if (!status)
			status = begin_phase(t, phase);
		if (!status && !t->evaluator && t->options->measure_steps == 0)
			status = thaw_evaluator_new(t->setup, &t->evaluator);
		for (int i = 0; i < t->job->phases[phase].epochs && !status && !measured_enough(t); i++)
			status = train_epoch(t, phase, epoch++);
	}
	return status;
}

thaw_status thaw_train(struct thaw_setup *setup, const struct thaw_train_options *options)
{
	struct trainer trainer = {.setup = setup, .job = setup->job, .options = options};
	double begun = thaw_clock_seconds();
	thaw_status status = thaw_world_agree(trainer_open(&trainer));

	if (!status)
		status = start_epoch(&trainer, 0);
	if (!status)
		thaw_params_randomize(&setup->params, setup->job->seed);
	if (!status)
		status = train_phases(&trainer);
	if (!status && options->measure_steps > 0)
		tell_speed(&trainer, thaw_clock_seconds());
	else if (!status)
		thaw_record_end(options->folder, &trainer.best, thaw_clock_seconds() - begun);
	trainer_release(&trainer);
	return status;
}
