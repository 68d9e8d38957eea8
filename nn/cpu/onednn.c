#include "nn/cpu/onednn.h"

#include <assert.h>
#include <oneapi/dnnl/dnnl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* --- what differs between the 2.x and 3.x C API ------------------------------------------------------------------ */

#if DNNL_VERSION_MAJOR >= 3

typedef const_dnnl_memory_desc_t layout_ref;

static layout_ref ref_of(const dnnl_memory_desc_t *layout)
{
	return *layout;
}

static void layout_free(dnnl_memory_desc_t *layout)
{
	dnnl_memory_desc_destroy(*layout);
}

static dnnl_status_t layout_make(dnnl_memory_desc_t *layout, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
	return dnnl_memory_desc_create_with_tag(layout, rank, dims, dnnl_f32, tag);
}

static dnnl_status_t append_sum(dnnl_post_ops_t ops)
{
	return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_f32);
}

static dnnl_status_t append_relu(dnnl_post_ops_t ops)
{
	return dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, 0.0f, 0.0f);
}

#else

typedef const dnnl_memory_desc_t *layout_ref;

static layout_ref ref_of(const dnnl_memory_desc_t *layout)
{
	return layout;
}

static void layout_free(dnnl_memory_desc_t *layout)
{
	(void)layout;
}

static dnnl_status_t layout_make(dnnl_memory_desc_t *layout, int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag)
{
	return dnnl_memory_desc_init_by_tag(layout, rank, dims, dnnl_f32, tag);
}

static dnnl_status_t append_sum(dnnl_post_ops_t ops)
{
	return dnnl_post_ops_append_sum(ops, 1.0f);
}

static dnnl_status_t append_relu(dnnl_post_ops_t ops)
{
	return dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f);
}

#endif

/* The four layouts of a convolution; `weights` is left to the primitive, `bias` is NULL without one. */
struct layouts {
	layout_ref x, weights, bias, y;
};

struct window {
	dnnl_dims_t strides, dilates, pads;
};

/* `hint`: the forward primitive, which backward passes ask for. */
static dnnl_status_t describe_pass(dnnl_primitive_desc_t *out, dnnl_engine_t engine, const struct thaw_conv_spec *spec,
                                   const struct layouts *l, const struct window *win, const_dnnl_primitive_attr_t attr,
                                   const_dnnl_primitive_desc_t hint)
{
	dnnl_alg_kind_t alg = spec->algorithm == THAW_WINOGRAD ? dnnl_convolution_winograd : dnnl_convolution_direct;
	dnnl_prop_kind_t prop = spec->pass == THAW_INFERENCE ? dnnl_forward_inference : dnnl_forward_training;

#if DNNL_VERSION_MAJOR >= 3
	if (spec->pass == THAW_BACKWARD_DATA)
		return dnnl_convolution_backward_data_primitive_desc_create(
			out, engine, alg, l->x, l->weights, l->y, win->strides, win->dilates, win->pads, win->pads, hint, attr);
	if (spec->pass == THAW_BACKWARD_WEIGHTS)
		return dnnl_convolution_backward_weights_primitive_desc_create(out, engine, alg, l->x, l->weights, NULL, l->y,
		                                                               win->strides, win->dilates, win->pads, win->pads,
		                                                               hint, attr);
	return dnnl_convolution_forward_primitive_desc_create(out, engine, prop, alg, l->x, l->weights, l->bias, l->y,
	                                                      win->strides, win->dilates, win->pads, win->pads, attr);
#else
	dnnl_convolution_desc_t desc;
	dnnl_status_t status;

	if (spec->pass == THAW_BACKWARD_DATA)
		status = dnnl_convolution_backward_data_desc_init(&desc, alg, l->x, l->weights, l->y, win->strides, win->pads,
		                                                  win->pads);
	else if (spec->pass == THAW_BACKWARD_WEIGHTS)
		status = dnnl_convolution_backward_weights_desc_init(&desc, alg, l->x, l->weights, NULL, l->y, win->strides,
		                                                     win->pads, win->pads);
	else
		status = dnnl_convolution_forward_desc_init(&desc, prop, alg, l->x, l->weights, l->bias, l->y, win->strides,
		                                            win->pads, win->pads);
	return status ? status : dnnl_primitive_desc_create(out, &desc, attr, engine, hint);
#endif
}

/* --- engine ------------------------------------------------------------------------------------------------------ */

/* One of each serves the process: a CPU engine and a stream hold no data. Made at the first use, by the one thread
 * that computes. */
static dnnl_engine_t engine;
static dnnl_stream_t stream;

static thaw_status check(dnnl_status_t status, const char *doing)
{
	if (status == dnnl_success)
		return THAW_OK;
	if (status == dnnl_out_of_memory)
		return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: oneDNN, %s", doing);
	return thaw_fail(THAW_FAILED, "oneDNN cannot %s: status %d", doing, (int)status);
}

static thaw_status start(void)
{
	thaw_status status = THAW_OK;

	if (!engine)
		status = check(dnnl_engine_create(&engine, dnnl_cpu, 0), "start");
	if (!status && !stream)
		status = check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "start");
	return status;
}

const char *thaw_onednn_describe(void)
{
	static const struct {
		dnnl_cpu_isa_t isa;
		const char *name;
	} names[] = {
		{dnnl_cpu_isa_sse41, "sse41"},
		{dnnl_cpu_isa_avx, "avx"},
		{dnnl_cpu_isa_avx2, "avx2"},
		{dnnl_cpu_isa_avx2_vnni, "avx2_vnni"},
		{dnnl_cpu_isa_avx512_core, "avx512_core"},
		{dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"},
		{dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"},
		{dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"},
	};
	static char text[64];
	const dnnl_version_t *version = dnnl_version();
	dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
	const char *name = "other";

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].isa == isa)
			name = names[i].name;
	snprintf(text, sizeof text, "oneDNN %d.%d.%d %s", version->major, version->minor, version->patch, name);
	return text;
}

int thaw_onednn_block(void)
{
	return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core ? 16 : 8;
}

/* --- convolution ------------------------------------------------------------------------------------------------- */

enum { ARG_X, ARG_Y, ARG_WEIGHTS, ARG_SCRATCH, ARG_BIAS, ARGS };

struct thaw_onednn_conv {
	struct thaw_conv_spec spec;
	dnnl_primitive_desc_t desc;
	dnnl_primitive_t primitive;
	dnnl_exec_arg_t args[ARGS]; /* memory without data; run() sets the pointers */
	int args_count;
	dnnl_memory_desc_t plain; /* PyTorch's layout of the weights */
	bool has_plain;
	dnnl_primitive_t to_own, from_own; /* reorders of the weights; made when first needed */
	dnnl_memory_t plain_memory, own_memory;
};

static dnnl_format_tag_t tag_of(int block)
{
	assert(block == 1 || block == 8 || block == 16);
	return block == 1 ? dnnl_nchw : block == 8 ? dnnl_nChw8c : dnnl_nChw16c;
}

/* Dimensions of the weights, with groups as a dimension of their own; returns how many. */
static int weight_dims(const struct thaw_conv_spec *s, dnnl_dims_t dims)
{
	int rank = 0;

	if (s->groups > 1)
		dims[rank++] = s->groups;
	dims[rank++] = s->k / s->groups;
	dims[rank++] = s->c / s->groups;
	dims[rank++] = s->kernel;
	dims[rank++] = s->kernel;
	return rank;
}

static dnnl_status_t make_attr(const struct thaw_conv_spec *spec, dnnl_primitive_attr_t *attr_out)
{
	dnnl_post_ops_t ops = NULL;
	dnnl_status_t status = dnnl_primitive_attr_create(attr_out);

	if (!status)
		status = dnnl_primitive_attr_set_scratchpad_mode(*attr_out, dnnl_scratchpad_mode_user);
	if (!status && (spec->add || spec->relu))
		status = dnnl_post_ops_create(&ops);
	if (!status && spec->add)
		status = append_sum(ops);
	if (!status && spec->relu)
		status = append_relu(ops);
	if (!status && ops)
		status = dnnl_primitive_attr_set_post_ops(*attr_out, ops);
	if (ops)
		dnnl_post_ops_destroy(ops);
	return status;
}

/* The first primitive for the pass that is not reference code; a backward pass first needs a forward one as hint. */
static dnnl_status_t make_desc(struct thaw_onednn_conv *conv, const struct layouts *layouts,
                               const struct window *window)
{
	struct thaw_conv_spec forward = conv->spec;
	dnnl_primitive_attr_t attr = NULL;
	dnnl_primitive_desc_t hint = NULL;
	dnnl_status_t status = make_attr(&conv->spec, &attr);

	forward.pass = THAW_FORWARD;
	if (!status && conv->spec.pass >= THAW_BACKWARD_DATA) {
		status = describe_pass(&hint, engine, &forward, layouts, window, attr, NULL);
		if (status && conv->spec.algorithm == THAW_WINOGRAD) {
			forward.algorithm = THAW_DIRECT;
			status = describe_pass(&hint, engine, &forward, layouts, window, attr, NULL);
		}
	}
	if (!status)
		status = describe_pass(&conv->desc, engine, &conv->spec, layouts, window, attr, hint);
	if (hint)
		dnnl_primitive_desc_destroy(hint);
	if (attr)
		dnnl_primitive_attr_destroy(attr);
	return status;
}

static dnnl_status_t add_arg(struct thaw_onednn_conv *conv, int arg, dnnl_query_t what, int which)
{
	layout_ref layout = dnnl_primitive_desc_query_md(conv->desc, what, which);
	dnnl_exec_arg_t *slot = &conv->args[conv->args_count];
	dnnl_status_t status = dnnl_memory_create(&slot->memory, layout, engine, DNNL_MEMORY_NONE);

	slot->arg = arg;
	conv->args_count += !status;
	return status;
}

/* In the order of ARG_X .. ARG_BIAS. */
static dnnl_status_t make_args(struct thaw_onednn_conv *conv)
{
	static const struct {
		int arg_x, arg_y, arg_weights;
		dnnl_query_t x, y, weights;
	} kinds[THAW_PASSES] = {
		[THAW_FORWARD] = {DNNL_ARG_SRC, DNNL_ARG_DST, DNNL_ARG_WEIGHTS, dnnl_query_src_md, dnnl_query_dst_md,
	                      dnnl_query_weights_md},
		[THAW_INFERENCE] = {DNNL_ARG_SRC, DNNL_ARG_DST, DNNL_ARG_WEIGHTS, dnnl_query_src_md, dnnl_query_dst_md,
	                        dnnl_query_weights_md},
		[THAW_BACKWARD_DATA] = {DNNL_ARG_DIFF_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_WEIGHTS, dnnl_query_diff_src_md,
	                            dnnl_query_diff_dst_md, dnnl_query_weights_md},
		[THAW_BACKWARD_WEIGHTS] = {DNNL_ARG_SRC, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_WEIGHTS, dnnl_query_src_md,
	                               dnnl_query_diff_dst_md, dnnl_query_diff_weights_md},
	};
	int pass = conv->spec.pass;
	dnnl_status_t status = add_arg(conv, kinds[pass].arg_x, kinds[pass].x, 0);

	if (!status)
		status = add_arg(conv, kinds[pass].arg_y, kinds[pass].y, 0);
	if (!status)
		status = add_arg(conv, kinds[pass].arg_weights, kinds[pass].weights, 0);
	if (!status)
		status = add_arg(conv, DNNL_ARG_SCRATCHPAD, dnnl_query_scratchpad_md, 0);
	if (!status && conv->spec.bias)
		status = add_arg(conv, DNNL_ARG_BIAS, dnnl_query_weights_md, 1);
	return status;
}

static dnnl_status_t make_conv(struct thaw_onednn_conv *conv)
{
	const struct thaw_conv_spec *s = &conv->spec;
	dnnl_dims_t x_dims = {s->n, s->c, s->h, s->w}, y_dims = {s->n, s->k, s->oh, s->ow}, bias_dims = {s->k}, w_dims;
	struct window window = {{s->stride, s->stride}, {0, 0}, {s->pad, s->pad}};
	dnnl_memory_desc_t x, y, weights, bias;
	int rank = weight_dims(s, w_dims);
	dnnl_status_t status = layout_make(&x, 4, x_dims, tag_of(s->x_block));

	if (status)
		return status;
	status = layout_make(&y, 4, y_dims, tag_of(s->y_block));
	if (status)
		goto free_x;
	status = layout_make(&weights, rank, w_dims, dnnl_format_tag_any);
	if (status)
		goto free_y;
	status = layout_make(&bias, 1, bias_dims, dnnl_a);
	if (status)
		goto free_weights;
	status = layout_make(&conv->plain, rank, w_dims, s->groups > 1 ? dnnl_goihw : dnnl_oihw);
	conv->has_plain = !status;
	if (!status)
		status = make_desc(
			conv, &(struct layouts){ref_of(&x), ref_of(&weights), s->bias ? ref_of(&bias) : NULL, ref_of(&y)}, &window);
	if (!status && strncmp(thaw_onednn_conv_name(conv), "ref", 3) == 0)
		status = dnnl_unimplemented;
	if (!status)
		status = dnnl_primitive_create(&conv->primitive, conv->desc);
	if (!status)
		status = make_args(conv);
	layout_free(&bias);
free_weights:
	layout_free(&weights);
free_y:
	layout_free(&y);
free_x:
	layout_free(&x);
	return status;
}

thaw_status thaw_onednn_conv_create(const struct thaw_conv_spec *spec, struct thaw_onednn_conv **conv_out)
{
	struct thaw_onednn_conv *conv;
	thaw_status status = start();

	if (status)
		return status;
	conv = thaw_alloc(1, sizeof *conv);
	if (!conv)
		return THAW_OUT_OF_MEMORY;
	conv->spec = *spec;
	status = check(make_conv(conv), "make this convolution");
	if (status)
		thaw_onednn_conv_free(conv);
	else
		*conv_out = conv;
	return status;
}

void thaw_onednn_conv_free(struct thaw_onednn_conv *conv)
{
	if (!conv)
		return;
	for (int i = 0; i < conv->args_count; i++)
		dnnl_memory_destroy(conv->args[i].memory);
	dnnl_memory_destroy(conv->plain_memory);
	dnnl_memory_destroy(conv->own_memory);
	dnnl_primitive_destroy(conv->to_own);
	dnnl_primitive_destroy(conv->from_own);
	dnnl_primitive_destroy(conv->primitive);
	dnnl_primitive_desc_destroy(conv->desc);
	if (conv->has_plain)
		layout_free(&conv->plain);
	free(conv);
}

const char *thaw_onednn_conv_name(const struct thaw_onednn_conv *conv)
{
	const char *name = "";

	dnnl_primitive_desc_query(conv->desc, dnnl_query_impl_info_str, 0, (void *)&name);
	return name;
}

static layout_ref own_weights(const struct thaw_onednn_conv *conv)
{
	return dnnl_primitive_desc_query_md(
		conv->desc, conv->spec.pass == THAW_BACKWARD_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
}

size_t thaw_onednn_conv_scratch_bytes(const struct thaw_onednn_conv *conv)
{
	return dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(conv->desc, dnnl_query_scratchpad_md, 0));
}

size_t thaw_onednn_conv_weight_bytes(const struct thaw_onednn_conv *conv)
{
	return dnnl_memory_desc_get_size(own_weights(conv));
}

bool thaw_onednn_conv_same_weights(const struct thaw_onednn_conv *a, const struct thaw_onednn_conv *b)
{
	return dnnl_memory_desc_equal(own_weights(a), own_weights(b));
}

static dnnl_status_t make_reorder(dnnl_primitive_t *out, layout_ref from, layout_ref to)
{
	dnnl_primitive_desc_t desc;
	dnnl_status_t status = dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, NULL);

	if (status)
		return status;
	status = dnnl_primitive_create(out, desc);
	dnnl_primitive_desc_destroy(desc);
	return status;
}

/* Copies weights between PyTorch's layout and the primitive's; `reorder` is made at the first use. */
static dnnl_status_t reorder(struct thaw_onednn_conv *conv, bool to_own, void *plain, void *own)
{
	dnnl_primitive_t *primitive = to_own ? &conv->to_own : &conv->from_own;
	dnnl_status_t status = dnnl_success;
	dnnl_exec_arg_t args[2];

	if (!conv->plain_memory)
		status = dnnl_memory_create(&conv->plain_memory, ref_of(&conv->plain), engine, DNNL_MEMORY_NONE);
	if (!status && !conv->own_memory)
		status = dnnl_memory_create(&conv->own_memory, own_weights(conv), engine, DNNL_MEMORY_NONE);
	if (!status && !*primitive)
		status = to_own ? make_reorder(primitive, ref_of(&conv->plain), own_weights(conv))
		                : make_reorder(primitive, own_weights(conv), ref_of(&conv->plain));
	if (status)
		return status;
	args[0] = (dnnl_exec_arg_t){DNNL_ARG_FROM, to_own ? conv->plain_memory : conv->own_memory};
	args[1] = (dnnl_exec_arg_t){DNNL_ARG_TO, to_own ? conv->own_memory : conv->plain_memory};
	status = dnnl_memory_set_data_handle(conv->plain_memory, plain);
	if (!status)
		status = dnnl_memory_set_data_handle(conv->own_memory, own);
	if (!status)
		status = dnnl_primitive_execute(*primitive, stream, 2, args);
	return status ? status : dnnl_stream_wait(stream);
}

thaw_status thaw_onednn_conv_take_weights(struct thaw_onednn_conv *conv, const float *oihw, void *own)
{
	return check(reorder(conv, true, (void *)(size_t)(const void *)oihw, own), "reorder weights");
}

thaw_status thaw_onednn_conv_give_weights(struct thaw_onednn_conv *conv, const void *own, float *oihw)
{
	return check(reorder(conv, false, oihw, (void *)(size_t)own), "reorder weight gradients");
}

thaw_status thaw_onednn_conv_run(struct thaw_onednn_conv *conv, const struct thaw_conv_memory *memory)
{
	void *const data[ARGS] = {memory->x, memory->y, memory->weights, memory->scratch, memory->bias};
	dnnl_status_t status = dnnl_success;

	for (int i = 0; i < conv->args_count && !status; i++)
		status = dnnl_memory_set_data_handle(conv->args[i].memory, data[i]);
	if (!status)
		status = dnnl_primitive_execute(conv->primitive, stream, conv->args_count, conv->args);
	if (!status)
		status = dnnl_stream_wait(stream);
	return check(status, "run a convolution");
}
