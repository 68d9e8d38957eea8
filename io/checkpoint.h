/*
 * Checkpoints: named tensors and facts in one HDF5 file that h5py reads without thaw.
 *
 * HDF5 only builds an image in memory; the bytes are written by thaw_file_publish(). Behind the image stands a seal
 * (io/seal.h) that is checked before a byte is parsed (io/h5_read.h); HDF5 readers ignore what follows their end of
 * file.
 *
 * Layout: /model/<torchvision name>, /optimizer/<slot>/<name> (float32, PyTorch's layout), /optimizer/step/<name>
 * (float32, one number), /average/<name> as in /model; the facts are attributes of /, but for what may be long:
 * /classes (names), /job and /build (one text each), /val_loss (float64). The same content gives the same bytes.
 */
#ifndef THAW_IO_CHECKPOINT_H
#define THAW_IO_CHECKPOINT_H

#include <stdint.h>

#include "base/metrics.h"
#include "base/status.h"

struct thaw_checkpoint_tensor {
	const char *name; /* full path: "model/conv1.weight", "optimizer/momentum/conv1.weight" */
	int rank;         /* 0 .. 4 */
	int64_t dims[4];
	float *data;      /* C order */
};

struct thaw_checkpoint_facts {
	int64_t epoch, step;         /* epochs and optimizer steps done */
	int64_t skipped;             /* steps of the whole run that were left out */
	double best;                 /* best value of `metric` so far */
	int64_t best_epoch;          /* epochs done when it was reached; 0: there was none yet */
	struct thaw_metrics best_metrics; /* of that epoch's validation */
	int64_t average_epoch;       /* the same of the weights' average; 0: none yet, or the job has no average */
	struct thaw_metrics average_metrics;
	const double *val_losses;    /* (epoch) of all validations so far */

	/* What the steps of an epoch that is not done have gathered; zero between epochs. */
	struct thaw_metrics so_far;  /* without balanced accuracy, and without a loss, */
	int replicas;                /* which is kept as sums for each replica: */
	const double *losses;        /* (replicas, 2) of losses, and of their weights */
	double seconds;              /* that it has taken */

	int64_t train_data, val_data; /* checksums of the splits */
	char metric[16];             /* "top1" */
	char arch[32];               /* "resnet18" */
	float mean[3], std[3];       /* normalisation of the input */
	int64_t resize, crop;        /* pixels: shorter edge of the pictures, and edge of the square that the network sees */
	int classes;
	const char *const *names;    /* (classes) */
	const char *job;             /* the resolved job file, YAML */
	const char *build;           /* library versions, ISA, threads per rank: what the bits depend on */
};

/* Publishes a checkpoint; what was at `path` is then at `previous` (thaw_file_publish_keeping(); NULL: it is gone).
 * THAW_FAILED names path and reason; what was there before stays. */
thaw_status thaw_checkpoint_write(const char *path, const char *previous, const struct thaw_checkpoint_facts *facts,
                                  const struct thaw_checkpoint_tensor *tensors, int count);

struct thaw_checkpoint;

/* Opens and verifies. THAW_FAILED: not a checkpoint, cut short, digest differs, each by name. */
thaw_status thaw_checkpoint_open(const char *path, struct thaw_checkpoint **checkpoint_out);
void thaw_checkpoint_free(struct thaw_checkpoint *checkpoint); /* NULL is fine */

const struct thaw_checkpoint_facts *thaw_checkpoint_facts(const struct thaw_checkpoint *checkpoint); /* borrowed */

/* Number of tensors; the i-th (data is NULL), in byte-wise order of their names. */
int thaw_checkpoint_count(const struct thaw_checkpoint *checkpoint);
const struct thaw_checkpoint_tensor *thaw_checkpoint_tensor(const struct thaw_checkpoint *checkpoint, int i);

/* The numbers of the i-th tensor where they lie in the file, little-endian, not aligned; borrowed. */
const uint8_t *thaw_checkpoint_bytes(const struct thaw_checkpoint *checkpoint, int i);

/* Copies tensor `want->name` into want->data. THAW_FAILED when it is missing or of another shape, naming both. */
thaw_status thaw_checkpoint_read(const struct thaw_checkpoint *checkpoint, const struct thaw_checkpoint_tensor *want);

#endif
