#include "nn/plan.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/device.h"
#include "nn/plan_memory.h"

void thaw_tensor_layout(struct thaw_tensor *t, int block)
{
	size_t blocks = ((size_t)t->c + (size_t)block - 1) / (size_t)block;

	t->block = block;
	t->size_bytes = (size_t)t->n * blocks * (size_t)block * (size_t)t->h * (size_t)t->w * thaw_number_bytes(t->number);
}

void thaw_plan_free(struct thaw_plan *plan)
{
	if (!plan)
		return;
	if (plan->device && plan->device->backend->queue)
		(void)plan->device->backend->queue->wait(plan->device);
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
	free(plan->class_weights);
	free(plan);
}

/* --- the loss ---------------------------------------------------------------------------------------------------- */

double thaw_loss_weight(const struct thaw_loss *loss, int32_t label, int32_t mixed, double share)
{
	const double *weights = loss->class_weights;

	if (!weights)
		return 1.0;
	return share == 1.0 ? weights[label] : share * weights[label] + (1.0 - share) * weights[mixed];
}

thaw_status thaw_loss_check(const struct thaw_loss *loss, int classes)
{
	if (!(loss->smoothing >= 0.0 && loss->smoothing < 1.0))
		return thaw_fail(THAW_BAD_JOB, "loss.smoothing: %g, allowed is 0 to below 1", loss->smoothing);
	for (int c = 0; loss->class_weights && c < classes; c++)
		if (!(loss->class_weights[c] > 0.0 && isfinite(loss->class_weights[c])))
			return thaw_fail(THAW_BAD_JOB, "loss.class_weights: %g for class %d, allowed is above 0",
			                 loss->class_weights[c], c);
	return THAW_OK;
}

static thaw_status set_loss(struct thaw_plan *plan, const struct thaw_loss *loss)
{
	int classes = thaw_net_op(plan->net, thaw_net_ops(plan->net) - 1)->in_shape.c;

	plan->run.smoothing = loss->smoothing;
	if (!loss->class_weights)
		return THAW_OK;
	plan->class_weights = thaw_alloc((size_t)classes, sizeof *plan->class_weights);
	if (!plan->class_weights)
		return THAW_OUT_OF_MEMORY;
	memcpy(plan->class_weights, loss->class_weights, (size_t)classes * sizeof *plan->class_weights);
	plan->run.class_weights = plan->class_weights;
	return THAW_OK;
}

/* --- making steps ------------------------------------------------------------------------------------------------ */

/* The operation's parameter of this role; -1: it has none. */
static int find_param(const struct thaw_plan *plan, const struct thaw_op *op, enum thaw_role role)
{
	for (int i = op->param; i < op->param + op->params; i++)
		if (thaw_net_param(plan->net, i)->role == role)
			return i;
	return -1;
}

static const float *param_at(const struct thaw_plan *plan, const struct thaw_op *op, enum thaw_role role)
{
	int i = find_param(plan, op, role);

	return i < 0 ? NULL : thaw_params_near(plan->params, i);
}

static void set_norm(struct thaw_plan *plan, struct thaw_step *step, const struct thaw_op *norm)
{
	step->gamma = param_at(plan, norm, THAW_NORM_WEIGHT);
	step->beta = param_at(plan, norm, THAW_NORM_BIAS);
	step->mean = param_at(plan, norm, THAW_RUNNING_MEAN);
	step->variance = param_at(plan, norm, THAW_RUNNING_VAR);
}

/* Points step i to its parameters, where their slabs stand now. */
static void set_parameters(struct thaw_plan *plan, int i)
{
	const struct thaw_chain *chain = &plan->chains[i];
	struct thaw_step *step = &plan->steps[i];
	int weight = find_param(plan, chain->head, THAW_WEIGHT);

	step->weight = param_at(plan, chain->head, THAW_WEIGHT);
	step->weight_copy = weight < 0 ? NULL : thaw_params_near_copy(plan->params, weight);
	step->bias = param_at(plan, chain->head, THAW_BIAS);
	if (chain->head->kind == THAW_OP_BATCH_NORM)
		set_norm(plan, step, chain->head);
	if (chain->norm)
		set_norm(plan, step, chain->norm);
}

static struct thaw_tensor *tensor_of(struct thaw_plan *plan, thaw_value value)
{
	return value == THAW_NO_VALUE ? NULL : &plan->values[value].tensor;
}

/* The step that makes `value`. */
static struct thaw_step *maker_of(struct thaw_plan *plan, thaw_value value)
{
	for (int i = 0; i < plan->steps_count; i++)
		if (plan->chains[i].out == value && plan->steps[i].y)
			return &plan->steps[i];
	return NULL;
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
		.epsilon = op->kind == THAW_OP_BATCH_NORM || chain->norm ? 1e-5 : 0,
		.x = tensor_of(plan, op->in[0]),
		.residual = tensor_of(plan, chain->residual),
	};
	set_parameters(plan, i);
	step->batch_statistics =
		op->kind == THAW_OP_BATCH_NORM && thaw_uses_batch_statistics(op, spec->trains, spec->frozen_batch_statistics);
	if (step->batch_statistics)
		maker_of(plan, op->in[0])->wants_sums = true;
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
	int i = find_param(plan, op, role);

	return i >= 0 && wanted[i] ? i : -1;
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

static void lay_out_like(struct thaw_tensor *gradient, const struct thaw_tensor *value)
{
	gradient->number = value->number;
	thaw_tensor_layout(gradient, value->block);
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
			lay_out_like(step->dx, step->x);
		if (step->dresidual)
			lay_out_like(step->dresidual, step->residual);
		step->ops = ops; /* which release what a failure leaves */
		status = ops->prepare(step);
		if (status)
			return status;
	}
	return THAW_OK;
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

static size_t values_bytes(const struct thaw_plan *plan, const struct thaw_tensor *t)
{
	return (size_t)t->n * (size_t)t->c * (size_t)t->h * (size_t)t->w * thaw_number_bytes(plan->device->number);
}

static bool keeps_x(const struct thaw_step *step)
{
	return step->kind == THAW_OP_CONV && step->dweight;
}

/* What the values need whichever way they are computed: all that convolutions keep for their gradients, or else what
 * one step reads and writes. Known before anything is prepared, which may take long and much memory itself. */
static size_t least_bytes(const struct thaw_plan *plan)
{
	size_t kept = 0, largest = 0;

	for (int i = 0; i < plan->steps_count; i++) {
		const struct thaw_step *step = &plan->steps[i];
		size_t x = step->x ? values_bytes(plan, step->x) : 0, y = step->y ? values_bytes(plan, step->y) : 0;
		bool counted = false;

		largest = x + y > largest ? x + y : largest;
		for (int k = 0; k < i && !counted; k++)
			counted = keeps_x(&plan->steps[k]) && plan->steps[k].x == step->x;
		kept += keeps_x(step) && !counted ? x : 0;
	}
	return kept > largest ? kept : largest;
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

	if (spec->trains) {
		memcpy(plan->trains, spec->trains, (size_t)thaw_net_params(plan->net) * sizeof *plan->trains);
		status = set_loss(plan, &spec->loss);
		if (status)
			return status;
	}
	for (int i = 0; i < plan->steps_count; i++)
		make_step(plan, i, spec);
	status = make_gradients(plan, gradient);
	if (status)
		return status;
	bind_gradients(plan, NULL);
	if (!spec->measures)
		status = thaw_device_check(plan->device, least_bytes(plan), "activations");
	if (!status)
		status = prepare_steps(plan);
	if (!status)
		status = thaw_plan_place(plan);
	if (!status && !spec->measures)
		status = thaw_device_reserve(plan->device, plan->arena_bytes);
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
	assert(!spec->device->backend->memory || spec->params->twin);
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

/* The parameters have new values, or stand in another slab. */
static thaw_status refresh(struct thaw_plan *plan)
{
	thaw_status status = thaw_params_push(plan->params);

	for (int i = 0; i < plan->steps_count && !status; i++) {
		struct thaw_step *step = &plan->steps[i];

		set_parameters(plan, i);
		if (step->ops->refresh && !(step->frozen && plan->version > 0))
			status = step->ops->refresh(step);
	}
	if (!status)
		plan->version = plan->params->version;
	return status;
}

thaw_status thaw_plan_feed(struct thaw_plan *plan, const struct thaw_input *input)
{
	const struct thaw_queue_ops *queue = plan->device->backend->queue;
	struct thaw_step *first = &plan->steps[0];
	thaw_status status = THAW_OK;

	if (plan->bound != plan->device->arena)
		thaw_plan_bind(plan);
	status = thaw_params_push(plan->params); /* which waits: not when the run that follows is recorded */
	if (status)
		return status;
	plan->run.pixels = input->pixels;
	plan->run.labels = input->labels;
	plan->run.mixed = input->mixed;
	plan->run.shares = input->shares;
	plan->run.predictions = input->predictions;
	plan->run.row = input->row;
	plan->run.gradient_scale = plan->device->loss_scale /
	                           (input->global_weight > 0 ? input->global_weight : (double)input->global_count);
	plan->run.share = (double)first->y->n / (double)input->global_count;
	if (queue)
		status = queue->feed(plan->device, &plan->run, first->y->n,
		                     (size_t)first->y->n * (size_t)first->y->h * (size_t)first->y->w * 3);
	return status ? status : first->ops->forward(first);
}

thaw_status thaw_plan_run(struct thaw_plan *plan, const struct thaw_gradients *gradients)
{
	thaw_status status = THAW_OK;

	if (gradients)
		bind_gradients(plan, gradients);
	if (plan->version != plan->params->version)
		status = refresh(plan);
	for (int i = 1; i < plan->steps_count && !status; i++)
		status = plan->steps[i].ops->forward(&plan->steps[i]);
	return status;
}

thaw_status thaw_plan_score(struct thaw_plan *plan, struct thaw_score *score_out)
{
	struct thaw_step *last = &plan->steps[plan->steps_count - 1];
	thaw_status status = last->ops->collect ? last->ops->collect(last) : THAW_OK;

	if (!status)
		*score_out = plan->run.score;
	return status;
}

thaw_status thaw_plan_forward(struct thaw_plan *plan, const struct thaw_input *input,
                              const struct thaw_gradients *gradients, struct thaw_score *score_out)
{
	thaw_status status = thaw_plan_feed(plan, input);

	if (!status)
		status = thaw_plan_run(plan, gradients);
	return status ? status : thaw_plan_score(plan, score_out);
}

static thaw_status step_backward(struct thaw_plan *plan, struct thaw_step *step)
{
	int count = step->dy_count;
	thaw_status status = THAW_OK;

	for (; step->dy_count > step->ops->gradients_limit && !status; step->dy_count--)
		status = plan->device->backend->accumulate(plan->device, step->dy[0], step->dy[step->dy_count - 1]);
	if (!status)
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
		if (!thaw_step_has_backward(&plan->steps[i]))
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
