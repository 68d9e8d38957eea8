/*
 * A GPU that is not there: nn/cuda/gpu.h made of the host alone, for tests.
 *
 * What a stream is given to do is put in a queue and done as late as possible, when somebody waits; of several
 * streams that could go on one is drawn (THAW_SIM_SEED), and so is the order of a kernel's blocks, of a block's threads
 * between two barriers, and of a graph's nodes. What comes before what only by luck on a real device comes too late
 * here, and shows as a wrong number.
 *
 * Device memory stands twice in the address space: where thaw is told it is, and where nobody may read or write; the
 * simulator works on the other view. New memory is full of NaN, and freed memory is never given out again. What the
 * real libraries refuse is refused with a line that begins with "sim:" and ends the process with code 99: addresses
 * that belong to nothing, are freed or misaligned, calls that a capture forbids, scratch memory that is too small.
 *
 * THAW_SIM_SEED, THAW_SIM_GPUS, THAW_SIM_MEMORY (MiB) and THAW_SIM_WORKSPACE (bytes that a convolution of a single
 * picture wants) say what else there may be. THAW_SIM_FAULT=KIND:OF breaks the device in one way, for the test of the
 * tests (planted_test.sh):
 *
 *     skip, twice : KERNEL     its launches do nothing, or are done twice; skip:zero is of thaw_gpu_zero()
 *     stale : KERNEL           it always gets the arguments of its first launch
 *     block : KERNEL           one of its blocks does not run
 *     order : 0, 1, 2          the stream that was made as this one waits for no event
 *     wait : stream, event     the host does not wait for them
 *     graph : node, edge, once the last node does not run; nodes are in no order; a graph runs only once
 *     conv : add, order, relu  gradients by x are added to what is there; weights are (K,C,R,S);
 *                              nothing is clamped
 *     sum : skip, twice        every third sum is left out; rank 1's part counts twice
 *
 * A convolution makes the statistics that it is asked for if the environment has THAW_SIM_STATISTICS=1.
 *
 * Ranks of one machine sum over their simulated GPUs (comm/nccl.h) in shared memory: sim_nccl.c.
 */
#ifndef THAW_TESTS_SIM_SIM_H
#define THAW_TESTS_SIM_SIM_H

#include "nn/cuda/gpu.h"

/* --- sim_memory.c ------------------------------------------------------------------------------------------------ */

/* Where the simulator finds device memory. Ends the process if [device, device + size_bytes) is not all part of one
 * piece of memory that is still there, or not a multiple of `alignment`. NULL stays NULL. */
void *thaw_sim_at(const void *device, size_t size_bytes, size_t alignment, const char *what);

/* How many bytes follow in the same piece of memory. */
size_t thaw_sim_behind(const void *device, const char *what);

bool thaw_sim_is_pinned(const void *host, size_t size_bytes);

_Noreturn void thaw_sim_refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- sim_block.c ------------------------------------------------------------------------------------------------- */

/* A kernel as one of its threads runs it (nn/cuda/kernels/kernel.h). */
struct thaw_at;
typedef void thaw_kernel_fn(struct thaw_at at, const void *arguments);

/* Runs the THAW_BLOCK threads of a block. Ends the process if not all come to the same barrier. */
void thaw_sim_run_block(thaw_kernel_fn *kernel, const void *arguments, unsigned block, unsigned blocks);

/* --- sim_fault.c ------------------------------------------------------------------------------------------------- */

/* Whether this fault is asked for. */
bool thaw_sim_fault(const char *kind, const char *of);

/* --- sim_stream.c ------------------------------------------------------------------------------------------------ */

/* One thing to do on a stream. `run` gets a copy of the arguments. */
enum { THAW_SIM_ARGUMENTS = 512 };
typedef void thaw_sim_run(const void *arguments);
thaw_status thaw_sim_enqueue(struct thaw_gpu_stream *stream, thaw_sim_run *run, const void *arguments,
                             size_t arguments_bytes);

/* The same for what may have to wait for other processes. False: it could not go on; it is tried again, and meanwhile the
 * other streams go on. */
typedef bool thaw_sim_try(const void *arguments);
thaw_status thaw_sim_enqueue_try(struct thaw_gpu_stream *stream, thaw_sim_try *attempt, const void *arguments,
                                 size_t arguments_bytes);

/* Whether what is enqueued on the stream becomes part of a graph. */
bool thaw_sim_is_captured(const struct thaw_gpu_stream *stream);

/* A whole number below `limit`, the next of a stream that THAW_SIM_SEED begins. */
unsigned thaw_sim_draw(unsigned limit);

/* Ends the process if something is being captured. */
void thaw_sim_outside_capture(const char *call);

#endif
