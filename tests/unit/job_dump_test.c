/* The resolved dump, which must load back to the same bytes, the schema's table and the key reference. */
#define _POSIX_C_SOURCE 200809L /* open_memstream */
#include "jobs/job.h"

#include <float.h>

#include "base/random.h"
#include "base/text.h"
#include "jobs/schema.h"
#include "tests/test.h"

static struct thaw_job job; /* 100 KB are too many for a stack */

static void check_round_trip(int line, const struct thaw_job *before)
{
	static struct thaw_job after;
	struct thaw_text yaml = THAW_TEXT_EMPTY;

	memset(&after, 0x5A, sizeof after);
	if (thaw_job_dump(before, &yaml) || thaw_job_parse("d.yaml", yaml.data, yaml.length, NULL, 0, &after))
		TEST_FAIL("line %d: %s\n%s", line, thaw_fail_text(), yaml.data);
	else if (memcmp(before, &after, sizeof after) != 0)
		TEST_FAIL("line %d: the dump loads as another job:\n%s", line, yaml.data);
	thaw_text_release(&yaml);
}

static void test_dump(void)
{
	static const char given[] = "model: {arch: resnet18}\ndata: {train: t.h5, val: v.h5}\n";
	static const char *const sets[] = {
		"name=no",
		"runs=a \"b\" \\ \xC3\xA4: #'",
		"data.train=/d/train-*.h5",
		"data.val=*.h5",
		"optimizer.lr=1e-05",
		"optimizer.lr_scale={layer1: 0.1, fc: 2}",
		"phases=[{epochs: 1, train: fc, lr: 0.1}, {epochs: 1, train: [a, yes, 1]}, {epochs: 1, train: all, "
		"augment: {flip: 0}, batch: 4, restart: true, schedule: {kind: step, step: 7, gamma: 0.5, patience: 3}}]",
	};
	static const char want[] = "name: \"no\"\n"
							   "runs: \"a \\\"b\\\" \\\\ \xC3\xA4: #'\"\n"
							   "model:\n"
							   "  arch: resnet18\n"
							   "  weights: random\n"
							   "  weights_strict: true\n"
							   "data:\n"
							   "  train: /d/train-*.h5\n"
							   "  val: \"*.h5\"\n"
							   "  crop: 224\n"
							   "  threads: 2\n"
							   "  sampling: shuffle\n"
							   "device: auto\n"
							   "precision: fp32\n"
							   "tf32: false\n"
							   "loss_scale: 1024\n"
							   "fused_statistics: false\n"
							   "comm: auto\n"
							   "graphs: true\n"
							   "threads: 0\n"
							   "epochs: 3\n"
							   "batch: 32\n"
							   "replicas: 0\n"
							   "timeout: 600\n"
							   "max_skipped: 0\n"
							   "seed: 42\n"
							   "batchnorm: frozen\n"
							   "optimizer:\n"
							   "  kind: sgd\n"
							   "  lr: 1e-05\n"
							   "  momentum: 0.9\n"
							   "  nesterov: false\n"
							   "  momentum_of: gradients\n"
							   "  beta1: 0.9\n"
							   "  beta2: 0.999\n"
							   "  epsilon: 1e-08\n"
							   "  weight_decay: 0\n"
							   "  decay_norms: true\n"
							   "  clip: 0\n"
							   "  lr_scale: {layer1: 0.1, fc: 2}\n"
							   "loss:\n"
							   "  smoothing: 0\n"
							   "  class_weights: none\n"
							   "average:\n"
							   "  decay: 0\n"
							   "  warm_up: true\n"
							   "early_stopping:\n"
							   "  patience: 0\n"
							   "schedule:\n"
							   "  kind: constant\n"
							   "  warmup: 0\n"
							   "  warmup_start: 0.01\n"
							   "  step: 7\n"
							   "  milestones: [30, 60, 90]\n"
							   "  gamma: 0.1\n"
							   "  min: 0\n"
							   "  rise: 0.3\n"
							   "  div: 25\n"
							   "  final_div: 10000\n"
							   "  start: 0.01\n"
							   "  linear: false\n"
							   "  patience: 10\n"
							   "  cooldown: 0\n"
							   "  threshold: 0.0001\n"
							   "phases:\n"
							   "  - {epochs: 1, train: [fc], lr: 0.1}\n"
							   "  - {epochs: 1, train: [a, \"yes\", \"1\"]}\n"
							   "  - {epochs: 1, train: all, restart: true, batch: 4, "
							   "schedule: {kind: step, gamma: 0.5, patience: 3}, augment: {flip: 0}}\n"
							   "augment:\n"
							   "  crop: random_resized\n"
							   "  scale: [0.08, 1]\n"
							   "  ratio: [0.75, 1.3333333333333333]\n"
							   "  flip: 0.5\n"
							   "  rotation: 0\n"
							   "  brightness: 0\n"
							   "  contrast: 0\n"
							   "  saturation: 0\n"
							   "  hue: 0\n"
							   "  grey: 0\n"
							   "  blur: 0\n"
							   "  blur_sigma: [0.1, 2]\n"
							   "  erase: 0\n"
							   "  erase_scale: [0.02, 0.33]\n"
							   "  erase_ratio: [0.3, 3.3]\n"
							   "  mixup: 0\n"
							   "  cutmix: 0\n"
							   "checkpoint:\n"
							   "  metric: top1\n"
							   "  every: 1\n"
							   "  minutes: 10\n"
							   "  keep: 0\n"
							   "  signal: USR2\n";
	struct thaw_text yaml = THAW_TEXT_EMPTY;

	CHECK_OK(thaw_job_parse("j", given, strlen(given), sets, sizeof sets / sizeof *sets, &job));
	CHECK_OK(thaw_job_dump(&job, &yaml));
	CHECK_TEXT(yaml.data, want);
	thaw_text_release(&yaml);
	check_round_trip(__LINE__, &job);
}

/* A job without phases is dumped without, so that its resolved form still takes other epochs and another rate. */
static void test_dump_without_phases(void)
{
	static const char given[] = "name: n\nmodel: {arch: a}\ndata: {train: t, val: v}\nepochs: 3\n";
	static const char same[] = "phases: [{epochs: 3, train: all}]\n";
	static const char rated[] = "phases: [{epochs: 3, train: all, lr: 1}]\n";
	static const char *const set[] = {"epochs=2", "optimizer.lr=0.5"};
	struct thaw_text yaml = THAW_TEXT_EMPTY, with_phase = THAW_TEXT_EMPTY;

	CHECK_OK(thaw_job_parse("j", given, strlen(given), NULL, 0, &job));
	CHECK_OK(thaw_job_dump(&job, &yaml));
	CHECK(strstr(yaml.data, "\nepochs: 3\n") && !strstr(yaml.data, "phases"));
	check_round_trip(__LINE__, &job);
	CHECK_OK(thaw_job_parse("d.yaml", yaml.data, yaml.length, set, 2, &job));
	CHECK_INT(job.epochs, 2);
	CHECK_INT(job.phases_count, 1);
	CHECK_INT(job.phases[0].epochs, 2);
	CHECK_NEAR(job.phases[0].recipe.lr, 0.5, 0);

	thaw_text_add(&with_phase, "%s%s", given, same);
	CHECK_OK(thaw_job_parse("j", with_phase.data, with_phase.length, NULL, 0, &job));
	check_round_trip(__LINE__, &job);
	thaw_text_release(&with_phase);
	thaw_text_release(&yaml);
	thaw_text_add(&with_phase, "%s%s", given, rated);
	CHECK_OK(thaw_job_parse("j", with_phase.data, with_phase.length, NULL, 0, &job));
	CHECK_OK(thaw_job_dump(&job, &yaml));
	CHECK(strstr(yaml.data, "\n  - {epochs: 3, train: all, lr: 1}\n"));
	check_round_trip(__LINE__, &job);
	thaw_text_release(&with_phase);
	thaw_text_release(&yaml);
}

/* --- random jobs ------------------------------------------------------------------------------------------------- */

static struct thaw_random dice;

static int random_int(int low, int high)
{
	return low + (int)thaw_random_below(&dice, (uint32_t)(high - low) + 1);
}

/* Numbers of every size in [0, high]: plain ones, all bits random, the smallest of all. */
static double random_number(double high)
{
	static const double some[] = {0, 1, 0.1, 1.0 / 3.0, 1e-5, DBL_MIN, 4.9406564584124654e-324, DBL_EPSILON};
	uint64_t bits = (uint64_t)thaw_random_u32(&dice) << 32 | thaw_random_u32(&dice);
	double value;

	switch (thaw_random_below(&dice, 4)) {
	case 0:
		return some[thaw_random_below(&dice, sizeof some / sizeof *some)];
	case 1:
		return high;
	case 2:
		return thaw_random_between(&dice, 0, high);
	default:
		bits &= UINT64_C(0x7FFFFFFFFFFFFFFF);
		memcpy(&value, &bits, sizeof value);
		return value <= high ? value : thaw_random_between(&dice, 0, 1e-3);
	}
}

/* Above 0 and from `least` on, with low <= high. */
static void random_range(double range_out[2], double least, double high)
{
	double a = random_number(high), b = random_number(high);

	a = a > 0 && a >= least ? a : high;
	b = b > 0 && b >= least ? b : high;
	range_out[0] = a < b ? a : b;
	range_out[1] = a < b ? b : a;
}

static void random_word(char *out, size_t size_bytes)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
	static const char *const some[] = {"null", "Null", "~x",  "true", "no", "1e5", "-1",
	                                   "0x1",  "_",    "---", "yes",  "-",  "1_0"};
	const char *special = some[thaw_random_below(&dice, sizeof some / sizeof *some)];
	int length = random_int(1, (int)size_bytes - 1);

	if (random_int(0, 3) == 0 && special[0] != '~') {
		memcpy(out, special, strlen(special));
		return;
	}
	for (int i = 0; i < length; i++)
		out[i] = letters[thaw_random_below(&dice, sizeof letters - (i == 0 ? 2 : 1))];
	if (strcmp(out, "all") == 0)
		out[0] = 'b';
}

static void random_text(char *out, size_t size_bytes)
{
	static const char *const pieces[] = {
		"a",
		"Z",
		"/",
		".",
		" ",
		"*",
		"\"",
		"\\",
		"'",
		"#",
		": ",
		"- ",
		"{",
		"]",
		"&x",
		"!",
		"%",
		"@",
		"`",
		"|",
		">",
		"?",
		",",
		"~",
		"null",
		"0",
		"\\n",
		"$(x)",
		"<<",
		"\xC3\xA4",
		"\xE2\x82\xAC",
		"\xF0\x9F\x90\x9D",
		"\xC2\xA0",
	};
	size_t used = 0, want = (size_t)random_int(1, (int)size_bytes - 1);

	for (;;) {
		const char *piece = pieces[thaw_random_below(&dice, sizeof pieces / sizeof *pieces)];

		if (used + strlen(piece) > want && used > 0)
			return;
		memcpy(out + used, piece, strlen(piece));
		used += strlen(piece);
	}
}

static void random_recipe(struct thaw_recipe *r)
{
	memset(r, 0, sizeof *r);
	r->lr = random_number(1000);
	r->batch = random_int(1024, 1048576);
	strcpy(r->schedule.kind, random_int(0, 1) ? "constant" : "cosine");
	r->schedule.warmup = random_number(1000000);
	r->schedule.warmup_start = 1 - thaw_random_uniform(&dice);
	r->schedule.step = random_int(1, 1000000);
	r->schedule.milestones.count = random_int(1, THAW_PATTERNS);
	for (int i = 0; i < r->schedule.milestones.count; i++)
		r->schedule.milestones.epoch[i] = (i ? r->schedule.milestones.epoch[i - 1] : 0) + random_int(1, 30000);
	r->schedule.gamma = 1 - thaw_random_uniform(&dice);
	r->schedule.min = random_number(1);
	r->schedule.rise = random_number(1);
	r->schedule.div = 1 + random_number(1e8);
	r->schedule.final_div = 1 + random_number(1e8);
	r->schedule.start = 1 - thaw_random_uniform(&dice);
	r->schedule.linear = random_int(0, 1);
	r->schedule.patience = random_int(0, 1000000);
	r->schedule.cooldown = random_int(0, 1000000);
	r->schedule.threshold = 0.999 * thaw_random_uniform(&dice);
	strcpy(r->augment.crop, random_int(0, 1) ? "random_resized" : "center");
	random_range(r->augment.scale, 0, 1);
	random_range(r->augment.ratio, 0.01, 100);
	r->augment.flip = random_number(1);
	r->augment.rotation = random_number(180);
	r->augment.brightness = random_number(10);
	r->augment.contrast = random_number(10);
	r->augment.saturation = random_number(10);
	r->augment.hue = 0.5 * thaw_random_uniform(&dice);
	r->augment.grey = random_number(1);
	r->augment.blur = random_number(1);
	random_range(r->augment.blur_sigma, 0.01, 10);
	r->augment.erase = random_number(1);
	random_range(r->augment.erase_scale, 0, 1);
	random_range(r->augment.erase_ratio, 0.01, 100);
	r->augment.mixup = random_number(10);
	r->augment.cutmix = random_number(10);
}

/* The job's recipe, or parts of another, or another. */
static void random_phase_recipe(const struct thaw_recipe *of_job, struct thaw_recipe *r)
{
	struct thaw_recipe other;

	random_recipe(&other);
	memcpy(r, of_job, sizeof *r);
	if (random_int(0, 1))
		r->lr = other.lr;
	if (random_int(0, 3) == 0)
		r->batch = other.batch;
	if (random_int(0, 3) == 0)
		memcpy(&r->schedule, &other.schedule, sizeof r->schedule);
	if (random_int(0, 3) == 0)
		r->augment.flip = other.augment.flip;
	if (random_int(0, 3) == 0)
		memcpy(&r->augment, &other.augment, sizeof r->augment);
}

static void random_phases(struct thaw_job *j)
{
	j->phases_count = random_int(1, random_int(0, 9) ? 5 : THAW_PHASES);
	for (struct thaw_phase *phase = j->phases; phase < j->phases + j->phases_count; phase++) {
		phase->epochs = random_int(1, 1000000 / THAW_PHASES);
		j->epochs += phase->epochs;
		phase->restart = random_int(0, 1);
		random_phase_recipe(&j->recipe, &phase->recipe);
		phase->train.count = random_int(1, random_int(0, 9) ? 3 : 8);
		for (int i = 0; i < phase->train.count; i++)
			random_word(phase->train.text[i], sizeof phase->train.text[i]);
		if (phase->train.count == 1 && random_int(0, 1)) {
			memset(phase->train.text[0], 0, sizeof phase->train.text[0]);
			memcpy(phase->train.text[0], "all", 3);
		}
	}
}

/* Made field by field, knowing nothing of the schema. */
static void random_job(struct thaw_job *j)
{
	static const char *const devices[] = {"auto", "cuda", "cpu", "reference"}, *const numbers[] = {"fp32", "bf16", "fp16"},
							 *const sums[] = {"auto", "nccl", "mpi"};

	memset(j, 0, sizeof *j);
	random_word(j->name, sizeof j->name);
	random_text(j->runs, sizeof j->runs);
	random_word(j->model.arch, sizeof j->model.arch);
	random_text(j->model.weights, sizeof j->model.weights);
	j->model.weights_strict = random_int(0, 1);
	random_text(j->data.train, sizeof j->data.train);
	random_text(j->data.val, sizeof j->data.val);
	j->data.crop = random_int(1, 4096);
	j->data.threads = random_int(1, 256);
	strcpy(j->device, devices[random_int(0, 3)]);
	strcpy(j->precision, numbers[random_int(0, 2)]);
	j->tf32 = random_int(0, 1);
	j->loss_scale = random_int(1, 16777216);
	j->fused_statistics = random_int(0, 1);
	strcpy(j->comm, sums[random_int(0, 2)]);
	j->graphs = random_int(0, 1);
	j->threads = random_int(0, 1024);
	random_recipe(&j->recipe);
	j->replicas = random_int(0, 1024);
	j->timeout = random_int(0, 1000000);
	j->seed = (uint64_t)thaw_random_u32(&dice) << 32 | thaw_random_u32(&dice);
	strcpy(j->batchnorm, random_int(0, 1) ? "frozen" : "train");
	strcpy(j->optimizer.kind, random_int(0, 1) ? "sgd" : "adamw");
	j->optimizer.nesterov = random_int(0, 1);
	strcpy(j->optimizer.momentum_of, random_int(0, 1) ? "gradients" : "steps");
	j->optimizer.beta1 = 0.999999 * thaw_random_uniform(&dice);
	j->optimizer.beta2 = 0.999999 * thaw_random_uniform(&dice);
	j->optimizer.epsilon = 1 - thaw_random_uniform(&dice);
	j->optimizer.clip = random_number(1e9);
	j->optimizer.lr_scale.count = random_int(0, random_int(0, 9) ? 3 : 8);
	for (int i = 0; i < j->optimizer.lr_scale.count; i++) {
		random_word(j->optimizer.lr_scale.of[i].part, sizeof j->optimizer.lr_scale.of[i].part - 1);
		j->optimizer.lr_scale.of[i].part[46] = '\0';
		j->optimizer.lr_scale.of[i].factor = random_number(1000);
		for (int k = 0; k < i; k++) /* no part twice */
			if (strcmp(j->optimizer.lr_scale.of[i].part, j->optimizer.lr_scale.of[k].part) == 0) {
				memset(&j->optimizer.lr_scale.of[i], 0, sizeof j->optimizer.lr_scale.of[i]);
				j->optimizer.lr_scale.count = i--;
				break;
			}
	}
	j->loss.smoothing = 0.999 * thaw_random_uniform(&dice);
	strcpy(j->loss.class_weights, random_int(0, 1) ? "none" : "balanced");
	j->average.decay = 0.999 * thaw_random_uniform(&dice);
	j->average.warm_up = random_int(0, 1);
	j->early_stopping.patience = random_int(0, 1000000);
	j->max_skipped = random_int(0, 1000000);
	strcpy(j->data.sampling, random_int(0, 1) ? "shuffle" : "balanced");
	j->optimizer.momentum = 0.999 * thaw_random_uniform(&dice);
	j->optimizer.weight_decay = random_number(1000);
	j->optimizer.decay_norms = random_int(0, 1);
	random_phases(j);
	strcpy(j->checkpoint.metric, random_int(0, 1) ? "top1" : "loss");
	j->checkpoint.every = random_int(1, 1000000);
	j->checkpoint.minutes = random_number(1e6);
	j->checkpoint.keep = random_int(0, 1000000);
	strcpy(j->checkpoint.signal, random_int(0, 1) ? "USR1" : "USR2");
}

static void test_random_jobs_round_trip(void)
{
	thaw_random_init(&dice, 1, THAW_RANDOM_TEST, 0, 0);
	for (int i = 0; i < 3000 && test_failures == 0; i++) {
		random_job(&job);
		check_round_trip(__LINE__, &job);
	}
}

/* --- the table, the reference, files ----------------------------------------------------------------------------- */

static void test_table(void)
{
	for (int i = 0; i < thaw_job_schema.count; i++) {
		const struct thaw_key *key = &thaw_job_schema.keys[i];

		CHECK(key->meaning && key->path);
		CHECK(!(key->fallback && key->derived));
		CHECK(thaw_schema_find(&thaw_job_schema, key->path) == key); /* no path twice */
		CHECK(key->offset + key->size_bytes <= sizeof job);
		for (const char *const *choice = key->choices; choice && *choice; choice++)
			CHECK(strlen(*choice) < key->size_bytes);
	}
	CHECK(!thaw_schema_find(&thaw_job_schema, "optimizer"));
}

static void test_reference(void)
{
	char *text = NULL, *line, *rest = NULL;
	size_t length, keys = 0, inherited = 0;
	FILE *file = open_memstream(&text, &length);

	if (!file) {
		TEST_FAIL("no memory");
		return;
	}
	thaw_job_print_keys(file);
	fclose(file);
	CHECK(strstr(text, "\n  optimizer.lr              base learning rate (0.001)\n"
	                   "                            numbers, 0 to 1000\n"));
	CHECK(strstr(text, ": data/train-*.h5 (required)\n                            1 to 255 bytes of text\n"));
	CHECK(strstr(text, "\n  phases.lr                 base learning rate of the phase (optimizer.lr)\n"));
	CHECK(strstr(text, "as above: what it does not say of them is the\njob's."));
	for (int i = 0; i < thaw_phase_schema.count; i++) { /* said or spared, never forgotten */
		const struct thaw_key *key = &thaw_phase_schema.keys[i];
		bool spared = key->derived && strcmp(strchr(key->path, '.') + 1, key->derived) == 0;

		CHECK(spared == !strstr(text, key->path));
		inherited += spared;
	}
	CHECK(strstr(text, "\nPaths are relative to the folder that the command is run in.\n"));
	CHECK(strstr(text, "\n                            up to 63 of A-Za-z0-9._- (no dot first)\n"));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		CHECK(strlen(line) <= 130);
		if (line[0] != ' ')
			continue;
		CHECK((line[2] == ' ') == (keys++ % 2 == 1) && line[27] == ' ' && line[28] != ' '); /* columns */
		CHECK(line[2] == ' ' || line[strlen(line) - 1] == ')');
	}
	CHECK_INT(keys, 2 * (thaw_job_schema.count + thaw_phase_schema.count - inherited));
	free(text);
}

int main(void)
{
	test_dump();
	test_dump_without_phases();
	test_random_jobs_round_trip();
	test_table();
	test_reference();
	return TEST_END();
}
