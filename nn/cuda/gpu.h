/*
 * A GPU, as far as thaw knows one: memory, streams, events, kernels, convolutions, matrix products, graphs.
 *
 * Nothing else reaches the device. nn/cuda/gpu.c, gpu_conv.c and gpu_gemm.c make these calls of CUDA, cuDNN and
 * cuBLASLt; tests/sim makes them of the host alone, so that whatever stands above them runs where there is no GPU.
 *
 * A pointer to device memory is a number to the host, which may add to it and compare it, but not follow it. What is
 * enqueued on a stream happens some time later, in the stream's order; between streams only events make an order.
 * What is passed by pointer to an enqueueing call is copied, unless it says otherwise. Errors of work that was
 * enqueued show at a later call; they are THAW_FAILED, name the device, and the process can do no more with it. Any call
 * may be THAW_OUT_OF_MEMORY: the libraries allocate by themselves too.
 *
 * One GPU, one thread of the process. Whoever makes an object frees it; NULL is fine.
 */
#ifndef THAW_NN_CUDA_GPU_H
#define THAW_NN_CUDA_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "nn/cuda/kernels/kernels.h"
#include "nn/number.h"

struct thaw_gpu;
struct thaw_gpu_stream;
struct thaw_gpu_event;
struct thaw_gpu_conv;
struct thaw_gpu_gemm;
struct thaw_gpu_graph;

/* --- the device -------------------------------------------------------------------------------------------------- */

/* GPUs that this process sees. THAW_FAILED says why there are none: no driver, a driver too old, none visible; *count_out
 * is then 0 if there is none at all, and -1 if there is one that cannot be had. */
thaw_status thaw_gpu_count(int *count_out);

/* "CUDA 13.0, driver 13.0, cuDNN 9.19.0, cuBLASLt 13.0"; without a driver that is left out. Needs no GPU. */
enum { THAW_GPU_VERSIONS = 160 };
void thaw_gpu_versions(char text_out[THAW_GPU_VERSIONS]);

/* What tells the GPU with this number from every other of the host, for all processes that see it. Does not open it. */
thaw_status thaw_gpu_identity(int number, uint32_t *identity_out);

struct thaw_gpu_facts {
	char name[64]; /* "NVIDIA H200" */
	char versions[THAW_GPU_VERSIONS];
	int capability; /* 10 * major + minor: 90 */
	int processors; /* multiprocessors */
	size_t memory_bytes;
};

/* Makes the GPU with this number the process's. */
thaw_status thaw_gpu_open(int number, struct thaw_gpu **gpu_out);
void thaw_gpu_close(struct thaw_gpu *gpu);
const struct thaw_gpu_facts *thaw_gpu_facts(const struct thaw_gpu *gpu);

/* Memory that nobody holds. */
thaw_status thaw_gpu_available(struct thaw_gpu *gpu, size_t *bytes_out);

/* --- memory ------------------------------------------------------------------------------------------------------ */

/* Device memory, its contents undefined, aligned to 256 bytes. THAW_OUT_OF_MEMORY names `what`, its size, and what
 * there is. */
thaw_status thaw_gpu_alloc(struct thaw_gpu *gpu, size_t size_bytes, const char *what, void **memory_out);
void thaw_gpu_free(struct thaw_gpu *gpu, void *memory);

/* Host memory that copies reach without the host: what thaw_gpu_put() and thaw_gpu_get() need to run behind its
 * back. */
thaw_status thaw_gpu_alloc_pinned(struct thaw_gpu *gpu, size_t size_bytes, const char *what, void **memory_out);
void thaw_gpu_free_pinned(struct thaw_gpu *gpu, void *memory);

/* --- streams and events ------------------------------------------------------------------------------------------ */

/* `urgent`: its work is preferred where both could run. */
thaw_status thaw_gpu_stream_new(struct thaw_gpu *gpu, bool urgent, struct thaw_gpu_stream **stream_out);
void thaw_gpu_stream_free(struct thaw_gpu_stream *stream);

/* Waits on the host until all that was enqueued is done. Not while the stream is captured. */
thaw_status thaw_gpu_wait(struct thaw_gpu_stream *stream);

/* `timed`: for thaw_gpu_event_seconds(), which costs a little more. */
thaw_status thaw_gpu_event_new(struct thaw_gpu *gpu, bool timed, struct thaw_gpu_event **event_out);
void thaw_gpu_event_free(struct thaw_gpu_event *event);

/* The event stands for all that is on the stream by now; what is enqueued on `waiting` from now on comes after it. */
thaw_status thaw_gpu_event_record(struct thaw_gpu_event *event, struct thaw_gpu_stream *stream);
thaw_status thaw_gpu_event_order(struct thaw_gpu_event *event, struct thaw_gpu_stream *waiting);

/* Waits on the host; says whether it would; and the time between two recorded events, timed ones, that are over. */
thaw_status thaw_gpu_event_wait(struct thaw_gpu_event *event);
thaw_status thaw_gpu_event_done(struct thaw_gpu_event *event, bool *done_out);
thaw_status thaw_gpu_event_seconds(struct thaw_gpu_event *from, struct thaw_gpu_event *to, double *seconds_out);

/* --- work -------------------------------------------------------------------------------------------------------- */

/* From the host, to it, zeroes. `host` is read or written when the stream gets there, so it has to
 * stay until then; if it is not pinned, the call itself waits. */
thaw_status thaw_gpu_put(struct thaw_gpu_stream *stream, void *to, const void *host, size_t size_bytes);
thaw_status thaw_gpu_get(struct thaw_gpu_stream *stream, void *host, const void *from, size_t size_bytes);
thaw_status thaw_gpu_zero(struct thaw_gpu_stream *stream, void *to, size_t size_bytes);

/* `arguments`: the kernel's struct. `blocks` 0: nothing happens. */
thaw_status thaw_gpu_launch(struct thaw_gpu_stream *stream, enum thaw_kernel kernel, int64_t blocks,
                            const void *arguments, size_t arguments_bytes);

/* --- convolutions ------------------------------------------------------------------------------------------------ */

enum thaw_gpu_pass {
	THAW_GPU_FORWARD, /* y = conv(x, w) [+ residual] [+ bias] [relu] */
	THAW_GPU_DATA,    /* x = gradient by x of what has the gradient y */
	THAW_GPU_WEIGHTS, /* w = gradient by w */
};

/* Tensors are NHWC: x (N,H,W,C), w (K,R,S,C / groups), y and residual (N,OH,OW,K), bias (K), all of one type, sums in
 * float32. */
struct thaw_gpu_conv_spec {
	enum thaw_gpu_pass pass;
	enum thaw_number number;
	int n, c, h, w, k, oh, ow;
	int kernel, stride, pad, groups;
	bool bias, residual, relu; /* FORWARD */
	bool statistics;           /* FORWARD with none of these: sums over y are of use, where they cost less than another
	                            * look at y. What `deterministic` asks for does not hold for them */
	bool tf32;                 /* with THAW_FLOAT32: products of 10 bits are allowed */
	bool deterministic;        /* the same bits on every run */
	bool untimed;              /* time nothing: take what was chosen before, else what is proposed first */
	size_t workspace_limit;    /* bytes */
};

/* Chooses an implementation: what was chosen before for the same convolution on the same kind of GPU, by this process
 * or another (nn/cuda/choice.h), else by timing several that the library proposes, with memory of its own for that;
 * where that is not to be had, the first. What was taken without timing does not do for a spec that is to be timed, unless
 * another rank took it. Timing waits for the GPU, and nothing else of this process may be under way on it: that would be
 * measured too. THAW_FAILED says that there is none.
 *
 * What timing chose is written to the cache's file when a convolution next runs, and when the GPU is closed: by then a
 * network's are all chosen, and a run that is killed later has kept them. Where choosing takes long it is written every
 * few seconds, for a run that is killed meanwhile. */
thaw_status thaw_gpu_conv_new(struct thaw_gpu *gpu, const struct thaw_gpu_conv_spec *spec,
                              struct thaw_gpu_conv **conv_out);
void thaw_gpu_conv_free(struct thaw_gpu_conv *conv);
size_t thaw_gpu_conv_workspace(const struct thaw_gpu_conv *conv);

/* Whether it makes the statistics that the spec asked for. If not, it is the one without them. */
bool thaw_gpu_conv_has_statistics(const struct thaw_gpu_conv *conv);

/* Words for a table: "engine 47", and where that comes from: " (timed 0.123 ms)" chosen just now, " (kept)" chosen by
 * timing before, " (proposed)" without timing. */
const char *thaw_gpu_conv_engine(const struct thaw_gpu_conv *conv);

/* Addresses are multiples of 16. The pass writes the one that is its result. */
struct thaw_gpu_conv_tensors {
	void *x, *w, *y;
	const void *bias, *residual; /* as in the spec */
	float *sums;                 /* with statistics: (2, K) sums over y (N*OH*OW, K) and over its squares, written */
	void *workspace;
};
thaw_status thaw_gpu_conv_run(struct thaw_gpu_stream *stream, struct thaw_gpu_conv *conv,
                              const struct thaw_gpu_conv_tensors *tensors);

/* --- matrix products --------------------------------------------------------------------------------------------- */

/* c (rows, columns) = a (rows, inner) b (inner, columns), each with so many numbers from one row to the next;
 * `a_turned`: a stands as (inner, rows), `b_turned`: b as (columns, inner). Sums in float32. */
struct thaw_gpu_gemm_spec {
	int rows, columns, inner;
	int a_stride, b_stride, c_stride;
	bool a_turned, b_turned;
	enum thaw_number number, c_number; /* of a and b; of c: the same or THAW_FLOAT32 */
	bool tf32;
};

thaw_status thaw_gpu_gemm_new(struct thaw_gpu *gpu, const struct thaw_gpu_gemm_spec *spec,
                              struct thaw_gpu_gemm **gemm_out);
void thaw_gpu_gemm_free(struct thaw_gpu_gemm *gemm);
size_t thaw_gpu_gemm_workspace(const struct thaw_gpu_gemm *gemm);

/* Addresses are multiples of this many bytes, as whatever a plan or a slab of parameters places is; that of the
 * workspace, as the memory that a plan begins with is, of what cublasLtMatmul() wants. */
enum { THAW_GPU_GEMM_ALIGNMENT = 64, THAW_GPU_GEMM_WORKSPACE_ALIGNMENT = 256 };
thaw_status thaw_gpu_gemm_run(struct thaw_gpu_stream *stream, struct thaw_gpu_gemm *gemm, const void *a, const void *b,
                              void *c, void *workspace);

/* --- graphs ------------------------------------------------------------------------------------------------------ */

/* From begin to end nothing that is enqueued on the stream, or on others that were made to come after it by events,
 * happens: it becomes a graph, which can then be enqueued as often as wanted. Pointers and arguments are part of it,
 * not what they point to. Streams drawn in must have come together again by the end. In between no memory is
 * allocated and nobody waits. */
thaw_status thaw_gpu_capture_begin(struct thaw_gpu_stream *stream);
thaw_status thaw_gpu_capture_end(struct thaw_gpu_stream *stream, struct thaw_gpu_graph **graph_out);
void thaw_gpu_graph_free(struct thaw_gpu_graph *graph);
thaw_status thaw_gpu_graph_launch(struct thaw_gpu_stream *stream, struct thaw_gpu_graph *graph);

#endif
