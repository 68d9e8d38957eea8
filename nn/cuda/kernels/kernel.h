/*
 * How a kernel is written: once, as C that is CUDA too.
 *
 *     KERNEL(scale)                              // on a GPU: thaw_kernel_scale<<<blocks, THAW_BLOCK>>>(a)
 *     {                                          // `a` is a struct thaw_scale_args, `at` says which thread this is
 *         for (size_t i = thaw_first(at); i < a.count; i += thaw_stride(at))
 *             a.to[i] = a.factor * a.from[i];
 *     }
 *
 * Loops go from the thread's number in steps of the number of threads, sums over a block go through the functions
 * below, and what other threads of the block wrote to SHARED memory is read behind BARRIER().
 *
 * On the host the same text becomes a function that is one thread. Whoever calls it (tests/sim/sim_block.c) runs blocks
 * one after another, and the threads of a block in any order, each up to the next BARRIER().
 */
#ifndef THAW_NN_CUDA_KERNELS_KERNEL_H
#define THAW_NN_CUDA_KERNELS_KERNEL_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "nn/cuda/kernels/kernels.h"

/* Which thread this is. */
struct thaw_at {
	unsigned block, blocks, thread, threads;
};

#define WORDS_OF(words) #words

#ifdef __CUDACC__

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define DEVICE static __device__ __forceinline__
#define SHARED __shared__
#define BARRIER() __syncthreads()
#define FENCE() __threadfence()
#define UNROLL(times) _Pragma(WORDS_OF(unroll times))

#define KERNEL(name)                                                                                     \
	static __device__ __forceinline__ void name##_thread(struct thaw_at at, const struct thaw_##name##_args &a); \
	extern "C" __global__ void __launch_bounds__(THAW_BLOCK)                                             \
		thaw_kernel_##name(const __grid_constant__ struct thaw_##name##_args a)                                 \
	{                                                                                                    \
		name##_thread({blockIdx.x, gridDim.x, threadIdx.x, blockDim.x}, a);                               \
	}                                                                                                    \
	static __device__ __forceinline__ void name##_thread(struct thaw_at at, const struct thaw_##name##_args &a)

#else

#include "base/half.h"

/* Return when all threads of the warp, or of the block, have come to the same place. */
void thaw_wait_for_warp(const char *place);
void thaw_wait_for_block(const char *place);

/* Ends the process: a GPU reads and writes 16 bytes at multiples of 16 alone, and 8 at those of 8. */
_Noreturn void thaw_refuse_words(const void *words);

#define PLACE_OF(line) __FILE__ ":" WORDS_OF(line)
#define PLACE PLACE_OF(__LINE__)

#define DEVICE static inline __attribute__((always_inline))
#define SHARED static __attribute__((section("thaw_shared"))) /* of one block at a time */
#define BARRIER() thaw_wait_for_block(PLACE)
#define FENCE() ((void)0)
#define UNROLL(times)

#define KERNEL(name)                                                            \
	static void name##_thread(struct thaw_at at, struct thaw_##name##_args a);  \
	void thaw_kernel_##name(struct thaw_at at, const void *a);                  \
	void thaw_kernel_##name(struct thaw_at at, const void *a)                   \
	{                                                                           \
		struct thaw_##name##_args copy;                                         \
                                                                                \
		memcpy(&copy, a, sizeof copy);                                          \
		name##_thread(at, copy);                                                \
	}                                                                           \
	static void name##_thread(struct thaw_at at, struct thaw_##name##_args a)

#endif

/* The thread's number in the whole grid, and how many there are. */
DEVICE size_t thaw_first(struct thaw_at at)
{
	return (size_t)at.block * at.threads + at.thread;
}

DEVICE size_t thaw_stride(struct thaw_at at)
{
	return (size_t)at.blocks * at.threads;
}

/* One is added; what was there before. */
DEVICE uint32_t thaw_next_ticket(uint32_t *tickets)
{
#ifdef __CUDACC__
	return atomicAdd(tickets, 1u);
#else
	return (*tickets)++;
#endif
}

/* --- numbers ----------------------------------------------------------------------------------------------------- */

DEVICE float thaw_half_bits_to_float(uint16_t bits)
{
#ifdef __CUDACC__
	return __half2float(__ushort_as_half(bits));
#else
	return thaw_half_to_float(bits);
#endif
}

DEVICE uint16_t thaw_half_bits(float x)
{
#ifdef __CUDACC__
	return __half_as_ushort(__float2half_rn(x));
#else
	return thaw_float_to_half(x);
#endif
}

DEVICE float thaw_bf16_bits_to_float(uint16_t bits)
{
#ifdef __CUDACC__
	return __uint_as_float((unsigned)bits << 16);
#else
	return thaw_bf16_to_float(bits);
#endif
}

DEVICE uint16_t thaw_bf16_bits(float x)
{
#ifdef __CUDACC__
	return __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
	return thaw_float_to_bf16(x);
#endif
}

DEVICE float thaw_load(enum thaw_number number, const void *from, size_t i)
{
	if (number == THAW_FLOAT32)
		return ((const float *)from)[i];
	if (number == THAW_FLOAT16)
		return thaw_half_bits_to_float(((const uint16_t *)from)[i]);
	return thaw_bf16_bits_to_float(((const uint16_t *)from)[i]);
}

DEVICE void thaw_store(enum thaw_number number, void *to, size_t i, float x)
{
	if (number == THAW_FLOAT32)
		((float *)to)[i] = x;
	else if (number == THAW_FLOAT16)
		((uint16_t *)to)[i] = thaw_half_bits(x);
	else
		((uint16_t *)to)[i] = thaw_bf16_bits(x);
}

/* Eight numbers at once, the `i`-th eight: 16 bytes of halves, 32 of floats, aligned to 16. */
struct thaw_words {
	uint32_t word[4];
};

DEVICE struct thaw_words thaw_load_words(const void *from, size_t i)
{
	struct thaw_words words;

#ifdef __CUDACC__
	uint4 all = ((const uint4 *)from)[i];

	words.word[0] = all.x, words.word[1] = all.y, words.word[2] = all.z, words.word[3] = all.w;
#else
	if ((uintptr_t)from % sizeof words != 0)
		thaw_refuse_words(from);
	memcpy(&words, (const char *)from + i * sizeof words, sizeof words);
#endif
	return words;
}

DEVICE void thaw_store_words(void *to, size_t i, struct thaw_words words)
{
#ifdef __CUDACC__
	((uint4 *)to)[i] = make_uint4(words.word[0], words.word[1], words.word[2], words.word[3]);
#else
	if ((uintptr_t)to % sizeof words != 0)
		thaw_refuse_words(to);
	memcpy((char *)to + i * sizeof words, &words, sizeof words);
#endif
}

DEVICE float thaw_word_to_float(uint32_t word)
{
#ifdef __CUDACC__
	return __uint_as_float(word);
#else
	return thaw_float_of(word);
#endif
}

DEVICE uint32_t thaw_float_to_word(float x)
{
#ifdef __CUDACC__
	return __float_as_uint(x);
#else
	return thaw_bits_of(x);
#endif
}

DEVICE void thaw_load8(enum thaw_number number, const void *from, size_t i, float x[8])
{
	if (number == THAW_FLOAT32) {
		struct thaw_words low = thaw_load_words(from, 2 * i), high = thaw_load_words(from, 2 * i + 1);

		for (int k = 0; k < 4; k++) {
			x[k] = thaw_word_to_float(low.word[k]);
			x[4 + k] = thaw_word_to_float(high.word[k]);
		}
	} else {
		struct thaw_words all = thaw_load_words(from, i);

		for (int k = 0; k < 8; k++) {
			uint16_t bits = (uint16_t)(all.word[k / 2] >> (k % 2 * 16));

			x[k] = number == THAW_FLOAT16 ? thaw_half_bits_to_float(bits) : thaw_bf16_bits_to_float(bits);
		}
	}
}

DEVICE void thaw_store8(enum thaw_number number, void *to, size_t i, const float x[8])
{
	struct thaw_words all = {{0, 0, 0, 0}}, more;

	if (number == THAW_FLOAT32) {
		for (int k = 0; k < 4; k++) {
			all.word[k] = thaw_float_to_word(x[k]);
			more.word[k] = thaw_float_to_word(x[4 + k]);
		}
		thaw_store_words(to, 2 * i, all);
		thaw_store_words(to, 2 * i + 1, more);
	} else {
		for (int k = 0; k < 8; k++)
			all.word[k / 2] |=
				(uint32_t)(number == THAW_FLOAT16 ? thaw_half_bits(x[k]) : thaw_bf16_bits(x[k])) << (k % 2 * 16);
		thaw_store_words(to, i, all);
	}
}

/* Eight bytes at once, the `i`-th eight, aligned to 8: byte k is bits 8k.. of the result. */
DEVICE uint64_t thaw_load_bytes(const uint8_t *from, size_t i)
{
#ifdef __CUDACC__
	return ((const unsigned long long *)from)[i];
#else
	uint64_t bytes;

	if ((uintptr_t)from % sizeof bytes != 0)
		thaw_refuse_words(from);
	memcpy(&bytes, from + i * sizeof bytes, sizeof bytes);
	return bytes;
#endif
}

DEVICE void thaw_store_bytes(uint8_t *to, size_t i, uint64_t bytes)
{
#ifdef __CUDACC__
	((unsigned long long *)to)[i] = bytes;
#else
	if ((uintptr_t)to % sizeof bytes != 0)
		thaw_refuse_words(to);
	memcpy(to + i * sizeof bytes, &bytes, sizeof bytes);
#endif
}

/* Calls function(number, ...) with a constant, so that the compiler makes one version of it for each type. */
#define BY_NUMBER(number, function, ...)          \
	switch (number) {                             \
	case THAW_FLOAT32:                               \
		function(THAW_FLOAT32, __VA_ARGS__);         \
		break;                                    \
	case THAW_BFLOAT16:                               \
		function(THAW_BFLOAT16, __VA_ARGS__);         \
		break;                                    \
	case THAW_FLOAT16:                               \
		function(THAW_FLOAT16, __VA_ARGS__);         \
		break;                                    \
	}

/* --- a block together -------------------------------------------------------------------------------------------- */

/* `mine` of the thread that is `delta` further in the warp of 32; its own, where that is beyond the warp. */
DEVICE double thaw_shuffle_down(struct thaw_at at, double mine, unsigned delta)
{
#ifdef __CUDACC__
	(void)at;
	return __shfl_down_sync(0xffffffffu, mine, delta);
#else
	static double all[THAW_BLOCK];
	double got;

	all[at.thread] = mine;
	thaw_wait_for_warp(PLACE);
	got = at.thread % 32 + delta < 32 ? all[at.thread + delta] : mine;
	thaw_wait_for_warp(PLACE);
	return got;
#endif
}

/* The sum over the threads of the block, for every thread. All of them call it. */
DEVICE double thaw_block_sum(struct thaw_at at, double mine)
{
	SHARED double sums[THAW_BLOCK / 32];

	for (unsigned delta = 16; delta > 0; delta /= 2)
		mine += thaw_shuffle_down(at, mine, delta);
	BARRIER(); /* who still reads the sums of the call before */
	if (at.thread % 32 == 0)
		sums[at.thread / 32] = mine;
	BARRIER();
	mine = 0;
	for (unsigned warp = 0; warp < at.threads / 32; warp++)
		mine += sums[warp];
	return mine;
}

/* The largest over the threads of the block, for every thread; NaN is never the largest. All of them call it. */
DEVICE float thaw_block_max(struct thaw_at at, float mine)
{
	SHARED float most[THAW_BLOCK / 32];

	for (unsigned delta = 16; delta > 0; delta /= 2)
		mine = fmaxf(mine, (float)thaw_shuffle_down(at, (double)mine, delta));
	BARRIER();
	if (at.thread % 32 == 0)
		most[at.thread / 32] = mine;
	BARRIER();
	mine = most[0];
	for (unsigned warp = 1; warp < at.threads / 32; warp++)
		mine = fmaxf(mine, most[warp]);
	return mine;
}

/* Whether this block is the last of `blocks` to come here: what the others wrote before can then be read. `tickets`
 * is 0 before the first of them, and again behind the last. All threads of the block call it. */
DEVICE bool thaw_last_block(struct thaw_at at, uint32_t *tickets, unsigned blocks)
{
	SHARED bool last;

	FENCE();
	BARRIER();
	if (at.thread == 0) {
		last = thaw_next_ticket(tickets) == blocks - 1;
		if (last)
			*tickets = 0;
	}
	BARRIER();
	FENCE();
	return last;
}

#endif
