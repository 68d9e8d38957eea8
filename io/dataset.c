#define _POSIX_C_SOURCE 200809L
#include "io/dataset.h"

#include <glob.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/mem.h"
#include "io/shard.h"

struct shard {
	struct thaw_shard_map map;
	char *path;
	int64_t first; /* number of its first picture in the split */
};

struct thaw_dataset {
	struct thaw_dataset_facts facts;
	char *pattern;
	struct shard *shards; /* (shards_count), in the order of their numbers */
	size_t shards_count;
	int64_t *class_counts; /* (facts.classes) */
};

/* The digits before `end`, not before `begin`, as a number, and where they begin; -1 if there are none or too many. */
static int64_t number_before(const char *begin, const char *end, const char **digits_out)
{
	const char *digits = end;
	int64_t value = 0;

	while (digits > begin && digits[-1] >= '0' && digits[-1] <= '9')
		digits--;
	if (digits == end || end - digits > 9)
		return -1;
	for (const char *c = digits; c < end; c++)
		value = value * 10 + (*c - '0');
	*digits_out = digits;
	return value;
}

static bool ends_with(const char *begin, const char *end, const char *suffix)
{
	size_t length = strlen(suffix);

	return (size_t)(end - begin) >= length && memcmp(end - length, suffix, length) == 0;
}

/* What "train-00001-of-00004.h5" says about itself: 1 of 4. */
static thaw_status parse_name(const char *path, int64_t *number_out, int64_t *of_out)
{
	const char *slash = strrchr(path, '/'), *begin = slash ? slash + 1 : path, *end = begin + strlen(begin);
	int64_t number = -1, of = -1;

	if (ends_with(begin, end, ".h5")) {
		end -= strlen(".h5");
		of = number_before(begin, end, &end);
	}
	if (of >= 0 && ends_with(begin, end, "-of-")) {
		end -= strlen("-of-");
		number = number_before(begin, end, &end);
	}
	if (number < 0 || number >= of || !ends_with(begin, end, "-"))
		return thaw_fail(THAW_FAILED, "'%s' is not named as a shard: expected ...-00000-of-00001.h5, counted from 0",
						 path);
	*number_out = number;
	*of_out = of;
	return THAW_OK;
}

/* Whether a shard tells the same facts as the first one. */
static thaw_status check_same(const struct shard *first, const struct shard *shard)
{
	const struct thaw_dataset_facts *a = &first->map.facts, *b = &shard->map.facts;
	const char *what = NULL;

	if (strcmp(a->split, b->split) != 0)
		what = "split";
	else if (a->count != b->count)
		what = "count";
	else if (a->resize != b->resize)
		what = "resize";
	else if (memcmp(a->mean, b->mean, sizeof a->mean) != 0)
		what = "mean";
	else if (memcmp(a->std, b->std, sizeof a->std) != 0)
		what = "std";
	else if (a->classes != b->classes)
		what = "number of classes";
	for (int i = 0; !what && i < a->classes; i++)
		if (strcmp(first->map.classes[i], shard->map.classes[i]) != 0)
			what = "class list";
	if (what)
		return thaw_fail(THAW_FAILED, "'%s' has another %s than '%s'", shard->path, what, first->path);
	return THAW_OK;
}

/* Opens `path` and puts it where its number says. */
static thaw_status add_shard(struct thaw_dataset *dataset, const char *path)
{
	int64_t number = 0, of = 0;
	thaw_status status = parse_name(path, &number, &of);
	struct shard *shard;

	if (status)
		return status;
	if ((uint64_t)of != dataset->shards_count)
		return thaw_fail(THAW_FAILED, "'%s' is one of %lld shards, '%s' matches %zu", path, (long long)of,
						 dataset->pattern, dataset->shards_count);
	shard = &dataset->shards[number];
	if (shard->path)
		return thaw_fail(THAW_FAILED, "'%s' and '%s' are the same part of a split", shard->path, path);
	shard->path = thaw_copy_text(path);
	if (!shard->path)
		return THAW_OUT_OF_MEMORY;
	return thaw_shard_open(path, &shard->map);
}

/* Counts pictures and classes over all shards. */
static thaw_status add_up(struct thaw_dataset *dataset)
{
	int64_t count = 0;

	dataset->facts = dataset->shards[0].map.facts;
	dataset->class_counts = thaw_alloc((size_t)dataset->facts.classes, sizeof *dataset->class_counts);
	if (!dataset->class_counts)
		return THAW_OUT_OF_MEMORY;
	for (size_t s = 0; s < dataset->shards_count; s++) {
		struct shard *shard = &dataset->shards[s];
		thaw_status status = check_same(&dataset->shards[0], shard);

		if (status)
			return status;
		shard->first = count;
		count += shard->map.count;
		for (int64_t i = 0; i < shard->map.count; i++)
			dataset->class_counts[shard->map.index[i].label]++;
	}
	if (count != dataset->facts.count)
		return thaw_fail(THAW_FAILED, "the shards of '%s' hold %lld pictures, expected %lld", dataset->pattern,
						 (long long)count, (long long)dataset->facts.count);
	return THAW_OK;
}

/* Opens the shards that glob() found. */
static thaw_status open_shards(struct thaw_dataset *dataset, const char *pattern, const glob_t *found)
{
	thaw_status status = THAW_OK;

	dataset->pattern = thaw_copy_text(pattern);
	dataset->shards = thaw_alloc(found->gl_pathc, sizeof *dataset->shards);
	if (!dataset->pattern || !dataset->shards)
		return THAW_OUT_OF_MEMORY;
	dataset->shards_count = found->gl_pathc;
	for (size_t i = 0; !status && i < found->gl_pathc; i++)
		status = add_shard(dataset, found->gl_pathv[i]);
	return status ? status : add_up(dataset);
}

thaw_status thaw_dataset_open(const char *pattern, const char *split, struct thaw_dataset **dataset_out)
{
	struct thaw_dataset *dataset;
	thaw_status status = THAW_OK;
	glob_t found;

	switch (glob(pattern, 0, NULL, &found)) {
	case 0:
		break;
	case GLOB_NOMATCH:
		return thaw_fail(THAW_BAD_JOB, "no shard matches '%s'", pattern);
	default:
		globfree(&found);
		return thaw_fail(THAW_FAILED, "cannot search for '%s'", pattern);
	}
	dataset = thaw_alloc(1, sizeof *dataset);
	status = dataset ? open_shards(dataset, pattern, &found) : THAW_OUT_OF_MEMORY;
	globfree(&found);
	if (!status && split && strcmp(dataset->facts.split, split) != 0)
		status = thaw_fail(THAW_BAD_JOB, "'%s' holds the %s split, not %s", pattern, dataset->facts.split, split);
	if (status)
		thaw_dataset_free(dataset);
	else
		*dataset_out = dataset;
	return status;
}

void thaw_dataset_free(struct thaw_dataset *dataset)
{
	if (!dataset)
		return;
	for (size_t s = 0; s < dataset->shards_count; s++) {
		thaw_shard_close(&dataset->shards[s].map);
		free(dataset->shards[s].path);
	}
	free(dataset->shards);
	free(dataset->class_counts);
	free(dataset->pattern);
	free(dataset);
}

const struct thaw_dataset_facts *thaw_dataset_facts(const struct thaw_dataset *dataset)
{
	return &dataset->facts;
}

const char *thaw_dataset_class(const struct thaw_dataset *dataset, int label)
{
	return dataset->shards[0].map.classes[label];
}

int64_t thaw_dataset_class_count(const struct thaw_dataset *dataset, int label)
{
	return dataset->class_counts[label];
}

/* The shard that holds picture `i`. */
static const struct shard *shard_of(const struct thaw_dataset *dataset, int64_t i)
{
	size_t low = 0, high = dataset->shards_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (dataset->shards[middle].first <= i)
			low = middle;
		else
			high = middle;
	}
	return &dataset->shards[low];
}

const struct thaw_picture *thaw_dataset_picture(const struct thaw_dataset *dataset, int64_t i,
												const uint8_t **pixels_out)
{
	const struct shard *shard = shard_of(dataset, i);
	const struct thaw_picture *picture = &shard->map.index[i - shard->first];

	if (pixels_out)
		*pixels_out = shard->map.pixels + picture->offset;
	return picture;
}

const char *thaw_dataset_name(const struct thaw_dataset *dataset, int64_t i)
{
	const struct shard *shard = shard_of(dataset, i);

	return shard->map.names[i - shard->first];
}

thaw_status thaw_dataset_verify(const struct thaw_dataset *dataset)
{
	for (int64_t i = 0; i < dataset->facts.count; i++) {
		const uint8_t *pixels;
		const struct thaw_picture *picture = thaw_dataset_picture(dataset, i, &pixels);
		size_t length = (size_t)picture->height * picture->width * 3;

		if (thaw_crc32c(0, pixels, length) != picture->crc32c)
			return thaw_fail(THAW_FAILED, "'%s' is damaged: the pixels of '%s' have another checksum",
							 shard_of(dataset, i)->path, thaw_dataset_name(dataset, i));
	}
	return THAW_OK;
}

thaw_status thaw_dataset_match(const struct thaw_dataset *a, const struct thaw_dataset *b)
{
	const struct thaw_dataset_facts *fa = &a->facts, *fb = &b->facts;

	if (fa->classes != fb->classes)
		return thaw_fail(THAW_BAD_JOB, "'%s' has %d classes, '%s' has %d", a->pattern, fa->classes, b->pattern,
						 fb->classes);
	for (int i = 0; i < fa->classes; i++)
		if (strcmp(thaw_dataset_class(a, i), thaw_dataset_class(b, i)) != 0)
			return thaw_fail(THAW_BAD_JOB, "class %d is '%s' in '%s' and '%s' in '%s'", i, thaw_dataset_class(a, i),
							 a->pattern, thaw_dataset_class(b, i), b->pattern);
	for (int c = 0; c < 3; c++)
		if (!(fa->mean[c] == fb->mean[c] && fa->std[c] == fb->std[c]))
			return thaw_fail(THAW_BAD_JOB,
							 "channel %d is normalised by mean %g, std %g in '%s' and by mean %g, std %g in '%s'", c,
							 (double)fa->mean[c], (double)fa->std[c], a->pattern, (double)fb->mean[c],
							 (double)fb->std[c], b->pattern);
	return THAW_OK;
}
