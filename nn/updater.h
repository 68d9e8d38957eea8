/*
 * What the gradients of a step do: everything that moves with them, wherever it stands.
 *
 * Parameters, running statistics, the optimizer's slots and the moving average are moved together by a step, if the norm
 * of its gradients is finite, and left as they are if it is not. On a device with memory of its own they are moved
 * there, without the host, which gets them back when it asks:
 *
 *     thaw_updater_begin()            the host's numbers count, from now on those of the device
 *     per phase: thaw_updater_select()
 *     per step:  thaw_updater_rate(), thaw_updater_step(), _stepped(), and later thaw_updater_told()
 *     thaw_updater_pull()             before the host reads parameters, slots or the average
 *
 * Where the device's memory is the host's, pull does nothing and a step is over when the call returns.
 */
#ifndef THAW_NN_UPDATER_H
#define THAW_NN_UPDATER_H

#include "nn/average.h"
#include "nn/optimizer.h"

struct thaw_updater;

struct thaw_updater_spec {
	struct thaw_device *device;
	struct thaw_params *params;       /* attached to the device; these three are borrowed */
	struct thaw_optimizer *optimizer; /* of the parameters */
	struct thaw_average *average;     /* likewise; NULL: none is kept */
	double clip;                      /* largest norm of the gradients; 0: any */
};

thaw_status thaw_updater_new(const struct thaw_updater_spec *spec, struct thaw_updater **updater_out);
void thaw_updater_free(struct thaw_updater *updater); /* NULL is fine */

/* The numbers that the host has are those to go on from, after so many steps that were applied. */
thaw_status thaw_updater_begin(struct thaw_updater *updater, int64_t applied);

/* From now on these parameters move by their gradients, these states by the statistics of the batch; both (params),
 * borrowed until the next. */
thaw_status thaw_updater_select(struct thaw_updater *updater, const bool *trains, const bool *updates);

/* The learning rate of the next step. */
thaw_status thaw_updater_rate(struct thaw_updater *updater, double rate);

/* Moves everything by the gradients of the whole batch, which stand in the device's memory. May be recorded; after each
 * time that it is done, or replayed, `stepped` has to be called. */
thaw_status thaw_updater_step(struct thaw_updater *updater, const struct thaw_gradients *gradients);
void thaw_updater_stepped(struct thaw_updater *updater);

/* What the last step came to, on the host; a device tells it by its queue (nn/backend.h). */
struct thaw_told thaw_updater_told(const struct thaw_updater *updater);

thaw_status thaw_updater_pull(struct thaw_updater *updater);

/* Exchanges the average and the parameters, as thaw_average_swap() does, wherever they stand. */
thaw_status thaw_updater_swap(struct thaw_updater *updater);

/* --- what a device with memory of its own provides --------------------------------------------------------------- */

/* Slabs in the device's memory, as the net's table lays them out there. */
struct thaw_slabs {
	float *values, *states;
	float *slot[THAW_SLOTS]; /* as many as the optimizer has */
	float *average;          /* NULL: none; before the first update a copy of the values */
	void *copy;              /* of the values, as the device's number; NULL: none */
	int64_t *counters;       /* (params + 1) updates that each has had, and all */
};

struct thaw_update_spec {
	const struct thaw_net *net;             /* borrowed */
	const struct thaw_optimizer_spec *rule; /* its lr_scale too; all copied */
	const bool *trains;                     /* (params) */
	const bool *updates;                    /* (params) */
	double clip;
	bool averages; /* there is an average, ... */
	double average_decay;
	bool average_warm_up;
};

struct thaw_device_update;

struct thaw_update_ops {
	thaw_status (*make)(struct thaw_device *device, const struct thaw_update_spec *spec,
	                    struct thaw_device_update **update_out);
	void (*release)(struct thaw_device_update *update); /* NULL is fine */
	thaw_status (*rate)(struct thaw_device *device, double rate);
	/* Enqueues a step. What it came to is told by the device's queue. */
	thaw_status (*run)(struct thaw_device_update *update, const struct thaw_slabs *slabs,
	                   const struct thaw_gradients *gradients);
};

#endif
