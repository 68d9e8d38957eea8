#include "runner/predictor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "io/weights.h"
#include "nn/device.h"
#include "nn/models.h"
#include "nn/plan.h"
#include "runner/fit.h"
#include "runner/gpus.h"

struct member {
	struct thaw_net *net;
	struct thaw_params params;
	struct thaw_plan *plan;
};

struct thaw_predictor {
	struct thaw_predictor_spec spec;
	struct thaw_predictor_facts facts;
	char arch[32];
	char **names;           /* (classes) of the first file that has names: */
	const char *names_file; /* borrowed */
	struct thaw_device *device;
	struct member *members; /* (spec.count) */
	int32_t *labels;        /* (batch) -1: nobody knows them */
	float *probabilities;   /* (batch, classes) of one network */
	uint8_t *mirrored;      /* (batch, crop, crop, 3) */
};

/* --- networks ---------------------------------------------------------------------------------------------------- */

static void member_release(struct member *member)
{
	thaw_plan_free(member->plan);
	thaw_params_release(&member->params);
	thaw_net_free(member->net);
}

/* What the file's network is: one of thaw's, whole, and with nothing besides. */
static thaw_status identify(const struct thaw_weights *weights, const char **arch_out, int *classes_out)
{
	struct thaw_text list = THAW_TEXT_EMPTY;
	struct thaw_fit fit;
	thaw_status status = thaw_fit_arch(weights, arch_out, &fit, &list);

	if (!status && fit.prefix[0])
		status =
			thaw_fail(THAW_BAD_JOB,
		              "the names in '%s' begin with '%s': thaw weights convert --rename %s= writes a file without it",
		              weights->path, fit.prefix, fit.prefix);
	else if (!status && fit.other_family)
		status = thaw_fail(THAW_BAD_JOB, "'%s' is %s", weights->path, fit.other_family);
	else if (!status && !*arch_out)
		status = thaw_fail(THAW_BAD_JOB, "'%s' is no network of thaw's", weights->path);
	else if (!status && !thaw_fit_is_whole(&fit))
		status = thaw_fail(THAW_BAD_JOB, "'%s' is no network of thaw's; nearest is %s: %s", weights->path, *arch_out,
		                   list.data);
	else if (!status && fit.left_over > 0)
		status = thaw_fail(THAW_BAD_JOB, "'%s' is more than a %s: %s", weights->path, *arch_out, list.data);
	else if (!status && fit.head_classes == 1)
		status = thaw_fail(THAW_BAD_JOB, "'%s' is a %s whose head has one output: 2 or more tell classes apart",
		                   weights->path, *arch_out);
	else if (!status && (fit.head_classes < 2 || fit.head_classes > INT32_MAX))
		status =
			thaw_fail(THAW_BAD_JOB, "'%s' is a %s without a head: it tells nothing apart", weights->path, *arch_out);
	else if (!status)
		*classes_out = (int)fit.head_classes;
	thaw_text_release(&list);
	return status;
}

/* What pictures are made to: as was asked for, else as the first file says, and then as all say. */
static thaw_status join_sizes(struct thaw_predictor *p, const struct thaw_weights *weights, const char *arch)
{
	const struct thaw_fit_input input = thaw_fit_input(weights, arch);

	if (!p->facts.crop) {
		p->facts.resize = p->spec.resize ? p->spec.resize : input.resize;
		p->facts.crop = p->spec.crop ? p->spec.crop : input.crop;
	}
	if (!input.crop && !(p->spec.resize && p->spec.crop))
		return thaw_fail(THAW_BAD_JOB,
		                 "'%s' does not say for pictures of which size it was trained: --resize and --crop do",
		                 weights->path);
	if ((!p->spec.crop && input.crop != p->facts.crop) || (!p->spec.resize && input.resize != p->facts.resize))
		return thaw_fail(
			THAW_BAD_JOB,
			"'%s' takes pictures of %d pixels and a crop of %d, '%s' of %d and %d: --resize and --crop choose",
			weights->path, input.resize, input.crop, p->spec.files[0], p->facts.resize, p->facts.crop);
	return THAW_OK;
}

/* The names of the first file that has any; whatever follows must agree. */
static thaw_status join_names(struct thaw_predictor *p, const struct thaw_weights *weights, const char *path)
{
	int classes = p->facts.classes;

	if (weights->facts.classes != classes)
		return THAW_OK;
	for (int i = 0; p->names && i < classes; i++)
		if (strcmp(p->names[i], weights->facts.names[i]) != 0)
			return thaw_fail(THAW_BAD_JOB, "class %d is '%s' in '%s', and '%s' in '%s'", i, weights->facts.names[i],
			                 path, p->names[i], p->names_file);
	if (p->names)
		return THAW_OK;
	p->names = thaw_alloc((size_t)classes, sizeof *p->names);
	p->facts.names = (const char *const *)p->names;
	p->names_file = path;
	for (int i = 0; p->names && i < classes; i++) {
		p->names[i] = thaw_copy_text(weights->facts.names[i]);
		if (!p->names[i])
			return THAW_OUT_OF_MEMORY;
	}
	return p->names ? THAW_OK : THAW_OUT_OF_MEMORY;
}

/* Keeps what the first file says; whatever follows must agree. */
static thaw_status join(struct thaw_predictor *p, const struct thaw_weights *weights, const char *path,
                        const char *arch, int classes)
{
	thaw_status status;

	if (!p->arch[0]) {
		snprintf(p->arch, sizeof p->arch, "%s", arch);
		p->facts.arch = p->arch;
		p->facts.classes = classes;
	}
	if (classes != p->facts.classes)
		return thaw_fail(THAW_BAD_JOB, "'%s' tells %d classes apart, '%s' %d", weights->path, classes, p->spec.files[0],
		                 p->facts.classes);
	status = join_sizes(p, weights, arch);
	return status ? status : join_names(p, weights, path);
}

static thaw_status build(struct thaw_predictor *p, const struct thaw_weights *weights, const char *arch,
                         struct member *member)
{
	struct thaw_fit_input input = thaw_fit_input(weights, arch);
	struct thaw_plan_spec spec = {.device = p->device, .params = &member->params, .batch = p->spec.batch};
	thaw_status status = thaw_model_build(arch, p->facts.classes, p->facts.crop, &member->net);

	memcpy(spec.mean, input.mean, sizeof spec.mean);
	memcpy(spec.std, input.std, sizeof spec.std);
	if (!status)
		status = thaw_params_init(&member->params, member->net);
	if (!status)
		status = thaw_params_attach(&member->params, p->device);
	if (status)
		return status;
	status = thaw_fit_copy(&(struct thaw_fit){.other_head = false}, weights, &member->params);
	return status ? status : thaw_plan_compile(member->net, &spec, &member->plan);
}

static thaw_status open_member(struct thaw_predictor *p, const char *path, struct member *member)
{
	struct thaw_weights weights;
	const char *arch = NULL;
	int classes = 0;
	thaw_status status = thaw_weights_open(path, &weights);

	if (status)
		return status;
	status = identify(&weights, &arch, &classes);
	if (!status)
		status = join(p, &weights, path, arch, classes);
	if (!status)
		status = build(p, &weights, arch, member);
	thaw_weights_release(&weights);
	return status;
}

/* --- predictors -------------------------------------------------------------------------------------------------- */

static thaw_status allocate(struct thaw_predictor *p)
{
	size_t batch = (size_t)p->spec.batch, crop = (size_t)p->facts.crop;

	p->labels = thaw_alloc(batch, sizeof *p->labels);
	p->probabilities = thaw_alloc(batch * (size_t)p->facts.classes, sizeof *p->probabilities);
	p->mirrored = p->spec.flip ? thaw_alloc(batch, crop * crop * 3) : NULL;
	if (!p->labels || !p->probabilities || (p->spec.flip && !p->mirrored))
		return THAW_OUT_OF_MEMORY;
	for (size_t i = 0; i < batch; i++)
		p->labels[i] = -1;
	return THAW_OK;
}

thaw_status thaw_predictor_new(const struct thaw_predictor_spec *spec, struct thaw_predictor **predictor_out)
{
	struct thaw_predictor *p = thaw_alloc(1, sizeof *p);
	thaw_status status = p ? THAW_OK : THAW_OUT_OF_MEMORY;
	struct thaw_gpu_view view;

	if (p) {
		p->spec = *spec;
		p->members = thaw_alloc((size_t)spec->count, sizeof *p->members);
		status = p->members ? thaw_gpu_look_around(spec->device, &view) : THAW_OUT_OF_MEMORY;
		if (!status)
			status = thaw_device_open(spec->device, spec->threads, view.asked < 0 ? 0 : view.asked, &p->device);
	}
	for (int i = 0; i < spec->count && !status; i++)
		status = open_member(p, spec->files[i], &p->members[i]);
	if (!status)
		status = allocate(p);
	if (status)
		thaw_predictor_free(p);
	else
		*predictor_out = p;
	return status;
}

void thaw_predictor_free(struct thaw_predictor *p)
{
	if (!p)
		return;
	for (int i = 0; p->members && i < p->spec.count; i++)
		member_release(&p->members[i]);
	for (int i = 0; p->names && i < p->facts.classes; i++)
		free(p->names[i]);
	thaw_device_free(p->device);
	free(p->names);
	free(p->members);
	free(p->labels);
	free(p->probabilities);
	free(p->mirrored);
	free(p);
}

const struct thaw_predictor_facts *thaw_predictor_facts(const struct thaw_predictor *predictor)
{
	return &predictor->facts;
}

static void mirror(const struct thaw_predictor *p, const uint8_t *pixels)
{
	size_t wide = (size_t)p->facts.crop, rows = (size_t)p->spec.batch * wide;

	for (size_t y = 0; y < rows; y++)
		for (size_t x = 0; x < wide; x++)
			memcpy(p->mirrored + (y * wide + x) * 3, pixels + (y * wide + wide - 1 - x) * 3, 3);
}

/* Adds `share` of what every network says. */
static thaw_status add(struct thaw_predictor *p, const uint8_t *pixels, float share, float *sums)
{
	const struct thaw_input input = {
		.pixels = pixels, .labels = p->labels, .global_count = p->spec.batch, .predictions = p->probabilities};
	size_t count = (size_t)p->spec.batch * (size_t)p->facts.classes;
	thaw_status status = THAW_OK;

	for (int m = 0; m < p->spec.count && !status; m++) {
		struct thaw_score score;

		status = thaw_plan_forward(p->members[m].plan, &input, NULL, &score);
		for (size_t i = 0; i < count && !status; i++)
			sums[i] += share * p->probabilities[i];
	}
	return status;
}

thaw_status thaw_predictor_run(struct thaw_predictor *p, const uint8_t *pixels, float *probabilities_out)
{
	float share = 1.0f / (float)(p->spec.count * (p->spec.flip ? 2 : 1));
	thaw_status status;

	memset(probabilities_out, 0, (size_t)p->spec.batch * (size_t)p->facts.classes * sizeof *probabilities_out);
	status = add(p, pixels, share, probabilities_out);
	if (!status && p->spec.flip) {
		mirror(p, pixels);
		status = add(p, p->mirrored, share, probabilities_out);
	}
	return status;
}
