/* Copies and kernels: checked when they are enqueued, done when the stream gets there. */
#include <string.h>

#include "tests/sim/sim.h"

/* --- copies ------------------------------------------------------------------------------------------------------ */

struct copy {
	void *to;
	const void *from;
	size_t size_bytes;
	bool to_device; /* else from it */
};

static void run_copy(const void *arguments)
{
	const struct copy *copy = arguments;
	void *to = copy->to_device ? thaw_sim_at(copy->to, copy->size_bytes, 1, "a copy") : copy->to;
	const void *from = copy->to_device ? copy->from : thaw_sim_at(copy->from, copy->size_bytes, 1, "a copy");

	memmove(to, from, copy->size_bytes);
}

/* Host memory that is not pinned is copied at once, and nobody may wait in a capture. */
static thaw_status enqueue_copy(struct thaw_gpu_stream *stream, const struct copy *copy, const void *host)
{
	thaw_status status;

	thaw_sim_at(copy->to_device ? copy->to : copy->from, copy->size_bytes, 1, "a copy");
	status = thaw_sim_enqueue(stream, run_copy, copy, sizeof *copy);
	return status || thaw_sim_is_pinned(host, copy->size_bytes) ? status : thaw_gpu_wait(stream);
}

thaw_status thaw_gpu_put(struct thaw_gpu_stream *stream, void *to, const void *host, size_t size_bytes)
{
	const struct copy copy = {to, host, size_bytes, true};

	return enqueue_copy(stream, &copy, host);
}

thaw_status thaw_gpu_get(struct thaw_gpu_stream *stream, void *host, const void *from, size_t size_bytes)
{
	const struct copy copy = {host, from, size_bytes, false};

	return enqueue_copy(stream, &copy, host);
}

struct zero {
	void *to;
	size_t size_bytes;
};

static void run_zero(const void *arguments)
{
	const struct zero *zero = arguments;

	memset(thaw_sim_at(zero->to, zero->size_bytes, 1, "zeroes"), 0, zero->size_bytes);
}

thaw_status thaw_gpu_zero(struct thaw_gpu_stream *stream, void *to, size_t size_bytes)
{
	const struct zero zero = {to, size_bytes};

	thaw_sim_at(to, size_bytes, 1, "zeroes");
	return thaw_sim_fault("skip", "zero") ? THAW_OK : thaw_sim_enqueue(stream, run_zero, &zero, sizeof zero);
}

/* --- kernels ----------------------------------------------------------------------------------------------------- */

#define DECLARE(name, pointers) thaw_kernel_fn thaw_kernel_##name;
THAW_KERNELS(DECLARE)
#undef DECLARE

#define ROW(name, pointers) {thaw_kernel_##name, #name, pointers, sizeof(struct thaw_##name##_args)},
static const struct {
	thaw_kernel_fn *run;
	const char *name;
	int pointers; /* with which the arguments begin */
	size_t arguments_bytes;
} kernels[] = {THAW_KERNELS(ROW)};
#undef ROW

struct launch {
	enum thaw_kernel kernel;
	unsigned blocks;
	char arguments[THAW_SIM_ARGUMENTS - 16];
};

/* Turns device addresses into where the simulator finds them. */
static void find_pointers(struct launch *launch)
{
	for (int i = 0; i < kernels[launch->kernel].pointers; i++) {
		void *pointer;

		memcpy(&pointer, launch->arguments + (size_t)i * sizeof pointer, sizeof pointer);
		pointer = thaw_sim_at(pointer, 1, 1, kernels[launch->kernel].name);
		memcpy(launch->arguments + (size_t)i * sizeof pointer, &pointer, sizeof pointer);
	}
}

/* Blocks from a drawn one on, upwards or downwards. */
static void run_launch(const void *arguments)
{
	struct launch launch = *(const struct launch *)arguments;
	unsigned first = thaw_sim_draw(launch.blocks), up = thaw_sim_draw(2);

	find_pointers(&launch);
	for (unsigned i = thaw_sim_fault("block", kernels[launch.kernel].name); i < launch.blocks; i++) {
		unsigned block = (first + (up ? i : launch.blocks - i)) % launch.blocks;

		thaw_sim_run_block(kernels[launch.kernel].run, launch.arguments, block, launch.blocks);
	}
}

/* Arguments that a cache, or a recording, did not renew. */
static void make_faulty(struct launch *launch)
{
	static struct launch stale;

	if (!thaw_sim_fault("stale", kernels[launch->kernel].name))
		return;
	if (stale.blocks)
		*launch = stale;
	stale = *launch;
}

thaw_status thaw_gpu_launch(struct thaw_gpu_stream *stream, enum thaw_kernel kernel, int64_t blocks,
                            const void *arguments, size_t arguments_bytes)
{
	struct launch launch = {.kernel = kernel, .blocks = (unsigned)blocks}, checked;

	if (blocks == 0)
		return THAW_OK;
	if (blocks < 0 || blocks > INT32_MAX)
		thaw_sim_refuse("%s: %lld blocks", kernels[kernel].name, (long long)blocks);
	if (arguments_bytes != kernels[kernel].arguments_bytes)
		thaw_sim_refuse("%s: %zu bytes of arguments, not %zu", kernels[kernel].name, arguments_bytes,
		                kernels[kernel].arguments_bytes);
	memcpy(launch.arguments, arguments, arguments_bytes);
	make_faulty(&launch);
	checked = launch;
	find_pointers(&checked);
	if (thaw_sim_fault("skip", kernels[kernel].name))
		return THAW_OK;
	if (thaw_sim_fault("twice", kernels[kernel].name))
		thaw_sim_enqueue(stream, run_launch, &launch, sizeof launch);
	return thaw_sim_enqueue(stream, run_launch, &launch, sizeof launch);
}
