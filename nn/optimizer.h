/*
 * Optimizers: from gradients to new parameters, over whole slabs.
 *
 * An optimizer keeps its slots (momentum, ...) in slabs laid out like the parameters. What does not train is not
 * touched: neither its values nor its slots. Running statistics move by the batch statistics that the plans
 * contributed: r += momentum * (batch - r), with momentum 0.1 as in PyTorch.
 */
#ifndef THAW_NN_OPTIMIZER_H
#define THAW_NN_OPTIMIZER_H

#include "nn/plan.h"

enum { THAW_SLOTS = 2 };

struct thaw_optimizer_spec {
	const char *kind;    /* a name that thaw_optimizer_kind() knows */
	double momentum;     /* `sgd`: 0 .. 1 */
	double weight_decay; /* >= 0, added to the gradient: g + weight_decay * w */
	bool decay_norms;    /* weight decay on norms and biases too */
	int threads;         /* >= 1 */
};

struct thaw_optimizer {
	struct thaw_optimizer_spec spec;
	struct thaw_params *params;     /* borrowed */
	int slots;
	float *slot[THAW_SLOTS];        /* (thaw_net_param_elems) each, zero to begin */
	const char *slot_name[THAW_SLOTS]; /* "momentum" */
};

/* The name of the i-th kind, NULL past the last. */
const char *thaw_optimizer_kind(int i);

/* THAW_BAD_JOB names the key that is wrong and what is allowed. */
thaw_status thaw_optimizer_init(struct thaw_optimizer *optimizer, const struct thaw_optimizer_spec *spec,
                                struct thaw_params *params);
void thaw_optimizer_release(struct thaw_optimizer *optimizer);

/* One update with learning rate `rate`: parameters i with trains[i] by their gradients, states with updates[i] by
 * their batch statistics. */
void thaw_optimizer_step(struct thaw_optimizer *optimizer, const struct thaw_gradients *gradients, const bool *trains,
                         const bool *updates, double rate);

#endif
