/* Plans on a machine whose memory is made up: what is refused before it is taken, and what is done without timing. */
#define _GNU_SOURCE /* setenv */
#include "base/available.h"
#include "base/text.h"
#include "nn/device.h"
#include "nn/fitting.h"
#include "nn/models.h"
#include "nn/plan.h"
#include "tests/test.h"

enum { MIB = 1 << 20, SIZE = 32 };

static uint64_t available = UINT64_MAX;
static struct thaw_net *net;
static struct thaw_params params;
static bool trains[128];

uint64_t __wrap_thaw_memory_available(const char *root);

/* Takes the place of base/available.c's (CMakeLists.txt). */
uint64_t __wrap_thaw_memory_available(const char *root)
{
	CHECK_TEXT(root, "");
	return available;
}

static thaw_status compile(struct thaw_device *device, bool training, int batch)
{
	const struct thaw_plan_spec spec = {
		.device = device,
		.params = &params,
		.batch = batch,
		.trains = training ? trains : NULL,
		.std = {1, 1, 1},
	};
	struct thaw_plan *plan;
	thaw_status status = thaw_plan_compile(net, &spec, &plan);

	if (!status)
		thaw_plan_free(plan);
	return status;
}

static void test_reserve(const char *name)
{
	struct thaw_device *device;
	char *arena;

	available = 4 * MIB;
	CHECK_OK(thaw_device_open(name, 1, 0, &device));
	CHECK_FAILS(thaw_device_reserve(device, 5 * MIB), THAW_OUT_OF_MEMORY,
	            "activations and their gradients need 5.0 MiB, available are 4.0 MiB");
	CHECK_INT(device->arena_bytes, 0);
	CHECK_OK(thaw_device_reserve(device, 3 * MIB));
	/* what there is counts, and stays where more is refused */
	available = 2 * MIB;
	device->sharers = 2;
	arena = device->arena;
	CHECK_FAILS(thaw_device_reserve(device, 5 * MIB), THAW_OUT_OF_MEMORY,
	            "need 5.0 MiB, available are 4.0 MiB for each of 2 ranks");
	CHECK(device->arena == arena && device->arena_bytes == 3 * MIB);
	CHECK_OK(thaw_device_reserve(device, 4 * MIB));
	available = 0;
	CHECK_OK(thaw_device_reserve(device, 4 * MIB));
	thaw_device_free(device);
}

/* Known by arithmetic, before any step is prepared. ResNet-20's convolutions read, of four pictures, 3 x 32 x 32
 * numbers, seven times 16 x 32 x 32, six times 32 x 16 x 16 and five times 64 x 8 x 8: 2,998,272 bytes, kept for the
 * gradients of weights; a norm reads 16 x 32 x 32 and writes as many: 524,288. Where timing is needed it would be of
 * the first convolution, so it is not reached. */
static void test_least(const char *name)
{
	struct thaw_device *device;

	CHECK_OK(thaw_device_open(name, 1, 0, &device));
	available = 2998271;
	CHECK_FAILS(compile(device, true, 4), THAW_OUT_OF_MEMORY,
	            "out of memory: activations need 2.9 MiB, available are 2.9");
	available = 2998272;
	CHECK_FAILS(compile(device, true, 4), THAW_OUT_OF_MEMORY, "activations and their gradients need ");
	available = 524287;
	CHECK_FAILS(compile(device, false, 4), THAW_OUT_OF_MEMORY, "out of memory: activations need 0.5 MiB");
	available = UINT64_MAX;
	CHECK_OK(compile(device, true, 4));
	thaw_device_free(device);
}

/* A batch that is said to fit does, and one half as large again does not; nothing is taken to find out. */
static void test_fitting(const char *name)
{
	struct thaw_device *device;
	struct thaw_plan_spec spec = {.params = &params, .batch = 1000, .trains = trains, .std = {1, 1, 1}};
	struct thaw_fitting fitting;

	CHECK_OK(thaw_device_open(name, 1, 0, &device));
	device->untimed = true;
	device->sharers = 2;
	spec.device = device;
	available = 200 * MIB;
	CHECK_OK(thaw_plan_fitting(net, &spec, &fitting));
	CHECK_INT(fitting.available_bytes, 100 * MIB);
	CHECK(fitting.needed_bytes > fitting.available_bytes);
	CHECK_INT(device->arena_bytes, 0);
	CHECK(fitting.batch > 16 && fitting.batch % 8 == 0);
	CHECK_FAILS(compile(device, true, fitting.batch * 3 / 2), THAW_OUT_OF_MEMORY, "for each of 2 ranks");
	CHECK_OK(compile(device, true, fitting.batch));
	/* at least what convolutions keep of each picture (below): 749,568 bytes */
	CHECK(fitting.needed_bytes > (size_t)1000 * 749568);
	spec.batch = 4; /* more than that is not said to fit, nor less than one */
	CHECK_OK(thaw_plan_fitting(net, &spec, &fitting));
	CHECK_INT(fitting.batch, 4);
	thaw_device_free(device);
	CHECK_OK(thaw_device_open(name, 1, 0, &device));
	spec.device = device;
	available = 749567;
	CHECK_OK(thaw_plan_fitting(net, &spec, &fitting));
	CHECK_INT(fitting.batch, 0);
	CHECK(!device->untimed);
	thaw_device_free(device);
}

/* How many lines of what is chosen name this implementation. */
static int chosen(const struct thaw_device *device, const char *name)
{
	struct thaw_text text = THAW_TEXT_EMPTY;
	int count = 0;

	CHECK_OK(device->backend->choices(&text));
	for (const char *at = text.data; (at = strstr(at, name)) != NULL; at++)
		count++;
	thaw_text_release(&text);
	return count;
}

static void test_untimed(void)
{
	struct thaw_device *device;

	available = UINT64_MAX;
	CHECK_OK(thaw_device_open("cpu", 1, 0, &device));
	device->untimed = true;
	CHECK_OK(compile(device, true, 4));
	CHECK_INT(chosen(device, " | "), 0);
	/* no memory to time with, but to compute: ranks that learn from this one must do the same */
	device->untimed = false;
	available = 0;
	CHECK_OK(compile(device, true, 4));
	CHECK(chosen(device, " | direct\n") > 0);
	CHECK_INT(chosen(device, " | winograd\n"), 0);
	thaw_device_free(device);
}

int main(void)
{
	static const char *const devices[] = {"cpu", "reference"};
	static const char *const all[] = {"all"};

	unsetenv("THAW_CONVOLUTION");
	setenv("THAW_CACHE", "", 1); /* nothing is known by timing before */
	CHECK_OK(thaw_model_build("resnet20", 6, SIZE, &net));
	CHECK_OK(thaw_params_init(&params, net));
	CHECK_OK(thaw_net_select(net, all, 1, trains));
	test_untimed();
	for (int i = 0; i < 2; i++) {
		test_reserve(devices[i]);
		test_least(devices[i]);
		test_fitting(devices[i]);
	}
	thaw_params_release(&params);
	thaw_net_free(net);
	return TEST_END();
}
