#define _POSIX_C_SOURCE 200809L
#include "tools/pack_scan.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "base/random.h"
#include "io/image.h"
#include "tools/pack_layout.h"

/* The files below class folder `root`/`name`, as paths that begin with `name`, sorted. */
static thaw_status list_files(const char *root, const char *name, struct thaw_files *files)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_text_add(&path, "%s/%s", root, name);
	status = thaw_text_status(&path);
	if (!status)
		status = thaw_files_walk(files, path.data, root);
	if (!status)
		thaw_files_sort(files, 0);
	thaw_text_release(&path);
	return status;
}

static bool begins_as_picture(const char *folder, const char *name)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	bool is;

	thaw_text_add(&path, "%s/%s", folder, name);
	is = thaw_image_may_be(path.data);
	thaw_text_release(&path);
	return is;
}

static void warn_loose(const char *folder, const struct thaw_files *pictures)
{
	thaw_warn("%lld picture%s directly in '%s' ignored, such as '%s': pictures stand in class folders",
	          (long long)pictures->count, thaw_plural(pictures->count), folder, pictures->path[0]);
}

/* The names of the folders in `path`, sorted. Pictures beside them are warned of. */
static thaw_status list_folders(const char *path, struct thaw_files *names)
{
	DIR *folder = opendir(path);
	struct thaw_files pictures = {0};
	thaw_status status = THAW_OK;
	struct dirent *entry;

	if (!folder)
		return thaw_fail(THAW_BAD_JOB, "cannot open folder '%s': %s", path, strerror(errno));
	while (!status && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (thaw_pack_is_folder(path, entry->d_name))
			status = thaw_files_add(names, entry->d_name);
		else if (begins_as_picture(path, entry->d_name))
			status = thaw_files_add(&pictures, entry->d_name);
	}
	closedir(folder);
	thaw_files_sort(names, 0);
	thaw_files_sort(&pictures, 0);
	if (!status && pictures.count > 0)
		warn_loose(path, &pictures);
	thaw_files_release(&pictures);
	return status;
}

static thaw_status fail_class(const char *folder, const char *name, const char *words)
{
	return thaw_fail(THAW_FAILED, "'%s/%s' %s", folder, name, words);
}

/* Moves the path to the end of the split. */
static thaw_status take(struct thaw_pack_split *split, char **path, int label)
{
	struct thaw_pack_file *file = thaw_append(&split->files, (size_t)split->count, sizeof *file);

	if (!file)
		return THAW_OUT_OF_MEMORY;
	*file = (struct thaw_pack_file){*path, label};
	split->count++;
	*path = NULL;
	return THAW_OK;
}

static thaw_status scan_class(struct thaw_pack_split *split, const char *name, int label)
{
	struct thaw_files files = {0};
	thaw_status status = list_files(split->folder, name, &files);

	for (int64_t i = 0; !status && i < files.count; i++)
		status = take(split, &files.path[i], label);
	thaw_files_release(&files);
	return status;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int find_class(const struct thaw_pack_source *source, const char *name)
{
	char **found = bsearch(&name, source->names, (size_t)source->classes, sizeof *source->names, by_bytes);

	return found ? (int)(found - source->names) : -1;
}

static thaw_status scan_train(struct thaw_pack_source *source)
{
	struct thaw_pack_split *train = &source->split[THAW_PACK_TRAIN];
	thaw_status status = THAW_OK;

	for (int c = 0; !status && c < source->classes; c++)
		status = scan_class(train, source->names[c], c);
	return status;
}

static thaw_status scan_val(struct thaw_pack_source *source)
{
	struct thaw_pack_split *val = &source->split[THAW_PACK_VAL];
	struct thaw_files names = {0};
	thaw_status status = list_folders(val->folder, &names);

	for (int64_t i = 0; !status && i < names.count; i++) {
		int label = find_class(source, names.path[i]);

		if (label < 0)
			status = fail_class(val->folder, names.path[i], "is not a class of the training split");
		else
			status = scan_class(val, names.path[i], label);
	}
	if (!status && val->count == 0)
		status = thaw_fail(THAW_FAILED, "'%s' has no picture in a class folder", val->folder);
	thaw_files_release(&names);
	return status;
}

/* The number of validation pictures out of `count`, at least 1 and never all. */
static int32_t val_share(int32_t count, double fraction)
{
	int32_t share = (int32_t)((double)count * fraction + 0.5);

	return share < 1 ? 1 : share > count - 1 ? count - 1 : share;
}

/* Deals the files of one class out: of the pictures, those that come first in a random order go to validation. What is
 * no picture takes no part, and stays with training to be named when it is read. */
static thaw_status deal_class(struct thaw_pack_source *source, struct thaw_files *files, int label, double val_fraction,
                              uint64_t seed)
{
	const char *folder = source->split[THAW_PACK_TRAIN].folder;
	int32_t *pictures = thaw_alloc((size_t)files->count, sizeof *pictures), count = 0;
	int32_t *order = thaw_alloc((size_t)files->count, sizeof *order);
	bool *val = thaw_alloc((size_t)files->count, sizeof *val);
	thaw_status status = pictures && order && val ? THAW_OK : THAW_OUT_OF_MEMORY;
	struct thaw_random random;

	for (int32_t i = 0; !status && i < files->count; i++)
		if (begins_as_picture(folder, files->path[i]))
			pictures[count++] = i;
	if (!status && count < 2)
		status = thaw_fail(THAW_FAILED, "'%s/%s' has %d picture%s: --val-fraction needs 2 or more of each class",
		                   folder, source->names[label], count, thaw_plural(count));
	if (!status) {
		int32_t share = val_share(count, val_fraction);

		thaw_random_init(&random, seed, THAW_RANDOM_SPLIT, (uint32_t)label, 0);
		thaw_random_permutation(&random, order, count);
		for (int32_t i = 0; i < share; i++)
			val[pictures[order[i]]] = true;
	}
	for (int32_t i = 0; !status && i < files->count; i++)
		status = take(&source->split[val[i] ? THAW_PACK_VAL : THAW_PACK_TRAIN], &files->path[i], label);
	free(val);
	free(order);
	free(pictures);
	return status;
}

static thaw_status scan_and_deal(struct thaw_pack_source *source, double val_fraction, uint64_t seed)
{
	const char *folder = source->split[THAW_PACK_TRAIN].folder;
	thaw_status status = THAW_OK;

	for (int c = 0; !status && c < source->classes; c++) {
		struct thaw_files files = {0};

		status = list_files(folder, source->names[c], &files);
		if (!status && files.count > INT32_MAX)
			status = thaw_fail(THAW_FAILED, "'%s/%s' has %lld files, allowed are %d", folder, source->names[c],
			                   (long long)files.count, INT32_MAX);
		else if (!status)
			status = deal_class(source, &files, c, val_fraction, seed);
		thaw_files_release(&files);
	}
	return status;
}

/* Sets the folder of each split, from what is there. */
static thaw_status choose_folders(struct thaw_pack_source *source, const char *folder, bool draw)
{
	const char *below[THAW_PACK_SPLITS];
	thaw_status status = thaw_pack_choose_folders(folder, draw, &below[THAW_PACK_TRAIN], &below[THAW_PACK_VAL]);

	for (int s = 0; !status && s < THAW_PACK_SPLITS; s++) {
		struct thaw_text path = THAW_TEXT_EMPTY;

		thaw_text_add(&path, "%s", folder);
		if (!draw)
			thaw_text_add(&path, "/%s", below[s]);
		source->split[s].name = s == THAW_PACK_TRAIN ? "train" : "val";
		status = thaw_text_status(&path);
		if (!status && !(source->split[s].folder = thaw_copy_text(path.data)))
			status = THAW_OUT_OF_MEMORY;
		thaw_text_release(&path);
	}
	return status;
}

/* Folders that are no classes, but splits in another layout. */
static bool are_splits(const struct thaw_files *names)
{
	for (int64_t i = 0; i < names->count; i++)
		if (!thaw_pack_is_split_name(names->path[i]))
			return false;
	return names->count > 0;
}

static thaw_status check_class_names(const char *folder, const struct thaw_files *names)
{
	for (int64_t i = 0; i < names->count; i++)
		if (!thaw_is_printable(names->path[i]))
			return fail_class(folder, names->path[i], "cannot be a class: names are UTF-8 without control characters");
	return THAW_OK;
}

static thaw_status choose_classes(struct thaw_pack_source *source, bool draw)
{
	const char *folder = source->split[THAW_PACK_TRAIN].folder;
	struct thaw_files names = {0};
	thaw_status status = list_folders(folder, &names);

	if (!status)
		status = check_class_names(folder, &names);
	if (!status && draw && are_splits(&names))
		status = thaw_fail(THAW_BAD_JOB,
		                   "the folders of '%s' ('%s'%s) look like splits, not classes: pictures stand in "
		                   "'%s/train/CLASS' and '%s/val/CLASS', or in '%s/CLASS' with --val-fraction",
		                   folder, names.path[0], names.count > 1 ? " and more" : "", folder, folder, folder);
	else if (!status && names.count == 0)
		status = thaw_fail(THAW_FAILED, "'%s' has no class folders", folder);
	else if (!status && names.count == 1)
		status = thaw_fail(THAW_FAILED, "'%s' has one class, '%s': 2 or more are needed", folder, names.path[0]);
	else if (!status && names.count > 1000000)
		status =
			thaw_fail(THAW_FAILED, "'%s' has %lld class folders, allowed are 1000000", folder, (long long)names.count);
	if (status) {
		thaw_files_release(&names);
		return status;
	}
	source->classes = (int)names.count;
	source->names = names.path;
	return THAW_OK;
}

thaw_status thaw_pack_scan(const char *folder, double val_fraction, uint64_t seed, struct thaw_pack_source *source_out)
{
	struct thaw_pack_source source = {0};
	bool draw = val_fraction > 0;
	thaw_status status = choose_folders(&source, folder, draw);

	if (!status)
		status = choose_classes(&source, draw);
	if (!status && draw)
		status = scan_and_deal(&source, val_fraction, seed);
	else if (!status)
		status = scan_train(&source);
	if (!status && !draw)
		status = scan_val(&source);
	if (status)
		thaw_pack_source_release(&source);
	else
		*source_out = source;
	return status;
}

void thaw_pack_source_release(struct thaw_pack_source *source)
{
	for (int s = 0; s < THAW_PACK_SPLITS; s++) {
		struct thaw_pack_split *split = &source->split[s];

		for (int64_t i = 0; i < split->count; i++)
			free(split->files[i].path);
		free(split->files);
		free(split->folder);
	}
	for (int c = 0; c < source->classes; c++)
		free(source->names[c]);
	free(source->names);
	*source = (struct thaw_pack_source){0};
}
