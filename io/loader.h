/*
 * Batches, ready before they are needed.
 *
 * Threads cut, resize and distort pictures of a dataset into a ring of uint8 batches ahead of the training step, and
 * mix whole batches. What a batch holds is a pure function of (seed, epoch, order, its range of that): neither the
 * number of threads nor of ranks changes a byte. Normalising is left to the network's input operation.
 *
 * One thread uses a loader; the loader's own threads are its business.
 */
#ifndef THAW_IO_LOADER_H
#define THAW_IO_LOADER_H

#include "base/mem.h"
#include "io/augment.h"
#include "io/dataset.h"

struct thaw_batch {
	int count;             /* N */
	int size;              /* H = W */
	const uint8_t *pixels; /* (N,H,W,3) RGB */
	/* A picture is `share` of what `labels` says and 1 - share of what `labels2` says (io/mix.h); 1 without mixing. */
	const int32_t *labels, *labels2; /* (N) */
	const float *share;              /* (N) */
};

struct thaw_loader_spec {
	const struct thaw_dataset *dataset; /* borrowed until the loader is freed */
	struct thaw_augment augment;
	uint64_t seed;
	int threads;      /* >= 1 */
	int ahead;        /* batches in the ring, >= 2 */
	int batch_limit;  /* pictures in the largest batch */
	struct thaw_allocator memory; /* of the pixels */
};

/* Pictures order[first .. first + count - 1] are one batch. */
struct thaw_batch_range {
	int64_t first;
	int count; /* 1 .. batch_limit */
};

struct thaw_loader;

/* Settings that cannot be used are THAW_BAD_JOB. */
thaw_status thaw_loader_new(const struct thaw_loader_spec *spec, struct thaw_loader **loader_out);
void thaw_loader_free(struct thaw_loader *loader); /* stops the threads; NULL is fine */

/* Begins to make the batches `ranges[0 .. batches - 1]` of `order` (picture ids) for `epoch`; both arrays are copied.
 * Batches still under way from an earlier start are dropped. */
thaw_status thaw_loader_start(struct thaw_loader *loader, int epoch, const int32_t *order,
                              const struct thaw_batch_range *ranges, int64_t batches);

/* Waits for the next batch in order. It is borrowed until the next call of get, start or free. A call beyond the
 * last batch is a programming error. */
thaw_status thaw_loader_get(struct thaw_loader *loader, struct thaw_batch *batch_out);

#endif
