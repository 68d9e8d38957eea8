/* How weights fit a network: files that stand in memory, made of a network's own table and then changed. */
#include "runner/fit.h"

#include "base/text.h"
#include "nn/models.h"
#include "tests/test.h"

/* Weights of a ResNet-20 with 5 classes, each number that of its place, and room for a few tensors more. */
struct file {
	struct thaw_net *net;
	struct thaw_weights weights;
	struct thaw_weight tensors[128];
	float *numbers;
};

static int by_name(const void *a, const void *b)
{
	const struct thaw_weight *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void sort(struct file *file)
{
	qsort(file->tensors, (size_t)file->weights.count, sizeof *file->tensors, by_name);
}

static void make(struct file *file)
{
	int64_t most = 0;

	*file = (struct file){.weights = {.path = "x.pth", .format = "torch zip", .container = ""}};
	CHECK_OK(thaw_model_build("resnet20", 5, 32, &file->net));
	for (int i = 0; i < thaw_net_params(file->net); i++) {
		const struct thaw_param *param = thaw_net_param(file->net, i);
		struct thaw_weight *tensor = &file->tensors[file->weights.count++];

		*tensor =
			(struct thaw_weight){.name = param->name, .dtype = THAW_F32, .rank = param->rank, .elems = param->elems};
		memcpy(tensor->dims, param->shape, (size_t)param->rank * sizeof *param->shape);
		for (int64_t d = param->rank, stride = 1; d-- > 0; stride *= tensor->dims[d])
			tensor->strides[d] = stride;
		most = param->elems > most ? param->elems : most;
	}
	file->numbers = malloc((size_t)most * sizeof *file->numbers);
	for (int64_t i = 0; i < most; i++)
		file->numbers[i] = (float)i;
	for (int i = 0; i < file->weights.count; i++)
		file->tensors[i].data = (const uint8_t *)file->numbers;
	file->weights.tensors = file->tensors;
	sort(file);
}

static void release(struct file *file)
{
	thaw_net_free(file->net);
	free(file->numbers);
}

static void add(struct file *file, const char *name, int64_t dim)
{
	file->tensors[file->weights.count++] = (struct thaw_weight){.name = name,
	                                                            .dtype = THAW_F32,
	                                                            .rank = 1,
	                                                            .dims = {dim},
	                                                            .strides = {1},
	                                                            .elems = dim,
	                                                            .data = (void *)file->numbers};
	sort(file);
}

static struct thaw_weight *find(struct file *file, const char *name)
{
	return (struct thaw_weight *)thaw_weights_find(&file->weights, name);
}

/* What fits, what does not, and the list of that. */
static void check(const struct file *file, int fitting, int missing, int misshapen, int left_over, const char *want)
{
	struct thaw_text list = THAW_TEXT_EMPTY;
	struct thaw_fit fit;

	CHECK_OK(thaw_fit_look(file->net, &file->weights, &fit, &list));
	CHECK_INT(fit.fitting, fitting);
	CHECK_INT(fit.missing, missing);
	CHECK_INT(fit.misshapen, misshapen);
	CHECK_INT(fit.left_over, left_over);
	CHECK_TEXT(list.data ? list.data : "", want);
	thaw_text_release(&list);
}

enum { ALL = 97, HEAD = 2 }; /* tensors: 19 convolutions, 19 norms of 4, a linear layer of 2 (He et al. 2015, 4.2) */

static void test_names(void)
{
	struct file file;

	make(&file);
	CHECK_INT(thaw_net_params(file.net), ALL);
	check(&file, ALL, 0, 0, 0, "");
	add(&file, "bn1.num_batches_tracked", 1);
	add(&file, "n_averaged", 1);
	check(&file, ALL, 0, 0, 0, "");
	add(&file, "num_batches_tracked", 1); /* of no norm */
	check(&file, ALL, 0, 0, 1, "'num_batches_tracked' is left over");
	find(&file, "bn1.bias")->name = "bn1.bias2";
	find(&file, "bn1.weight")->dims[0] = 17;
	check(&file, ALL - 2, 1, 1, 2,
	      "'bn1.weight' is (17), expected (16); 'bn1.bias' is missing; 'bn1.bias2' is left over; "
	      "'num_batches_tracked' is left over");
	release(&file);
}

/* Ten are listed, and the rest counted. */
static void test_list(void)
{
	static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"};
	struct file file;

	make(&file);
	for (int i = 0; i < 10; i++)
		add(&file, names[i], 1);
	check(&file, ALL, 0, 0, 10,
	      "'a' is left over; 'b' is left over; 'c' is left over; 'd' is left over; 'e' is left over; 'f' is left over; "
	      "'g' is left over; 'h' is left over; 'i' is left over; 'j' is left over");
	add(&file, names[10], 1);
	check(&file, ALL, 0, 0, 11,
	      "'a' is left over; 'b' is left over; 'c' is left over; 'd' is left over; 'e' is left over; 'f' is left over; "
	      "'g' is left over; 'h' is left over; 'i' is left over; 'j' is left over; and 1 more");
	release(&file);
}

/* A head of other classes is not the network's; one that disagrees with itself is no head. */
static void test_head(void)
{
	struct file file;
	struct thaw_fit fit;

	make(&file);
	find(&file, "fc.weight")->dims[0] = 7;
	check(&file, ALL - 1, 0, 1, 0, "'fc.weight' is (7, 64), expected (5, 64)");
	find(&file, "fc.bias")->dims[0] = 7;
	check(&file, ALL - HEAD, 0, 0, 0, "");
	CHECK_OK(thaw_fit_look(file.net, &file.weights, &fit, NULL));
	CHECK(fit.other_head && fit.head_classes == 7);
	find(&file, "fc.weight")->dims[1] = 63;
	check(&file, ALL - HEAD, 0, 1, 0, "'fc.weight' is (7, 63), expected (5, 64)");
	release(&file);
}

/* One linear layer within the head can be renamed to it; of two nobody knows which. */
static void test_inner_head(void)
{
	struct file file;
	struct thaw_fit fit;

	make(&file);
	find(&file, "fc.bias")->name = "fc.1.bias";
	find(&file, "fc.weight")->name = "fc.1.weight";
	sort(&file);
	CHECK_OK(thaw_fit_look(file.net, &file.weights, &fit, NULL));
	CHECK_TEXT(fit.head, "fc.1.");
	add(&file, "fc.4.weight", 5);
	find(&file, "fc.4.weight")->rank = 2;
	CHECK_OK(thaw_fit_look(file.net, &file.weights, &fit, NULL));
	CHECK_TEXT(fit.head, "");
	release(&file);
}

/* Numbers go where they belong; a head that is another's stays as it was, though it has the network's shape. */
static void test_copy(void)
{
	struct thaw_fit fit;
	struct thaw_params params;
	struct file file;
	int head, variance = 0;

	make(&file);
	head = thaw_net_params(file.net) - 1;
	CHECK_OK(thaw_params_init(&params, file.net));
	CHECK_OK(thaw_fit_look(file.net, &file.weights, &fit, NULL));
	CHECK(!fit.other_head);
	fit.other_head = true;
	CHECK_OK(thaw_fit_copy(&fit, &file.weights, &params));
	CHECK_NEAR(thaw_params_at(&params, 0)[100], 100, 0);
	CHECK_NEAR(thaw_params_at(&params, head)[4], 0, 0);
	fit.other_head = false;
	CHECK_OK(thaw_fit_copy(&fit, &file.weights, &params));
	CHECK_NEAR(thaw_params_at(&params, head)[4], 4, 0);

	file.numbers[3] = -0.5f; /* of every tensor, and only variances mind */
	while (thaw_net_param(file.net, variance)->role != THAW_RUNNING_VAR)
		variance++;
	CHECK_FAILS(thaw_fit_copy(&fit, &file.weights, &params), THAW_FAILED,
	            "'x.pth': 'bn1.running_var' has -0.5 in it, and is a variance");
	file.numbers[3] = INFINITY;
	CHECK_FAILS(thaw_fit_copy(&fit, &file.weights, &params), THAW_FAILED,
	            "'x.pth': 'conv1.weight' has a number in it that is not finite");
	thaw_params_release(&params);
	release(&file);
}

/* The nearest of all architectures has the fewest that are wrong, then the fewest left over. */
static void test_arch(void)
{
	struct thaw_text list = THAW_TEXT_EMPTY;
	struct thaw_fit fit;
	const char *arch;
	struct file file;

	make(&file);
	CHECK_OK(thaw_fit_arch(&file.weights, &arch, &fit, &list));
	CHECK(arch && strcmp(arch, "resnet20") == 0 && thaw_fit_is_whole(&fit));
	find(&file, "bn1.bias")->name = "bn1.bias2";
	CHECK_OK(thaw_fit_arch(&file.weights, &arch, &fit, &list));
	CHECK(arch && strcmp(arch, "resnet20") == 0 && !thaw_fit_is_whole(&fit));
	CHECK_TEXT(list.data, "'bn1.bias' is missing; 'bn1.bias2' is left over");
	thaw_text_release(&list);
	release(&file);
}

/* What the file says of its pictures counts; of one that says nothing, what torchvision's first weights saw. */
static void test_input(void)
{
	struct thaw_weights weights = {.path = "x.pth"};
	struct thaw_fit_input input = thaw_fit_input(&weights, "resnet50");

	CHECK(!input.said && input.resize == 256 && input.crop == 224);
	CHECK_NEAR(input.mean[0], 0.485, 1e-7);
	CHECK_NEAR(input.std[2], 0.225, 1e-7);
	input = thaw_fit_input(&weights, "resnet20"); /* torchvision has none */
	CHECK(input.resize == 0 && input.crop == 0);
	weights.facts = (struct thaw_weights_facts){.arch = "resnet50", .mean = {1, 2, 3}, .std = {4, 5, 6}};
	weights.facts.resize = 40;
	weights.facts.crop = 32;
	input = thaw_fit_input(&weights, "resnet50");
	CHECK(input.said && input.resize == 40 && input.crop == 32 && input.mean[1] == 2 && input.std[1] == 5);
}

int main(void)
{
	test_names();
	test_list();
	test_head();
	test_inner_head();
	test_copy();
	test_arch();
	test_input();
	return TEST_END();
}
