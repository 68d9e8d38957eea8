/* The device and its memory. */
#define _GNU_SOURCE
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "nn/cuda/lack.h"

static const size_t reserved = (size_t)1 << 38; /* of addresses; memory is what is written to */
enum { GPUS_LIMIT = 32, PIECES = 65536, ALIGNMENT = 256, GAP = 256 };

struct piece {
	char *begin;
	size_t bytes;
	bool freed;
};

struct thaw_gpu {
	struct thaw_gpu_facts facts;
};

static struct {
	char *device, *host; /* the two views */
	size_t given;        /* bytes of addresses that were given out */
	size_t held, limit;
	struct piece pieces[PIECES]; /* ascending */
	int pieces_count;
	struct piece pinned[256];
	int pinned_count;
} memory;

_Noreturn void thaw_sim_refuse(const char *format, ...)
{
	char words[THAW_WORDS];
	va_list list;

	fflush(stdout);
	va_start(list, format);
	vsnprintf(words, sizeof words, format, list);
	va_end(list);
	fprintf(stderr, "sim: %s\n", words); /* at once: other ranks have something to say too */
	_exit(99);
}

/* --- addresses --------------------------------------------------------------------------------------------------- */

/* The piece that an address is in. */
static const struct piece *find(const char *device)
{
	int low = 0, high = memory.pieces_count;

	while (low < high) {
		int middle = (low + high) / 2;

		if (memory.pieces[middle].begin <= device)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 && device < memory.pieces[low - 1].begin + memory.pieces[low - 1].bytes ? &memory.pieces[low - 1]
	                                                                                       : NULL;
}

size_t thaw_sim_behind(const void *device, const char *what)
{
	const struct piece *piece = find(device);

	if (!piece)
		thaw_sim_refuse("%s: %p is no device memory", what, device);
	if (piece->freed)
		thaw_sim_refuse("%s: %p is device memory that was freed", what, device);
	return piece->bytes - (size_t)((const char *)device - piece->begin);
}

void *thaw_sim_at(const void *device, size_t size_bytes, size_t alignment, const char *what)
{
	size_t behind;

	if (!device)
		return NULL;
	behind = thaw_sim_behind(device, what);
	if (size_bytes > behind)
		thaw_sim_refuse("%s: %zu bytes at %p, where only %zu are left", what, size_bytes, device, behind);
	if ((uintptr_t)device % alignment != 0)
		thaw_sim_refuse("%s: %p is no multiple of %zu", what, device, alignment);
	return memory.host + ((const char *)device - memory.device);
}

/* --- the device -------------------------------------------------------------------------------------------------- */

enum { GPUS_USUAL = 4, RUNTIME = 13000 };

/* GPUs of the machine that this process sees, in its order: those of THAW_SIM_GPUS that CUDA_VISIBLE_DEVICES lists. */
static int find_visible(uint32_t numbers_out[GPUS_LIMIT])
{
	const char *all = getenv("THAW_SIM_GPUS"), *list = getenv("CUDA_VISIBLE_DEVICES");
	int count = 0, limit = all ? atoi(all) : GPUS_USUAL;

	if (!list)
		for (; count < limit && count < GPUS_LIMIT; count++)
			numbers_out[count] = (uint32_t)count;
	for (; list && *list && count < GPUS_LIMIT; list += *list == ',') {
		char *end;
		long number = strtol(list, &end, 10);

		if (end == list || number < 0 || number >= limit) /* CUDA ends at what is no GPU, too */
			break;
		numbers_out[count++] = (uint32_t)number;
		list = end;
	}
	return count;
}

/* THAW_SIM_DRIVER: a driver for this version of CUDA, 12020 for 12.2; 0: there is none. */
thaw_status thaw_gpu_count(int *count_out)
{
	const char *driver = getenv("THAW_SIM_DRIVER");
	struct thaw_gpu_lack lack = {
		.driver = driver ? atoi(driver) : RUNTIME,
		.runtime = RUNTIME,
		.visible = getenv("CUDA_VISIBLE_DEVICES"),
	};
	uint32_t numbers[GPUS_LIMIT];

	lack.old = lack.driver < lack.runtime;
	*count_out = lack.old ? 0 : find_visible(numbers);
	if (*count_out > 0)
		return THAW_OK;
	*count_out = thaw_gpu_lacks_all(&lack) ? 0 : -1;
	return thaw_gpu_fail_lack(&lack);
}

void thaw_gpu_versions(char text_out[THAW_GPU_VERSIONS])
{
	snprintf(text_out, THAW_GPU_VERSIONS, "no CUDA");
}

thaw_status thaw_gpu_identity(int number, uint32_t *identity_out)
{
	uint32_t numbers[GPUS_LIMIT];

	if (number >= find_visible(numbers))
		thaw_sim_refuse("thaw_gpu_identity: there is no GPU %d", number);
	*identity_out = numbers[number];
	return THAW_OK;
}

static void reserve(void)
{
	const char *limit = getenv("THAW_SIM_MEMORY");
	int fd = memfd_create("thaw-sim", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)reserved) != 0)
		thaw_sim_refuse("no memory to stand for a device's");
	memory.device = mmap(NULL, reserved, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	memory.host = mmap(NULL, reserved, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	close(fd);
	if (memory.device == MAP_FAILED || memory.host == MAP_FAILED)
		thaw_sim_refuse("no addresses to stand for a device's");
	memory.limit = limit ? (size_t)atoll(limit) << 20 : (size_t)8 << 30;
}

/* THAW_SIM_BROKEN: the number on the machine of a GPU that cannot be had. */
static bool is_broken(int number)
{
	const char *broken = getenv("THAW_SIM_BROKEN");
	uint32_t identity = 0;

	return broken && !thaw_gpu_identity(number, &identity) && identity == (uint32_t)atoi(broken);
}

thaw_status thaw_gpu_open(int number, struct thaw_gpu **gpu_out)
{
	struct thaw_gpu *gpu;
	int count;
	thaw_status status = thaw_gpu_count(&count);

	if (status)
		return status;
	if (number >= count)
		return thaw_fail(THAW_FAILED, "no GPU %d: this process sees %d", number, count);
	if (is_broken(number))
		return thaw_fail(THAW_FAILED, "GPU %d (simulated GPU): it is broken", number);
	gpu = thaw_alloc(1, sizeof *gpu);
	if (!gpu)
		return THAW_OUT_OF_MEMORY;
	if (!memory.host)
		reserve();
	gpu->facts = (struct thaw_gpu_facts){
		.name = "simulated GPU",
		.capability = 90,
		.processors = 3,
		.memory_bytes = memory.limit,
	};
	thaw_gpu_versions(gpu->facts.versions);
	*gpu_out = gpu;
	return THAW_OK;
}

void thaw_gpu_close(struct thaw_gpu *gpu)
{
	free(gpu);
}

const struct thaw_gpu_facts *thaw_gpu_facts(const struct thaw_gpu *gpu)
{
	return &gpu->facts;
}

thaw_status thaw_gpu_available(struct thaw_gpu *gpu, size_t *bytes_out)
{
	(void)gpu;
	*bytes_out = memory.limit - memory.held;
	return THAW_OK;
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

thaw_status thaw_gpu_alloc(struct thaw_gpu *gpu, size_t size_bytes, const char *what, void **memory_out)
{
	size_t room = (size_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT + GAP;
	struct piece *piece = &memory.pieces[memory.pieces_count];

	(void)gpu;
	thaw_sim_outside_capture("thaw_gpu_alloc");
	if (memory.pieces_count == PIECES || memory.given + room > reserved)
		thaw_sim_refuse("out of addresses");
	if (size_bytes > memory.limit - memory.held)
		return thaw_fail(THAW_OUT_OF_MEMORY, "out of GPU memory: %s need %.1f MiB, %.1f of %.1f are left", what,
		                 (double)size_bytes / 1048576.0, (double)(memory.limit - memory.held) / 1048576.0,
		                 (double)memory.limit / 1048576.0);
	*piece = (struct piece){.begin = memory.device + memory.given, .bytes = size_bytes ? size_bytes : 1};
	memory.pieces_count++;
	memory.given += room;
	memory.held += piece->bytes;
	memset(memory.host + (piece->begin - memory.device), 0xff, size_bytes);
	*memory_out = piece->begin;
	return THAW_OK;
}

void thaw_gpu_free(struct thaw_gpu *gpu, void *device)
{
	struct piece *piece = (struct piece *)(uintptr_t)find(device);

	(void)gpu;
	if (!device)
		return;
	thaw_sim_outside_capture("thaw_gpu_free");
	if (!piece || piece->begin != device || piece->freed)
		thaw_sim_refuse("thaw_gpu_free: %p was not allocated, or is freed", device);
	piece->freed = true;
	memory.held -= piece->bytes;
	madvise(memory.host + (piece->begin - memory.device), piece->bytes, MADV_REMOVE);
}

thaw_status thaw_gpu_alloc_pinned(struct thaw_gpu *gpu, size_t size_bytes, const char *what, void **memory_out)
{
	void *host = thaw_alloc(size_bytes, 1);

	(void)gpu;
	(void)what;
	if (!host)
		return THAW_OUT_OF_MEMORY;
	if (memory.pinned_count == sizeof memory.pinned / sizeof *memory.pinned)
		thaw_sim_refuse("out of pinned pieces");
	memset(host, 0xff, size_bytes); /* CUDA leaves what was there */
	memory.pinned[memory.pinned_count++] = (struct piece){.begin = host, .bytes = size_bytes};
	*memory_out = host;
	return THAW_OK;
}

void thaw_gpu_free_pinned(struct thaw_gpu *gpu, void *host)
{
	(void)gpu;
	for (int i = 0; i < memory.pinned_count; i++)
		if (memory.pinned[i].begin == host)
			memory.pinned[i] = memory.pinned[--memory.pinned_count];
	free(host);
}

bool thaw_sim_is_pinned(const void *host, size_t size_bytes)
{
	const char *at = host;

	for (int i = 0; i < memory.pinned_count; i++)
		if (at >= memory.pinned[i].begin && at + size_bytes <= memory.pinned[i].begin + memory.pinned[i].bytes)
			return true;
	return false;
}
