/*
 * Reading job files: every key, every refusal with its place, --set, and the examples.
 * Argument: the repository's root.
 */
#define _POSIX_C_SOURCE 200809L /* mkdtemp */
#include "jobs/job.h"

#include <unistd.h>

#include "tests/test.h"

static struct thaw_job job; /* of the last successful parse; 100 KB are too many for a stack */

#define NEEDED "model: {arch: resnet18}\ndata: {train: t.h5, val: v.h5}\n"

static thaw_status parse(const char *yaml, const char *set)
{
	const char *const sets[] = {set};

	return thaw_job_parse("dir/job.yaml", yaml, strlen(yaml), sets, set ? 1 : 0, &job);
}

/* `yaml`, on the line after the needed keys (line 3), is refused with exactly these words. */
#define CHECK_REFUSED(yaml, words) check_refused(__LINE__, NEEDED yaml, NULL, "dir/job.yaml:" words)
#define CHECK_SET_REFUSED(set, words) check_refused(__LINE__, NEEDED, set, "--set " words)

static void check_refused(int line, const char *yaml, const char *set, const char *words)
{
	thaw_status status;

	memset(&job, 0x5A, sizeof job);
	status = parse(yaml, set);
	if (status != THAW_BAD_JOB || strcmp(thaw_fail_text(), words) != 0)
		TEST_FAIL("line %d: status %d, '%s', want '%s'", line, (int)status, thaw_fail_text(), words);
	for (size_t i = 0; i < sizeof job; i++) /* outputs are written only on success */
		if (((unsigned char *)&job)[i] != 0x5A) {
			TEST_FAIL("line %d: the job was written", line);
			return;
		}
}

static void test_every_key(void)
{
	static const char yaml[] =
		"name: n_1.x-2\nruns: some where\nmodel: {arch: resnet50}\n"
		"data: {train: a-*.h5, val: b-*.h5, crop: 96, threads: 3, sampling: balanced}\n"
		"device: reference\nprecision: bf16\ntf32: true\nloss_scale: 128\nfused_statistics: true\ncomm: mpi\ngraphs: false\n"
		"threads: 4\nepochs: 5\nbatch: 48\nreplicas: 6\ntimeout: 77\n"
		"seed: 18446744073709551615\nbatchnorm: train\n"
		"max_skipped: 3\n"
		"optimizer: {kind: adamw, lr: 2.5e-2, momentum: .5, weight_decay: 1E-4, decay_norms: false, nesterov: true,\n"
		" momentum_of: steps, beta1: 0.8, beta2: 0.99, epsilon: 1e-6, clip: 2, lr_scale: {layer1: 0.1, layer4.1: 3}}\n"
		"loss: {smoothing: 0.1, class_weights: balanced}\naverage: {decay: 0.9998, warm_up: false}\n"
		"early_stopping: {patience: 4}\n"
		"schedule: {kind: step, step: 8, gamma: +0.25, warmup: 1.5, warmup_start: 0.5, milestones: [3, 5], min: 0.2,\n"
		" rise: 0.4, div: 10, final_div: 100, start: 0.3, linear: true, patience: 2, cooldown: 6, threshold: 0.01}\n"
		"phases: [{epochs: 2, train: fc}, {train: [layer4.1, fc], lr: 5., epochs: 3}]\n"
		"augment: {crop: center, scale: [0.5, 0.75], ratio: [1, 2], flip: 0, rotation: 30,\n"
		" brightness: 0.1, contrast: 0.2, saturation: 0.3, hue: 0.05, grey: 0.4, blur: 0.6, blur_sigma: [1, 3],\n"
		" erase: 0.7, erase_scale: [0.1, 0.2], erase_ratio: [1, 4], mixup: 0.8, cutmix: 0.9}\n"
		"checkpoint: {metric: loss, every: 9, minutes: 0.5, keep: 2, signal: USR1}\n";

	CHECK_OK(parse(yaml, NULL));
	CHECK_TEXT(job.name, "n_1.x-2");
	CHECK_TEXT(job.runs, "some where");
	CHECK_TEXT(job.model.arch, "resnet50");
	CHECK_TEXT(job.data.train, "a-*.h5");
	CHECK_TEXT(job.data.val, "b-*.h5");
	CHECK_INT(job.data.crop, 96);
	CHECK_INT(job.data.threads, 3);
	CHECK_TEXT(job.device, "reference");
	CHECK_TEXT(job.precision, "bf16");
	CHECK(job.tf32 && !job.graphs && job.loss_scale == 128 && job.fused_statistics);
	CHECK_TEXT(job.comm, "mpi");
	CHECK_INT(job.threads, 4);
	CHECK_INT(job.epochs, 5);
	CHECK_INT(job.recipe.batch, 48);
	CHECK_INT(job.replicas, 6);
	CHECK_INT(job.timeout, 77);
	CHECK(job.seed == UINT64_MAX);
	CHECK_TEXT(job.batchnorm, "train");
	CHECK_TEXT(job.data.sampling, "balanced");
	CHECK_INT(job.max_skipped, 3);
	CHECK_TEXT(job.optimizer.kind, "adamw");
	CHECK(job.optimizer.nesterov);
	CHECK_TEXT(job.optimizer.momentum_of, "steps");
	CHECK_NEAR(job.optimizer.beta1, 0.8, 0);
	CHECK_NEAR(job.optimizer.beta2, 0.99, 0);
	CHECK_NEAR(job.optimizer.epsilon, 1e-6, 0);
	CHECK_NEAR(job.optimizer.clip, 2, 0);
	CHECK_INT(job.optimizer.lr_scale.count, 2);
	CHECK_TEXT(job.optimizer.lr_scale.of[0].part, "layer1");
	CHECK_NEAR(job.optimizer.lr_scale.of[0].factor, 0.1, 0);
	CHECK_TEXT(job.optimizer.lr_scale.of[1].part, "layer4.1");
	CHECK_NEAR(job.optimizer.lr_scale.of[1].factor, 3, 0);
	CHECK_NEAR(job.loss.smoothing, 0.1, 0);
	CHECK_TEXT(job.loss.class_weights, "balanced");
	CHECK_INT(job.early_stopping.patience, 4);
	CHECK_NEAR(job.recipe.lr, 0.025, 0);
	CHECK_NEAR(job.optimizer.momentum, 0.5, 0);
	CHECK_NEAR(job.optimizer.weight_decay, 0.0001, 0);
	CHECK(!job.optimizer.decay_norms);
	CHECK_TEXT(job.recipe.schedule.kind, "step");
	CHECK_INT(job.recipe.schedule.step, 8);
	CHECK_NEAR(job.recipe.schedule.gamma, 0.25, 0);
	CHECK_NEAR(job.recipe.schedule.warmup, 1.5, 0);
	CHECK_NEAR(job.recipe.schedule.warmup_start, 0.5, 0);
	CHECK_INT(job.recipe.schedule.milestones.count, 2);
	CHECK_INT(job.recipe.schedule.milestones.epoch[0], 3);
	CHECK_INT(job.recipe.schedule.milestones.epoch[1], 5);
	CHECK_NEAR(job.recipe.schedule.min, 0.2, 0);
	CHECK_NEAR(job.recipe.schedule.rise, 0.4, 0);
	CHECK_NEAR(job.recipe.schedule.div, 10, 0);
	CHECK_NEAR(job.recipe.schedule.final_div, 100, 0);
	CHECK_NEAR(job.recipe.schedule.start, 0.3, 0);
	CHECK(job.recipe.schedule.linear);
	CHECK_INT(job.recipe.schedule.patience, 2);
	CHECK_INT(job.recipe.schedule.cooldown, 6);
	CHECK_NEAR(job.recipe.schedule.threshold, 0.01, 0);
	CHECK_NEAR(job.average.decay, 0.9998, 0);
	CHECK(!job.average.warm_up);
	CHECK_INT(job.phases_count, 2);
	CHECK_INT(job.phases[0].epochs, 2);
	CHECK_INT(job.phases[0].train.count, 1);
	CHECK_TEXT(job.phases[0].train.text[0], "fc");
	CHECK_NEAR(job.phases[0].recipe.lr, 0.025, 0);
	CHECK_INT(job.phases[1].epochs, 3);
	CHECK_INT(job.phases[1].train.count, 2);
	CHECK_TEXT(job.phases[1].train.text[0], "layer4.1");
	CHECK_TEXT(job.phases[1].train.text[1], "fc");
	CHECK_NEAR(job.phases[1].recipe.lr, 5, 0);
	CHECK_TEXT(job.recipe.augment.crop, "center");
	CHECK_NEAR(job.recipe.augment.scale[0], 0.5, 0);
	CHECK_NEAR(job.recipe.augment.scale[1], 0.75, 0);
	CHECK_NEAR(job.recipe.augment.ratio[0], 1, 0);
	CHECK_NEAR(job.recipe.augment.ratio[1], 2, 0);
	CHECK_NEAR(job.recipe.augment.flip, 0, 0);
	CHECK_NEAR(job.recipe.augment.rotation, 30, 0);
	CHECK_NEAR(job.recipe.augment.brightness, 0.1, 0);
	CHECK_NEAR(job.recipe.augment.contrast, 0.2, 0);
	CHECK_NEAR(job.recipe.augment.saturation, 0.3, 0);
	CHECK_NEAR(job.recipe.augment.hue, 0.05, 0);
	CHECK_NEAR(job.recipe.augment.grey, 0.4, 0);
	CHECK_NEAR(job.recipe.augment.blur, 0.6, 0);
	CHECK_NEAR(job.recipe.augment.blur_sigma[1], 3, 0);
	CHECK_NEAR(job.recipe.augment.erase, 0.7, 0);
	CHECK_NEAR(job.recipe.augment.erase_scale[0], 0.1, 0);
	CHECK_NEAR(job.recipe.augment.erase_ratio[1], 4, 0);
	CHECK_NEAR(job.recipe.augment.mixup, 0.8, 0);
	CHECK_NEAR(job.recipe.augment.cutmix, 0.9, 0);
	CHECK_TEXT(job.checkpoint.metric, "loss");
	CHECK_INT(job.checkpoint.every, 9);
	CHECK_NEAR(job.checkpoint.minutes, 0.5, 0);
	CHECK_INT(job.checkpoint.keep, 2);
	CHECK_TEXT(job.checkpoint.signal, "USR1");
}

/* PyTorch's: RandomResizedCrop scale (0.08, 1), ratio (3/4, 4/3); StepLR(7, 0.1) and SGD(1e-3, 0.9) of its tutorial. */
static void test_defaults(void)
{
	CHECK_OK(parse(NEEDED, NULL));
	CHECK_TEXT(job.name, "job");
	CHECK_TEXT(job.runs, "runs");
	CHECK_INT(job.data.crop, 224);
	CHECK_INT(job.data.threads, 2);
	CHECK_TEXT(job.device, "auto");
	CHECK_TEXT(job.precision, "fp32");
	CHECK(!job.tf32 && job.graphs && job.loss_scale == 1024 && !job.fused_statistics);
	CHECK_TEXT(job.comm, "auto");
	CHECK_INT(job.threads, 0);
	CHECK_INT(job.epochs, 10);
	CHECK_INT(job.recipe.batch, 32);
	CHECK_INT(job.replicas, 0);
	CHECK_INT(job.timeout, 600);
	CHECK_INT(job.seed, 42);
	CHECK_TEXT(job.batchnorm, "frozen");
	CHECK_TEXT(job.optimizer.kind, "sgd");
	CHECK_NEAR(job.recipe.lr, 1e-3, 0);
	CHECK_NEAR(job.optimizer.momentum, 0.9, 0);
	CHECK_NEAR(job.optimizer.weight_decay, 0, 0);
	CHECK(job.optimizer.decay_norms);
	CHECK(!job.optimizer.nesterov);
	CHECK_TEXT(job.optimizer.momentum_of, "gradients");
	CHECK_NEAR(job.optimizer.beta1, 0.9, 0);
	CHECK_NEAR(job.optimizer.beta2, 0.999, 0);
	CHECK_NEAR(job.optimizer.epsilon, 1e-8, 0);
	CHECK_NEAR(job.optimizer.clip, 0, 0);
	CHECK_INT(job.optimizer.lr_scale.count, 0);
	CHECK_NEAR(job.loss.smoothing, 0, 0);
	CHECK_TEXT(job.loss.class_weights, "none");
	CHECK_INT(job.early_stopping.patience, 0);
	CHECK_INT(job.max_skipped, 0);
	CHECK_NEAR(job.average.decay, 0, 0);
	CHECK(job.average.warm_up);
	CHECK_NEAR(job.recipe.schedule.warmup, 0, 0);
	CHECK_INT(job.recipe.schedule.patience, 10); /* those of ReduceLROnPlateau */
	CHECK_INT(job.recipe.schedule.cooldown, 0);
	CHECK_NEAR(job.recipe.schedule.threshold, 1e-4, 0);
	CHECK_NEAR(job.recipe.schedule.rise, 0.3, 0);
	CHECK_NEAR(job.recipe.schedule.div, 25, 0);
	CHECK_NEAR(job.recipe.schedule.final_div, 1e4, 0);
	CHECK_TEXT(job.recipe.schedule.kind, "constant");
	CHECK_INT(job.recipe.schedule.step, 7);
	CHECK_NEAR(job.recipe.schedule.gamma, 0.1, 0);
	CHECK_INT(job.phases_count, 1);
	CHECK_INT(job.phases[0].epochs, 10);
	CHECK_INT(job.phases[0].train.count, 1);
	CHECK_TEXT(job.phases[0].train.text[0], "all");
	CHECK_NEAR(job.phases[0].recipe.lr, 1e-3, 0);
	CHECK_TEXT(job.recipe.augment.crop, "random_resized");
	CHECK_NEAR(job.recipe.augment.scale[0], 0.08, 0);
	CHECK_NEAR(job.recipe.augment.scale[1], 1, 0);
	CHECK_NEAR(job.recipe.augment.ratio[0], 3.0 / 4.0, 0);
	CHECK_NEAR(job.recipe.augment.ratio[1], 4.0 / 3.0, 0);
	CHECK_NEAR(job.recipe.augment.flip, 0.5, 0);
	CHECK_TEXT(job.checkpoint.metric, "top1");
	CHECK_INT(job.checkpoint.every, 1);
	CHECK_NEAR(job.checkpoint.minutes, 10, 0);
	CHECK_INT(job.checkpoint.keep, 0);
	CHECK_TEXT(job.checkpoint.signal, "USR2");
}

static void test_unknown_keys(void)
{
	CHECK_REFUSED("optimzer:\n  lr: 1\n", "4:3: unknown key 'optimzer.lr', did you mean 'optimizer.lr'");
	CHECK_REFUSED("optimizer: {momentun: 1}\n",
	              "3:13: unknown key 'optimizer.momentun', did you mean 'optimizer.momentum'");
	CHECK_REFUSED("bacth: 1\n", "3:1: unknown key 'bacth', did you mean 'batch'");
	CHECK_REFUSED("sede: 1\n", "3:1: unknown key 'sede', did you mean 'seed'");
	CHECK_REFUSED("lr: 1\n", "3:1: unknown key 'lr', did you mean 'optimizer.lr'");
	CHECK_REFUSED("optimzer: sgd\n", "3:1: unknown key 'optimzer', did you mean 'optimizer'");
	CHECK_REFUSED("weather: {}\n", "3:1: unknown key 'weather', 'thaw help job' lists all");
	CHECK_REFUSED("x: {y: {z: [1]}}\n", "3:9: unknown key 'x.y.z', 'thaw help job' lists all");
	CHECK_REFUSED("<<: {batch: 1}\n", "3:6: unknown key '<<.batch', did you mean 'batch'");
	CHECK_REFUSED("'': 1\n", "3:1: unknown key '', 'thaw help job' lists all");
	CHECK_REFUSED("\"\\e[1m\": 1\n", "3:1: unknown key '?[1m', 'thaw help job' lists all");
	CHECK_REFUSED("optimizer.lr: 1\n", "3:1: key 'optimizer.lr': in a file it is 'optimizer: {lr: ...}'");
	CHECK_REFUSED("optimizer: {lr.x: 1}\n", "3:13: unknown key 'optimizer.lr.x', did you mean 'optimizer.lr'");
	CHECK_REFUSED("phases:\n- train: fc\n  epohcs: 2\n",
	              "5:3: unknown key 'phases.epohcs', did you mean 'phases.epochs'");
	CHECK_REFUSED("phases: [{train: fc, epochs: 1, weather: {y: 1}}]\n",
	              "3:43: unknown key 'phases.weather.y', 'thaw help job' lists all");
	CHECK_REFUSED("batch: 1\nbatch: 2\n", "4:1: key 'batch' stands here twice");
}

static void test_missing_and_wrong_kinds(void)
{
	check_refused(__LINE__, "data: {train: t, val: v}\n", NULL,
	              "dir/job.yaml:1:1: model.arch: missing: architecture, such as resnet18");
	check_refused(__LINE__, "model: {arch: a}\ndata: {val: v}\n", NULL,
	              "dir/job.yaml:1:1: data.train: missing: shards to train on: data/train-*.h5");
	check_refused(__LINE__, "model: {arch: a}\ndata: {train: v}\n", NULL,
	              "dir/job.yaml:1:1: data.val: missing: shards to validate on");
	check_refused(__LINE__, "[1, 2]\n", NULL, "dir/job.yaml:1:1: not a job, wanted is a map of keys");
	check_refused(__LINE__, "", NULL, "dir/job.yaml:1:1: empty");
	CHECK_REFUSED("optimizer: sgd\n", "3:1: optimizer: a section, wanted are its keys");
	CHECK_REFUSED("optimizer:\nlr: 1\n", "3:1: optimizer: a section, wanted are its keys");
	CHECK_REFUSED("batch: [1]\n", "3:8: batch: a list, allowed are whole numbers, 1 to 1048576");
	CHECK_REFUSED("batch: {x: 1}\n", "3:8: batch: a map, allowed are whole numbers, 1 to 1048576");
	CHECK_REFUSED("batch:\n", "3:7: batch: no value, allowed are whole numbers, 1 to 1048576");
	CHECK_REFUSED("batch: ~\n", "3:8: batch: no value, allowed are whole numbers, 1 to 1048576");
	CHECK_OK(parse(NEEDED "optimizer: {}\n", NULL)); /* a section with nothing in it */
}

static void test_numbers(void)
{
	static const char *const not_whole[] = {"many", "1.5", "1e3",  "0x10", "0o17", "010", "1_000", "1,0",
	                                        "--1",  "+",   ".inf", "nan",  "no",   "1 0", "12abc"};
	static const char *const not_numbers[] = {"x",     ".",     "1e",  "1e+", "e5",    "0x1p-3", ".inf",
	                                          "-.inf", ".nan",  "nan", "inf", "1_0",   "01.5",   "1.2.3",
	                                          "--1",   "1e5.5", "1d5", "yes", "1e-999"};
	char yaml[200], words[200];

	for (size_t i = 0; i < sizeof not_whole / sizeof *not_whole; i++) {
		snprintf(yaml, sizeof yaml, NEEDED "epochs: %s\n", not_whole[i]);
		snprintf(words, sizeof words, "dir/job.yaml:3:9: epochs: '%s', allowed are whole numbers, 1 to 1000000",
		         not_whole[i]);
		check_refused(__LINE__, yaml, NULL, words);
	}
	for (size_t i = 0; i < sizeof not_numbers / sizeof *not_numbers; i++) {
		snprintf(yaml, sizeof yaml, NEEDED "optimizer: {lr: %s}\n", not_numbers[i]);
		snprintf(words, sizeof words, "dir/job.yaml:3:17: optimizer.lr: '%s', allowed are numbers, 0 to 1000",
		         not_numbers[i]);
		check_refused(__LINE__, yaml, NULL, words);
	}
	CHECK_REFUSED("epochs: \"9\"\n", "3:9: epochs: '\"9\"', allowed are whole numbers, 1 to 1000000");
	CHECK_REFUSED("optimizer: {lr: '1'}\n", "3:17: optimizer.lr: '\"1\"', allowed are numbers, 0 to 1000");
	CHECK_REFUSED("epochs: |\n  9\n", "3:9: epochs: '\"9?\"', allowed are whole numbers, 1 to 1000000");
	CHECK_REFUSED("optimizer: {lr: 1e999}\n", "3:17: optimizer.lr: 1e999, allowed are 0 to 1000");
	CHECK_REFUSED("seed: -1\n", "3:7: seed: '-1', allowed are whole numbers, 0 to 18446744073709551615");
	CHECK_REFUSED("seed: 18446744073709551616\n",
	              "3:7: seed: '18446744073709551616', allowed are whole numbers, 0 to 18446744073709551615");
	CHECK_REFUSED("seed: 1.0\n", "3:7: seed: '1.0', allowed are whole numbers, 0 to 18446744073709551615");
	CHECK_OK(parse(NEEDED "optimizer: {lr: -0}\n", NULL));
	CHECK(!signbit(job.recipe.lr));
}

/* One beyond each bound, and each bound itself. */
static void test_bounds(void)
{
	static const struct {
		const char *path, *low, *below, *high, *above, *allowed;
	} bounds[] = {
		{"data.crop", "1", "0", "4096", "4097", "1 to 4096 pixels"},
		{"data.threads", "1", "0", "256", "257", "1 to 256"},
		{"threads", "0", "-1", "1024", "1025", "0 to 1024"},
		{"epochs", "1", "0", "1000000", "1000001", "1 to 1000000"},
		{"batch", "1", "0", "1048576", "1048577", "1 to 1048576"},
		{"batch", "1", "-99999999999999999999", "1048576", "99999999999999999999", "1 to 1048576"},
		{"replicas", "0", "-1", "32", "1025", "0 to 1024"},
		{"optimizer.lr", "0", "-1e-9", "1000", "1000.001", "0 to 1000"},
		{"optimizer.momentum", "0", "-0.1", "0.999999", "1", "0 to 0.999999"},
		{"optimizer.weight_decay", "0", "-1", "1e3", "1e4", "0 to 1000"},
		{"schedule.step", "1", "0", "1000000", "1000001", "1 to 1000000 epochs"},
		{"schedule.gamma", "1e-300", "0", "1", "1.5", "above 0, up to 1"},
		{"schedule.patience", "0", "-1", "1000000", "1000001", "0 to 1000000 epochs"},
		{"schedule.cooldown", "0", "-1", "1000000", "1000001", "0 to 1000000 epochs"},
		{"schedule.threshold", "0", "-0.1", "0.999999", "1", "0 to 0.999999"},
		{"average.decay", "0", "-0.1", "0.999999", "1", "0 to 0.999999"},
		{"augment.flip", "0", "-0.5", "1.0", "2", "0 to 1"},
		{"checkpoint.every", "1", "0", "1000000", "1000001", "1 to 1000000 epochs"},
	};
	char set[100], words[200];

	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		snprintf(set, sizeof set, "%s=%s", bounds[i].path, bounds[i].low);
		CHECK_OK(parse(NEEDED, set));
		snprintf(set, sizeof set, "%s=%s", bounds[i].path, bounds[i].high);
		CHECK_OK(parse(NEEDED, set));
		snprintf(set, sizeof set, "%s=%s", bounds[i].path, bounds[i].below);
		snprintf(words, sizeof words, "--set %s: %s, allowed are %s", bounds[i].path, bounds[i].below,
		         bounds[i].allowed);
		check_refused(__LINE__, NEEDED, set, words);
		snprintf(set, sizeof set, "%s=%s", bounds[i].path, bounds[i].above);
		snprintf(words, sizeof words, "--set %s: %s, allowed are %s", bounds[i].path, bounds[i].above,
		         bounds[i].allowed);
		check_refused(__LINE__, NEEDED, set, words);
	}
	CHECK_REFUSED("data: {crop: 0}\n", "3:1: key 'data' stands here twice");
	CHECK_REFUSED("batch:     0\n", "3:12: batch: 0, allowed are 1 to 1048576");
}

static void test_ranges(void)
{
	CHECK_REFUSED("augment: {scale: 1}\n", "3:18: augment.scale: '1', allowed are [low, high], above 0, up to 1");
	CHECK_REFUSED("augment: {scale: [1]}\n", "3:18: augment.scale: wanted are two numbers, [low, high]");
	CHECK_REFUSED("augment: {scale: []}\n", "3:18: augment.scale: wanted are two numbers, [low, high]");
	CHECK_REFUSED("augment: {scale: [.1, .2, .3]}\n", "3:18: augment.scale: wanted are two numbers, [low, high]");
	CHECK_REFUSED("augment: {scale: [0, 1]}\n", "3:19: augment.scale: 0, allowed are above 0, up to 1");
	CHECK_REFUSED("augment: {scale: [0.5, 1.5]}\n", "3:24: augment.scale: 1.5, allowed are above 0, up to 1");
	CHECK_REFUSED("augment: {scale: [0.5, .nan]}\n",
	              "3:24: augment.scale: '.nan', allowed are [low, high], above 0, up to 1");
	CHECK_REFUSED("augment: {scale: [[1], 1]}\n",
	              "3:19: augment.scale: a list, allowed are [low, high], above 0, up to 1");
	CHECK_REFUSED("augment: {scale: [0.5, 0.25]}\n", "3:18: augment.scale: low end 0.5 lies above high end 0.25");
	CHECK_REFUSED("augment: {ratio: [1, 101]}\n", "3:22: augment.ratio: 101, allowed are 0.01 to 100");
	CHECK_REFUSED("augment: {ratio: [1e-300, 1]}\n", "3:19: augment.ratio: 1e-300, allowed are 0.01 to 100");
	CHECK_OK(parse(NEEDED "augment: {ratio: [0.01, 100]}\n", NULL));
	CHECK_OK(parse(NEEDED "augment: {scale: [1, 1]}\n", NULL));
}

static void test_texts_and_choices(void)
{
	static const char word[] = "allowed are up to 63 of A-Za-z0-9._- (no dot first)";
	char yaml[700], words[200];

	CHECK_REFUSED("optimizer: {decay_norms: no}\n", "3:26: optimizer.decay_norms: 'no', allowed are true, false");
	CHECK_REFUSED("optimizer: {decay_norms: 1}\n", "3:26: optimizer.decay_norms: '1', allowed are true, false");
	CHECK_REFUSED("optimizer: {decay_norms: 'true'}\n",
	              "3:26: optimizer.decay_norms: '\"true\"', allowed are true, false");
	CHECK_REFUSED("optimizer: {decay_norms: [true]}\n", "3:26: optimizer.decay_norms: a list, allowed are true, false");
	CHECK_REFUSED("device: gpu\n", "3:9: device: 'gpu', allowed are auto, cuda, cpu, reference");
	CHECK_REFUSED("device: CPU\n", "3:9: device: 'CPU', allowed are auto, cuda, cpu, reference");
	CHECK_REFUSED("device: {}\n", "3:9: device: a map, allowed are auto, cuda, cpu, reference");
	CHECK_REFUSED("precision: fp8\n", "3:12: precision: 'fp8', allowed are fp32, bf16, fp16");
	CHECK_REFUSED("batchnorm: none\n", "3:12: batchnorm: 'none', allowed are frozen, train");
	CHECK_REFUSED("optimizer: {kind: adm}\n", "3:19: optimizer.kind: 'adm', allowed are sgd, adam, adamw");
	CHECK_REFUSED("optimizer: {lr_scale: 2}\n",
	              "3:23: optimizer.lr_scale: '2', allowed are maps of parts to factors, 0 to 1000");
	CHECK_REFUSED("optimizer: {lr_scale: {fc: -1}}\n", "3:28: optimizer.lr_scale: -1, allowed are 0 to 1000");
	CHECK_REFUSED("optimizer: {lr_scale: {a/b: 1}}\n",
	              "3:24: optimizer.lr_scale: '\"a/b\"', allowed are maps of parts to factors, 0 to 1000");
	CHECK_REFUSED("schedule: {milestones: 3}\n",
	              "3:24: schedule.milestones: '3', allowed are lists of rising epochs, 1 to 1000000");
	CHECK_REFUSED("schedule: {milestones: []}\n",
	              "3:24: schedule.milestones: an empty list, allowed are lists of rising epochs, 1 to 1000000");
	CHECK_REFUSED("schedule: {milestones: [3, 3]}\n", "3:28: schedule.milestones: 3 after 3, wanted are rising epochs");
	CHECK_REFUSED("schedule: {milestones: [3, 4.5]}\n",
	              "3:28: schedule.milestones: '4.5', allowed are lists of rising epochs, 1 to 1000000");
	CHECK_REFUSED("schedule: {kind: cosinus}\n", "3:18: schedule.kind: 'cosinus', allowed are constant, step, "
	                                             "multi_step, exponential, cosine, one_cycle, rising, plateau");
	CHECK_REFUSED("augment: {crop: none}\n", "3:17: augment.crop: 'none', allowed are random_resized, center");
	CHECK_REFUSED("checkpoint: {metric: top2}\n",
	              "3:22: checkpoint.metric: 'top2', allowed are top1, top5, balanced, loss");
	CHECK_REFUSED("average: {decay: 1}\n", "3:18: average.decay: 1, allowed are 0 to 0.999999");
	CHECK_REFUSED("average: {warm_up: 2}\n", "3:20: average.warm_up: '2', allowed are true, false");
	CHECK_REFUSED("average: {decay: 0.9, warmup: true}\n", "3:23: unknown key 'average.warmup', did you mean 'average.warm_up'");

	static const char *const not_names[] = {"a/b", ".hidden", "..", "a b", "a;b", "$(x)", "\xC3\xA4"};

	for (size_t i = 0; i < sizeof not_names / sizeof *not_names; i++) {
		snprintf(yaml, sizeof yaml, NEEDED "name: %s\n", not_names[i]);
		snprintf(words, sizeof words, "dir/job.yaml:3:7: name: '%s', %s", not_names[i], word);
		check_refused(__LINE__, yaml, NULL, words);
	}
	check_refused(__LINE__, "model: {arch: ../x}\n", NULL,
	              "dir/job.yaml:1:15: model.arch: '../x', allowed are up to 31 of A-Za-z0-9._- (no dot first)");
	CHECK_REFUSED("runs: ''\n", "3:7: runs: '\"\"', allowed are 1 to 255 bytes of text");
	CHECK_REFUSED("runs: \"a\\tb\"\n", "3:7: runs: '\"a?b\"', allowed are 1 to 255 bytes of text");
	CHECK_REFUSED("runs: [a]\n", "3:7: runs: a list, allowed are 1 to 255 bytes of text");
	snprintf(yaml, sizeof yaml, NEEDED "name: %0*d\n", 63, 7);
	CHECK_OK(parse(yaml, NULL));
	snprintf(yaml, sizeof yaml, NEEDED "runs: %0*d\n", 255, 7);
	CHECK_OK(parse(yaml, NULL));
	CHECK_INT(strlen(job.runs), 255);
	snprintf(yaml, sizeof yaml, NEEDED "runs: %0*d\n", 256, 7);
	CHECK_FAILS(parse(yaml, NULL), THAW_BAD_JOB, "dir/job.yaml:3:7: runs: '000000");
	CHECK_OK(parse(NEEDED "name: no\nruns: 'null'\n", NULL)); /* text where text is wanted */
	CHECK_TEXT(job.name, "no");
	CHECK_TEXT(job.runs, "null");
}

/* A phase has what it says, and the job's values for the rest, whichever stands first in the file. */
static void test_phase_recipes(void)
{
	static const char yaml[] =
		NEEDED "phases: [{epochs: 2, train: fc}, {epochs: 3, train: all, batch: 4, restart: true, lr: 2,\n"
			   " schedule: {gamma: 0.5, patience: 4}, augment: {crop: center, flip: 1}}]\n"
			   "batch: 8\nschedule: {kind: step, step: 3, patience: 5, cooldown: 1}\naugment: {flip: 0.25}\n";
	const struct thaw_recipe *first = &job.phases[0].recipe, *second = &job.phases[1].recipe;

	CHECK_OK(parse(yaml, NULL));
	CHECK_INT(first->batch, 8);
	CHECK_TEXT(first->schedule.kind, "step");
	CHECK_NEAR(first->schedule.gamma, 0.1, 0);
	CHECK_TEXT(first->augment.crop, "random_resized");
	CHECK_NEAR(first->augment.flip, 0.25, 0);
	CHECK(!job.phases[0].restart);
	CHECK_INT(second->batch, 4);
	CHECK_NEAR(second->lr, 2, 0);
	CHECK_TEXT(second->schedule.kind, "step");
	CHECK_INT(second->schedule.step, 3);
	CHECK_NEAR(second->schedule.gamma, 0.5, 0);
	CHECK_INT(first->schedule.patience, 5);
	CHECK_INT(second->schedule.patience, 4);
	CHECK_INT(second->schedule.cooldown, 1);
	CHECK_TEXT(second->augment.crop, "center");
	CHECK_NEAR(second->augment.scale[0], 0.08, 0);
	CHECK_NEAR(second->augment.flip, 1, 0);
	CHECK(job.phases[1].restart);
	CHECK_OK(parse(yaml, "batch=16"));
	CHECK_INT(first->batch, 16);
	CHECK_INT(second->batch, 4);
	CHECK_OK(parse(yaml, "schedule.gamma=0.25"));
	CHECK_NEAR(first->schedule.gamma, 0.25, 0);
	CHECK_NEAR(second->schedule.gamma, 0.5, 0);
}

static void test_phases(void)
{
	static const char parts[] = "allowed are all, fc, or lists such as [layer4, fc]";
	char yaml[4000];
	size_t used;

	CHECK_REFUSED("phases: all\n", "3:9: phases: 'all', allowed are lists of 1 to 64 {epochs, train, ...}");
	CHECK_REFUSED("phases: []\n", "3:9: phases: an empty list, allowed are lists of 1 to 64 {epochs, train, ...}");
	CHECK_REFUSED("phases: [fc]\n", "3:10: phases: 'fc', allowed are lists of 1 to 64 {epochs, train, ...}");
	CHECK_REFUSED("phases:\n- {train: fc}\n", "4:3: phases.epochs: missing: length of the phase");
	CHECK_REFUSED("phases:\n- {epochs: 1}\n", "4:3: phases.train: missing: parts that train; the others are frozen");
	CHECK_REFUSED("phases:\n- {epochs: 0, train: fc}\n", "4:12: phases.epochs: 0, allowed are 1 to 1000000");
	CHECK_REFUSED("phases:\n- {epochs: 1, train: fc, lr: -1}\n", "4:30: phases.lr: -1, allowed are 0 to 1000");
	CHECK_REFUSED("phases:\n- {epochs: 1, train: fc, lr: fast}\n",
	              "4:30: phases.lr: 'fast', allowed are numbers, 0 to 1000");
	CHECK_REFUSED("phases:\n- {epochs: 1, train: [fc, all]}\n",
	              "4:22: phases.train: 'all' beside other parts, allowed is it alone");
	snprintf(yaml, sizeof yaml, NEEDED "phases:\n- {epochs: 1, train: []}\n");
	CHECK_FAILS(parse(yaml, NULL), THAW_BAD_JOB, "dir/job.yaml:4:22: phases.train: an empty list, allowed are all");
	snprintf(yaml, sizeof yaml, NEEDED "phases:\n- {epochs: 1, train: {a: b}}\n");
	CHECK_FAILS(parse(yaml, NULL), THAW_BAD_JOB, parts);
	snprintf(yaml, sizeof yaml, NEEDED "phases:\n- {epochs: 1, train: [fc, a/b]}\n");
	CHECK_FAILS(parse(yaml, NULL), THAW_BAD_JOB, "dir/job.yaml:4:27: phases.train: 'a/b', allowed are all");
	CHECK_REFUSED("phases:\n- {epochs: 1, train: fc, schedule: {kind: up}}\n",
	              "4:43: phases.schedule.kind: 'up', allowed are constant, step, multi_step, exponential, cosine, "
	              "one_cycle, rising, plateau");
	CHECK_REFUSED("phases:\n- {epochs: 1, train: fc, schedule: {knid: step}}\n",
	              "4:37: unknown key 'phases.schedule.knid', did you mean 'phases.schedule.kind'");
	CHECK_REFUSED("phases:\n- {epochs: 1, train: fc, schedule: step}\n",
	              "4:26: phases.schedule: a section, wanted are its keys");
	CHECK_REFUSED("phases:\n- {epochs: 1, train: fc, seed: 4}\n",
	              "4:26: unknown key 'phases.seed', 'thaw help job' lists all");
	CHECK_REFUSED("replicas: 5\nphases: [{epochs: 3, train: fc, batch: 5}, {epochs: 3, train: fc, batch: 4}]\n",
	              "3:11: replicas: 5, allowed are up to the batch of 4");
	CHECK_REFUSED("epochs: 4\nphases: [{epochs: 3, train: fc}]\n", "3:9: epochs: 4, but the phases add up to 3");
	CHECK_REFUSED("phases: [{epochs: 600000, train: fc}, {epochs: 400001, train: all}]\n",
	              "3:9: phases: 1000001 epochs in all, allowed are up to 1000000");
	CHECK_OK(parse(NEEDED "phases: [{epochs: 600000, train: fc}, {epochs: 400000, train: [all]}]\n", NULL));
	CHECK_INT(job.epochs, 1000000);

	for (int count = 64; count <= 65; count++) { /* as many phases as there can be, and one more */
		used = (size_t)snprintf(yaml, sizeof yaml, NEEDED "phases:\n");
		for (int i = 0; i < count; i++)
			used += (size_t)snprintf(yaml + used, sizeof yaml - used, "- {epochs: 1, train: fc}\n");
		if (count == 64)
			CHECK_OK(parse(yaml, NULL));
		else
			check_refused(__LINE__, yaml, NULL, "dir/job.yaml:68:3: phases: more than 64 phases");
	}
	for (int count = 32; count <= 33; count++) { /* the same with parts */
		used = (size_t)snprintf(yaml, sizeof yaml, NEEDED "phases:\n- epochs: 1\n  train:\n");
		for (int i = 0; i < count; i++)
			used += (size_t)snprintf(yaml + used, sizeof yaml - used, "  - layer%d\n", i);
		if (count == 32)
			CHECK_OK(parse(yaml, NULL));
		else
			check_refused(__LINE__, yaml, NULL, "dir/job.yaml:38:5: phases.train: more than 32 parts");
	}
}

static void test_sets(void)
{
	static const char *const sets[] = {"batch=8",
	                                   "optimizer.lr=1e-2",
	                                   "augment.scale=[0.3, 1]",
	                                   "data.train=*.h5: #x",
	                                   "batch=16",
	                                   "phases=[{epochs: 2, train: [fc]}, {epochs: 1, train: all, lr: 3}]",
	                                   "runs=a=b",
	                                   "optimizer.decay_norms=false"};
	static const char yaml[] = NEEDED "batch: 4\nphases: [{epochs: 7, train: layer1, lr: 9}]\n";

	CHECK_OK(thaw_job_parse("j.yaml", yaml, strlen(yaml), sets, sizeof sets / sizeof *sets, &job));
	CHECK_INT(job.recipe.batch, 16);
	CHECK_NEAR(job.recipe.lr, 0.01, 0);
	CHECK_NEAR(job.recipe.augment.scale[0], 0.3, 0);
	CHECK_TEXT(job.data.train, "*.h5: #x"); /* taken as it is */
	CHECK_TEXT(job.runs, "a=b");
	CHECK(!job.optimizer.decay_norms);
	CHECK_INT(job.epochs, 3);
	CHECK_INT(job.phases_count, 2);
	CHECK_TEXT(job.phases[0].train.text[0], "fc");
	CHECK_NEAR(job.phases[0].recipe.lr, 0.01, 0);
	CHECK_NEAR(job.phases[1].recipe.lr, 3, 0);

	CHECK_SET_REFUSED("batch", "batch: wanted is KEY=VALUE");
	CHECK_SET_REFUSED("=1", ": unknown key '', 'thaw help job' lists all");
	CHECK_SET_REFUSED("batch=", "batch: no value, allowed are whole numbers, 1 to 1048576");
	CHECK_SET_REFUSED("name=null", "name: no value, allowed are up to 63 of A-Za-z0-9._- (no dot first)");
	CHECK_SET_REFUSED("batch=0", "batch: 0, allowed are 1 to 1048576");
	CHECK_SET_REFUSED("bacth=1", "bacth: unknown key 'bacth', did you mean 'batch'");
	CHECK_SET_REFUSED("optimzer.lr=1", "optimzer.lr: unknown key 'optimzer.lr', did you mean 'optimizer.lr'");
	CHECK_SET_REFUSED("optimizer={lr: 1}", "optimizer: a section, wanted are its keys");
	CHECK_SET_REFUSED("phases.lr=1", "phases.lr: unknown key 'phases.lr', did you mean 'phases'");
	CHECK_SET_REFUSED("augment.scale=0.5", "augment.scale: '0.5', allowed are [low, high], above 0, up to 1");
	CHECK_SET_REFUSED("augment.scale=[1",
	                  "augment.scale: not YAML: did not find expected ',' or ']' while parsing a flow "
	                  "sequence");
	CHECK_SET_REFUSED("augment.scale=&x [1, 1]", "augment.scale: an anchor ('&') is not allowed");
	CHECK_SET_REFUSED("augment.scale=", "augment.scale: empty");
	CHECK_SET_REFUSED("phases=[{epochs: 1, train: fc, lr: x}]",
	                  "phases: phases.lr: 'x', allowed are numbers, 0 to 1000");
	CHECK_SET_REFUSED("phases=[{epochs: 1, trian: fc}]",
	                  "phases: unknown key 'phases.trian', did you mean 'phases.train'");
	CHECK_SET_REFUSED("replicas=33", "replicas: 33, allowed are up to the batch of 32");
	CHECK_SET_REFUSED("runs=a\nb", "runs: 'a?b', allowed are 1 to 255 bytes of text");
	CHECK_SET_REFUSED("runs=\xFF", "runs: '?', allowed are 1 to 255 bytes of text");
	check_refused(__LINE__, NEEDED "replicas: 8\n", "batch=7",
	              "dir/job.yaml:3:11: replicas: 8, allowed are up to the batch of 7");
	check_refused(__LINE__, yaml, "epochs=9", "--set epochs: 9, but the phases add up to 7");
	check_refused(__LINE__, NEEDED "epochs: 9\n", "phases=[{epochs: 1, train: fc}]",
	              "dir/job.yaml:3:9: epochs: 9, but the phases add up to 1");
}

/* What no key or its words must let through. */
static void test_hostile_files(void)
{
	static char text[65537];

	memset(text, '[', 65536);
	CHECK_FAILS(thaw_job_parse("j", text, 65536, NULL, 0, &job), THAW_BAD_JOB, "j:1:17: lists and maps deeper than 16");
	CHECK_FAILS(thaw_job_parse("j", text, 65537, NULL, 0, &job), THAW_BAD_JOB, "j:1:1: 65537 bytes of YAML");
	CHECK_FAILS(parse("a: &a [*a]\n", NULL), THAW_BAD_JOB, "1:4: an anchor");
	CHECK_FAILS(parse(NEEDED "---\n" NEEDED, NULL), THAW_BAD_JOB, "3:1: a second document");
	memset(text, 'k', 60000);
	memcpy(text + 900, ": 1\n", 5);
	CHECK_FAILS(parse(text, NULL), THAW_BAD_JOB, "kkk...', 'thaw help job' lists all");
	memset(text, 'k', 60000);
	memcpy(text, "batch: ", 7);
	text[60000] = '\0';
	CHECK_FAILS(parse(text, NULL), THAW_BAD_JOB, "kkk...', allowed are whole numbers, 1 to 1048576");
}

static void test_names_from_files(void)
{
	static const struct {
		const char *path, *name;
	} cases[] = {{"a.yaml", "a"}, {"/x.y/b.tar.yaml", "b.tar"}, {"c", "c"}, {"d/e.", "e"}};
	static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567890123.yaml"; /* 64 */

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		CHECK_OK(thaw_job_parse(cases[i].path, NEEDED, strlen(NEEDED), NULL, 0, &job));
		CHECK_TEXT(job.name, cases[i].name);
	}
	CHECK_FAILS(
		thaw_job_parse("my job.yaml", NEEDED, strlen(NEEDED), NULL, 0, &job), THAW_BAD_JOB,
		"my job.yaml: the file's name makes the run's 'my job', allowed are up to 63 of A-Za-z0-9._- (no dot first): "
		"`name:` in the file, or --set name=NAME, gives another");
	CHECK_FAILS(thaw_job_parse("x/.yaml", NEEDED, strlen(NEEDED), NULL, 0, &job), THAW_BAD_JOB,
	            "x/.yaml: the file's name makes the run's '.yaml'");
	CHECK_FAILS(thaw_job_parse(long_name, NEEDED, strlen(NEEDED), NULL, 0, &job), THAW_BAD_JOB, "the run's '0123");
	CHECK_OK(thaw_job_parse(long_name + 1, NEEDED, strlen(NEEDED), NULL, 0, &job));
	CHECK_INT(strlen(job.name), 63);
}

static void test_files(void)
{
	char folder[] = "/tmp/thaw-job-test-XXXXXX", path[100], other[100];
	FILE *file;

	if (!mkdtemp(folder)) {
		TEST_FAIL("no folder");
		return;
	}
	snprintf(path, sizeof path, "%s/night-1.yaml", folder);
	snprintf(other, sizeof other, "%s/none.yaml", folder);
	file = fopen(path, "w");
	fputs(NEEDED "batch: 5\n", file);
	fclose(file);
	CHECK_OK(thaw_job_load(path, NULL, 0, &job));
	CHECK_TEXT(job.name, "night-1");
	CHECK_INT(job.recipe.batch, 5);
	CHECK_FAILS(thaw_job_load(other, NULL, 0, &job), THAW_BAD_JOB, "none.yaml': No such file");
	CHECK_FAILS(thaw_job_load(folder, NULL, 0, &job), THAW_BAD_JOB, folder);
	file = fopen(path, "a");
	for (int i = 0; i < 70000; i++)
		fputc('\n', file);
	fclose(file);
	CHECK_FAILS(thaw_job_load(path, NULL, 0, &job), THAW_BAD_JOB, "bytes, allowed are 65536");
	unlink(path);
	rmdir(folder);
}

static void load_example(const char *root, const char *file)
{
	char path[1000];

	snprintf(path, sizeof path, "%s/examples/%s.yaml", root, file);
	CHECK_OK(thaw_job_load(path, NULL, 0, &job));
}

/* Three phases each: the head, the last stage with it, everything. */
static void check_thawing(const char *root, const char *name, const char *arch)
{
	load_example(root, name);
	CHECK_TEXT(job.name, name);
	CHECK_TEXT(job.model.arch, arch);
	CHECK_TEXT(job.data.train, "data/train-*.h5");
	CHECK_TEXT(job.data.val, "data/val-*.h5");
	CHECK_INT(job.phases_count, 3);
	CHECK_INT(job.phases[0].train.count, 1);
	CHECK_TEXT(job.phases[0].train.text[0], "fc");
	CHECK_INT(job.phases[1].train.count, 2);
	CHECK_TEXT(job.phases[2].train.text[0], "all");
}

/* Everything from the start, without phases. */
static void check_photos(const char *root)
{
	load_example(root, "photos");
	CHECK_TEXT(job.name, "resnet18");
	CHECK_TEXT(job.model.arch, "resnet18");
	CHECK_TEXT(job.data.train, "large/train-*.h5");
	CHECK_TEXT(job.data.val, "large/val-*.h5");
	CHECK_TEXT(job.recipe.schedule.kind, "step");
	CHECK_INT(job.epochs, 40);
	CHECK_INT(job.phases_count, 1);
	CHECK_TEXT(job.phases[0].train.text[0], "all");
}

int main(int argc, char **argv)
{
	const char *root = argc > 1 ? argv[1] : ".";

	test_every_key();
	test_defaults();
	test_unknown_keys();
	test_missing_and_wrong_kinds();
	test_numbers();
	test_bounds();
	test_ranges();
	test_texts_and_choices();
	test_phases();
	test_phase_recipes();
	test_sets();
	test_hostile_files();
	test_names_from_files();
	test_files();
	check_thawing(root, "ants-vs-bees", "resnet18");
	check_thawing(root, "demo", "resnet20");
	check_photos(root);
	return TEST_END();
}
