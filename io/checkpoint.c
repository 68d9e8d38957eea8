#include "io/checkpoint.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/printable.h"
#include "base/text.h"
#include "io/h5.h"
#include "io/h5_read.h"
#include "io/mapped.h"
#include "io/resize.h"
#include "io/seal.h"

enum {
	FORMAT_VERSION = 3,
	REPLICAS_LIMIT = 1024,    /* as a job */
	CLASSES_LIMIT = 1000000,  /* as a pack; their names, */
	NAMES_LIMIT = 32 << 20,   /* bytes, */
	EPOCHS_LIMIT = 1 << 21,   /* and the losses of epochs take memory as the file says */
};

struct entry {
	struct thaw_checkpoint_tensor tensor; /* its name is owned */
	uint64_t offset;                      /* of its first byte in the file */
};

struct thaw_checkpoint {
	char *path;
	const uint8_t *bytes; /* (length) the file, mapped */
	size_t length;
	struct thaw_checkpoint_facts facts;
	char **names, **job, **build; /* what the facts point to */
	double *losses, *val_losses;
	struct entry *entries; /* (count), ascending by name */
	int count;
};

/* Attributes that hold one struct thaw_metrics. */
enum { LOSS, COUNT, TOP1, TOP5, BALANCED, NAMES };
static const char *const best_names[] = {"best_loss", "best_count", "best_top1", "best_top5", "best_balanced"};
static const char *const average_names[] = {"average_loss", "average_count", "average_top1", "average_top5",
                                            "average_balanced"};
static const char *const so_far_names[] = {"so_far_loss", "so_far_count", "so_far_top1", "so_far_top5", NULL};

static void put_metrics(struct thaw_h5_writer *writer, const char *const names[NAMES],
                        const struct thaw_metrics *metrics)
{
	thaw_h5_put_numbers(writer, names[LOSS], H5T_IEEE_F64LE, &metrics->loss, 1);
	thaw_h5_put_int(writer, names[COUNT], metrics->count);
	thaw_h5_put_int(writer, names[TOP1], metrics->top1);
	thaw_h5_put_int(writer, names[TOP5], metrics->top5);
	if (names[BALANCED])
		thaw_h5_put_numbers(writer, names[BALANCED], H5T_IEEE_F64LE, &metrics->balanced, 1);
}

/* 0 <= top1 <= top5 <= count, whatever the file says. */
static thaw_status get_metrics(const struct thaw_h5_reader *reader, const char *const names[NAMES],
                               struct thaw_metrics *metrics)
{
	thaw_status status;

	if ((status = thaw_h5_get_numbers(reader, names[LOSS], THAW_H5_F64, &metrics->loss, 1)) ||
	    (status = thaw_h5_get_int(reader, names[COUNT], &metrics->count)) ||
	    (status = thaw_h5_get_int(reader, names[TOP1], &metrics->top1)) ||
	    (status = thaw_h5_get_int(reader, names[TOP5], &metrics->top5)))
		return status;
	if (names[BALANCED])
		status = thaw_h5_get_numbers(reader, names[BALANCED], THAW_H5_F64, &metrics->balanced, 1);
	if (status)
		return status;
	if (metrics->top1 < 0 || metrics->top5 < metrics->top1 || metrics->count < metrics->top5)
		return thaw_fail(THAW_FAILED, "'%s': '%s' is %lld, '%s' %lld, '%s' %lld: each must hold the one before",
		                 reader->path, names[TOP1], (long long)metrics->top1, names[TOP5], (long long)metrics->top5,
		                 names[COUNT], (long long)metrics->count);
	return THAW_OK;
}

static void put_facts(struct thaw_h5_writer *writer, const struct thaw_checkpoint_facts *facts)
{
	thaw_h5_put_int(writer, "format_version", FORMAT_VERSION);
	thaw_h5_put_int(writer, "epoch", facts->epoch);
	thaw_h5_put_int(writer, "step", facts->step);
	thaw_h5_put_numbers(writer, "best", H5T_IEEE_F64LE, &facts->best, 1);
	thaw_h5_put_int(writer, "best_epoch", facts->best_epoch);
	put_metrics(writer, best_names, &facts->best_metrics);
	thaw_h5_put_int(writer, "average_epoch", facts->average_epoch);
	put_metrics(writer, average_names, &facts->average_metrics);
	put_metrics(writer, so_far_names, &facts->so_far);
	thaw_h5_put_int(writer, "replicas", facts->replicas);
	thaw_h5_put_numbers(writer, "losses", H5T_IEEE_F64LE, facts->losses, 2 * facts->replicas);
	thaw_h5_put_int(writer, "skipped", facts->skipped);
	thaw_h5_put_numbers(writer, "seconds", H5T_IEEE_F64LE, &facts->seconds, 1);
	thaw_h5_put_int(writer, "train_data", facts->train_data);
	thaw_h5_put_int(writer, "val_data", facts->val_data);
	thaw_h5_put_text(writer, "metric", facts->metric);
	thaw_h5_put_text(writer, "arch", facts->arch);
	thaw_h5_put_int(writer, "resize", facts->resize);
	thaw_h5_put_int(writer, "crop", facts->crop);
	thaw_h5_put_numbers(writer, "mean", H5T_IEEE_F32LE, facts->mean, 3);
	thaw_h5_put_numbers(writer, "std", H5T_IEEE_F32LE, facts->std, 3);
	thaw_h5_put_texts(writer, "classes", facts->names, facts->classes);
	thaw_h5_put_texts(writer, "job", &facts->job, 1);
	thaw_h5_put_texts(writer, "build", &facts->build, 1);
	if (facts->epoch > 0)
		thaw_h5_put_array(writer, "val_loss",
		                  &(struct thaw_h5_array){
							  .file_type = H5T_IEEE_F64LE,
							  .memory_type = H5T_IEEE_F64LE,
							  .rank = 1,
							  .dims = &(hsize_t){(hsize_t)facts->epoch},
							  .data = facts->val_losses,
						  });
}

static void put_tensor(struct thaw_h5_writer *writer, const struct thaw_checkpoint_tensor *tensor)
{
	hsize_t dims[4];

	for (int i = 0; i < tensor->rank; i++)
		dims[i] = (hsize_t)tensor->dims[i];
	thaw_h5_put_array(writer, tensor->name,
	                  &(struct thaw_h5_array){
						  .file_type = H5T_IEEE_F32LE,
						  .memory_type = H5T_IEEE_F32LE,
						  .rank = tensor->rank,
						  .dims = dims,
						  .data = tensor->data,
					  });
}

thaw_status thaw_checkpoint_write(const char *path, const char *previous, const struct thaw_checkpoint_facts *facts,
                                  const struct thaw_checkpoint_tensor *tensors, int count)
{
	struct thaw_h5_writer writer;
	struct thaw_h5_image image;
	struct thaw_seal seal = {.kind = "checkpoint"};
	thaw_status status;

	thaw_h5_begin(&writer, path);
	put_facts(&writer, facts);
	for (int i = 0; i < count; i++)
		put_tensor(&writer, &tensors[i]);
	status = thaw_h5_end(&writer, &image);
	if (status)
		return status;
	seal.length = image.length;
	thaw_seal_make(&seal, image.bytes, (uint8_t *)image.bytes + image.length);
	status = thaw_file_publish_keeping(path, previous, image.bytes, (size_t)image.length + THAW_SEAL_LENGTH);
	free(image.bytes);
	return status;
}

static thaw_status read_text(const struct thaw_h5_reader *reader, const char *name, char ***texts_out)
{
	int64_t count;
	thaw_status status = thaw_h5_get_texts(reader, name, texts_out, &count);

	if (!status && count != 1)
		status = thaw_fail(THAW_FAILED, "'%s': '%s' has %lld texts, expected 1", reader->path, name, (long long)count);
	return status;
}

static thaw_status read_losses(const struct thaw_h5_reader *reader, struct thaw_checkpoint *checkpoint)
{
	struct thaw_checkpoint_facts *facts = &checkpoint->facts;
	int64_t replicas;
	thaw_status status = thaw_h5_get_int(reader, "replicas", &replicas);

	if (!status && (replicas < 1 || replicas > REPLICAS_LIMIT))
		status = thaw_fail(THAW_FAILED, "'%s': %lld replicas, allowed are 1 to %d", reader->path, (long long)replicas,
		                   REPLICAS_LIMIT);
	if (status)
		return status;
	checkpoint->losses = thaw_alloc(2 * (size_t)replicas, sizeof *checkpoint->losses);
	if (!checkpoint->losses)
		return THAW_OUT_OF_MEMORY;
	facts->replicas = (int)replicas;
	facts->losses = checkpoint->losses;
	return thaw_h5_get_numbers(reader, "losses", THAW_H5_F64, checkpoint->losses, 2 * facts->replicas);
}

static thaw_status read_average(const struct thaw_h5_reader *reader, struct thaw_checkpoint_facts *facts)
{
	thaw_status status = thaw_h5_get_int(reader, "average_epoch", &facts->average_epoch);

	if (!status)
		status = get_metrics(reader, average_names, &facts->average_metrics);
	if (!status && facts->average_epoch < 0)
		status = thaw_fail(THAW_FAILED, "'%s': average epoch %lld: allowed are 0 and more", reader->path,
		                   (long long)facts->average_epoch);
	return status;
}

static thaw_status read_val_losses(const struct thaw_h5_reader *reader, struct thaw_checkpoint *checkpoint)
{
	struct thaw_checkpoint_facts *facts = &checkpoint->facts;
	struct thaw_h5_plain plain;
	thaw_status status;

	if (facts->epoch == 0)
		return THAW_OK;
	status = thaw_h5_find(reader, "val_loss", THAW_H5_F64, &plain);
	if (status)
		return status;
	if (plain.rank != 1 || plain.dims[0] != facts->epoch)
		return thaw_fail(THAW_FAILED, "'%s': 'val_loss' is not one number for each of %lld epochs", reader->path,
		                 (long long)facts->epoch);
	checkpoint->val_losses = thaw_alloc((size_t)facts->epoch, sizeof *checkpoint->val_losses);
	if (!checkpoint->val_losses)
		return THAW_OUT_OF_MEMORY;
	memcpy(checkpoint->val_losses, plain.data, (size_t)plain.bytes);
	facts->val_losses = checkpoint->val_losses;
	return THAW_OK;
}

/* Names of classes take memory before anything else is known of them. */
static thaw_status check_classes(const struct thaw_h5_reader *reader)
{
	struct thaw_h5_plain plain;
	thaw_status status = thaw_h5_find(reader, "classes", THAW_H5_TEXT, &plain);

	if (!status && (plain.dims[0] > CLASSES_LIMIT || plain.bytes > NAMES_LIMIT))
		status = thaw_fail(THAW_FAILED, "'%s': %lld classes whose names take %llu bytes: allowed are %d, and %d bytes",
		                   reader->path, (long long)plain.dims[0], (unsigned long long)plain.bytes, CLASSES_LIMIT,
		                   NAMES_LIMIT);
	return status;
}

static thaw_status read_facts(const struct thaw_h5_reader *reader, struct thaw_checkpoint *checkpoint)
{
	struct thaw_checkpoint_facts *facts = &checkpoint->facts;
	int64_t version, classes;
	thaw_status status;

	if ((status = thaw_h5_get_int(reader, "format_version", &version)))
		return status;
	if (version != FORMAT_VERSION)
		return thaw_fail(THAW_FAILED, "'%s' has format version %lld, this thaw reads %d", reader->path,
		                 (long long)version, FORMAT_VERSION);
	if ((status = thaw_h5_get_int(reader, "epoch", &facts->epoch)) ||
	    (status = thaw_h5_get_int(reader, "step", &facts->step)) ||
	    (status = thaw_h5_get_numbers(reader, "best", THAW_H5_F64, &facts->best, 1)) ||
	    (status = thaw_h5_get_int(reader, "best_epoch", &facts->best_epoch)) ||
	    (status = get_metrics(reader, best_names, &facts->best_metrics)) ||
	    (status = get_metrics(reader, so_far_names, &facts->so_far)) || (status = read_losses(reader, checkpoint)) ||
	    (status = read_average(reader, facts)) ||
	    (status = thaw_h5_get_int(reader, "train_data", &facts->train_data)) ||
	    (status = thaw_h5_get_int(reader, "val_data", &facts->val_data)) ||
	    (status = thaw_h5_get_int(reader, "skipped", &facts->skipped)) ||
	    (status = thaw_h5_get_numbers(reader, "seconds", THAW_H5_F64, &facts->seconds, 1)) ||
	    (status = thaw_h5_get_text(reader, "metric", facts->metric, sizeof facts->metric)) ||
	    (status = thaw_h5_get_text(reader, "arch", facts->arch, sizeof facts->arch)) ||
	    (status = thaw_h5_get_int(reader, "resize", &facts->resize)) ||
	    (status = thaw_h5_get_int(reader, "crop", &facts->crop)) ||
	    (status = thaw_h5_get_numbers(reader, "mean", THAW_H5_F32, facts->mean, 3)) ||
	    (status = thaw_h5_get_numbers(reader, "std", THAW_H5_F32, facts->std, 3)) ||
	    (status = check_classes(reader)) ||
	    (status = thaw_h5_get_texts(reader, "classes", &checkpoint->names, &classes)) ||
	    (status = read_text(reader, "job", &checkpoint->job)) ||
	    (status = read_text(reader, "build", &checkpoint->build)))
		return status;
	if (facts->epoch < 0 || facts->epoch > EPOCHS_LIMIT || facts->step < 0 || facts->best_epoch < 0)
		return thaw_fail(THAW_FAILED,
		                 "'%s': epoch %lld, step %lld, best epoch %lld: allowed are 0 and more, and up to %d epochs",
		                 reader->path, (long long)facts->epoch, (long long)facts->step, (long long)facts->best_epoch,
		                 EPOCHS_LIMIT);
	if (facts->resize < 0 || facts->resize > THAW_EDGE_LIMIT || facts->crop < 0 || facts->crop > THAW_EDGE_LIMIT ||
	    (facts->resize == 0) != (facts->crop == 0))
		return thaw_fail(THAW_FAILED, "'%s': resize %lld, crop %lld: allowed are 1 to %d, or 0 for both", reader->path,
		                 (long long)facts->resize, (long long)facts->crop, THAW_EDGE_LIMIT);
	facts->classes = (int)classes;
	facts->names = (const char *const *)checkpoint->names;
	facts->job = checkpoint->job[0];
	facts->build = checkpoint->build[0];
	return read_val_losses(reader, checkpoint);
}

static thaw_status add_entry(struct thaw_checkpoint *checkpoint, const char *name, const struct thaw_h5_plain *plain)
{
	struct entry *entry = thaw_append(&checkpoint->entries, (size_t)checkpoint->count, sizeof *entry);

	if (!entry)
		return THAW_OUT_OF_MEMORY;
	*entry = (struct entry){.tensor = {.name = thaw_copy_text(name), .rank = plain->rank}, .offset = plain->offset};
	if (!entry->tensor.name)
		return THAW_OUT_OF_MEMORY;
	memcpy(entry->tensor.dims, plain->dims, sizeof plain->dims);
	checkpoint->count++;
	return THAW_OK;
}

/* A dataset in a group is a tensor; those beside the groups are facts. */
static thaw_status read_object(const struct thaw_h5_reader *reader, const struct thaw_h5_object *object,
                               struct thaw_checkpoint *checkpoint)
{
	struct thaw_h5_plain plain;
	thaw_status status;

	if (object->kind == THAW_H5_GROUP || (object->kind == THAW_H5_DATASET && !strchr(object->name, '/')))
		return THAW_OK;
	if (object->kind == THAW_H5_OTHER)
		return thaw_fail(THAW_FAILED, "'%s': '%s' is neither a group nor a dataset", reader->path, object->name);
	status = thaw_h5_look(reader, object, THAW_H5_F32, &plain);
	return status ? status : add_entry(checkpoint, object->name, &plain);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->tensor.name, ((const struct entry *)b)->tensor.name);
}

/* Everything but the tensors' values. */
static thaw_status parse(struct thaw_checkpoint *checkpoint, size_t length)
{
	struct thaw_h5_reader reader;
	thaw_status status = thaw_h5_open(checkpoint->path, checkpoint->bytes, length, &reader);

	if (status)
		return status;
	status = read_facts(&reader, checkpoint);
	for (size_t i = 0; i < reader.objects_count && !status; i++)
		status = read_object(&reader, &reader.objects[i], checkpoint);
	thaw_h5_close(&reader);
	if (!status && checkpoint->count > 0)
		qsort(checkpoint->entries, (size_t)checkpoint->count, sizeof *checkpoint->entries, by_name);
	return status;
}

thaw_status thaw_checkpoint_open(const char *path, struct thaw_checkpoint **checkpoint_out)
{
	struct thaw_checkpoint *checkpoint = thaw_alloc(1, sizeof *checkpoint);
	struct thaw_seal seal = {.length = 0};
	void *map = NULL;
	thaw_status status;

	if (!checkpoint)
		return THAW_OUT_OF_MEMORY;
	checkpoint->path = thaw_copy_text(path);
	status = checkpoint->path ? thaw_mapped_open(path, &map, &checkpoint->length) : THAW_OUT_OF_MEMORY;
	checkpoint->bytes = map;
	if (!status)
		status = thaw_seal_check(path, "checkpoint", checkpoint->bytes, checkpoint->length, &seal);
	if (!status && seal.left_out > 0)
		status = thaw_fail(THAW_FAILED, "'%s' is damaged: its seal leaves %llu bytes out", path,
		                   (unsigned long long)seal.left_out);
	if (!status)
		status = parse(checkpoint, (size_t)seal.length);
	if (status)
		thaw_checkpoint_free(checkpoint);
	else
		*checkpoint_out = checkpoint;
	return status;
}

void thaw_checkpoint_free(struct thaw_checkpoint *checkpoint)
{
	if (!checkpoint)
		return;
	for (int i = 0; i < checkpoint->count; i++)
		free((char *)checkpoint->entries[i].tensor.name);
	free(checkpoint->entries);
	free(checkpoint->names);
	free(checkpoint->job);
	free(checkpoint->build);
	free(checkpoint->losses);
	free(checkpoint->val_losses);
	if (checkpoint->bytes)
		thaw_mapped_close((void *)checkpoint->bytes, checkpoint->length);
	free(checkpoint->path);
	free(checkpoint);
}

const struct thaw_checkpoint_facts *thaw_checkpoint_facts(const struct thaw_checkpoint *checkpoint)
{
	return &checkpoint->facts;
}

int thaw_checkpoint_count(const struct thaw_checkpoint *checkpoint)
{
	return checkpoint->count;
}

const struct thaw_checkpoint_tensor *thaw_checkpoint_tensor(const struct thaw_checkpoint *checkpoint, int i)
{
	return &checkpoint->entries[i].tensor;
}

const uint8_t *thaw_checkpoint_bytes(const struct thaw_checkpoint *checkpoint, int i)
{
	return checkpoint->bytes + checkpoint->entries[i].offset;
}

thaw_status thaw_checkpoint_read(const struct thaw_checkpoint *checkpoint, const struct thaw_checkpoint_tensor *want)
{
	struct entry key = {.tensor = *want};
	const struct entry *found =
		checkpoint->count == 0 ? NULL
							   : bsearch(&key, checkpoint->entries, (size_t)checkpoint->count, sizeof key, by_name);
	char got_text[192], want_text[192];
	size_t bytes = sizeof *want->data;
	bool same;

	if (!found)
		return thaw_fail(THAW_FAILED, "'%s' has no tensor '%s'", checkpoint->path, want->name);
	same = found->tensor.rank == want->rank;
	for (int i = 0; same && i < want->rank; i++) {
		same = found->tensor.dims[i] == want->dims[i];
		bytes *= (size_t)want->dims[i];
	}
	if (!same)
		return thaw_fail(THAW_FAILED, "'%s': '%s' is %s, expected %s", checkpoint->path, want->name,
		                 thaw_shape_text(found->tensor.rank, found->tensor.dims, got_text),
		                 thaw_shape_text(want->rank, want->dims, want_text));
	memcpy(want->data, checkpoint->bytes + found->offset, bytes);
	return THAW_OK;
}
