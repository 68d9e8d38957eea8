/* Norms by sums that convolutions make: what the kernel makes of them, what they lose in float32, who asks for them. */
#define _POSIX_C_SOURCE 200809L
#include "base/half.h"
#include "base/random.h"
#include "nn/device.h"
#include "nn/models.h"
#include "nn/plan_memory.h"
#include "tests/sim/sim.h"
#include "tests/test.h"

enum { C = 8 }; /* with their padding */

static struct thaw_gpu *gpu;
static struct thaw_gpu_stream *stream;

static void *to_device(const void *from, size_t size_bytes)
{
	void *memory = NULL;

	CHECK_OK(thaw_gpu_alloc(gpu, size_bytes, "a test", &memory));
	CHECK_OK(thaw_gpu_put(stream, memory, from, size_bytes));
	return memory;
}

#define TO_DEVICE(array) to_device(array, sizeof(array))

/* --- the kernel -------------------------------------------------------------------------------------------------- */

struct results {
	float mean[C], variance[C]; /* the batch's, as they move the running ones */
	float kept[THAW_NORM_ROWS][C];
};

/* Runs the kernel; parameters, running statistics and results of three channels. `sums` stands on the device. */
static void finish(const float *sums, int64_t rows, float epsilon, struct results *results)
{
	static const float gamma[3] = {2, 3, 0.5f}, beta[3] = {1, -1, 0}, mean[3] = {8, 4, 2}, variance[3] = {16, 32, 64};
	static const struct thaw_scalars scalars = {.share = 0.25};
	void *pieces[8];
	struct thaw_norm_finish_args arguments = {.sums = sums, .rows = rows, .c = C, .channels = 3, .epsilon = epsilon};

	memset(results, 0xff, sizeof *results);
	arguments.to.gamma = pieces[0] = TO_DEVICE(gamma);
	arguments.to.beta = pieces[1] = TO_DEVICE(beta);
	arguments.to.mean = pieces[2] = TO_DEVICE(mean);
	arguments.to.variance = pieces[3] = TO_DEVICE(variance);
	arguments.to.scalars = pieces[4] = to_device(&scalars, sizeof scalars);
	arguments.to.batch_mean = pieces[5] = TO_DEVICE(results->mean);
	arguments.to.batch_variance = pieces[6] = TO_DEVICE(results->variance);
	arguments.to.kept = pieces[7] = TO_DEVICE(results->kept);
	CHECK_OK(thaw_gpu_launch(stream, THAW_KERNEL_norm_finish, 1, &arguments, sizeof arguments));
	CHECK_OK(thaw_gpu_get(stream, results->mean, pieces[5], sizeof results->mean));
	CHECK_OK(thaw_gpu_get(stream, results->variance, pieces[6], sizeof results->variance));
	CHECK_OK(thaw_gpu_get(stream, results->kept, pieces[7], sizeof results->kept));
	for (int i = 0; i < 8; i++)
		thaw_gpu_free(gpu, pieces[i]);
}

static void check_channel(const struct results *results, int c, const double kept[4], const double batch[2])
{
	for (int row = THAW_NORM_SCALE; row <= THAW_NORM_DEVIATION; row++)
		CHECK_NEAR((double)results->kept[row][c], kept[row], 2e-6);
	CHECK_NEAR((double)results->mean[c], batch[0], 1e-7);
	CHECK_NEAR((double)results->variance[c], batch[1], 3e-7);
}

/* The channels are {1, 2, 3, 6}, {2, 2, 2, 2} with a sum of squares that is a little too small, {-1, 1, -3, 3}, padding.
 * Epsilon is 1/2: 1 / deviation is 2, 1 / sqrt(2), sqrt(5.5). */
static void test_by_hand(void)
{
	static const float sums[2][C] = {{12, 8, 0}, {50, 15.99f, 20}};
	void *own = TO_DEVICE(sums);
	struct results results;

	finish(own, 4, 0.5f, &results);
	check_channel(&results, 0, (double[]){1, -2, 3, 0.5}, (double[]){0.75, 3.5 * 4 / 3 / 4});
	check_channel(&results, 1, (double[]){4.24264069, -9.48528137, 2, 1.41421356}, (double[]){0.5, 0});
	check_channel(&results, 2, (double[]){0.21320072, 0, 0, 0.42640143}, (double[]){0, 5.0 * 4 / 3 / 4});
	for (int c = 3; c < C; c++) {
		CHECK(results.kept[THAW_NORM_SCALE][c] == 0 && results.kept[THAW_NORM_SHIFT][c] == 0);
		CHECK(results.kept[THAW_NORM_MEAN][c] == 0);
		CHECK(isnan(results.mean[c]) && isnan(results.variance[c])); /* nobody's */
	}
	thaw_gpu_free(gpu, own);
}

/* A single number, here 5, has no variance: a quarter of the running statistics goes to themselves. */
static void test_single_row(void)
{
	static const float sums[2][C] = {{5, 5, 5}, {25, 25, 25}};
	void *own = TO_DEVICE(sums);
	struct results results;

	finish(own, 1, 0.25f, &results);
	check_channel(&results, 0, (double[]){4, -19, 5, 2}, (double[]){2, 4});
	check_channel(&results, 2, (double[]){1, -5, 5, 2}, (double[]){0.5, 16});
	thaw_gpu_free(gpu, own);
}

/* --- what is lost ------------------------------------------------------------------------------------------------ */

enum { N = 64, EDGE = 64, ROWS = N * EDGE * EDGE };

static const double ratios[C] = {0, 1, 3, 10, 30, -30, 20, -3}; /* |mean| / standard deviation of what is drawn */

/* Numbers of deviation 1 as halves, and their exact mean and variance. */
static uint16_t *draw(double mean_out[C], double variance_out[C])
{
	uint16_t *x = calloc((size_t)ROWS * C, sizeof *x);
	struct thaw_random random;

	thaw_random_init(&random, 1, THAW_RANDOM_TEST, 0, 0);
	for (int i = 0; i < ROWS * C; i++)
		x[i] = thaw_float_to_half((float)(ratios[i % C] + thaw_random_between(&random, -sqrt(3), sqrt(3))));
	for (int c = 0; c < C; c++) {
		mean_out[c] = variance_out[c] = 0;
		for (int row = 0; row < ROWS; row++)
			mean_out[c] += (double)thaw_half_to_float(x[row * C + c]) / ROWS;
		for (int row = 0; row < ROWS; row++)
			variance_out[c] += pow((double)thaw_half_to_float(x[row * C + c]) - mean_out[c], 2) / ROWS;
	}
	return x;
}

/* The sums that a convolution by the unit matrix makes of x, on the device. */
static float *sums_of(const uint16_t *x)
{
	const struct thaw_gpu_conv_spec spec = {
		.number = THAW_FLOAT16, .n = N, .c = C, .h = EDGE, .w = EDGE, .k = C, .oh = EDGE, .ow = EDGE, .kernel = 1,
		.stride = 1, .groups = 1, .statistics = true, .workspace_limit = 1 << 20,
	};
	uint16_t w[C][C] = {{0}};
	struct thaw_gpu_conv_tensors tensors = {.x = to_device(x, (size_t)ROWS * C * sizeof *x)};
	struct thaw_gpu_conv *conv = NULL;
	void *memory[3] = {NULL};

	for (int c = 0; c < C; c++)
		w[c][c] = thaw_float_to_half(1);
	CHECK_OK(thaw_gpu_conv_new(gpu, &spec, &conv));
	CHECK(thaw_gpu_conv_has_statistics(conv));
	CHECK_OK(thaw_gpu_alloc(gpu, (size_t)ROWS * C * sizeof *x, "a test", &memory[0]));
	CHECK_OK(thaw_gpu_alloc(gpu, 2 * C * sizeof(float), "a test", &memory[1]));
	CHECK_OK(thaw_gpu_alloc(gpu, thaw_gpu_conv_workspace(conv), "a test", &memory[2]));
	tensors.w = TO_DEVICE(w);
	tensors.y = memory[0], tensors.sums = memory[1], tensors.workspace = memory[2];
	CHECK_OK(thaw_gpu_conv_run(stream, conv, &tensors));
	CHECK_OK(thaw_gpu_wait(stream));
	thaw_gpu_conv_free(conv);
	thaw_gpu_free(gpu, tensors.x);
	thaw_gpu_free(gpu, tensors.w);
	thaw_gpu_free(gpu, tensors.y);
	thaw_gpu_free(gpu, tensors.workspace);
	return tensors.sums;
}

/* As nn/cuda/kernels/norm.cu says of norm_finish: 4e-6 (1 + r^2) of the variance. */
static void test_cancellation(void)
{
	double mean[C], variance[C];
	uint16_t *x = draw(mean, variance);
	float *sums = sums_of(x);
	struct results results;

	finish(sums, ROWS, 0, &results);
	for (int c = 0; c < C; c++) {
		double got = pow((double)results.kept[THAW_NORM_DEVIATION][c], -2);

		CHECK_NEAR((double)results.kept[THAW_NORM_MEAN][c], mean[c], 4e-6 * sqrt(1 + ratios[c] * ratios[c]));
		CHECK_NEAR(got / variance[c], 1, 4e-6 * (1 + ratios[c] * ratios[c]));
	}
	thaw_gpu_free(gpu, sums);
	free(x);
}

/* --- who asks for them ------------------------------------------------------------------------------------------- */

/* How many steps of a ResNet-18 make something that a norm wants the sums of, and how many make the sums. */
static void check_plan(const char *part, bool fused, int wanting, int making)
{
	struct thaw_device *device = NULL;
	struct thaw_net *net = NULL;
	struct thaw_plan *plan = NULL;
	struct thaw_params params;
	bool *trains;

	CHECK_OK(thaw_device_open("cuda", 1, 0, &device));
	CHECK_OK(thaw_model_build("resnet18", 10, 32, &net));
	CHECK_OK(thaw_params_init(&params, net));
	CHECK_OK(thaw_params_attach(&params, device));
	device->fused_statistics = fused;
	trains = calloc((size_t)thaw_net_params(net), sizeof *trains);
	CHECK_OK(thaw_net_select(net, &part, 1, trains));
	CHECK_OK(thaw_plan_compile(
		net,
		&(struct thaw_plan_spec){.device = device, .params = &params, .batch = 2, .trains = trains, .std = {1, 1, 1}},
		&plan));
	for (int i = 0; i < plan->steps_count; i++) {
		wanting -= plan->steps[i].wants_sums;
		making -= plan->steps[i].kind == THAW_OP_CONV && plan->steps[i].saved_bytes > 0;
	}
	CHECK_INT(wanting, 0);
	CHECK_INT(making, 0);
	thaw_plan_free(plan);
	thaw_params_release(&params);
	thaw_net_free(net);
	thaw_device_free(device);
	free(trains);
}

int main(void)
{
	CHECK_OK(thaw_gpu_open(0, &gpu));
	CHECK_OK(thaw_gpu_stream_new(gpu, false, &stream));
	setenv("THAW_SIM_STATISTICS", "1", 1);
	test_by_hand();
	test_single_row();
	test_cancellation();
	check_plan("all", true, 20, 20);
	check_plan("layer4", true, 5, 5); /* norms of what is frozen take running statistics */
	check_plan("fc", true, 0, 0);
	check_plan("all", false, 20, 0); /* not allowed */
	setenv("THAW_SIM_STATISTICS", "0", 1);
	check_plan("all", true, 20, 0); /* not worth it */
	thaw_gpu_stream_free(stream);
	thaw_gpu_close(gpu);
	return TEST_END();
}
