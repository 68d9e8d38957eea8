/* thaw predict: what networks say of pictures. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/printable.h"
#include "base/processors.h"
#include "io/augment.h"
#include "io/decoder.h"
#include "io/image.h"
#include "runner/commands.h"
#include "runner/predictor.h"

enum {
	TOP = 5,
	NAMES_LIMIT = 64 << 20, /* bytes of a file of class names */
};

struct arguments {
	struct thaw_texts files, inputs;
	const char *classes, *tta, *device;
	int64_t top, batch, threads, resize, crop;
	bool json;
};

/* --- pictures ---------------------------------------------------------------------------------------------------- */

/* What is called so is told of when it cannot be read. */
static bool is_called_picture(const char *path)
{
	static const char *const ends[] = {".jpg", ".jpeg", ".png", ".webp"};
	const char *end = strrchr(path, '.');
	bool is = false;

	for (size_t i = 0; end && i < sizeof ends / sizeof *ends; i++)
		is |= strcasecmp(end, ends[i]) == 0;
	return is;
}

/* The pictures below a folder, and links to nowhere; what is none is counted. */
static thaw_status add_folder(struct thaw_files *pictures, const char *folder, int64_t *others)
{
	struct thaw_files files = {NULL, 0};
	thaw_status status = thaw_files_walk(&files, folder, NULL);

	thaw_files_sort(&files, 0);
	for (int64_t i = 0; i < files.count && !status; i++) {
		struct stat info;

		if (stat(files.path[i], &info) != 0 || is_called_picture(files.path[i]) || thaw_image_may_be(files.path[i]))
			status = thaw_files_add(pictures, files.path[i]);
		else
			++*others;
	}
	thaw_files_release(&files);
	return status;
}

/* A path on each line. */
static thaw_status add_lines(struct thaw_files *paths)
{
	thaw_status status = THAW_OK;
	size_t room = 0;
	char *line = NULL;
	ssize_t length;

	while (!status && (length = getline(&line, &room, stdin)) >= 0) {
		if (strlen(line) != (size_t)length)
			status = thaw_fail(THAW_BAD_JOB, "thaw predict -: a zero byte in the list: one path stands on each line");
		while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
			line[--length] = '\0';
		if (length > 0 && !status)
			status = thaw_files_add(paths, line);
	}
	free(line);
	if (!status && !feof(stdin))
		status = thaw_fail(THAW_FAILED, "cannot read standard input");
	return status;
}

static thaw_status find_pictures(const struct thaw_texts *inputs, struct thaw_files *paths)
{
	thaw_status status = THAW_OK;
	int64_t others = 0;

	for (int i = 0; i < inputs->count && !status; i++) {
		struct stat info;

		if (strcmp(inputs->text[i], "-") == 0)
			status = add_lines(paths);
		else if (stat(inputs->text[i], &info) == 0 && S_ISDIR(info.st_mode))
			status = add_folder(paths, inputs->text[i], &others);
		else
			status = thaw_files_add(paths, inputs->text[i]);
	}
	if (!status && others > 0)
		thaw_warn("%lld file%s in folders passed over: only JPEG, PNG and WebP are read", (long long)others,
		          thaw_plural(others));
	if (!status && paths->count == 0)
		status = thaw_fail(THAW_BAD_JOB, "thaw predict: no pictures: give files, folders, or - for a list on standard input");
	return status;
}

static void path_of(const void *context, int64_t i, struct thaw_text *path)
{
	const struct thaw_files *paths = context;

	thaw_text_add(path, "%s", paths->path[i]);
}

/* --- names of classes -------------------------------------------------------------------------------------------- */

struct names {
	char *bytes;
	const char **name; /* (classes) */
};

/* A name on each line. */
static thaw_status read_names(const char *path, int classes, struct names *names)
{
	size_t length;
	thaw_status status = thaw_file_read(path, NAMES_LIMIT, &names->bytes, &length);
	int count = 0;

	if (status)
		return status;
	names->name = thaw_alloc((size_t)classes, sizeof *names->name);
	if (!names->name)
		return THAW_OUT_OF_MEMORY;
	for (char *line = names->bytes; *line; count++) {
		char *end = line + strcspn(line, "\n"), *next = *end ? end + 1 : end;

		while (end > line && end[-1] == '\r')
			end--;
		*end = '\0';
		if (count < classes)
			names->name[count] = line;
		line = next;
	}
	return count == classes ? THAW_OK
	                        : thaw_fail(THAW_BAD_JOB, "--classes '%s': %d lines, the network tells %d classes apart", path,
	                                    count, classes);
}

/* --- words ------------------------------------------------------------------------------------------------------- */

struct ranked {
	float probability;
	int label;
};

struct item {
	int64_t path;
	char *words; /* why it could not be read; NULL: it could */
};

struct session {
	const struct arguments *arguments;
	struct thaw_predictor *predictor;
	const struct thaw_predictor_facts *facts;
	const char *const *names; /* (classes) or NULL */
	const struct thaw_files *paths;
	struct item *items;       /* (batch) pictures that are told of together, in order */
	int items_count, filled;  /* of which so many could be read: */
	uint8_t *pixels;          /* (batch, crop, crop, 3) */
	float *probabilities;     /* (batch, classes) */
	struct ranked *ranked;    /* (classes) of the picture that is told of */
	int64_t failed;
};

/* The name of a class, or its number. */
static const char *name_of(const struct session *s, int label, char text[16])
{
	if (s->names)
		return s->names[label];
	snprintf(text, 16, "%d", label);
	return text;
}

/* Likelier ones first, of equals the first. */
static int by_probability(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->probability != y->probability)
		return x->probability < y->probability ? 1 : -1;
	return (x->label > y->label) - (x->label < y->label);
}

static void add_json(const struct session *s, const char *path, int top, struct thaw_text *line)
{
	char number[16];

	thaw_json_open(line, NULL, '{');
	thaw_json_text(line, "file", path);
	thaw_json_open(line, "predictions", '[');
	for (int k = 0; k < top; k++) {
		thaw_json_open(line, NULL, '{');
		thaw_json_text(line, "class", name_of(s, s->ranked[k].label, number));
		thaw_json_integer(line, "label", s->ranked[k].label);
		thaw_json_number(line, "probability", (double)s->ranked[k].probability);
		thaw_json_close(line, '}');
	}
	thaw_json_close(line, ']');
	thaw_json_close(line, '}');
}

static void add_text(const struct session *s, const char *path, int top, struct thaw_text *line)
{
	char number[16];

	thaw_text_add(line, "%s", path);
	for (int k = 0; k < top; k++)
		thaw_text_add(line, "  %s %.4f", name_of(s, s->ranked[k].label, number),
		              (double)s->ranked[k].probability);
}

static thaw_status tell(const struct session *s, int64_t i, const float *probabilities)
{
	int classes = s->facts->classes, top = s->arguments->top < classes ? (int)s->arguments->top : classes;
	struct thaw_text line = THAW_TEXT_EMPTY;
	thaw_status status;

	for (int c = 0; c < classes; c++) {
		s->ranked[c] = (struct ranked){probabilities[c], c};
		if (!isfinite(probabilities[c]))
			return thaw_fail(THAW_DIVERGED, "'%s': the network says %g: its weights mean nothing", s->paths->path[i],
			                 fabs((double)probabilities[c]));
	}
	qsort(s->ranked, (size_t)classes, sizeof *s->ranked, by_probability);
	(s->arguments->json ? add_json : add_text)(s, s->paths->path[i], top, &line);
	status = thaw_text_status(&line);
	if (!status)
		thaw_log_print("%s", line.data);
	thaw_text_release(&line);
	return status;
}

static thaw_status tell_failure(struct session *s, int64_t i, const char *words)
{
	struct thaw_text line = THAW_TEXT_EMPTY;
	thaw_status status;

	s->failed++;
	thaw_warn("%s", words);
	if (!s->arguments->json)
		return THAW_OK;
	thaw_json_open(&line, NULL, '{');
	thaw_json_text(&line, "file", s->paths->path[i]);
	thaw_json_text(&line, "error", words);
	thaw_json_close(&line, '}');
	status = thaw_text_status(&line);
	if (!status)
		thaw_log_print("%s", line.data);
	thaw_text_release(&line);
	return status;
}

/* --- batches ----------------------------------------------------------------------------------------------------- */

static thaw_status run_batch(struct session *s)
{
	thaw_status status = s->filled ? thaw_predictor_run(s->predictor, s->pixels, s->probabilities) : THAW_OK;
	const float *probabilities = s->probabilities;

	for (int i = 0; i < s->items_count; i++) {
		struct item *item = &s->items[i];

		if (!status && item->words)
			status = tell_failure(s, item->path, item->words);
		else if (!status)
			status = tell(s, item->path, probabilities);
		probabilities += item->words ? 0 : s->facts->classes;
		free(item->words);
	}
	s->items_count = s->filled = 0;
	return status;
}

/* Cuts the middle out of a picture, as a validation does. */
static thaw_status add_pixels(struct session *s, const struct thaw_decoded *picture, struct thaw_resizer *resizer)
{
	int crop = s->facts->crop;
	const struct thaw_augment augment = {.crop = THAW_CROP_CENTER, .size = crop};
	const struct thaw_sample sample = {.picture = 0};
	struct thaw_view view = thaw_augment_view(&augment, &sample, picture->height, picture->width);
	uint8_t *to = s->pixels + (size_t)s->filled++ * (size_t)crop * (size_t)crop * 3;

	return thaw_resize(resizer, picture->pixels, picture->width, view.box, to, crop, crop, false);
}

static thaw_status add_picture(struct session *s, int64_t i, const struct thaw_decoded *picture,
                               struct thaw_resizer *resizer)
{
	struct item *item = &s->items[s->items_count++];

	*item = (struct item){.path = i};
	if (!picture->status)
		return add_pixels(s, picture, resizer);
	item->words = thaw_copy_text(picture->words);
	if (!item->words)
		return THAW_OUT_OF_MEMORY;
	return picture->status == THAW_FAILED ? THAW_OK : thaw_fail(picture->status, "%s", picture->words);
}

static thaw_status run_all(struct session *s)
{
	const struct arguments *a = s->arguments;
	const struct thaw_decoder_spec spec = {
		.count = s->paths->count,
		.path = path_of,
		.context = s->paths,
		.resize = s->facts->resize,
		.threads = (int)a->threads,
	};
	struct thaw_resizer resizer = {0};
	struct thaw_decoder *decoder;
	thaw_status status = thaw_decoder_new(&spec, &decoder);

	if (status)
		return status;
	for (int64_t i = 0; i < s->paths->count && !status; i++) {
		struct thaw_decoded picture;

		thaw_decoder_next(decoder, &picture);
		status = add_picture(s, i, &picture, &resizer);
		free(picture.pixels);
		if (!status && s->items_count == a->batch)
			status = run_batch(s);
	}
	if (!status)
		status = run_batch(s);
	thaw_resizer_release(&resizer);
	thaw_decoder_free(decoder);
	return status;
}

/* --- the command ------------------------------------------------------------------------------------------------- */

static thaw_status predict(const struct arguments *a, const struct thaw_files *paths)
{
	const struct thaw_predictor_spec spec = {
		.files = a->files.text,
		.count = a->files.count,
		.device = a->device,
		.threads = (int)a->threads,
		.batch = paths->count < a->batch ? (int)paths->count : (int)a->batch,
		.resize = (int)a->resize,
		.crop = (int)a->crop,
		.flip = a->tta != NULL,
	};
	struct session s = {.arguments = a, .paths = paths};
	struct names names = {NULL, NULL};
	size_t crop, batch = (size_t)spec.batch;
	thaw_status status = thaw_predictor_new(&spec, &s.predictor);

	if (status)
		return status;
	s.facts = thaw_predictor_facts(s.predictor);
	s.names = s.facts->names;
	crop = (size_t)s.facts->crop;
	if (a->classes) {
		status = read_names(a->classes, s.facts->classes, &names);
		s.names = names.name;
	}
	s.items = thaw_alloc(batch, sizeof *s.items);
	s.pixels = thaw_alloc(batch, crop * crop * 3);
	s.probabilities = thaw_alloc(batch * (size_t)s.facts->classes, sizeof *s.probabilities);
	s.ranked = thaw_alloc((size_t)s.facts->classes, sizeof *s.ranked);
	if (!status && (!s.ranked || !s.items || !s.pixels || !s.probabilities))
		status = THAW_OUT_OF_MEMORY;
	if (!status)
		status = run_all(&s);
	if (!status && s.failed > 0)
		status = thaw_fail(THAW_FAILED, "%lld of %lld pictures cannot be read", (long long)s.failed,
		                   (long long)paths->count);
	for (int i = 0; i < s.items_count; i++)
		free(s.items[i].words);
	free(s.items);
	free(s.ranked);
	free(s.pixels);
	free(s.probabilities);
	free(names.bytes);
	free(names.name);
	thaw_predictor_free(s.predictor);
	return status;
}

static thaw_status parse(const struct thaw_command *self, int argc, char **argv, struct arguments *a, bool *help_out)
{
	const struct thaw_option options[] = {
		{"checkpoint", 'c', THAW_OPTION_TEXTS, &a->files, 0, 0, "FILE",
	     "best.h5, .safetensors or .pth (needed); of several, the\nmean of the probabilities counts"},
		{"top", 0, THAW_OPTION_INT, &a->top, 1, 1000, "N", "classes that are told of each picture (5)"},
		{"json", 0, THAW_OPTION_FLAG, &a->json, 0, 0, NULL, "print an object of JSON on each line"},
		{"classes", 0, THAW_OPTION_TEXT, &a->classes, 0, 0, "FILE", "names of the classes, one on each line"},
		{"tta", 0, THAW_OPTION_TEXT, &a->tta, 0, 0, "NAME", "see each picture more than once\nflip: mirrored too"},
		{"batch", 0, THAW_OPTION_INT, &a->batch, 1, 4096, "N", "pictures that are computed at once (32)"},
		{"threads", 0, THAW_OPTION_INT, &a->threads, 1, 1024, "N", "threads (all processors)"},
		{"resize", 0, THAW_OPTION_INT, &a->resize, 1, 4096, "N",
	     "length of the shorter edge before the crop, pixels (as the\ncheckpoint says, else 256; torchvision's V2: 232)"},
		{"crop", 0, THAW_OPTION_INT, &a->crop, 1, 4096, "N",
	     "edge of the square in the middle that the network sees\n(as the checkpoint says, else 224)"},
		{"device", 0, THAW_OPTION_TEXT, &a->device, 0, 0, "NAME", "where to compute (auto)"},
	};
	thaw_status status =
		thaw_options_parse(self, options, sizeof options / sizeof *options, argc, argv, &a->inputs, help_out);

	if (status || *help_out)
		return status;
	if (a->files.count == 0)
		return thaw_fail(THAW_BAD_JOB, "thaw predict: --checkpoint FILE is needed");
	if (a->tta && strcmp(a->tta, "flip") != 0)
		return thaw_fail(THAW_BAD_JOB, "thaw predict: --tta '%s': allowed is flip", a->tta);
	return THAW_OK;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct arguments arguments = {.device = "auto", .top = TOP, .batch = 32, .threads = thaw_processors()};
	struct thaw_files paths = {NULL, 0};
	bool help;
	thaw_status status = parse(self, argc, argv, &arguments, &help);

	if (status || help)
		return status;
	status = find_pictures(&arguments.inputs, &paths);
	if (!status)
		status = predict(&arguments, &paths);
	thaw_files_release(&paths);
	return status;
}

const struct thaw_command thaw_command_predict = {
	.name = "predict",
	.summary = "what a network says of pictures",
	.synopsis = "thaw predict -c FILE PICTURE|FOLDER|-... [options]",
	.notes = "A folder stands for all JPEG, PNG and WebP files in it, - for a list of files on standard input. What cannot be\n"
			 "read is told, and the rest goes on; the exit code is 1 then.\n"
			 "\n"
			 "  thaw predict -c runs/ants-vs-bees/best.h5 photo.jpg\n"
			 "  find photos -name '*.jpg' | thaw predict -c best.h5 --json - > said.jsonl\n"
			 "  thaw predict -c a/best.h5 -c b/best.h5 --tta flip photos/\n",
	.run = run,
};
