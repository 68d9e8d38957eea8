/* The key reference, from the schema: plain text for the terminal, Markdown for docs/job.md. */
#include <string.h>

#include "jobs/job.h"
#include "jobs/schema.h"

/* Whether a phase's key is the job's, under the same name. */
static bool is_inherited(const struct thaw_key *key)
{
	return key->derived && strncmp(key->path, "phases.", 7) == 0 && strcmp(key->path + 7, key->derived) == 0;
}

/* --- plain text -------------------------------------------------------------------------------------------------- */

/* The key with its meaning and default; under that, what is allowed. */
static void print_keys(FILE *file, const struct thaw_schema *schema)
{
	for (int i = 0; i < schema->count; i++) {
		const struct thaw_key *key = &schema->keys[i];
		struct thaw_text allowed = THAW_TEXT_EMPTY;

		if (is_inherited(key))
			continue;
		if (thaw_schema_begins_section(schema, i))
			fprintf(file, "\n");
		key->type->describe(key, &allowed);
		fprintf(file, "  %-24s  %s (%s)\n  %-24s  %s\n", key->path, key->meaning,
		        key->fallback  ? key->fallback
		        : key->derived ? key->derived
		                       : "required",
		        "", allowed.data);
		thaw_text_release(&allowed);
	}
}

void thaw_job_print_keys(FILE *file)
{
	fprintf(
		file,
		"The keys of a job file: what each is for, in brackets what holds when it is left out, and what is allowed.\n"
		"A section is a map, `optimizer: {lr: 1e-3}`; on the command line, `--set optimizer.lr=1e-3`.\n"
		"Paths are relative to the folder that the command is run in.\n");
	print_keys(file, &thaw_job_schema);
	fprintf(file, "\nEach entry of `phases`, `{epochs: 3, train: [layer4, fc], lr: 1e-4}`, has\n");
	print_keys(file, &thaw_phase_schema);
	fprintf(file,
	        "\nand may have a `batch`, a `schedule` and an `augment` of its own, as above: what it does not say of "
	        "them is the\njob's. A schedule runs over the phases that share it, and begins anew where it is "
	        "another.\n");
}

/* --- Markdown ---------------------------------------------------------------------------------------------------- */

static const char introduction[] =
	"# Job files\n"
	"\n"
	"A job file says what `thaw train` is to do. It is YAML, read strictly: a key that thaw does not know, or a\n"
	"value that it does not allow, ends the command before anything is written, in one line that names file, line,\n"
	"column and what is allowed.\n"
	"\n"
	"    # The head of a ResNet-18 learns for 2 epochs, then the whole network for 6.\n"
	"    name: ants                    # results stand in runs/ants\n"
	"    model: {arch: resnet18}\n"
	"    data: {train: data/train-*.h5, val: data/val-*.h5, crop: 224}\n"
	"    batch: 32\n"
	"    optimizer: {kind: sgd, lr: 0.01, momentum: 0.9, weight_decay: 1e-4}\n"
	"    schedule: {kind: cosine, warmup: 1}\n"
	"    batchnorm: train              # weights begin random: frozen norms have no statistics yet\n"
	"    phases:\n"
	"      - {epochs: 2, train: [fc]}\n"
	"      - {epochs: 6, train: all, lr: 0.005, augment: {rotation: 15}}\n"
	"    augment: {scale: [0.3, 1]}\n"
	"\n"
	"The key `optimizer.lr` is `lr` in the map `optimizer`. On the command line, `--set optimizer.lr=0.02` puts\n"
	"another value in the place of the file's; lists are written as in the file, `--set 'augment.scale=[0.5, 1]'`.\n"
	"Paths are relative to the folder that the command is run in. `job.yaml` in the folder of a run has every key\n"
	"as it was used.\n"
	"\n"
	"In the tables, *default* is what holds when a key is left out, *allowed* tells type, bounds and unit, and\n"
	"*may differ* says where a run may have more than one value: *in phases*, where a phase may have one of its\n"
	"own, and *on going on*, where a run that is taken up again may be given another, because its result does not\n"
	"depend on it. With any other change it is another run, and thaw refuses to go on with this one.\n"
	"\n"
	"`thaw help job.md` prints this page, `thaw help job` the same for a terminal. How the keys play together:\n"
	"[fine-tuning](fine-tuning.md).\n";

/* Escapes what would end a cell, or begin emphasis or a tag. */
static void print_cell(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (strchr("|*<`", *text))
			fputc('\\', file);
		fputc(*text, file);
	}
}

static void print_default(FILE *file, const struct thaw_key *key)
{
	if (key->fallback || (key->derived && thaw_schema_find(&thaw_job_schema, key->derived)))
		fprintf(file, "`%s`", key->fallback ? key->fallback : key->derived);
	else
		print_cell(file, key->derived ? key->derived : "needed");
}

static void print_allowed(FILE *file, const struct thaw_key *key)
{
	struct thaw_text allowed = THAW_TEXT_EMPTY;

	key->type->describe(key, &allowed);
	if (!key->choices)
		print_cell(file, allowed.data);
	for (const char *const *choice = key->choices; choice && *choice; choice++)
		fprintf(file, "%s`%s`", choice == key->choices ? "" : ", ", *choice);
	thaw_text_release(&allowed);
}

/* The key with which a phase may say otherwise than the job, NULL if it may not. */
static const struct thaw_key *find_phase_key(const struct thaw_key *key)
{
	for (int i = 0; i < thaw_phase_schema.count; i++)
		if (thaw_phase_schema.keys[i].derived && strcmp(thaw_phase_schema.keys[i].derived, key->path) == 0)
			return &thaw_phase_schema.keys[i];
	return NULL;
}

static void print_may_differ(FILE *file, const struct thaw_key *key)
{
	const struct thaw_key *of_phase = find_phase_key(key);

	if (of_phase)
		fprintf(file, "in phases");
	if (of_phase && !is_inherited(of_phase))
		fprintf(file, ", as `%s`", of_phase->path);
	if (key->anytime)
		fprintf(file, "%son going on", of_phase ? "; " : "");
}

static void print_row(FILE *file, const struct thaw_key *key, bool of_job)
{
	fprintf(file, "| `%s` | ", key->path);
	print_default(file, key);
	fprintf(file, " | ");
	print_allowed(file, key);
	fprintf(file, " | ");
	print_cell(file, key->meaning);
	fprintf(file, " |");
	if (of_job) {
		fprintf(file, " ");
		print_may_differ(file, key);
		fprintf(file, " |");
	}
	fprintf(file, "\n");
}

static void print_head(FILE *file, const char *title, int length)
{
	fprintf(file, "\n## %.*s\n\n| key | default | allowed | meaning | may differ |\n|---|---|---|---|---|\n", length,
	        title);
}

/* `phases` and what each of its entries has, but for what it may have of the job's. */
static void print_phases(FILE *file, const struct thaw_key *key)
{
	print_head(file, key->path, (int)strlen(key->path));
	print_row(file, key, true);
	fprintf(file, "\nEach entry, `{epochs: 3, train: [layer4, fc], lr: 1e-4}`, has\n\n"
	              "| key | default | allowed | meaning |\n|---|---|---|---|\n");
	for (int i = 0; i < thaw_phase_schema.count; i++)
		if (!is_inherited(&thaw_phase_schema.keys[i]))
			print_row(file, &thaw_phase_schema.keys[i], false);
	fprintf(file,
	        "\nand what may differ *in phases*: `{epochs: 3, train: all, batch: 16, augment: {blur: 0.2}}`. What it "
	        "does not say\nis the job's. A schedule runs over all phases that share it, and begins anew where a "
	        "phase has another.\n");
}

void thaw_job_print_markdown(FILE *file)
{
	const struct thaw_schema *schema = &thaw_job_schema;

	fprintf(file, "%s", introduction);
	print_head(file, "Keys without a section", 22);
	for (int i = 0; i < schema->count; i++)
		if (thaw_key_section(&schema->keys[i]) == 0 && !schema->keys[i].type->block)
			print_row(file, &schema->keys[i], true);
	for (int i = 0; i < schema->count; i++) {
		const struct thaw_key *key = &schema->keys[i];
		size_t section = thaw_key_section(key);

		if (section > 0 && thaw_schema_begins_section(schema, i))
			print_head(file, key->path, (int)section);
		if (section > 0)
			print_row(file, key, true);
		else if (key->type->block)
			print_phases(file, key);
	}
}
