#include "runner/fitting.h"

#include <stdio.h>

#include "nn/fitting.h"
#include "runner/world.h"

/* "212.3 GiB", "37.5 MiB" */
static const char *bytes_text(double bytes, char text[32])
{
	const double gib = 1024.0 * 1024.0 * 1024.0;

	snprintf(text, 32, bytes >= gib ? "%.1f GiB" : "%.1f MiB", bytes >= gib ? bytes / gib : 1024.0 * bytes / gib);
	return text;
}

thaw_status thaw_fitting_words(const struct thaw_fitting_facts *f)
{
	char needed[32], available[32], where[48] = "", advice[128];

	if (f->gpu)
		snprintf(where, sizeof where, " on each GPU");
	else if (f->ranks > 1)
		snprintf(where, sizeof where, " in each of %d ranks", f->ranks);
	if (f->fits > 0)
		snprintf(advice, sizeof advice, "a batch of %d would fit", f->fits * f->replicas);
	else
		snprintf(advice, sizeof advice,
		         "not even one picture in each of %d replica%s fits, a smaller data.crop or network may", f->replicas,
		         f->replicas == 1 ? "" : "s");
	return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: batch: %d needs %s for activations%s, %s are free: %s",
	                 f->batch, bytes_text(f->needed, needed), where, bytes_text(f->available, available), advice);
}

thaw_status thaw_fitting_fail(struct thaw_setup *setup, const struct thaw_plan_spec *spec, int batch)
{
	struct thaw_fitting_facts facts = {
		.batch = batch,
		.replicas = setup->replicas,
		.ranks = setup->device->sharers,
		.gpu = setup->device->backend->memory != NULL,
	};
	struct thaw_fitting fitting = {.batch = 0};
	char words[THAW_WORDS];
	double least = 0, free = 0;
	thaw_status status;

	snprintf(words, sizeof words, "%s", thaw_fail_text());
	status = thaw_world_agree(thaw_plan_fitting(setup->net, spec, &fitting));
	if (!status)
		status = thaw_world_largest(-(double)fitting.batch, &least);
	if (!status)
		status = thaw_world_largest(-(double)fitting.available_bytes, &free);
	if (!status)
		status = thaw_world_largest((double)fitting.needed_bytes, &facts.needed);
	if (status)
		return status;
	facts.fits = (int)-least;
	facts.available = -free;
	status = facts.fits < spec->batch ? thaw_fitting_words(&facts) : thaw_fail(THAW_OUT_OF_MEMORY, "%s", words);
	return thaw_world_agree(status);
}
