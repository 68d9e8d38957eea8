/*
 * The numbers of a network: one slab of parameters, one of running statistics, laid out by the net's parameter table.
 */
#ifndef THAW_NN_PARAMS_H
#define THAW_NN_PARAMS_H

#include "nn/net.h"

struct thaw_device;

/* The parameters in a device's own memory, in its own order. */
struct thaw_twin {
	struct thaw_device *device;
	float *values, *states;
	void *copy;       /* of the values, as the device's number; NULL: that is float32 */
	uint64_t version; /* of the parameters that stand there */
};

struct thaw_params {
	const struct thaw_net *net; /* borrowed */
	float *values;              /* (thaw_net_param_elems) */
	float *states;              /* (thaw_net_state_elems) running means and variances */
	uint64_t version;           /* whoever changes numbers, or exchanges slabs, adds 1: plans then read them anew */
	struct thaw_twin *twin;     /* the same numbers in a device's own memory; NULL: nowhere else */
};

/* Allocates both slabs, zeroed; padding between parameters stays 0. */
thaw_status thaw_params_init(struct thaw_params *params, const struct thaw_net *net);
void thaw_params_release(struct thaw_params *params);

/* First values as torchvision makes them: convolutions normal with std sqrt(2 / (K R S)) (He et al. 2015, fan-out),
 * norms 1 and 0, linear layers uniform in +-1/sqrt(in), running mean 0 and variance 1. The same for every rank and
 * thread count. */
void thaw_params_randomize(struct thaw_params *params, uint64_t seed);

/* Where the numbers of parameter `i` begin: (shape), in its slab. */
float *thaw_params_at(const struct thaw_params *params, int i);

/* Gives the parameters a twin where plans of the device will read them; nothing where the device's memory is the
 * host's. The device has to outlive them. */
thaw_status thaw_params_attach(struct thaw_params *params, struct thaw_device *device);

/* Brings the twin up to date with the version. */
thaw_status thaw_params_push(const struct thaw_params *params);

/* The twin's numbers have been moved: they are those of the next version, and the host's are old until `pull` brings
 * them. */
void thaw_params_moved(struct thaw_params *params);
thaw_status thaw_params_pull(struct thaw_params *params);

/* Exchanges the twin's slab of values and another one. */
thaw_status thaw_params_exchange(struct thaw_params *params, float **values_inout);

/* Where a plan finds parameter `i`: in the twin, if there is one; and as the device's number, NULL where that is not
 * another one. */
float *thaw_params_near(const struct thaw_params *params, int i);
const void *thaw_params_near_copy(const struct thaw_params *params, int i);

#endif
