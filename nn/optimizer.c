#include "nn/optimizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* One parameter's update: `count` numbers w with gradients g and their slots. */
struct update {
	float *w;
	const float *g;
	float *slot[THAW_SLOTS];
	int64_t count;
	float rate, momentum, decay;
	int threads;
};

enum { SMALL = 32768 }; /* numbers below which starting threads costs more than it saves */

/* v = momentum v + g + decay w;  w -= rate v. torch.optim.SGD, dampening 0 (its first v is g, which is the same). */
static void sgd(const struct update *u)
{
	float *restrict w = u->w, *restrict v = u->slot[0];
	const float *restrict g = u->g;

#pragma omp parallel for simd num_threads(u->threads) schedule(static) if (u->count > SMALL)
	for (int64_t i = 0; i < u->count; i++) {
		v[i] = u->momentum * v[i] + (g[i] + u->decay * w[i]);
		w[i] -= u->rate * v[i];
	}
}

static const struct kind {
	const char *name;
	void (*update)(const struct update *);
	int slots;
	const char *slot_name[THAW_SLOTS];
} kinds[] = {
	{"sgd", sgd, 1, {"momentum"}},
};

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

const char *thaw_optimizer_kind(int i)
{
	return i >= 0 && (size_t)i < sizeof kinds / sizeof *kinds ? kinds[i].name : NULL;
}

thaw_status thaw_optimizer_init(struct thaw_optimizer *optimizer, const struct thaw_optimizer_spec *spec,
                                struct thaw_params *params)
{
	const struct kind *kind = find_kind(spec->kind);
	struct thaw_optimizer made = {.spec = *spec, .params = params};

	if (!kind)
		return thaw_fail(THAW_BAD_JOB, "optimizer.kind: unknown optimizer '%s'", spec->kind);
	if (!(spec->momentum >= 0.0 && spec->momentum <= 1.0))
		return thaw_fail(THAW_BAD_JOB, "optimizer.momentum: %g, allowed is 0 to 1", spec->momentum);
	if (!(spec->weight_decay >= 0.0))
		return thaw_fail(THAW_BAD_JOB, "optimizer.weight_decay: %g, allowed is 0 and more", spec->weight_decay);
	made.slots = kind->slots;
	for (int i = 0; i < kind->slots; i++) {
		made.slot_name[i] = kind->slot_name[i];
		made.slot[i] = thaw_alloc_slab((size_t)thaw_net_param_elems(params->net) * sizeof(float), "optimizer slots");
		if (!made.slot[i]) {
			thaw_optimizer_release(&made);
			return THAW_OUT_OF_MEMORY;
		}
	}
	*optimizer = made;
	return THAW_OK;
}

void thaw_optimizer_release(struct thaw_optimizer *optimizer)
{
	for (int i = 0; i < THAW_SLOTS; i++)
		thaw_free_slab(optimizer->slot[i]);
	*optimizer = (struct thaw_optimizer){0};
}

static void move_statistics(float *running, const float *batch, int64_t count)
{
	const float momentum = 0.1f;

	for (int64_t i = 0; i < count; i++)
		running[i] = (1.0f - momentum) * running[i] + momentum * batch[i];
}

void thaw_optimizer_step(struct thaw_optimizer *optimizer, const struct thaw_gradients *gradients, const bool *trains,
                         const bool *updates, double rate)
{
	const struct thaw_optimizer_spec *spec = &optimizer->spec;
	const struct kind *kind = find_kind(spec->kind);
	struct thaw_params *params = optimizer->params;

	for (int i = 0; i < thaw_net_params(params->net); i++) {
		const struct thaw_param *p = thaw_net_param(params->net, i);
		bool decays = p->role == THAW_WEIGHT || spec->decay_norms;
		struct update u = {
			.w = params->values + p->offset,
			.g = gradients->values + p->offset,
			.count = p->elems,
			.rate = (float)rate,
			.momentum = (float)spec->momentum,
			.decay = decays ? (float)spec->weight_decay : 0.0f,
			.threads = spec->threads,
		};

		if (thaw_role_is_state(p->role)) {
			if (updates[i])
				move_statistics(params->states + p->offset, gradients->states + p->offset, p->elems);
			continue;
		}
		for (int s = 0; s < optimizer->slots; s++)
			u.slot[s] = optimizer->slot[s] + p->offset;
		if (trains[i])
			kind->update(&u);
	}
	params->version++;
}
