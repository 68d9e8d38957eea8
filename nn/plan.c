#include "nn/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/device.h"
#include "nn/lower.h"
#include "nn/placement.h"

/* One value or gradient, the block of memory it stands in, and for a value where it was made. */
struct slot {
	struct thaw_tensor tensor;
	int block;
};

struct thaw_plan {
	const struct thaw_net *net;
	const struct thaw_params *params;
	struct thaw_device *device;
	bool *trains;              /* (params) */
	bool *updates;             /* (params) states this plan contributes statistics for */
	struct thaw_chain *chains; /* (steps) what each step was made of */
	struct thaw_step *steps;   /* (steps) in forward order */
	int64_t *ready;            /* (steps) after this step's backward all gradients at offsets >= this are final */
	int steps_count;
	struct slot *values;    /* (operations) indexed by value; only those that some step makes are used */
	struct slot *gradients; /* (gradients_count) */
	int gradients_count;
	struct thaw_block *blocks; /* (blocks_count) memory of values, gradients and saved buffers */
	int *saved_block;          /* (steps) */
	int blocks_count;
	size_t workspace_bytes, arena_bytes;
	char *bound; /* arena that addresses were set for */
	struct thaw_run run;
	uint64_t version; /* of the parameters that steps have read; 0: none yet */
};

void thaw_tensor_layout(struct thaw_tensor *t, int block)
{
	size_t blocks = ((size_t)t->c + (size_t)block - 1) / (size_t)block;

	t->block = block;
	t->size_bytes = (size_t)t->n * blocks * (size_t)block * (size_t)t->h * (size_t)t->w * sizeof(float);
}

void thaw_plan_free(struct thaw_plan *plan)
{
	if (!plan)
		return;
	for (int i = 0; i < plan->steps_count; i++)
		if (plan->steps[i].ops && plan->steps[i].ops->release)
			plan->steps[i].ops->release(&plan->steps[i]);
	free(plan->trains);
	free(plan->updates);
	free(plan->chains);
	free(plan->steps);
	free(plan->ready);
	free(plan->values);
	free(plan->gradients);
	free(plan->blocks);
	free(plan->saved_block);
	free(plan);
}

/* --- making steps ------------------------------------------------------------------------------------------------ */

static const float *param_at(const struct thaw_plan *plan, const struct thaw_op *op, enum thaw_role role)
{
	for (int i = op->param; i < op->param + op->params; i++)
		if (thaw_net_param(plan->net, i)->role == role)
			return thaw_params_at(plan->params, i);
	return NULL;
}

static void set_norm(struct thaw_plan *plan, struct thaw_step *step, const struct thaw_op *norm)
{
	step->gamma = param_at(plan, norm, THAW_NORM_WEIGHT);
	step->beta = param_at(plan, norm, THAW_NORM_BIAS);
	step->mean = param_at(plan, norm, THAW_RUNNING_MEAN);
	step->variance = param_at(plan, norm, THAW_RUNNING_VAR);
	step->epsilon = 1e-5;
}

static struct thaw_tensor *tensor_of(struct thaw_plan *plan, thaw_value value)
{
	return value == THAW_NO_VALUE ? NULL : &plan->values[value].tensor;
}

static void make_step(struct thaw_plan *plan, int i, const struct thaw_plan_spec *spec)
{
	const struct thaw_chain *chain = &plan->chains[i];
	const struct thaw_op *op = chain->head;
	struct thaw_step *step = &plan->steps[i];

	*step = (struct thaw_step){
		.device = plan->device,
		.run = &plan->run,
		.kind = op->kind,
		.name = op->name,
		.kernel = op->kernel,
		.stride = op->stride,
		.pad = op->pad,
		.groups = op->groups,
		.relu = chain->relu,
		.fold = chain->norm != NULL,
		.frozen = spec->trains != NULL,
		.x = tensor_of(plan, op->in[0]),
		.residual = tensor_of(plan, chain->residual),
	};
	step->weight = param_at(plan, op, THAW_WEIGHT);
	step->bias = param_at(plan, op, THAW_BIAS);
	if (op->kind == THAW_OP_BATCH_NORM)
		set_norm(plan, step, op);
	if (chain->norm)
		set_norm(plan, step, chain->norm);
	step->batch_statistics =
		op->kind == THAW_OP_BATCH_NORM && thaw_uses_batch_statistics(op, spec->trains, spec->frozen_batch_statistics);
	for (int p = op->param; p < op->param + op->params; p++) {
		step->frozen &= !plan->trains[p];
		plan->updates[p] = step->batch_statistics && thaw_role_is_state(thaw_net_param(plan->net, p)->role);
	}
	if (op->kind != THAW_OP_LOSS) {
		const struct thaw_shape *shape = &thaw_net_op(plan->net, chain->out)->out_shape;

		step->y = tensor_of(plan, chain->out);
		*step->y = (struct thaw_tensor){.n = spec->batch, .c = shape->c, .h = shape->h, .w = shape->w};
	}
}

/* The operation's parameter of this role, if this plan writes a gradient or statistics for it; -1 if not. */
static int wanted_param(const struct thaw_plan *plan, const struct thaw_op *op, enum thaw_role role)
{
	const bool *wanted = thaw_role_is_state(role) ? plan->updates : plan->trains;

	for (int i = op->param; i < op->param + op->params; i++)
		if (thaw_net_param(plan->net, i)->role == role && wanted[i])
			return i;
	return -1;
}

/* Points the steps' d-parameters and batch statistics into `slabs`. Without slabs they point anywhere: prepare asks
 * only whether they are NULL. */
static void bind_gradients(struct thaw_plan *plan, const struct thaw_gradients *slabs)
{
	static float anywhere;

	for (int i = 0; i < plan->steps_count; i++) {
		struct thaw_step *step = &plan->steps[i];
		const struct {
			enum thaw_role role;
			float **target;
		} targets[] = {
			{THAW_WEIGHT, &step->dweight},          {THAW_BIAS, &step->dbias},
			{THAW_NORM_WEIGHT, &step->dgamma},      {THAW_NORM_BIAS, &step->dbeta},
			{THAW_RUNNING_MEAN, &step->batch_mean}, {THAW_RUNNING_VAR, &step->batch_variance},
		};

		for (size_t k = 0; k < sizeof targets / sizeof *targets; k++) {
			int param = wanted_param(plan, plan->chains[i].head, targets[k].role);

			if (param < 0)
				*targets[k].target = NULL;
			else if (!slabs)
				*targets[k].target = &anywhere;
			else
				*targets[k].target = (thaw_role_is_state(targets[k].role) ? slabs->states : slabs->values) +
				                     thaw_net_param(plan->net, param)->offset;
		}
	}
}

/* The step that makes `value`. */
static struct thaw_step *maker_of(struct thaw_plan *plan, thaw_value value)
{
	for (int i = 0; i < plan->steps_count; i++)
		if (plan->chains[i].out == value && plan->steps[i].y)
			return &plan->steps[i];
	return NULL;
}

/* A new gradient of `value`, handed to the step that made it. */
static thaw_status add_gradient(struct thaw_plan *plan, thaw_value value, struct thaw_tensor **gradient_out)
{
	struct thaw_tensor *gradient = &plan->gradients[plan->gradients_count++].tensor;
	struct thaw_step *maker = maker_of(plan, value);

	if (maker->dy_count == THAW_GRADIENTS)
		return thaw_fail(THAW_FAILED, "'%s' has more than %d readers", maker->name, THAW_GRADIENTS);
	*gradient = *maker->y;
	maker->dy[maker->dy_count++] = gradient;
	*gradient_out = gradient;
	return THAW_OK;
}

/* Last step first, so that dy[0] is the gradient that is written first. */
static thaw_status make_gradients(struct thaw_plan *plan, const bool *gradient)
{
	thaw_status status = THAW_OK;

	for (int i = plan->steps_count - 1; i >= 0 && !status; i--) {
		struct thaw_step *step = &plan->steps[i];
		const struct thaw_chain *chain = &plan->chains[i];

		if (!gradient[chain->out])
			continue;
		if (step->x && gradient[chain->head->in[0]])
			status = add_gradient(plan, chain->head->in[0], &step->dx);
		if (!status && step->residual && gradient[chain->residual])
			status = add_gradient(plan, chain->residual, &step->dresidual);
	}
	return status;
}

static thaw_status prepare_steps(struct thaw_plan *plan)
{
	for (int i = 0; i < plan->steps_count; i++) {
		struct thaw_step *step = &plan->steps[i];
		const struct thaw_op_ops *ops = plan->device->backend->ops[step->kind];
		thaw_status status;

		if (!ops)
			return thaw_fail(THAW_FAILED, "device '%s' has no %s", plan->device->backend->name,
			                 thaw_op_kind_name(step->kind));
		if (step->dx)
			thaw_tensor_layout(step->dx, step->x->block);
		if (step->dresidual)
			thaw_tensor_layout(step->dresidual, step->residual->block);
		status = ops->prepare(step);
		if (status)
			return status;
		step->ops = ops;
	}
	return THAW_OK;
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

/* Moments: step i runs forward at i and backward at 2 * steps - 1 - i. */
static int backward_moment(const struct thaw_plan *plan, const struct thaw_step *step)
{
	return 2 * plan->steps_count - 1 - (int)(step - plan->steps);
}

static bool has_backward(const struct thaw_step *step)
{
	return step->dy_count > 0 || step->dx; /* LOSS has no dy */
}

static int add_block(struct thaw_plan *plan, size_t size_bytes, int first, int last)
{
	plan->blocks[plan->blocks_count] = (struct thaw_block){.size_bytes = size_bytes, .first = first, .last = last};
	return plan->blocks_count++;
}

static void live_until(struct thaw_plan *plan, int block, int moment)
{
	if (plan->blocks[block].last < moment)
		plan->blocks[block].last = moment;
}

static struct slot *slot_of(struct thaw_tensor *tensor)
{
	return (struct slot *)(void *)((char *)tensor - offsetof(struct slot, tensor));
}

/* The last moment at which the value that step `maker` makes is read. */
static int last_read(const struct thaw_plan *plan, int maker)
{
	const struct thaw_step *made = &plan->steps[maker];
	int last = made->keeps_y && has_backward(made) ? backward_moment(plan, made) : maker;

	for (int i = maker + 1; i < plan->steps_count; i++) {
		const struct thaw_step *step = &plan->steps[i];
		int read = step->x == made->y && step->keeps_x && has_backward(step) ? backward_moment(plan, step) : i;

		if ((step->x == made->y || step->residual == made->y) && read > last)
			last = read;
	}
	return last;
}

/* A value lives from the step that makes it to its last reader. A step that may write over its residual does, if it
 * is the residual's last reader. */
static void find_value_lives(struct thaw_plan *plan)
{
	for (int i = 0; i < plan->steps_count; i++) {
		struct thaw_step *step = &plan->steps[i];
		struct slot *residual = step->residual ? slot_of(step->residual) : NULL;

		if (step->y && residual && step->residual != step->x && step->ops->overwrites_residual &&
		    plan->blocks[residual->block].last == i) {
			slot_of(step->y)->block = residual->block;
			live_until(plan, residual->block, last_read(plan, i));
		} else if (step->y) {
			slot_of(step->y)->block = add_block(plan, step->y->size_bytes, i, last_read(plan, i));
		}
		plan->saved_block[i] = step->saved_bytes ? add_block(plan, step->saved_bytes, i,
		                                                     has_backward(step) ? backward_moment(plan, step) : i)
		                                         : -1;
	}
}

/* Gradients live from the step that writes them to the step that reads them. One that a step may write over what it
 * reads shares that block. */
static void find_gradient_lives(struct thaw_plan *plan)
{
	for (int i = plan->steps_count - 1; i >= 0; i--) {
		struct thaw_step *step = &plan->steps[i];
		struct thaw_tensor *written[2] = {step->dresidual, step->dx};
		struct thaw_tensor *over = step->ops->overwrites_dy && step->dy_count ? step->dy[0] : NULL;
		int now = backward_moment(plan, step);

		for (int k = 0; k < step->dy_count; k++)
			live_until(plan, slot_of(step->dy[k])->block, now);
		for (int k = 0; k < 2; k++) {
			if (!written[k])
				continue;
			if (over && over->size_bytes == written[k]->size_bytes)
				slot_of(written[k])->block = slot_of(over)->block;
			else
				slot_of(written[k])->block = add_block(plan, written[k]->size_bytes, now, now);
			over = NULL;
		}
	}
}

static thaw_status place_memory(struct thaw_plan *plan)
{
	size_t placed;
	thaw_status status;

	find_value_lives(plan);
	find_gradient_lives(plan);
	for (int i = 0; i < plan->steps_count; i++)
		if (plan->steps[i].workspace_bytes > plan->workspace_bytes)
			plan->workspace_bytes = (plan->steps[i].workspace_bytes + 63) / 64 * 64;
	status = thaw_place(plan->blocks, plan->blocks_count, &placed);
	plan->arena_bytes = plan->workspace_bytes + placed;
	return status ? status : thaw_device_reserve(plan->device, plan->arena_bytes);
}

/* Sets addresses for where the arena stands now. */
static void bind_arena(struct thaw_plan *plan)
{
	char *base = plan->device->arena + plan->workspace_bytes;

	for (int i = 0; i < plan->steps_count; i++) {
		struct thaw_step *step = &plan->steps[i];
		int saved = plan->saved_block[i];

		step->workspace = plan->device->arena;
		step->saved = saved < 0 ? NULL : base + plan->blocks[saved].offset_bytes;
		if (step->y)
			step->y->data = (float *)(void *)(base + plan->blocks[slot_of(step->y)->block].offset_bytes);
	}
	for (int i = 0; i < plan->gradients_count; i++)
		plan->gradients[i].tensor.data = (float *)(void *)(base + plan->blocks[plan->gradients[i].block].offset_bytes);
	plan->bound = plan->device->arena;
}

/* --- compiling --------------------------------------------------------------------------------------------------- */

/* ready[i]: trainable parameters finish when the step that owns them has run backward; walking the table from its
 * tail. */
static void find_ready(struct thaw_plan *plan)
{
	int last = thaw_net_params(plan->net) - 1;
	int64_t from = thaw_net_param_elems(plan->net);

	for (int i = plan->steps_count - 1; i >= 0; i--) {
		for (; last >= 0; last--) {
			const struct thaw_param *param = thaw_net_param(plan->net, last);
			int owner = plan->steps_count;

			for (int k = 0; k < i && owner > i; k++) {
				const struct thaw_op *op = plan->chains[k].head;

				if (last >= op->param && last < op->param + op->params)
					owner = k;
			}
			if (plan->trains[last] && owner < i)
				break; /* still to come */
			if (plan->trains[last])
				from = param->offset;
		}
		plan->ready[i] = from;
	}
}

static thaw_status allocate(struct thaw_plan *plan, int steps)
{
	size_t ops = (size_t)thaw_net_ops(plan->net), params = (size_t)thaw_net_params(plan->net), count = (size_t)steps;

	plan->trains = thaw_alloc(params, sizeof *plan->trains);
	plan->updates = thaw_alloc(params, sizeof *plan->updates);
	plan->steps = thaw_alloc(count, sizeof *plan->steps);
	plan->ready = thaw_alloc(count, sizeof *plan->ready);
	plan->saved_block = thaw_alloc(count, sizeof *plan->saved_block);
	plan->values = thaw_alloc(ops, sizeof *plan->values);
	plan->gradients = thaw_alloc(2 * count, sizeof *plan->gradients);
	plan->blocks = thaw_alloc(4 * count, sizeof *plan->blocks);
	return plan->trains && plan->updates && plan->steps && plan->ready && plan->saved_block && plan->values &&
	               plan->gradients && plan->blocks
	           ? THAW_OK
	           : THAW_OUT_OF_MEMORY;
}

static thaw_status fill(struct thaw_plan *plan, const struct thaw_plan_spec *spec, const bool *gradient)
{
	thaw_status status;

	if (spec->trains)
		memcpy(plan->trains, spec->trains, (size_t)thaw_net_params(plan->net) * sizeof *plan->trains);
	for (int i = 0; i < plan->steps_count; i++)
		make_step(plan, i, spec);
	status = make_gradients(plan, gradient);
	if (status)
		return status;
	bind_gradients(plan, NULL);
	status = prepare_steps(plan);
	if (!status)
		status = place_memory(plan);
	find_ready(plan);
	return status;
}

thaw_status thaw_plan_compile(const struct thaw_net *net, const struct thaw_plan_spec *spec,
                              struct thaw_plan **plan_out)
{
	struct thaw_plan *plan = thaw_alloc(1, sizeof *plan);
	struct thaw_lowering lowering;
	thaw_status status;

	if (!plan)
		return THAW_OUT_OF_MEMORY;
	plan->net = net;
	plan->params = spec->params;
	plan->device = spec->device;
	memcpy(plan->run.mean, spec->mean, sizeof spec->mean);
	memcpy(plan->run.std, spec->std, sizeof spec->std);
	status = thaw_lower(net, spec->trains, spec->frozen_batch_statistics, &lowering);
	if (status)
		goto free_plan;
	plan->chains = lowering.chains;
	lowering.chains = NULL;
	status = allocate(plan, lowering.count);
	if (!status) {
		plan->steps_count = lowering.count;
		status = fill(plan, spec, lowering.gradient);
	}
	thaw_lowering_release(&lowering);
	if (status)
		goto free_plan;
	*plan_out = plan;
	return THAW_OK;
free_plan:
	thaw_plan_free(plan);
	return status;
}

/* --- running ----------------------------------------------------------------------------------------------------- */

static thaw_status refresh(struct thaw_plan *plan)
{
	for (int i = 0; i < plan->steps_count; i++) {
		struct thaw_step *step = &plan->steps[i];
		thaw_status status = THAW_OK;

		if (step->ops->refresh && !(step->frozen && plan->version > 0))
			status = step->ops->refresh(step);
		if (status)
			return status;
	}
	plan->version = plan->params->version;
	return THAW_OK;
}

thaw_status thaw_plan_forward(struct thaw_plan *plan, const struct thaw_input *input,
                              const struct thaw_gradients *gradients, struct thaw_score *score_out)
{
	thaw_status status = THAW_OK;

	if (plan->bound != plan->device->arena)
		bind_arena(plan);
	if (gradients)
		bind_gradients(plan, gradients);
	if (plan->version != plan->params->version)
		status = refresh(plan);
	plan->run.pixels = input->pixels;
	plan->run.labels = input->labels;
	plan->run.predictions = input->predictions;
	plan->run.gradient_scale = 1.0 / (double)input->global_count;
	plan->run.share = (double)plan->steps[0].y->n / (double)input->global_count;
	for (int i = 0; i < plan->steps_count && !status; i++)
		status = plan->steps[i].ops->forward(&plan->steps[i]);
	if (!status)
		*score_out = plan->run.score;
	return status;
}

static thaw_status step_backward(struct thaw_plan *plan, struct thaw_step *step)
{
	int count = step->dy_count;
	thaw_status status;

	for (; step->dy_count > step->ops->gradients_limit; step->dy_count--)
		plan->device->backend->accumulate(plan->device, step->dy[0], step->dy[step->dy_count - 1]);
	status = step->ops->backward(step);
	step->dy_count = count;
	return status;
}

thaw_status thaw_plan_backward(struct thaw_plan *plan, const struct thaw_gradients *gradients, thaw_ready_fn *ready,
                               void *context)
{
	int64_t from = thaw_net_param_elems(plan->net);
	thaw_status status = THAW_OK;

	bind_gradients(plan, gradients);
	for (int i = plan->steps_count - 1; i >= 0 && !status; i--) {
		if (!has_backward(&plan->steps[i]))
			continue;
		status = step_backward(plan, &plan->steps[i]);
		if (!status && ready && plan->ready[i] < from) {
			from = plan->ready[i];
			status = ready(context, from);
		}
	}
	return status;
}

const bool *thaw_plan_updates(const struct thaw_plan *plan)
{
	return plan->updates;
}

struct thaw_plan_facts thaw_plan_facts(const struct thaw_plan *plan)
{
	struct thaw_plan_facts facts = {.steps = plan->steps_count, .arena_bytes = plan->arena_bytes};

	for (int i = 0; i < plan->steps_count; i++)
		facts.backward_steps += has_backward(&plan->steps[i]);
	for (int i = 0; i < plan->blocks_count; i++)
		if (plan->blocks[i].first < plan->steps_count && plan->blocks[i].last >= plan->steps_count)
			facts.kept_bytes += plan->blocks[i].size_bytes;
	return facts;
}
