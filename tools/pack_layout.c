#define _XOPEN_SOURCE 700
#include "tools/pack_layout.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/text.h"

static const char *const train_names[] = {"train", NULL};
static const char *const val_names[] = {"val", "valid", "validation", NULL};

bool thaw_pack_is_folder(const char *above, const char *name)
{
	struct thaw_text path = THAW_TEXT_EMPTY;
	struct stat info;
	bool is;

	thaw_text_add(&path, "%s/%s", above, name);
	is = stat(path.data, &info) == 0 && S_ISDIR(info.st_mode);
	thaw_text_release(&path);
	return is;
}

/* Whether `name` is one of these, but for the case. */
static bool is_like(const char *name, const char *const *names)
{
	while (*names && strcasecmp(name, *names) != 0)
		names++;
	return *names != NULL;
}

bool thaw_pack_is_split_name(const char *name)
{
	return is_like(name, train_names) || is_like(name, val_names) || strcasecmp(name, "test") == 0;
}

/* " (but 'Train')" if there is a folder that may have been meant by one of these names, else nothing. */
static void add_meant(struct thaw_text *words, const char *folder, const char *const *names)
{
	DIR *open = opendir(folder);
	bool found = false;

	for (struct dirent *entry; !found && open && (entry = readdir(open)) != NULL;) {
		found = is_like(entry->d_name, names) && thaw_pack_is_folder(folder, entry->d_name);
		if (found)
			thaw_text_add(words, " (but '%s')", entry->d_name);
	}
	if (open)
		closedir(open);
}

/* `train` or `val` is missing. */
static thaw_status fail_missing(const char *folder, bool train)
{
	struct thaw_text words = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_text_add(&words, "'%s' has no '%s' folder%s", folder, train ? "train" : "val", train ? "" : " beside 'train'");
	add_meant(&words, folder, train ? train_names : val_names);
	if (train)
		thaw_text_add(&words,
		              ": pictures stand in '%s/train/CLASS' and '%s/val/CLASS', or in '%s/CLASS' with "
		              "--val-fraction 0.2",
		              folder, folder, folder);
	else
		thaw_text_add(&words, ": to draw a validation split, pack '%s/train' with --val-fraction 0.2", folder);
	status = thaw_fail(THAW_BAD_JOB, "%s", words.data);
	thaw_text_release(&words);
	return status;
}

thaw_status thaw_pack_choose_folders(const char *folder, bool draw, const char **train_out, const char **val_out)
{
	bool train = thaw_pack_is_folder(folder, "train"), val = thaw_pack_is_folder(folder, "val");
	bool valid = thaw_pack_is_folder(folder, "valid");

	if (!thaw_pack_is_folder(folder, "."))
		return thaw_fail(THAW_BAD_JOB, "cannot open folder '%s': %s", folder, strerror(errno));
	if (draw && train)
		return thaw_fail(THAW_BAD_JOB,
		                 "'%s' has a training split: to draw a validation split from it, pack '%s/train' "
		                 "with --val-fraction",
		                 folder, folder);
	if (!draw && !train)
		return fail_missing(folder, true);
	if (!draw && !val && !valid)
		return fail_missing(folder, false);
	if (!draw && val && valid)
		return thaw_fail(THAW_BAD_JOB, "'%s' has both 'val' and 'valid': one of them is allowed", folder);
	*train_out = draw ? "." : "train";
	*val_out = draw ? "." : val ? "val" : "valid";
	return THAW_OK;
}

/* The folder `path` with all links resolved, or of those above it the first that is there; free(). NULL if none. */
static char *nearest_folder(const char *path)
{
	char *copy = thaw_copy_text(path), *real = NULL;

	for (char *at = copy; at && !(real = realpath(at, NULL)) && errno == ENOENT && strcmp(at, ".") != 0;)
		at = dirname(at);
	free(copy);
	return real;
}

/* Whether the folder `path`, resolved, is `folder`/`name` or below it. Destroys `path`. */
static bool lies_in(char *path, const char *folder, const char *name)
{
	struct thaw_text wanted = THAW_TEXT_EMPTY;
	struct stat info, at_path;
	bool is = false;

	thaw_text_add(&wanted, "%s/%s", folder, name);
	if (stat(wanted.data, &info) == 0)
		for (bool top = false; !is && !top; path = dirname(path)) {
			is = stat(path, &at_path) == 0 && at_path.st_dev == info.st_dev && at_path.st_ino == info.st_ino;
			top = strcmp(path, "/") == 0;
		}
	thaw_text_release(&wanted);
	return is;
}

thaw_status thaw_pack_check_out(const char *folder, bool draw, const char *out)
{
	static const char *const splits[] = {"train", "val", "valid"};
	struct stat of_out, of_folder;
	bool among = stat(out, &of_out) == 0 && stat(folder, &of_folder) == 0 && of_out.st_dev == of_folder.st_dev &&
	             of_out.st_ino == of_folder.st_ino;

	for (size_t i = 0; !among && i < (draw ? 1 : sizeof splits / sizeof *splits); i++) {
		char *nearest = nearest_folder(out);

		among = nearest && lies_in(nearest, folder, draw ? "." : splits[i]);
		free(nearest);
	}
	return among ? thaw_fail(THAW_BAD_JOB, "--out '%s' lies among the pictures of '%s': shards must go elsewhere", out,
	                         folder)
	             : THAW_OK;
}
