/* thaw models: the architectures there are, and which of them suits some pictures. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strategy.h"
#include "io/dataset.h"
#include "nn/device.h"
#include "nn/models.h"
#include "nn/plan.h"
#include "runner/commands.h"

enum {
	CLASSES = 1000,  /* ImageNet's */
	SMALL = 96,      /* pixels: below, a stem that divides by four leaves little */
	MANY = 1000,     /* pictures of a class that a large network can use */
	SLABS = 3,       /* values, gradients, momentum */
};

struct arguments {
	int64_t crop, batch;
	bool json;
};

struct model {
	const char *name, *weights;
	int64_t parameters, multiply_adds; /* the latter of one picture */
	int64_t memory_bytes;              /* of training, parameters and their slots included; -1: more than there is */
};

static int64_t multiply_adds(const struct thaw_net *net)
{
	int64_t sum = 0;

	for (int i = 0; i < thaw_net_ops(net); i++) {
		const struct thaw_op *op = thaw_net_op(net, i);

		if (op->kind == THAW_OP_CONV || op->kind == THAW_OP_LINEAR)
			sum += thaw_net_param(net, op->param)->elems * op->out_shape.h * op->out_shape.w;
	}
	return sum;
}

/* What training everything takes, without compiling more than a plan. */
static thaw_status measure(const struct thaw_net *net, int batch, int64_t *bytes_out)
{
	int count = thaw_net_params(net);
	bool *trains = thaw_alloc((size_t)count, sizeof *trains);
	struct thaw_params params = {.net = net};
	struct thaw_plan_spec spec = {.params = &params, .batch = batch, .trains = trains, .std = {1, 1, 1}};
	struct thaw_plan *plan = NULL;
	thaw_status status = trains ? thaw_params_init(&params, net) : THAW_OUT_OF_MEMORY;

	for (int i = 0; i < count && !status; i++)
		trains[i] = !thaw_role_is_state(thaw_net_param(net, i)->role);
	if (!status)
		status = thaw_device_open("cpu", 1, 0, &spec.device); /* a GPU's figures need one, and its memory */
	*bytes_out = -1;
	if (!status) {
		spec.device->untimed = true;
		status = thaw_plan_compile(net, &spec, &plan);
		if (status == THAW_OUT_OF_MEMORY)
			status = THAW_OK;
	}
	if (plan)
		*bytes_out = (int64_t)thaw_plan_facts(plan).arena_bytes +
		             SLABS * thaw_net_param_elems(net) * (int64_t)sizeof(float);
	thaw_plan_free(plan);
	thaw_device_free(spec.device);
	thaw_params_release(&params);
	free(trains);
	return status;
}

static thaw_status look(int i, const struct arguments *a, struct model *model)
{
	struct thaw_net *net;
	thaw_status status = thaw_model_build(thaw_model_name(i), CLASSES, (int)a->crop, &net);

	if (status)
		return status;
	*model = (struct model){.name = thaw_model_name(i), .weights = thaw_model_weights(i)};
	model->parameters = thaw_net_count(net, NULL);
	model->multiply_adds = multiply_adds(net);
	status = measure(net, (int)a->batch, &model->memory_bytes);
	thaw_net_free(net);
	return status;
}

static void add_row(const struct model *model, struct thaw_text *lines)
{
	char count[32];

	thaw_text_add(lines, "%-10s  %11s  %13.2f  ", model->name, thaw_count_text(model->parameters, count),
	              (double)model->multiply_adds * 1e-9);
	if (model->memory_bytes < 0)
		thaw_text_add(lines, "   more than there is");
	else
		thaw_text_add(lines, "%8.0f MiB", (double)model->memory_bytes / (1024.0 * 1024.0));
	thaw_text_add(lines, "  %s\n", model->weights ? model->weights : "-");
}

static void add_json(const struct model *model, struct thaw_text *json)
{
	thaw_json_open(json, NULL, '{');
	thaw_json_text(json, "arch", model->name);
	thaw_json_integer(json, "parameters", model->parameters);
	thaw_json_integer(json, "multiply_adds", model->multiply_adds);
	if (model->memory_bytes < 0)
		thaw_json_text(json, "memory_bytes", NULL);
	else
		thaw_json_integer(json, "memory_bytes", model->memory_bytes);
	thaw_json_text(json, "weights", model->weights);
	thaw_json_close(json, '}');
}

/* One line of advice for the shards. */
static thaw_status recommend(const char *data)
{
	const struct thaw_dataset_facts *facts;
	struct thaw_dataset *dataset;
	struct thaw_text line = THAW_TEXT_EMPTY;
	int64_t *counts, most = 0;
	thaw_status status = thaw_dataset_open(data, NULL, &dataset);

	if (status)
		return status;
	facts = thaw_dataset_facts(dataset);
	counts = thaw_alloc((size_t)facts->classes, sizeof *counts);
	for (int c = 0; counts && c < facts->classes; c++) {
		counts[c] = thaw_dataset_class_count(dataset, c);
		most += counts[c] >= MANY;
	}
	if (!counts) {
		status = THAW_OUT_OF_MEMORY;
	} else if (facts->resize < SMALL) {
		thaw_text_add(&line, "resnet20: pictures of %d pixels are small, and it is made for them", facts->resize);
	} else {
		const struct thaw_strategy *strategy = thaw_strategy_of(counts, facts->classes, true);
		bool large = 2 * most > facts->classes;

		thaw_text_add(&line, "%s: most of %d classes have %s than %d pictures; with pre-trained weights: %s (%s)",
		              large ? "resnet50" : "resnet18", facts->classes, large ? "more" : "fewer", MANY, strategy->name,
		              strategy->keys);
	}
	if (!status)
		status = thaw_text_status(&line);
	if (!status)
		thaw_log("for '%s'  %s", data, line.data);
	thaw_text_release(&line);
	free(counts);
	thaw_dataset_free(dataset);
	return status;
}

static thaw_status tell(const struct arguments *a)
{
	struct thaw_text lines = THAW_TEXT_EMPTY;
	thaw_status status = THAW_OK;

	if (a->json)
		thaw_json_open(&lines, NULL, '[');
	else
		thaw_text_add(&lines, "arch         parameters  multiply-adds        memory  usual file of weights\n"
		                      "                          10^9 at %-4d     batch %-4d\n",
		              (int)a->crop, (int)a->batch);
	for (int i = 0; thaw_model_name(i) && !status; i++) {
		struct model model;

		status = look(i, a, &model);
		if (!status)
			(a->json ? add_json : add_row)(&model, &lines);
	}
	if (a->json)
		thaw_json_close(&lines, ']');
	if (!status)
		status = thaw_text_status(&lines);
	if (!status)
		thaw_log_lines(lines.data);
	thaw_text_release(&lines);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct arguments arguments = {.crop = 224, .batch = 32};
	const struct thaw_option options[] = {
		{"crop", 0, THAW_OPTION_INT, &arguments.crop, 32, 4096, "N", "edge of the network's input, pixels (224)"},
		{"batch", 0, THAW_OPTION_INT, &arguments.batch, 1, 4096, "N", "pictures of a batch (32)"},
		{"json", 0, THAW_OPTION_FLAG, &arguments.json, 0, 0, NULL, "print an array of JSON"},
	};
	struct thaw_texts given = {0};
	bool help;
	thaw_status status =
		thaw_options_parse(self, options, sizeof options / sizeof *options, argc, argv, &given, &help);

	if (status || help)
		return status;
	if (given.count > 1)
		return thaw_fail(THAW_BAD_JOB, "thaw models: one pattern of shards, not %d: put it in quotes", given.count);
	if (given.count == 1 && arguments.json)
		return thaw_fail(THAW_BAD_JOB, "thaw models: --json is without advice");
	status = tell(&arguments);
	return status || given.count == 0 ? status : recommend(given.text[0]);
}

const struct thaw_command thaw_command_models = {
	.name = "models",
	.summary = "the architectures there are, and which suits some pictures",
	.synopsis = "thaw models ['data/train-*.h5'] [options]",
	.notes = "Parameters are with a head of 1000 classes. Memory is that of training everything with SGD on one rank, without\n"
			 "the program's own.\n",
	.run = run,
};
