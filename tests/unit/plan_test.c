/*
 * Plans: what is cut off, what is kept, what is written. The numbers themselves are compared with PyTorch's in tests/golden.
 */
#include "base/random.h"
#include "nn/device.h"
#include "nn/models.h"
#include "nn/optimizer.h"
#include "nn/plan.h"
#include "tests/test.h"

enum { N = 4, SIZE = 32, CLASSES = 6 };

/* A small network on a device, with pictures. */
struct fixture {
	struct thaw_net *net;
	struct thaw_device *device;
	struct thaw_params params;
	struct thaw_gradients gradients;
	int64_t elems, states;
	uint8_t pixels[N * SIZE * SIZE * 3];
	int32_t labels[N];
	bool trains[128];
};

static const float untouched = 12345.0f;

static void setup(struct fixture *f, const char *device, const char *const *patterns, int count)
{
	struct thaw_random random;

	CHECK_OK(thaw_device_open(device, 1, 0, &f->device));
	CHECK_OK(thaw_model_build("resnet20", CLASSES, SIZE, &f->net));
	CHECK_OK(thaw_params_init(&f->params, f->net));
	thaw_params_randomize(&f->params, 3);
	CHECK_OK(thaw_net_select(f->net, patterns, count, f->trains));
	f->elems = thaw_net_param_elems(f->net);
	f->states = thaw_net_state_elems(f->net);
	f->gradients.values = malloc((size_t)f->elems * sizeof(float));
	f->gradients.states = malloc((size_t)f->states * sizeof(float));
	for (int64_t i = 0; i < f->elems; i++)
		f->gradients.values[i] = untouched;
	for (int64_t i = 0; i < f->states; i++)
		f->gradients.states[i] = untouched;
	thaw_random_init(&random, 5, THAW_RANDOM_TEST, 0, 0);
	for (size_t i = 0; i < sizeof f->pixels; i++)
		f->pixels[i] = (uint8_t)thaw_random_below(&random, 256);
	for (int i = 0; i < N; i++)
		f->labels[i] = i % CLASSES;
}

static void teardown(struct fixture *f)
{
	free(f->gradients.values);
	free(f->gradients.states);
	thaw_params_release(&f->params);
	thaw_net_free(f->net);
	thaw_device_free(f->device);
}

static struct thaw_plan *compile(struct fixture *f, const bool *trains, bool frozen_batch_statistics)
{
	struct thaw_plan_spec spec = {
		.device = f->device,
		.params = &f->params,
		.batch = N,
		.trains = trains,
		.frozen_batch_statistics = frozen_batch_statistics,
		.mean = {0.5f, 0.5f, 0.5f},
		.std = {0.25f, 0.25f, 0.25f},
	};
	struct thaw_plan *plan = NULL;

	CHECK_OK(thaw_plan_compile(f->net, &spec, &plan));
	return plan;
}

static struct thaw_score forward(struct fixture *f, struct thaw_plan *plan, const struct thaw_gradients *gradients)
{
	struct thaw_input input = {.pixels = f->pixels, .labels = f->labels, .global_count = N};
	struct thaw_score score = {0};

	CHECK_OK(thaw_plan_forward(plan, &input, gradients, &score));
	return score;
}

/* Offsets at which gradients became final, as they were told. */
struct told {
	int64_t last;
	int calls;
};

static thaw_status ready(void *context, int64_t from)
{
	struct told *told = context;

	CHECK(from < told->last);
	told->last = from;
	told->calls++;
	return THAW_OK;
}

/* Only what trains is written, and all of it; statistics only of norms that use the batch's. */
static void test_writes(const char *device)
{
	static const struct {
		const char *patterns[2];
		int count, backward_steps; /* counted by hand */
		bool frozen_batch_statistics;
	} cases[] = {
		{{"fc"}, 1, 2, false},                    /* loss, fc */
		{{"layer3", "fc"}, 2, 3 + 12, false},     /* loss, fc, pool; 6 convolutions and 6 norms */
		{{"layer3", "fc"}, 2, 3 + 12, true},
		{{"all"}, 1, 3 + 36 + 2 + 2, false},      /* 18 of each in blocks; conv1, bn1; 2 shortcuts */
	};

	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		struct fixture f;
		struct thaw_plan *plan;
		struct told told;

		setup(&f, device, cases[k].patterns, cases[k].count);
		plan = compile(&f, f.trains, cases[k].frozen_batch_statistics);
		told = (struct told){f.elems, 0};
		forward(&f, plan, &f.gradients);
		CHECK_OK(thaw_plan_backward(plan, &f.gradients, ready, &told));
		CHECK_INT(thaw_plan_facts(plan).backward_steps, cases[k].backward_steps);
		for (int i = 0; i < thaw_net_params(f.net); i++) {
			const struct thaw_param *p = thaw_net_param(f.net, i);
			bool state = thaw_role_is_state(p->role), norm_trains = f.trains[i - (p->role == THAW_RUNNING_MEAN ? 2 : 3) * state];
			bool expected = state ? norm_trains || cases[k].frozen_batch_statistics : f.trains[i];
			const float *g = (state ? f.gradients.states : f.gradients.values) + p->offset;

			for (int64_t e = 0; e < p->elems; e++)
				CHECK((g[e] != untouched) == expected && isfinite(g[e]));
			if (state)
				CHECK(thaw_plan_updates(plan)[i] == expected);
			if (f.trains[i])
				CHECK(p->offset >= told.last);
		}
		CHECK(told.calls > 0);
		thaw_plan_free(plan);
		teardown(&f);
	}
}

/* Freezing keeps fewer bytes from forward to backward. */
static void test_frozen_keeps_less(const char *device)
{
	size_t kept[3];

	for (int i = 0; i < 3; i++) {
		static const char *const patterns[] = {"fc", "layer3", "all"};
		struct fixture f;
		struct thaw_plan *plan;

		setup(&f, device, &patterns[i], 1);
		plan = compile(&f, f.trains, false);
		kept[i] = thaw_plan_facts(plan).kept_bytes;
		thaw_plan_free(plan);
		teardown(&f);
	}
	CHECK(kept[0] < 64 * 1024 && kept[0] * 10 < kept[1] && kept[1] * 2 < kept[2]);
}

/* Evaluating between training steps changes nothing, and evaluation sees the newest parameters. */
static void test_plans_share_a_device(const char *device)
{
	double losses[2][4], evaluated[4];

	for (int with = 0; with < 2; with++) {
		struct fixture f;
		struct thaw_optimizer optimizer;
		struct thaw_plan *train, *eval;

		setup(&f, device, (const char *[]){"all"}, 1);
		CHECK_OK(thaw_optimizer_init(&optimizer, &(struct thaw_optimizer_spec){.kind = "sgd", .momentum = 0.9, .threads = 1},
		                             &f.params));
		train = compile(&f, f.trains, false);
		eval = compile(&f, NULL, false);
		for (int step = 0; step < 4; step++) {
			losses[with][step] = forward(&f, train, &f.gradients).loss;
			CHECK_OK(thaw_plan_backward(train, &f.gradients, NULL, NULL));
			thaw_optimizer_step(&optimizer,
			                    &(struct thaw_update){&f.gradients, f.trains, thaw_plan_updates(train), 0.05, 1.0});
			if (with)
				evaluated[step] = forward(&f, eval, NULL).loss;
		}
		thaw_plan_free(train);
		thaw_plan_free(eval);
		thaw_optimizer_release(&optimizer);
		teardown(&f);
	}
	for (int step = 0; step < 4; step++)
		CHECK_NEAR(losses[0][step], losses[1][step], 0);
	CHECK(losses[0][3] < losses[0][0]);
	CHECK(evaluated[0] != evaluated[1] && evaluated[1] != evaluated[2]);
}

/* Pictures with label -1 count for nothing, and leave the others' results alone. */
static void test_fillers(const char *device)
{
	struct fixture f;
	struct thaw_plan *plan;
	struct thaw_score all, first, rest;
	int32_t labels[N];

	setup(&f, device, (const char *[]){"fc"}, 1);
	memcpy(labels, f.labels, sizeof labels);
	plan = compile(&f, NULL, false);
	all = forward(&f, plan, NULL);
	f.labels[2] = f.labels[3] = -1;
	first = forward(&f, plan, NULL);
	memcpy(f.labels, labels, sizeof labels);
	f.labels[0] = f.labels[1] = -1;
	rest = forward(&f, plan, NULL);
	CHECK_INT(all.count, 4);
	CHECK_INT(first.count, 2);
	CHECK_INT(first.top1 + rest.top1, all.top1);
	CHECK_INT(first.top5 + rest.top5, all.top5);
	CHECK_NEAR(first.loss + rest.loss, all.loss, 1e-12);
	thaw_plan_free(plan);
	teardown(&f);
}

/* The gradient of fc's bias and the loss, worked from the probabilities: with smoothing, class weights and mixed
 * labels, for a batch that is a part of a larger one. An evaluation of the same spec stays plain. */
static void test_loss_as_trained(const char *device)
{
	static const double weights[CLASSES] = {0.5, 1, 2, 1, 1, 3}, shares[N] = {1, 0.25, 0.5, 1};
	static const int32_t mixed[N] = {-1, 5, 1, 0};
	const double smoothing = 0.3, rest = 7; /* the weight of what others have of the global batch */
	struct thaw_plan_spec spec = {.batch = N, .std = {1, 1, 1}, .loss = {.smoothing = smoothing}};
	struct thaw_input input = {.mixed = mixed, .shares = shares, .global_count = 2 * N};
	double loss = 0, weight = 0, gradient[CLASSES] = {0}, plain = 0, copy[CLASSES];
	float predictions[N * CLASSES];
	struct thaw_score score;
	struct thaw_plan *plan;
	struct fixture f;
	const float *dbias;

	setup(&f, device, (const char *[]){"fc"}, 1);
	f.labels[3] = -1;
	memcpy(copy, weights, sizeof copy);
	spec.loss.class_weights = copy;
	spec.device = f.device, spec.params = &f.params, spec.trains = f.trains;
	CHECK_OK(thaw_plan_compile(f.net, &spec, &plan));
	memset(copy, 0xff, sizeof copy); /* the plan has its own */
	spec.loss.class_weights = weights;
	for (int n = 0; n < N - 1; n++)
		weight += thaw_loss_weight(&spec.loss, f.labels[n], mixed[n], shares[n]);
	CHECK_NEAR(weight, 0.5 + (0.25 * 1 + 0.75 * 3) + (0.5 * 2 + 0.5 * 1), 1e-15); /* labels 0, 1, 2 */
	input.pixels = f.pixels, input.labels = f.labels, input.predictions = predictions;
	input.global_weight = weight + rest;
	CHECK_OK(thaw_plan_forward(plan, &input, &f.gradients, &score));
	CHECK_OK(thaw_plan_backward(plan, &f.gradients, NULL, NULL));
	for (int n = 0; n < N - 1; n++) {
		const float *p = predictions + n * CLASSES;
		double t[CLASSES], all = 0;

		for (int c = 0; c < CLASSES; c++) {
			double on = shares[n] * (c == f.labels[n]) + (1 - shares[n]) * (c == mixed[n]);

			t[c] = weights[c] * (0.7 * on + 0.3 / CLASSES);
			all += t[c];
			loss -= t[c] * log(p[c]);
		}
		for (int c = 0; c < CLASSES; c++)
			gradient[c] += (all * p[c] - t[c]) / (weight + rest);
		plain -= log(p[f.labels[n]]);
	}
	dbias = f.gradients.values + thaw_net_param(f.net, thaw_net_params(f.net) - 1)->offset;
	for (int c = 0; c < CLASSES; c++)
		CHECK_NEAR(dbias[c], gradient[c], 1e-6);
	CHECK_NEAR(score.loss, loss, 1e-5);
	CHECK_NEAR(score.weight, weight, 1e-12);
	CHECK_INT(score.count, N - 1);
	thaw_plan_free(plan);

	spec.trains = NULL;
	input.mixed = NULL;
	CHECK_OK(thaw_plan_compile(f.net, &spec, &plan));
	CHECK_OK(thaw_plan_forward(plan, &input, NULL, &score));
	CHECK_NEAR(score.loss, plain, 1e-4); /* the backbone is frozen: the same probabilities, but for rounding */
	CHECK_NEAR(score.weight, N - 1, 0);
	thaw_plan_free(plan);
	teardown(&f);
}

static void test_loss_refusals(void)
{
	static const double bad[] = {NAN, INFINITY, -1};
	double weights[] = {1, 1, 1};
	struct thaw_loss loss = {.smoothing = 0.1, .class_weights = weights};

	CHECK_OK(thaw_loss_check(&loss, 3));
	CHECK_NEAR(thaw_loss_weight(&(struct thaw_loss){0}, 2, -1, 1), 1, 0);
	loss.smoothing = 1;
	CHECK_FAILS(thaw_loss_check(&loss, 3), THAW_BAD_JOB, "loss.smoothing: 1,");
	loss.smoothing = 0;
	weights[1] = 0;
	CHECK_FAILS(thaw_loss_check(&loss, 3), THAW_BAD_JOB, "loss.class_weights: 0 for class 1");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		weights[1] = 1;
		loss.smoothing = bad[i];
		CHECK_FAILS(thaw_loss_check(&loss, 3), THAW_BAD_JOB, "loss.smoothing");
		loss.smoothing = 0;
		weights[1] = bad[i];
		CHECK_FAILS(thaw_loss_check(&loss, 3), THAW_BAD_JOB, "loss.class_weights");
	}
}

/* A NaN in the input reaches the loss, where the run looks for it, and is never a right answer. */
static void test_nan_reaches_the_loss(const char *device)
{
	struct fixture f;
	struct thaw_plan *plan;
	struct thaw_score score;

	setup(&f, device, (const char *[]){"all"}, 1);
	f.params.values[3] = NAN;
	plan = compile(&f, f.trains, false);
	score = forward(&f, plan, &f.gradients);
	CHECK(isnan(score.loss));
	CHECK_INT(score.top1, 0);
	thaw_plan_free(plan);
	teardown(&f);
}

int main(void)
{
	struct thaw_device *device;

	for (int i = 0; i < 2; i++) {
		const char *name = (const char *const[]){"cpu", "reference"}[i];

		test_writes(name);
		test_frozen_keeps_less(name);
		test_plans_share_a_device(name);
		test_fillers(name);
		test_nan_reaches_the_loss(name);
		test_loss_as_trained(name);
	}
	test_loss_refusals();
	CHECK_FAILS(thaw_device_open("gpu", 1, 0, &device), THAW_BAD_JOB, "cpu reference");
	return TEST_END();
}
