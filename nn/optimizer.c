#include "nn/optimizer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* One parameter's update: `count` numbers w with gradients g and their slots. */
struct step {
	const struct thaw_optimizer_spec *spec;
	float *w;
	const float *g;
	float *slot[THAW_SLOTS];
	int64_t count;
	double rate, decay; /* this parameter's own */
	double t;           /* its updates, this one included; for kinds that count */
	float factor;       /* on g */
};

enum { SMALL = 32768 }; /* numbers below which starting threads costs more than it saves */

/* PyTorch's first v is g, which is the same as beginning with v = 0. */
static void sgd(const struct step *u)
{
	const float momentum = (float)u->spec->momentum, decay = (float)u->decay, rate = (float)u->rate;
	const float into = u->spec->momentum_of_steps ? rate : 1.0f, out = u->spec->momentum_of_steps ? 1.0f : rate;
	const bool nesterov = u->spec->nesterov;
	float *restrict w = u->w, *restrict v = u->slot[0];
	const float *restrict g = u->g;

#pragma omp parallel for simd num_threads(u->spec->threads) schedule(static) if (u->count > SMALL)
	for (int64_t i = 0; i < u->count; i++) {
		float push = into * (u->factor * g[i] + decay * w[i]);

		v[i] = momentum * v[i] + push;
		w[i] -= out * (nesterov ? push + momentum * v[i] : v[i]);
	}
}

/* torch.lerp(): exact at both ends. */
static inline float lerp(float from, float to, float weight)
{
	return weight < 0.5f ? from + weight * (to - from) : to - (to - from) * (1.0f - weight);
}

/* What is the same for all numbers is computed in double precision and rounded once, as torch.optim does. The decay
 * comes by way of the gradient (`coupled`) or shrinks the parameter. */
static void adam_step(const struct step *u, double coupled, double shrink)
{
	const double beta1 = u->spec->beta1, beta2 = u->spec->beta2;
	const float mix = (float)(1.0 - beta1), keep = (float)beta2, add = (float)(1.0 - beta2);
	const float root = (float)sqrt(1.0 - pow(beta2, u->t)), size = (float)(u->rate / (1.0 - pow(beta1, u->t)));
	const float decay = (float)coupled, left = (float)shrink, epsilon = (float)u->spec->epsilon;
	float *restrict w = u->w, *restrict m = u->slot[0], *restrict s = u->slot[1];
	const float *restrict g = u->g;

#pragma omp parallel for simd num_threads(u->spec->threads) schedule(static) if (u->count > SMALL)
	for (int64_t i = 0; i < u->count; i++) {
		float at = left * w[i], push = u->factor * g[i] + decay * at;

		m[i] = lerp(m[i], push, mix);
		s[i] = keep * s[i] + add * push * push;
		w[i] = at - size * m[i] / (sqrtf(s[i]) / root + epsilon);
	}
}

static void adam(const struct step *u)
{
	adam_step(u, u->decay, 1.0);
}

static void adamw(const struct step *u)
{
	adam_step(u, 0.0, 1.0 - u->rate * u->decay);
}

/* --- what a spec may hold; ranges are written as !(inside), so that NaN is outside ------------------------------- */

static thaw_status check_sgd(const struct thaw_optimizer_spec *spec)
{
	if (!(spec->momentum >= 0.0 && spec->momentum < 1.0))
		return thaw_fail(THAW_BAD_JOB, "optimizer.momentum: %g, allowed is 0 to below 1", spec->momentum);
	if (spec->nesterov && spec->momentum == 0.0)
		return thaw_fail(THAW_BAD_JOB, "optimizer.nesterov: there is no momentum to look ahead with, "
		                               "optimizer.momentum must be above 0");
	return THAW_OK;
}

static thaw_status check_adam(const struct thaw_optimizer_spec *spec)
{
	if (!(spec->beta1 >= 0.0 && spec->beta1 < 1.0))
		return thaw_fail(THAW_BAD_JOB, "optimizer.beta1: %g, allowed is 0 to below 1", spec->beta1);
	if (!(spec->beta2 >= 0.0 && spec->beta2 < 1.0))
		return thaw_fail(THAW_BAD_JOB, "optimizer.beta2: %g, allowed is 0 to below 1", spec->beta2);
	/* Rounded to float32 it must still keep 0 / 0 away from numbers without a gradient. */
	if (!((float)spec->epsilon > 0.0f && spec->epsilon <= 1.0))
		return thaw_fail(THAW_BAD_JOB, "optimizer.epsilon: %g, allowed is above 0, up to 1", spec->epsilon);
	return THAW_OK;
}

static const struct kind {
	const char *name;
	thaw_status (*check)(const struct thaw_optimizer_spec *);
	void (*update)(const struct step *);
	int slots;
	const char *slot_name[THAW_SLOTS];
	bool counts; /* needs t */
} kinds[] = {
	{"sgd", check_sgd, sgd, 1, {"momentum"}, false},
	{"adam", check_adam, adam, 2, {"exp_avg", "exp_avg_sq"}, true},
	{"adamw", check_adam, adamw, 2, {"exp_avg", "exp_avg_sq"}, true},
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

static thaw_status check_spec(const struct thaw_optimizer_spec *spec, const struct thaw_net *net)
{
	const struct kind *kind = find_kind(spec->kind);
	thaw_status status;

	if (!kind)
		return thaw_fail(THAW_BAD_JOB, "optimizer.kind: unknown optimizer '%s'", spec->kind);
	status = kind->check(spec);
	if (status)
		return status;
	if (!(spec->weight_decay >= 0.0 && isfinite(spec->weight_decay)))
		return thaw_fail(THAW_BAD_JOB, "optimizer.weight_decay: %g, allowed is 0 and more", spec->weight_decay);
	for (int i = 0; spec->lr_scale && i < thaw_net_params(net); i++)
		if (!(spec->lr_scale[i] >= 0.0 && isfinite(spec->lr_scale[i])))
			return thaw_fail(THAW_BAD_JOB, "learning rate of '%s': the factor is %g, allowed is 0 and more",
			                 thaw_net_param(net, i)->name, spec->lr_scale[i]);
	return THAW_OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static thaw_status allocate(struct thaw_optimizer *made, const struct kind *kind, const double *lr_scale)
{
	size_t params = (size_t)thaw_net_params(made->params->net);
	size_t slab_bytes = (size_t)thaw_net_param_elems(made->params->net) * sizeof(float);

	made->slots = kind->slots;
	for (int i = 0; i < kind->slots; i++) {
		made->slot_name[i] = kind->slot_name[i];
		made->slot[i] = thaw_alloc_slab(slab_bytes, "optimizer slots");
		if (!made->slot[i])
			return THAW_OUT_OF_MEMORY;
	}
	made->steps = kind->counts ? thaw_alloc(params, sizeof *made->steps) : NULL;
	made->lr_scale = lr_scale ? thaw_alloc(params, sizeof *made->lr_scale) : NULL;
	if ((kind->counts && !made->steps) || (lr_scale && !made->lr_scale))
		return THAW_OUT_OF_MEMORY;
	if (lr_scale)
		memcpy(made->lr_scale, lr_scale, params * sizeof *lr_scale);
	return THAW_OK;
}

thaw_status thaw_optimizer_init(struct thaw_optimizer *optimizer, const struct thaw_optimizer_spec *spec,
                                struct thaw_params *params)
{
	struct thaw_optimizer made = {.spec = *spec, .params = params};
	thaw_status status = check_spec(spec, params->net);

	if (status)
		return status;
	made.spec.lr_scale = NULL; /* the caller's may go */
	status = allocate(&made, find_kind(spec->kind), spec->lr_scale);
	if (status)
		thaw_optimizer_release(&made);
	else
		*optimizer = made;
	return status;
}

void thaw_optimizer_release(struct thaw_optimizer *optimizer)
{
	for (int i = 0; i < THAW_SLOTS; i++)
		thaw_free_slab(optimizer->slot[i]);
	free(optimizer->steps);
	free(optimizer->lr_scale);
	*optimizer = (struct thaw_optimizer){0};
}

/* --- one update -------------------------------------------------------------------------------------------------- */

static void move_statistics(float *running, const float *batch, int64_t count)
{
	const float momentum = 0.1f;

	for (int64_t i = 0; i < count; i++)
		running[i] = (1.0f - momentum) * running[i] + momentum * batch[i];
}

static void move_parameter(struct thaw_optimizer *optimizer, int i, const struct thaw_update *update)
{
	const struct thaw_optimizer_spec *spec = &optimizer->spec;
	const struct thaw_param *p = thaw_net_param(optimizer->params->net, i);
	struct step u = {
		.spec = spec,
		.w = optimizer->params->values + p->offset,
		.g = update->gradients->values + p->offset,
		.count = p->elems,
		.rate = update->rate * (optimizer->lr_scale ? optimizer->lr_scale[i] : 1.0),
		.decay = p->role == THAW_WEIGHT || spec->decay_norms ? spec->weight_decay : 0.0,
		.factor = (float)update->factor,
	};

	for (int s = 0; s < optimizer->slots; s++)
		u.slot[s] = optimizer->slot[s] + p->offset;
	if (optimizer->steps)
		u.t = optimizer->steps[i] += 1.0f;
	find_kind(spec->kind)->update(&u);
}

void thaw_optimizer_step(struct thaw_optimizer *optimizer, const struct thaw_update *update)
{
	struct thaw_params *params = optimizer->params;

	assert(update->factor > 0.0);
	for (int i = 0; i < thaw_net_params(params->net); i++) {
		const struct thaw_param *p = thaw_net_param(params->net, i);

		if (!thaw_role_is_state(p->role) && update->trains[i])
			move_parameter(optimizer, i, update);
		else if (thaw_role_is_state(p->role) && update->updates[i])
			move_statistics(params->states + p->offset, update->gradients->states + p->offset, p->elems);
	}
	params->version++;
}
