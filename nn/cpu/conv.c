/*
 * Convolution: each pass of each layer by the implementation that timing found fastest.
 *
 * The candidates are the rows of one table. Timing runs once per shape and machine (nn/cpu/tuning.h), on a small
 * batch, and asks for a clear lead before it leaves an earlier row, so that noise decides nothing. Where the memory
 * to time with is missing, or the device is `untimed`, the first row is taken that can. THAW_CONVOLUTION
 * in the environment names a row to take wherever it can do the pass: `direct` for the smallest rounding errors.
 */
#include "nn/cpu/cpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/available.h"
#include "base/clock.h"
#include "base/mem.h"
#include "nn/cpu/onednn.h"
#include "nn/cpu/tuning.h"

static const struct implementation {
	const char *name;
	enum thaw_algorithm algorithm;
	bool plain; /* works on NCHW: activations are copied to and from it */
	bool timed; /* competes by time; else taken only when those before cannot do the layer */
} implementations[] = {
	{"direct", THAW_DIRECT, false, true},
	{"winograd", THAW_WINOGRAD, false, true},
	{"plain", THAW_DIRECT, true, false},
};
enum { IMPLEMENTATIONS = sizeof implementations / sizeof *implementations };

static bool is_implementation(const char *name)
{
	for (int i = 0; i < IMPLEMENTATIONS; i++)
		if (strcmp(implementations[i].name, name) == 0)
			return true;
	return false;
}

/* What THAW_CONVOLUTION asks for; "" for nothing. */
static const char *asked_for(void)
{
	const char *name = getenv("THAW_CONVOLUTION");

	return name ? name : "";
}

thaw_status thaw_cpu_conv_start(void)
{
	if (!*asked_for() || is_implementation(asked_for()))
		return THAW_OK;
	return thaw_fail(THAW_BAD_JOB, "THAW_CONVOLUTION: unknown implementation '%s': there are direct, winograd, plain",
	                 asked_for());
}

static const double clear_lead = 0.92; /* time of a later row over that of an earlier one, to be preferred */
enum { TIMED_BATCH = 4, TIMED_RUNS = 3 };

/* One pass as chosen. */
struct pass {
	const struct implementation *implementation;
	struct thaw_onednn_conv *conv;
	struct thaw_tensor x, y; /* as conv sees them; `plain`: in the workspace */

	/* Offsets in the workspace, bytes; x stands at 0. */
	size_t y_at, scratch_at;
	size_t weights_at; /* the weights or their gradient, in conv's layout */
};

struct state {
	struct pass forward, data, weights;
	void *own_weights; /* in the layout of the forward pass; NULL where they change with every step and each pass lays
	                    * them out in the workspace */
	bool shares;       /* the data pass takes own_weights as they are */
	float *bias;       /* (K) of a folded step */
};

static struct thaw_conv_spec spec_of(const struct thaw_step *step, enum thaw_pass pass,
                                     const struct implementation *how, int n)
{
	const struct thaw_tensor *x = step->x, *y = step->y;
	bool forward = pass <= THAW_INFERENCE;

	return (struct thaw_conv_spec){
		.pass = pass,
		.algorithm = how->algorithm,
		.n = n,
		.c = x->c,
		.h = x->h,
		.w = x->w,
		.k = y->c,
		.oh = y->h,
		.ow = y->w,
		.kernel = step->kernel,
		.stride = step->stride,
		.pad = step->pad,
		.groups = step->groups,
		.x_block = how->plain ? 1 : x->block,
		.y_block = how->plain ? 1 : y->block,
		.bias = forward && (step->bias || step->fold),
		.add = forward && step->residual,
		.relu = forward && step->relu,
	};
}

static void key_of(const struct thaw_conv_spec *s, int threads, char key[160])
{
	static const char *const passes[THAW_PASSES] = {"forward", "inference", "data", "weights"};

	snprintf(key, 160, "%s %dx%dx%d to %d kernel %d stride %d pad %d groups %d%s%s%s blocks %d %d threads %d",
	         passes[s->pass], s->c, s->h, s->w, s->k, s->kernel, s->stride, s->pad, s->groups, s->bias ? " bias" : "",
	         s->add ? " add" : "", s->relu ? " relu" : "", s->x_block, s->y_block, threads);
}

/* Seconds of the fastest of a few runs on made-up numbers. */
static thaw_status time_of(struct thaw_onednn_conv *conv, const struct thaw_conv_spec *s, double *seconds_out)
{
	struct thaw_tensor x = {.n = s->n, .c = s->c, .h = s->h, .w = s->w},
					   y = {.n = s->n, .c = s->k, .h = s->oh, .w = s->ow};
	size_t weight_bytes = thaw_onednn_conv_weight_bytes(conv), scratch_bytes = thaw_onednn_conv_scratch_bytes(conv);
	static const char what[] = "tensors that convolutions are timed with";
	struct thaw_conv_memory m = {0};
	double best = INFINITY;
	thaw_status status;

	thaw_tensor_layout(&x, s->x_block);
	thaw_tensor_layout(&y, s->y_block);
	status = thaw_memory_check(thaw_memory_available(""), 1, 0,
	                           x.size_bytes + y.size_bytes + weight_bytes + scratch_bytes, what);
	if (status)
		return status;
	m.x = thaw_alloc_slab(x.size_bytes, what);
	m.y = thaw_alloc_slab(y.size_bytes, what);
	m.weights = thaw_alloc_slab(weight_bytes, what);
	m.bias = thaw_alloc_slab((size_t)s->k * sizeof(float), what);
	m.scratch = thaw_alloc_slab(scratch_bytes, what);
	if (!m.x || !m.y || !m.weights || !m.bias || !m.scratch)
		status = THAW_OUT_OF_MEMORY;
	for (int run = 0; run <= TIMED_RUNS && !status; run++) {
		double begin = thaw_clock_seconds(), seconds;

		status = thaw_onednn_conv_run(conv, &m);
		seconds = thaw_clock_seconds() - begin;
		if (run > 0 && seconds < best) /* the first run warms up */
			best = seconds;
	}
	thaw_free_slab(m.x), thaw_free_slab(m.y), thaw_free_slab(m.weights), thaw_free_slab(m.bias),
		thaw_free_slab(m.scratch);
	*seconds_out = best;
	return status;
}

/* Times every candidate that can do the pass; the name of the one to take. */
static thaw_status fastest(const struct thaw_step *step, enum thaw_pass pass, const char **name_out)
{
	double best = INFINITY;
	int n = step->x->n < TIMED_BATCH ? step->x->n : TIMED_BATCH;

	for (int i = 0; i < IMPLEMENTATIONS; i++) {
		struct thaw_conv_spec spec = spec_of(step, pass, &implementations[i], n);
		struct thaw_onednn_conv *conv;
		double seconds = 0;
		thaw_status status;

		if (!implementations[i].timed && best < INFINITY)
			continue;
		status = thaw_onednn_conv_create(&spec, &conv);
		if (status == THAW_FAILED)
			continue; /* not what oneDNN can do this way */
		if (status)
			return status;
		status = time_of(conv, &spec, &seconds);
		thaw_onednn_conv_free(conv);
		if (status)
			return status;
		if (best == INFINITY || seconds < clear_lead * best) {
			best = seconds;
			*name_out = implementations[i].name;
		}
	}
	return best < INFINITY ? THAW_OK : thaw_fail(THAW_FAILED, "'%s': oneDNN has no convolution for this", step->name);
}

/* Whether more than one row could do the pass: else there is nothing to time. */
static bool has_rivals(const struct thaw_step *step)
{
	return step->kernel == 3 && step->stride == 1 && step->groups == 1; /* Winograd's only case */
}

/* The name of the row to take: the one asked for, the one that timing found before or finds now; NULL where there is
 * no choice, or none without timing. */
static thaw_status name_of(const struct thaw_step *step, enum thaw_pass pass, const char **name_out)
{
	struct thaw_conv_spec spec = spec_of(step, pass, &implementations[0], step->x->n);
	thaw_status status;
	char key[160];

	*name_out = *asked_for() ? asked_for() : NULL;
	if (*name_out || !has_rivals(step))
		return THAW_OK;
	key_of(&spec, step->device->threads, key);
	*name_out = thaw_tuning_find(key, is_implementation);
	if (*name_out || step->device->untimed)
		return THAW_OK;
	status = fastest(step, pass, name_out);
	if (status == THAW_OUT_OF_MEMORY) { /* for the timing: the layer may need less, so all ranks take the first row */
		*name_out = implementations[0].name;
		return thaw_tuning_note(key, *name_out);
	}
	return status ? status : thaw_tuning_add(key, *name_out);
}

/* The row called `name` if it can do the pass, else the first that can; Winograd only by name. */
static thaw_status choose(const struct thaw_step *step, enum thaw_pass pass, struct pass *out)
{
	const char *name;
	thaw_status status = name_of(step, pass, &name);

	if (status)
		return status;
	for (int turn = name ? 0 : 1; turn < 2; turn++) {
		for (int i = 0; i < IMPLEMENTATIONS; i++) {
			const struct implementation *row = &implementations[i];
			struct thaw_conv_spec spec = spec_of(step, pass, row, step->x->n);

			if (turn == 0 ? strcmp(name, row->name) != 0 : row->algorithm == THAW_WINOGRAD)
				continue;
			status = thaw_onednn_conv_create(&spec, &out->conv);
			if (status == THAW_FAILED)
				continue; /* not what oneDNN can do this way */
			out->implementation = row;
			return status;
		}
	}
	return thaw_fail(THAW_FAILED, "'%s': oneDNN has no convolution for this", step->name);
}

/* Makes room in the workspace for what the pass needs: copies of the activations where it works on NCHW, scratch
 * memory and, `with_weights`, weights. */
static void size_pass(struct thaw_step *step, struct pass *pass, bool with_weights)
{
	size_t at = 0;

	pass->x = *step->x;
	pass->y = *step->y;
	if (pass->implementation->plain) {
		thaw_tensor_layout(&pass->x, 1);
		thaw_tensor_layout(&pass->y, 1);
		pass->y_at = (pass->x.size_bytes + 63) / 64 * 64;
		at = pass->y_at + (pass->y.size_bytes + 63) / 64 * 64;
	}
	pass->scratch_at = at;
	at += (thaw_onednn_conv_scratch_bytes(pass->conv) + 63) / 64 * 64;
	pass->weights_at = at;
	if (with_weights)
		at += thaw_onednn_conv_weight_bytes(pass->conv);
	if (at > step->workspace_bytes)
		step->workspace_bytes = at;
}

static void release(struct thaw_step *step)
{
	struct state *state = step->state;

	if (!state)
		return;
	thaw_onednn_conv_free(state->forward.conv);
	thaw_onednn_conv_free(state->data.conv);
	thaw_onednn_conv_free(state->weights.conv);
	thaw_free_slab(state->own_weights);
	free(state->bias);
	free(state);
	step->state = NULL;
}

static thaw_status prepare_forward(struct thaw_step *step, struct state *state)
{
	thaw_status status = choose(step, step->dy_count ? THAW_FORWARD : THAW_INFERENCE, &state->forward);

	if (status)
		return status;
	size_pass(step, &state->forward, step->dweight != NULL);
	if (!step->dweight) {
		state->own_weights =
			thaw_alloc_slab(thaw_onednn_conv_weight_bytes(state->forward.conv), "weights in oneDNN's layout");
		if (!state->own_weights)
			return THAW_OUT_OF_MEMORY;
	}
	if (step->fold) {
		state->bias = thaw_alloc((size_t)step->y->c, sizeof *state->bias);
		if (!state->bias)
			return THAW_OUT_OF_MEMORY;
	}
	return THAW_OK;
}

static thaw_status prepare_backward(struct thaw_step *step, struct state *state)
{
	thaw_status status = THAW_OK;

	if (step->dx) {
		status = choose(step, THAW_BACKWARD_DATA, &state->data);
		if (status)
			return status;
		state->shares = state->own_weights && thaw_onednn_conv_same_weights(state->data.conv, state->forward.conv);
		size_pass(step, &state->data, !state->shares);
	}
	if (step->dweight) {
		status = choose(step, THAW_BACKWARD_WEIGHTS, &state->weights);
		if (!status)
			size_pass(step, &state->weights, true);
	}
	return status;
}

static thaw_status prepare(struct thaw_step *step)
{
	struct state *state = thaw_alloc(1, sizeof *state);
	thaw_status status;

	if (!state)
		return THAW_OUT_OF_MEMORY;
	step->state = state;
	thaw_tensor_layout(step->y, thaw_cpu_block(step->y->c));
	step->keeps_x = step->dweight != NULL;
	status = prepare_forward(step, state);
	if (!status)
		status = prepare_backward(step, state);
	if (status)
		release(step);
	return status;
}

static const char *engine(const struct thaw_step *step, enum thaw_step_pass pass)
{
	const struct state *state = step->state;
	const struct pass *const passes[THAW_STEP_PASSES] = {&state->forward, &state->data, &state->weights};

	return passes[pass]->conv ? passes[pass]->implementation->name : NULL;
}

/* weight * gamma / sqrt(variance + epsilon), and beta - mean * that: the norm as a part of the convolution. */
static thaw_status fold(const struct thaw_step *step, struct state *state)
{
	size_t k = (size_t)step->y->c,
		   each = (size_t)(step->x->c / step->groups) * (size_t)step->kernel * (size_t)step->kernel;
	float *folded = thaw_alloc(k * each, sizeof *folded);
	thaw_status status;

	if (!folded)
		return THAW_OUT_OF_MEMORY;
	for (size_t i = 0; i < k; i++) {
		double scale = step->gamma[i] / sqrt((double)step->variance[i] + step->epsilon);

		state->bias[i] = (float)(step->beta[i] + ((step->bias ? step->bias[i] : 0.0) - step->mean[i]) * scale);
		for (size_t j = i * each; j < (i + 1) * each; j++)
			folded[j] = (float)(step->weight[j] * scale);
	}
	status = thaw_onednn_conv_take_weights(state->forward.conv, folded, state->own_weights);
	free(folded);
	return status;
}

static thaw_status refresh(struct thaw_step *step)
{
	struct state *state = step->state;

	if (!state->own_weights)
		return THAW_OK;
	return step->fold ? fold(step, state)
	                  : thaw_onednn_conv_take_weights(state->forward.conv, step->weight, state->own_weights);
}

static char *workspace_at(const struct thaw_step *step, size_t at)
{
	return (char *)step->workspace + at;
}

/* One run of a pass: `weights` in its layout, `bias` (K) or NULL. */
struct operands {
	struct thaw_tensor *x, *y;
	void *weights, *bias;
};

/* Runs a pass, through NCHW copies where the implementation works on those. */
static thaw_status run(struct thaw_step *step, struct pass *pass, struct operands o)
{
	const struct state *state = step->state;
	bool writes_y = pass == &state->forward, writes_x = pass == &state->data;
	struct thaw_conv_memory memory = {.x = o.x->data, .y = o.y->data, .weights = o.weights, .bias = o.bias};
	thaw_status status;

	memory.scratch = workspace_at(step, pass->scratch_at);
	if (pass->implementation->plain) {
		memory.x = pass->x.data = step->workspace;
		memory.y = pass->y.data = (float *)(void *)workspace_at(step, pass->y_at);
		if (!writes_x)
			thaw_cpu_relayout(step->device, o.x, &pass->x);
		if (!writes_y || step->residual)
			thaw_cpu_relayout(step->device, o.y, &pass->y);
	}
	status = thaw_onednn_conv_run(pass->conv, &memory);
	if (!status && pass->implementation->plain && writes_x)
		thaw_cpu_relayout(step->device, &pass->x, o.x);
	if (!status && pass->implementation->plain && writes_y)
		thaw_cpu_relayout(step->device, &pass->y, o.y);
	return status;
}

/* The weights in the workspace, as `pass` reads them. */
static thaw_status lay_out_weights(struct thaw_step *step, struct pass *pass, void **weights_out)
{
	*weights_out = workspace_at(step, pass->weights_at);
	return thaw_onednn_conv_take_weights(pass->conv, step->weight, *weights_out);
}

static thaw_status forward(struct thaw_step *step)
{
	struct state *state = step->state;
	struct operands o = {step->x, step->y, state->own_weights, step->fold ? state->bias : (float *)(size_t)step->bias};
	thaw_status status = THAW_OK;

	if (step->residual && step->residual->data != step->y->data)
		memcpy(step->y->data, step->residual->data, step->y->size_bytes);
	if (!o.weights)
		status = lay_out_weights(step, &state->forward, &o.weights);
	return status ? status : run(step, &state->forward, o);
}

/* dbias: dy summed over pictures and places. */
static void bias_gradient(const struct thaw_step *step)
{
	const struct thaw_tensor *dy = step->dy[0];

#pragma omp parallel for num_threads(step->device->threads) schedule(static)
	for (int k = 0; k < dy->c; k++) {
		double sum = 0.0;

		for (int n = 0; n < dy->n; n++)
			for (int h = 0; h < dy->h; h++)
				for (int w = 0; w < dy->w; w++)
					sum += dy->data[thaw_tensor_at(dy, n, k, h, w)];
		step->dbias[k] = (float)sum;
	}
}

static thaw_status weight_gradient(struct thaw_step *step, struct pass *pass)
{
	void *gradient = workspace_at(step, pass->weights_at);
	thaw_status status = run(step, pass, (struct operands){step->x, step->dy[0], gradient, NULL});

	return status ? status : thaw_onednn_conv_give_weights(pass->conv, gradient, step->dweight);
}

static thaw_status input_gradient(struct thaw_step *step, struct state *state)
{
	struct operands o = {step->dx, step->dy[0], state->own_weights, NULL};
	thaw_status status = THAW_OK;

	if (!state->shares)
		status = lay_out_weights(step, &state->data, &o.weights);
	return status ? status : run(step, &state->data, o);
}

static thaw_status backward(struct thaw_step *step)
{
	struct state *state = step->state;
	thaw_status status = THAW_OK;

	if (step->dweight)
		status = weight_gradient(step, &state->weights);
	if (!status && step->dbias)
		bias_gradient(step);
	if (!status && step->dx)
		status = input_gradient(step, state);
	return status;
}

const struct thaw_op_ops thaw_cpu_conv = {
	.prepare = prepare,
	.refresh = refresh,
	.forward = forward,
	.backward = backward,
	.release = release,
	.engine = engine,
	.gradients_limit = 1,
	.overwrites_residual = true,
};
