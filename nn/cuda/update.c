/*
 * Optimizer steps on a device: nn/optimizer.h, nn/clip.h and nn/average.h, without the host.
 *
 * A step is three launches: the norm of the gradients, from which the device itself decides whether the step is
 * applied; the parameters, their slots, their average and their copy in another type of numbers, in one pass; the
 * running statistics. All that changes from step to step stands in device memory.
 */
#include "nn/updater.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/cuda/cuda.h"

/* A list of parameters as the kernels take it, cut into chunks. */
struct table {
	struct thaw_segment *segments; /* device */
	struct thaw_chunk *chunks;     /* device */
	int segments_count, chunks_count;
};

struct thaw_device_update {
	struct thaw_device *device;
	int params;
	struct thaw_rules rules;
	struct table trained, still, moved;      /* parameters that train; that do not; running statistics */
	double *partials;                        /* device (chunks) */
	struct thaw_coefficients *coefficients;  /* device (segments + 1) */
};

static const struct thaw_cuda *cuda_of(const struct thaw_device_update *update)
{
	return update->device->own;
}

/* --- tables ------------------------------------------------------------------------------------------------------ */

static struct thaw_segment segment_of(const struct thaw_update_spec *spec, int i)
{
	const struct thaw_param *p = thaw_net_param(spec->net, i);

	return (struct thaw_segment){
		.offset = p->offset,
		.count = p->elems,
		.lr_scale = spec->rule->lr_scale ? spec->rule->lr_scale[i] : 1.0,
		.decay = p->role == THAW_WEIGHT || spec->rule->decay_norms ? spec->rule->weight_decay : 0.0,
		.counter = i,
	};
}

static thaw_status put(struct thaw_device *device, const void *from, size_t size_bytes, void **memory_out)
{
	thaw_status status = device->backend->memory->allocate(device, size_bytes, "tables of parameters", memory_out);

	return status || size_bytes == 0 ? status : device->backend->memory->put(device, *memory_out, from, size_bytes);
}

/* Of those that are wanted: states, or not. */
static thaw_status make_table(struct thaw_device *device, const struct thaw_update_spec *spec, const bool *wanted,
                              bool states, struct table *table)
{
	int params = thaw_net_params(spec->net), chunks = 0;
	struct thaw_segment *segments = thaw_alloc((size_t)params, sizeof *segments);
	struct thaw_chunk *list = NULL;
	void *memory;
	thaw_status status = segments ? THAW_OK : THAW_OUT_OF_MEMORY;

	for (int i = 0; i < params && !status; i++)
		if (wanted[i] && thaw_role_is_state(thaw_net_param(spec->net, i)->role) == states) {
			segments[table->segments_count++] = segment_of(spec, i);
			chunks += (int)((thaw_net_param(spec->net, i)->elems + THAW_CHUNK - 1) / THAW_CHUNK);
		}
	list = status ? NULL : thaw_alloc((size_t)chunks + 1, sizeof *list);
	for (int s = 0; list && s < table->segments_count; s++)
		for (int begin = 0; (int64_t)begin * THAW_CHUNK < segments[s].count; begin++)
			list[table->chunks_count++] = (struct thaw_chunk){s, begin};
	if (!status && !list)
		status = THAW_OUT_OF_MEMORY;
	if (!status)
		status = put(device, segments, (size_t)table->segments_count * sizeof *segments, &memory);
	if (!status) {
		table->segments = memory;
		status = put(device, list, (size_t)table->chunks_count * sizeof *list, &memory);
	}
	if (!status)
		table->chunks = memory;
	free(segments);
	free(list);
	return status;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static struct thaw_rules rules_of(const struct thaw_device *device, const struct thaw_update_spec *spec)
{
	const struct thaw_optimizer_spec *rule = spec->rule;

	return (struct thaw_rules){
		.rule = strcmp(rule->kind, "sgd") == 0 ? THAW_RULE_SGD : THAW_RULE_ADAM,
		.beta1 = rule->beta1,
		.beta2 = rule->beta2,
		.mix = (float)(1.0 - rule->beta1),
		.keep = (float)rule->beta2,
		.add = (float)(1.0 - rule->beta2),
		.epsilon = (float)rule->epsilon,
		.momentum = (float)rule->momentum,
		.nesterov = rule->nesterov,
		.of_steps = rule->momentum_of_steps,
		.decoupled = strcmp(rule->kind, "adamw") == 0,
		.unscale = 1.0 / device->loss_scale,
		.clip = spec->clip,
		.average_decay = spec->average_decay,
		.average_warm_up = spec->average_warm_up,
	};
}

static thaw_status allocate(struct thaw_device_update *update)
{
	const struct thaw_cuda *cuda = cuda_of(update);
	void *partials = NULL, *coefficients = NULL;
	thaw_status status = thaw_gpu_alloc(cuda->gpu, (size_t)update->trained.chunks_count * sizeof *update->partials,
	                                    "sums of gradients", &partials);

	if (!status)
		status = thaw_gpu_alloc(cuda->gpu, (size_t)(update->trained.segments_count + 1) * sizeof *update->coefficients,
		                        "rates", &coefficients);
	update->partials = partials;
	update->coefficients = coefficients;
	return status;
}

static void release(struct thaw_device_update *update)
{
	const struct thaw_memory_ops *memory;

	if (!update)
		return;
	memory = update->device->backend->memory;
	memory->release(update->device, update->trained.segments);
	memory->release(update->device, update->trained.chunks);
	memory->release(update->device, update->still.segments);
	memory->release(update->device, update->still.chunks);
	memory->release(update->device, update->moved.segments);
	memory->release(update->device, update->moved.chunks);
	memory->release(update->device, update->partials);
	memory->release(update->device, update->coefficients);
	free(update);
}

/* What does not train has no part in a step but for the average. */
static thaw_status make_still(struct thaw_device_update *update, const struct thaw_update_spec *spec)
{
	bool *still = thaw_alloc((size_t)update->params, sizeof *still);
	thaw_status status;

	if (!still)
		return THAW_OUT_OF_MEMORY;
	for (int i = 0; i < update->params; i++)
		still[i] = !spec->trains[i];
	status = make_table(update->device, spec, still, false, &update->still);
	free(still);
	return status;
}

static thaw_status make(struct thaw_device *device, const struct thaw_update_spec *spec,
                        struct thaw_device_update **update_out)
{
	struct thaw_device_update *update = thaw_alloc(1, sizeof *update);
	thaw_status status;

	if (!update)
		return THAW_OUT_OF_MEMORY;
	update->device = device;
	update->params = thaw_net_params(spec->net);
	update->rules = rules_of(device, spec);
	status = make_table(device, spec, spec->trains, false, &update->trained);
	if (!status && spec->averages)
		status = make_still(update, spec);
	if (!status)
		status = make_table(device, spec, spec->updates, true, &update->moved);
	if (!status)
		status = allocate(update);
	if (status)
		release(update);
	else
		*update_out = update;
	return status;
}

/* --- a step ------------------------------------------------------------------------------------------------------ */

static thaw_status launch_squares(struct thaw_device_update *update, const struct thaw_slabs *slabs, const float *g)
{
	const struct thaw_squares_args arguments = {
		.g = g,
		.segments = update->trained.segments,
		.chunks = update->trained.chunks,
		.partials = update->partials,
		.tickets = cuda_of(update)->tickets,
		.counters = slabs->counters,
		.coefficients = update->coefficients,
		.facts = cuda_of(update)->facts,
		.chunks_count = update->trained.chunks_count,
		.segments_count = update->trained.segments_count,
		.counters_count = update->params,
		.rules = update->rules,
	};

	return thaw_gpu_launch(cuda_of(update)->stream, THAW_KERNEL_squares, arguments.chunks_count, &arguments,
	                       sizeof arguments);
}

static thaw_status launch_update(struct thaw_device_update *update, const struct thaw_slabs *slabs, const float *g)
{
	const struct thaw_update_args arguments = {
		.g = g,
		.segments = update->trained.segments,
		.chunks = update->trained.chunks,
		.coefficients = update->coefficients,
		.facts = cuda_of(update)->facts,
		.w = slabs->values,
		.slot0 = slabs->slot[0],
		.slot1 = slabs->slot[1],
		.average = slabs->average,
		.copy = slabs->copy,
		.segments_count = update->trained.segments_count,
		.rules = update->rules,
		.number = update->device->number,
	};

	return thaw_gpu_launch(cuda_of(update)->stream, THAW_KERNEL_update, update->trained.chunks_count, &arguments,
	                       sizeof arguments);
}

static thaw_status launch_average(struct thaw_device_update *update, const struct thaw_slabs *slabs)
{
	const struct thaw_average_args arguments = {
		.w = slabs->values,
		.segments = update->still.segments,
		.chunks = update->still.chunks,
		.coefficients = update->coefficients,
		.facts = cuda_of(update)->facts,
		.average = slabs->average,
		.trained = update->trained.segments_count,
	};

	return thaw_gpu_launch(cuda_of(update)->stream, THAW_KERNEL_average, update->still.chunks_count, &arguments,
	                       sizeof arguments);
}

static thaw_status launch_statistics(struct thaw_device_update *update, const struct thaw_slabs *slabs,
                                     const float *batch)
{
	const struct thaw_statistics_args arguments = {
		.batch = batch,
		.segments = update->moved.segments,
		.chunks = update->moved.chunks,
		.facts = cuda_of(update)->facts,
		.running = slabs->states,
	};

	return thaw_gpu_launch(cuda_of(update)->stream, THAW_KERNEL_statistics, update->moved.chunks_count, &arguments,
	                       sizeof arguments);
}

static thaw_status run(struct thaw_device_update *update, const struct thaw_slabs *slabs,
                       const struct thaw_gradients *gradients)
{
	thaw_status status = launch_squares(update, slabs, gradients->values);

	if (!status)
		status = launch_update(update, slabs, gradients->values);
	if (!status)
		status = launch_average(update, slabs);
	return status ? status : launch_statistics(update, slabs, gradients->states);
}

const struct thaw_update_ops thaw_cuda_update = {
	.make = make,
	.release = release,
	.rate = thaw_cuda_send_rate,
	.run = run,
};
