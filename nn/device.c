#include "nn/device.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

/* Fastest first: "auto" takes the first that starts. */
static const struct thaw_backend *const backends[] = {
	&thaw_backend_cpu,
	&thaw_backend_reference,
};

const char *thaw_device_name(int i)
{
	return i >= 0 && (size_t)i < sizeof backends / sizeof *backends ? backends[i]->name : NULL;
}

static thaw_status find(const char *name, const struct thaw_backend **backend_out)
{
	struct thaw_text names = THAW_TEXT_EMPTY;
	thaw_status status;

	for (size_t i = 0; i < sizeof backends / sizeof *backends; i++) {
		if (strcmp(name, "auto") == 0 || strcmp(name, backends[i]->name) == 0) {
			*backend_out = backends[i];
			thaw_text_release(&names);
			return THAW_OK;
		}
		thaw_text_add(&names, " %s", backends[i]->name);
	}
	status = thaw_fail(THAW_BAD_JOB, "no device '%s' in this build: there are auto%s", name, names.data);
	thaw_text_release(&names);
	return status;
}

thaw_status thaw_device_open(const char *name, int threads, struct thaw_device **device_out)
{
	const struct thaw_backend *backend = NULL;
	struct thaw_device *device;
	thaw_status status = find(name, &backend);

	if (status)
		return status;
	device = thaw_alloc(1, sizeof *device);
	if (!device)
		return THAW_OUT_OF_MEMORY;
	device->backend = backend;
	device->threads = threads;
	status = backend->start(device);
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

thaw_status thaw_device_reserve(struct thaw_device *device, size_t size_bytes)
{
	char *arena;

	if (size_bytes <= device->arena_bytes)
		return THAW_OK;
	thaw_free_slab(device->arena);
	device->arena = NULL;
	device->arena_bytes = 0;
	arena = thaw_alloc_slab(size_bytes, "activations and their gradients");
	if (!arena)
		return THAW_OUT_OF_MEMORY;
	device->arena = arena;
	device->arena_bytes = size_bytes;
	return THAW_OK;
}
