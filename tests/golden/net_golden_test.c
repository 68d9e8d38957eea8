/*
 * Whole networks against PyTorch: ten training steps, everything trained or parts frozen (tests/golden/make_nets.py).
 *
 *     net_golden_test <tests/golden> <backend> <multiple> [<precision> [all]]
 *
 * The reference backend is slow, and so is a simulated GPU: they run one network through and another one for a step. A
 * backend that is called otherwise than cpu and is fast all the same runs `all`.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "nn/device.h"
#include "nn/models.h"
#include "nn/optimizer.h"
#include "tests/golden/golden.h"
#include "tests/test.h"

enum { SEED = 30, SAMPLES = 16, PROBE = 2 + SAMPLES, STEPS = 10, CLASSES = 10 };
enum { VALUES, PIXELS, LABELS, PLACES, DIRECTION }; /* b of the streams; a is the parameter's index or the step */

/* Errors allowed: so many times PyTorch's own float32 (of the tensor, or of all on average: one sample may be small by
 * luck), and what float32 sums in another order make at least. Rounding grows from layer to layer and step to step, and
 * differs by instruction set and algorithm: tests/golden/CMakeLists.txt says what each was seen to need. */
static double multiple;
#define FLOOR 2e-6

static const struct network {
	const char *arch;
	int size, batch;
	const char *last;    /* stage before fc */
	int reference_steps; /* 0: too slow there */
} networks[] = {
	{"resnet20", 32, 8, "layer3", STEPS},
	{"resnet18", 64, 4, "layer4", 1},
	{"resnet50", 64, 4, "layer4", 0},
};

static const struct variant {
	const char *name, *stage; /* trained beside fc; NULL: everything trains, "": the last stage */
	bool frozen_batch_statistics;
} variants[] = {
	{"all", NULL, false},
	{"prefix", "", false},
	{"middle", "layer1", false},
	{"prefix_batch", "", true},
};

/* One network in one variant while it runs. */
struct run {
	const struct network *network;
	const struct variant *variant;
	struct golden *golden;
	char group[64];
	struct thaw_net *net;
	struct thaw_params params, first; /* as trained; as they were */
	struct thaw_optimizer optimizer;
	struct thaw_device *device;
	struct thaw_gradients gradients; /* on the host */
	struct thaw_gradients near;      /* where the plan writes them: the same, or in the device's own memory */
	float *ready; /* gradients as they were when they were called final */
	int64_t ready_from;
	bool *trains;
	const bool *updates;
	uint8_t *pixels;
	int32_t *labels;
	float predictions[8 * CLASSES];
};

/* --- what make_nets.py draws ------------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), end_length = strlen(end);

	return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static void range_of(const struct thaw_param *p, double *low_out, double *high_out)
{
	static const double ranges[][2] = {
		[THAW_BIAS] = {-0.1, 0.1},         [THAW_NORM_WEIGHT] = {0.05, 0.1}, [THAW_NORM_BIAS] = {0.4, 0.6},
		[THAW_RUNNING_MEAN] = {-0.1, 0.1}, [THAW_RUNNING_VAR] = {0.04, 0.08},
	};

	*low_out = p->role == THAW_WEIGHT ? -0.1 : ranges[p->role][0];
	*high_out = p->role == THAW_WEIGHT ? 0.1 : ranges[p->role][1];
	if (p->rank == 4) {
		*high_out = 0.5 * sqrt(6.0 / (double)(p->shape[1] * p->shape[2] * p->shape[3]));
		*low_out = -*high_out;
	}
}

static void draw_parameters(struct thaw_params *params)
{
	for (int i = 0; i < thaw_net_params(params->net); i++) {
		const struct thaw_param *p = thaw_net_param(params->net, i);
		struct thaw_random random;
		double low, high;

		range_of(p, &low, &high);
		thaw_random_init(&random, SEED, THAW_RANDOM_TEST, (uint32_t)i, VALUES);
		for (int64_t k = 0; k < p->elems; k++) {
			float value = (float)thaw_random_between(&random, low, high);

			thaw_params_at(params, i)[k] = ends_with(p->name, "bn1.bias") && k % 3 == 2 ? -value : value;
		}
	}
	params->version++;
}

static void draw_batch(struct run *run, int step)
{
	size_t picture = (size_t)run->network->size * (size_t)run->network->size * 3;
	size_t pixels = (size_t)run->network->batch * picture;
	struct thaw_random random;

	thaw_random_init(&random, SEED, THAW_RANDOM_TEST, (uint32_t)step, PIXELS);
	for (size_t i = 0; i < pixels; i++)
		run->pixels[i] = (uint8_t)((thaw_random_u32(&random) & 255) >> (i / picture % 4));
	thaw_random_init(&random, SEED, THAW_RANDOM_TEST, (uint32_t)step, LABELS);
	for (int n = 0; n < run->network->batch; n++)
		run->labels[n] = (int32_t)(thaw_random_u32(&random) % CLASSES);
}

/* --- comparing --------------------------------------------------------------------------------------------------- */

/* {norm, product with a random vector, elements at random places} of a - b; b may be NULL. */
static void probe(const float *a, const float *b, int index, int64_t elems, double out[PROBE])
{
	struct thaw_random random;
	double squares = 0, product = 0;

	thaw_random_init(&random, SEED, THAW_RANDOM_TEST, (uint32_t)index, DIRECTION);
	for (int64_t i = 0; i < elems; i++) {
		double value = b ? (double)a[i] - b[i] : a[i];

		squares += value * value;
		product += value * (double)(float)thaw_random_between(&random, -1, 1);
	}
	out[0] = sqrt(squares);
	out[1] = product;
	thaw_random_init(&random, SEED, THAW_RANDOM_TEST, (uint32_t)index, PLACES);
	for (int i = 2; i < PROBE; i++) {
		int64_t place = thaw_random_u32(&random) % (uint32_t)elems;

		out[i] = b ? (double)a[place] - b[place] : a[place];
	}
}

/* The largest of three estimates of ||got - want|| / ||want||, where norms below `least` count as `least`. */
static double probe_error(const double *got, const double *want, int64_t elems, double least)
{
	double squares = 0, samples, error;

	for (int i = 2; i < PROBE; i++)
		squares += (got[i] - want[i]) * (got[i] - want[i]);
	samples = sqrt(squares * (double)elems / SAMPLES);
	error = fabs(got[0] - want[0]);
	if (!(fabs(got[1] - want[1]) <= error))
		error = fabs(got[1] - want[1]);
	return (samples <= error ? error : samples) / (want[0] > least ? want[0] : least);
}

static double *read_doubles(const struct run *run, const char *name, const char *suffix, size_t *elems_out)
{
	char path[160];

	snprintf(path, sizeof path, "%s/%s%s", run->group, name, suffix);
	return golden_doubles(run->golden, path, elems_out);
}

static void check_error(const struct run *run, const char *what, const char *which, double error, double allowed)
{
	if (!(error <= multiple * allowed + FLOOR))
		TEST_FAIL("%s: %s %s differs by %.3g, PyTorch's float32 by %.3g", run->group, what, which, error, allowed);
}

/* Probes `name` of the fixture, one per flagged parameter, against slab a (less slab b if given). */
static void check_probes(const struct run *run, const char *name, const bool *flags, const float *a, const float *b)
{
	size_t elems, rows = 0;
	double *want = read_doubles(run, name, "", &elems), *allowed = read_doubles(run, name, "_error", NULL);
	double largest = 0, mean = 0;

	for (size_t row = 0; row < elems / PROBE; row++) {
		largest = want[row * PROBE] > largest ? want[row * PROBE] : largest;
		mean += allowed[row] / (double)(elems / PROBE);
	}
	for (int i = 0; i < thaw_net_params(run->net); i++) {
		const struct thaw_param *p = thaw_net_param(run->net, i);
		double got[PROBE];

		if (!flags[i])
			continue;
		if (elems < (rows + 1) * PROBE) {
			TEST_FAIL("%s: %s has fewer rows than parameters", run->group, name);
			break;
		}
		probe(a + p->offset, b ? b + p->offset : NULL, i, p->elems, got);
		check_error(run, name, p->name, probe_error(got, want + rows * PROBE, p->elems, 1e-12 * largest),
					allowed[rows] > mean ? allowed[rows] : mean);
		rows++;
	}
	CHECK_INT(elems, rows * PROBE);
	free(want);
	free(allowed);
}

static void check_predictions(const struct run *run, const char *name)
{
	size_t elems;
	double *want = read_doubles(run, name, "", &elems), *allowed = read_doubles(run, name, "_error", NULL);
	double squares = 0, norm = 0;

	CHECK_INT(elems, run->network->batch * CLASSES);
	for (size_t i = 0; i < elems; i++) {
		squares += (run->predictions[i] - want[i]) * (run->predictions[i] - want[i]);
		norm += want[i] * want[i];
	}
	check_error(run, name, "", sqrt(squares / norm), allowed[0]);
	free(want);
	free(allowed);
}

/* The flags of a table row's index list. */
static void check_flags(const struct run *run, const char *name, const bool *flags)
{
	size_t elems, at = 0;
	double *want = read_doubles(run, name, "", &elems);

	for (int i = 0; i < thaw_net_params(run->net); i++) {
		bool wanted = at < elems && want[at] == i;

		at += wanted;
		if (flags[i] != wanted)
			TEST_FAIL("%s: '%s' is%s %s", run->group, thaw_net_param(run->net, i)->name, flags[i] ? "" : " not", name);
	}
	CHECK_INT(at, elems);
	free(want);
}

/* --- running ----------------------------------------------------------------------------------------------------- */

static void *allocate(size_t count, size_t size_bytes)
{
	void *memory = thaw_alloc(count, size_bytes);

	if (!memory)
		exit(1);
	return memory;
}

static void fill_nan(float *values, int64_t elems)
{
	for (int64_t i = 0; i < elems; i++)
		values[i] = NAN;
}

static void select_trained(struct run *run)
{
	const char *stage = run->variant->stage;
	const char *patterns[2] = {"fc", stage && *stage ? stage : run->network->last};
	const char *const all[1] = {"all"};

	CHECK_OK(thaw_net_select(run->net, stage ? patterns : all, stage ? 2 : 1, run->trains));
	check_flags(run, "trained", run->trains);
}

static float *near(struct run *run, float *slab, int64_t elems)
{
	const struct thaw_memory_ops *memory = run->device->backend->memory;
	size_t size_bytes = (size_t)elems * sizeof *slab;
	void *own = slab;

	if (memory) {
		CHECK_OK(memory->allocate(run->device, size_bytes, "gradients", &own));
		CHECK_OK(memory->put(run->device, own, slab, size_bytes));
	}
	return own;
}

/* What the plan wrote, to the host. */
static void fetch_gradients(struct run *run)
{
	const struct thaw_memory_ops *memory = run->device->backend->memory;

	for (int i = 0; memory && i < thaw_net_params(run->net); i++) {
		const struct thaw_param *p = thaw_net_param(run->net, i);
		bool state = thaw_role_is_state(p->role);

		CHECK_OK(memory->get_param(run->device, (state ? run->gradients.states : run->gradients.values) + p->offset,
		                           (state ? run->near.states : run->near.values) + p->offset, p));
	}
}

static void run_init(struct run *run, struct thaw_device *device, struct golden *golden, const struct network *network,
					 const struct variant *variant)
{
	size_t pictures = (size_t)network->batch;
	int64_t values, states;

	*run = (struct run){.network = network, .variant = variant, .golden = golden, .device = device};
	snprintf(run->group, sizeof run->group, "%s %s", network->arch, variant->name);
	if (thaw_model_build(network->arch, CLASSES, network->size, &run->net) ||
		thaw_params_init(&run->params, run->net) || thaw_params_attach(&run->params, device) ||
		thaw_params_init(&run->first, run->net)) {
		TEST_FAIL("%s: %s", run->group, thaw_fail_text());
		exit(1);
	}
	values = thaw_net_param_elems(run->net), states = thaw_net_state_elems(run->net);
	run->gradients.values = allocate((size_t)values, sizeof(float));
	run->gradients.states = allocate((size_t)states, sizeof(float));
	run->ready = allocate((size_t)values, sizeof(float));
	run->trains = allocate((size_t)thaw_net_params(run->net), sizeof *run->trains);
	run->pixels = allocate(pictures * (size_t)network->size * (size_t)network->size, 3);
	run->labels = allocate(pictures, sizeof *run->labels);
	draw_parameters(&run->params);
	draw_parameters(&run->first);
	fill_nan(run->gradients.values, values);
	fill_nan(run->gradients.states, states);
	run->near = (struct thaw_gradients){near(run, run->gradients.values, values), near(run, run->gradients.states, states)};
	select_trained(run);
	CHECK_OK(thaw_optimizer_init(
		&run->optimizer,
		&(struct thaw_optimizer_spec){
			.kind = "sgd", .momentum = 0.9, .weight_decay = 1e-4, .decay_norms = true, .threads = 1},
		&run->params));
}

static void run_release(struct run *run)
{
	const struct thaw_memory_ops *memory = run->device->backend->memory;

	if (memory) {
		memory->release(run->device, run->near.values);
		memory->release(run->device, run->near.states);
	}
	thaw_optimizer_release(&run->optimizer);
	thaw_params_release(&run->params);
	thaw_params_release(&run->first);
	thaw_net_free(run->net);
	free(run->gradients.values);
	free(run->gradients.states);
	free(run->ready);
	free(run->trains);
	free(run->pixels);
	free(run->labels);
}

static struct thaw_plan *compile(struct run *run, struct thaw_device *device, const bool *trains)
{
	struct thaw_plan *plan = NULL;
	struct thaw_plan_spec spec = {
		.device = device,
		.params = &run->params,
		.batch = run->network->batch,
		.trains = trains,
		.frozen_batch_statistics = run->variant->frozen_batch_statistics,
		.mean = {0.485f, 0.456f, 0.406f},
		.std = {0.229f, 0.224f, 0.225f},
	};

	if (thaw_plan_compile(run->net, &spec, &plan)) {
		TEST_FAIL("%s: %s", run->group, thaw_fail_text());
		exit(1);
	}
	return plan;
}

/* Keeps what is called final, to see whether it was. */
static thaw_status keep_ready(void *context, int64_t from)
{
	struct run *run = context;

	if (from >= run->ready_from)
		TEST_FAIL("%s: ready from %lld after %lld", run->group, (long long)from, (long long)run->ready_from);
	fetch_gradients(run);
	memcpy(run->ready + from, run->gradients.values + from, (size_t)(run->ready_from - from) * sizeof(float));
	run->ready_from = from;
	return THAW_OK;
}

static void check_ready(const struct run *run)
{
	int64_t elems = thaw_net_param_elems(run->net);
	int lowest = 0;

	while (!run->trains[lowest])
		lowest++;
	CHECK_INT(run->ready_from, thaw_net_param(run->net, lowest)->offset);
	CHECK(memcmp(run->ready + run->ready_from, run->gradients.values + run->ready_from,
				 (size_t)(elems - run->ready_from) * sizeof(float)) == 0);
}

/* Forward and backward of one batch; returns the mean loss. */
static double run_batch(struct run *run, struct thaw_plan *plan, int step, bool backward)
{
	struct thaw_input input = {
		.pixels = run->pixels,
		.labels = run->labels,
		.global_count = run->network->batch,
		.predictions = run->predictions,
	};
	struct thaw_score score = {0};

	draw_batch(run, step);
	CHECK_OK(thaw_plan_forward(plan, &input, backward ? &run->near : NULL, &score));
	if (backward) {
		run->ready_from = thaw_net_param_elems(run->net);
		CHECK_OK(thaw_plan_backward(plan, &run->near, keep_ready, run));
		fetch_gradients(run);
		check_ready(run);
	}
	CHECK_INT(score.count, run->network->batch);
	return score.loss / run->network->batch;
}

/* What does not train is as it was, and its gradients were never written. */
static void check_untouched(const struct run *run)
{
	for (int i = 0; i < thaw_net_params(run->net); i++) {
		const struct thaw_param *p = thaw_net_param(run->net, i);
		bool state = thaw_role_is_state(p->role);
		const float *gradient = (state ? run->gradients.states : run->gradients.values) + p->offset;
		size_t size_bytes = (size_t)p->elems * sizeof(float);

		if (state ? run->updates[i] : run->trains[i])
			continue;
		if (memcmp(thaw_params_at(&run->params, i), thaw_params_at(&run->first, i), size_bytes) != 0)
			TEST_FAIL("%s: frozen '%s' has changed", run->group, p->name);
		for (int64_t k = 0; k < p->elems; k++) {
			if (isnan(gradient[k]))
				continue;
			TEST_FAIL("%s: the gradient of frozen '%s' was written", run->group, p->name);
			break;
		}
	}
}

static bool any(const bool *flags, int count)
{
	for (int i = 0; i < count; i++)
		if (flags[i])
			return true;
	return false;
}

static void check_training(struct run *run, struct thaw_plan *plan, int steps)
{
	double *losses = read_doubles(run, "losses", "", NULL), *allowed = read_doubles(run, "losses", "_error", NULL);
	bool statistics = any(run->updates, thaw_net_params(run->net));

	for (int step = 0; step < steps; step++) {
		double loss = run_batch(run, plan, step, true);

		check_error(run, "loss", "of a step", fabs(loss - losses[step]), allowed[step]);
		if (step == 0) {
			check_predictions(run, "predictions");
			check_probes(run, "gradients", run->trains, run->gradients.values, NULL);
		}
		thaw_optimizer_step(&run->optimizer,
							&(struct thaw_update){&run->gradients, run->trains, run->updates, 1e-3, 1.0});
		if (step == 0 && statistics)
			check_probes(run, "statistics", run->updates, run->params.states, NULL);
	}
	if (steps == STEPS) {
		check_probes(run, "changes", run->trains, run->params.values, run->first.values);
		check_probes(run, "momenta", run->trains, run->optimizer.slot[0], NULL);
		if (statistics)
			check_probes(run, "final_statistics", run->updates, run->params.states, NULL);
	}
	check_untouched(run);
	free(losses);
	free(allowed);
}

static void check_variant(struct thaw_device *device, struct golden *golden, const struct network *network,
						  const struct variant *variant, int steps)
{
	struct thaw_plan *evaluation, *training;
	struct run run;

	run_init(&run, device, golden, network, variant);
	evaluation = compile(&run, device, NULL);
	run_batch(&run, evaluation, 0, false);
	check_predictions(&run, "evaluation");
	training = compile(&run, device, run.trains);
	run.updates = thaw_plan_updates(training);
	check_flags(&run, "updated", run.updates);
	check_training(&run, training, steps);
	thaw_plan_free(training);
	thaw_plan_free(evaluation);
	run_release(&run);
}

static void open_device(const char *name, struct thaw_device **device_out)
{
	thaw_status status = thaw_device_open(name, 2, 0, device_out);

	SKIP_WITHOUT_GPU(status);
	if (!status)
		return;
	printf("%s\n", thaw_fail_text());
	exit(1);
}

int main(int argc, char **argv)
{
	struct thaw_device *device = NULL;
	struct golden *golden;
	bool slow;

	if (argc < 4 || argc > 6 || (argc == 6 && strcmp(argv[5], "all") != 0)) {
		printf("usage: net_golden_test <tests/golden> <backend> <multiple> [<precision> [all]]\n");
		return 1;
	}
	slow = argc < 6 && strcmp(argv[2], "cpu") != 0;
	open_device(argv[2], &device);
	CHECK_OK(thaw_device_compute(device, argc >= 5 ? argv[4] : "fp32", false));
	multiple = atof(argv[3]);
	device->fused_statistics = true;
	golden = golden_open(argv[1], "nets.h5");
	for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
		int steps = slow ? networks[i].reference_steps : STEPS;

		for (size_t k = 0; steps && k < sizeof variants / sizeof *variants; k++)
			check_variant(device, golden, &networks[i], &variants[k], steps);
	}
	golden_close(golden);
	thaw_device_free(device);
	return TEST_END();
}
