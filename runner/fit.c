#include "runner/fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/printable.h"
#include "base/text.h"
#include "nn/models.h"

enum { LISTED = 10 };

static bool same_shape(const struct thaw_param *param, const struct thaw_weight *tensor, int from)
{
	bool same = param->rank == tensor->rank;

	for (int i = from; same && i < param->rank; i++)
		same = param->shape[i] == tensor->dims[i];
	return same;
}

/* --- the head ---------------------------------------------------------------------------------------------------- */

/* The head's parameters are the last of the table, all in one group. */
static bool is_head(const struct thaw_net *net, const struct thaw_param *param)
{
	return strcmp(param->group, thaw_net_param(net, thaw_net_params(net) - 1)->group) == 0;
}

bool thaw_fit_is_head(const struct thaw_net *net, const char *name)
{
	for (int i = thaw_net_params(net); i-- > 0 && is_head(net, thaw_net_param(net, i));)
		if (strcmp(thaw_net_param(net, i)->name, name) == 0)
			return true;
	return false;
}

/* The head is another where all of its tensors agree on another number of classes, or none is there. */
static void look_at_head(const struct thaw_net *net, const struct thaw_weights *weights, struct thaw_fit *fit)
{
	bool agree = true;

	for (int i = thaw_net_params(net); i-- > 0 && is_head(net, thaw_net_param(net, i));) {
		const struct thaw_weight *tensor = thaw_weights_find(weights, thaw_net_param(net, i)->name);

		if (!tensor || tensor->rank == 0)
			continue;
		agree &= fit->head_classes == 0 || fit->head_classes == tensor->dims[0];
		fit->head_classes = tensor->dims[0];
	}
	fit->other_head = agree && fit->head_classes != thaw_net_param(net, thaw_net_params(net) - 1)->shape[0];
}

/* The one linear layer of what the file calls the head, as in fc = Sequential(Dropout(), Linear(512, 2)). */
static void find_inner_head(const struct thaw_net *net, const struct thaw_weights *weights, struct thaw_fit *fit)
{
	const struct thaw_param *last = thaw_net_param(net, thaw_net_params(net) - 1);
	size_t group = strlen(last->group);
	int found = 0;

	for (int i = 0; i < weights->count && fit->head_classes == 0; i++) {
		const char *name = weights->tensors[i].name, *end = strstr(name, ".weight");

		if (end && strcmp(end, ".weight") == 0 && strncmp(name, last->group, group) == 0 && name[group] == '.' &&
		    end > name + group && weights->tensors[i].rank == 2) {
			snprintf(fit->head, sizeof fit->head, "%.*s.", (int)(end - name), name);
			found++;
		}
	}
	if (found != 1)
		fit->head[0] = '\0';
}

/* --- names and shapes -------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of all parameters, ascending. */
static const char **sort_names(const struct thaw_net *net)
{
	int count = thaw_net_params(net);
	const char **names = thaw_alloc((size_t)count, sizeof *names);

	for (int i = 0; names && i < count; i++)
		names[i] = thaw_net_param(net, i)->name;
	if (names)
		qsort(names, (size_t)count, sizeof *names, by_name);
	return names;
}

static bool counts_batches(const char *name)
{
	static const char end[] = ".num_batches_tracked";
	size_t length = strlen(name);

	return strcmp(name, "n_averaged") == 0 || (length > strlen(end) && strcmp(name + length - strlen(end), end) == 0);
}

/* Families whose names are known and whose networks are not thaw's. */
static const char *find_other_family(const struct thaw_weights *weights)
{
	if (thaw_weights_find(weights, "conv1.0.weight"))
		return "a ResNet-D of timm, whose stem has three convolutions";
	if (thaw_weights_find(weights, "layer1.0.se.fc1.weight"))
		return "a ResNet of timm with squeeze-and-excitation";
	for (int i = 0; i < weights->count; i++)
		if (strstr(weights->tensors[i].name, "embedder.embedder.convolution.weight"))
			return "a ResNet of Hugging Face transformers, whose tensors have other names";
	return NULL;
}

/* What stands before all of the network's names: before the shortest name that ends as that of its first parameter. */
static void find_prefix(const struct thaw_net *net, const struct thaw_weights *weights,
                        char prefix_out[THAW_WEIGHT_NAME])
{
	const char *first = thaw_net_param(net, 0)->name;
	size_t length = strlen(first), shortest = THAW_WEIGHT_NAME;
	char name[2 * THAW_WEIGHT_NAME];
	int found = 0;

	for (int i = 0; i < weights->count; i++) {
		size_t whole = strlen(weights->tensors[i].name);

		if (whole > length && whole < shortest && weights->tensors[i].name[whole - length - 1] == '.' &&
		    strcmp(weights->tensors[i].name + whole - length, first) == 0) {
			shortest = whole;
			snprintf(prefix_out, THAW_WEIGHT_NAME, "%.*s", (int)(whole - length), weights->tensors[i].name);
		}
	}
	for (int i = 0; i < thaw_net_params(net); i++) {
		snprintf(name, sizeof name, "%s%s", prefix_out, thaw_net_param(net, i)->name);
		found += thaw_weights_find(weights, name) != NULL;
	}
	if (found <= thaw_net_params(net) / 2)
		prefix_out[0] = '\0';
}

/* Begins an entry of the list; false where ten stand there already, or none is wanted. */
static bool begin_entry(struct thaw_text *list, int entries)
{
	if (!list || entries >= LISTED)
		return false;
	thaw_text_add(list, "%s", entries ? "; " : "");
	return true;
}

thaw_status thaw_fit_look(const struct thaw_net *net, const struct thaw_weights *weights, struct thaw_fit *fit_out,
                          struct thaw_text *list)
{
	struct thaw_fit fit = {.other_family = find_other_family(weights)};
	const char **names = sort_names(net);
	int entries = 0;

	if (!names)
		return THAW_OUT_OF_MEMORY;
	look_at_head(net, weights, &fit);
	find_inner_head(net, weights, &fit);
	for (int i = 0; i < thaw_net_params(net); i++) {
		const struct thaw_param *param = thaw_net_param(net, i);
		const struct thaw_weight *tensor = thaw_weights_find(weights, param->name);
		bool may_differ = fit.other_head && is_head(net, param);
		char is[192], expected[192];

		if (tensor && same_shape(param, tensor, may_differ ? 1 : 0)) {
			fit.fitting += !may_differ;
		} else if (tensor) {
			if (begin_entry(list, entries++))
				thaw_text_add(list, "'%s' is %s, expected %s", param->name,
				              thaw_shape_text(tensor->rank, tensor->dims, is),
				              thaw_shape_text(param->rank, param->shape, expected));
			fit.misshapen++;
		} else if (!may_differ || fit.head_classes > 0) {
			if (begin_entry(list, entries++))
				thaw_text_add(list, "'%s' is missing", param->name);
			fit.missing++;
		}
	}
	for (int i = 0; i < weights->count; i++) {
		const char *name = weights->tensors[i].name;

		if (counts_batches(name) || bsearch(&name, names, (size_t)thaw_net_params(net), sizeof *names, by_name))
			continue;
		if (begin_entry(list, entries++))
			thaw_text_add(list, "'%s' is left over", name);
		fit.left_over++;
	}
	if (list && entries > LISTED)
		thaw_text_add(list, "; and %d more", entries - LISTED);
	free(names);
	if (fit.fitting == 0)
		find_prefix(net, weights, fit.prefix);
	*fit_out = fit;
	return list ? thaw_text_status(list) : THAW_OK;
}

/* Whether torchvision has weights of it, whose sizes are known. */
static bool has_usual_weights(const char *arch)
{
	for (int i = 0; thaw_model_name(i); i++)
		if (strcmp(thaw_model_name(i), arch) == 0)
			return thaw_model_weights(i) != NULL;
	return false;
}

struct thaw_fit_input thaw_fit_input(const struct thaw_weights *weights, const char *arch)
{
	const struct thaw_weights_facts *facts = &weights->facts;
	struct thaw_fit_input input = {
		.said = facts->arch[0] != '\0',
		.mean = {0.485f, 0.456f, 0.406f},
		.std = {0.229f, 0.224f, 0.225f},
		.resize = facts->resize,
		.crop = facts->crop,
	};

	if (input.said) {
		memcpy(input.mean, facts->mean, sizeof input.mean);
		memcpy(input.std, facts->std, sizeof input.std);
	}
	if (!input.crop && has_usual_weights(arch)) {
		input.resize = 256;
		input.crop = 224;
	}
	return input;
}

/* The file's tensor for parameter `i`; NULL: none, or another's head. */
static const struct thaw_weight *tensor_for(const struct thaw_fit *fit, const struct thaw_weights *weights,
                                            const struct thaw_net *net, int i)
{
	const struct thaw_param *param = thaw_net_param(net, i);
	const struct thaw_weight *tensor = thaw_weights_find(weights, param->name);

	return tensor && same_shape(param, tensor, 0) && !(fit->other_head && is_head(net, param)) ? tensor : NULL;
}

/* The first variance below 0; elems: there is none. */
static int64_t find_negative(const struct thaw_param *param, const float *values)
{
	int64_t i = 0;

	while (i < param->elems && !(param->role == THAW_RUNNING_VAR && values[i] < 0))
		i++;
	return i;
}

static thaw_status fail_copy(const char *path, const struct thaw_param *param, const float *values)
{
	int64_t negative = find_negative(param, values);

	if (negative < param->elems)
		return thaw_fail(THAW_FAILED, "'%s': '%s' has %g in it, and is a variance", path, param->name,
		                 (double)values[negative]);
	return thaw_fail(THAW_FAILED, "'%s': '%s' has a number in it that is not finite", path, param->name);
}

thaw_status thaw_fit_copy(const struct thaw_fit *fit, const struct thaw_weights *weights, struct thaw_params *params)
{
	int count = thaw_net_params(params->net), wrong = count;

#pragma omp parallel for schedule(dynamic) reduction(min : wrong)
	for (int i = 0; i < count; i++) {
		const struct thaw_weight *tensor = tensor_for(fit, weights, params->net, i);
		const struct thaw_param *param = thaw_net_param(params->net, i);
		float *to = thaw_params_at(params, i);

		if (tensor && (!thaw_weight_copy(tensor, to) || find_negative(param, to) < param->elems))
			wrong = i < wrong ? i : wrong;
	}
	params->version++;
	return wrong < count ? fail_copy(weights->path, thaw_net_param(params->net, wrong), thaw_params_at(params, wrong))
	                     : THAW_OK;
}

/* Anything that fits at all, then fewer tensors that are wrong, then fewer that are left over. */
static bool is_nearer(const struct thaw_fit *fit, const struct thaw_fit *best)
{
	int wrong = fit->missing + fit->misshapen, least = best->missing + best->misshapen;

	if ((fit->fitting > 0) != (best->fitting > 0))
		return fit->fitting > 0;
	return wrong != least ? wrong < least : fit->left_over < best->left_over;
}

thaw_status thaw_fit_arch(const struct thaw_weights *weights, const char **arch_out, struct thaw_fit *fit_out,
                          struct thaw_text *list)
{
	const char *name;
	thaw_status status = THAW_OK;

	*arch_out = NULL;
	for (int i = 0; !status && (name = thaw_model_name(i)); i++) {
		struct thaw_text words = THAW_TEXT_EMPTY;
		struct thaw_net *net;
		struct thaw_fit fit;

		status = thaw_model_build(name, 2, THAW_FIT_SIZE, &net);
		if (status)
			break;
		status = thaw_fit_look(net, weights, &fit, &words);
		thaw_net_free(net);
		if (!status && (i == 0 || is_nearer(&fit, fit_out))) {
			*fit_out = fit;
			*arch_out = fit.fitting > 0 ? name : NULL;
			thaw_text_release(list);
			*list = words;
		} else {
			thaw_text_release(&words);
		}
	}
	return status;
}

bool thaw_fit_is_whole(const struct thaw_fit *fit)
{
	return fit->missing + fit->misshapen == 0;
}
