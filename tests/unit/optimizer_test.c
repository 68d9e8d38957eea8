/*
 * Optimizers, clipping and averages: what is refused, what is left alone, and the same bits whatever the threads. The
 * numbers themselves are compared with PyTorch's in tests/golden.
 */
#include "base/random.h"
#include "nn/average.h"
#include "nn/clip.h"
#include "nn/device.h"
#include "nn/models.h"
#include "nn/optimizer.h"
#include "tests/test.h"

enum { SIZE = 32, CLASSES = 4 };

/* A network whose largest parameters are shared out among threads, with gradients. */
struct fixture {
	struct thaw_net *net;
	struct thaw_params params;
	struct thaw_gradients gradients;
	bool trains[128], updates[128];
	int64_t elems, states;
};

static void setup(struct fixture *f)
{
	*f = (struct fixture){0};
	CHECK_OK(thaw_model_build("resnet20", CLASSES, SIZE, &f->net));
	CHECK_OK(thaw_params_init(&f->params, f->net));
	thaw_params_randomize(&f->params, 3);
	CHECK_OK(thaw_net_select(f->net, (const char *[]){"all"}, 1, f->trains));
	f->elems = thaw_net_param_elems(f->net);
	f->states = thaw_net_state_elems(f->net);
	f->gradients.values = malloc((size_t)f->elems * sizeof(float));
	f->gradients.states = calloc((size_t)f->states, sizeof(float));
}

static void teardown(struct fixture *f)
{
	free(f->gradients.values);
	free(f->gradients.states);
	thaw_params_release(&f->params);
	thaw_net_free(f->net);
}

/* Also between the parameters and of those that are frozen, where nothing may look: NaN. */
static void draw_gradients(struct fixture *f, int step)
{
	struct thaw_random random;

	for (int64_t i = 0; i < f->elems; i++)
		f->gradients.values[i] = NAN;
	for (int i = 0; i < thaw_net_params(f->net); i++) {
		const struct thaw_param *p = thaw_net_param(f->net, i);

		thaw_random_init(&random, 9, THAW_RANDOM_TEST, (uint32_t)i, (uint32_t)step);
		for (int64_t k = 0; f->trains[i] && k < p->elems; k++)
			f->gradients.values[p->offset + k] = (float)thaw_random_between(&random, -1, 1);
	}
}

static void step_by(struct fixture *f, struct thaw_optimizer *optimizer, int step)
{
	draw_gradients(f, step);
	thaw_optimizer_step(optimizer, &(struct thaw_update){&f->gradients, f->trains, f->updates, 0.01, 0.5});
}

static const struct thaw_optimizer_spec adam = {
	.kind = "adam", .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.01, .threads = 1};

/* --- what is refused --------------------------------------------------------------------------------------------- */

static thaw_status try(struct thaw_optimizer_spec spec)
{
	static struct fixture f;
	struct thaw_optimizer optimizer;
	thaw_status status;

	if (!f.net)
		setup(&f);
	status = thaw_optimizer_init(&optimizer, &spec, &f.params);
	if (!status)
		thaw_optimizer_release(&optimizer);
	return status;
}

static void test_refusals(void)
{
	static const double bad[] = {NAN, -INFINITY, INFINITY, -0.1};
	struct thaw_optimizer_spec sgd = {.kind = "sgd", .momentum = 0.9, .threads = 1}, s = sgd;
	double scales[128];

	CHECK_OK(try(sgd));
	CHECK_OK(try(adam));
	s.kind = "sgdm";
	CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.kind: unknown optimizer 'sgdm'");
	s = sgd, s.momentum = 1.5;
	CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.momentum: 1.5");
	s = sgd, s.momentum = 1;
	CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.momentum: 1, allowed is 0 to below 1");
	s = sgd, s.momentum = 0, s.nesterov = true;
	CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.nesterov");
	s = adam, s.beta1 = 1;
	CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.beta1: 1,");
	s = adam, s.beta2 = 1;
	CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.beta2: 1,");
	s = adam, s.epsilon = 0;
	CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.epsilon: 0");
	s = adam, s.epsilon = 1e-50; /* 0 in single precision */
	CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.epsilon: 1e-50");
	for (int i = 0; i < 128; i++)
		scales[i] = 1;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		s = sgd, s.momentum = bad[i];
		CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.momentum");
		s = sgd, s.weight_decay = bad[i];
		CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.weight_decay");
		s = adam, s.kind = "adamw", s.weight_decay = bad[i];
		CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.weight_decay");
		s = adam, s.beta1 = bad[i];
		CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.beta1");
		s = adam, s.beta2 = bad[i];
		CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.beta2");
		s = adam, s.epsilon = bad[i];
		CHECK_FAILS(try(s), THAW_BAD_JOB, "optimizer.epsilon");
		s = sgd, s.lr_scale = scales, scales[0] = bad[i];
		CHECK_FAILS(try(s), THAW_BAD_JOB, "'conv1.weight'");
		CHECK_FAILS(thaw_clip_check(bad[i]), THAW_BAD_JOB, "optimizer.clip");
		CHECK_FAILS(thaw_average_init(NULL, &(struct thaw_average_spec){bad[i], false, 1}, NULL), THAW_BAD_JOB,
		            "average.decay");
	}
	CHECK_FAILS(thaw_clip_check(0), THAW_BAD_JOB, "optimizer.clip: 0");
	CHECK_OK(thaw_clip_check(1));
	CHECK_FAILS(thaw_average_init(NULL, &(struct thaw_average_spec){1, false, 1}, NULL), THAW_BAD_JOB,
	            "average.decay: 1");
}

/* --- bits -------------------------------------------------------------------------------------------------------- */

static bool same(const float *a, const float *b, int64_t elems)
{
	return memcmp(a, b, (size_t)elems * sizeof *a) == 0;
}

/* Every kind, three steps, by one thread and by three. */
static void test_threads_do_not_matter(void)
{
	for (int kind = 0; thaw_optimizer_kind(kind); kind++) {
		struct thaw_optimizer optimizers[2];
		struct thaw_average averages[2];
		struct fixture f[2];
		double norms[2];

		for (int k = 0; k < 2; k++) {
			struct thaw_optimizer_spec spec = adam;

			spec.kind = thaw_optimizer_kind(kind), spec.momentum = 0.9, spec.threads = k ? 3 : 1;
			setup(&f[k]);
			CHECK_OK(thaw_optimizer_init(&optimizers[k], &spec, &f[k].params));
			CHECK_OK(
				thaw_average_init(&averages[k], &(struct thaw_average_spec){0.9, true, spec.threads}, &f[k].params));
			for (int step = 0; step < 3; step++) {
				step_by(&f[k], &optimizers[k], step);
				thaw_average_update(&averages[k], step);
			}
			norms[k] = thaw_gradients_norm(f[k].net, &f[k].gradients, f[k].trains, spec.threads);
		}
		CHECK(norms[0] == norms[1]);
		CHECK(same(f[0].params.values, f[1].params.values, f[0].elems));
		CHECK(same(averages[0].values, averages[1].values, f[0].elems));
		for (int s = 0; s < optimizers[0].slots; s++)
			CHECK(same(optimizers[0].slot[s], optimizers[1].slot[s], f[0].elems));
		for (int64_t i = 0; i < f[0].elems; i++)
			CHECK(isfinite(f[0].params.values[i]));
		for (int k = 0; k < 2; k++) {
			thaw_optimizer_release(&optimizers[k]);
			thaw_average_release(&averages[k]);
			teardown(&f[k]);
		}
	}
}

/* Parameters, slots and counts are all there is: an optimizer that gets them goes on with the same bits. */
static void test_going_on(void)
{
	struct thaw_optimizer through, again;
	struct fixture a, b;

	setup(&a);
	setup(&b);
	CHECK_OK(thaw_optimizer_init(&through, &adam, &a.params));
	CHECK_OK(thaw_optimizer_init(&again, &adam, &b.params));
	for (int step = 0; step < 6; step++) {
		CHECK_OK(thaw_net_select(a.net, (const char *[]){step < 2 ? "fc" : "all"}, 1, a.trains));
		step_by(&a, &through, step);
		if (step == 3) {
			memcpy(b.params.values, a.params.values, (size_t)a.elems * sizeof(float));
			memcpy(again.steps, through.steps, (size_t)thaw_net_params(a.net) * sizeof(float));
			for (int s = 0; s < through.slots; s++)
				memcpy(again.slot[s], through.slot[s], (size_t)a.elems * sizeof(float));
		} else if (step > 3) {
			step_by(&b, &again, step);
		}
	}
	CHECK(same(a.params.values, b.params.values, a.elems));
	CHECK_NEAR(through.steps[0], 4, 0); /* frozen for two steps of six */
	CHECK_NEAR(through.steps[thaw_net_params(a.net) - 1], 6, 0);
	thaw_optimizer_release(&through);
	thaw_optimizer_release(&again);
	teardown(&a);
	teardown(&b);
}

/* --- norms ------------------------------------------------------------------------------------------------------- */

/* 3 and 4 in two parameters that train make 5; what is frozen counts for nothing, and neither does padding. */
static void test_norm_by_hand(void)
{
	const struct thaw_param *first, *last;
	struct fixture f;
	int params;

	setup(&f);
	params = thaw_net_params(f.net);
	first = thaw_net_param(f.net, 0), last = thaw_net_param(f.net, params - 1);
	for (int64_t i = 0; i < f.elems; i++)
		f.gradients.values[i] = NAN;
	memset(f.trains, 0, sizeof f.trains);
	f.trains[0] = f.trains[params - 1] = true;
	for (int64_t k = 0; k < first->elems; k++)
		f.gradients.values[first->offset + k] = 0;
	for (int64_t k = 0; k < last->elems; k++)
		f.gradients.values[last->offset + k] = 0;
	f.gradients.values[first->offset + first->elems - 1] = -3;
	f.gradients.values[last->offset + last->elems - 1] = 4;
	CHECK_NEAR(thaw_gradients_norm(f.net, &f.gradients, f.trains, 1), 5, 0);
	CHECK_INT(thaw_gradients_broken(f.net, &f.gradients, f.trains), -1);
	CHECK_NEAR(thaw_clip_factor(5, 1), 1 / (5 + 1e-6), 0);
	CHECK_NEAR(thaw_clip_factor(5, 5), 5 / (5 + 1e-6), 0);
	CHECK_NEAR(thaw_clip_factor(5, 6), 1, 0);
	CHECK_NEAR(thaw_clip_factor(0, 1e-7), 0.1, 1e-15);

	f.gradients.values[last->offset] = 3e38f; /* its square is beyond float32 */
	CHECK_NEAR(thaw_gradients_norm(f.net, &f.gradients, f.trains, 1) / 3e38, 1, 1e-6);
	f.gradients.values[last->offset] = INFINITY;
	CHECK(!isfinite(thaw_gradients_norm(f.net, &f.gradients, f.trains, 1)));
	CHECK_INT(thaw_gradients_broken(f.net, &f.gradients, f.trains), params - 1);
	f.gradients.values[first->offset] = NAN;
	CHECK(!isfinite(thaw_gradients_norm(f.net, &f.gradients, f.trains, 1)));
	CHECK_INT(thaw_gradients_broken(f.net, &f.gradients, f.trains), 0);
	teardown(&f);
}

/* --- averages ---------------------------------------------------------------------------------------------------- */

static double loss_of(struct fixture *f, struct thaw_plan *plan)
{
	static uint8_t pixels[2 * SIZE * SIZE * 3];
	const int32_t labels[2] = {0, 1};
	struct thaw_score score = {0};

	for (size_t i = 0; i < sizeof pixels; i++)
		pixels[i] = (uint8_t)(i * i >> 3);
	CHECK_OK(thaw_plan_forward(plan, &(struct thaw_input){.pixels = pixels, .labels = labels, .global_count = 2},
	                           plan && f->trains[0] ? &f->gradients : NULL, &score));
	return score.loss;
}

/* A plan made before sees the average while it is swapped in, and the parameters after; so does one that trains. */
static void test_swap(const char *device_name, bool training)
{
	struct thaw_device *device;
	struct thaw_optimizer optimizer;
	struct thaw_average average;
	struct thaw_plan *plan, *fresh;
	struct thaw_plan_spec spec;
	struct fixture f;
	double before, swapped;
	float *values;

	setup(&f);
	CHECK_OK(thaw_device_open(device_name, 1, 0, &device));
	spec = (struct thaw_plan_spec){.device = device, .params = &f.params, .batch = 2, .std = {1, 1, 1}};
	spec.trains = training ? f.trains : NULL;
	CHECK_OK(thaw_optimizer_init(&optimizer, &adam, &f.params));
	CHECK_OK(thaw_average_init(&average, &(struct thaw_average_spec){0.9, false, 1}, &f.params));
	CHECK_OK(thaw_plan_compile(f.net, &spec, &plan));
	for (int step = 0; step < 3; step++) {
		step_by(&f, &optimizer, step);
		thaw_average_update(&average, step);
	}
	values = f.params.values;
	before = loss_of(&f, plan);
	thaw_average_swap(&average);
	CHECK(f.params.values != values && average.values == values);
	swapped = loss_of(&f, plan);
	CHECK_OK(thaw_plan_compile(f.net, &spec, &fresh));
	CHECK_NEAR(loss_of(&f, fresh), swapped, 0);
	CHECK(swapped != before);
	thaw_average_swap(&average);
	CHECK_NEAR(loss_of(&f, plan), before, 0);
	thaw_plan_free(plan);
	thaw_plan_free(fresh);
	thaw_average_release(&average);
	thaw_optimizer_release(&optimizer);
	thaw_device_free(device);
	teardown(&f);
}

/* 1, then 3, then 3: with d = 0.5 the average is 1, 2, 2.5; frozen ones stay what they are to the bit. */
static void test_average_by_hand(void)
{
	struct thaw_average average;
	struct fixture f;
	float frozen;

	setup(&f);
	CHECK_OK(thaw_average_init(&average, &(struct thaw_average_spec){0.5, false, 1}, &f.params));
	frozen = f.params.values[1];
	f.params.values[2] = -0.0f; /* frozen too */
	f.params.values[0] = 1;
	thaw_average_update(&average, 0);
	CHECK_NEAR(average.values[0], 1, 0);
	f.params.values[0] = 3;
	thaw_average_update(&average, 1);
	CHECK_NEAR(average.values[0], 2, 0);
	thaw_average_update(&average, 2);
	CHECK_NEAR(average.values[0], 2.5, 0);
	CHECK(memcmp(&average.values[1], &frozen, sizeof frozen) == 0);
	CHECK(average.values[2] == 0 && signbit(average.values[2]));
	thaw_average_release(&average);
	/* With warm-up, d is 2/11 after the second update and 3/12 after the third: 3 + 2/11 (1 - 3), and so on. */
	CHECK_OK(thaw_average_init(&average, &(struct thaw_average_spec){0.5, true, 1}, &f.params));
	f.params.values[0] = 1;
	thaw_average_update(&average, 0);
	f.params.values[0] = 3;
	thaw_average_update(&average, 1);
	CHECK_NEAR(average.values[0], 3 - 4.0 / 11, 1e-6);
	thaw_average_update(&average, 2);
	CHECK_NEAR(average.values[0], 3 - 1.0 / 11, 1e-6);
	thaw_average_release(&average);
	teardown(&f);
}

int main(void)
{
	static const char *const devices[] = {"cpu", "reference"};

	test_refusals();
	test_threads_do_not_matter();
	test_going_on();
	test_norm_by_hand();
	test_average_by_hand();
	for (int i = 0; i < 2; i++) {
		test_swap(devices[i], false);
		test_swap(devices[i], true);
	}
	return TEST_END();
}
