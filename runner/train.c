#define _GNU_SOURCE /* isatty, getrusage */
#include "runner/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
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

struct thaw_trainer {
	struct thaw_setup *setup;
	const struct thaw_job *job;
	struct thaw_train_options options;
	const char *folder;
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
	int64_t step, pictures;    /* optimizer steps done; pictures they saw, */
	int64_t first_pictures;    /* and of these the first step */
	double first_step_seconds; /* from the program's start to the end of the first step */
	struct thaw_row best;
};

/* Where in the run a step stands. */
struct trainer_place {
	const struct thaw_phase *phase;
	int epoch;    /* from 1 */
	int64_t step; /* within the epoch, from 0 */
};

/* --- one step ---------------------------------------------------------------------------------------------------- */

/* Pictures of the global batch of `step` within its epoch; the last one may be smaller. */
static int64_t batch_pictures(const struct thaw_trainer *t, int64_t step)
{
	int64_t left = t->count - step * t->job->batch;

	return left < t->job->batch ? left : t->job->batch;
}

/* Replica `r`'s part of that batch, as even as can be: pictures first .. first + count - 1 of the order; count may be
 * 0. */
static struct thaw_batch_range replica_range(const struct thaw_trainer *t, int64_t step, int r)
{
	int64_t pictures = batch_pictures(t, step), replicas = t->setup->replicas;
	int64_t begin = pictures * r / replicas, end = pictures * (r + 1) / replicas;

	return (struct thaw_batch_range){step * t->job->batch + begin, (int)(end - begin)};
}

static struct thaw_plan_spec training_spec(const struct thaw_trainer *t, int batch)
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
static thaw_status plan_for(struct thaw_trainer *t, int batch, struct thaw_plan **plan_out)
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
static thaw_status replica_step(struct thaw_trainer *t, int replica, int64_t global_count)
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
	t->losses[replica] += score.loss;
	t->correct[0] += score.count;
	t->correct[1] += score.top1;
	t->correct[2] += score.top5;
	return thaw_plan_backward(plan, &slab, thaw_exchange_ready, t->exchange);
}

static double rate_at(const struct thaw_trainer *t, const struct thaw_phase *phase, int64_t step)
{
	return phase->lr * thaw_schedule_factor(&t->schedule, step);
}

/* States for which this phase's plans gather statistics. */
static const bool *updates(const struct thaw_trainer *t)
{
	return thaw_plan_updates(t->plans[0]);
}

/* All ranks agree whether a loss is still finite, before anything moves by it. */
static thaw_status check_losses(const struct trainer_place *place, const struct thaw_trainer *t)
{
	thaw_status status = THAW_OK;

	for (int r = 0; r < t->setup->replicas && !status; r++)
		if (!isfinite(t->losses[r]))
			status =
				thaw_fail(THAW_DIVERGED, "epoch %d, step %lld: the training loss is %g; a lower optimizer.lr may help",
			              place->epoch, (long long)place->step + 1, fabs(t->losses[r]));
	return thaw_world_agree(status);
}

/* One global batch: this rank's replicas, the sum over all, the update. */
static thaw_status train_step(struct thaw_trainer *t, const struct trainer_place *place)
{
	int first = thaw_exchange_first(t->exchange), count = thaw_exchange_count(t->exchange);
	struct thaw_gradients sum;
	thaw_status status = THAW_OK;

	for (int r = first; r < first + count && !status; r++) {
		bool empty = replica_range(t, place->step, r).count == 0;

		if (!empty)
			status = replica_step(t, r, batch_pictures(t, place->step));
		if (!status)
			status = thaw_exchange_done(t->exchange, empty);
	}
	if (!status)
		status = check_losses(place, t);
	if (status)
		return status;
	sum = thaw_exchange_sum(t->exchange);
	thaw_optimizer_step(&t->optimizer, &sum, t->trains, updates(t), rate_at(t, place->phase, t->step));
	t->step++;
	t->pictures += batch_pictures(t, place->step);
	if (t->first_step_seconds == 0) {
		t->first_step_seconds = thaw_clock_seconds() - t->options.begun_seconds;
		t->first_pictures = t->pictures;
	}
	return THAW_OK;
}

/* --- one epoch --------------------------------------------------------------------------------------------------- */

/* Shuffles for `epoch` (from 0) and lets the loader begin. */
static thaw_status start_epoch(struct thaw_trainer *t, int epoch)
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

static thaw_status gather_metrics(struct thaw_trainer *t, struct thaw_metrics *metrics_out)
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
static void show_progress(const struct thaw_trainer *t, const struct trainer_place *place, double seconds)
{
	static double shown;
	double now = thaw_clock_seconds();
	int64_t done = place->step + 1, pictures = done * t->job->batch;

	if (t->setup->rank != 0 || !isatty(STDERR_FILENO) || (now - shown < 0.2 && done < t->steps))
		return;
	shown = now;
	if (done == t->steps)
		fprintf(stderr, "\r\033[K");
	else
		fprintf(stderr, "\r\033[Kepoch %d  step %lld/%lld  %.1f img/s", place->epoch, (long long)done,
		        (long long)t->steps, (double)pictures / seconds);
}

/* The larger share of right pictures, then the smaller loss. */
static bool is_better(const struct thaw_metrics *now, const struct thaw_metrics *best)
{
	return best->count == 0 || now->top1 > best->top1 || (now->top1 == best->top1 && now->loss < best->loss);
}

static thaw_status write_checkpoints(struct thaw_trainer *t, const struct thaw_row *row)
{
	struct thaw_text yaml = THAW_TEXT_EMPTY, path = THAW_TEXT_EMPTY, before = THAW_TEXT_EMPTY;
	struct thaw_checkpoint_facts facts = {
		.epoch = row->epoch, .step = t->step, .best_epoch = t->best.epoch, .metric = "top1"};
	bool last = row->epoch == t->job->epochs || row->epoch % t->job->checkpoint.every == 0;
	thaw_status status = thaw_job_dump(t->job, &yaml);

	facts.best = (double)t->best.val_metrics.top1 / (double)t->best.val_metrics.count;
	facts.job = yaml.data;
	thaw_text_add(&path, "%s/best.h5", t->folder);
	if (!status && row->best)
		status = thaw_snapshot_write(path.data, NULL, facts, t->setup, NULL);
	thaw_text_release(&path);
	thaw_text_add(&path, "%s/last.h5", t->folder);
	thaw_text_add(&before, "%s/previous.h5", t->folder);
	if (!status && last)
		status = thaw_snapshot_write(path.data, before.data, facts, t->setup, &t->optimizer);
	thaw_text_release(&path);
	thaw_text_release(&before);
	thaw_text_release(&yaml);
	return status;
}

static thaw_status finish_epoch(struct thaw_trainer *t, struct thaw_row *row, double begun)
{
	thaw_status status = gather_metrics(t, &row->train_metrics);

	if (!status && row->epoch < t->job->epochs)
		status = start_epoch(t, row->epoch); /* the loader works ahead while validation runs */
	if (!status)
		status = thaw_evaluate(t->evaluator, &row->val_metrics);
	if (!status && !isfinite(row->val_metrics.loss))
		status = thaw_world_agree(thaw_fail(THAW_DIVERGED,
		                                    "epoch %d: the validation loss is %g; a lower optimizer.lr may help",
		                                    row->epoch, fabs(row->val_metrics.loss)));
	if (status)
		return status;
	row->best = is_better(&row->val_metrics, &t->best.val_metrics);
	row->seconds = thaw_clock_seconds() - begun;
	if (row->best)
		t->best = *row;
	if (t->setup->rank == 0)
		status = thaw_record_row(t->setup, t->folder, row);
	if (!status && t->setup->rank == 0)
		status = write_checkpoints(t, row);
	return status;
}

static bool measured_enough(const struct thaw_trainer *t)
{
	return t->options.measure_steps > 0 && t->step >= t->options.measure_steps;
}

static thaw_status train_epoch(struct thaw_trainer *t, int phase, int epoch)
{
	struct trainer_place place = {.phase = &t->job->phases[phase], .epoch = epoch};
	struct thaw_row row = {.epoch = epoch, .phase = phase + 1, .train = &place.phase->train};
	double begun = thaw_clock_seconds();

	row.lr = rate_at(t, place.phase, t->step);
	for (; place.step < t->steps && !measured_enough(t); place.step++) {
		thaw_status status = train_step(t, &place);

		if (status)
			return status;
		show_progress(t, &place, thaw_clock_seconds() - begun);
	}
	if (t->options.measure_steps > 0)
		return measured_enough(t) || epoch == t->job->epochs ? THAW_OK : start_epoch(t, epoch);
	return finish_epoch(t, &row, begun);
}

/* --- the run ----------------------------------------------------------------------------------------------------- */

static void end_phase(struct thaw_trainer *t)
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

/* A trained norm needs more than one number per channel of each replica: with one it would give out its bias alone. */
static thaw_status check_norms(const struct thaw_trainer *t)
{
	const struct thaw_net *net = t->setup->net;

	for (int i = 0; i < thaw_net_ops(net) && t->plan_batch[0] == 1; i++) {
		const struct thaw_op *op = thaw_net_op(net, i);

		if (op->kind == THAW_OP_BATCH_NORM && op->out_shape.h * op->out_shape.w == 1 && t->trains[op->param])
			return thaw_fail(
				THAW_BAD_JOB,
				"batch: %d in %d replicas leaves '%s' one number per channel to normalise: a larger batch, "
				"fewer replicas or a larger data.crop is needed",
				t->job->batch, t->setup->replicas, op->name);
	}
	return THAW_OK;
}

/* Selects what trains and compiles the plan of the largest micro-batch; all ranks succeed or fail together. */
static thaw_status begin_phase(struct thaw_trainer *t, int phase)
{
	struct thaw_plan_spec spec;
	thaw_status status;

	end_phase(t);
	t->plan_batch[0] = (int)((batch_pictures(t, 0) + t->setup->replicas - 1) / t->setup->replicas);
	status = thaw_setup_select(t->setup, phase, &t->trains);
	if (!status)
		status = check_norms(t);
	if (!status)
		status = thaw_exchange_new(t->setup, t->trains, &t->exchange);
	status = thaw_world_agree(status);
	if (status)
		return status;
	spec = training_spec(t, t->plan_batch[0]);
	return thaw_setup_compile(t->setup, &spec, &t->plans[0]);
}

static thaw_status open_loader(struct thaw_trainer *t)
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

/* What can be known without data in motion. */
static thaw_status check_job(const struct thaw_setup *setup)
{
	if (setup->replicas % setup->ranks != 0)
		return thaw_fail(THAW_BAD_JOB, "replicas: %d cannot be divided among %d ranks", setup->replicas, setup->ranks);
	if (setup->replicas > setup->job->batch)
		return thaw_fail(THAW_BAD_JOB, "batch: %d is less than one picture for each of %d replicas", setup->job->batch,
		                 setup->replicas);
	for (int i = 0; i < setup->job->phases_count; i++) {
		bool *trains;
		thaw_status status = thaw_setup_select(setup, i, &trains);

		if (status)
			return status;
		free(trains);
	}
	return THAW_OK;
}

static thaw_status allocate(struct thaw_trainer *t)
{
	int share = t->setup->replicas / t->setup->ranks;

	t->order = thaw_alloc((size_t)t->count, sizeof *t->order);
	t->ranges = thaw_alloc((size_t)t->steps * (size_t)share, sizeof *t->ranges);
	t->losses = thaw_alloc((size_t)t->setup->replicas, sizeof *t->losses);
	return t->order && t->ranges && t->losses ? THAW_OK : THAW_OUT_OF_MEMORY;
}

static thaw_status open_optimizer(struct thaw_trainer *t)
{
	const struct thaw_job *job = t->job;
	struct thaw_optimizer_spec spec = {
		.kind = job->optimizer.kind,
		.momentum = job->optimizer.momentum,
		.weight_decay = job->optimizer.weight_decay,
		.decay_norms = job->optimizer.decay_norms,
		.threads = t->setup->threads,
	};
	thaw_status status = thaw_schedule_check(&t->schedule);

	return status ? status : thaw_optimizer_init(&t->optimizer, &spec, &t->setup->params);
}

/* Of this rank alone. */
static thaw_status open_parts(struct thaw_trainer *t)
{
	const struct thaw_job *job = t->job;
	thaw_status status = check_job(t->setup);

	if (status)
		return status;
	t->count = thaw_dataset_facts(t->setup->train)->count;
	t->steps = (t->count + job->batch - 1) / job->batch;
	t->schedule = (struct thaw_schedule){
		.kind = job->schedule.kind,
		.steps_per_epoch = t->steps,
		.step_epochs = job->schedule.step,
		.gamma = job->schedule.gamma,
	};
	status = allocate(t);
	if (!status)
		status = open_optimizer(t);
	if (!status)
		status = open_loader(t);
	if (!status)
		status = start_epoch(t, 0); /* the loader works while plans are compiled */
	return status;
}

thaw_status thaw_trainer_new(struct thaw_setup *setup, const struct thaw_train_options *options,
                             struct thaw_trainer **trainer_out)
{
	struct thaw_trainer *t = thaw_alloc(1, sizeof *t);
	thaw_status status = THAW_OUT_OF_MEMORY;

	if (t) {
		t->setup = setup;
		t->job = setup->job;
		t->options = *options;
		status = open_parts(t);
	}
	status = thaw_world_agree(status);
	if (!status) {
		thaw_params_randomize(&setup->params, setup->job->seed);
		status = begin_phase(t, 0);
	}
	if (!status && options->measure_steps == 0)
		status = thaw_evaluator_new(setup, &t->evaluator);
	if (status)
		thaw_trainer_free(t);
	else
		*trainer_out = t;
	return status;
}

void thaw_trainer_free(struct thaw_trainer *trainer)
{
	if (!trainer)
		return;
	end_phase(trainer);
	thaw_evaluator_free(trainer->evaluator);
	thaw_loader_free(trainer->loader);
	thaw_optimizer_release(&trainer->optimizer);
	free(trainer->order);
	free(trainer->ranges);
	free(trainer->losses);
	free(trainer);
}

/* Speed of the steps after the first, which also warmed up. */
static void tell_speed(const struct thaw_trainer *t)
{
	double seconds = thaw_clock_seconds() - t->options.begun_seconds - t->first_step_seconds;
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	if (t->step < t->options.measure_steps)
		thaw_warn("the job ended after %lld of %lld steps", (long long)t->step, (long long)t->options.measure_steps);
	if (t->step > 1)
		thaw_log("start to first step %.3f s  then %.2f img/s over %lld steps  peak memory %.0f MiB a rank",
		         t->first_step_seconds, (double)(t->pictures - t->first_pictures) / seconds, (long long)t->step - 1,
		         (double)usage.ru_maxrss / 1024.0);
	else
		thaw_log("start to first step %.3f s  peak memory %.0f MiB a rank", t->first_step_seconds,
		         (double)usage.ru_maxrss / 1024.0);
}

static thaw_status train_phase(struct thaw_trainer *t, int phase, int *epoch)
{
	thaw_status status = THAW_OK;

	if (phase > 0)
		status = thaw_record_phase(t->setup, phase);
	if (!status && phase > 0)
		status = begin_phase(t, phase);
	for (int i = 0; i < t->job->phases[phase].epochs && !status && !measured_enough(t); i++)
		status = train_epoch(t, phase, (*epoch)++);
	return status;
}

thaw_status thaw_trainer_run(struct thaw_trainer *t, const char *folder)
{
	double begun = thaw_clock_seconds();
	thaw_status status = THAW_OK;
	int epoch = 1;

	t->folder = folder;
	for (int phase = 0; phase < t->job->phases_count && !status && !measured_enough(t); phase++)
		status = train_phase(t, phase, &epoch);
	if (!status && t->options.measure_steps > 0)
		tell_speed(t);
	else if (!status)
		thaw_record_end(folder, &t->best, thaw_clock_seconds() - begun);
	return status;
}
