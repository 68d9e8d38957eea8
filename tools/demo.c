/* thaw demo: a small picture set drawn from a seed, to try everything without a download. */
#define _POSIX_C_SOURCE 200809L
#include "tools/commands.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "tools/draw.h"

struct settings {
	const char *folder;
	int64_t seed, train, val, size;
};

struct split {
	const char *name;
	uint32_t number; /* of the random stream */
	int64_t count;   /* pictures of each class */
};

/* The stream is that of picture (i, label), so that a larger set begins with the pictures of a smaller one. */
static thaw_status draw_picture(const struct settings *settings, const struct split *split, int label, int64_t i,
                                struct thaw_image *image)
{
	int64_t classes = 0, shortest = (2 * settings->size + 2) / 3;
	struct thaw_text path = THAW_TEXT_EMPTY;
	struct thaw_random random;
	thaw_status status;
	bool jpeg;

	while (thaw_draw_name((int)classes))
		classes++;
	thaw_random_init(&random, (uint64_t)settings->seed, THAW_RANDOM_DEMO, split->number,
	                 (uint32_t)(i * classes + label));
	image->height = (int)(shortest + thaw_random_below(&random, (uint32_t)(settings->size - shortest + 1)));
	image->width = (int)(shortest + thaw_random_below(&random, (uint32_t)(settings->size - shortest + 1)));
	jpeg = thaw_random_below(&random, 4) > 0;
	thaw_draw(&random, label, image);
	thaw_text_add(&path, "%s/%s/%s/%04lld.%s", settings->folder, split->name, thaw_draw_name(label), (long long)i,
	              jpeg ? "jpg" : "png");
	status = thaw_text_status(&path);
	if (!status)
		status = jpeg ? thaw_image_write_jpeg(path.data, image, 90) : thaw_image_write_png(path.data, image);
	thaw_text_release(&path);
	return status;
}

static thaw_status draw_class(const struct settings *settings, const struct split *split, int label,
                              struct thaw_image *image)
{
	struct thaw_text folder = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_text_add(&folder, "%s/%s/%s", settings->folder, split->name, thaw_draw_name(label));
	status = thaw_text_status(&folder);
	if (!status)
		status = thaw_folder_make(folder.data);
	for (int64_t i = 0; !status && i < split->count; i++)
		status = draw_picture(settings, split, label, i, image);
	thaw_text_release(&folder);
	return status;
}

/* Whether the folder is not there or holds nothing. */
static thaw_status check_empty(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	bool empty = true;

	if (!folder)
		return errno == ENOENT ? THAW_OK
		                       : thaw_fail(THAW_BAD_JOB, "cannot open folder '%s': %s", path, strerror(errno));
	while (empty && (entry = readdir(folder)) != NULL)
		empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
	closedir(folder);
	return empty ? THAW_OK
	             : thaw_fail(THAW_BAD_JOB, "'%s' is there and not empty: a new or empty folder is needed", path);
}

static thaw_status draw_set(const struct settings *settings)
{
	const struct split splits[] = {{"train", 0, settings->train}, {"val", 1, settings->val}};
	struct thaw_image image = {0};
	thaw_status status = check_empty(settings->folder);
	int classes = 0;

	if (status)
		return status;
	image.pixels = thaw_alloc((size_t)(settings->size * settings->size), 3);
	if (!image.pixels)
		return THAW_OUT_OF_MEMORY;
	for (; !status && thaw_draw_name(classes); classes++)
		for (int s = 0; !status && s < 2; s++)
			status = draw_class(settings, &splits[s], classes, &image);
	free(image.pixels);
	if (!status)
		thaw_log("drew %d classes of %lld training and %lld validation pictures into '%s'", classes,
		         (long long)settings->train, (long long)settings->val, settings->folder);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct settings s = {.train = 160, .val = 40, .size = 96};
	const struct thaw_option options[] = {
		{"train", 0, THAW_OPTION_INT, &s.train, 1, 100000, "N", "training pictures of each class (160)"},
		{"val", 0, THAW_OPTION_INT, &s.val, 1, 100000, "N", "validation pictures of each class (40)"},
		{"size", 0, THAW_OPTION_INT, &s.size, 16, 1024, "N",
	     "longest edge, pixels; edges vary from two thirds of it (96)"},
		{"seed", 0, THAW_OPTION_INT, &s.seed, 0, 0x1p53, "N", "the same seed draws the same pictures (0)"},
	};
	struct thaw_texts given;
	bool help;
	thaw_status status =
		thaw_options_parse(self, options, (int)(sizeof options / sizeof *options), argc, argv, &given, &help);

	if (status || help)
		return status;
	if (given.count != 1)
		return thaw_fail(THAW_BAD_JOB, "thaw demo: one folder is needed: thaw demo FOLDER");
	s.folder = given.text[0];
	return draw_set(&s);
}

const struct thaw_command thaw_command_demo = {
	.name = "demo",
	.summary = "draw a small picture set from a seed",
	.synopsis = "thaw demo FOLDER [options]",
	.notes = "Five classes, in FOLDER/train/CLASS and FOLDER/val/CLASS, to try everything without a download.\n"
			 "\n"
			 "  thaw demo pictures\n"
			 "  thaw pack pictures -o data --resize 36",
	.run = run,
};
