/* thaw pack: class folders of pictures to shards, and the check of shards. */
#define _POSIX_C_SOURCE 200809L
#include "tools/commands.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/meter.h"
#include "base/printable.h"
#include "base/processors.h"
#include "base/text.h"
#include "io/decoder.h"
#include "tools/pack_layout.h"
#include "tools/pack_scan.h"
#include "tools/pack_spool.h"
#include "tools/pack_twins.h"
#include "tools/shard_names.h"

struct settings {
	const char *folder, *out, *normalize;
	int64_t resize, seed, threads, shard_mib;
	double val_fraction;
	bool strict, force, check;
};

/* What is known of a split once its pictures are read. */
struct packed {
	struct thaw_spool spool;
	int64_t *class_count;        /* (classes) */
	struct thaw_pack_key *keys;  /* (spool.count) */
	uint64_t sum[3], squares[3]; /* over all pixels, for each channel */
};

struct pack {
	const struct settings *settings;
	struct thaw_pack_source source;
	struct packed packed[THAW_PACK_SPLITS];
	struct thaw_meter meter;
	double begun;        /* thaw_clock_seconds() when the first picture was read, */
	int64_t read, count; /* pictures since then, and in all */
	int64_t left_out, twins;
};

static bool measures(const struct settings *settings, int split)
{
	return split == THAW_PACK_TRAIN && strcmp(settings->normalize, "measure") == 0;
}

/* Files to leave out are named, and end the pack when it is strict. */
static thaw_status leave_out(struct pack *pack, const struct thaw_decoded *picture)
{
	if (picture->status != THAW_FAILED || pack->settings->strict)
		return thaw_fail(picture->status, "%s", picture->words);
	thaw_warn("%s: left out", picture->words);
	pack->left_out++;
	return THAW_OK;
}

static thaw_status add_picture(struct pack *pack, int split, int64_t i, const struct thaw_decoded *picture)
{
	const struct thaw_pack_file *file = &pack->source.split[split].files[i];
	struct packed *packed = &pack->packed[split];
	const struct thaw_picture row = {
		.height = (uint16_t)picture->height,
		.width = (uint16_t)picture->width,
		.label = file->label,
		.crc32c = picture->crc32c,
	};

	packed->keys[packed->spool.count] = (struct thaw_pack_key){picture->file_bytes, picture->file_crc32c, i};
	packed->class_count[file->label]++;
	for (int c = 0; c < 3; c++) {
		packed->sum[c] += picture->sum[c];
		packed->squares[c] += picture->squares[c];
	}
	return thaw_spool_add(&packed->spool, &row, file->path, picture->pixels);
}

/* Says how far the reading is, when it is time to. */
static void tell_progress(struct pack *pack)
{
	static const char full[] = "##############################", empty[] = "..............................";
	int filled = (int)(30 * pack->read / pack->count);
	double rate = (double)pack->read / (thaw_clock_seconds() - pack->begun);
	char left[24];

	if (thaw_meter_due(&pack->meter))
		thaw_meter_show(&pack->meter, "%.*s%.*s %lld/%lld  %.0f pictures/s  %s left", filled, full, 30 - filled, empty,
		                (long long)pack->read, (long long)pack->count, rate,
		                thaw_meter_time((double)(pack->count - pack->read) / rate, left));
}

static void add_path(const void *context, int64_t i, struct thaw_text *path)
{
	const struct thaw_pack_split *split = context;

	thaw_text_add(path, "%s/%s", split->folder, split->files[i].path);
}

/* Reads all pictures of a split into its spool. */
static thaw_status read_split(struct pack *pack, int split)
{
	const struct settings *settings = pack->settings;
	const struct thaw_pack_split *source = &pack->source.split[split];
	const struct thaw_decoder_spec spec = {.count = source->count,
	                                       .path = add_path,
	                                       .context = source,
	                                       .resize = (int)settings->resize,
	                                       .threads = (int)settings->threads,
	                                       .measure = measures(settings, split)};
	struct packed *packed = &pack->packed[split];
	struct thaw_decoder *decoder;
	thaw_status status;

	packed->class_count = thaw_alloc((size_t)pack->source.classes, sizeof *packed->class_count);
	packed->keys = thaw_alloc((size_t)source->count, sizeof *packed->keys);
	if (!packed->class_count || !packed->keys)
		return THAW_OUT_OF_MEMORY;
	status = thaw_spool_init(&packed->spool, settings->out, source->name, source->count,
	                         (uint64_t)settings->shard_mib << 20);
	if (!status)
		status = thaw_decoder_new(&spec, &decoder);
	if (status)
		return status;
	for (int64_t i = 0; !status && i < source->count; i++) {
		struct thaw_decoded picture;

		thaw_decoder_next(decoder, &picture);
		status = picture.status ? leave_out(pack, &picture) : add_picture(pack, split, i, &picture);
		free(picture.pixels);
		pack->read++;
		tell_progress(pack);
	}
	thaw_decoder_free(decoder);
	return status;
}

/* Every class needs pictures to be learnt; one without validation pictures is only not measured. */
static thaw_status check_classes(const struct pack *pack)
{
	const struct thaw_pack_split *train = &pack->source.split[THAW_PACK_TRAIN];
	const struct thaw_pack_split *val = &pack->source.split[THAW_PACK_VAL];

	for (int c = 0; c < pack->source.classes; c++)
		if (pack->packed[THAW_PACK_TRAIN].class_count[c] == 0)
			return thaw_fail(THAW_FAILED, "class '%s' has no readable training picture in '%s/%s'",
			                 pack->source.names[c], train->folder, pack->source.names[c]);
	if (pack->packed[THAW_PACK_VAL].spool.count == 0)
		return thaw_fail(THAW_FAILED, "'%s' has no readable validation picture", val->folder);
	for (int c = 0; c < pack->source.classes; c++)
		if (pack->packed[THAW_PACK_VAL].class_count[c] == 0)
			thaw_warn("class '%s' has no validation picture in '%s'", pack->source.names[c], val->folder);
	return THAW_OK;
}

/* Mean and standard deviation of the training pixels scaled to [0, 1]. */
static thaw_status measured(const struct packed *train, struct thaw_dataset_facts *facts)
{
	static const char *const channels[] = {"red", "green", "blue"};
	double count = (double)(train->spool.bytes / 3);

	for (int c = 0; c < 3; c++) {
		double mean = (double)train->sum[c] / count;
		double variance = (double)train->squares[c] / count - mean * mean;

		if (!(variance > 0))
			return thaw_fail(THAW_FAILED, "--normalize measure: all training pixels have the same %s", channels[c]);
		facts->mean[c] = (float)(mean / 255);
		facts->std[c] = (float)(sqrt(variance) / 255);
	}
	return THAW_OK;
}

static thaw_status write_splits(struct pack *pack)
{
	struct thaw_dataset_facts facts = {
		.classes = pack->source.classes,
		.resize = (int)pack->settings->resize,
		.mean = {0.485f, 0.456f, 0.406f}, /* ImageNet's, which torchvision's weights expect */
		.std = {0.229f, 0.224f, 0.225f},
	};
	thaw_status status = THAW_OK;

	if (measures(pack->settings, THAW_PACK_TRAIN))
		status = measured(&pack->packed[THAW_PACK_TRAIN], &facts);
	for (int s = 0; !status && s < THAW_PACK_SPLITS; s++) {
		struct thaw_spool *spool = &pack->packed[s].spool;

		strcpy(facts.split, spool->split);
		facts.count = spool->count;
		status = thaw_spool_write(spool, &facts, (const char *const *)pack->source.names);
	}
	return status;
}

/* Counts the shards in the folder, and removes them if asked to. */
static thaw_status old_shards(const char *path, bool removing, int64_t *count_out)
{
	DIR *folder = opendir(path);
	thaw_status status = THAW_OK;
	struct dirent *entry;
	int64_t count = 0;

	if (!folder && errno != ENOENT)
		return thaw_fail(THAW_FAILED, "cannot open folder '%s': %s", path, strerror(errno));
	while (folder && !status && (entry = readdir(folder)) != NULL) {
		if (!thaw_shard_name_is(entry->d_name))
			continue;
		count++;
		if (removing && unlinkat(dirfd(folder), entry->d_name, 0) != 0)
			status = thaw_fail(THAW_FAILED, "cannot remove '%s/%s': %s", path, entry->d_name, strerror(errno));
	}
	if (folder)
		closedir(folder);
	if (!status)
		*count_out = count;
	return status;
}

/* Old shards go before the new ones come: cut short, a set has gaps and is refused, never a mixture of old and new. */
static thaw_status publish(struct pack *pack)
{
	int64_t removed;
	thaw_status status = old_shards(pack->settings->out, true, &removed);

	for (int s = 0; !status && s < THAW_PACK_SPLITS; s++)
		status = thaw_spool_publish(&pack->packed[s].spool);
	return status;
}

/* "train  244 pictures in 1 shard, 45.1 MiB: ants 123, bees 121" */
static thaw_status say_split(const struct pack *pack, int split)
{
	enum { NAMED = 10 };
	const struct packed *packed = &pack->packed[split];
	const struct thaw_spool *spool = &packed->spool;
	struct thaw_text line = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_text_add(&line, "%-6s %lld picture%s in %d shard%s, %.1f MiB:", spool->split, (long long)spool->count,
	              thaw_plural(spool->count), spool->shards, thaw_plural(spool->shards), (double)spool->bytes / 1048576.0);
	for (int c = 0; c < pack->source.classes && c < NAMED; c++)
		thaw_text_add(&line, "%s %s %lld", c > 0 ? "," : "", pack->source.names[c], (long long)packed->class_count[c]);
	if (pack->source.classes > NAMED)
		thaw_text_add(&line, " and %d class%s more", pack->source.classes - NAMED,
		              pack->source.classes - NAMED == 1 ? "" : "es");
	status = thaw_text_status(&line);
	if (!status)
		thaw_log("%s", line.data);
	thaw_text_release(&line);
	return status;
}

static thaw_status say(const struct pack *pack, double seconds)
{
	int64_t count = pack->packed[THAW_PACK_TRAIN].spool.count + pack->packed[THAW_PACK_VAL].spool.count;
	thaw_status status = say_split(pack, THAW_PACK_TRAIN);

	if (!status)
		status = say_split(pack, THAW_PACK_VAL);
	if (!status)
		thaw_log("packed %lld picture%s in %.1f s, %.0f pictures/s, %lld left out, %lld in both splits",
		         (long long)count, thaw_plural(count), seconds, (double)count / seconds, (long long)pack->left_out,
		         (long long)pack->twins);
	return status;
}

/* Everything after the scan; what it leaves behind on failure is the caller's to remove. */
static thaw_status read_write_publish(struct pack *pack)
{
	thaw_status status = THAW_OK;

	thaw_meter_init(&pack->meter, THAW_METER_SECONDS);
	pack->begun = thaw_clock_seconds();
	pack->count = pack->source.split[THAW_PACK_TRAIN].count + pack->source.split[THAW_PACK_VAL].count;
	for (int s = 0; !status && s < THAW_PACK_SPLITS; s++)
		status = read_split(pack, s);
	thaw_meter_rest(&pack->meter);
	if (!status)
		status = check_classes(pack);
	if (!status) {
		struct thaw_pack_keys train = {&pack->source.split[THAW_PACK_TRAIN], pack->packed[THAW_PACK_TRAIN].keys,
		                               pack->packed[THAW_PACK_TRAIN].spool.count};
		struct thaw_pack_keys val = {&pack->source.split[THAW_PACK_VAL], pack->packed[THAW_PACK_VAL].keys,
		                             pack->packed[THAW_PACK_VAL].spool.count};

		status = thaw_pack_warn_twins(&train, &val, &pack->twins);
	}
	if (!status)
		status = write_splits(pack);
	if (!status)
		status = publish(pack);
	return status;
}

/* Reads, writes and publishes what the scan found, in a folder that is locked. Leaves nothing there on failure. */
static thaw_status fill(struct pack *pack)
{
	thaw_status status = thaw_spool_clean(pack->settings->out);

	if (status)
		return status;
	status = read_write_publish(pack);
	if (status)
		(void)thaw_spool_clean(pack->settings->out);
	return status;
}

/* Makes the folder for the shards, if need be, and locks it, so that no other pack works in it until this one ends.
 * THAW_BAD_JOB if one does, or if there are shards that may not be replaced. */
static thaw_status enter(const struct settings *settings, struct thaw_text *lock_path, int *lock)
{
	thaw_status status = thaw_folder_make(settings->out);
	int64_t old;

	thaw_text_add(lock_path, "%s/pack.lock", settings->out);
	if (!status)
		status = thaw_text_status(lock_path);
	if (!status)
		status = thaw_file_lock(lock_path->data, lock);
	if (status)
		return status;
	if (*lock < 0)
		return thaw_fail(THAW_BAD_JOB,
		                 "'%s' is being packed into by another process: wait for it, or choose another folder",
		                 settings->out);
	status = old_shards(settings->out, false, &old);
	if (!status && old > 0 && !settings->force)
		status =
			thaw_fail(THAW_BAD_JOB, "'%s' has %lld shard%s already: choose another folder, or replace %s with --force",
		              settings->out, (long long)old, thaw_plural(old), old == 1 ? "it" : "them");
	return status;
}

static thaw_status pack_folder(const struct settings *settings)
{
	struct pack pack = {.settings = settings};
	struct thaw_text lock_path = THAW_TEXT_EMPTY;
	double begun = thaw_clock_seconds();
	bool there = thaw_file_exists(settings->out); /* if not, it is made when the pictures are found to be usable */
	int lock = -1;
	thaw_status status = thaw_pack_check_out(settings->folder, settings->val_fraction > 0, settings->out);

	if (!status && there)
		status = enter(settings, &lock_path, &lock);
	if (!status)
		status = thaw_pack_scan(settings->folder, settings->val_fraction, (uint64_t)settings->seed, &pack.source);
	if (!status && !there)
		status = enter(settings, &lock_path, &lock);
	if (!status)
		status = fill(&pack);
	if (lock >= 0)
		thaw_file_unlock(lock_path.data, lock);
	if (!status)
		status = say(&pack, thaw_clock_seconds() - begun);
	for (int s = 0; s < THAW_PACK_SPLITS; s++) {
		thaw_spool_release(&pack.packed[s].spool);
		free(pack.packed[s].class_count);
		free(pack.packed[s].keys);
	}
	thaw_pack_source_release(&pack.source);
	thaw_text_release(&lock_path);
	return status;
}

static thaw_status check_split(const char *pattern)
{
	struct thaw_dataset *dataset;
	thaw_status status = thaw_dataset_open(pattern, NULL, &dataset);

	if (status)
		return status;
	status = thaw_dataset_verify(dataset);
	if (!status)
		thaw_log("%s: %lld picture%s, all as they were packed", pattern, (long long)thaw_dataset_facts(dataset)->count,
		         thaw_plural(thaw_dataset_facts(dataset)->count));
	thaw_dataset_free(dataset);
	return status;
}

/* Checks the splits of these shards, each once, and goes on after a damaged one: damage outranks a wrong path. */
static thaw_status check_shards(const glob_t *shards)
{
	struct thaw_text before = THAW_TEXT_EMPTY;
	thaw_status worst = THAW_OK;
	int unusable = 0;

	for (size_t i = 0; i < shards->gl_pathc; i++) {
		struct thaw_text pattern = THAW_TEXT_EMPTY;
		thaw_status status = thaw_shard_split_pattern(shards->gl_pathv[i], &pattern);

		if (!status && strcmp(pattern.data, before.data) != 0)
			status = check_split(pattern.data);
		if (status) {
			thaw_log("%s", thaw_fail_text());
			if (!worst || status != THAW_BAD_JOB)
				worst = status;
			unusable++;
		}
		thaw_text_release(&before);
		before = pattern;
	}
	thaw_text_release(&before);
	return worst ? thaw_fail(worst, "%d of the splits given cannot be used", unusable) : THAW_OK;
}

static thaw_status check(const struct thaw_texts *given)
{
	glob_t shards = {0};
	thaw_status status = THAW_OK;

	for (int i = 0; i < given->count && !status; i++)
		status = thaw_shard_find(given->text[i], &shards);
	if (!status)
		status = check_shards(&shards);
	globfree(&shards);
	return status;
}

/* A copy of a folder's path without slashes at its end: messages join names to it. */
static char *trimmed(const char *folder)
{
	char *copy = thaw_copy_text(folder);

	for (size_t length = copy ? strlen(copy) : 0; length > 1 && copy[length - 1] == '/'; length--)
		copy[length - 1] = '\0';
	return copy;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct settings s = {.normalize = "imagenet", .resize = 256, .threads = thaw_processors(), .shard_mib = 256};
	const struct thaw_option options[] = {
		{"out", 'o', THAW_OPTION_TEXT, &s.out, 0, 0, "FOLDER", "where the shards go"},
		{"resize", 0, THAW_OPTION_INT, &s.resize, 1, 4096, "N", "length of the shorter edge, pixels (256)"},
		{"val-fraction", 0, THAW_OPTION_NUMBER, &s.val_fraction, 0.001, 0.999, "F",
	     "draw this share of each class for validation; class folders then stand\ndirectly in FOLDER"},
		{"seed", 0, THAW_OPTION_INT, &s.seed, 0, 0x1p53, "N", "of the drawing (0)"},
		{"normalize", 0, THAW_OPTION_TEXT, &s.normalize, 0, 0, "NAME",
	     "imagenet: what pre-trained weights expect (default);\nmeasure: mean and deviation of the training pixels"},
		{"shard-size", 0, THAW_OPTION_INT, &s.shard_mib, 1, 65536, "MIB", "pixels in a shard (256)"},
		{"threads", 0, THAW_OPTION_INT, &s.threads, 1, 1024, "N", "threads that decode (one a processor)"},
		{"strict", 0, THAW_OPTION_FLAG, &s.strict, 0, 0, NULL, "a file that cannot be read is a failure"},
		{"force", 0, THAW_OPTION_FLAG, &s.force, 0, 0, NULL, "replace shards that are there, at the end"},
		{"check", 0, THAW_OPTION_FLAG, &s.check, 0, 0, NULL,
	     "read shards, or all of a folder, and compare every checksum"},
	};
	struct thaw_texts given;
	char *folder, *out;
	bool help;
	thaw_status status =
		thaw_options_parse(self, options, (int)(sizeof options / sizeof *options), argc, argv, &given, &help);

	if (status || help)
		return status;
	if (s.check && s.out)
		return thaw_fail(THAW_BAD_JOB, "thaw pack: --check only reads: --out does not go with it");
	if (s.check && given.count == 0)
		return thaw_fail(THAW_BAD_JOB,
		                 "thaw pack: --check needs shards, or their folder: thaw pack --check SHARD.h5...");
	if (s.check)
		return check(&given);
	if (given.count != 1 || !s.out)
		return thaw_fail(THAW_BAD_JOB, "thaw pack: one folder of pictures and one for the shards are needed: "
		                               "thaw pack FOLDER -o FOLDER");
	if (strcmp(s.normalize, "imagenet") != 0 && strcmp(s.normalize, "measure") != 0)
		return thaw_fail(THAW_BAD_JOB, "thaw pack: --normalize %s: allowed are imagenet, measure", s.normalize);
	s.folder = folder = trimmed(given.text[0]);
	s.out = out = trimmed(s.out);
	status = folder && out ? pack_folder(&s) : THAW_OUT_OF_MEMORY;
	free(folder);
	free(out);
	return status;
}

const struct thaw_command thaw_command_pack = {
	.name = "pack",
	.summary = "class folders of pictures to shards",
	.synopsis = "thaw pack FOLDER -o FOLDER [options]\nthaw pack --check SHARD.h5...",
	.notes =
		"Pictures (JPEG, PNG, WebP, told by content) stand in FOLDER/train/CLASS and FOLDER/val/CLASS; 'valid'\n"
		"may stand for 'val'. The names of the training folders, sorted byte-wise, are the classes. What cannot be\n"
		"read is named and left out. The same pictures give the same shards, for any number of threads.\n"
		"\n"
		"  thaw pack photos -o data\n"
		"  thaw pack photos -o data --val-fraction 0.2\n"
		"  thaw pack --check data",
	.run = run,
};
