#include "runner/trainer_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/mem.h"
#include "nn/fitting.h"
#include "nn/lower.h"
#include "runner/fitting.h"
#include "runner/pretrained.h"
#include "runner/snapshot.h"
#include "runner/world.h"

/* --- plans and phases -------------------------------------------------------------------------------------------- */

static struct thaw_plan_spec training_spec(const struct thaw_trainer *t, int batch)
{
	struct thaw_plan_spec spec = {
		.device = t->setup->device,
		.params = &t->setup->params,
		.batch = batch,
		.trains = t->trains,
		.loss = {.smoothing = t->job->loss.smoothing, .class_weights = t->class_weights},
		.frozen_batch_statistics = strcmp(t->job->batchnorm, "train") == 0,
	};

	memcpy(spec.mean, t->setup->facts->mean, sizeof spec.mean);
	memcpy(spec.std, t->setup->facts->std, sizeof spec.std);
	return spec;
}

struct thaw_plan *thaw_trainer_plan(const struct thaw_trainer *t, int batch)
{
	int i = 0;

	while (t->plan_batch[i] != batch) {
		i++;
		assert(i < THAW_TRAINER_PLANS && t->plans[i]);
	}
	return t->plans[i];
}

/* The plan for micro-batches of this size, if there is none: chosen on rank 0, for all of them. */
static thaw_status compile_size(struct thaw_trainer *t, int batch)
{
	struct thaw_plan_spec spec = training_spec(t, batch);
	thaw_status status;
	int i = 0;

	while (t->plans[i] && t->plan_batch[i] != batch)
		i++;
	assert(i < THAW_TRAINER_PLANS);
	if (t->plans[i])
		return THAW_OK;
	status = thaw_setup_compile(t->setup, &spec, &t->plans[i]);
	if (!status)
		t->plan_batch[i] = batch;
	return status;
}

thaw_status thaw_trainer_compile(struct thaw_trainer *t, int64_t step)
{
	thaw_status status = THAW_OK;

	for (int r = 0; r < t->setup->replicas && !status; r++) {
		int pictures = thaw_trainer_range(t, t->phase, step, r).count;

		if (pictures > 0)
			status = compile_size(t, pictures);
	}
	return status;
}

static void end_phase(struct thaw_trainer *t)
{
	const struct thaw_queue_ops *queue = t->setup->device->backend->queue;

	if (queue) /* what was recorded may still be under way where a step has failed */
		(void)queue->wait(t->setup->device);
	thaw_trainer_forget(t);
	thaw_exchange_free(t->exchange);
	t->exchange = NULL;
	for (int i = 0; i < THAW_TRAINER_PLANS; i++) {
		thaw_plan_free(t->plans[i]);
		t->plans[i] = NULL;
	}
	t->plans_complete = false;
	free(t->trains);
	t->trains = NULL;
}

/* A norm by the batch needs more than one number per channel of each replica: with one it gives out its bias alone. */
static thaw_status check_norms(const struct thaw_trainer *t, int phase, const bool *trains)
{
	const struct thaw_net *net = t->setup->net;
	bool always = training_spec(t, 1).frozen_batch_statistics;
	int smallest = (int)(thaw_trainer_pictures(t, phase, 0) / t->setup->replicas); /* of a full batch */

	for (int i = 0; i < thaw_net_ops(net) && smallest <= 1; i++) {
		const struct thaw_op *op = thaw_net_op(net, i);

		if (op->kind == THAW_OP_BATCH_NORM && op->out_shape.h * op->out_shape.w == 1 &&
		    thaw_uses_batch_statistics(op, trains, always))
			return thaw_fail(
				THAW_BAD_JOB,
				"batch: %d in %d replicas leaves '%s' one number per channel to normalise: a larger batch, "
				"fewer replicas or a larger data.crop is needed",
				t->job->phases[phase].recipe.batch, t->setup->replicas, op->name);
	}
	return THAW_OK;
}

thaw_status thaw_trainer_begin_phase(struct thaw_trainer *t, int phase)
{
	struct thaw_plan_spec spec;
	thaw_status status;

	end_phase(t);
	t->phase = phase;
	t->plan_batch[0] = thaw_trainer_micro_batch(t, phase);
	status = thaw_world_agree(thaw_setup_select(t->setup, phase, &t->trains));
	if (!status)
		status = thaw_exchange_new(t->setup, t->trains, &t->exchange);
	status = thaw_world_agree(status);
	if (status)
		return status;
	spec = training_spec(t, t->plan_batch[0]);
	status = thaw_setup_compile(t->setup, &spec, &t->plans[0]);
	if (status == THAW_OUT_OF_MEMORY)
		status = thaw_fitting_fail(t->setup, &spec, t->job->phases[phase].recipe.batch);
	if (!status)
		status = thaw_world_agree(thaw_updater_select(t->updater, t->trains, thaw_plan_updates(t->plans[0])));
	return status;
}

/* Whether a phase to come will find the memory that it needs; else the batch that would do. */
static thaw_status check_memory(struct thaw_trainer *t, int phase)
{
	struct thaw_plan_spec spec = training_spec(t, thaw_trainer_micro_batch(t, phase));
	bool *trains = NULL, fits = true;
	thaw_status status = thaw_setup_select(t->setup, phase, &trains);

	spec.trains = trains;
	if (!status)
		status = thaw_plan_fits(t->setup->net, &spec, &fits);
	if (!status && !fits)
		status = thaw_fail(THAW_OUT_OF_MEMORY, "the memory there is");
	status = thaw_world_agree(status);
	if (status == THAW_OUT_OF_MEMORY) {
		char words[THAW_WORDS];

		status = thaw_fitting_fail(t->setup, &spec, t->job->phases[phase].recipe.batch);
		snprintf(words, sizeof words, "%s", thaw_fail_text());
		status = thaw_fail(status, "phase %d: %.900s", phase + 1, words);
	}
	free(trains);
	return status;
}

/* A run is not to get as far as a phase that is too large for it, where it could not go on. */
static thaw_status check_phases_to_come(struct thaw_trainer *t)
{
	thaw_status status = THAW_OK;

	for (int phase = t->phase + 1; phase < t->job->phases_count && !status; phase++)
		status = check_memory(t, phase);
	return status;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

/* What can be known without data in motion. */
static thaw_status check_job(const struct thaw_trainer *t)
{
	const struct thaw_setup *setup = t->setup;

	if (setup->replicas % setup->ranks != 0)
		return thaw_fail(THAW_BAD_JOB, "replicas: %d cannot be divided among %d ranks", setup->replicas, setup->ranks);
	for (int i = 0; i < setup->job->phases_count; i++) {
		const struct thaw_recipe *recipe = &setup->job->phases[i].recipe;
		const struct thaw_schedule schedule = thaw_trainer_schedule(recipe, 1);
		const struct thaw_augment augment = thaw_trainer_augment(t, i);
		thaw_status status = thaw_schedule_check(&schedule);
		bool *trains;

		if (recipe->batch < setup->replicas)
			return thaw_fail(THAW_BAD_JOB, "batch: %d is less than one picture for each of %d replicas", recipe->batch,
			                 setup->replicas);
		if (!status)
			status = thaw_augment_check(&augment);
		if (!status)
			status = thaw_setup_select(setup, i, &trains);
		if (status)
			return status;
		status = check_norms(t, i, trains);
		free(trains);
		if (status)
			return status;
	}
	return THAW_OK;
}

static thaw_status allocate(struct thaw_trainer *t)
{
	int share = t->setup->replicas / t->setup->ranks;
	int64_t steps = 0;
	int largest = 0;

	for (int phase = 0; phase < t->job->phases_count; phase++) {
		if (thaw_trainer_steps(t, phase) > steps)
			steps = thaw_trainer_steps(t, phase);
		if (thaw_trainer_micro_batch(t, phase) > largest)
			largest = thaw_trainer_micro_batch(t, phase);
	}
	t->shares = thaw_alloc((size_t)largest, sizeof *t->shares);
	t->labels[0] = thaw_alloc((size_t)largest, sizeof *t->labels[0]);
	t->labels[1] = thaw_alloc((size_t)largest, sizeof *t->labels[1]);
	t->order = thaw_alloc((size_t)t->count, sizeof *t->order);
	t->ranges = thaw_alloc((size_t)steps * (size_t)share, sizeof *t->ranges);
	t->losses = thaw_alloc(2 * (size_t)t->setup->replicas, sizeof *t->losses);
	t->sums = thaw_alloc(2 * (size_t)t->setup->replicas, sizeof *t->sums);
	t->scores = thaw_alloc((size_t)share, sizeof *t->scores);
	t->recordings = thaw_alloc(2 * (size_t)share, sizeof *t->recordings);
	t->val_losses = thaw_alloc((size_t)t->job->epochs, sizeof *t->val_losses);
	return t->order && t->ranges && t->losses && t->sums && t->scores && t->recordings && t->val_losses && t->shares &&
	               t->labels[0] && t->labels[1]
	           ? THAW_OK
	           : THAW_OUT_OF_MEMORY;
}

/* A factor for each parameter's rate: that of the last of optimizer.lr_scale's parts it belongs to. */
static thaw_status scale_rates(const struct thaw_trainer *t, double **scale_out)
{
	const struct thaw_scales *scales = &t->job->optimizer.lr_scale;
	int count = thaw_net_params(t->setup->net);
	double *scale = thaw_alloc((size_t)count, sizeof *scale);
	bool *selected = thaw_alloc((size_t)count, sizeof *selected);
	thaw_status status = scale && selected ? THAW_OK : THAW_OUT_OF_MEMORY;

	for (int i = 0; i < count && !status; i++)
		scale[i] = 1;
	for (int s = 0; s < scales->count && !status; s++) {
		const char *part = scales->of[s].part;

		status = thaw_net_select(t->setup->net, &part, 1, selected);
		for (int i = 0; i < count && !status; i++)
			scale[i] = selected[i] ? scales->of[s].factor : scale[i];
	}
	free(selected);
	if (status)
		free(scale);
	else
		*scale_out = scale;
	return status;
}

/* pictures / (classes * pictures of the class), so that every class weighs the same in all. */
static thaw_status weigh_classes(struct thaw_trainer *t)
{
	const struct thaw_dataset *train = t->setup->train;
	int classes = t->setup->facts->classes;

	if (strcmp(t->job->loss.class_weights, "balanced") != 0)
		return THAW_OK;
	for (int c = 0; c < classes; c++)
		if (thaw_dataset_class_count(train, c) == 0)
			return thaw_fail(THAW_BAD_JOB, "loss.class_weights: class '%s' has no training picture to weigh",
			                 thaw_dataset_class(train, c));
	t->class_weights = thaw_alloc((size_t)classes, sizeof *t->class_weights);
	for (int c = 0; c < classes && t->class_weights; c++)
		t->class_weights[c] = (double)t->count / ((double)classes * (double)thaw_dataset_class_count(train, c));
	return t->class_weights ? THAW_OK : THAW_OUT_OF_MEMORY;
}

static thaw_status open_optimizer(struct thaw_trainer *t)
{
	const struct thaw_job *job = t->job;
	double *scale;
	struct thaw_optimizer_spec spec = {
		.kind = job->optimizer.kind,
		.momentum = job->optimizer.momentum,
		.nesterov = job->optimizer.nesterov,
		.momentum_of_steps = strcmp(job->optimizer.momentum_of, "steps") == 0,
		.beta1 = job->optimizer.beta1,
		.beta2 = job->optimizer.beta2,
		.epsilon = job->optimizer.epsilon,
		.weight_decay = job->optimizer.weight_decay,
		.decay_norms = job->optimizer.decay_norms,
		.threads = t->setup->threads,
	};
	thaw_status status = scale_rates(t, &scale);

	if (status)
		return status;
	spec.lr_scale = scale;
	status = thaw_optimizer_init(&t->optimizer, &spec, &t->setup->params);
	free(scale);
	return status;
}

static thaw_status open_average(struct thaw_trainer *t)
{
	const struct thaw_average_spec spec = {t->job->average.decay, t->job->average.warm_up, t->setup->threads};

	return spec.decay > 0 ? thaw_average_init(&t->average, &spec, &t->setup->params) : THAW_OK;
}

static thaw_status open_updater(struct thaw_trainer *t)
{
	return thaw_updater_new(
		&(struct thaw_updater_spec){
			.device = t->setup->device,
			.params = &t->setup->params,
			.optimizer = &t->optimizer,
			.average = t->average.values ? &t->average : NULL,
			.clip = t->job->optimizer.clip,
		},
		&t->updater);
}

/* Everything as it was when the checkpoint was written. What the epoch had gathered so far is rank 0's, but for the
 * losses of replicas, which are those of the ranks that now work them. */
static thaw_status resume(struct thaw_trainer *t)
{
	int share = t->setup->replicas / t->setup->ranks, first = t->setup->rank * share;
	const struct thaw_snapshot_wanted wanted = {
		.state = {&t->optimizer, t->average.values ? &t->average : NULL},
		.losses = t->losses,
		.val_losses = t->val_losses,
	};
	struct thaw_checkpoint_facts facts;
	thaw_status status = thaw_snapshot_read(t->options.resume, t->setup, wanted, &facts);

	if (status)
		return status;
	if (facts.epoch < 0 || facts.epoch >= t->job->epochs || facts.step < thaw_trainer_steps_of(t, (int)facts.epoch) ||
	    facts.step > thaw_trainer_steps_of(t, (int)facts.epoch + 1))
		return thaw_fail(THAW_BAD_JOB,
		                 "'%s' stands at epoch %lld, step %lld: no place in a run of %d epochs, %lld steps in all",
		                 t->options.resume, (long long)facts.epoch, (long long)facts.step, t->job->epochs,
		                 (long long)thaw_trainer_steps_of(t, t->job->epochs));
	t->epoch = (int)facts.epoch;
	t->step = facts.step;
	t->skipped = facts.skipped;
	t->seconds_before = facts.seconds;
	t->best.epoch = (int)facts.best_epoch;
	t->best.val_metrics = facts.best_metrics;
	t->average_best.epoch = (int)facts.average_epoch;
	t->average_best.val_metrics = facts.average_metrics;
	for (int r = 0; r < t->setup->replicas; r++)
		if (r < first || r >= first + share)
			t->losses[2 * r] = t->losses[2 * r + 1] = 0;
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
	return thaw_crc32c(thaw_setup_checksum(t->setup), &t->step, sizeof t->step);
}

/* Of this rank alone. */
static thaw_status open_parts(struct thaw_trainer *t)
{
	thaw_status status;

	t->count = thaw_dataset_facts(t->setup->train)->count;
	status = check_job(t);
	if (!status)
		status = allocate(t);
	if (!status)
		status = weigh_classes(t);
	if (!status)
		status = open_optimizer(t);
	if (!status)
		status = open_average(t);
	if (!status)
		status = open_updater(t);
	if (!status && t->options.resume)
		status = resume(t);
	if (!status) /* the loader works while plans are compiled */
		status = thaw_trainer_start_epoch(t, t->epoch, t->step - thaw_trainer_steps_of(t, t->epoch));
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
		status = thaw_pretrained_begin(setup);
	if (!status)
		status = thaw_world_agree(thaw_updater_begin(t->updater, t->step - t->skipped));
	if (!status)
		status = thaw_trainer_begin_phase(t, thaw_trainer_phase_of(t, t->epoch));
	if (!status && options->measure_steps == 0)
		status = check_phases_to_come(t);
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
	thaw_updater_free(trainer->updater);
	thaw_optimizer_release(&trainer->optimizer);
	thaw_average_release(&trainer->average);
	free(trainer->order);
	free(trainer->ranges);
	free(trainer->losses);
	free(trainer->sums);
	free(trainer->scores);
	free(trainer->recordings);
	free(trainer->val_losses);
	free(trainer->class_weights);
	free(trainer->shares);
	free(trainer->labels[0]);
	free(trainer->labels[1]);
	thaw_events_release(&trainer->events);
	free(trainer);
}
