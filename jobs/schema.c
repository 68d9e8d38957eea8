#include "jobs/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/printable.h"
#include "jobs/job.h"

#define FIELD(record, member) offsetof(struct record, member), sizeof(((struct record *)NULL)->member)
#define JOB(member) FIELD(thaw_job, member)
#define PHASE(member) FIELD(thaw_phase, member)
#define CHOICES(...) (const char *const[]){__VA_ARGS__, NULL}
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

static const struct thaw_type phases_type;

static const struct thaw_key job_keys[] = {
	{"name", &thaw_type_word, JOB(name), .derived = "the job file's name",
	 .meaning = "name of the run and of its folder"},
	{"runs", &thaw_type_text, JOB(runs), "runs", .meaning = "folder of run folders"},

	{"model.arch", &thaw_type_word, JOB(model.arch), .meaning = "architecture, such as resnet18"},

	{"data.train", &thaw_type_text, JOB(data.train), .meaning = "shards to train on: data/train-*.h5"},
	{"data.val", &thaw_type_text, JOB(data.val), .meaning = "shards to validate on"},
	{"data.crop", &thaw_type_int, JOB(data.crop), "224", .low = 1, .high = 4096, .unit = "pixels",
	 .meaning = "edge of the squares that the network sees"},
	{"data.threads", &thaw_type_int, JOB(data.threads), "2", .low = 1, .high = 256,
	 .meaning = "loader threads of a rank"},

	{"device", &thaw_type_choice, JOB(device), "auto", .choices = CHOICES("auto", "cpu", "reference"),
	 .meaning = "where to compute; auto: the best there is"},
	{"precision", &thaw_type_choice, JOB(precision), "fp32", .choices = CHOICES("fp32"),
	 .meaning = "numbers to compute with"},
	{"threads", &thaw_type_int, JOB(threads), "0", .low = 0, .high = 1024,
	 .meaning = "compute threads of a rank; 0: all it may use"},
	{"epochs", &thaw_type_int, JOB(epochs), "10", .low = 1, .high = 1000000,
	 .meaning = "passes over the training data; of phases, their sum"},
	{"batch", &thaw_type_int, JOB(batch), "32", .low = 1, .high = 1048576,
	 .meaning = "pictures per step, over all ranks"},
	{"replicas", &thaw_type_int, JOB(replicas), "0", .low = 0, .high = 1024,
	 .meaning = "micro-batches of a batch; 0: one per rank"},
	{"seed", &thaw_type_seed, JOB(seed), "42", .meaning = "decides every random choice"},
	{"batchnorm", &thaw_type_choice, JOB(batchnorm), "frozen", .choices = CHOICES("frozen", "train"),
	 .meaning = "statistics of frozen norms; train: the batch's"},

	{"optimizer.kind", &thaw_type_choice, JOB(optimizer.kind), "sgd", .choices = CHOICES("sgd"),
	 .meaning = "how gradients become steps"},
	{"optimizer.lr", &thaw_type_number, JOB(optimizer.lr), "0.001", .low = 0, .high = 1000,
	 .meaning = "base learning rate"},
	{"optimizer.momentum", &thaw_type_number, JOB(optimizer.momentum), "0.9", .low = 0, .high = 1,
	 .meaning = "share of the last step that goes on"},
	{"optimizer.weight_decay", &thaw_type_number, JOB(optimizer.weight_decay), "0", .low = 0, .high = 1000,
	 .meaning = "L2 penalty, added to the gradient"},
	{"optimizer.decay_norms", &thaw_type_bool, JOB(optimizer.decay_norms), "true",
	 .meaning = "weight decay on norms and biases too"},

	{"schedule.kind", &thaw_type_choice, JOB(schedule.kind), "constant", .choices = CHOICES("constant", "step"),
	 .meaning = "how the learning rate moves"},
	{"schedule.step", &thaw_type_int, JOB(schedule.step), "7", .low = 1, .high = 1000000, .unit = "epochs",
	 .meaning = "step: from one drop to the next"},
	{"schedule.gamma", &thaw_type_number, JOB(schedule.gamma), "0.1", .low = 0, .high = 1, .above_low = true,
	 .meaning = "step: factor of a drop"},

	{"phases", &phases_type, JOB(phases), .derived = "one that trains all",
	 .meaning = "what trains for how long, in order"},

	{"augment.crop", &thaw_type_choice, JOB(augment.crop), "random_resized",
	 .choices = CHOICES("random_resized", "center"), .meaning = "cut of training pictures"},
	{"augment.scale", &thaw_type_range, JOB(augment.scale), "[0.08, 1]", .low = 0, .high = 1, .above_low = true,
	 .meaning = "random_resized: share of the picture's area"},
	{"augment.ratio", &thaw_type_range, JOB(augment.ratio), "[0.75, 1.3333333333333333]", .low = 0.01,
	 .high = 100, .meaning = "random_resized: width / height"},
	{"augment.flip", &thaw_type_number, JOB(augment.flip), "0.5", .low = 0, .high = 1,
	 .meaning = "probability of mirroring"},

	{"checkpoint.metric", &thaw_type_choice, JOB(checkpoint.metric), "top1", .choices = CHOICES("top1"),
	 .meaning = "what makes a checkpoint the best"},
	{"checkpoint.every", &thaw_type_int, JOB(checkpoint.every), "1", .low = 1, .high = 1000000, .unit = "epochs",
	 .meaning = "from one last checkpoint to the next"},
};

static const struct thaw_key phase_keys[] = {
	{"phases.epochs", &thaw_type_int, PHASE(epochs), .low = 1, .high = 1000000, .meaning = "length of the phase"},
	{"phases.train", &thaw_type_parts, PHASE(train), .meaning = "parts that train; the others are frozen"},
	{"phases.lr", &thaw_type_number, PHASE(lr), .derived = "optimizer.lr", .low = 0, .high = 1000,
	 .meaning = "base learning rate of the phase"},
};

const struct thaw_schema thaw_job_schema = {job_keys, COUNT(job_keys)};
const struct thaw_schema thaw_phase_schema = {phase_keys, COUNT(phase_keys)};

_Static_assert(COUNT(job_keys) <= THAW_SCHEMA_KEYS, "THAW_SCHEMA_KEYS is too small");

/* --- phases ------------------------------------------------------------------------------------------------------ */

/* A phase without `lr` gets -1, until the job's is known. */
static thaw_status read_phases(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	struct thaw_job *job = record;

	job->phases_count = 0;
	if (node->kind != THAW_YAML_LIST || !node->first)
		return thaw_key_fail(key, node);
	for (const struct thaw_yaml *item = node->first; item; item = item->next) {
		struct thaw_place given[COUNT(phase_keys)] = {{0}};
		struct thaw_phase *phase = &job->phases[job->phases_count];
		thaw_status status;

		if (job->phases_count++ == THAW_PHASES)
			return thaw_place_fail(item->place, key->path, "more than %d phases", THAW_PHASES);
		if (item->kind != THAW_YAML_MAP)
			return thaw_key_fail(key, item);
		phase->lr = -1;
		status = thaw_schema_read(&thaw_phase_schema, "phases.", item, phase, given);
		if (!status)
			status = thaw_schema_complete(&thaw_phase_schema, item->place, given, phase);
		if (status)
			return status;
	}
	return THAW_OK;
}

/* A phase's `lr` is left out where it is the job's: so `--set optimizer.lr=...` on a resolved job does what it says. */
static void print_phases(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	const struct thaw_job *job = record;

	(void)key;
	for (const struct thaw_phase *phase = job->phases; phase < job->phases + job->phases_count; phase++) {
		thaw_text_add(text, "\n  - {");
		for (const struct thaw_key *k = phase_keys; k < phase_keys + COUNT(phase_keys); k++) {
			if (k->derived && phase->lr == job->optimizer.lr)
				continue;
			thaw_text_add(text, "%s%s: ", k == phase_keys ? "" : ", ", strchr(k->path, '.') + 1);
			k->type->print(k, phase, text);
		}
		thaw_text_add(text, "}");
	}
}

static void describe_phases(const struct thaw_key *key, struct thaw_text *text)
{
	(void)key;
	thaw_text_add(text, "lists of 1 to %d {epochs, train, lr}", THAW_PHASES);
}

static const struct thaw_type phases_type = {read_phases, print_phases, describe_phases, true, true};

/* --- reading ----------------------------------------------------------------------------------------------------- */

const struct thaw_key *thaw_schema_find(const struct thaw_schema *schema, const char *path)
{
	for (int i = 0; i < schema->count; i++)
		if (strcmp(schema->keys[i].path, path) == 0)
			return &schema->keys[i];
	return NULL;
}

/* Whether `path` is a section of the schema: "optimizer". */
static bool is_section(const struct thaw_schema *schema, const char *path)
{
	size_t length = strlen(path);

	for (int i = 0; i < schema->count; i++)
		if (strncmp(schema->keys[i].path, path, length) == 0 && schema->keys[i].path[length] == '.')
			return true;
	return false;
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* How many letters to insert, delete, replace or swap with the next make the first `n` of `b` of `a` (optimal string
 * alignment). Long texts are like nothing. */
static int distance(const char *a, const char *b, int n)
{
	enum { LONGEST = 48 };
	int rows[3][LONGEST + 1] = {{0}}, m = (int)strlen(a);

	if (m > LONGEST || n > LONGEST)
		return m + n;
	for (int j = 0; j <= n; j++)
		rows[0][j] = j;
	for (int i = 1; i <= m; i++) {
		int *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

		row[0] = i;
		for (int j = 1; j <= n; j++) {
			row[j] = least(up[j - 1] + (a[i - 1] != b[j - 1]), least(up[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], up2[j - 2] + 1);
		}
	}
	return rows[m % 3][n];
}

thaw_status thaw_schema_fail_unknown(const struct thaw_schema *schema, struct thaw_place place, const char *path)
{
	int nearest = ((int)strlen(path) + 1) / 3 + 1, meant_length = 0; /* up to a third of the letters may be wrong */
	const char *meant = NULL;

	if (is_section(schema, path))
		return thaw_place_fail(place, path, "a section, wanted are its keys");
	for (int i = 0; i < schema->count; i++) {
		const char *known = schema->keys[i].path;
		int length = (int)strlen(known), section = (int)strcspn(known, ".");
		const struct {
			const char *text;
			int length, meant_length;
		} likes[] = {
			{known, length, length},
			{known, section, section},
			{known + section + 1, length - section - 1, length}, /* "lr" stands for "optimizer.lr" */
		};

		for (int j = 0; j < (section < length ? 3 : 1); j++) {
			int d = distance(path, likes[j].text, likes[j].length);

			if (d < nearest) {
				nearest = d;
				meant = known;
				meant_length = likes[j].meant_length;
			}
		}
	}
	if (meant)
		return thaw_place_fail(place, NULL, "unknown key '%s', did you mean '%.*s'", thaw_show(path).text, meant_length,
		                       meant);
	return thaw_place_fail(place, NULL, "unknown key '%s', 'thaw help job' lists all", thaw_show(path).text);
}

thaw_status thaw_schema_read(const struct thaw_schema *schema, const char *prefix, const struct thaw_yaml *map,
                             void *record, struct thaw_place *given)
{
	thaw_status status = THAW_OK;

	for (const struct thaw_yaml *entry = map->first; entry && !status; entry = entry->next) {
		char path[160], below[162];
		const struct thaw_key *key;

		snprintf(path, sizeof path, "%s%s", prefix, entry->key); /* cut, it is like no key */
		snprintf(below, sizeof below, "%s.", path);
		key = thaw_schema_find(schema, path);
		if (key && strchr(entry->key, '.')) {
			status = thaw_place_fail(entry->key_place, NULL, "key '%s': in a file it is '%.*s: {%s: ...}'", path,
			                         (int)strcspn(path, "."), path, strchr(path, '.') + 1);
		} else if (key) {
			given[key - schema->keys] = entry->place;
			status = thaw_key_read(key, entry, record);
		} else if (entry->kind == THAW_YAML_MAP && (entry->first || is_section(schema, path))) {
			status = thaw_schema_read(schema, below, entry, record, given);
		} else {
			status = thaw_schema_fail_unknown(schema, entry->key_place, path);
		}
	}
	return status;
}

thaw_status thaw_schema_complete(const struct thaw_schema *schema, struct thaw_place place,
                                 const struct thaw_place *given, void *record)
{
	for (int i = 0; i < schema->count; i++) {
		const struct thaw_key *key = &schema->keys[i];
		thaw_status status = THAW_OK;

		if (given[i].source || key->derived)
			continue;
		if (key->fallback)
			status = thaw_key_read_text(key, place, key->fallback, record);
		else
			status = thaw_place_fail(place, key->path, "missing: %s", key->meaning);
		if (status)
			return status;
	}
	return THAW_OK;
}
