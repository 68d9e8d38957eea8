/*
 * The norm of the gradients, by which they are clipped and by which it shows whether they are numbers.
 *
 * Gradients are those of the whole batch, after the sum over replicas and before weight decay. Clipping is a factor on
 * all of them, which the optimizer applies as it reads them:
 *
 *     norm = thaw_gradients_norm(...)
 *     thaw_optimizer_step(..., {.factor = thaw_clip_factor(norm, limit)})
 */
#ifndef THAW_NN_CLIP_H
#define THAW_NN_CLIP_H

#include "nn/plan.h"

/* Euclidean norm over all parameters i with trains[i]. Summed in double precision over fixed pieces in a fixed order:
 * the same bits for any number of threads. No square of a float32 overflows there, so the norm is finite exactly when
 * every gradient is. */
double thaw_gradients_norm(const struct thaw_net *net, const struct thaw_gradients *gradients, const bool *trains,
                           int threads);

/* The first parameter that trains and has a gradient that is not finite; -1: there is none. */
int thaw_gradients_broken(const struct thaw_net *net, const struct thaw_gradients *gradients, const bool *trains);

/* min(1, limit / (norm + 1e-6)): torch.nn.utils.clip_grad_norm_; Pascanu et al., "On the difficulty of training
 * recurrent neural networks", ICML 2013, algorithm 1. `norm` is finite, `limit` passes the check. */
double thaw_clip_factor(double norm, double limit);

/* Whether gradients may be clipped at `limit`. THAW_BAD_JOB says what is allowed. */
thaw_status thaw_clip_check(double limit);

#endif
