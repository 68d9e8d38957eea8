#include "runner/fit.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
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

	return strcmp(name, "n_averaged") == 0 ||
	       (length > strlen(end) && strcmp(name + length - strlen(end), end) == 0);
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
	*fit_out = fit;
	return list ? thaw_text_status(list) : THAW_OK;
}

void thaw_fit_copy(const struct thaw_fit *fit, const struct thaw_weights *weights, struct thaw_params *params)
{
	for (int i = 0; i < thaw_net_params(params->net); i++) {
		const struct thaw_param *param = thaw_net_param(params->net, i);
		const struct thaw_weight *tensor = thaw_weights_find(weights, param->name);

		if (tensor && same_shape(param, tensor, 0) && !(fit->other_head && is_head(params->net, param)))
			thaw_weight_copy(tensor, thaw_params_at(params, i));
	}
	params->version++;
}

thaw_status thaw_fit_arch(const struct thaw_weights *weights, const char **arch_out, struct thaw_fit *fit_out,
                          struct thaw_text *list)
{
	const char *best = NULL, *name;
	thaw_status status = THAW_OK;

	for (int i = 0; !status && (name = thaw_model_name(i)); i++) {
		struct thaw_text words = THAW_TEXT_EMPTY;
		struct thaw_net *net;
		struct thaw_fit fit;
		bool better = false;

		status = thaw_model_build(name, 2, THAW_FIT_SIZE, &net);
		if (status)
			break;
		status = thaw_fit_look(net, weights, &fit, &words);
		thaw_net_free(net);
		if (!status)
			better = fit.missing == 0 && fit.misshapen == 0 && (!best || fit.left_over < fit_out->left_over);
		if (better || (!status && i == 0)) {
			*fit_out = fit;
			best = better ? name : NULL;
			thaw_text_release(list);
			*list = words;
		} else {
			thaw_text_release(&words);
		}
	}
	*arch_out = best;
	return status;
}
