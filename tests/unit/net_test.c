/* Networks as descriptions: sizes known from torchvision and from the papers, what freezing selects, what is refused. */
#include "nn/models.h"
#include "nn/net.h"
#include "nn/params.h"
#include "tests/test.h"

/* Parameters with 1000 classes are torchvision's; tables without num_batches_tracked have as many rows as its state_dict. The CIFAR
 * numbers are counted by hand: 3*16*9 + 32 (stem), 9 w^2 * 2 + 4 w per block of width w with 9 * w/2 * w in the first
 * convolution of a stage that widens, 64 * 10 + 10 (fc). */
static const struct {
	const char *arch;
	int classes, size, rows;
	long long parameters;
} known[] = {
	{"resnet18", 1000, 224, 102, 11689512},  {"resnet34", 1000, 224, 182, 21797672}, {"resnet50", 1000, 224, 267, 25557032},
	{"resnet101", 1000, 224, 522, 44549160}, {"resnet152", 1000, 224, 777, 60192808}, {"resnet18", 2, 224, 102, 11177538},
	{"resnet50", 2, 224, 267, 23512130},     {"resnet20", 10, 32, 97, 269722},        {"resnet56", 10, 32, 277, 853018},
	{"resnet110", 10, 32, 547, 1727962},
};

static void test_sizes(void)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		struct thaw_net *net;

		CHECK_OK(thaw_model_build(known[i].arch, known[i].classes, known[i].size, &net));
		CHECK_INT(thaw_net_count(net, NULL), known[i].parameters);
		CHECK_INT(thaw_net_params(net), known[i].rows);
		CHECK_INT(thaw_net_op(net, thaw_net_ops(net) - 1)->in_shape.c, known[i].classes);
		thaw_net_free(net);
	}
}

static int find(const struct thaw_net *net, const char *name)
{
	for (int i = 0; i < thaw_net_params(net); i++)
		if (strcmp(thaw_net_param(net, i)->name, name) == 0)
			return i;
	return -1;
}

/* torchvision's names, in its order, with PyTorch's shapes; no two parameters overlap. */
static void test_table(void)
{
	static const char *const first[] = {"conv1.weight",     "bn1.weight", "bn1.bias", "bn1.running_mean",
	                                    "bn1.running_var", "layer1.0.conv1.weight"};
	const struct thaw_param *p;
	int64_t end[2] = {0, 0};
	struct thaw_net *net;

	CHECK_OK(thaw_model_build("resnet50", 7, 64, &net));
	for (int i = 0; i < 6; i++)
		CHECK_TEXT(thaw_net_param(net, i)->name, first[i]);
	p = thaw_net_param(net, find(net, "layer2.0.downsample.0.weight"));
	CHECK(p->rank == 4 && p->shape[0] == 512 && p->shape[1] == 256 && p->shape[2] == 1 && p->shape[3] == 1);
	CHECK_TEXT(p->group, "layer2.0");
	p = thaw_net_param(net, find(net, "layer2.0.conv2.weight"));
	CHECK(p->shape[0] == 128 && p->shape[1] == 128 && p->shape[2] == 3);
	p = thaw_net_param(net, find(net, "fc.weight"));
	CHECK(p->rank == 2 && p->shape[0] == 7 && p->shape[1] == 2048);
	for (int i = 0; i < thaw_net_params(net); i++) {
		bool state = thaw_role_is_state(thaw_net_param(net, i)->role);

		CHECK(thaw_net_param(net, i)->offset >= end[state]);
		end[state] = thaw_net_param(net, i)->offset + thaw_net_param(net, i)->elems;
	}
	CHECK(end[0] <= thaw_net_param_elems(net) && end[1] <= thaw_net_state_elems(net));
	thaw_net_free(net);
}

/* Stage and block sizes of ResNet-18 with two classes: its last stage 8,393,728, its last block 4,720,640, the head 1,026. */
static void test_select(void)
{
	struct thaw_net *net;
	bool trains[102];

	CHECK_OK(thaw_model_build("resnet18", 2, 224, &net));
	CHECK_OK(thaw_net_select(net, (const char *[]){"fc"}, 1, trains));
	CHECK_INT(thaw_net_count(net, trains), 1026);
	CHECK_OK(thaw_net_select(net, (const char *[]){"layer4", "fc"}, 2, trains));
	CHECK_INT(thaw_net_count(net, trains), 8394754);
	CHECK_OK(thaw_net_select(net, (const char *[]){"layer4.1", "fc"}, 2, trains));
	CHECK_INT(thaw_net_count(net, trains), 4721666);
	CHECK_OK(thaw_net_select(net, (const char *[]){"conv1"}, 1, trains));
	CHECK_INT(thaw_net_count(net, trains), 9536);
	CHECK(!trains[find(net, "bn1.running_mean")]);
	CHECK_OK(thaw_net_select(net, (const char *[]){"all"}, 1, trains));
	CHECK_INT(thaw_net_count(net, trains), 11177538);
	CHECK_FAILS(thaw_net_select(net, (const char *[]){"layer5"}, 1, trains), THAW_BAD_JOB, "conv1 layer1 layer2 layer3 layer4 fc");
	CHECK_FAILS(thaw_net_select(net, (const char *[]){"layer"}, 1, trains), THAW_BAD_JOB, "'layer'");
	CHECK_FAILS(thaw_net_select(net, (const char *[]){"layer4.2"}, 1, trains), THAW_BAD_JOB, "'layer4.2'");
	thaw_net_free(net);
}

static void test_refusals(void)
{
	struct thaw_net *net;

	CHECK_FAILS(thaw_model_build("resnet19", 2, 224, &net), THAW_BAD_JOB, "resnet18 resnet34");
	CHECK_FAILS(thaw_model_build("resnet18", 1, 224, &net), THAW_BAD_JOB, "at least 2 classes");
	CHECK_FAILS(thaw_model_build("resnet18", 2, 0, &net), THAW_BAD_JOB, "too small");
	net = thaw_net_new();
	CHECK_FAILS(thaw_net_finish(net), THAW_FAILED, "without a head");
	thaw_net_free(net);
	net = thaw_net_new();
	thaw_net_head(net, thaw_net_conv(net, "a", thaw_net_input(net, (struct thaw_shape){3, 4, 4}),
	                                 &(struct thaw_conv){.out = 8, .kernel = 7}));
	CHECK_FAILS(thaw_net_finish(net), THAW_BAD_JOB, "'a'");
	thaw_net_free(net);
	net = thaw_net_new();
	thaw_net_head(net, thaw_net_conv(net, "b", thaw_net_input(net, (struct thaw_shape){3, 4, 4}),
	                                 &(struct thaw_conv){.out = 8, .kernel = 3, .groups = 2}));
	CHECK_FAILS(thaw_net_finish(net), THAW_BAD_JOB, "2 groups");
	thaw_net_free(net);
}

/* He's normal with fan-out: std sqrt(2 / (K R S)); nn.Linear: +-1/sqrt(in) for weight and bias. Bounds: five standard errors. */
static void test_first_values(void)
{
	struct thaw_params params;
	struct thaw_net *net;
	double sum = 0, squares = 0, largest = 0;
	const struct thaw_param *p;
	float *x;
	int i;

	CHECK_OK(thaw_model_build("resnet18", 100, 64, &net));
	CHECK_OK(thaw_params_init(&params, net));
	thaw_params_randomize(&params, 7);
	i = find(net, "layer2.0.conv1.weight");
	p = thaw_net_param(net, i);
	x = thaw_params_at(&params, i);
	for (int64_t k = 0; k < p->elems; k++) {
		sum += x[k];
		squares += (double)x[k] * x[k];
	}
	CHECK_NEAR(sum / (double)p->elems, 0, 5 * sqrt(2.0 / (128 * 9)) / sqrt((double)p->elems));
	CHECK_NEAR(squares / (double)p->elems / (2.0 / (128 * 9)), 1, 5 * sqrt(2.0 / (double)p->elems));
	i = find(net, "fc.weight");
	x = thaw_params_at(&params, i);
	for (int64_t k = 0; k < thaw_net_param(net, i)->elems; k++)
		largest = fmax(largest, fabs(x[k]));
	CHECK(largest <= 1 / sqrt(512) && largest > 0.999 / sqrt(512));
	CHECK_NEAR(thaw_params_at(&params, find(net, "bn1.weight"))[63], 1, 0);
	CHECK_NEAR(thaw_params_at(&params, find(net, "bn1.running_var"))[63], 1, 0);
	CHECK_NEAR(thaw_params_at(&params, find(net, "bn1.running_mean"))[63], 0, 0);
	thaw_params_release(&params);
	thaw_net_free(net);
}

int main(void)
{
	test_sizes();
	test_table();
	test_select();
	test_refusals();
	test_first_values();
	return TEST_END();
}
