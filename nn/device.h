/*
 * Where a network is computed: a backend, its threads, and the scratch memory that plans share (only one runs at a
 * time).
 */
#ifndef THAW_NN_DEVICE_H
#define THAW_NN_DEVICE_H

#include "base/mem.h"
#include "nn/backend.h"

struct thaw_sums_ops; /* comm/sums.h */

struct thaw_device {
	const struct thaw_backend *backend;
	const struct thaw_sums_ops *sums; /* what came with the backend to sum over its memory; NULL: nothing */
	int threads;           /* compute threads of this process, >= 1 */
	int sharers;           /* processes like this one that share the machine's memory, itself too; 1 at first */
	bool untimed;          /* implementations are chosen without timing: by what is known, else the first that can */
	int gpu;               /* number of the GPU, for a backend that has some */
	enum thaw_number number; /* in which activations stand; THAW_FLOAT32 at first */
	bool tf32;             /* with THAW_FLOAT32: products of 10 bits are allowed, where the backend has them */
	bool fused_statistics; /* sums for norms may be made in ways that do not give the same bits on every run */
	double loss_scale;     /* factor on all gradients until they are applied; 1, but with THAW_FLOAT16 */
	char *arena;           /* activations and gradients of the plan that runs, in the device's memory */
	size_t arena_bytes;
	unsigned moves;        /* how often memory has moved that work may have the address of: the arena, what feeds it */
	void *own;             /* the backend's */
};

/* `name`: a backend in this build, or "auto" for the fastest that is at home here. That passes over a backend for which
 * there is nothing, no driver or no GPU that may be seen, but not over one that cannot be had, such as a GPU whose driver
 * is too old or whose libraries are missing: THAW_FAILED says why. `gpu`: which one, where the backend has several; the
 * process' number on its host, from 0. THAW_BAD_JOB names those backends there are. */
thaw_status thaw_device_open(const char *name, int threads, int gpu, struct thaw_device **device_out);

/* What to compute with from now on: "fp32", "bf16" or "fp16", before anything is attached or compiled. THAW_BAD_JOB says
 * what the device can; the host's processors compute with fp32 alone, as runner/setup.c knows. */
thaw_status thaw_device_compute(struct thaw_device *device, const char *precision, bool tf32);

void thaw_device_free(struct thaw_device *device); /* NULL is fine */

/* Words for the head of a run: "oneDNN 2.6.3 avx512_core". They live as long as the device. */
const char *thaw_device_describe(const struct thaw_device *device);

/* Host memory that the device reads and writes without waiting for the host, for pictures and what is said of them; a
 * slab where the device's memory is the host's. */
struct thaw_allocator thaw_device_allocator(struct thaw_device *device);

/* The i-th backend's name, NULL past the last. */
const char *thaw_device_name(int i);

/* What the i-th backend has here. THAW_FAILED says why it does not work; what is known is then set all the same. */
thaw_status thaw_device_survey(int i, struct thaw_found *found_out);

/* One of its GPUs, opened for a moment; what the driver keeps for the process stays until that ends. */
thaw_status thaw_device_look(int i, int gpu, struct thaw_found_gpu *gpu_out);

/* The GPUs that thaw_device_open(name) chooses from; none for a name of something else, or where there are none. */
void thaw_device_gpus(const char *name, struct thaw_found *found_out);

/* Bytes that an arena of this process may have: what there is for each of the sharers, and the arena it has. */
thaw_status thaw_device_available(const struct thaw_device *device, size_t *bytes_out);

/* THAW_OUT_OF_MEMORY, naming `what`, if the machine could not give each of the sharers an arena of this size. */
thaw_status thaw_device_check(const struct thaw_device *device, size_t size_bytes, const char *what);

/* Makes the arena at least this large, if the machine has the memory; its contents and address are then undefined. */
thaw_status thaw_device_reserve(struct thaw_device *device, size_t size_bytes);

#endif
