/*
 * Every operation against PyTorch's results in double precision (tests/golden/make_ops.py).
 *
 *     op_golden_test <tests/golden> <backend>
 */
#include <math.h>

#include "nn/device.h"
#include "tests/golden/golden.h"
#include "tests/ops/harness.h"
#include "tests/test.h"

enum { FIELDS = 19 };

/* Largest error allowed, as a part of the result's norm. The reference only rounds its results; the others also round
 * their sums, and convolutions may be Winograd's. */
static double tolerance(const struct thaw_device *device, const struct op_case *c)
{
	if (strcmp(device->backend->name, "reference") == 0)
		return 2e-7;
	return c->kind == THAW_OP_CONV ? 1e-5 : 2e-6;
}

static enum thaw_op_kind kind_of(const char *title)
{
	for (int kind = 0; kind < THAW_OP_KINDS; kind++) {
		const char *name = thaw_op_kind_name((enum thaw_op_kind)kind);
		size_t length = strlen(name);

		if (strncmp(title, name, length) == 0 && title[length] == ':')
			return (enum thaw_op_kind)kind;
	}
	TEST_FAIL("fixture '%s' is of no known kind", title);
	return THAW_OP_RELU;
}

static struct op_case read_case(struct golden *golden, const char *title)
{
	int v[FIELDS];
	struct op_case c;

	golden_ints(golden, title, "case", v, FIELDS);
	c = (struct op_case){
		.name = title,
		.kind = kind_of(title),
		.stream = v[0],
		.n = v[1],
		.c = v[2],
		.h = v[3],
		.w = v[4],
		.k = v[5],
		.kernel = v[6],
		.stride = v[7],
		.pad = v[8],
		.groups = v[9],
		.bias = v[10],
		.relu = v[11],
		.residual = v[12],
		.fold = v[13],
		.batch_statistics = v[14],
		.ties = v[15],
		.smoothing = v[16],
		.weighted = v[17],
		.mixed = v[18],
	};
	c.forward_only = c.kind == THAW_OP_INPUT || (c.kind == THAW_OP_CONV && (c.relu || c.residual || c.fold));
	return c;
}

static bool exists(const struct thaw_device *device, struct golden *golden, const char *title)
{
	struct op_case c = read_case(golden, title);

	return op_exists(device, &c);
}

static void check_case(struct thaw_device *device, struct golden *golden, const char *title)
{
	struct op_case c = read_case(golden, title);
	struct op_arrays arrays;
	size_t elems, at = 0;
	float *want = golden_floats(golden, title, &elems);
	const char *fault;

	op_arrays_init(&arrays, &c);
	fault = op_run(device, &c, &arrays);
	if (fault)
		TEST_FAIL("%s: %s", title, fault);
	for (int i = OP_INPUTS; i < OP_ARRAYS && !fault; i++) {
		double error;

		if (!arrays.elems[i])
			continue;
		if (at + arrays.elems[i] > elems)
			break;
		error = op_error(arrays.data[i], want + at, arrays.elems[i]);
		if (!(error <= tolerance(device, &c)))
			TEST_FAIL("%s: %s differs by %.3g", title, op_array_name((enum op_array)i), error);
		at += arrays.elems[i];
	}
	if (!fault && at != elems)
		TEST_FAIL("%s: %zu numbers in the fixture, %zu compared", title, elems, at);
	op_arrays_release(&arrays);
	free(want);
}

/* NaN in the middle of 3x3 wins in all four 2x2 windows and takes all of their gradients. */
static void test_nan_wins(struct thaw_device *device)
{
	struct op_case c = {
		.name = "max_pool with NaN",
		.kind = THAW_OP_MAX_POOL,
		.n = 1,
		.c = 8,
		.h = 3,
		.w = 3,
		.k = 8,
		.kernel = 2,
		.stride = 1,
		.groups = 1,
	};
	struct op_arrays arrays;
	const float *dy, *dx;

	op_arrays_init(&arrays, &c);
	arrays.data[OP_X][4] = NAN;
	CHECK(op_run(device, &c, &arrays) == NULL);
	dy = arrays.data[OP_DY], dx = arrays.data[OP_DX];
	for (int i = 0; i < 4; i++)
		CHECK(isnan(arrays.data[OP_Y][i]));
	for (int i = 0; i < 9; i++)
		CHECK_NEAR(dx[i], i == 4 ? (double)dy[0] + dy[1] + dy[2] + dy[3] : 0, 1e-6);
	op_arrays_release(&arrays);
}

static void open_device(const char *name, struct thaw_device **device_out)
{
	thaw_status status = thaw_device_open(name, 1, 0, device_out);

	SKIP_WITHOUT_GPU(status);
	if (!status)
		return;
	printf("%s\n", thaw_fail_text());
	exit(1);
}

int main(int argc, char **argv)
{
	struct thaw_device *device = NULL;
	struct golden *golden;
	char title[128];

	if (argc != 3) {
		printf("usage: op_golden_test <tests/golden> <backend>\n");
		return 1;
	}
	open_device(argv[2], &device);
	golden = golden_open(argv[1], "ops.h5");
	CHECK(golden_count(golden, "/") > 100);
	for (int i = 0; i < golden_count(golden, "/"); i++) {
		golden_name(golden, "/", i, title, sizeof title);
		if (exists(device, golden, title))
			check_case(device, golden, title);
	}
	golden_close(golden);
	test_nan_wins(device);
	thaw_device_free(device);
	return TEST_END();
}
