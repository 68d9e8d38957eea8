#include "jobs/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/printable.h"
#include "jobs/job.h"

#define FIELD(record, member) offsetof(struct record, member), sizeof(((struct record *)NULL)->member)
#define JOB(member) FIELD(thaw_job, member)
#define PHASE(member) FIELD(thaw_phase, member)
#define RECIPE(record, member) FIELD(record, recipe.member)
#define CHOICES(...) (const char *const[]){__VA_ARGS__, NULL}
#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

static const struct thaw_type phases_type;

/* --- keys -------------------------------------------------------------------------------------------------------- */

/* What holds where a key of a recipe is left out: in a job a default, in a phase what the job has under `path`. */
#define IN_JOB(path, value) .fallback = value
#define IN_PHASE(path, value) .derived = path

/* clang-format off */
#define BATCH_KEY(prefix, record, left_out) \
	{prefix "batch", &thaw_type_int, RECIPE(record, batch), left_out("batch", "32"), .low = 1, .high = 1048576, \
	 .meaning = "pictures per step, over all ranks"}

#define SCHEDULE_NUMBER(prefix, record, left_out, name, value, ...) \
	{prefix "schedule." #name, &thaw_type_number, RECIPE(record, schedule.name), left_out("schedule." #name, value), \
	 __VA_ARGS__}
#define SCHEDULE_EPOCHS(prefix, record, left_out, name, value, ...) \
	{prefix "schedule." #name, &thaw_type_int, RECIPE(record, schedule.name), left_out("schedule." #name, value), \
	 .high = 1000000, .unit = "epochs", __VA_ARGS__}

#define SCHEDULE_KEYS(prefix, record, left_out) \
	{prefix "schedule.kind", &thaw_type_choice, RECIPE(record, schedule.kind), left_out("schedule.kind", "constant"), \
	 .choices = CHOICES("constant", "step", "multi_step", "exponential", "cosine", "one_cycle", "rising", "plateau"), \
	 .meaning = "how the learning rate moves"}, \
	SCHEDULE_NUMBER(prefix, record, left_out, warmup, "0", .low = 0, .high = 1000000, .unit = "epochs", \
	                .meaning = "in which the rate rises to where the schedule begins"), \
	SCHEDULE_NUMBER(prefix, record, left_out, warmup_start, "0.01", .low = 0, .high = 1, .above_low = true, \
	                .meaning = "share of the rate that a warm-up begins with"), \
	SCHEDULE_EPOCHS(prefix, record, left_out, step, "7", .low = 1, .meaning = "step: from one drop to the next"), \
	{prefix "schedule.milestones", &thaw_type_epochs, RECIPE(record, schedule.milestones), \
	 left_out("schedule.milestones", "[30, 60, 90]"), .low = 1, .high = 1000000, \
	 .meaning = "multi_step: epochs after which the rate drops"}, \
	SCHEDULE_NUMBER(prefix, record, left_out, gamma, "0.1", .low = 0, .high = 1, .above_low = true, \
	                .meaning = "step, multi_step, plateau: factor of a drop; exponential: of an epoch"), \
	SCHEDULE_NUMBER(prefix, record, left_out, min, "0", .low = 0, .high = 1, \
	                .meaning = "cosine, plateau: smallest share of the rate"), \
	SCHEDULE_NUMBER(prefix, record, left_out, rise, "0.3", .low = 0, .high = 1, \
	                .meaning = "one_cycle: share of the steps until the full rate"), \
	SCHEDULE_NUMBER(prefix, record, left_out, div, "25", .low = 1, .high = 1e9, \
	                .meaning = "one_cycle: begins with 1/div of the rate"), \
	SCHEDULE_NUMBER(prefix, record, left_out, final_div, "10000", .low = 1, .high = 1e9, \
	                .meaning = "one_cycle: ends with 1/final_div of that"), \
	SCHEDULE_NUMBER(prefix, record, left_out, start, "0.01", .low = 0, .high = 1, .above_low = true, \
	                .meaning = "rising: share of the rate that it begins with"), \
	{prefix "schedule.linear", &thaw_type_bool, RECIPE(record, schedule.linear), left_out("schedule.linear", "false"), \
	 .meaning = "rising: by equal steps, not by equal factors"}, \
	SCHEDULE_EPOCHS(prefix, record, left_out, patience, "10", .low = 0, \
	                .meaning = "plateau: so many without a lower validation loss are borne, the next drops the rate"), \
	SCHEDULE_EPOCHS(prefix, record, left_out, cooldown, "0", .low = 0, \
	                .meaning = "plateau: after a drop, that are not counted"), \
	SCHEDULE_NUMBER(prefix, record, left_out, threshold, "0.0001", .low = 0, .high = 0.999999, \
	                .meaning = "plateau: lower is a loss by more than this share of the lowest")

#define AUGMENT_NUMBER(prefix, record, left_out, name, most, ...) \
	{prefix "augment." #name, &thaw_type_number, RECIPE(record, augment.name), left_out("augment." #name, "0"), \
	 .low = 0, .high = most, __VA_ARGS__}

#define AUGMENT_KEYS(prefix, record, left_out) \
	{prefix "augment.crop", &thaw_type_choice, RECIPE(record, augment.crop), \
	 left_out("augment.crop", "random_resized"), .choices = CHOICES("random_resized", "center"), \
	 .meaning = "cut of training pictures"}, \
	{prefix "augment.scale", &thaw_type_range, RECIPE(record, augment.scale), left_out("augment.scale", "[0.08, 1]"), \
	 .low = 0, .high = 1, .above_low = true, .meaning = "random_resized: share of the picture's area"}, \
	{prefix "augment.ratio", &thaw_type_range, RECIPE(record, augment.ratio), \
	 left_out("augment.ratio", "[0.75, 1.3333333333333333]"), .low = 0.01, .high = 100, \
	 .meaning = "random_resized: width / height"}, \
	{prefix "augment.flip", &thaw_type_number, RECIPE(record, augment.flip), left_out("augment.flip", "0.5"), \
	 .low = 0, .high = 1, .meaning = "probability of mirroring"}, \
	AUGMENT_NUMBER(prefix, record, left_out, rotation, 180, .unit = "degrees", .meaning = "largest turn, either way"), \
	AUGMENT_NUMBER(prefix, record, left_out, brightness, 10, .meaning = "factors of 1 - it to 1 + it"), \
	AUGMENT_NUMBER(prefix, record, left_out, contrast, 10, .meaning = "factors of 1 - it to 1 + it"), \
	AUGMENT_NUMBER(prefix, record, left_out, saturation, 10, .meaning = "factors of 1 - it to 1 + it"), \
	AUGMENT_NUMBER(prefix, record, left_out, hue, 0.5, .meaning = "largest shift, as a share of the colour circle"), \
	AUGMENT_NUMBER(prefix, record, left_out, grey, 1, .meaning = "probability of losing all colour"), \
	AUGMENT_NUMBER(prefix, record, left_out, blur, 1, .meaning = "probability of Gaussian blur"), \
	{prefix "augment.blur_sigma", &thaw_type_range, RECIPE(record, augment.blur_sigma), \
	 left_out("augment.blur_sigma", "[0.1, 2]"), .low = 0.01, .high = 10, .unit = "pixels", \
	 .meaning = "blur: deviation"}, \
	AUGMENT_NUMBER(prefix, record, left_out, erase, 1, .meaning = "probability of erasing a rectangle"), \
	{prefix "augment.erase_scale", &thaw_type_range, RECIPE(record, augment.erase_scale), \
	 left_out("augment.erase_scale", "[0.02, 0.33]"), .low = 0, .high = 1, .above_low = true, \
	 .meaning = "erase: share of the area"}, \
	{prefix "augment.erase_ratio", &thaw_type_range, RECIPE(record, augment.erase_ratio), \
	 left_out("augment.erase_ratio", "[0.3, 3.3]"), .low = 0.01, .high = 100, .meaning = "erase: height / width"}, \
	AUGMENT_NUMBER(prefix, record, left_out, mixup, 10, .meaning = "alpha: pairs of pictures are blended"), \
	AUGMENT_NUMBER(prefix, record, left_out, cutmix, 10, .meaning = "alpha: a rectangle comes from another picture")
/* clang-format on */

static const struct thaw_key job_keys[] = {
	{"name", &thaw_type_word, JOB(name), .derived = "the job file's name",
	 .meaning = "name of the run and of its folder"},
	{"runs", &thaw_type_text, JOB(runs), "runs", .meaning = "folder of run folders"},

	{"model.arch", &thaw_type_word, JOB(model.arch), .meaning = "architecture, such as resnet18"},
	{"model.weights", &thaw_type_text, JOB(model.weights), "random", .anytime = true,
	 .meaning = "file of weights to begin with: .pth, .safetensors, best.h5; random: none"},
	{"model.weights_strict", &thaw_type_bool, JOB(model.weights_strict), "true", .anytime = true,
	 .meaning = "every tensor but the head has to fit; false: what does is taken"},

	{"data.train", &thaw_type_text, JOB(data.train), .meaning = "shards to train on: data/train-*.h5"},
	{"data.val", &thaw_type_text, JOB(data.val), .meaning = "shards to validate on"},
	{"data.crop", &thaw_type_int, JOB(data.crop), "224", .low = 1, .high = 4096, .unit = "pixels",
	 .meaning = "edge of the squares that the network sees"},
	{"data.threads", &thaw_type_int, JOB(data.threads), "2", .low = 1, .high = 256,
	 .anytime = true, .meaning = "loader threads of a rank"},
	{"data.sampling", &thaw_type_choice, JOB(data.sampling), "shuffle", .choices = CHOICES("shuffle", "balanced"),
	 .meaning = "an epoch's pictures: each once; or as many draws, classes alike"},

	{"device", &thaw_type_choice, JOB(device), "auto", .choices = CHOICES("auto", "cuda", "cpu", "reference"),
	 .meaning = "where to compute; auto: the best there is"},
	{"precision", &thaw_type_choice, JOB(precision), "fp32", .choices = CHOICES("fp32", "bf16", "fp16"),
	 .meaning = "what a GPU computes with; parameters, and a CPU, use fp32"},
	{"tf32", &thaw_type_bool, JOB(tf32), "false",
	 .meaning = "cuda, fp32: products of 10 bits, which tensor cores make"},
	{"loss_scale", &thaw_type_number, JOB(loss_scale), "1024", .low = 1, .high = 16777216,
	 .meaning = "fp16: factor that keeps small gradients from becoming 0"},
	{"fused_statistics", &thaw_type_bool, JOB(fused_statistics), "false",
	 .meaning = "cuda, fp16: convolutions sum for norms if faster; bits may differ between runs"},
	{"comm", &thaw_type_choice, JOB(comm), "auto", .choices = CHOICES("auto", "nccl", "mpi"),
	 .meaning = "how gradients are summed; cuda: auto is nccl, mpi goes through host memory"},
	{"graphs", &thaw_type_bool, JOB(graphs), "true", .anytime = true,
	 .meaning = "cuda: steps are recorded once and replayed"},
	{"threads", &thaw_type_int, JOB(threads), "0", .low = 0, .high = 1024,
	 .meaning = "compute threads of a rank; 0: all it may use"},
	{"epochs", &thaw_type_int, JOB(epochs), "10", .low = 1, .high = 1000000,
	 .meaning = "passes over the training data; of phases, their sum"},
	BATCH_KEY("", thaw_job, IN_JOB),
	{"replicas", &thaw_type_int, JOB(replicas), "0", .low = 0, .high = 1024,
	 .meaning = "micro-batches of a batch; 0: one per rank"},
	{"timeout", &thaw_type_int, JOB(timeout), "600", .low = 0, .high = 1000000, .unit = "seconds",
	 .anytime = true, .meaning = "a run that does not get on for so long ends; 0: never"},
	{"max_skipped", &thaw_type_int, JOB(max_skipped), "0", .low = 0, .high = 1000000,
	 .meaning = "steps whose loss or gradient is not finite: so many are left out, the next ends the run"},
	{"seed", &thaw_type_seed, JOB(seed), "42", .meaning = "decides every random choice"},
	{"batchnorm", &thaw_type_choice, JOB(batchnorm), "frozen", .choices = CHOICES("frozen", "train"),
	 .meaning = "statistics of frozen norms; train: the batch's"},

	{"optimizer.kind", &thaw_type_choice, JOB(optimizer.kind), "sgd", .choices = CHOICES("sgd", "adam", "adamw"),
	 .meaning = "how gradients become steps"},
	{"optimizer.lr", &thaw_type_number, JOB(recipe.lr), "0.001", .low = 0, .high = 1000,
	 .meaning = "base learning rate"},
	{"optimizer.momentum", &thaw_type_number, JOB(optimizer.momentum), "0.9", .low = 0, .high = 0.999999,
	 .meaning = "sgd: share of the last step that goes on"},
	{"optimizer.nesterov", &thaw_type_bool, JOB(optimizer.nesterov), "false", .meaning = "sgd: look ahead"},
	{"optimizer.momentum_of", &thaw_type_choice, JOB(optimizer.momentum_of), "gradients",
	 .choices = CHOICES("gradients", "steps"), .meaning = "sgd: as PyTorch has it; as Keras: gradient times rate"},
	{"optimizer.beta1", &thaw_type_number, JOB(optimizer.beta1), "0.9", .low = 0, .high = 0.999999,
	 .meaning = "adam, adamw: decay of the mean of gradients"},
	{"optimizer.beta2", &thaw_type_number, JOB(optimizer.beta2), "0.999", .low = 0, .high = 0.999999,
	 .meaning = "adam, adamw: decay of the mean of their squares"},
	{"optimizer.epsilon", &thaw_type_number, JOB(optimizer.epsilon), "1e-08", .low = 0, .high = 1, .above_low = true,
	 .meaning = "adam, adamw: added to the divisor"},
	{"optimizer.weight_decay", &thaw_type_number, JOB(optimizer.weight_decay), "0", .low = 0, .high = 1000,
	 .meaning = "sgd, adam: added to the gradient; adamw: times the rate, off the weight"},
	{"optimizer.decay_norms", &thaw_type_bool, JOB(optimizer.decay_norms), "true",
	 .meaning = "weight decay on norms and biases too"},
	{"optimizer.clip", &thaw_type_number, JOB(optimizer.clip), "0", .low = 0, .high = 1e9,
	 .meaning = "largest norm of a step's gradient; 0: any"},
	{"optimizer.lr_scale", &thaw_type_scales, JOB(optimizer.lr_scale), "{}", .low = 0, .high = 1000,
	 .meaning = "factors on the rate of parts: {layer1: 0.1, layer2: 0.3}"},

	{"loss.smoothing", &thaw_type_number, JOB(loss.smoothing), "0", .low = 0, .high = 0.999,
	 .meaning = "share of a label that goes to all classes alike"},
	{"loss.class_weights", &thaw_type_choice, JOB(loss.class_weights), "none", .choices = CHOICES("none", "balanced"),
	 .meaning = "balanced: rare classes weigh more, pictures / (classes * those of the class)"},

	{"average.decay", &thaw_type_number, JOB(average.decay), "0", .low = 0, .high = 0.999999,
	 .meaning = "share that a moving average of the weights keeps at a step; it is validated and kept too; 0: none"},
	{"average.warm_up", &thaw_type_bool, JOB(average.warm_up), "true",
	 .meaning = "the share is at most (1 + n) / (10 + n) after n steps"},

	{"early_stopping.patience", &thaw_type_int, JOB(early_stopping.patience), "0", .low = 0, .high = 1000000,
	 .unit = "epochs", .meaning = "without a better one, after which a run ends; 0: never"},

	SCHEDULE_KEYS("", thaw_job, IN_JOB),

	{"phases", &phases_type, JOB(phases), .derived = "one that trains all",
	 .meaning = "what trains for how long, in order"},

	AUGMENT_KEYS("", thaw_job, IN_JOB),

	{"checkpoint.metric", &thaw_type_choice, JOB(checkpoint.metric), "top1",
	 .choices = CHOICES("top1", "top5", "balanced", "loss"),
	 .meaning = "what makes a checkpoint the best; balanced: mean over classes of the share that is right"},
	{"checkpoint.every", &thaw_type_int, JOB(checkpoint.every), "1", .low = 1, .high = 1000000, .unit = "epochs",
	 .anytime = true, .meaning = "from one last checkpoint to the next"},
	{"checkpoint.minutes", &thaw_type_number, JOB(checkpoint.minutes), "10", .low = 0, .high = 1e6, .unit = "minutes",
	 .anytime = true, .meaning = "and at least so often, within an epoch too; 0: never"},
	{"checkpoint.keep", &thaw_type_int, JOB(checkpoint.keep), "0", .low = 0, .high = 1000000,
	 .anytime = true, .meaning = "so many are kept besides, as epoch-0001.h5"},
	{"checkpoint.signal", &thaw_type_choice, JOB(checkpoint.signal), "USR2", .choices = CHOICES("USR1", "USR2"),
	 .anytime = true, .meaning = "asks for a checkpoint and a stop, as TERM and INT do"},
};

static const struct thaw_key phase_keys[] = {
	{"phases.epochs", &thaw_type_int, PHASE(epochs), .low = 1, .high = 1000000, .meaning = "length of the phase"},
	{"phases.train", &thaw_type_parts, PHASE(train), .meaning = "parts that train; the others are frozen"},
	{"phases.lr", &thaw_type_number, PHASE(recipe.lr), .derived = "optimizer.lr", .low = 0, .high = 1000,
	 .meaning = "base learning rate of the phase"},
	{"phases.restart", &thaw_type_bool, PHASE(restart), "false",
	 .meaning = "begin the schedule anew, as with another schedule"},
	BATCH_KEY("phases.", thaw_phase, IN_PHASE),
	SCHEDULE_KEYS("phases.", thaw_phase, IN_PHASE),
	AUGMENT_KEYS("phases.", thaw_phase, IN_PHASE),
};

const struct thaw_schema thaw_job_schema = {job_keys, COUNT(job_keys)};
const struct thaw_schema thaw_phase_schema = {phase_keys, COUNT(phase_keys)};

_Static_assert(COUNT(job_keys) <= THAW_SCHEMA_KEYS, "THAW_SCHEMA_KEYS is too small");

/* --- phases ------------------------------------------------------------------------------------------------------ */

_Static_assert(COUNT(phase_keys) <= 64, "struct thaw_phase.given has too few bits");

/* What a phase leaves to the job is filled in by thaw_schema_inherit(), when the job's values are known. */
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
		status = thaw_schema_read(&thaw_phase_schema, "phases.", item, phase, given);
		if (!status)
			status = thaw_schema_complete(&thaw_phase_schema, item->place, given, phase);
		if (status)
			return status;
		for (int i = 0; i < COUNT(phase_keys); i++)
			if (given[i].source)
				phase->given |= UINT64_C(1) << i;
	}
	return THAW_OK;
}

/* The key of a job that key `key` of a phase is taken from. */
static const struct thaw_key *job_key_of(const struct thaw_key *key)
{
	return thaw_schema_find(&thaw_job_schema, key->derived);
}

void thaw_schema_inherit(const struct thaw_job *job, struct thaw_phase *phase)
{
	for (int i = 0; i < COUNT(phase_keys); i++) {
		const struct thaw_key *key = &phase_keys[i];

		if (key->derived && !(phase->given >> i & 1))
			memcpy((char *)phase + key->offset, (const char *)job + job_key_of(key)->offset, key->size_bytes);
	}
	phase->given = 0;
}

/* Whether a phase need not say the key, because it has what holds without it. */
static bool goes_without_saying(const struct thaw_key *key, const struct thaw_phase *phase, const struct thaw_job *job)
{
	struct thaw_text text = THAW_TEXT_EMPTY;
	bool same;

	if (key->derived)
		return memcmp((const char *)phase + key->offset, (const char *)job + job_key_of(key)->offset,
		              key->size_bytes) == 0;
	key->type->print(key, phase, &text);
	same = key->fallback && strcmp(text.data, key->fallback) == 0;
	thaw_text_release(&text);
	return same;
}

/* "epochs: 3, train: [fc], schedule: {kind: cosine}". What a phase has from the job is left out: so `--set
 * optimizer.lr=...` on a resolved job does what it says. */
static void print_phase(const struct thaw_phase *phase, const struct thaw_job *job, struct thaw_text *text)
{
	const char *section = NULL, *comma = ""; /* the section whose map is open */
	int length = 0;

	for (const struct thaw_key *key = phase_keys; key < phase_keys + COUNT(phase_keys); key++) {
		const char *name = strchr(key->path, '.') + 1, *dot = strchr(name, '.');

		if (goes_without_saying(key, phase, job))
			continue;
		if (section && strncmp(section, name, (size_t)length) != 0) {
			thaw_text_add(text, "}");
			section = NULL;
		}
		thaw_text_add(text, "%s", comma);
		if (dot && !section) {
			section = name;
			length = (int)(dot - name) + 1;
			thaw_text_add(text, "%.*s: {", length - 1, name);
		}
		thaw_text_add(text, "%s: ", dot ? dot + 1 : name);
		key->type->print(key, phase, text);
		comma = ", ";
	}
	thaw_text_add(text, section ? "}" : "");
}

static void print_phases(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	const struct thaw_job *job = record;

	(void)key;
	for (const struct thaw_phase *phase = job->phases; phase < job->phases + job->phases_count; phase++) {
		thaw_text_add(text, "\n  - {");
		print_phase(phase, job, text);
		thaw_text_add(text, "}");
	}
}

static void describe_phases(const struct thaw_key *key, struct thaw_text *text)
{
	(void)key;
	thaw_text_add(text, "lists of 1 to %d {epochs, train, ...}", THAW_PHASES);
}

static const struct thaw_type phases_type = {read_phases, print_phases, describe_phases, true, true};
