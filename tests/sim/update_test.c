/* Optimizer steps on a GPU, a simulated one too, against those on the host, which PyTorch's fixtures check. */
#include "nn/updater.h"

#include "base/random.h"
#include "nn/average.h"
#include "nn/clip.h"
#include "nn/device.h"
#include "nn/models.h"
#include "tests/test.h"

/* Both do the same in float32, in another order where they sum. */
#define TOLERANCE 1e-6

enum { STEPS = 6, BROKEN_STEP = 3 };

struct rule {
	struct thaw_optimizer_spec spec;
	double clip, average;
};

static const struct rule rules[] = {
	{{.kind = "sgd", .momentum = 0.9, .weight_decay = 1e-2}, 0, 0},
	{{.kind = "sgd", .momentum = 0.9, .weight_decay = 1e-2, .decay_norms = true, .nesterov = true}, 3.0, 0.9},
	{{.kind = "sgd", .momentum = 0.5, .momentum_of_steps = true}, 0, 0.5},
	{{.kind = "adam", .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 1e-2}, 0, 0.99},
	{{.kind = "adamw", .beta1 = 0.8, .beta2 = 0.999, .epsilon = 1e-6, .weight_decay = 0.1}, 1e9, 0},
};

/* Everything of a run, on the host and on the device. */
struct rig {
	struct thaw_device *device;
	struct thaw_net *net;
	struct thaw_params params;
	struct thaw_optimizer optimizer;
	struct thaw_average average;
	struct thaw_gradients gradients;
	bool *trains, *updates;
	double *lr_scale;
	struct thaw_slabs slabs;
	struct thaw_gradients on_device;
};

static size_t value_bytes(const struct rig *rig)
{
	return (size_t)thaw_net_param_elems(rig->net) * sizeof(float);
}

static size_t state_bytes(const struct rig *rig)
{
	return (size_t)thaw_net_state_elems(rig->net) * sizeof(float);
}

static void *copy_of(const struct rig *rig, const void *from, size_t size_bytes)
{
	void *memory = NULL;

	CHECK_OK(rig->device->backend->memory->allocate(rig->device, size_bytes, "a test", &memory));
	CHECK_OK(rig->device->backend->memory->put(rig->device, memory, from, size_bytes));
	return memory;
}

/* Random numbers wherever the net has parameters; 0 between them. */
static void draw(const struct rig *rig, int step, bool states, float *slab)
{
	for (int i = 0; i < thaw_net_params(rig->net); i++) {
		const struct thaw_param *p = thaw_net_param(rig->net, i);
		struct thaw_random random;

		thaw_random_init(&random, 7, THAW_RANDOM_TEST, (uint32_t)step, (uint32_t)i);
		if (thaw_role_is_state(p->role) == states)
			thaw_random_normals(&random, slab + p->offset, p->elems, 0.1);
	}
}

static void rig_init(struct rig *rig, const struct rule *rule)
{
	const char *part[] = {"layer2", "fc"};
	struct thaw_optimizer_spec spec = rule->spec;
	int64_t *zeroes;
	int params;
	thaw_status status;

	*rig = (struct rig){.device = NULL};
	status = thaw_device_open("cuda", 1, 0, &rig->device);
	SKIP_WITHOUT_GPU(status);
	CHECK_OK(status);
	CHECK_OK(thaw_model_build("resnet20", 10, 32, &rig->net));
	CHECK_OK(thaw_params_init(&rig->params, rig->net));
	thaw_params_randomize(&rig->params, 3);
	params = thaw_net_params(rig->net);
	rig->trains = calloc((size_t)params, sizeof *rig->trains);
	rig->updates = calloc((size_t)params, sizeof *rig->updates);
	rig->lr_scale = calloc((size_t)params, sizeof *rig->lr_scale);
	CHECK_OK(thaw_net_select(rig->net, part, 2, rig->trains));
	for (int i = 0; i < params; i++) {
		rig->updates[i] = thaw_role_is_state(thaw_net_param(rig->net, i)->role) && rig->trains[i - 2]; /* its norm's */
		rig->lr_scale[i] = i % 2 ? 1 : 0.25;
	}
	spec.lr_scale = rig->lr_scale;
	spec.threads = 1;
	CHECK_OK(thaw_optimizer_init(&rig->optimizer, &spec, &rig->params));
	if (rule->average > 0)
		CHECK_OK(thaw_average_init(&rig->average, &(struct thaw_average_spec){rule->average, true, 1}, &rig->params));
	rig->gradients.values = calloc(1, value_bytes(rig));
	rig->gradients.states = calloc(1, state_bytes(rig));
	zeroes = calloc(value_bytes(rig), 1);
	rig->slabs = (struct thaw_slabs){
		.values = copy_of(rig, rig->params.values, value_bytes(rig)),
		.states = copy_of(rig, rig->params.states, state_bytes(rig)),
		.slot = {copy_of(rig, zeroes, value_bytes(rig)),
	             rig->optimizer.slots > 1 ? copy_of(rig, zeroes, value_bytes(rig)) : NULL},
		.average = rule->average > 0 ? copy_of(rig, rig->params.values, value_bytes(rig)) : NULL,
		.copy = copy_of(rig, rig->params.values, value_bytes(rig)),
		.counters = copy_of(rig, zeroes, (size_t)(params + 1) * sizeof *rig->slabs.counters),
	};
	rig->on_device.values = copy_of(rig, zeroes, value_bytes(rig));
	rig->on_device.states = copy_of(rig, zeroes, state_bytes(rig));
	free(zeroes);
}

static void rig_release(struct rig *rig)
{
	void *const all[] = {
		rig->slabs.values, rig->slabs.states,   rig->slabs.slot[0],    rig->slabs.slot[1],    rig->slabs.average,
		rig->slabs.copy,   rig->slabs.counters, rig->on_device.values, rig->on_device.states,
	};

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		rig->device->backend->memory->release(rig->device, all[i]);
	thaw_device_free(rig->device);
	thaw_optimizer_release(&rig->optimizer);
	thaw_average_release(&rig->average);
	thaw_params_release(&rig->params);
	thaw_net_free(rig->net);
	free(rig->gradients.values);
	free(rig->gradients.states);
	free(rig->trains);
	free(rig->updates);
	free(rig->lr_scale);
}

/* One step on the host: what runner/train.c does. Returns the norm. */
static double host_step(struct rig *rig, const struct rule *rule, double rate, int64_t applied)
{
	struct thaw_update update = {
		.gradients = &rig->gradients, .trains = rig->trains, .updates = rig->updates, .rate = rate};
	double norm = thaw_gradients_norm(rig->net, &rig->gradients, rig->trains, 1);

	if (!isfinite(norm))
		return norm;
	update.factor = rule->clip > 0 ? thaw_clip_factor(norm, rule->clip) : 1;
	thaw_optimizer_step(&rig->optimizer, &update);
	if (rig->average.values)
		thaw_average_update(&rig->average, applied);
	return norm;
}

static void compare(const struct rig *rig, const char *what, const float *want, const float *device, size_t size_bytes)
{
	float *got = malloc(size_bytes);
	double difference = 0, all = 0;

	CHECK_OK(rig->device->backend->memory->get(rig->device, got, device, size_bytes));
	for (size_t i = 0; i < size_bytes / sizeof *got; i++) {
		difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
		all += (double)want[i] * want[i];
	}
	if (!(sqrt(difference) <= TOLERANCE * sqrt(all)))
		TEST_FAIL("%s, %s: differs by %g of %g", rig->optimizer.spec.kind, what, sqrt(difference), sqrt(all));
	free(got);
}

/* One step on the device: what it said. */
static struct thaw_told device_step(struct rig *rig, struct thaw_device_update *update, double rate)
{
	const struct thaw_backend *backend = rig->device->backend;
	struct thaw_told told = {.norm = -1};

	CHECK_OK(backend->memory->put(rig->device, rig->on_device.values, rig->gradients.values, value_bytes(rig)));
	CHECK_OK(backend->memory->put(rig->device, rig->on_device.states, rig->gradients.states, state_bytes(rig)));
	CHECK_OK(backend->update->rate(rig->device, rate));
	CHECK_OK(backend->update->run(update, &rig->slabs, &rig->on_device));
	CHECK_OK(backend->queue->tell(rig->device, 0));
	CHECK_OK(backend->queue->told(rig->device, NULL, &told));
	return told;
}

static void test_rule(const struct rule *rule)
{
	struct thaw_device_update *update = NULL;
	struct rig rig;
	struct thaw_optimizer_spec spec = rule->spec;
	int64_t applied = 0;

	rig_init(&rig, rule);
	spec.lr_scale = rig.lr_scale;
	CHECK_OK(rig.device->backend->update->make(rig.device,
	                                           &(struct thaw_update_spec){
												   .net = rig.net,
												   .rule = &spec,
												   .trains = rig.trains,
												   .updates = rig.updates,
												   .clip = rule->clip,
												   .averages = rule->average > 0,
												   .average_decay = rule->average,
												   .average_warm_up = true,
											   },
	                                           &update));
	for (int step = 0; step < STEPS && update; step++) {
		int last = thaw_net_params(rig.net) - 1;
		double rate = 0.1 / (1 + step), want;
		struct thaw_told told;

		draw(&rig, 2 * step, false, rig.gradients.values);
		draw(&rig, 2 * step + 1, true, rig.gradients.states);
		if (step == BROKEN_STEP)
			rig.gradients.values[thaw_net_param(rig.net, last)->offset] = NAN;
		want = host_step(&rig, rule, rate, applied);
		told = device_step(&rig, update, rate);
		CHECK(told.applied == (step != BROKEN_STEP));
		CHECK(told.applied ? fabs(told.norm - want) <= 1e-12 * want : isnan(told.norm));
		CHECK(told.broken == (told.applied ? -1 : last));
		applied += told.applied;
	}
	compare(&rig, "values", rig.params.values, rig.slabs.values, value_bytes(&rig));
	compare(&rig, "copy", rig.params.values, rig.slabs.copy, value_bytes(&rig));
	compare(&rig, "states", rig.params.states, rig.slabs.states, state_bytes(&rig));
	for (int i = 0; i < rig.optimizer.slots; i++)
		compare(&rig, rig.optimizer.slot_name[i], rig.optimizer.slot[i], rig.slabs.slot[i], value_bytes(&rig));
	if (rig.average.values)
		compare(&rig, "average", rig.average.values, rig.slabs.average, value_bytes(&rig));
	rig.device->backend->update->release(update);
	rig_release(&rig);
}

int main(void)
{
	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		test_rule(&rules[i]);
	return TEST_END();
}
