#include "nn/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/available.h"
#include "base/mem.h"
#include "base/text.h"

/* Fastest first. `auto` takes the first of those it may take that is at home here. */
static const struct row {
	const struct thaw_backend *backend;
	bool automatic;
} backends[] = {
#ifdef THAW_HAVE_CUDA
	{&thaw_backend_cuda, true},
#endif
	{&thaw_backend_cpu, true},
	{&thaw_backend_reference, false}, /* thousands of times slower: only by name */
};
enum { BACKENDS = sizeof backends / sizeof *backends };

const char *thaw_device_name(int i)
{
	return i >= 0 && i < BACKENDS ? backends[i].backend->name : NULL;
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

thaw_status thaw_device_open(const char *name, int threads, int gpu, struct thaw_device **device_out)
{
	bool automatic = strcmp(name, "auto") == 0;
	struct thaw_device *device = thaw_alloc(1, sizeof *device);
	thaw_status status = THAW_OK;

	if (!device)
		return THAW_OUT_OF_MEMORY;
	device->threads = threads;
	device->gpu = gpu;
	device->sharers = 1;
	for (int i = 0; i < BACKENDS && !device->backend; i++) {
		if (automatic ? !backends[i].automatic : strcmp(name, backends[i].backend->name) != 0)
			continue;
		device->backend = backends[i].backend;
		status = device->backend->start(device);
		if (status == THAW_FAILED && automatic && i + 1 < BACKENDS && backends[i + 1].automatic)
			device->backend = NULL; /* not at home here: the next may be */
	}
	if (!device->backend && !status)
		status = fail_unknown(name);
	if (status)
		thaw_device_free(device);
	else
		*device_out = device;
	return status;
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
