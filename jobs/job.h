/*
 * A job: what `thaw train` is asked to do, as plain data.
 *
 * Job files are YAML, read strictly through one schema table (jobs/schema.c): path, type, default, bounds, unit,
 * meaning. The same table serves `--set KEY=VALUE`, the resolved dump and the key reference (jobs/reference.c). Every
 * fault is one line "file:line:col: what, what is allowed" or "--set path: ...", THAW_BAD_JOB, before anything is
 * written.
 */
#ifndef THAW_JOBS_JOB_H
#define THAW_JOBS_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

enum { THAW_PHASES = 64, THAW_PATTERNS = 32, THAW_TEXT = 256 };

/* Parts of a network that train: "fc", "layer4", "layer4.1", or the single word "all". */
struct thaw_patterns {
	int count;
	char text[THAW_PATTERNS][48];
};

/* Epochs, rising. */
struct thaw_epochs {
	int count;
	int epoch[THAW_PATTERNS];
};

/* Factors for parts of a network: {layer1: 0.1, layer4.1: 0.5}. */
struct thaw_scales {
	int count;
	struct {
		char part[48];
		double factor;
	} of[THAW_PATTERNS];
};

/* How pictures become steps: what every phase has of its own, the job's where it does not say otherwise. */
struct thaw_recipe {
	double lr;                         /* optimizer.lr, phases.lr: base learning rate */
	int batch;                         /* batch: global */
	struct {
		char kind[16];                 /* schedule.kind: nn/schedule.h tells what the kinds read */
		double warmup;                 /* schedule.warmup: epochs */
		double warmup_start;
		int step;                      /* schedule.step: epochs between drops */
		struct thaw_epochs milestones; /* schedule.milestones: epochs of drops */
		double gamma;                  /* schedule.gamma: factor of a drop */
		double min;
		double rise, div, final_div;
		double start;
		bool linear;
		int patience, cooldown;        /* schedule.patience, .cooldown: epochs */
		double threshold;
	} schedule;
	struct {
		char crop[24];                 /* augment.crop: random_resized | center */
		double scale[2], ratio[2];
		double flip;
		double rotation;               /* degrees; io/augment.h tells all of them */
		double brightness, contrast, saturation, hue;
		double grey;
		double blur, blur_sigma[2];
		double erase, erase_scale[2], erase_ratio[2];
		double mixup, cutmix;
	} augment;
};

/* Whether pictures are mixed in pairs: a training picture then has two labels. */
bool thaw_recipe_mixes(const struct thaw_recipe *recipe);

struct thaw_phase {
	int epochs;                        /* >= 1 */
	struct thaw_patterns train;
	bool restart;                      /* the schedule begins anew; otherwise it goes on from the phase before */
	struct thaw_recipe recipe;
	uint64_t given;                    /* while a job is read: bit i: the phase has its own value of its i-th key */
};

struct thaw_job {
	char name[64];                     /* name: [A-Za-z0-9._-]+, not starting with a dot; the run folder's name */
	char runs[THAW_TEXT];              /* runs: folder of run folders, "runs" */
	struct {
		char arch[32];                 /* model.arch */
		char weights[THAW_TEXT];       /* model.weights: a file, or "random" */
		bool weights_strict;           /* model.weights_strict: every tensor has to fit */
	} model;
	struct {
		char train[THAW_TEXT], val[THAW_TEXT]; /* data.train, data.val: globs of shards */
		int crop;                      /* data.crop: edge of the network's input, pixels */
		int threads;                   /* data.threads: loader threads per rank */
		char sampling[16];             /* data.sampling: shuffle | balanced */
	} data;
	char device[16];                   /* device: auto | cuda | cpu | reference */
	char precision[8];                 /* precision: fp32 | bf16 | fp16 */
	bool tf32;                         /* tf32: with fp32 on a GPU */
	double loss_scale;                 /* loss_scale: with fp16 */
	bool fused_statistics;             /* fused_statistics: convolutions may sum for norms, with fp16 */
	char comm[8];                      /* comm: auto | nccl | mpi */
	bool graphs;                       /* graphs: steps are recorded and replayed, on a GPU */
	int threads;                       /* threads: compute threads per rank, 0 = what the rank may use */
	int epochs;                        /* epochs */
	int replicas;                      /* replicas: micro-batches, 0 = one per rank */
	int timeout;                       /* timeout: seconds without progress after which a run ends, 0 = never */
	uint64_t seed;                     /* seed */
	char batchnorm[8];                 /* batchnorm: frozen | train (what frozen parts do) */
	struct {
		char kind[16];                 /* optimizer.kind */
		double momentum;
		bool nesterov;
		char momentum_of[16];          /* optimizer.momentum_of: gradients | steps */
		double beta1, beta2, epsilon;
		double weight_decay;
		bool decay_norms;              /* optimizer.decay_norms: weight decay on norms and biases too */
		double clip;                   /* optimizer.clip: largest norm of the gradient, 0 = any */
		struct thaw_scales lr_scale;   /* optimizer.lr_scale */
	} optimizer;
	struct {
		double smoothing;              /* loss.smoothing */
		char class_weights[16];        /* loss.class_weights: none | balanced */
	} loss;
	struct {
		double decay;                  /* average.decay: 0 = no average of the weights */
		bool warm_up;
	} average;
	struct {
		int patience;                  /* early_stopping.patience: epochs, 0 = never */
	} early_stopping;
	int max_skipped;                   /* max_skipped: steps without finite loss or gradients that are left out */
	struct thaw_recipe recipe;         /* of phases that do not say otherwise */
	int phases_count;                  /* >= 1 after loading: without `phases`, one phase of `epochs` that trains all */
	struct thaw_phase phases[THAW_PHASES];
	struct {
		char metric[16];               /* checkpoint.metric: top1 | top5 | balanced | loss */
		int every;                     /* checkpoint.every: epochs between `last` checkpoints */
		double minutes;                /* checkpoint.minutes: longest time between them, 0 = any */
		int keep;                      /* checkpoint.keep: former ones kept as epoch-0001.h5 */
		char signal[8];                /* checkpoint.signal: USR1 | USR2 */
	} checkpoint;
};

/* Reads `path`, applies `sets` ("optimizer.lr=1e-2", in order), fills defaults, checks everything that can be checked
 * without opening data and without knowing the architectures. If `phases` is given, its epochs must add up to `epochs`
 * when that is given too. A list is set as YAML ("augment.scale=[0.3, 1]"), all else is taken as it is. Every byte of
 * *job_out is written, padding included: equal jobs are equal under memcmp. */
thaw_status thaw_job_load(const char *path, const char *const *sets, int sets_count, struct thaw_job *job_out);

/* The same from memory; `name` stands for the file in messages. */
thaw_status thaw_job_parse(const char *name, const char *yaml, size_t length, const char *const *sets, int sets_count,
                           struct thaw_job *job_out);

struct thaw_text;

/* Appends the resolved job as YAML: every key of the schema, but `phases` is left out where it is what a job without
 * them gets, and what a phase has from the job, so that a --set on them does what it says. Loads back to the same
 * bytes. The caller releases the text. */
thaw_status thaw_job_dump(const struct thaw_job *job, struct thaw_text *yaml_out);

/* THAW_BAD_JOB unless both jobs come to the same result: "'runs/ants' was begun with optimizer.lr: 0.05, this job has
 * 0.06". */
thaw_status thaw_job_match(const struct thaw_job *job, const struct thaw_job *begun, const char *where);

/* Whether the network begins with the numbers of a file. */
bool thaw_job_pretrained(const struct thaw_job *job);

/* Whether the schedule of phase `phase` (from 0) begins with it: otherwise it goes on from the phase before. */
bool thaw_job_begins_schedule(const struct thaw_job *job, int phase);

/* Whether a run of which `epoch` epochs are done, the best of them `best_epoch`, is at its end: all are, or
 * early_stopping.patience of them brought nothing better. */
bool thaw_job_done(const struct thaw_job *job, int epoch, int best_epoch);

/* The key reference: per key what is allowed, with bounds and unit, the default, the meaning. As plain text, and as
 * docs/job.md, which has besides what may change within a run. */
void thaw_job_print_keys(FILE *file);
void thaw_job_print_markdown(FILE *file);

#endif
