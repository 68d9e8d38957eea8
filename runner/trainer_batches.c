/* What a run is cut into: phases, epochs, steps and micro-batches; the pictures of each, and its learning rate. */
#include "runner/trainer_parts.h"

#include <math.h>
#include <string.h>

#include "io/mix.h"
#include "io/sampler.h"
#include "runner/watchdog.h"

/* --- arithmetic -------------------------------------------------------------------------------------------------- */

int thaw_trainer_validations(const struct thaw_trainer *t)
{
	return 1 + (t->average.values != NULL);
}

int thaw_trainer_phase_of(const struct thaw_trainer *t, int epoch)
{
	int phase = 0;

	for (int end = t->job->phases[0].epochs; epoch >= end; end += t->job->phases[phase].epochs)
		phase++;
	return phase;
}

int64_t thaw_trainer_steps(const struct thaw_trainer *t, int phase)
{
	int64_t batch = t->job->phases[phase].recipe.batch;

	return (t->count + batch - 1) / batch;
}

int64_t thaw_trainer_steps_of(const struct thaw_trainer *t, int epochs)
{
	int64_t steps = 0;

	for (int phase = 0, begin = 0; begin < epochs; begin += t->job->phases[phase++].epochs) {
		int left = epochs - begin, length = t->job->phases[phase].epochs;

		steps += thaw_trainer_steps(t, phase) * (left < length ? left : length);
	}
	return steps;
}

int64_t thaw_trainer_pictures(const struct thaw_trainer *t, int phase, int64_t step)
{
	int64_t batch = t->job->phases[phase].recipe.batch, left = t->count - step * batch;

	return left < batch ? left : batch;
}

struct thaw_batch_range thaw_trainer_range(const struct thaw_trainer *t, int phase, int64_t step, int r)
{
	int64_t pictures = thaw_trainer_pictures(t, phase, step), replicas = t->setup->replicas;
	int64_t begin = pictures * r / replicas, end = pictures * (r + 1) / replicas;

	return (struct thaw_batch_range){step * t->job->phases[phase].recipe.batch + begin, (int)(end - begin)};
}

int thaw_trainer_micro_batch(const struct thaw_trainer *t, int phase)
{
	return (int)((thaw_trainer_pictures(t, phase, 0) + t->setup->replicas - 1) / t->setup->replicas);
}

/* --- pictures ---------------------------------------------------------------------------------------------------- */

struct thaw_augment thaw_trainer_augment(const struct thaw_trainer *t, int phase)
{
	const struct thaw_recipe *recipe = &t->job->phases[phase].recipe;
	struct thaw_augment augment = {
		.crop = strcmp(recipe->augment.crop, "center") == 0 ? THAW_CROP_CENTER : THAW_CROP_RANDOM_RESIZED,
		.flip = recipe->augment.flip,
		.size = t->job->data.crop,
		.rotation = recipe->augment.rotation,
		.brightness = recipe->augment.brightness,
		.contrast = recipe->augment.contrast,
		.saturation = recipe->augment.saturation,
		.hue = recipe->augment.hue,
		.grey = recipe->augment.grey,
		.blur = recipe->augment.blur,
		.erase = recipe->augment.erase,
		.mixup = recipe->augment.mixup,
		.cutmix = recipe->augment.cutmix,
	};

	memcpy(augment.scale, recipe->augment.scale, sizeof augment.scale);
	memcpy(augment.ratio, recipe->augment.ratio, sizeof augment.ratio);
	memcpy(augment.blur_sigma, recipe->augment.blur_sigma, sizeof augment.blur_sigma);
	memcpy(augment.erase_scale, recipe->augment.erase_scale, sizeof augment.erase_scale);
	memcpy(augment.erase_ratio, recipe->augment.erase_ratio, sizeof augment.erase_ratio);
	return augment;
}

/* The loader of a phase, which treats pictures its own way. */
static thaw_status open_loader(struct thaw_trainer *t, int phase)
{
	const struct thaw_job *job = t->job;
	struct thaw_loader_spec spec = {
		.dataset = t->setup->train,
		.augment = thaw_trainer_augment(t, phase),
		.seed = job->seed,
		.threads = job->data.threads,
		.ahead = 3,
		.batch_limit = thaw_trainer_micro_batch(t, phase),
		.memory = thaw_device_allocator(t->setup->device),
	};

	if (t->loader && t->loader_phase == phase)
		return THAW_OK;
	thaw_loader_free(t->loader);
	t->loader = NULL;
	t->loader_phase = phase;
	return thaw_loader_new(&spec, &t->loader);
}

static thaw_status order_epoch(struct thaw_trainer *t, int epoch)
{
	if (strcmp(t->job->data.sampling, "balanced") == 0)
		return thaw_sample_balanced(t->setup->train, t->job->seed, epoch, t->order, (int32_t)t->count);
	thaw_sample_shuffled(t->job->seed, epoch, t->order, (int32_t)t->count);
	return THAW_OK;
}

/* The sum of the weights that the pictures of a global batch have in the loss; 0 without class weights. Every rank
 * needs all of it, so that of what other ranks mix is drawn again. */
static double weight_of(const struct thaw_trainer *t, int64_t step)
{
	const struct thaw_loss loss = {.class_weights = t->class_weights};
	const struct thaw_augment augment = thaw_trainer_augment(t, t->phase);
	double weight = 0;

	for (int r = 0; t->class_weights && r < t->setup->replicas; r++) {
		struct thaw_batch_range range = thaw_trainer_range(t, t->phase, step, r);
		bool mixes = thaw_recipe_mixes(&t->job->phases[t->phase].recipe);
		double share = mixes ? (float)thaw_mix_draw(&augment, t->job->seed, t->epoch, range.first).share : 1;

		for (int i = 0; i < range.count; i++) {
			const int32_t *order = t->order + range.first;

			weight +=
				thaw_loss_weight(&loss, thaw_dataset_picture(t->setup->train, order[i], NULL)->label,
			                     thaw_dataset_picture(t->setup->train, order[range.count - 1 - i], NULL)->label, share);
		}
	}
	return weight;
}

thaw_status thaw_trainer_input(struct thaw_trainer *t, int64_t step, struct thaw_input *input_out, int *count_out)
{
	bool mixes = thaw_recipe_mixes(&t->job->phases[t->phase].recipe);
	const struct thaw_queue_ops *queue = t->setup->device->backend->queue;
	struct thaw_batch batch;
	thaw_status status;

	thaw_watchdog_waits("pictures from the loader");
	status = queue ? queue->fed(t->setup->device) : THAW_OK; /* those before are then free */
	if (!status)
		status = thaw_loader_get(t->loader, &batch);
	thaw_watchdog_waits(NULL);
	if (status)
		return status;
	for (int i = 0; mixes && i < batch.count; i++) { /* right is what has the larger share */
		bool swapped = batch.share[i] < 0.5f;

		t->labels[swapped][i] = batch.labels[i];
		t->labels[!swapped][i] = batch.labels2[i];
		t->shares[i] = swapped ? 1.0 - (double)batch.share[i] : (double)batch.share[i];
	}
	*input_out = (struct thaw_input){
		.pixels = batch.pixels,
		.labels = mixes ? t->labels[0] : batch.labels,
		.mixed = mixes ? t->labels[1] : NULL,
		.shares = mixes ? t->shares : NULL,
		.global_count = thaw_trainer_pictures(t, t->phase, step),
		.global_weight = weight_of(t, step),
	};
	*count_out = batch.count;
	return THAW_OK;
}

thaw_status thaw_trainer_start_epoch(struct thaw_trainer *t, int epoch, int64_t first_step)
{
	int share = t->setup->replicas / t->setup->ranks, first = t->setup->rank * share;
	int phase = thaw_trainer_phase_of(t, epoch);
	int64_t ranges = 0;
	thaw_status status = open_loader(t, phase);

	if (!status)
		status = order_epoch(t, epoch);
	if (status)
		return status;
	for (int64_t step = first_step; step < thaw_trainer_steps(t, phase); step++)
		for (int r = first; r < first + share; r++) {
			struct thaw_batch_range range = thaw_trainer_range(t, phase, step, r);

			if (range.count > 0)
				t->ranges[ranges++] = range;
		}
	return thaw_loader_start(t->loader, epoch, t->order, t->ranges, ranges);
}

/* --- rates ------------------------------------------------------------------------------------------------------- */

struct thaw_schedule thaw_trainer_schedule(const struct thaw_recipe *recipe, int64_t steps)
{
	return (struct thaw_schedule){
		.kind = recipe->schedule.kind,
		.warmup = (int64_t)llround(recipe->schedule.warmup * (double)steps),
		.warmup_start = recipe->schedule.warmup_start,
		.step_epochs = recipe->schedule.step,
		.milestones = recipe->schedule.milestones.epoch,
		.milestones_count = recipe->schedule.milestones.count,
		.gamma = recipe->schedule.gamma,
		.minimum = recipe->schedule.min,
		.rise = recipe->schedule.rise,
		.div = recipe->schedule.div,
		.final_div = recipe->schedule.final_div,
		.start = recipe->schedule.start,
		.linear = recipe->schedule.linear,
		.patience = recipe->schedule.patience,
		.cooldown = recipe->schedule.cooldown,
		.threshold = recipe->schedule.threshold,
	};
}

/* Epochs from `begin` on that end before `warmup` steps are over. */
static int epochs_of_warmup(const struct thaw_trainer *t, int begin, int64_t warmup)
{
	int epochs = 0;

	while (begin + epochs < t->job->epochs &&
	       thaw_trainer_steps_of(t, begin + epochs + 1) - thaw_trainer_steps_of(t, begin) <= warmup)
		epochs++;
	return epochs;
}

double thaw_trainer_rate(const struct thaw_trainer *t, int epoch, int64_t step)
{
	const struct thaw_job *job = t->job;
	int phase = thaw_trainer_phase_of(t, epoch), first = phase, last = phase, begin = 0, end = 0, known;
	struct thaw_schedule schedule;
	struct thaw_progress at;

	while (!thaw_job_begins_schedule(job, first))
		first--;
	while (last + 1 < job->phases_count && !thaw_job_begins_schedule(job, last + 1))
		last++;
	for (int i = 0; i <= last; i++) {
		begin += i < first ? job->phases[i].epochs : 0;
		end += job->phases[i].epochs;
	}
	schedule = thaw_trainer_schedule(&job->phases[first].recipe, thaw_trainer_steps(t, first));
	at.step = thaw_trainer_steps_of(t, epoch) + step - thaw_trainer_steps_of(t, begin);
	at.steps = thaw_trainer_steps_of(t, end) - thaw_trainer_steps_of(t, begin);
	at.epoch = epoch - begin;
	begin += epochs_of_warmup(t, begin, schedule.warmup);
	known = epoch < t->epoch ? epoch : t->epoch; /* of an epoch to come there may be no loss yet */
	at.losses = t->val_losses + begin;
	at.losses_count = known > begin ? known - begin : 0;
	return job->phases[phase].recipe.lr * thaw_schedule_factor(&schedule, &at);
}
