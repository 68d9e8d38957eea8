#include "nn/plan_memory.h"

#include <stddef.h>

#include "nn/device.h"

/* Moments: step i runs forward at i and backward at 2 * steps - 1 - i. */
static int backward_moment(const struct thaw_plan *plan, const struct thaw_step *step)
{
	return 2 * plan->steps_count - 1 - (int)(step - plan->steps);
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

static struct thaw_slot *slot_of(struct thaw_tensor *tensor)
{
	return (struct thaw_slot *)(void *)((char *)tensor - offsetof(struct thaw_slot, tensor));
}

/* The last moment at which the value that step `maker` makes is read. */
static int last_read(const struct thaw_plan *plan, int maker)
{
	const struct thaw_step *made = &plan->steps[maker];
	int last = made->keeps_y && thaw_step_has_backward(made) ? backward_moment(plan, made) : maker;

	for (int i = maker + 1; i < plan->steps_count; i++) {
		const struct thaw_step *step = &plan->steps[i];
		int read =
			step->x == made->y && step->keeps_x && thaw_step_has_backward(step) ? backward_moment(plan, step) : i;

		if ((step->x == made->y || step->residual == made->y) && read > last)
			last = read;
	}
	return last;
}

/* The last moment at which somebody may look at what the step saves: its backward or, as what it says of y, those who
 * read y. */
static int last_saved(const struct thaw_plan *plan, int i)
{
	const struct thaw_step *step = &plan->steps[i];

	if (thaw_step_has_backward(step))
		return backward_moment(plan, step);
	return step->y ? last_read(plan, i) : i;
}

/* A value lives from the step that makes it to its last reader. A step that may write over its residual does, if it
 * is the residual's last reader. */
static void find_value_lives(struct thaw_plan *plan)
{
	for (int i = 0; i < plan->steps_count; i++) {
		struct thaw_step *step = &plan->steps[i];
		struct thaw_slot *residual = step->residual ? slot_of(step->residual) : NULL;

		if (step->y && residual && step->residual != step->x && step->ops->overwrites_residual &&
		    plan->blocks[residual->block].last == i) {
			slot_of(step->y)->block = residual->block;
			live_until(plan, residual->block, last_read(plan, i));
		} else if (step->y) {
			slot_of(step->y)->block = add_block(plan, step->y->size_bytes, i, last_read(plan, i));
		}
		plan->saved_block[i] = step->saved_bytes ? add_block(plan, step->saved_bytes, i, last_saved(plan, i)) : -1;
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

thaw_status thaw_plan_place(struct thaw_plan *plan)
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
	return status;
}

void thaw_plan_bind(struct thaw_plan *plan)
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

struct thaw_plan_facts thaw_plan_facts(const struct thaw_plan *plan)
{
	struct thaw_plan_facts facts = {
		.steps = plan->steps_count,
		.arena_bytes = plan->arena_bytes,
		.workspace_bytes = plan->workspace_bytes,
	};

	for (int i = 0; i < plan->steps_count; i++)
		facts.backward_steps += thaw_step_has_backward(&plan->steps[i]);
	for (int i = 0; i < plan->blocks_count; i++)
		if (plan->blocks[i].first < plan->steps_count && plan->blocks[i].last >= plan->steps_count)
			facts.kept_bytes += plan->blocks[i].size_bytes;
	return facts;
}
