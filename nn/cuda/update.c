#include "nn/cuda/update.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A list of parameters as the kernels take it, cut into chunks. */
struct table {
	struct thaw_segment *segments; /* device */
	struct thaw_chunk *chunks;     /* device */
	int segments_count, chunks_count;
};

struct thaw_cuda_update {
	struct thaw_device *device;
	int params;
	struct thaw_rules rules;
	struct table trained, moved;             /* parameters; running statistics */
	double *partials;                        /* device (chunks) */
	struct thaw_coefficients *coefficients;  /* device (segments + 1) */
	struct thaw_update_facts *facts, *asked; /* device; pinned: what is told, and then what was */
};

static const struct thaw_cuda *cuda_of(const struct thaw_cuda_update *update)
{
	return update->device->own;
}

/* --- tables ------------------------------------------------------------------------------------------------------ */

static struct thaw_segment segment_of(const struct thaw_cuda_update_spec *spec, int i)
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
static thaw_status make_table(struct thaw_device *device, const struct thaw_cuda_update_spec *spec, const bool *wanted,
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

static struct thaw_rules rules_of(const struct thaw_cuda_update_spec *spec)
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
		.clip = spec->clip,
		.average_decay = spec->average_decay,
		.average_warm_up = spec->average_warm_up,
	};
}

static thaw_status allocate(struct thaw_cuda_update *update)
{
	const struct thaw_cuda *cuda = cuda_of(update);
	void *partials = NULL, *coefficients = NULL, *facts = NULL, *asked = NULL;
	thaw_status status = thaw_gpu_alloc(cuda->gpu, (size_t)update->trained.chunks_count * sizeof *update->partials,
	                                    "sums of gradients", &partials);

	if (!status)
		status = thaw_gpu_alloc(cuda->gpu, (size_t)(update->trained.segments_count + 1) * sizeof *update->coefficients,
		                        "rates", &coefficients);
	if (!status)
		status = thaw_gpu_alloc(cuda->gpu, sizeof *update->facts, "what a step tells", &facts);
	if (!status)
		status = thaw_gpu_alloc_pinned(cuda->gpu, sizeof *update->asked, "what a step tells", &asked);
	update->partials = partials;
	update->coefficients = coefficients;
	update->facts = facts;
	update->asked = asked;
	return status;
}

thaw_status thaw_cuda_update_new(struct thaw_device *device, const struct thaw_cuda_update_spec *spec,
                                 struct thaw_cuda_update **update_out)
{
	struct thaw_cuda_update *update = thaw_alloc(1, sizeof *update);
	thaw_status status;

	if (!update)
		return THAW_OUT_OF_MEMORY;
	update->device = device;
	update->params = thaw_net_params(spec->net);
	update->rules = rules_of(spec);
	status = make_table(device, spec, spec->trains, false, &update->trained);
	if (!status)
		status = make_table(device, spec, spec->updates, true, &update->moved);
	if (!status)
		status = allocate(update);
	if (status)
		thaw_cuda_update_free(update);
	else
		*update_out = update;
	return status;
}

void thaw_cuda_update_free(struct thaw_cuda_update *update)
{
	struct thaw_gpu *gpu;

	if (!update)
		return;
	gpu = cuda_of(update)->gpu;
	thaw_gpu_free(gpu, update->trained.segments);
	thaw_gpu_free(gpu, update->trained.chunks);
	thaw_gpu_free(gpu, update->moved.segments);
	thaw_gpu_free(gpu, update->moved.chunks);
	thaw_gpu_free(gpu, update->partials);
	thaw_gpu_free(gpu, update->coefficients);
	thaw_gpu_free(gpu, update->facts);
	thaw_gpu_free_pinned(gpu, update->asked);
	free(update);
}

/* --- a step ------------------------------------------------------------------------------------------------------ */

static thaw_status launch_squares(struct thaw_cuda_update *update, const struct thaw_cuda_slabs *slabs, const float *g)
{
	const struct thaw_squares_args arguments = {
		.g = g,
		.segments = update->trained.segments,
		.chunks = update->trained.chunks,
		.partials = update->partials,
		.tickets = cuda_of(update)->tickets,
		.counters = slabs->counters,
		.coefficients = update->coefficients,
		.facts = update->facts,
		.chunks_count = update->trained.chunks_count,
		.segments_count = update->trained.segments_count,
		.counters_count = update->params,
		.rules = update->rules,
	};

	return thaw_gpu_launch(cuda_of(update)->stream, THAW_KERNEL_squares, arguments.chunks_count, &arguments,
	                       sizeof arguments);
}

static thaw_status launch_update(struct thaw_cuda_update *update, const struct thaw_cuda_slabs *slabs, const float *g)
{
	const struct thaw_update_args arguments = {
		.g = g,
		.segments = update->trained.segments,
		.chunks = update->trained.chunks,
		.coefficients = update->coefficients,
		.facts = update->facts,
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

static thaw_status launch_statistics(struct thaw_cuda_update *update, const struct thaw_cuda_slabs *slabs,
                                     const float *batch)
{
	const struct thaw_statistics_args arguments = {
		.batch = batch,
		.segments = update->moved.segments,
		.chunks = update->moved.chunks,
		.facts = update->facts,
		.running = slabs->states,
	};

	return thaw_gpu_launch(cuda_of(update)->stream, THAW_KERNEL_statistics, update->moved.chunks_count, &arguments,
	                       sizeof arguments);
}

thaw_status thaw_cuda_update_run(struct thaw_cuda_update *update, const struct thaw_cuda_slabs *slabs,
                                 const struct thaw_gradients *gradients, double rate)
{
	struct thaw_gpu_stream *stream = cuda_of(update)->stream;
	thaw_status status = thaw_gpu_wait(stream); /* the step before may still read what is told */

	if (status)
		return status;
	*update->asked = (struct thaw_update_facts){.rate = rate};
	status = thaw_gpu_put(stream, update->facts, update->asked, sizeof *update->asked);
	if (!status)
		status = launch_squares(update, slabs, gradients->values);
	if (!status)
		status = launch_update(update, slabs, gradients->values);
	if (!status)
		status = launch_statistics(update, slabs, gradients->states);
	return status;
}

thaw_status thaw_cuda_update_norm(struct thaw_cuda_update *update, double *norm_out, bool *applied_out)
{
	struct thaw_gpu_stream *stream = cuda_of(update)->stream;
	thaw_status status = thaw_gpu_get(stream, update->asked, update->facts, sizeof *update->asked);

	if (!status)
		status = thaw_gpu_wait(stream);
	if (status)
		return status;
	*norm_out = update->asked->norm;
	*applied_out = update->asked->applied;
	return THAW_OK;
}
