#define _POSIX_C_SOURCE 200809L
#include "io/dataset.h"

#include <glob.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "io/shard.h"

struct shard {
	struct thaw_shard_map map;
	char *path;
	int64_t first;        /* number of its first picture in the split */
	atomic_bool *checked; /* (map.count) whose pixels were compared with their checksum, and are the same */
};

struct thaw_dataset {
	struct thaw_dataset_facts facts;
	char *pattern;
	struct shard *shards; /* (shards_count), in the order of their numbers */
	size_t shards_count;
	int64_t *class_counts; /* (facts.classes) */
};

static struct thaw_meaning meaning_of(const char *where, const struct thaw_shard_map *shard)
{
	return (struct thaw_meaning){
		.where = where,
		.classes = shard->facts.classes,
		.names = (const char *const *)shard->classes,
		.mean = shard->facts.mean,
		.std = shard->facts.std,
	};
}

/* Whether a shard tells the same facts as the first one. */
static thaw_status check_same(const struct shard *first, const struct shard *shard)
{
	const struct thaw_dataset_facts *a = &first->map.facts, *b = &shard->map.facts;
	struct thaw_meaning firsts, ours;
	const char *what = NULL;

	if (strcmp(a->split, b->split) != 0)
		what = "split";
	else if (a->count != b->count)
		what = "count";
	else if (a->resize != b->resize)
		what = "resize";
	if (what)
		return thaw_fail(THAW_FAILED, "'%s' has another %s than '%s'", shard->path, what, first->path);
	ours = meaning_of(shard->path, &shard->map);
	firsts = meaning_of(first->path, &first->map);
	return thaw_meaning_match(&firsts, &ours, THAW_FAILED);
}

/* Opens `path` and puts it where its number says. */
static thaw_status add_shard(struct thaw_dataset *dataset, const char *path)
{
	struct thaw_shard_name name = {0};
	struct shard *shard;
	thaw_status status;

	(void)thaw_shard_name_parse(path, &name); /* check_names() has seen that it can */
	if ((size_t)name.of != dataset->shards_count)
		return thaw_fail(THAW_FAILED, "'%s' is one of %d shard%s, '%s' matches %zu", path, name.of,
		                 name.of == 1 ? "" : "s", dataset->pattern, dataset->shards_count);
	shard = &dataset->shards[name.number];
	if (shard->path)
		return thaw_fail(THAW_FAILED, "'%s' and '%s' are the same part of a split", shard->path, path);
	shard->path = thaw_copy_text(path);
	if (!shard->path)
		return THAW_OUT_OF_MEMORY;
	status = thaw_shard_open(path, &shard->map);
	if (status)
		return status;
	shard->checked = thaw_alloc((size_t)shard->map.count, sizeof *shard->checked);
	return shard->checked ? THAW_OK : THAW_OUT_OF_MEMORY;
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
		return thaw_fail(THAW_FAILED, "the shards of '%s' hold %lld picture%s, expected %lld", dataset->pattern,
						 (long long)count, count == 1 ? "" : "s", (long long)dataset->facts.count);
	return THAW_OK;
}

/* Whether what the pattern matches is named as shards, and of one split: if not, the pattern is wrong and no file. */
static thaw_status check_names(const char *pattern, const char *split, const glob_t *found)
{
	const char *slash = strrchr(pattern, '/'), *such_as = split ? split : "train";
	int folder_length = slash ? (int)(slash - pattern) + 1 : 0;
	struct thaw_shard_name first = {0}, name;
	struct stat info;

	for (size_t i = 0; i < found->gl_pathc; i++) {
		const char *path = found->gl_pathv[i];

		if (!thaw_shard_name_parse(path, &name)) {
			if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
				return thaw_fail(THAW_BAD_JOB, "'%s' is a folder: expected is a pattern of shards, such as '%s%s%s-*.h5'",
				                 path, path, path[strlen(path) - 1] == '/' ? "" : "/", such_as);
			return thaw_fail(THAW_BAD_JOB, "'%s' is not named as a shard: expected ...-00000-of-00001.h5, counted from 0",
			                 path);
		}
		if (i == 0)
			first = name;
		if (name.split_length != first.split_length || memcmp(name.split, first.split, (size_t)name.split_length) != 0)
			return thaw_fail(THAW_BAD_JOB,
			                 "'%s' matches shards of '%.*s' and of '%.*s': expected is a pattern of one of them, such as "
			                 "'%.*s%s-*.h5'",
			                 pattern, first.split_length, first.split, name.split_length, name.split, folder_length,
			                 pattern, such_as);
	}
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

/* A path that is not absolute is looked for from where the program was started, not from where the job file lies. */
static thaw_status fail_unmatched(const char *pattern)
{
	char folder[4096];

	if (pattern[0] == '/' || !getcwd(folder, sizeof folder))
		return thaw_fail(THAW_BAD_JOB, "no shard matches '%s'", pattern);
	return thaw_fail(THAW_BAD_JOB, "no shard matches '%s' (from %s)", pattern, folder);
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
		return fail_unmatched(pattern);
	case GLOB_NOSPACE:
		globfree(&found);
		return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory searching for '%s'", pattern);
	default:
		globfree(&found);
		return thaw_fail(THAW_FAILED, "cannot search for '%s'", pattern);
	}
	dataset = thaw_alloc(1, sizeof *dataset);
	status = dataset ? check_names(pattern, split, &found) : THAW_OUT_OF_MEMORY;
	if (!status)
		status = open_shards(dataset, pattern, &found);
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
		free(dataset->shards[s].checked);
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

thaw_status thaw_dataset_check(const struct thaw_dataset *dataset, int64_t i)
{
	const struct shard *shard = shard_of(dataset, i);
	atomic_bool *checked = &shard->checked[i - shard->first];
	thaw_status status;

	if (atomic_load_explicit(checked, memory_order_relaxed))
		return THAW_OK;
	status = thaw_shard_check(shard->path, &shard->map, i - shard->first);
	if (!status)
		atomic_store_explicit(checked, true, memory_order_relaxed);
	return status;
}

thaw_status thaw_dataset_verify(const struct thaw_dataset *dataset)
{
	thaw_status status = THAW_OK;

	for (size_t s = 0; !status && s < dataset->shards_count; s++)
		status = thaw_shard_verify(dataset->shards[s].path, &dataset->shards[s].map);
	return status;
}

struct thaw_meaning thaw_dataset_meaning(const struct thaw_dataset *dataset)
{
	return meaning_of(dataset->pattern, &dataset->shards[0].map);
}

thaw_status thaw_meaning_match(const struct thaw_meaning *a, const struct thaw_meaning *b, thaw_status difference)
{
	if (a->classes != b->classes)
		return thaw_fail(difference, "'%s' has %d class%s, '%s' has %d", a->where, a->classes,
		                 a->classes == 1 ? "" : "es", b->where, b->classes);
	for (int i = 0; i < a->classes; i++)
		if (strcmp(a->names[i], b->names[i]) != 0)
			return thaw_fail(difference, "class %d is '%s' in '%s' and '%s' in '%s'", i, a->names[i], a->where,
			                 b->names[i], b->where);
	for (int c = 0; c < 3; c++)
		if (!(a->mean[c] == b->mean[c] && a->std[c] == b->std[c]))
			return thaw_fail(difference,
			                 "channel %d is normalised by mean %g, std %g in '%s' and by mean %g, std %g in '%s'", c,
			                 (double)a->mean[c], (double)a->std[c], a->where, (double)b->mean[c], (double)b->std[c],
			                 b->where);
	return THAW_OK;
}

thaw_status thaw_dataset_match(const struct thaw_dataset *a, const struct thaw_dataset *b)
{
	struct thaw_meaning of_a = thaw_dataset_meaning(a), of_b = thaw_dataset_meaning(b);

	return thaw_meaning_match(&of_a, &of_b, THAW_BAD_JOB);
}
