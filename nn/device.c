#include "nn/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/available.h"
#include "base/mem.h"
#include "base/text.h"
#include "nn/cuda/module.h"

#ifdef THAW_HAVE_CUDA
static thaw_status find_cuda(struct thaw_device *device)
{
	const struct thaw_cuda_module *module;
	thaw_status status = thaw_cuda_find(&module);

	if (status)
		return status;
	device->backend = module->backend;
	device->sums = module->sums;
	return THAW_OK;
}

/* Where there is no driver the module still tells the versions of its libraries. */
static thaw_status survey_cuda(struct thaw_found *found)
{
	const struct thaw_cuda_module *module;
	size_t length;
	thaw_status status;

	if (thaw_cuda_load(&module))
		return thaw_cuda_find(&module); /* its words begin with the driver, without which the rest does not matter */
	status = module->backend->survey(found);
	length = strlen(found->versions);
	snprintf(found->versions + length, sizeof found->versions - length, ", %s", module->sums_version());
	return status;
}
#endif

static thaw_status find_cpu(struct thaw_device *device)
{
	device->backend = &thaw_backend_cpu;
	return THAW_OK;
}

static thaw_status find_reference(struct thaw_device *device)
{
	device->backend = &thaw_backend_reference;
	return THAW_OK;
}

/* Fastest first. `auto` takes the first of those it may take that is at home here. */
static const struct row {
	const char *name;
	thaw_status (*find)(struct thaw_device *device);
	bool automatic;
	thaw_status (*survey)(struct thaw_found *found); /* NULL: opening it tells all there is */
	bool (*has_driver)(void);                        /* for what it computes with; NULL: it needs none */
} backends[] = {
#ifdef THAW_HAVE_CUDA
	{"cuda", find_cuda, true, survey_cuda, thaw_cuda_has_driver},
#endif
	{"cpu", find_cpu, true, NULL, NULL},
	{"reference", find_reference, false, NULL, NULL}, /* thousands of times slower: only by name */
};
enum { BACKENDS = sizeof backends / sizeof *backends };

const char *thaw_device_name(int i)
{
	return i >= 0 && i < BACKENDS ? backends[i].name : NULL;
}

static thaw_status fail_unknown(const char *name)
{
	struct thaw_text names = THAW_TEXT_EMPTY;
	thaw_status status;

	for (int i = 0; thaw_device_name(i); i++)
		thaw_text_add(&names, " %s", thaw_device_name(i));
	status = thaw_fail(THAW_BAD_JOB, "no device '%s' in this build: there are auto%s", name, names.data);
	thaw_text_release(&names);
	return status;
}

/* Leaves the device without a backend if it fails. */
static thaw_status start(struct thaw_device *device, const struct row *row)
{
	thaw_status status = row->find(device);

	if (!status)
		status = device->backend->start(device);
	if (status)
		device->backend = NULL;
	return status;
}

/* Says nothing of why there are none: opening does. */
static struct thaw_found find_gpus(const struct row *row)
{
	struct thaw_device device = {.backend = NULL};
	struct thaw_found found = {.gpus = 0};

	if (row->find(&device))
		found.gpus = row->has_driver && row->has_driver() ? -1 : 0;
	else if (device.backend->survey)
		(void)device.backend->survey(&found);
	return found;
}

/* Whether `auto` may pass over this one, which cannot be opened: not if there is a GPU that cannot be had. A run would go
 * on for days on a few processors of a machine that was bought for its GPUs. */
static bool is_elsewhere(int i)
{
	char words[THAW_WORDS];

	snprintf(words, sizeof words, "%s", thaw_fail_text());
	if (i + 1 == BACKENDS || !backends[i + 1].automatic)
		return false;
	if (find_gpus(&backends[i]).gpus == 0)
		return true;
	thaw_fail(THAW_FAILED, "%s; device: cpu does without", words);
	return false;
}

thaw_status thaw_device_open(const char *name, int threads, int gpu, struct thaw_device **device_out)
{
	bool automatic = strcmp(name, "auto") == 0, known = false;
	struct thaw_device *device = thaw_alloc(1, sizeof *device);
	thaw_status status = THAW_OK;

	if (!device)
		return THAW_OUT_OF_MEMORY;
	device->threads = threads;
	device->gpu = gpu;
	device->sharers = 1;
	device->loss_scale = 1;
	for (int i = 0; i < BACKENDS && !device->backend && !status; i++) {
		if (automatic ? !backends[i].automatic : strcmp(name, backends[i].name) != 0)
			continue;
		known = true;
		status = start(device, &backends[i]);
		if (status == THAW_FAILED && automatic && is_elsewhere(i))
			status = THAW_OK;
	}
	if (!known)
		status = fail_unknown(name);
	if (status)
		thaw_device_free(device);
	else
		*device_out = device;
	return status;
}

thaw_status thaw_device_compute(struct thaw_device *device, const char *precision, bool tf32)
{
	static const char *const names[] = {[THAW_FLOAT32] = "fp32", [THAW_BFLOAT16] = "bf16", [THAW_FLOAT16] = "fp16"};
	size_t i = 0;

	while (i < sizeof names / sizeof *names && strcmp(names[i], precision) != 0)
		i++;
	if (i == sizeof names / sizeof *names)
		return thaw_fail(THAW_BAD_JOB, "precision: '%s', allowed are fp32, bf16, fp16", precision);
	if (i != THAW_FLOAT32 && !device->backend->memory)
		return thaw_fail(THAW_BAD_JOB, "precision: %s, but device '%s' computes with fp32 alone: set precision: fp32", precision,
		                 device->backend->name);
	device->number = (enum thaw_number)i;
	device->tf32 = tf32;
	return THAW_OK;
}

static void free_arena(struct thaw_device *device)
{
	if (device->backend && device->backend->memory && device->own)
		device->backend->memory->release(device, device->arena);
	else
		thaw_free_slab(device->arena);
	device->arena = NULL;
	device->arena_bytes = 0;
}

void thaw_device_free(struct thaw_device *device)
{
	if (!device)
		return;
	free_arena(device);
	if (device->backend && device->backend->stop)
		device->backend->stop(device);
	free(device);
}

const char *thaw_device_describe(const struct thaw_device *device)
{
	return device->backend->describe(device);
}

/* --- what there is ----------------------------------------------------------------------------------------------- */

thaw_status thaw_device_survey(int i, struct thaw_found *found_out)
{
	struct thaw_device *device;
	thaw_status status;

	*found_out = (struct thaw_found){.gpus = 0};
	if (backends[i].survey)
		return backends[i].survey(found_out);
	status = thaw_device_open(backends[i].name, 1, 0, &device);
	if (status)
		return status;
	snprintf(found_out->versions, sizeof found_out->versions, "%s", thaw_device_describe(device));
	thaw_device_free(device);
	return THAW_OK;
}

thaw_status thaw_device_look(int i, int gpu, struct thaw_found_gpu *gpu_out)
{
	struct thaw_device device = {.gpu = gpu};
	thaw_status status = backends[i].find(&device);

	return status ? status : device.backend->look(gpu, gpu_out);
}

void thaw_device_gpus(const char *name, struct thaw_found *found_out)
{
	bool automatic = strcmp(name, "auto") == 0;

	*found_out = (struct thaw_found){.gpus = 0};
	for (int i = 0; i < BACKENDS && found_out->gpus == 0; i++)
		if (automatic ? backends[i].automatic : strcmp(name, backends[i].name) == 0)
			*found_out = find_gpus(&backends[i]);
	if (found_out->gpus < 0)
		found_out->gpus = 0;
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

thaw_status thaw_device_available(const struct thaw_device *device, size_t *bytes_out)
{
	const struct thaw_memory_ops *memory = device->backend->memory;
	size_t available = (size_t)(thaw_memory_available("") / (uint64_t)device->sharers);
	thaw_status status = memory ? memory->available(device, &available) : THAW_OK;

	if (!status)
		*bytes_out = available < SIZE_MAX - device->arena_bytes ? available + device->arena_bytes : SIZE_MAX;
	return status;
}

static thaw_status allocate_pinned(void *context, size_t size_bytes, const char *what, void **memory_out)
{
	struct thaw_device *device = context;

	return device->backend->queue->allocate_pinned(device, size_bytes, what, memory_out);
}

static void release_pinned(void *context, void *memory)
{
	struct thaw_device *device = context;

	device->backend->queue->release_pinned(device, memory);
}

struct thaw_allocator thaw_device_allocator(struct thaw_device *device)
{
	if (!device->backend->queue)
		return (struct thaw_allocator){.context = NULL};
	return (struct thaw_allocator){allocate_pinned, release_pinned, device};
}

thaw_status thaw_device_check(const struct thaw_device *device, size_t size_bytes, const char *what)
{
	const struct thaw_memory_ops *memory = device->backend->memory;
	size_t available;
	thaw_status status;

	if (!memory)
		return thaw_memory_check(thaw_memory_available(""), device->sharers, device->arena_bytes, size_bytes, what);
	status = memory->available(device, &available);
	return status ? status : thaw_memory_check(available, 1, device->arena_bytes, size_bytes, what);
}

thaw_status thaw_device_reserve(struct thaw_device *device, size_t size_bytes)
{
	static const char what[] = "activations and their gradients";
	void *arena;
	thaw_status status;

	if (size_bytes <= device->arena_bytes)
		return THAW_OK;
	status = thaw_device_check(device, size_bytes, what);
	if (status)
		return status;
	free_arena(device);
	if (device->backend->memory)
		status = device->backend->memory->allocate(device, size_bytes, what, &arena);
	else
		status = (arena = thaw_alloc_slab(size_bytes, what)) ? THAW_OK : THAW_OUT_OF_MEMORY;
	if (status)
		return status;
	device->arena = arena;
	device->arena_bytes = size_bytes;
	device->moves++;
	return THAW_OK;
}
