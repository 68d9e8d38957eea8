#include "nn/net.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

struct thaw_net {
	struct thaw_op *ops;
	struct thaw_param *params;
	int ops_count, params_count;
	int64_t param_elems, state_elems;
	char group[16];
	thaw_status status; /* first failure */
	char words[256];    /* its words */
};

static const char *const kind_names[THAW_OP_KINDS] = {
	[THAW_OP_INPUT] = "input",
	[THAW_OP_CONV] = "conv",
	[THAW_OP_BATCH_NORM] = "batch_norm",
	[THAW_OP_RELU] = "relu",
	[THAW_OP_ADD] = "add",
	[THAW_OP_MAX_POOL] = "max_pool",
	[THAW_OP_GLOBAL_POOL] = "global_pool",
	[THAW_OP_SHORTCUT] = "shortcut",
	[THAW_OP_LINEAR] = "linear",
	[THAW_OP_LOSS] = "loss",
};

const char *thaw_op_kind_name(enum thaw_op_kind kind)
{
	return kind_names[kind];
}

struct thaw_net *thaw_net_new(void)
{
	return thaw_alloc(1, sizeof(struct thaw_net));
}

void thaw_net_free(struct thaw_net *net)
{
	if (!net)
		return;
	free(net->ops);
	free(net->params);
	free(net);
}

/* Keeps the first failure of building; everything after it does nothing. */
static void fail(struct thaw_net *net, thaw_status status, const char *format, ...) THAW_PRINTF(3, 4);
static void fail(struct thaw_net *net, thaw_status status, const char *format, ...)
{
	va_list args;

	if (net->status)
		return;
	net->status = status;
	va_start(args, format);
	vsnprintf(net->words, sizeof net->words, format, args);
	va_end(args);
}

/* Room for one more in one of the network's arrays; NULL after fail(). */
static void *grow(struct thaw_net *net, void *array_inout, int count, size_t size_bytes)
{
	void *added = thaw_append(array_inout, (size_t)count, size_bytes);

	if (!added)
		fail(net, THAW_OUT_OF_MEMORY, "out of memory: a network of %d operations", net->ops_count);
	return added;
}

/* Appends an operation that makes a new value from `x` (THAW_NO_VALUE: from nothing) with this shape; NULL after a
 * failure. */
static struct thaw_op *add_op(struct thaw_net *net, enum thaw_op_kind kind, const char *name, thaw_value x,
                              struct thaw_shape shape)
{
	struct thaw_op *op;

	if (net->status)
		return NULL;
	if (shape.c < 1 || shape.h < 1 || shape.w < 1) {
		fail(net, THAW_BAD_JOB, "'%s' would get a picture of %d x %d: the input is too small for this network", name,
		     shape.h, shape.w);
		return NULL;
	}
	op = grow(net, &net->ops, net->ops_count, sizeof *op);
	if (!op)
		return NULL;
	*op = (struct thaw_op){
		.kind = kind,
		.in = {x, THAW_NO_VALUE},
		.out = net->ops_count,
		.in_shape = x == THAW_NO_VALUE ? shape : net->ops[x].out_shape,
		.out_shape = shape,
		.stride = 1,
		.groups = 1,
		.param = net->params_count,
	};
	snprintf(op->name, sizeof op->name, "%s", name);
	net->ops_count++;
	return op;
}

/* Declares the next parameter of the operation that was added last, `<operation>.<suffix>`. `rank` leading numbers of
 * `shape` count. */
static void add_param(struct thaw_net *net, enum thaw_role role, const char *suffix, int rank, const int64_t shape[4])
{
	int64_t *slab_elems = thaw_role_is_state(role) ? &net->state_elems : &net->param_elems;
	struct thaw_param *param;

	if (net->status)
		return;
	param = grow(net, &net->params, net->params_count, sizeof *param);
	if (!param)
		return;
	net->params_count++;
	*param = (struct thaw_param){.role = role, .rank = rank, .elems = 1, .offset = *slab_elems};
	snprintf(param->name, sizeof param->name, "%s.%s", net->ops[net->ops_count - 1].name, suffix);
	memcpy(param->group, net->group, sizeof param->group);
	for (int i = 0; i < rank; i++) {
		param->shape[i] = shape[i];
		param->elems *= shape[i];
	}
	*slab_elems += (param->elems + 15) / 16 * 16;
	net->ops[net->ops_count - 1].params++;
}

/* The shape of a value; all zero after a failure. */
static struct thaw_shape shape_of(const struct thaw_net *net, thaw_value x)
{
	return net->status ? (struct thaw_shape){0, 0, 0} : net->ops[x].out_shape;
}

void thaw_net_group(struct thaw_net *net, const char *group)
{
	snprintf(net->group, sizeof net->group, "%s", group);
}

thaw_value thaw_net_input(struct thaw_net *net, struct thaw_shape shape)
{
	struct thaw_op *op = add_op(net, THAW_OP_INPUT, "input", THAW_NO_VALUE, shape);

	return op ? op->out : THAW_NO_VALUE;
}

/* Places a window of `kernel` takes, `stride` apart, over `length` pixels with `pad` more on both sides. */
static int windows(int length, int kernel, int stride, int pad)
{
	return length + 2 * pad < kernel ? 0 : (length + 2 * pad - kernel) / stride + 1;
}

thaw_value thaw_net_conv(struct thaw_net *net, const char *name, thaw_value x, const struct thaw_conv *conv)
{
	struct thaw_shape in = shape_of(net, x);
	int stride = conv->stride ? conv->stride : 1, groups = conv->groups ? conv->groups : 1;
	struct thaw_shape out = {conv->out, windows(in.h, conv->kernel, stride, conv->pad),
	                         windows(in.w, conv->kernel, stride, conv->pad)};
	struct thaw_op *op = add_op(net, THAW_OP_CONV, name, x, out);

	if (!op)
		return THAW_NO_VALUE;
	if (in.c % groups || out.c % groups)
		fail(net, THAW_BAD_JOB, "'%s': %d groups do not divide %d channels in and %d out", name, groups, in.c, out.c);
	op->kernel = conv->kernel;
	op->stride = stride;
	op->pad = conv->pad;
	op->groups = groups;
	op->bias = conv->bias;
	add_param(net, THAW_WEIGHT, "weight", 4, (int64_t[4]){out.c, in.c / groups, conv->kernel, conv->kernel});
	if (conv->bias)
		add_param(net, THAW_BIAS, "bias", 1, (int64_t[4]){out.c});
	return net->ops_count - 1;
}

thaw_value thaw_net_batch_norm(struct thaw_net *net, const char *name, thaw_value x)
{
	struct thaw_shape shape = shape_of(net, x);
	struct thaw_op *op = add_op(net, THAW_OP_BATCH_NORM, name, x, shape);

	if (!op)
		return THAW_NO_VALUE;
	add_param(net, THAW_NORM_WEIGHT, "weight", 1, (int64_t[4]){shape.c});
	add_param(net, THAW_NORM_BIAS, "bias", 1, (int64_t[4]){shape.c});
	add_param(net, THAW_RUNNING_MEAN, "running_mean", 1, (int64_t[4]){shape.c});
	add_param(net, THAW_RUNNING_VAR, "running_var", 1, (int64_t[4]){shape.c});
	return net->ops_count - 1;
}

thaw_value thaw_net_relu(struct thaw_net *net, thaw_value x)
{
	struct thaw_op *op = add_op(net, THAW_OP_RELU, "relu", x, shape_of(net, x));

	return op ? op->out : THAW_NO_VALUE;
}

thaw_value thaw_net_add(struct thaw_net *net, thaw_value a, thaw_value b)
{
	struct thaw_shape left = shape_of(net, a), right = shape_of(net, b);
	struct thaw_op *op = add_op(net, THAW_OP_ADD, "add", a, left);

	if (!op)
		return THAW_NO_VALUE;
	if (memcmp(&left, &right, sizeof left) != 0)
		fail(net, THAW_FAILED, "add of unlike shapes: (%d,%d,%d) and (%d,%d,%d)", left.c, left.h, left.w, right.c,
		     right.h, right.w);
	op->in[1] = b;
	return op->out;
}

thaw_value thaw_net_max_pool(struct thaw_net *net, thaw_value x, int kernel, int stride, int pad)
{
	struct thaw_shape in = shape_of(net, x);
	struct thaw_shape out = {in.c, windows(in.h, kernel, stride, pad), windows(in.w, kernel, stride, pad)};
	struct thaw_op *op = add_op(net, THAW_OP_MAX_POOL, "maxpool", x, out);

	if (!op)
		return THAW_NO_VALUE;
	op->kernel = kernel;
	op->stride = stride;
	op->pad = pad;
	return op->out;
}

thaw_value thaw_net_global_pool(struct thaw_net *net, thaw_value x)
{
	struct thaw_op *op = add_op(net, THAW_OP_GLOBAL_POOL, "avgpool", x, (struct thaw_shape){shape_of(net, x).c, 1, 1});

	return op ? op->out : THAW_NO_VALUE;
}

thaw_value thaw_net_shortcut(struct thaw_net *net, thaw_value x, int channels, int stride)
{
	struct thaw_shape in = shape_of(net, x);
	struct thaw_shape out = {channels, windows(in.h, 1, stride, 0), windows(in.w, 1, stride, 0)};
	struct thaw_op *op = add_op(net, THAW_OP_SHORTCUT, "shortcut", x, out);

	if (!op)
		return THAW_NO_VALUE;
	if (channels < in.c)
		fail(net, THAW_FAILED, "shortcut from %d channels to %d: it can only add channels", in.c, channels);
	op->stride = stride;
	return op->out;
}

thaw_value thaw_net_linear(struct thaw_net *net, const char *name, thaw_value x, int out)
{
	struct thaw_shape in = shape_of(net, x);
	struct thaw_op *op = add_op(net, THAW_OP_LINEAR, name, x, (struct thaw_shape){out, 1, 1});

	if (!op)
		return THAW_NO_VALUE;
	if (in.h != 1 || in.w != 1)
		fail(net, THAW_FAILED, "'%s' takes (C,1,1), not (%d,%d,%d)", name, in.c, in.h, in.w);
	op->bias = true;
	add_param(net, THAW_WEIGHT, "weight", 2, (int64_t[4]){out, in.c});
	add_param(net, THAW_BIAS, "bias", 1, (int64_t[4]){out});
	return net->ops_count - 1;
}

void thaw_net_head(struct thaw_net *net, thaw_value logits)
{
	struct thaw_shape shape = shape_of(net, logits);

	if (!net->status && shape.c < 2)
		fail(net, THAW_BAD_JOB, "a classifier needs at least 2 classes, not %d", shape.c);
	add_op(net, THAW_OP_LOSS, "loss", logits, shape);
}

thaw_status thaw_net_finish(struct thaw_net *net)
{
	if (!net->status && (net->ops_count == 0 || net->ops[net->ops_count - 1].kind != THAW_OP_LOSS))
		fail(net, THAW_FAILED, "a network without a head");
	return net->status ? thaw_fail(net->status, "%s", net->words) : THAW_OK;
}

int thaw_net_ops(const struct thaw_net *net)
{
	return net->ops_count;
}

const struct thaw_op *thaw_net_op(const struct thaw_net *net, int i)
{
	return &net->ops[i];
}

int thaw_net_params(const struct thaw_net *net)
{
	return net->params_count;
}

const struct thaw_param *thaw_net_param(const struct thaw_net *net, int i)
{
	return &net->params[i];
}

int64_t thaw_net_param_elems(const struct thaw_net *net)
{
	return net->param_elems;
}

int64_t thaw_net_state_elems(const struct thaw_net *net)
{
	return net->state_elems;
}

int64_t thaw_net_count(const struct thaw_net *net, const bool *trains)
{
	int64_t count = 0;

	for (int i = 0; i < net->params_count; i++)
		if (!thaw_role_is_state(net->params[i].role) && (!trains || trains[i]))
			count += net->params[i].elems;
	return count;
}

int thaw_stage_length(const char *group)
{
	return (int)strcspn(group, ".");
}

bool thaw_same_stage(const char *a, const char *b)
{
	int length = thaw_stage_length(a);

	return length == thaw_stage_length(b) && strncmp(a, b, (size_t)length) == 0;
}

/* "layer4" covers the groups "layer4" and "layer4.1"; "all" covers every group. */
static bool covers(const char *pattern, const char *group)
{
	size_t length = strlen(pattern);

	return strcmp(pattern, "all") == 0 ||
	       (strncmp(pattern, group, length) == 0 && (group[length] == '\0' || group[length] == '.'));
}

/* Words for a pattern that covers nothing: the stages there are. */
static thaw_status fail_pattern(const struct thaw_net *net, const char *pattern)
{
	struct thaw_text stages = THAW_TEXT_EMPTY;
	const char *last = "";
	thaw_status status;

	for (int i = 0; i < net->params_count; i++) {
		const char *group = net->params[i].group;

		if (thaw_same_stage(group, last))
			continue;
		thaw_text_add(&stages, " %.*s", thaw_stage_length(group), group);
		last = group;
	}
	status =
		thaw_fail(THAW_BAD_JOB, "'%s' names no part of this network: there are%s, blocks such as layer1.0, and all",
	              pattern, stages.data);
	thaw_text_release(&stages);
	return status;
}

thaw_status thaw_net_select(const struct thaw_net *net, const char *const *patterns, int count, bool *trains_out)
{
	for (int p = 0; p < count; p++) {
		bool found = false;

		for (int i = 0; i < net->params_count && !found; i++)
			found = covers(patterns[p], net->params[i].group);
		if (!found)
			return fail_pattern(net, patterns[p]);
	}
	for (int i = 0; i < net->params_count; i++) {
		trains_out[i] = false;
		for (int p = 0; p < count && !thaw_role_is_state(net->params[i].role); p++)
			trains_out[i] |= covers(patterns[p], net->params[i].group);
	}
	return THAW_OK;
}
