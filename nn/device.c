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

thaw_status thaw_device_open(const char *name, int threads, struct thaw_device **device_out)
{
	bool automatic = strcmp(name, "auto") == 0;
	struct thaw_device *device = thaw_alloc(1, sizeof *device);
	thaw_status status = THAW_OK;

	if (!device)
		return THAW_OUT_OF_MEMORY;
	device->threads = threads;
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

void thaw_device_free(struct thaw_device *device)
{
	if (!device)
		return;
	thaw_free_slab(device->arena);
	free(device);
}

thaw_status thaw_device_check(const struct thaw_device *device, size_t size_bytes, const char *what)
{
	return thaw_memory_check(thaw_memory_available(""), device->sharers, device->arena_bytes, size_bytes, what);
}

thaw_status thaw_device_reserve(struct thaw_device *device, size_t size_bytes)
{
	static const char what[] = "activations and their gradients";
	char *arena;
	thaw_status status;

	if (size_bytes <= device->arena_bytes)
		return THAW_OK;
	status = thaw_device_check(device, size_bytes, what);
	if (status)
		return status;
	thaw_free_slab(device->arena);
	device->arena = NULL;
	device->arena_bytes = 0;
	arena = thaw_alloc_slab(size_bytes, what);
	if (!arena)
		return THAW_OUT_OF_MEMORY;
	device->arena = arena;
	device->arena_bytes = size_bytes;
	return THAW_OK;
}
