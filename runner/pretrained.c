#include "runner/pretrained.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "runner/fit.h"
#include "runner/world.h"

static bool near(const float a[3], const float b[3])
{
	for (int c = 0; c < 3; c++)
		if (!(fabsf(a[c] - b[c]) <= 5e-4f))
			return false;
	return true;
}

/* A network that sees other numbers than it learnt from: a `problem` that is told, or that ends it. */
static void tell_normalisation(const struct thaw_setup *setup, const char *key, const struct thaw_weights *weights,
                               struct thaw_text *problem)
{
	const struct thaw_fit_input input = thaw_fit_input(weights, setup->job->model.arch);
	const struct thaw_dataset_facts *facts = setup->facts;

	if (near(input.mean, facts->mean) && near(input.std, facts->std))
		return;
	thaw_text_add(problem, "%s: '%s' %s mean %g %g %g and std %g %g %g, the shards have %g %g %g and %g %g %g", key,
	              weights->path,
	              input.said ? "was trained with" : "does not say how it was normalised; torchvision's are with",
	              (double)input.mean[0], (double)input.mean[1], (double)input.mean[2], (double)input.std[0],
	              (double)input.std[1], (double)input.std[2], (double)facts->mean[0], (double)facts->mean[1],
	              (double)facts->mean[2], (double)facts->std[0], (double)facts->std[1], (double)facts->std[2]);
}

/* What is to be evaluated has to see what it learnt from, where that is known; training may get used to it. */
static thaw_status check_normalisation(const struct thaw_setup *setup, const char *key,
                                       const struct thaw_weights *weights, bool whole)
{
	struct thaw_text problem = THAW_TEXT_EMPTY;
	thaw_status status = THAW_OK;

	tell_normalisation(setup, key, weights, &problem);
	if (problem.length > 0 && whole && weights->facts.arch[0])
		status = thaw_fail(THAW_BAD_JOB, "%s", problem.data);
	else if (problem.length > 0 && setup->rank == 0)
		thaw_warn("%s", problem.data);
	thaw_text_release(&problem);
	return status;
}

static void warn_sizes(const struct thaw_setup *setup, const char *key, const struct thaw_weights *weights)
{
	const struct thaw_fit_input input = thaw_fit_input(weights, setup->job->model.arch);

	if (setup->rank != 0 || !input.crop ||
	    (input.crop == setup->job->data.crop && input.resize == setup->facts->resize))
		return;
	thaw_warn("%s: '%s' %s pictures of %d pixels cropped to %d, the shards have %d and data.crop is %d", key,
	          weights->path,
	          weights->facts.crop ? "was trained with"
	                              : "does not say of which size its pictures were; torchvision's first ones saw",
	          input.resize, input.crop, setup->facts->resize, setup->job->data.crop);
}

/* Whether the file's classes are known to be others than the shards', though they may be as many. */
static bool other_classes(const struct thaw_setup *setup, const struct thaw_weights *weights)
{
	bool same = weights->facts.classes == 0 || weights->facts.classes == setup->facts->classes;

	for (int i = 0; same && i < weights->facts.classes; i++)
		same = strcmp(weights->facts.names[i], thaw_dataset_class(setup->val, i)) == 0;
	return !same;
}

/* The architecture whose tensors these all are, where that is not the job's; NULL: none, or it could not be told. */
static const char *other_arch(const struct thaw_setup *setup, const struct thaw_weights *weights)
{
	struct thaw_text list = THAW_TEXT_EMPTY;
	struct thaw_fit fit;
	const char *arch = NULL;
	thaw_status status = thaw_fit_arch(weights, &arch, &fit, &list);

	thaw_text_release(&list);
	return !status && arch && thaw_fit_is_whole(&fit) && strcmp(arch, setup->job->model.arch) != 0 ? arch : NULL;
}

/* Refuses what does not fit: `key` says who named the file. */
static thaw_status check_fit(const struct thaw_setup *setup, const char *key, bool strict,
                             const struct thaw_weights *weights, struct thaw_fit *fit_out)
{
	struct thaw_text list = THAW_TEXT_EMPTY;
	thaw_status status = thaw_fit_look(setup->net, weights, fit_out, &list);
	const char *other;
	bool differs = fit_out->missing + fit_out->misshapen + fit_out->left_over > 0;

	if (!status && fit_out->other_family)
		status = thaw_fail(THAW_BAD_JOB, "%s: '%s' is %s", key, weights->path, fit_out->other_family);
	else if (!status && fit_out->prefix[0])
		status = thaw_fail(
			THAW_BAD_JOB,
			"%s: the names in '%s' begin with '%s': thaw weights convert --rename %s= writes a file without it", key,
			weights->path, fit_out->prefix, fit_out->prefix);
	else if (!status && fit_out->fitting == 0)
		status = thaw_fail(THAW_BAD_JOB, "%s: nothing in '%s' is of a %s: thaw weights inspect tells what it is", key,
		                   weights->path, setup->job->model.arch);
	else if (!status && differs && strict && (other = other_arch(setup, weights)) != NULL)
		status = thaw_fail(THAW_BAD_JOB, "%s: '%s' is a %s, the job's model.arch is %s", key, weights->path, other,
		                   setup->job->model.arch);
	else if (!status && differs && strict)
		status = thaw_fail(THAW_BAD_JOB, "%s: '%s' does not fit %s: %s%s", key, weights->path, setup->job->model.arch,
		                   list.data, *fit_out->head ? "; --rename makes the head of it: thaw weights inspect" : "");
	else if (!status && differs && setup->rank == 0)
		thaw_warn("%s: '%s': %s", key, weights->path, list.data);
	thaw_text_release(&list);
	return status;
}

/* "resnet18.pth (fc 1000 -> 2, new)" */
static void say_weights(struct thaw_setup *setup, const struct thaw_weights *weights, const struct thaw_fit *fit)
{
	const char *head = thaw_net_param(setup->net, thaw_net_params(setup->net) - 1)->group;
	char more[64] = "", inside[48] = "";

	if (fit->other_head && fit->head_classes == setup->facts->classes)
		snprintf(more, sizeof more, " (%s of other classes, new)", head);
	else if (fit->other_head && fit->head_classes > 0)
		snprintf(more, sizeof more, " (%s %lld -> %d, new)", head, (long long)fit->head_classes, setup->facts->classes);
	else if (fit->other_head)
		snprintf(more, sizeof more, " (%s new)", head);
	if (*weights->container)
		snprintf(inside, sizeof inside, ", '%s' in it", weights->container);
	snprintf(setup->weights, sizeof setup->weights, "%s%s%s", weights->path, inside, more);
}

/* Of this rank alone. `whole`: all of the network has to come from the file, head included. */
static thaw_status load(struct thaw_setup *setup, const char *key, const char *path, bool whole)
{
	struct thaw_weights weights;
	struct thaw_fit fit = {.fitting = 0};
	thaw_status status = thaw_weights_open(path, &weights);

	if (status)
		return status;
	status = check_fit(setup, key, whole || setup->job->model.weights_strict, &weights, &fit);
	if (!status && whole && fit.head_classes == 0)
		status = thaw_fail(THAW_BAD_JOB, "%s: '%s' has no head, it tells nothing apart", key, path);
	else if (!status && fit.other_head && whole)
		status = thaw_fail(THAW_BAD_JOB, "%s: '%s' tells %lld classes apart, the shards have %d", key, path,
		                   (long long)fit.head_classes, setup->facts->classes);
	if (!status && whole && other_classes(setup, &weights))
		status = thaw_fail(THAW_BAD_JOB, "%s: '%s' was trained on other classes than the shards have", key, path);
	if (!status)
		status = check_normalisation(setup, key, &weights, whole);
	if (!status) {
		fit.other_head |= other_classes(setup, &weights);
		status = thaw_fit_copy(&fit, &weights, &setup->params);
	}
	if (!status) {
		say_weights(setup, &weights, &fit);
		warn_sizes(setup, key, &weights);
	}
	thaw_weights_release(&weights);
	return status;
}

static thaw_status load_all(struct thaw_setup *setup, const char *key, const char *path, bool whole)
{
	thaw_status status = thaw_world_agree(load(setup, key, path, whole));

	return status ? status : thaw_setup_compare(path, thaw_setup_checksum(setup));
}

thaw_status thaw_pretrained_begin(struct thaw_setup *setup)
{
	thaw_params_randomize(&setup->params, setup->job->seed);
	snprintf(setup->weights, sizeof setup->weights, "random (seed %llu)", (unsigned long long)setup->job->seed);
	return thaw_job_pretrained(setup->job) ? load_all(setup, "model.weights", setup->job->model.weights, false)
	                                       : THAW_OK;
}

thaw_status thaw_pretrained_read(struct thaw_setup *setup, const char *path)
{
	return load_all(setup, "eval", path, true);
}
