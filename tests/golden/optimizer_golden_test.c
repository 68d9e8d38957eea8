/*
 * Optimizers and averages against PyTorch: twenty updates of a few parameters (tests/golden/make_optimizers.py).
 *
 *     optimizer_golden_test <tests/golden>
 */
#include <math.h>

#include "base/random.h"
#include "nn/average.h"
#include "nn/clip.h"
#include "nn/optimizer.h"
#include "tests/golden/golden.h"
#include "tests/test.h"

enum { SEED = 40, STEPS = 20, PARAMS = 7 };

/* How many times PyTorch's own float32 error is allowed, and what is allowed at least: a few roundings. */
#define MULTIPLE 3
#define FLOOR 2e-7

/* What make_optimizers.py draws for each parameter of the table; 0: running statistics. */
static const double gradient_scales[PARAMS] = {1, 0x1p-6, 0x1p-6, 0, 0, 0x1p-3, 1};
static const double lr_scales[PARAMS] = {1, 0.5, 0, 1, 1, 10, 3};

static const struct row {
	const char *name;
	struct thaw_optimizer_spec spec;
	double rate, clip;
	bool scaled, phases;
} rows[] = {
	{"sgd", {.kind = "sgd", .decay_norms = true}, .rate = 0.1},
	{"sgd momentum", {.kind = "sgd", .momentum = 0.9, .decay_norms = true}, .rate = 0.1},
	{"sgd decay", {.kind = "sgd", .momentum = 0.9, .weight_decay = 0.1, .decay_norms = true}, .rate = 0.1},
	{"sgd decay weights", {.kind = "sgd", .momentum = 0.9, .weight_decay = 0.1}, .rate = 0.1},
	{"sgd nesterov",
	 {.kind = "sgd", .momentum = 0.9, .weight_decay = 0.1, .decay_norms = true, .nesterov = true}, .rate = 0.1},
	{"sgd steps",
	 {.kind = "sgd", .momentum = 0.9, .weight_decay = 0.1, .decay_norms = true, .momentum_of_steps = true},
	 .rate = 0.1},
	{"sgd steps nesterov",
	 {.kind = "sgd", .momentum = 0.9, .weight_decay = 0.1, .decay_norms = true, .momentum_of_steps = true,
	  .nesterov = true}, .rate = 0.1},
	{"sgd clip",
	 {.kind = "sgd", .momentum = 0.9, .weight_decay = 0.1, .decay_norms = true}, .rate = 0.1, .clip = 2},
	{"sgd scaled",
	 {.kind = "sgd", .momentum = 0.9, .weight_decay = 0.1, .decay_norms = true}, .rate = 0.1, .scaled = true},
	{"sgd phases", {.kind = "sgd", .momentum = 0.9}, .rate = 0.1, .phases = true},
	{"adam", {.kind = "adam", .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}, .rate = 0.01},
	{"adam decay",
	 {.kind = "adam", .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1, .decay_norms = true},
	 .rate = 0.01},
	{"adam short memory", {.kind = "adam", .beta1 = 0, .beta2 = 0.5, .epsilon = 0.1}, .rate = 0.01},
	{"adam clip", {.kind = "adam", .beta1 = 0.3, .beta2 = 0.99, .epsilon = 0.01}, .rate = 0.01, .clip = 2},
	{"adam phases", {.kind = "adam", .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8}, .rate = 0.01, .phases = true},
	{"adamw",
	 {.kind = "adamw", .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.5, .decay_norms = true},
	 .rate = 0.01},
	{"adamw decay weights",
	 {.kind = "adamw", .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.5}, .rate = 0.01},
	{"adamw scaled",
	 {.kind = "adamw", .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.5, .decay_norms = true},
	 .rate = 0.01, .scaled = true},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* A network of those parameters, and what trains it. */
struct rig {
	struct thaw_net *net;
	struct thaw_params params;
	struct thaw_gradients gradients;
	struct thaw_optimizer optimizer;
};

static struct thaw_net *build(void)
{
	struct thaw_net *net = thaw_net_new();
	thaw_value x;

	x = thaw_net_input(net, (struct thaw_shape){3, 4, 4});
	x = thaw_net_conv(net, "conv1", x, &(struct thaw_conv){.out = 4, .kernel = 3, .pad = 1});
	x = thaw_net_batch_norm(net, "bn1", x);
	x = thaw_net_global_pool(net, x);
	thaw_net_head(net, thaw_net_linear(net, "fc", x, 5));
	CHECK_OK(thaw_net_finish(net));
	CHECK_INT(thaw_net_params(net), PARAMS);
	return net;
}

static void draw(float *values, int64_t count, int param, uint32_t stream, double low, double high)
{
	struct thaw_random random;

	thaw_random_init(&random, SEED, THAW_RANDOM_TEST, (uint32_t)param, stream);
	for (int64_t i = 0; i < count; i++)
		values[i] = (float)thaw_random_between(&random, low, high);
}

static void draw_gradients(struct rig *rig, int step)
{
	for (int i = 0; i < PARAMS; i++) {
		const struct thaw_param *p = thaw_net_param(rig->net, i);
		float *g = rig->gradients.values + p->offset;

		if (thaw_role_is_state(p->role))
			continue;
		draw(g, p->elems, i, (uint32_t)step + 1, -1, 1);
		for (int64_t k = 0; k < p->elems; k++)
			g[k] = k % 8 == 7 ? 0 : g[k] * (float)(gradient_scales[i] * ldexp(1, -(step % 4)));
	}
}

static void rig_init(struct rig *rig, const struct row *row)
{
	struct thaw_optimizer_spec spec = row->spec;
	double scales[PARAMS];

	*rig = (struct rig){.net = build()};
	CHECK_OK(thaw_params_init(&rig->params, rig->net));
	rig->gradients.values = malloc((size_t)thaw_net_param_elems(rig->net) * sizeof(float));
	for (int i = 0; i < PARAMS; i++)
		if (!thaw_role_is_state(thaw_net_param(rig->net, i)->role))
			draw(thaw_params_at(&rig->params, i), thaw_net_param(rig->net, i)->elems, i, 0, -0.5, 0.5);
	spec.threads = 1;
	memcpy(scales, lr_scales, sizeof scales);
	spec.lr_scale = row->scaled ? scales : NULL;
	CHECK_OK(thaw_optimizer_init(&rig->optimizer, &spec, &rig->params));
	memset(scales, 0xff, sizeof scales); /* the optimizer has its own */
}

static void rig_release(struct rig *rig)
{
	thaw_optimizer_release(&rig->optimizer);
	thaw_params_release(&rig->params);
	free(rig->gradients.values);
	thaw_net_free(rig->net);
}

/* One update. What is frozen has gradients that are not numbers: nothing may read them. */
static void move(struct rig *rig, const struct row *row, int step)
{
	static const bool updates[PARAMS];
	bool trains[PARAMS], low = !row->phases || (step >= 7 && (step < 12 || step > 14));
	double factor = 1;

	draw_gradients(rig, step);
	for (int i = 0; i < PARAMS; i++) {
		const struct thaw_param *p = thaw_net_param(rig->net, i);

		trains[i] = !thaw_role_is_state(p->role) && (i > 2 || low);
		for (int64_t k = 0; !trains[i] && k < p->elems && !thaw_role_is_state(p->role); k++)
			rig->gradients.values[p->offset + k] = NAN;
	}
	if (row->clip > 0)
		factor = thaw_clip_factor(thaw_gradients_norm(rig->net, &rig->gradients, trains, 1), row->clip);
	thaw_optimizer_step(&rig->optimizer,
	                    &(struct thaw_update){.gradients = &rig->gradients,
	                                          .trains = trains,
	                                          .updates = updates,
	                                          .rate = row->rate * (1 - 0.03 * step),
	                                          .factor = factor});
}

/* One slab against a row of the fixture: `want` holds the parameters one after another, `allowed` PyTorch's errors. */
static void compare(const struct rig *rig, const char *name, const char *what, const float *slab, const float *want,
                    const float *allowed)
{
	for (int i = 0; i < PARAMS; i++) {
		const struct thaw_param *p = thaw_net_param(rig->net, i);
		double largest = 0, error = 0;

		if (thaw_role_is_state(p->role))
			continue;
		for (int64_t k = 0; k < p->elems; k++) {
			double difference = fabs((double)slab[p->offset + k] - want[k]);

			largest = fmax(largest, fabs(want[k]));
			error = difference <= error ? error : difference; /* a NaN stays */
		}
		if (!(error <= (MULTIPLE * *allowed + FLOOR) * largest))
			TEST_FAIL("%s: %s of '%s' differs by %.3g, PyTorch's float32 by %.3g", name, what, p->name, error / largest,
			          *allowed);
		want += p->elems;
		allowed++;
	}
}

static void check_row(struct golden *golden, const struct row *row)
{
	char path[64];
	size_t elems, allowed_elems, each, params;
	float *want = golden_floats(golden, row->name, &elems), *allowed;
	struct rig rig;

	snprintf(path, sizeof path, "%s_error", row->name);
	allowed = golden_floats(golden, path, &allowed_elems);
	rig_init(&rig, row);
	for (int step = 0; step < STEPS; step++)
		move(&rig, row, step);
	each = (size_t)thaw_net_count(rig.net, NULL), params = PARAMS - 2;
	CHECK_INT(elems, each * (size_t)(1 + rig.optimizer.slots));
	CHECK_INT(allowed_elems, params * (size_t)(1 + rig.optimizer.slots));
	compare(&rig, row->name, "the value", rig.params.values, want, allowed);
	for (int s = 0; s < rig.optimizer.slots; s++)
		compare(&rig, row->name, rig.optimizer.slot_name[s], rig.optimizer.slot[s], want + each * (size_t)(s + 1),
		        allowed + params * (size_t)(s + 1));
	if (rig.optimizer.steps && row->phases) { /* of 20 updates the first three miss 7 and then 3 */
		CHECK_NEAR(rig.optimizer.steps[0], 10, 0);
		CHECK_NEAR(rig.optimizer.steps[2], 10, 0);
		CHECK_NEAR(rig.optimizer.steps[6], 20, 0);
	}
	rig_release(&rig);
	free(want);
	free(allowed);
}

static void check_average(struct golden *golden, const char *name, double decay, bool warm_up)
{
	char path[64];
	size_t elems;
	float *want = golden_floats(golden, name, &elems), *allowed;
	struct thaw_average average;
	struct rig rig;

	snprintf(path, sizeof path, "%s_error", name);
	allowed = golden_floats(golden, path, NULL);
	rig_init(&rig, &rows[1]); /* "sgd momentum" */
	CHECK_OK(thaw_average_init(&average, &(struct thaw_average_spec){decay, warm_up, 1}, &rig.params));
	for (int step = 0; step < STEPS; step++) {
		move(&rig, &rows[1], step);
		thaw_average_update(&average, step);
	}
	CHECK_INT(elems, thaw_net_count(rig.net, NULL));
	compare(&rig, name, "the average", average.values, want, allowed);
	thaw_average_release(&average);
	rig_release(&rig);
	free(want);
	free(allowed);
}

int main(int argc, char **argv)
{
	struct golden *golden;

	if (argc != 2) {
		printf("usage: optimizer_golden_test <tests/golden>\n");
		return 1;
	}
	golden = golden_open(argv[1], "optimizers.h5");
	CHECK_INT(golden_count(golden, "/"), 2 * (ROWS + 2));
	for (int i = 0; i < ROWS; i++)
		check_row(golden, &rows[i]);
	check_average(golden, "average", 0.9, false);
	check_average(golden, "average warm-up", 0.5, true);
	golden_close(golden);
	return TEST_END();
}
