/*
 * Optimizers: from gradients to new parameters, over whole slabs.
 *
 * An optimizer keeps its slots (momentum, ...) in slabs laid out like the parameters. What does not train is not
 * touched: neither its values nor its slots. Running statistics move by the batch statistics that the plans
 * contributed: r += momentum * (batch - r), with momentum 0.1 as in PyTorch.
 *
 * With g the gradient, w the parameter, d the weight decay and r the learning rate:
 *
 *     kind    computes                                                          as
 *     sgd     g += d w;  v = b v + g;  w -= r v                                 torch.optim.SGD, dampening 0
 *             with nesterov:             w -= r (g + b v)
 *             with momentum_of_steps:  v = b v + r g;  w -= v                   keras.optimizers.SGD; Sutskever et al.
 *             with both:                 w -= b v + r g                         2013, equations 1-4
 *     adam    g += d w;  m = lerp(m, g, 1 - b1);  s = b2 s + (1 - b2) g g;      torch.optim.Adam; Kingma & Ba 2015
 *             w -= r / (1 - b1^t) * m / (sqrt(s) / sqrt(1 - b2^t) + epsilon)
 *     adamw   w *= 1 - r d;  then as adam without decay                         torch.optim.AdamW; Loshchilov &
 *                                                                               Hutter 2019
 *
 * The two forms of momentum differ only when the rate changes: one keeps gradients, which move by the new rate, the
 * other keeps steps as they were. Adam's t counts the updates of each parameter, as torch's state["step"] does: what
 * was frozen until now begins at 1.
 */
#ifndef THAW_NN_OPTIMIZER_H
#define THAW_NN_OPTIMIZER_H

#include "nn/plan.h"

enum { THAW_SLOTS = 2 };

struct thaw_optimizer_spec {
	const char *kind;       /* a name that thaw_optimizer_kind() knows */
	double momentum;        /* `sgd`: 0 .. 1 */
	bool nesterov;          /* `sgd`: needs a momentum above 0 */
	bool momentum_of_steps; /* `sgd` */
	double beta1, beta2;    /* `adam`, `adamw`: 0 .. below 1 */
	double epsilon;         /* `adam`, `adamw`: above 0 */
	double weight_decay;    /* >= 0 */
	bool decay_norms;       /* weight decay on norms and biases too */
	const double *lr_scale; /* (params) factor >= 0 on each one's learning rate, copied; NULL: all 1 */
	int threads;            /* >= 1 */
};

struct thaw_optimizer {
	struct thaw_optimizer_spec spec; /* without lr_scale */
	struct thaw_params *params;      /* borrowed */
	int slots;
	float *slot[THAW_SLOTS];           /* (thaw_net_param_elems) each, zero to begin */
	const char *slot_name[THAW_SLOTS]; /* "momentum"; "exp_avg", "exp_avg_sq" as PyTorch names them */
	double *lr_scale;                  /* (params) or NULL */
	float *steps;                      /* (params) updates that each has had, exact to 2^24, where float32 stops
	                                    * counting and t no longer matters; NULL for kinds without t */
};

/* The name of the i-th kind, NULL past the last. */
const char *thaw_optimizer_kind(int i);

/* THAW_BAD_JOB names the key that is wrong and what is allowed; what the kind does not read is not looked at. */
thaw_status thaw_optimizer_init(struct thaw_optimizer *optimizer, const struct thaw_optimizer_spec *spec,
                                struct thaw_params *params);
void thaw_optimizer_release(struct thaw_optimizer *optimizer);

/* One update. */
struct thaw_update {
	const struct thaw_gradients *gradients;
	const bool *trains;  /* (params) these move by their gradients */
	const bool *updates; /* (params) states that move by their batch statistics: thaw_plan_updates() */
	double rate;         /* learning rate */
	double factor;       /* on every gradient, above 0: 1, or what clips them (nn/clip.h) */
};

void thaw_optimizer_step(struct thaw_optimizer *optimizer, const struct thaw_update *update);

#endif
