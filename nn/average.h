/*
 * An exponential moving average of the parameters, to be evaluated and kept in their place.
 *
 *     a += (1 - d) (w - a)    after every update; the first one copies
 *
 * as torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(d) does. With a long memory (d = 0.9998 is one of
 * 5000 updates) the average of a short run would be mostly its first parameters; `warm_up` lets the memory grow with
 * the run: d_n = min(d, (1 + n) / (10 + n)) after n updates, as TensorFlow's ExponentialMovingAverage with num_updates.
 *
 * Running statistics are not averaged: those of the parameters serve both. They are a moving average already, over some
 * ten batches, and averaged again would lag thousands of updates behind, which has ruined evaluations (torchvision
 * averages them: ExponentialMovingAverage sets use_buffers; AveragedModel without use_buffers leaves the first ones
 * and asks for another pass over the data, update_bn()). Keras does as we do: its optimizers' use_ema averages
 * trainable variables alone.
 *
 * What never trained is the same in both, to the bit. Nothing but the slab of values is to be saved.
 */
#ifndef THAW_NN_AVERAGE_H
#define THAW_NN_AVERAGE_H

#include "nn/params.h"

struct thaw_average_spec {
	double decay; /* d: 0 .. 0.999999 */
	bool warm_up;
	int threads; /* >= 1 */
};

struct thaw_average {
	struct thaw_average_spec spec;
	struct thaw_params *params; /* borrowed */
	float *values;              /* (thaw_net_param_elems) the average; while it is swapped in, the parameters */
};

/* THAW_BAD_JOB names the key that is wrong and what is allowed. Until the first update the average is 0. */
thaw_status thaw_average_init(struct thaw_average *average, const struct thaw_average_spec *spec,
                              struct thaw_params *params);
void thaw_average_release(struct thaw_average *average);

/* After optimizer step `step`, counted from 0 over the whole run without those that were left out. */
void thaw_average_update(struct thaw_average *average, int64_t step);

/* Exchanges the average and the parameters by exchanging pointers: plans then read the average; called again, the
 * parameters. No update and no training step in between. */
void thaw_average_swap(struct thaw_average *average);

#endif
