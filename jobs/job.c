#include "jobs/job.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/printable.h"
#include "jobs/schema.h"

/* A job while it is read: given[i] is where key i of the schema was given last, source NULL if nowhere. */
struct reading {
	struct thaw_job *job;
	struct thaw_place start; /* of the file */
	struct thaw_place given[THAW_SCHEMA_KEYS];
};

static struct thaw_place *place_of(struct reading *reading, const char *path)
{
	return &reading->given[thaw_schema_find(&thaw_job_schema, path) - thaw_job_schema.keys];
}

static thaw_status read_file(struct reading *reading, const char *yaml, size_t length)
{
	struct thaw_yaml *root;
	thaw_status status = thaw_yaml_parse(reading->start, yaml, length, &root);

	if (status)
		return status;
	if (root->kind == THAW_YAML_MAP)
		status = thaw_schema_read(&thaw_job_schema, "", root, reading->job, reading->given);
	else
		status = thaw_place_fail(root->place, NULL, "not a job, wanted is a map of keys");
	thaw_yaml_free(root);
	return status;
}

static thaw_status read_set(struct reading *reading, const char *set)
{
	struct thaw_place place = {set, 0, 0};
	size_t path_length = strcspn(set, "=");
	const struct thaw_key *key;
	char path[160];

	if (!set[path_length])
		return thaw_fail(THAW_BAD_JOB, "--set %s: wanted is KEY=VALUE", thaw_show(set).text);
	snprintf(path, sizeof path, "%.*s", (int)path_length, set); /* cut, it is like no key */
	key = thaw_schema_find(&thaw_job_schema, path);
	if (!key)
		return thaw_schema_fail_unknown(&thaw_job_schema, place, path);
	reading->given[key - thaw_job_schema.keys] = place;
	return thaw_key_read_text(key, place, set + path_length + 1, reading->job);
}

/* Without `name`, the job file's name without folders and extension. */
static thaw_status complete_name(struct reading *reading)
{
	const char *slash = strrchr(reading->start.source, '/');
	const char *base = slash ? slash + 1 : reading->start.source;
	const char *dot = strrchr(base, '.');
	char name[sizeof reading->job->name + 1] = ""; /* room to see that one is too long */
	size_t length = dot && dot > base ? (size_t)(dot - base) : strlen(base);
	const struct thaw_key *key = thaw_schema_find(&thaw_job_schema, "name");
	struct thaw_text allowed = THAW_TEXT_EMPTY;
	thaw_status status;

	if (place_of(reading, "name")->source)
		return THAW_OK;
	memcpy(name, base, length < sizeof name ? length : sizeof name - 1);
	status = thaw_key_read_text(key, reading->start, name, reading->job);
	if (status != THAW_BAD_JOB)
		return status;
	key->type->describe(key, &allowed);
	thaw_fail(status,
	          "%s: the file's name makes the run's '%s', allowed are %s: `name:` in the file, or --set name=NAME, "
	          "gives another",
	          reading->start.source, thaw_show(name).text, allowed.data);
	thaw_text_release(&allowed);
	return status;
}

/* What a job without `phases` gets: one that trains all, as the job says. */
static void derive_phase(const struct thaw_job *job, struct thaw_phase *phase_out)
{
	memset(phase_out, 0, sizeof *phase_out);
	phase_out->epochs = job->epochs;
	phase_out->train.count = 1;
	strcpy(phase_out->train.text[0], "all");
	thaw_schema_inherit(job, phase_out);
}

/* Phases and `epochs` follow from each other, and a phase's recipe from the job's. */
static thaw_status complete_phases(struct reading *reading)
{
	const struct thaw_key *epochs_key = thaw_schema_find(&thaw_job_schema, "epochs");
	struct thaw_place epochs = *place_of(reading, "epochs"), phases = *place_of(reading, "phases");
	struct thaw_job *job = reading->job;
	int sum = 0;

	if (!phases.source) {
		job->phases_count = 1;
		derive_phase(job, &job->phases[0]);
		return THAW_OK;
	}
	for (int i = 0; i < job->phases_count; i++) {
		sum += job->phases[i].epochs;
		thaw_schema_inherit(job, &job->phases[i]);
	}
	if (epochs.source && job->epochs != sum)
		return thaw_place_fail(epochs, "epochs", "%d, but the phases add up to %d", job->epochs, sum);
	if (sum > epochs_key->high)
		return thaw_place_fail(phases, "phases", "%d epochs in all, allowed are up to %.0f", sum, epochs_key->high);
	job->epochs = sum;
	return THAW_OK;
}

/* Every replica gets a picture of a full batch. */
static thaw_status check_replicas(struct reading *reading)
{
	const struct thaw_job *job = reading->job;
	int batch = INT_MAX;

	for (int i = 0; i < job->phases_count; i++)
		if (job->phases[i].recipe.batch < batch)
			batch = job->phases[i].recipe.batch;
	if (job->replicas <= batch)
		return THAW_OK;
	return thaw_place_fail(*place_of(reading, "replicas"), "replicas", "%d, allowed are up to the batch of %d",
	                       job->replicas, batch);
}

static thaw_status read_job(struct reading *reading, const char *yaml, size_t length, const char *const *sets,
                            int sets_count)
{
	thaw_status status = read_file(reading, yaml, length);

	for (int i = 0; i < sets_count && !status; i++)
		status = read_set(reading, sets[i]);
	if (!status)
		status = complete_name(reading);
	if (!status)
		status = thaw_schema_complete(&thaw_job_schema, reading->start, reading->given, reading->job);
	if (!status)
		status = complete_phases(reading);
	return status ? status : check_replicas(reading);
}

thaw_status thaw_job_match(const struct thaw_job *job, const struct thaw_job *begun, const char *where)
{
	thaw_status status = THAW_OK;

	for (int i = 0; i < thaw_job_schema.count && !status; i++) {
		const struct thaw_key *key = &thaw_job_schema.keys[i];
		struct thaw_text here = THAW_TEXT_EMPTY, there = THAW_TEXT_EMPTY;

		if (key->anytime)
			continue;
		key->type->print(key, job, &here);
		key->type->print(key, begun, &there);
		if (strcmp(here.data, there.data) != 0)
			status = thaw_fail(THAW_BAD_JOB,
			                   "'%s' was begun with %s%s%s, this job has %s: --fresh begins beside it, --set name=... "
			                   "elsewhere",
			                   where, key->path, key->type->block ? "" : ": ", key->type->block ? "" : there.data,
			                   key->type->block ? "others" : here.data);
		thaw_text_release(&here);
		thaw_text_release(&there);
	}
	return status;
}

thaw_status thaw_job_parse(const char *name, const char *yaml, size_t length, const char *const *sets, int sets_count,
                           struct thaw_job *job_out)
{
	struct reading reading = {.job = thaw_alloc(1, sizeof *job_out), .start = {name, 1, 1}};
	thaw_status status;

	if (!reading.job)
		return THAW_OUT_OF_MEMORY;
	status = read_job(&reading, yaml, length, sets, sets_count);
	if (!status)
		memcpy(job_out, reading.job, sizeof *job_out); /* padding too: equal jobs are equal bytes */
	free(reading.job);
	return status;
}

thaw_status thaw_job_load(const char *path, const char *const *sets, int sets_count, struct thaw_job *job_out)
{
	size_t length;
	char *yaml;
	thaw_status status = thaw_file_read(path, THAW_YAML_BYTES, &yaml, &length);

	if (status == THAW_FAILED) {
		char words[THAW_WORDS];

		snprintf(words, sizeof words, "%s", thaw_fail_text());
		return thaw_fail(THAW_BAD_JOB, "%s", words); /* a job file that cannot be read is a bad one */
	}
	if (status)
		return status;
	status = thaw_job_parse(path, yaml, length, sets, sets_count, job_out);
	free(yaml);
	return status;
}

bool thaw_recipe_mixes(const struct thaw_recipe *recipe)
{
	return recipe->augment.mixup > 0 || recipe->augment.cutmix > 0;
}

bool thaw_job_pretrained(const struct thaw_job *job)
{
	return strcmp(job->model.weights, "random") != 0;
}

bool thaw_job_begins_schedule(const struct thaw_job *job, int phase)
{
	const struct thaw_phase *p = &job->phases[phase];

	return phase == 0 || p->restart ||
	       memcmp(&p[-1].recipe.schedule, &p->recipe.schedule, sizeof p->recipe.schedule) != 0;
}

bool thaw_job_done(const struct thaw_job *job, int epoch, int best_epoch)
{
	int patience = job->early_stopping.patience;

	return epoch >= job->epochs || (patience > 0 && best_epoch > 0 && epoch - best_epoch >= patience);
}

thaw_status thaw_job_dump(const struct thaw_job *job, struct thaw_text *yaml_out)
{
	struct thaw_phase derived;
	bool has_phases;

	derive_phase(job, &derived);
	has_phases = job->phases_count > 1 || memcmp(&job->phases[0], &derived, sizeof derived) != 0;
	for (int i = 0; i < thaw_job_schema.count; i++) {
		const struct thaw_key *key = &thaw_job_schema.keys[i];
		size_t section = thaw_key_section(key);

		if (strcmp(key->path, "phases") == 0 && !has_phases)
			continue;
		if (section > 0 && thaw_schema_begins_section(&thaw_job_schema, i))
			thaw_text_add(yaml_out, "%.*s:\n", (int)section, key->path);
		thaw_text_add(yaml_out, "%s%s:%s", section ? "  " : "", key->path + (section ? section + 1 : 0),
		              key->type->block ? "" : " ");
		key->type->print(key, job, yaml_out);
		thaw_text_add(yaml_out, "\n");
	}
	return thaw_text_status(yaml_out);
}
