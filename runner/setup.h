/*
 * What training and evaluating both need: ranks, data, device, network, parameters.
 */
#ifndef THAW_RUNNER_SETUP_H
#define THAW_RUNNER_SETUP_H

#include "comm/sums.h"
#include "io/dataset.h"
#include "jobs/job.h"
#include "nn/device.h"
#include "nn/params.h"

struct thaw_setup {
	const struct thaw_job *job; /* borrowed */
	struct thaw_comm *comm;     /* borrowed */
	int rank, ranks;
	int threads;                            /* compute threads of this rank */
	int gpu;                                /* its number, where the device has some (runner/gpus.h) */
	int replicas;                           /* micro-batches of a global batch */
	struct thaw_dataset *train, *val;       /* train NULL: only evaluating */
	const struct thaw_dataset_facts *facts; /* of val: classes and normalisation */
	uint32_t train_data, val_data;          /* checksums of the splits (docs/formats.md): not of where they lie */
	struct thaw_device *device;
	size_t available_bytes; /* of the device's own memory, when nothing was taken yet */
	struct thaw_sums *sums; /* NULL: only evaluating */
	struct thaw_net *net;
	struct thaw_params params; /* zero; thaw_pretrained_begin() or a checkpoint fills them, */
	char weights[THAW_TEXT + 112]; /* and says here what they are: "resnet18.pth (fc 1000 -> 2, new)" */
};

/* Reads a job file with `--set`s; all ranks call it, and succeed or fail together. The caller frees the job. */
struct thaw_texts;
thaw_status thaw_setup_load(const char *path, const struct thaw_texts *sets, struct thaw_job **job_out);

/* THAW_BAD_JOB, on all ranks, where what `path` holds has another checksum than on rank 0: ranks on several hosts may
 * find different files under one path, and would then wait for each other for ever, or compute what no job says. */
thaw_status thaw_setup_compare(const char *path, uint32_t checksum);

/* Of the parameters and running statistics. */
uint32_t thaw_setup_checksum(const struct thaw_setup *setup);

/* What the device has given away of its own memory since it was opened, to thaw and to libraries; 0: its memory is the
 * host's. */
thaw_status thaw_setup_held(const struct thaw_setup *setup, size_t *held_out);

/* Opens and builds everything that `job` names; all ranks call it, and succeed or fail together. `training`: with the
 * training split, which must match the other. */
thaw_status thaw_setup_open(const struct thaw_job *job, bool training, struct thaw_setup *setup_out);
void thaw_setup_release(struct thaw_setup *setup);

/* What a command does that only looks at a job: watches over it, opens it, lets `work` look, and releases it, unless this
 * rank fails alone, since others may then still be sending what it holds. All ranks call it. */
typedef thaw_status thaw_setup_work(struct thaw_setup *setup, const void *arguments);
thaw_status thaw_setup_with(const struct thaw_job *job, bool training, thaw_setup_work *work, const void *arguments);

/* The names of the classes as an array; free() it, the names are borrowed from the dataset. NULL: out of memory. */
const char **thaw_setup_class_names(const struct thaw_setup *setup);

/* Which parameters phase `phase` (from 0) of the job trains: a flag each; free() it. THAW_BAD_JOB for a name that is
 * no part of the network. */
thaw_status thaw_setup_select(const struct thaw_setup *setup, int phase, bool **trains_out);

/* Compiles a plan the way that gives the same bits on every rank: rank 0 first, which may time implementations; the
 * others take over its choices. All ranks call it. */
struct thaw_plan;
struct thaw_plan_spec;
thaw_status thaw_setup_compile(struct thaw_setup *setup, const struct thaw_plan_spec *spec,
                               struct thaw_plan **plan_out);

#endif
