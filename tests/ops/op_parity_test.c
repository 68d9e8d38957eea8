/*
 * A backend against the reference backend: many shapes, every fusion, every choice of wanted gradients, sums of
 * several gradients, shared memory where the backend allows it, one and two threads. The cpu backend takes LOSS
 * from the reference: PyTorch (op_golden_test) and finite differences (op_gradient_test) check that one.
 *
 *     op_parity_test BACKEND [THREADS [fp32|bf16|fp16]]      the fewest threads: 1
 */
#include <math.h>
#include <stdlib.h>

#include "nn/device.h"
#include "tests/ops/harness.h"
#include "tests/test.h"

/* Part of the norm by which a result may differ. Sums are float32 on one side only, and Winograd F(4x4,3x3) multiplies
 * what rounding leaves by about 50. */
#define CONV_TOLERANCE 1e-5
#define SUM_TOLERANCE 2e-6
#define ELEMENT_TOLERANCE 5e-7

static struct thaw_device *reference, *tested;
/* Sanitizers look at code, which a few of the cases run as well as all. */
#ifdef __SANITIZE_ADDRESS__
enum { EVERY = 4 };
#else
enum { EVERY = 1 };
#endif
static int asked, runs; /* cases that there are, and that were compared */

/* One rounding of each number, and those of a few sums. */
#define BFLOAT16_TOLERANCE 4e-3
#define FLOAT16_TOLERANCE 6e-4

static double tolerance(enum thaw_op_kind kind)
{
	if (tested->number != THAW_FLOAT32 && kind != THAW_OP_LOSS)
		return tested->number == THAW_FLOAT16 ? FLOAT16_TOLERANCE : BFLOAT16_TOLERANCE;
	switch (kind) {
	case THAW_OP_CONV:
		return CONV_TOLERANCE;
	case THAW_OP_BATCH_NORM:
	case THAW_OP_LINEAR:
		return SUM_TOLERANCE;
	default:
		return ELEMENT_TOLERANCE;
	}
}

/* Static text: the case and what is special about it. */
static const char *words(const struct op_case *c)
{
	static char text[256];

	snprintf(text, sizeof text,
	         "%s %dx%dx%dx%d to %d, kernel %d stride %d pad %d groups %d%s%s%s%s%s%s%s%s, dy %d, unwanted %x, "
	         "%d threads",
	         thaw_op_kind_name(c->kind), c->n, c->c, c->h, c->w, c->k, c->kernel, c->stride, c->pad, c->groups,
	         c->bias ? " +bias" : "", c->fold ? " +fold" : "", c->residual ? " +residual" : "", c->relu ? " +relu" : "",
	         c->batch_statistics ? " +batch" : "", c->sums ? " +sums" : "", c->aliased ? " aliased" : "",
	         c->forward_only ? " forward" : "", c->dy_tensors, c->unwanted, tested->threads);
	return text;
}

static void compare(const struct op_case *c)
{
	struct op_arrays want, got;
	const char *fault;

	if (!op_exists(tested, c) || asked++ % EVERY != 0)
		return;
	op_arrays_init(&want, c);
	op_arrays_round(&want, c, tested->number);
	fault = op_run(reference, c, &want);
	if (fault)
		TEST_FAIL("reference: %s: %s", words(c), fault);
	op_arrays_init(&got, c);
	op_arrays_round(&got, c, tested->number);
	fault = op_run(tested, c, &got);
	if (fault)
		TEST_FAIL("%s: %s", words(c), fault);
	for (int i = OP_INPUTS; i < OP_ARRAYS && !fault; i++) {
		double error = got.elems[i] ? op_error(got.data[i], want.data[i], got.elems[i]) : 0;

		if (!(error <= tolerance(c->kind)))
			TEST_FAIL("%s: %s differs by %.3g", words(c), op_array_name((enum op_array)i), error);
	}
	op_arrays_release(&got);
	op_arrays_release(&want);
	runs++;
}

/* `base` with its backward pass: plain, with sums of gradients, and without each gradient that a plan may not want. */
static void compare_backward(const struct op_case *base, unsigned parameters)
{
	const struct thaw_op_ops *ops = tested->backend->ops[base->kind];
	struct op_case c = *base;

	for (c.dy_tensors = 1; c.dy_tensors <= 3; c.dy_tensors++)
		for (int aliased = 0; aliased <= (ops->overwrites_dy || ops->overwrites_residual); aliased++) {
			c.aliased = aliased;
			compare(&c);
		}
	c.dy_tensors = 1;
	if (parameters) {
		c.unwanted = 1u << OP_DX;
		compare(&c);
		c.unwanted = parameters;
		c.frozen = true;
		compare(&c);
	}
}

/* n, c, h, w, k, kernel, stride, pad, groups */
static const int convs[][9] = {
	{1, 3, 40, 40, 64, 7, 2, 3, 1},   {1, 3, 33, 47, 16, 7, 2, 3, 1},   {2, 3, 32, 32, 16, 3, 1, 1, 1},
	{2, 64, 10, 10, 64, 3, 1, 1, 1},  {1, 64, 16, 13, 64, 3, 1, 1, 1},  {1, 128, 7, 7, 128, 3, 1, 1, 1},
	{4, 64, 8, 8, 128, 3, 2, 1, 1},   {1, 64, 9, 7, 128, 3, 2, 1, 1},   {2, 64, 9, 7, 128, 1, 2, 0, 1},
	{1, 64, 8, 8, 256, 1, 1, 0, 1}, {2, 256, 5, 5, 64, 1, 1, 0, 1},   {3, 17, 13, 11, 33, 3, 1, 1, 1},
	{1, 33, 6, 6, 17, 3, 1, 1, 1},    {2, 16, 24, 24, 16, 3, 1, 1, 1},  {2, 40, 10, 10, 24, 3, 1, 1, 1},
	{2, 64, 1, 1, 64, 3, 1, 1, 1},    {1, 64, 2, 2, 64, 3, 1, 1, 1},    {1, 64, 3, 3, 128, 3, 2, 1, 1},
	{5, 32, 4, 4, 32, 3, 1, 1, 1},    {1, 16, 16, 16, 16, 5, 1, 2, 1},  {2, 32, 9, 9, 64, 3, 1, 0, 1},
	{2, 16, 5, 5, 33, 1, 1, 0, 1},    {1, 5, 7, 7, 16, 3, 1, 1, 1},     {2, 8, 6, 6, 8, 3, 1, 1, 1},
	{2, 32, 8, 8, 32, 3, 1, 1, 2},    {2, 128, 6, 6, 128, 3, 1, 1, 32}, {1, 128, 7, 7, 128, 3, 2, 1, 32},
	{2, 32, 6, 6, 32, 3, 1, 1, 32},   {1, 256, 4, 4, 256, 3, 1, 1, 32}, {1, 259, 1, 1, 270, 1, 1, 0, 1},
};

static void test_convs(void)
{
	for (size_t i = 0; i < sizeof convs / sizeof *convs; i++) {
		const int *v = convs[i];
		struct op_case c = {
			.name = "conv", .kind = THAW_OP_CONV, .stream = (int)i,
			.n = v[0], .c = v[1], .h = v[2], .w = v[3], .k = v[4],
			.kernel = v[5], .stride = v[6], .pad = v[7], .groups = v[8], .bias = i % 2,
			.sums = true,
		};

		compare_backward(&c, 1u << OP_DWEIGHT | 1u << OP_DBIAS);
		c.forward_only = true;
		for (int fusion = 0; fusion < 16; fusion++) {
			c.fold = fusion & 1, c.relu = fusion & 2, c.residual = fusion & 4, c.frozen = fusion & 8;
			c.aliased = c.frozen;
			compare(&c);
		}
	}
}

/* n, c, h, w */
static const int shapes[][4] = {
	{2, 16, 7, 7}, {1, 64, 14, 13}, {3, 5, 6, 5}, {1, 17, 9, 3}, {4, 33, 1, 1}, {8, 32, 4, 4},
	{1, 3, 8, 8},  {2, 8, 5, 5},    {1, 1, 3, 3}, {4, 24, 2, 2}, {2, 128, 3, 3},
	{2, 264, 5, 5}, {1, 515, 7, 7}, {2, 260, 1, 3}, /* two and three columns of a GPU's grid, the last nearly empty */
};

static void test_norms(void)
{
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		const int *v = shapes[i];
		struct op_case c = {
			.name = "norm", .kind = THAW_OP_BATCH_NORM, .stream = 100 + (int)i, .n = v[0], .c = v[1], .h = v[2],
			.w = v[3], .k = v[1], .kernel = 1, .stride = 1, .groups = 1,
		};

		if (c.c == 1 && tested->number != THAW_FLOAT32)
			continue; /* its sum of nine gradients is nearly 0, and what rounding leaves is not */
		for (int fusion = 0; fusion < 16; fusion++) {
			c.batch_statistics = fusion & 1, c.relu = fusion & 2, c.residual = fusion & 4, c.sums = fusion & 8;
			c.forward_only = false;
			if (c.sums && !(c.batch_statistics && tested->backend->memory))
				continue; /* nobody looks at them */
			compare_backward(&c, 1u << OP_DGAMMA | 1u << OP_DBETA);
			if (c.residual) {
				struct op_case one_side = c;

				one_side.aliased = true;
				one_side.unwanted = 1u << OP_DRESIDUAL;
				compare(&one_side);
				one_side.unwanted = 1u << OP_DX;
				compare(&one_side);
			}
			c.forward_only = true;
			compare(&c);
		}
	}
}

static void test_elementwise(void)
{
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		const int *v = shapes[i];
		struct op_case c = {
			.name = "elementwise", .kind = THAW_OP_RELU, .stream = 200 + (int)i, .n = v[0], .c = v[1], .h = v[2],
			.w = v[3], .k = v[1], .kernel = 1, .stride = 1, .groups = 1, .relu = true,
		};

		compare_backward(&c, 0);
		c.kind = THAW_OP_ADD;
		c.residual = true;
		for (int relu = 0; relu < 2; relu++) {
			c.relu = relu;
			c.unwanted = 0;
			compare_backward(&c, 0);
			c.aliased = true;
			c.unwanted = 1u << OP_DRESIDUAL;
			compare(&c);
			c.unwanted = 1u << OP_DX;
			compare(&c);
		}
	}
}

static void test_pools(void)
{
	static const int windows[][3] = {{3, 2, 1}, {2, 2, 0}, {3, 1, 1}, {2, 1, 0}}; /* kernel, stride, pad */

	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		const int *v = shapes[i];
		struct op_case c = {
			.name = "pool", .kind = THAW_OP_GLOBAL_POOL, .stream = 300 + (int)i, .n = v[0], .c = v[1], .h = v[2],
			.w = v[3], .k = v[1], .kernel = 1, .stride = 1, .groups = 1,
		};

		compare_backward(&c, 0);
		c.kind = THAW_OP_MAX_POOL;
		for (size_t k = 0; k < sizeof windows / sizeof *windows; k++) {
			c.kernel = windows[k][0], c.stride = windows[k][1], c.pad = windows[k][2];
			if (c.h + 2 * c.pad < c.kernel || c.w + 2 * c.pad < c.kernel)
				continue;
			for (int ties = 0; ties < 2; ties++) {
				c.ties = ties;
				c.forward_only = false;
				compare_backward(&c, 0);
				c.forward_only = true;
				compare(&c);
			}
		}
	}
}

static void test_shortcuts(void)
{
	static const int cases[][6] = { /* n, c, h, w, k, stride */
		{2, 16, 8, 8, 32, 2}, {1, 32, 7, 5, 64, 2}, {3, 16, 3, 3, 16, 1}, {1, 5, 4, 4, 17, 2},
		{2, 17, 5, 5, 33, 2}, {2, 8, 1, 1, 16, 2},  {1, 16, 6, 6, 33, 1},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const int *v = cases[i];
		struct op_case c = {
			.name = "shortcut", .kind = THAW_OP_SHORTCUT, .stream = 400 + (int)i, .n = v[0], .c = v[1], .h = v[2],
			.w = v[3], .k = v[4], .kernel = 1, .stride = v[5], .groups = 1,
		};

		compare_backward(&c, 0);
	}
}

static void test_linear(void)
{
	static const int cases[][3] = { /* n, c, k */
		{4, 512, 10}, {64, 512, 2}, {1, 64, 10}, {3, 33, 17}, {2, 2048, 1000}, {8, 5, 3}, {1, 8, 8},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const int *v = cases[i];
		struct op_case c = {
			.name = "linear", .kind = THAW_OP_LINEAR, .stream = 500 + (int)i, .n = v[0], .c = v[1], .h = 1, .w = 1,
			.k = v[2], .kernel = 1, .stride = 1, .groups = 1, .bias = true,
		};

		compare_backward(&c, 1u << OP_DWEIGHT | 1u << OP_DBIAS);
	}
}

/* Plain, smoothed, weighted and mixed labels, and all of these together; the last `pad` pictures fill up the batch. */
static void test_losses(void)
{
	static const int sizes[][2] = {{9, 33}, {1, 2}, {3, 1000}}; /* n, classes */

	for (int i = 0; i < 8 * 3; i++) {
		const int *size = sizes[i / 8], options = i % 8;
		struct op_case c = {
			.name = "loss", .kind = THAW_OP_LOSS, .stream = 700 + i, .n = size[0], .c = size[1], .h = 1, .w = 1,
			.k = size[1], .kernel = 1, .stride = 1, .groups = 1, .pad = size[0] > 2 ? options % 3 : 0,
			.smoothing = options & 1 ? 10 : 0, .weighted = options & 2, .mixed = options & 4,
		};

		compare(&c);
		c.forward_only = true;
		compare(&c);
	}
}

static void test_inputs(void)
{
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		const int *v = shapes[i];
		struct op_case c = {
			.name = "input", .kind = THAW_OP_INPUT, .stream = 600 + (int)i, .n = v[0], .c = 3, .h = v[2], .w = v[3],
			.k = 3, .kernel = 1, .stride = 1, .groups = 1, .forward_only = true,
		};

		compare(&c);
	}
}

int main(int argc, char **argv)
{
	int threads = argc > 2 ? atoi(argv[2]) : 1;
	enum thaw_number number = THAW_FLOAT32;

	if (argc < 2) {
		printf("usage: op_parity_test <backend> [threads [fp32|bf16|fp16]]\n");
		return 1;
	}
	if (argc > 3 && strcmp(argv[3], "fp32") != 0)
		number = strcmp(argv[3], "fp16") == 0 ? THAW_FLOAT16 : THAW_BFLOAT16;
	CHECK_OK(thaw_device_open("reference", 1, 0, &reference));
	for (; threads <= 2 && !test_failures; threads++) { /* never two open: oneDNN has the threads of the last */
		thaw_status status = thaw_device_open(argv[1], threads, 0, &tested);

		SKIP_WITHOUT_GPU(status);
		CHECK_OK(status);
		if (!tested)
			break;
		tested->number = number;
		tested->fused_statistics = true;
		test_inputs();
		test_convs();
		test_norms();
		test_elementwise();
		test_pools();
		test_shortcuts();
		test_linear();
		test_losses();
		thaw_device_free(tested);
		tested = NULL;
	}
	CHECK(runs > 1000 / EVERY);
	CHECK((op_sums_made() > 0) == (getenv("THAW_SIM_STATISTICS") != NULL));
	thaw_device_free(reference);
	return TEST_END();
}
