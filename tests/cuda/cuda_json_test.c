/*
 * Plans written as JSON and read again, for three GPUs of which none is here: every convolution of resnet18 and
 * resnet50 comes back with the engine and the workspace that it had; what is for another GPU, or is no plan, or is none
 * that may be taken, is refused.
 *
 *     cuda_json_test <folder with properties of GPUs as JSON>
 */
#include <stdlib.h>

#include "base/file.h"
#include "nn/device.h"
#include "nn/models.h"
#include "nn/plan.h"
#include "tests/cuda/plan_gpu.h"
#include "tests/test.h"

/* For each kind of numbers. resnet18 has 11 shapes of convolutions and resnet50 23, of which the stem and the 3x3 with
 * stride 1 of the four stages are the same: 29. Trained they have three passes, but the stem no gradient of pixels.
 * Evaluated, those four 3x3 are there with a residual and without, and so is the 1x1 from 64 to 256. In half precision
 * all trained ones but the stem make statistics. */
enum { plans_of_both = 3 * 29 - 1 + 29 + 5 };

static struct thaw_cudnn_target own, foreign;
static int seen, with_statistics;

/* A 3x3 convolution of resnet18's first stage, about which the filters are asked. */
static const struct thaw_gpu_conv_spec plain = {
	.pass = THAW_GPU_FORWARD,
	.number = THAW_FLOAT32,
	.n = 32,
	.c = 64,
	.h = 56,
	.w = 56,
	.k = 64,
	.oh = 56,
	.ow = 56,
	.kernel = 3,
	.stride = 1,
	.pad = 1,
	.groups = 1,
	.deterministic = true,
	.workspace_limit = (size_t)256 << 20,
};

static struct thaw_cudnn_target read_target(const char *folder, const char *name)
{
	struct thaw_cudnn_target target = {.handle = NULL};
	char path[512], *json = NULL;
	size_t length = 0;

	snprintf(path, sizeof path, "%s/%s.json", folder, name);
	CHECK_OK(thaw_file_read(path, 1 << 16, &json, &length));
	CHECK_OK(thaw_cudnn_target_read(json, length, &target));
	free(json);
	return target;
}

/* --- there and back ---------------------------------------------------------------------------------------------- */

static void look(const struct thaw_gpu_conv_spec *spec, const struct thaw_cudnn_plan *plan)
{
	struct thaw_text json = THAW_TEXT_EMPTY, again = THAW_TEXT_EMPTY;
	struct thaw_cudnn_plan back = {.engine = -1};

	seen++;
	with_statistics += plan->statistics;
	CHECK_OK(thaw_cudnn_plan_write(plan, &json));
	CHECK(json.length > 1000 && !strpbrk(json.data, "\t\r\n"));
	CHECK_OK(thaw_cudnn_plan_read(&own, spec, json.data, &back));
	if (back.plan) {
		CHECK_INT(back.engine, plan->engine);
		CHECK_INT(back.statistics, plan->statistics);
		CHECK_INT(back.workspace_bytes, plan->workspace_bytes);
		CHECK_INT(back.tensor_core, plan->tensor_core);
		CHECK_INT(back.short_sums, plan->short_sums);
		CHECK_INT(back.deterministic, plan->deterministic);
		CHECK_INT(back.compiled, plan->compiled);
		CHECK_OK(thaw_cudnn_plan_write(&back, &again)); /* settings too */
		CHECK_TEXT(again.data, json.data);
	}
	thaw_cudnn_plan_release(&back);
	CHECK_FAILS(thaw_cudnn_plan_read(&foreign, spec, json.data, &back), THAW_FAILED, "cuDNN refuses a plan: ");
	thaw_text_release(&json);
	thaw_text_release(&again);
}

/* Makes all convolutions of a network: those of evaluation, and those of training. */
static void compile(const char *arch, enum thaw_number number)
{
	struct thaw_device *device = NULL;
	struct thaw_net *net = NULL;
	struct thaw_params params;
	struct thaw_plan *plan = NULL;
	struct thaw_plan_spec spec = {.batch = 32, .std = {1, 1, 1}};
	const char *part = "all";
	bool *trains;

	CHECK_OK(thaw_device_open("cuda", 1, 0, &device));
	CHECK_OK(thaw_model_build(arch, 10, 224, &net));
	CHECK_OK(thaw_params_init(&params, net));
	CHECK_OK(thaw_params_attach(&params, device));
	if (test_failures)
		return;
	device->number = number;
	device->fused_statistics = true;
	trains = calloc((size_t)thaw_net_params(net), sizeof *trains);
	spec.device = device;
	spec.params = &params;
	CHECK_OK(thaw_plan_compile(net, &spec, &plan));
	thaw_plan_free(plan);
	CHECK_OK(thaw_net_select(net, &part, 1, trains));
	spec.trains = trains;
	CHECK_OK(thaw_plan_compile(net, &spec, &plan));
	thaw_plan_free(plan);
	free(trains);
	thaw_params_release(&params);
	thaw_net_free(net);
	thaw_device_free(device);
}

/* --- refusals ---------------------------------------------------------------------------------------------------- */

/* Writes the first plan with this to say for itself that the spec allows, and has another spec read it. */
static void check_unwanted(const struct thaw_gpu_conv_spec *from, const struct thaw_gpu_conv_spec *to,
                           bool (*is_it)(const struct thaw_cudnn_plan *plan))
{
	struct thaw_cudnn_plan plans[32], back = {.plan = NULL};
	struct thaw_text json = THAW_TEXT_EMPTY;
	int count = 0, i = 0;

	CHECK_OK(thaw_cudnn_plan_conv(&own, from, plans, 32, &count));
	while (i < count && !is_it(&plans[i]))
		i++;
	CHECK(i < count);
	if (i < count) {
		CHECK_OK(thaw_cudnn_plan_write(&plans[i], &json));
		CHECK_OK(thaw_cudnn_plan_read(&own, from, json.data, &back));
		thaw_cudnn_plan_release(&back);
		CHECK_FAILS(thaw_cudnn_plan_read(&own, to, json.data, &back), THAW_FAILED, "is not one that may be taken");
	}
	thaw_text_release(&json);
	for (int j = 0; j < count; j++)
		thaw_cudnn_plan_release(&plans[j]);
}

static bool rounds(const struct thaw_cudnn_plan *plan)
{
	return plan->tensor_core;
}

static bool varies(const struct thaw_cudnn_plan *plan)
{
	return !plan->deterministic;
}

static bool needs_much(const struct thaw_cudnn_plan *plan)
{
	return plan->workspace_bytes > 1 << 20;
}

static void test_unwanted(void)
{
	struct thaw_gpu_conv_spec tf32 = plain, any = plain, strict = plain, little = plain;

	tf32.tf32 = true;
	check_unwanted(&tf32, &plain, rounds);
	any.pass = strict.pass = THAW_GPU_WEIGHTS;
	any.deterministic = false;
	check_unwanted(&any, &strict, varies);
	little.workspace_limit = 1 << 20;
	check_unwanted(&plain, &little, needs_much);
}

static void test_damaged(void)
{
	const struct thaw_cudnn_target none = {.handle = NULL};
	static const char *const texts[] = {"", "{}", "[]", "no JSON", "{\"cudnnVersion\":91900}"};
	struct thaw_cudnn_plan plan = {.plan = NULL}, back;
	struct thaw_text json = THAW_TEXT_EMPTY, half = THAW_TEXT_EMPTY;
	int count;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		CHECK_FAILS(thaw_cudnn_plan_read(&own, &plain, texts[i], &back), THAW_FAILED, "cuDNN refuses a plan: ");
	CHECK_FAILS(thaw_cudnn_plan_conv(&none, &plain, &plan, 1, &count), THAW_FAILED, "it is for no GPU");
	CHECK_OK(thaw_cudnn_plan_conv(&own, &plain, &plan, 1, &count));
	CHECK_OK(thaw_cudnn_plan_write(&plan, &json));
	thaw_text_add_bytes(&half, json.data, json.length / 2);
	CHECK_FAILS(thaw_cudnn_plan_read(&own, &plain, half.data, &back), THAW_FAILED, "cuDNN refuses a plan: ");
	CHECK_FAILS(thaw_cudnn_plan_read(&none, &plain, json.data, &back), THAW_FAILED, "is for no GPU");
	thaw_text_release(&json);
	thaw_text_release(&half);
	thaw_cudnn_plan_release(&plan);
}

static void test_device(const char *folder, const char *name, const char *other)
{
	static const enum thaw_number numbers[] = {THAW_FLOAT32, THAW_BFLOAT16, THAW_FLOAT16};

	own = read_target(folder, name);
	foreign = read_target(folder, other);
	if (test_failures)
		return;
	seen = with_statistics = 0;
	plan_gpu_begin(&own);
	plan_gpu_watch(look);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		compile("resnet18", numbers[i]);
		compile("resnet50", numbers[i]);
	}
	printf("%s: %d plans, refused on %s\n", name, seen, other);
	CHECK_INT(seen, 3 * plans_of_both);
	CHECK_INT(with_statistics, 28);
	CHECK_INT(plan_gpu_counts().missing, 0);
	test_unwanted();
	test_damaged();
	thaw_cudnn_target_release(&own);
	thaw_cudnn_target_release(&foreign);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		printf("usage: cuda_json_test <folder with properties of GPUs>\n");
		return 1;
	}
	test_device(argv[1], "h200", "a100");
	test_device(argv[1], "a100", "rtx4090");
	test_device(argv[1], "rtx4090", "h200");
	return TEST_END();
}
