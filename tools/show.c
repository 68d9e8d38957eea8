/* thaw show: what a shard's split or a checkpoint holds. */
#include "tools/commands.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "base/text.h"
#include "io/checkpoint.h"
#include "io/dataset.h"
#include "io/seal.h"
#include "tools/shard_names.h"

struct settings {
	bool names, tensors;
};

static void show_normalisation(const float mean[3], const float std[3])
{
	thaw_log("  normalise  mean %.3f %.3f %.3f  deviation %.3f %.3f %.3f", mean[0], mean[1], mean[2], std[0], std[1],
	    std[2]);
}

/* The length of the edge that has rank `rank` of `count`, in a histogram of all lengths. */
static int edge_at(const int64_t *histogram, int64_t rank)
{
	int edge = 0;

	for (int64_t before = histogram[0]; before <= rank; before += histogram[edge])
		edge++;
	return edge;
}

static thaw_status show_sizes(const struct thaw_dataset *dataset)
{
	static const char *const edges[] = {"height", "width"};
	int64_t count = thaw_dataset_facts(dataset)->count;
	int64_t *histogram = thaw_alloc(2 * (UINT16_MAX + 1), sizeof *histogram);

	if (!histogram)
		return THAW_OUT_OF_MEMORY;
	for (int64_t i = 0; i < count; i++) {
		const struct thaw_picture *picture = thaw_dataset_picture(dataset, i, NULL);

		histogram[picture->height]++;
		histogram[UINT16_MAX + 1 + picture->width]++;
	}
	for (int e = 0; e < 2 && count > 0; e++) {
		const int64_t *h = histogram + e * (UINT16_MAX + 1);

		thaw_log("  %-9s  %d to %d, median %d", edges[e], edge_at(h, 0), edge_at(h, count - 1), edge_at(h, (count - 1) / 2));
	}
	free(histogram);
	return THAW_OK;
}

static void show_names(const struct thaw_dataset *dataset)
{
	for (int64_t i = 0; i < thaw_dataset_facts(dataset)->count; i++) {
		const struct thaw_picture *picture = thaw_dataset_picture(dataset, i, NULL);

		thaw_log("  %7lld  %5u x %-5u  %s", (long long)i, (unsigned)picture->width, (unsigned)picture->height,
		    thaw_dataset_name(dataset, i));
	}
}

/* The classes, with their counts one below the other unless a name is very long. */
static thaw_status show_classes(const struct thaw_dataset *dataset)
{
	enum { NARROW = 20, WIDE = 40 };
	int classes = thaw_dataset_facts(dataset)->classes, widest = NARROW;
	thaw_status status = THAW_OK;

	thaw_log("  classes    %d", classes);
	for (int pass = 0; pass < 2; pass++) /* the first measures */
		for (int c = 0; !status && c < classes; c++) {
			struct thaw_text name = THAW_TEXT_EMPTY;
			int width;

			thaw_text_add_printable(&name, thaw_dataset_class(dataset, c));
			status = thaw_text_status(&name);
			width = thaw_characters(name.data);
			if (pass == 0)
				widest = width > widest && width <= WIDE ? width : widest;
			else if (!status)
				thaw_log("  %7d  %s%*s  %lld", c, name.data, width < widest ? widest - width : 0, "",
				    (long long)thaw_dataset_class_count(dataset, c));
			thaw_text_release(&name);
		}
	return status;
}

static thaw_status show_split(const struct settings *settings, const char *pattern)
{
	const struct thaw_dataset_facts *facts;
	struct thaw_dataset *dataset;
	thaw_status status = thaw_dataset_open(pattern, NULL, &dataset);
	char number[32];

	if (status)
		return status;
	facts = thaw_dataset_facts(dataset);
	thaw_log("%s", pattern);
	thaw_log("  split      %s", facts->split);
	thaw_log("  pictures   %s", thaw_count_text(facts->count, number));
	thaw_log("  resize     %d, shorter edge", facts->resize);
	status = show_sizes(dataset);
	show_normalisation(facts->mean, facts->std);
	if (!status)
		status = show_classes(dataset);
	if (!status && settings->names)
		show_names(dataset);
	thaw_dataset_free(dataset);
	return status;
}

static int64_t element_count(const struct thaw_checkpoint_tensor *tensor)
{
	int64_t count = 1;

	for (int d = 0; d < tensor->rank; d++)
		count *= tensor->dims[d];
	return count;
}

static bool begins_with(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Running statistics stand beside the parameters in a model and are none. */
static bool is_statistic(const char *name)
{
	return strstr(name, ".running_") != NULL || strstr(name, ".num_batches_tracked") != NULL;
}

static void show_counts(const struct thaw_checkpoint *checkpoint)
{
	int64_t parameters = 0, tensors = 0, statistics = 0, slots = 0, averages = 0;
	char number[32];

	for (int i = 0; i < thaw_checkpoint_count(checkpoint); i++) {
		const struct thaw_checkpoint_tensor *tensor = thaw_checkpoint_tensor(checkpoint, i);

		if (begins_with(tensor->name, "average/")) {
			averages++;
		} else if (!begins_with(tensor->name, "model/")) {
			slots++;
		} else if (is_statistic(tensor->name)) {
			statistics++;
		} else {
			tensors++;
			parameters += element_count(tensor);
		}
	}
	thaw_log("  model      %s parameter%s in %lld tensor%s, %lld of statistics", thaw_count_text(parameters, number),
	    thaw_plural(parameters), (long long)tensors, thaw_plural(tensors), (long long)statistics);
	thaw_log("  optimizer  %lld tensor%s", (long long)slots, thaw_plural(slots));
	if (averages > 0)
		thaw_log("  average    %lld tensor%s", (long long)averages, thaw_plural(averages));
}

/* SHA-256 of a tensor's bytes: equal digests mean that not a bit differs. */
static thaw_status digest_of(const struct thaw_checkpoint *checkpoint, struct thaw_checkpoint_tensor tensor,
                             char text_out[65])
{
	size_t size_bytes = (size_t)element_count(&tensor) * sizeof *tensor.data;
	uint8_t digest[32];
	thaw_status status;

	tensor.data = thaw_alloc(size_bytes, 1);
	if (!tensor.data)
		return THAW_OUT_OF_MEMORY;
	status = thaw_checkpoint_read(checkpoint, &tensor);
	if (!status) {
		thaw_sha256(tensor.data, size_bytes, digest);
		thaw_sha256_text(digest, text_out);
	}
	free(tensor.data);
	return status;
}

static thaw_status show_tensors(const struct thaw_checkpoint *checkpoint)
{
	thaw_status status = THAW_OK;
	char digest[65];

	for (int i = 0; !status && i < thaw_checkpoint_count(checkpoint); i++) {
		const struct thaw_checkpoint_tensor *tensor = thaw_checkpoint_tensor(checkpoint, i);
		struct thaw_text shape = THAW_TEXT_EMPTY;

		for (int d = 0; d < tensor->rank; d++)
			thaw_text_add(&shape, "%s%lld", d > 0 ? " x " : "", (long long)tensor->dims[d]);
		status = thaw_text_status(&shape);
		if (!status)
			status = digest_of(checkpoint, *tensor, digest);
		if (!status)
			thaw_log("  %-48s  %-20s  %.16s", tensor->name, shape.data, digest);
		thaw_text_release(&shape);
	}
	return status;
}

static thaw_status show_checkpoint(const struct settings *settings, const char *path)
{
	const struct thaw_checkpoint_facts *facts;
	struct thaw_checkpoint *checkpoint;
	thaw_status status = thaw_checkpoint_open(path, &checkpoint);

	if (status)
		return status;
	facts = thaw_checkpoint_facts(checkpoint);
	thaw_log("%s", path);
	thaw_log("  arch       %s", facts->arch);
	thaw_log("  epoch      %lld, step %lld", (long long)facts->epoch, (long long)facts->step);
	thaw_log("  best       %s %.4f at epoch %lld", facts->metric, facts->best, (long long)facts->best_epoch);
	show_counts(checkpoint);
	show_normalisation(facts->mean, facts->std);
	thaw_log("  build      %s", facts->build);
	thaw_log("  classes    %d", facts->classes);
	for (int c = 0; c < facts->classes; c++)
		thaw_log("  %7d  %s", c, facts->names[c]);
	if (settings->tensors)
		status = show_tensors(checkpoint);
	thaw_checkpoint_free(checkpoint);
	return status;
}

/* Shows one file; a shard stands for its split, which is not shown again when `before` is its pattern too. */
static thaw_status show(const struct settings *settings, const char *path, struct thaw_text *before)
{
	struct thaw_text pattern = THAW_TEXT_EMPTY;
	const char *kind;
	thaw_status status = thaw_seal_kind(path, &kind);

	if (status)
		return status;
	if (strcmp(kind, "checkpoint") == 0)
		return show_checkpoint(settings, path);
	status = thaw_shard_split_pattern(path, &pattern);
	if (!status && strcmp(pattern.data, before->data) != 0)
		status = show_split(settings, pattern.data);
	thaw_text_release(before);
	*before = pattern;
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct settings s = {0};
	const struct thaw_option options[] = {
		{"names", 0, THAW_OPTION_FLAG, &s.names, 0, 0, NULL, "list the pictures of a split"},
		{"tensors", 0, THAW_OPTION_FLAG, &s.tensors, 0, 0, NULL,
	     "list the tensors of a checkpoint, each with its shape\nand the head of its SHA-256"},
	};
	struct thaw_text before = THAW_TEXT_EMPTY;
	struct thaw_texts given;
	bool help;
	thaw_status status =
		thaw_options_parse(self, options, (int)(sizeof options / sizeof *options), argc, argv, &given, &help);

	if (status || help)
		return status;
	if (given.count == 0)
		return thaw_fail(THAW_BAD_JOB, "thaw show: files are needed: thaw show FILE.h5...");
	for (int i = 0; !status && i < given.count; i++)
		status = show(&s, given.text[i], &before);
	thaw_text_release(&before);
	return status;
}

const struct thaw_command thaw_command_show = {
	.name = "show",
	.summary = "what a shard or a checkpoint holds",
	.synopsis = "thaw show FILE.h5... [options]",
	.notes = "A shard stands for its whole split, which is shown once.\n"
			 "\n"
			 "  thaw show data/*.h5\n"
			 "  thaw show runs/ants-vs-bees/best.h5 --tensors",
	.run = run,
};
