#include "runner/trainer_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/mem.h"
#include "base/random.h"
#include "nn/lower.h"
#include "runner/snapshot.h"
#include "runner/world.h"

/* --- batches ----------------------------------------------------------------------------------------------------- */

int64_t thaw_trainer_pictures(const struct thaw_trainer *t, int64_t step)
{
	int64_t left = t->count - step * t->job->batch;

	return left < t->job->batch ? left : t->job->batch;
}

struct thaw_batch_range thaw_trainer_range(const struct thaw_trainer *t, int64_t step, int r)
{
	int64_t pictures = thaw_trainer_pictures(t, step), replicas = t->setup->replicas;
	int64_t begin = pictures * r / replicas, end = pictures * (r + 1) / replicas;

	return (struct thaw_batch_range){step * t->job->batch + begin, (int)(end - begin)};
}

thaw_status thaw_trainer_start_epoch(struct thaw_trainer *t, int epoch, int64_t first_step)
{
	int share = t->setup->replicas / t->setup->ranks, first = t->setup->rank * share;
	struct thaw_random random;
	int64_t ranges = 0;

	thaw_random_init(&random, t->job->seed, THAW_RANDOM_SHUFFLE, (uint32_t)epoch, 0);
	thaw_random_permutation(&random, t->order, (int32_t)t->count);
	for (int64_t step = first_step; step < t->steps; step++)
		for (int r = first; r < first + share; r++) {
			struct thaw_batch_range range = thaw_trainer_range(t, step, r);

			if (range.count > 0)
				t->ranges[ranges++] = range;
		}
	return thaw_loader_start(t->loader, epoch, t->order, t->ranges, ranges);
}

/* --- plans and phases -------------------------------------------------------------------------------------------- */

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

thaw_status thaw_trainer_plan(struct thaw_trainer *t, int batch, struct thaw_plan **plan_out)
{
	struct thaw_plan_spec spec = training_spec(t, batch);
	thaw_status status;
	int i = 0;

	while (t->plans[i] && t->plan_batch[i] != batch)
		i++;
	assert(i < THAW_TRAINER_PLANS);
	if (!t->plans[i]) {
		status = thaw_plan_compile(t->setup->net, &spec, &t->plans[i]);
		if (status)
			return status;
		t->plan_batch[i] = batch;
	}
	*plan_out = t->plans[i];
	return THAW_OK;
}

static void end_phase(struct thaw_trainer *t)
{
	thaw_exchange_free(t->exchange);
	t->exchange = NULL;
	for (int i = 0; i < THAW_TRAINER_PLANS; i++) {
		thaw_plan_free(t->plans[i]);
		t->plans[i] = NULL;
	}
	free(t->trains);
	t->trains = NULL;
}

/* A norm by the batch needs more than one number per channel of each replica: with one it gives out its bias alone. */
static thaw_status check_norms(const struct thaw_trainer *t)
{
	const struct thaw_net *net = t->setup->net;
	bool always = training_spec(t, 1).frozen_batch_statistics;
	int smallest = (int)(thaw_trainer_pictures(t, 0) / t->setup->replicas); /* of a full batch */

	for (int i = 0; i < thaw_net_ops(net) && smallest <= 1; i++) {
		const struct thaw_op *op = thaw_net_op(net, i);

		if (op->kind == THAW_OP_BATCH_NORM && op->out_shape.h * op->out_shape.w == 1 &&
		    thaw_uses_batch_statistics(op, t->trains, always))
			return thaw_fail(
				THAW_BAD_JOB,
				"batch: %d in %d replicas leaves '%s' one number per channel to normalise: a larger batch, "
				"fewer replicas or a larger data.crop is needed",
				t->job->batch, t->setup->replicas, op->name);
	}
	return THAW_OK;
}

int thaw_trainer_phase_of(const struct thaw_trainer *t, int epoch)
{
	int phase = 0;

	for (int end = t->job->phases[0].epochs; epoch >= end; end += t->job->phases[phase].epochs)
		phase++;
	return phase;
}

thaw_status thaw_trainer_begin_phase(struct thaw_trainer *t, int phase)
{
	struct thaw_plan_spec spec;
	thaw_status status;

	end_phase(t);
	t->phase = phase;
	t->plan_batch[0] = (int)((thaw_trainer_pictures(t, 0) + t->setup->replicas - 1) / t->setup->replicas);
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

/* --- life -------------------------------------------------------------------------------------------------------- */

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
	t->sums = thaw_alloc((size_t)t->setup->replicas, sizeof *t->sums);
	return t->order && t->ranges && t->losses && t->sums ? THAW_OK : THAW_OUT_OF_MEMORY;
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

/* Everything as it was when the checkpoint was written. What the epoch had gathered so far is rank 0's, but for the
 * losses of replicas, which are those of the ranks that now work them. */
static thaw_status resume(struct thaw_trainer *t)
{
	int share = t->setup->replicas / t->setup->ranks, first = t->setup->rank * share;
	struct thaw_checkpoint_facts facts;
	thaw_status status = thaw_snapshot_read(t->options.resume, t->setup,
	                                        (struct thaw_snapshot_wanted){&t->optimizer, t->losses}, &facts);

	if (status)
		return status;
	if (facts.epoch >= t->job->epochs || facts.step < facts.epoch * t->steps ||
	    facts.step > (facts.epoch + 1) * t->steps)
		return thaw_fail(
			THAW_BAD_JOB, "'%s' stands at epoch %lld, step %lld: no place in a run of %d epochs of %lld steps",
			t->options.resume, (long long)facts.epoch, (long long)facts.step, t->job->epochs, (long long)t->steps);
	t->epoch = (int)facts.epoch;
	t->step = facts.step;
	t->seconds_before = facts.seconds;
	t->best.epoch = (int)facts.best_epoch;
	t->best.val_metrics = facts.best_metrics;
	for (int r = 0; r < t->setup->replicas; r++)
		if (r < first || r >= first + share)
			t->losses[r] = 0;
	if (t->setup->rank == 0) {
		t->correct[0] = facts.so_far.count;
		t->correct[1] = facts.so_far.top1;
		t->correct[2] = facts.so_far.top5;
	}
	return THAW_OK;
}

/* Of the step and the parameters, by which one checkpoint differs from the next. */
static uint32_t resume_checksum(const struct thaw_trainer *t)
{
	const struct thaw_params *params = &t->setup->params;

	return thaw_crc32c(thaw_crc32c(0, &t->step, sizeof t->step), params->values,
	                   (size_t)thaw_net_param_elems(params->net) * sizeof *params->values);
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
		.step_epochs = job->schedule.step,
		.gamma = job->schedule.gamma,
	};
	status = allocate(t);
	if (!status)
		status = open_optimizer(t);
	if (!status)
		status = open_loader(t);
	if (!status && t->options.resume)
		status = resume(t);
	if (!status) /* the loader works while plans are compiled */
		status = thaw_trainer_start_epoch(t, t->epoch, t->step - t->epoch * t->steps);
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
	if (!status && options->resume)
		status = thaw_setup_compare(options->resume, resume_checksum(t));
	else if (!status)
		thaw_params_randomize(&setup->params, setup->job->seed);
	if (!status)
		status = thaw_trainer_begin_phase(t, thaw_trainer_phase_of(t, t->epoch));
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
	free(trainer->sums);
	free(trainer);
}
