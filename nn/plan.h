/*
 * A net compiled for one device, batch size, mode and set of trained parameters.
 *
 * Compiling fuses operations into steps (nn/backend.h), cuts off what needs no gradient, asks the backend to prepare
 * each step, and places every value and gradient in one arena by its lifetime. After that a training step allocates
 * nothing. When the trained set or the batch size changes, another plan is made: that takes milliseconds.
 *
 * What is frozen and fed by nothing that trains is evaluated with running statistics, its norms folded into its
 * convolutions, its values kept no longer than the next step needs them; the backward pass ends there. What is frozen
 * above something that trains passes the gradient through. Frozen parameters and statistics are never written. With
 * `frozen_batch_statistics` frozen norms go on using and updating the statistics of the batch, as PyTorch modules
 * left in train() do.
 *
 * Plans of one device share its arena: the values of a forward pass live until another plan runs.
 */
#ifndef THAW_NN_PLAN_H
#define THAW_NN_PLAN_H

#include "nn/backend.h"
#include "nn/params.h"

/* The loss that training minimises. Evaluation always takes plain cross-entropy, so that runs can be compared.
 *
 * A picture's loss is -sum_c t_c log p_c with
 *
 *     t_c = class_weights[c] * ((1 - smoothing) * [c is the label] + smoothing / classes),
 *
 * its weight is that of its label's class, and the loss of a batch is the sum of losses over the sum of weights:
 * torch.nn.CrossEntropyLoss(weight, label_smoothing). Smoothing: Szegedy et al., "Rethinking the Inception
 * architecture", 2016, section 7. */
struct thaw_loss {
	double smoothing;            /* 0 .. below 1 */
	const double *class_weights; /* (classes) above 0, copied; NULL: all 1 */
};

struct thaw_plan_spec {
	struct thaw_device *device;
	const struct thaw_params *params; /* borrowed until the plan is freed; read anew when its version changed; attached
	                                   * to the device */
	int batch;                        /* pictures per forward pass (N) */
	const bool *trains;               /* one flag per parameter, copied; NULL: evaluation, nothing trains */
	bool frozen_batch_statistics;
	struct thaw_loss loss;            /* of training */
	float mean[3], std[3];            /* normalisation of the input */
	bool measures;                    /* memory is neither asked for nor taken: the plan has facts, but cannot be run */
};

/* Pictures of one forward pass. A picture mixed of two (Zhang et al., "mixup", 2018; Yun et al., "CutMix", 2019) has
 * the loss share * loss(label) + (1 - share) * loss(second label), and its weight likewise; what is right is counted by
 * the first label. */
struct thaw_input {
	const uint8_t *pixels;  /* (N,H,W,3) */
	const int32_t *labels;  /* (N); -1: fills up the batch, counts for nothing */
	const int32_t *mixed;   /* (N) second labels; NULL: there are none */
	const double *shares;   /* (N) 0 .. 1, with `mixed` */
	int64_t global_count;   /* pictures in the global batch this one is a part of, >= N */
	double global_weight;   /* sum of their thaw_loss_weight(); 0: as without class weights, global_count */
	float *predictions;     /* (N, classes) wanted probabilities, or NULL */
	int row;                /* where a device keeps the score until it is asked for: 0 .. THAW_ROWS - 1 */
};

/* Slabs that backward and training forward passes write, in the device's memory; laid out like the parameters. */
struct thaw_gradients {
	float *values; /* (thaw_net_param_elems) gradients of what trains; the rest is not touched */
	float *states; /* (thaw_net_state_elems) share * batch statistics of norms that use them; the rest is not touched */
};

struct thaw_plan;

/* The weight of a picture with these labels; share 1: it has but one. Known before anything is computed: the ranks need
 * the sum over a global batch, of which each sees only a part. */
double thaw_loss_weight(const struct thaw_loss *loss, int32_t label, int32_t mixed, double share);

/* THAW_BAD_JOB names the key that is wrong and what is allowed. */
thaw_status thaw_loss_check(const struct thaw_loss *loss, int classes);

/* `spec` has a loss that passes its check. */
thaw_status thaw_plan_compile(const struct thaw_net *net, const struct thaw_plan_spec *spec, struct thaw_plan **plan_out);
void thaw_plan_free(struct thaw_plan *plan); /* NULL is fine */

/* Computes loss and counts. A training plan also writes batch statistics to `gradients` (NULL for an evaluation
 * plan). */
thaw_status thaw_plan_forward(struct thaw_plan *plan, const struct thaw_input *input, const struct thaw_gradients *gradients,
                              struct thaw_score *score_out);

/* The three parts of a forward pass, for whoever does not want to wait for a device (nn/backend.h): the input on its way,
 * which stays until the device has taken it; the network, which may be recorded; the score. */
thaw_status thaw_plan_feed(struct thaw_plan *plan, const struct thaw_input *input);
thaw_status thaw_plan_run(struct thaw_plan *plan, const struct thaw_gradients *gradients);
thaw_status thaw_plan_score(struct thaw_plan *plan, struct thaw_score *score_out);

/* Called during backward: every gradient at parameter-slab offsets >= from is final. Offsets fall; the last call has
 * the lowest offset that trains. */
typedef thaw_status thaw_ready_fn(void *context, int64_t from);

/* The backward pass of the last forward, which must have been this plan's. `ready` may be NULL. */
thaw_status thaw_plan_backward(struct thaw_plan *plan, const struct thaw_gradients *gradients, thaw_ready_fn *ready,
                               void *context);

/* States that this plan's forward contributes batch statistics for: flag i for parameter i. Owned by the plan. */
const bool *thaw_plan_updates(const struct thaw_plan *plan);

/* What a plan needs. */
struct thaw_plan_facts {
	int steps, backward_steps;
	size_t arena_bytes, kept_bytes; /* of which kept from forward to backward at most */
	size_t workspace_bytes;         /* of the arena: scratch of one step at a time */
};
struct thaw_plan_facts thaw_plan_facts(const struct thaw_plan *plan);

/* What computes the steps for which a backend had a choice, as a table of lines; like ones in one, with their number. */
struct thaw_text;
void thaw_plan_add_engines(const struct thaw_plan *plan, struct thaw_text *lines);

#endif
