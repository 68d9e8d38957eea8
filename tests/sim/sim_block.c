/*
 * The threads of a block. Each runs on a stack of its own until it waits or ends; then another goes on. Warps go on in a
 * drawn order, one as far as it can before the next, and so do the threads of a warp: what is read before a barrier that
 * is missing was not written yet, or is written over.
 *
 * Stacks are made by makecontext() and changed by _longjmp(), which unlike swapcontext() asks nothing of the kernel.
 */
#undef _FORTIFY_SOURCE /* its longjmp() takes another stack for a mistake */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "nn/cuda/kernels/kernel.h"
#include "tests/sim/sim.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

enum { WARP = 32, WARPS = THAW_BLOCK / WARP, STACK_BYTES = 65536, FENCE_BYTES = 65536 };

extern char __start_thaw_shared[], __stop_thaw_shared[]; /* the linker's: where SHARED memory of all kernels is */

enum state { READY, AT_WARP, AT_BLOCK, ENDED };

/* A stack, and where it goes on. */
struct fiber {
	jmp_buf place;
	bool begun;
	char *stack;
	void *shadow; /* the address sanitizer's, while another stack is in use */
};

static struct {
	thaw_kernel_fn *kernel;
	const void *arguments;
	unsigned block, blocks;
	enum state states[THAW_BLOCK];
	const char *places[THAW_BLOCK]; /* of those that wait */
	struct fiber *on[THAW_BLOCK];   /* the stack of one that has begun and not ended */
	unsigned queue[WARP], next;     /* threads of the warp that runs, and which of them is next */
	unsigned thread;                /* that runs */
} now;

static struct {
	struct fiber all[THAW_BLOCK], *idle[THAW_BLOCK];
	int made, idle_count;
	struct fiber *running; /* NULL: the simulator itself */
	jmp_buf simulator;
} fibers;

/* --- stacks ------------------------------------------------------------------------------------------------------ */

/* The address sanitizer wants to know of stacks: before one is left, and on the other. NULL: the simulator's. */
#ifdef __SANITIZE_ADDRESS__
static struct {
	const void *stack;
	size_t stack_bytes;
	void *shadow;
} simulator;

static void leave_for(struct fiber *from, const struct fiber *to)
{
	__sanitizer_start_switch_fiber(from ? &from->shadow : &simulator.shadow, to ? to->stack : simulator.stack,
	                               to ? STACK_BYTES : simulator.stack_bytes);
}

static void arrive_at(struct fiber *fiber)
{
	const void *stack;
	size_t stack_bytes;

	__sanitizer_finish_switch_fiber(fiber ? fiber->shadow : simulator.shadow, &stack, &stack_bytes);
	if (fiber)
		simulator.stack = stack, simulator.stack_bytes = stack_bytes;
}
#else
static void leave_for(struct fiber *from, const struct fiber *to)
{
	(void)from, (void)to;
}

static void arrive_at(struct fiber *fiber)
{
	(void)fiber;
}
#endif

/* Back to the simulator, until it resumes this fiber. */
static void leave(void)
{
	struct fiber *fiber = fibers.running;

	leave_for(fiber, NULL);
	if (!_setjmp(fiber->place))
		_longjmp(fibers.simulator, 1);
	arrive_at(fibers.running);
}

/* The threads of the warp that have not begun, until one waits, and then of other warps. */
static void run_threads(void)
{
	arrive_at(fibers.running);
	for (;;) {
		struct fiber *fiber = fibers.running;

		while (now.next < WARP && !now.on[now.queue[now.next]]) {
			unsigned thread = now.thread = now.queue[now.next++];

			now.on[thread] = fiber;
			now.kernel((struct thaw_at){now.block, now.blocks, thread, THAW_BLOCK}, now.arguments);
			now.states[thread] = ENDED;
			now.on[thread] = NULL;
		}
		fibers.idle[fibers.idle_count++] = fiber;
		leave();
	}
}

static void make_fiber(void)
{
	struct fiber *fiber = &fibers.all[fibers.made++];

	char *memory = mmap(NULL, FENCE_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (memory == MAP_FAILED || mprotect(memory, FENCE_BYTES, PROT_NONE))
		thaw_sim_refuse("no memory for the threads of a block");
	fiber->stack = memory + FENCE_BYTES; /* it grows towards what nobody may touch */
	fibers.idle[fibers.idle_count++] = fiber;
}

/* Until the fiber leaves. */
static void resume(struct fiber *fiber)
{
	static ucontext_t context;

	fibers.running = fiber;
	leave_for(NULL, fiber);
	if (!_setjmp(fibers.simulator)) {
		if (fiber->begun)
			_longjmp(fiber->place, 1);
		fiber->begun = true;
		getcontext(&context);
		context.uc_stack.ss_sp = fiber->stack;
		context.uc_stack.ss_size = STACK_BYTES;
		makecontext(&context, run_threads, 0);
		setcontext(&context);
	}
	arrive_at(NULL);
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

static void wait_at(enum state state, const char *place)
{
	unsigned thread = now.thread;

	now.states[thread] = state;
	now.places[thread] = place;
	leave();
	now.thread = thread;
}

void thaw_wait_for_warp(const char *place)
{
	wait_at(AT_WARP, place);
}

void thaw_wait_for_block(const char *place)
{
	wait_at(AT_BLOCK, place);
}

void thaw_refuse_words(const void *words)
{
	thaw_sim_refuse("a kernel reads or writes 8 or 16 bytes at once at %p", words);
}

/* Whether `count` threads from the first are all in this state, at one place. */
static bool all_are(enum state state, unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		if (now.states[i] != state || (state != ENDED && now.places[i] != now.places[first]))
			return false;
	return true;
}

/* --- warps ------------------------------------------------------------------------------------------------------- */

/* Threads are many: their order comes from less than thaw_sim_draw(), which begins it. */
static unsigned draw_quickly(unsigned limit)
{
	static uint32_t x;
	static bool begun;

	x = begun ? x * 1664525 + 1013904223 : thaw_sim_draw(1 << 30);
	begun = true;
	return (x >> 16) % limit;
}

/* Each thread of the warp goes on until it waits or ends. */
static void run_warp(unsigned warp)
{
	unsigned first = draw_quickly(WARP), step = 2 * draw_quickly(WARP / 2) + 1; /* odd: reaches all of them */

	for (unsigned i = 0; i < WARP; i++)
		now.queue[i] = warp * WARP + (first + i * step) % WARP;
	now.next = 0;
	while (now.next < WARP) {
		unsigned thread = now.queue[now.next];

		if (now.on[thread]) {
			now.next++;
			resume(now.on[thread]);
			continue;
		}
		if (fibers.idle_count == 0)
			make_fiber();
		resume(fibers.idle[--fibers.idle_count]);
	}
}

/* A warp that can go on, mostly the one that did before, else one that is drawn; WARPS: none. */
static unsigned next_warp(unsigned before)
{
	unsigned first = draw_quickly(WARPS), step = 2 * draw_quickly(WARPS / 2) + 1;

	first = draw_quickly(16) ? before : first;
	for (unsigned i = 0; i < WARPS; i++) {
		unsigned warp = (first + i * step) % WARPS;

		if (all_are(READY, warp * WARP, WARP) || all_are(AT_WARP, warp * WARP, WARP))
			return warp;
	}
	return WARPS;
}

/* Two threads of a block that wait for what will not be. */
static _Noreturn void refuse_places(void)
{
	unsigned one = 0, other = 0;

	while (now.states[one] == ENDED) /* one is left, or all would have */
		one++;
	while (other + 1 < THAW_BLOCK && now.states[other] == now.states[one] && now.places[other] == now.places[one])
		other++;
	thaw_sim_refuse("thread %u of a block waits at %s, thread %u %s%s", one, now.places[one], other,
	                now.states[other] == ENDED ? "has ended" : "at ",
	                now.states[other] == ENDED ? "" : now.places[other]);
}

/* What a block finds in shared memory is no number. */
static void spoil_shared(void)
{
	memset(__start_thaw_shared, 0xff, (size_t)(__stop_thaw_shared - __start_thaw_shared));
}

void thaw_sim_run_block(thaw_kernel_fn *kernel, const void *arguments, unsigned block, unsigned blocks)
{
	spoil_shared();
	now.kernel = kernel;
	now.arguments = arguments;
	now.block = block;
	now.blocks = blocks;
	for (;;) {
		unsigned warp = draw_quickly(WARPS);

		for (unsigned i = 0; i < THAW_BLOCK; i++) {
			now.states[i] = READY;
			now.places[i] = NULL;
		}
		while ((warp = next_warp(warp)) < WARPS)
			run_warp(warp);
		if (all_are(ENDED, 0, THAW_BLOCK))
			return;
		if (!all_are(AT_BLOCK, 0, THAW_BLOCK))
			refuse_places();
	}
}
