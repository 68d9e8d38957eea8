/*
 * Plans of cuDNN for every convolution of every network, in all types of numbers, for all that may train, for three
 * GPUs of which none is here: each graph has a plan, without tensor cores in float32, with sums in float32,
 * deterministic, precompiled. Where statistics are of use there is a plan that makes them too, in half precision, but
 * for the stem of three channels.
 *
 *     cuda_plan_test <folder with properties of GPUs as JSON>
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "nn/device.h"
#include "nn/models.h"
#include "nn/plan.h"
#include "tests/cuda/plan_gpu.h"
#include "tests/test.h"

static int surprises; /* wishes that were granted or refused against what is known of cuDNN 9.19 */

static const float mean[3] = {0.485f, 0.456f, 0.406f}, std[3] = {0.229f, 0.224f, 0.225f};

/* One network, with what trains named; NULL: evaluation. */
static void compile(const struct thaw_params *params, struct thaw_device *device, int batch, const char *part)
{
	bool *trains = calloc((size_t)thaw_net_params(params->net), sizeof *trains);
	struct thaw_plan_spec spec = {.device = device, .params = params, .batch = batch, .trains = part ? trains : NULL};
	struct thaw_plan *plan = NULL;

	memcpy(spec.mean, mean, sizeof mean);
	memcpy(spec.std, std, sizeof std);
	if (part)
		CHECK_OK(thaw_net_select(params->net, &part, 1, trains));
	CHECK_OK(thaw_plan_compile(params->net, &spec, &plan));
	thaw_plan_free(plan);
	free(trains);
}

static void test_network(const char *arch, enum thaw_number number, int batch)
{
	static const char *const parts[] = {NULL, "all", "fc", "layer3"};
	struct thaw_device *device = NULL;
	struct thaw_net *net = NULL;
	struct thaw_params params;

	CHECK_OK(thaw_device_open("cuda", 1, 0, &device));
	CHECK_OK(thaw_model_build(arch, 10, 224, &net));
	CHECK_OK(thaw_params_init(&params, net));
	CHECK_OK(thaw_params_attach(&params, device));
	if (test_failures)
		return;
	device->number = number;
	device->fused_statistics = true;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		compile(&params, device, batch, parts[i]);
	thaw_params_release(&params);
	thaw_net_free(net);
	thaw_device_free(device);
}

static void look_at_wish(const struct thaw_gpu_conv_spec *spec, bool granted)
{
	bool stem = spec->kernel == 7;

	surprises += granted != (spec->number == THAW_FLOAT16 && !stem);
}

static void test_device(const char *folder, const char *name)
{
	static const enum thaw_number numbers[] = {THAW_FLOAT32, THAW_BFLOAT16, THAW_FLOAT16};
	struct thaw_cudnn_target target = {.handle = NULL};
	struct plan_counts counts;
	char path[512], *json;
	size_t length;

	snprintf(path, sizeof path, "%s/%s.json", folder, name);
	CHECK_OK(thaw_file_read(path, 1 << 16, &json, &length));
	CHECK_OK(thaw_cudnn_target_read(json, length, &target));
	free(json);
	if (test_failures)
		return;
	plan_gpu_begin(&target);
	plan_gpu_watch_wishes(look_at_wish);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		for (int arch = 0; thaw_model_name(arch); arch++)
			test_network(thaw_model_name(arch), numbers[i], 32);
		test_network("resnet50", numbers[i], 256);
		test_network("resnet18", numbers[i], 5);
	}
	counts = plan_gpu_counts();
	printf("%s: %d graphs, %d without a plan, largest workspace %.1f MiB\n", name, counts.graphs, counts.missing,
	       (double)counts.workspace_bytes / 1048576.0);
	printf("%s: %d convolutions in front of norms, %d with a plan that makes statistics\n", name, counts.wished,
	       counts.fused);
	CHECK(counts.graphs > 500);
	CHECK(counts.fused > 60);
	CHECK_INT(surprises, 0);
	CHECK_INT(counts.missing, 0);
	CHECK_INT(counts.forbidden, 0);
	CHECK_INT(counts.compiled, 0);
	thaw_cudnn_target_release(&target);
}

int main(int argc, char **argv)
{
	struct thaw_cudnn_target target;

	if (argc != 2) {
		printf("usage: cuda_plan_test <folder with properties of GPUs>\n");
		return 1;
	}
	CHECK_FAILS(thaw_cudnn_target_read("{}", 2, &target), THAW_FAILED, "cuDNN: properties of a GPU: ");
	test_device(argv[1], "h200");
	test_device(argv[1], "a100");
	test_device(argv[1], "rtx4090");
	return TEST_END();
}
