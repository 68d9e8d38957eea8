#include "nn/cuda/cudnn_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { PARTS = 32, CONFIGS = 128, NOTES = 16 };

/* --- descriptors ------------------------------------------------------------------------------------------------- */

/* The descriptors that a graph is made of. The first failure of any call stays. */
struct parts {
	cudnnBackendDescriptor_t all[PARTS];
	int count;
	cudnnStatus_t status;
	int between; /* the number of the next tensor that is nowhere in memory */
};

static cudnnBackendDescriptor_t part(struct parts *parts, cudnnBackendDescriptorType_t type)
{
	cudnnBackendDescriptor_t made = NULL;

	if (!parts->status && parts->count == PARTS)
		parts->status = CUDNN_STATUS_ALLOC_FAILED;
	if (!parts->status)
		parts->status = cudnnBackendCreateDescriptor(type, &made);
	if (made)
		parts->all[parts->count++] = made;
	return made;
}

static void set(struct parts *parts, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
	if (!parts->status)
		parts->status = cudnnBackendSetAttribute(d, name, type, count, values);
}

static void set_int(struct parts *parts, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, int64_t value)
{
	set(parts, d, name, CUDNN_TYPE_INT64, 1, &value);
}

static void set_part(struct parts *parts, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                     cudnnBackendDescriptor_t value)
{
	set(parts, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void finish(struct parts *parts, cudnnBackendDescriptor_t d)
{
	if (!parts->status)
		parts->status = cudnnBackendFinalize(d);
}

static void release_parts(struct parts *parts)
{
	while (parts->count > 0)
		(void)cudnnBackendDestroyDescriptor(parts->all[--parts->count]);
}

/* --- graphs ------------------------------------------------------------------------------------------------------ */

static cudnnDataType_t data_type(enum thaw_number number)
{
	switch (number) {
	case THAW_BFLOAT16:
		return CUDNN_DATA_BFLOAT16;
	case THAW_FLOAT16:
		return CUDNN_DATA_HALF;
	default:
		return CUDNN_DATA_FLOAT;
	}
}

/* (N,C,H,W), which stands in memory as NHWC. */
struct shape {
	int64_t n, c, h, w;
};

static cudnnBackendDescriptor_t tensor(struct parts *parts, int64_t number, cudnnDataType_t type, struct shape s)
{
	cudnnBackendDescriptor_t d = part(parts, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
	int64_t sizes[] = {s.n, s.c, s.h, s.w}, strides[] = {s.c * s.h * s.w, 1, s.w * s.c, s.c};
	bool between = number >= THAW_CUDNN_BETWEEN;

	set(parts, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	set(parts, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, sizes);
	set(parts, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, strides);
	set_int(parts, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, number);
	set_int(parts, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 16);
	if (between)
		set(parts, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &between);
	finish(parts, d);
	return d;
}

static cudnnBackendDescriptor_t convolution(struct parts *parts, const struct thaw_gpu_conv_spec *s)
{
	cudnnBackendDescriptor_t d = part(parts, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
	int64_t pads[] = {s->pad, s->pad}, strides[] = {s->stride, s->stride}, dilations[] = {1, 1};
	cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
	cudnnDataType_t sums = CUDNN_DATA_FLOAT;

	set_int(parts, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 2);
	set(parts, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
	set(parts, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
	set(parts, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pads);
	set(parts, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pads);
	set(parts, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilations);
	set(parts, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, strides);
	finish(parts, d);
	return d;
}

/* What the three passes call the same things. */
static const struct pass_names {
	cudnnBackendDescriptorType_t operation;
	cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
} pass_names[] = {
	[THAW_GPU_FORWARD] =
		{
			CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
			CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
			CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
			CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
			CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
			CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
			CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
		},
	[THAW_GPU_DATA] =
		{
			CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
		},
	[THAW_GPU_WEIGHTS] =
		{
			CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
		},
};

static cudnnBackendDescriptor_t pass(struct parts *parts, const struct thaw_gpu_conv_spec *s,
                                     cudnnBackendDescriptor_t y)
{
	const struct pass_names *names = &pass_names[s->pass];
	cudnnBackendDescriptor_t d = part(parts, names->operation);
	cudnnDataType_t type = data_type(s->number);
	float one = 1, zero = 0;

	set_part(parts, d, names->x, tensor(parts, THAW_CUDNN_X, type, (struct shape){s->n, s->c, s->h, s->w}));
	set_part(parts, d, names->w,
	         tensor(parts, THAW_CUDNN_W, type, (struct shape){s->k, s->c / s->groups, s->kernel, s->kernel}));
	set_part(parts, d, names->y, y);
	set_part(parts, d, names->convolution, convolution(parts, s));
	set(parts, d, names->alpha, CUDNN_TYPE_FLOAT, 1, &one);
	set(parts, d, names->beta, CUDNN_TYPE_FLOAT, 1, &zero);
	finish(parts, d);
	return d;
}

/* y = x + other, or with CUDNN_POINTWISE_RELU_FWD and without another y = max(x, 0). */
static cudnnBackendDescriptor_t pointwise(struct parts *parts, cudnnPointwiseMode_t mode, cudnnBackendDescriptor_t x,
                                          cudnnBackendDescriptor_t other, cudnnBackendDescriptor_t y)
{
	cudnnBackendDescriptor_t how = part(parts, CUDNN_BACKEND_POINTWISE_DESCRIPTOR), d;
	cudnnDataType_t sums = CUDNN_DATA_FLOAT;

	set(parts, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
	set(parts, how, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &sums);
	finish(parts, how);
	d = part(parts, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
	set_part(parts, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
	set_part(parts, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
	if (other)
		set_part(parts, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, other);
	set_part(parts, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
	finish(parts, d);
	return d;
}

/* Sums over y by channel, and over its squares. */
static cudnnBackendDescriptor_t statistics(struct parts *parts, cudnnBackendDescriptor_t y, struct shape channels)
{
	cudnnBackendDescriptor_t d = part(parts, CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR);
	cudnnGenStatsMode_t mode = CUDNN_GENSTATS_SUM_SQSUM;
	cudnnDataType_t sums = CUDNN_DATA_FLOAT;

	set(parts, d, CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1, &mode);
	set(parts, d, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &sums);
	set_part(parts, d, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, y);
	set_part(parts, d, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, tensor(parts, THAW_CUDNN_SUMS, sums, channels));
	set_part(parts, d, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, tensor(parts, THAW_CUDNN_SQUARES, sums, channels));
	finish(parts, d);
	return d;
}

/* The operations in the one order that engines are precompiled for: convolution, residual, bias, clamp; or convolution,
 * statistics. */
static cudnnBackendDescriptor_t graph(const struct thaw_cudnn_target *target, struct parts *parts,
                                      const struct thaw_gpu_conv_spec *s)
{
	const struct shape y = {s->n, s->k, s->oh, s->ow}, channels = {1, s->k, 1, 1};
	cudnnDataType_t type = data_type(s->number);
	int behind = s->residual + s->bias + s->relu, count = 0, between = THAW_CUDNN_BETWEEN;
	cudnnBackendDescriptor_t operations[4], at, next, d;

#define NEXT() (behind-- > 0 ? tensor(parts, between++, CUDNN_DATA_FLOAT, y) : tensor(parts, THAW_CUDNN_Y, type, y))
	at = NEXT();
	operations[count++] = pass(parts, s, at);
	if (s->residual) {
		next = NEXT();
		operations[count++] =
			pointwise(parts, CUDNN_POINTWISE_ADD, at, tensor(parts, THAW_CUDNN_RESIDUAL, type, y), next);
		at = next;
	}
	if (s->bias) {
		next = NEXT();
		operations[count++] =
			pointwise(parts, CUDNN_POINTWISE_ADD, at, tensor(parts, THAW_CUDNN_BIAS, type, channels), next);
		at = next;
	}
	if (s->relu)
		operations[count++] = pointwise(parts, CUDNN_POINTWISE_RELU_FWD, at, NULL, NEXT());
	if (s->statistics)
		operations[count++] = statistics(parts, at, channels);
#undef NEXT
	d = part(parts, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
	set(parts, d, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, operations);
	if (target->handle)
		set(parts, d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &target->handle);
	finish(parts, d);
	return d;
}

/* --- engines ----------------------------------------------------------------------------------------------------- */

static void release_configs(cudnnBackendDescriptor_t *configs, int count)
{
	for (int i = 0; i < count; i++)
		(void)cudnnBackendDestroyDescriptor(configs[i]);
}

/* Appends what heuristics of this mode propose, best first; nothing where they know nothing. */
static void propose(const struct thaw_cudnn_target *target, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode,
                    cudnnBackendDescriptor_t *configs, int *count)
{
	struct parts parts = {.count = 0};
	cudnnBackendDescriptor_t d = part(&parts, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
	int64_t room = 0, made = 0, got = 0;

	set_part(&parts, d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
	set(&parts, d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
	if (target->properties)
		set_part(&parts, d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, target->properties);
	finish(&parts, d);
	if (!parts.status)
		parts.status =
			cudnnBackendGetAttribute(d, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &room, NULL);
	room = room < CONFIGS - *count ? room : CONFIGS - *count;
	while (made < room && !parts.status) {
		parts.status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[*count + made]);
		made += parts.status == CUDNN_STATUS_SUCCESS;
	}
	if (!parts.status && room > 0)
		parts.status = cudnnBackendGetAttribute(d, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, room,
		                                        &got, configs + *count);
	if (parts.status)
		got = 0;
	release_configs(configs + *count + got, (int)(made - got));
	*count += (int)got;
	release_parts(&parts);
}

/* Which engine a configuration is of, and what that says of itself. */
static cudnnStatus_t look_at_engine(cudnnBackendDescriptor_t config, struct thaw_cudnn_plan *plan)
{
	struct parts parts = {.count = 0};
	cudnnBackendDescriptor_t engine = part(&parts, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
	cudnnBackendNumericalNote_t notes[NOTES];
	cudnnBackendBehaviorNote_t behaviours[NOTES];
	int64_t count = 0, number = -1;

	if (!parts.status)
		parts.status = cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
		                                        &count, &engine);
	if (!parts.status)
		parts.status =
			cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &number);
	plan->engine = (int)number;
	plan->deterministic = true;
	plan->tensor_core = plan->short_sums = plan->compiled = false;
	count = 0;
	if (!parts.status)
		parts.status = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
		                                        NOTES, &count, notes);
	for (int64_t i = 0; i < count && !parts.status; i++) {
		plan->deterministic &= notes[i] != CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
		plan->tensor_core |=
			notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
		plan->short_sums |= notes[i] == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION;
	}
	count = 0;
	if (!parts.status)
		parts.status = cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
		                                        NOTES, &count, behaviours);
	for (int64_t i = 0; i < count && !parts.status; i++)
		plan->compiled |= behaviours[i] == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
	release_parts(&parts);
	return parts.status;
}

/*
 * By what its engine says. The precompiled ones that make statistics, half precision's alone, say nothing: they have no
 * note at all, and neither cuDNN's header nor its documentation tell whether the sums of their blocks meet in a fixed
 * order. A missing NONDETERMINISTIC proves nothing there, which is why only those get them who can do without the same
 * bits on every run (thaw_device.fused_statistics).
 */
static bool is_wanted(const struct thaw_gpu_conv_spec *spec, const struct thaw_cudnn_plan *plan)
{
	if (spec->statistics && plan->compiled)
		return false;
	if (plan->short_sums || (spec->number == THAW_FLOAT32 && !spec->tf32 && plan->tensor_core))
		return false;
	return plan->deterministic || !spec->deterministic;
}

/* --- plans ------------------------------------------------------------------------------------------------------- */

void thaw_cudnn_plan_release(struct thaw_cudnn_plan *plan)
{
	if (plan->plan)
		(void)cudnnBackendDestroyDescriptor(plan->plan);
	plan->plan = NULL;
}

/* A plan of a configuration or, if that is NULL, of JSON. */
static cudnnStatus_t make_plan(const struct thaw_cudnn_target *target, cudnnBackendDescriptor_t config,
                               const char *json, struct thaw_cudnn_plan *plan)
{
	struct parts parts = {.count = 0};
	cudnnBackendDescriptor_t d = part(&parts, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
	int64_t count = 0, workspace = 0;

	if (target->handle)
		set(&parts, d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &target->handle);
	if (config)
		set_part(&parts, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
	else
		set(&parts, d, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
	if (target->properties)
		set_part(&parts, d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, target->properties);
	finish(&parts, d);
	if (!parts.status)
		parts.status = cudnnBackendGetAttribute(d, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
		                                        &count, &workspace);
	plan->workspace_bytes = (size_t)workspace;
	if (parts.status) {
		release_parts(&parts);
		return parts.status;
	}
	plan->plan = d;
	return CUDNN_STATUS_SUCCESS;
}

/* What the engine of a finished plan says of itself. */
static cudnnStatus_t look_at_plan(struct thaw_cudnn_plan *plan)
{
	struct parts parts = {.count = 0};
	cudnnBackendDescriptor_t config = part(&parts, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
	int64_t count = 0;

	if (!parts.status)
		parts.status = cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
		                                        CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &config);
	if (!parts.status)
		parts.status = look_at_engine(config, plan);
	release_parts(&parts);
	return parts.status;
}

const char *thaw_cudnn_reason(cudnnStatus_t status)
{
	static char words[256];

	words[0] = '\0';
	cudnnGetLastErrorString(words, sizeof words);
	for (char *c = words; *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	return words[0] ? words : cudnnGetErrorString(status);
}

static thaw_status fail_conv(const struct thaw_gpu_conv_spec *s, const char *why)
{
	static const char *const passes[] = {"forward", "data", "weights"}, *const numbers[] = {"fp32", "bf16", "fp16"};

	return thaw_fail(
		THAW_FAILED,
		"cuDNN has no %s plan for a convolution %dx%dx%dx%d to %d, kernel %d, stride %d, groups %d, %s%s%s%s%s: %s",
		passes[s->pass], s->n, s->h, s->w, s->c, s->k, s->kernel, s->stride, s->groups, numbers[s->number],
		s->bias ? ", bias" : "", s->residual ? ", residual" : "", s->relu ? ", relu" : "",
		s->statistics ? ", statistics" : "", why);
}

/* Those of `count` configurations that will do. What is `compiled` at run time costs a second or more for each, and needs
 * the driver's compiler. */
static int make_plans(const struct thaw_cudnn_target *target, const struct thaw_gpu_conv_spec *spec,
                      const cudnnBackendDescriptor_t *configs, int count, bool compiled,
                      struct thaw_cudnn_plan *plans_out, int limit)
{
	int made = 0;

	for (int i = 0; i < count && made < limit; i++) {
		struct thaw_cudnn_plan plan = {.statistics = spec->statistics};

		if (look_at_engine(configs[i], &plan) || plan.compiled != compiled || !is_wanted(spec, &plan) ||
		    make_plan(target, configs[i], NULL, &plan))
			continue;
		if (plan.workspace_bytes > spec->workspace_limit)
			thaw_cudnn_plan_release(&plan);
		else
			plans_out[made++] = plan;
	}
	return made;
}

thaw_status thaw_cudnn_plan_conv(const struct thaw_cudnn_target *target, const struct thaw_gpu_conv_spec *spec,
                                 struct thaw_cudnn_plan *plans_out, int limit, int *count_out)
{
	struct parts parts = {.count = 0};
	cudnnBackendDescriptor_t configs[CONFIGS], d;
	int count = 0, made;

	if (!target->handle && !target->properties) /* cuDNN would plan for a GPU that is none */
		return fail_conv(spec, "it is for no GPU");
	d = graph(target, &parts, spec);
	if (parts.status) {
		release_parts(&parts);
		return fail_conv(spec, thaw_cudnn_reason(parts.status));
	}
	propose(target, d, CUDNN_HEUR_MODE_A, configs, &count);
	propose(target, d, CUDNN_HEUR_MODE_FALLBACK, configs, &count);
	made = make_plans(target, spec, configs, count, false, plans_out, limit);
	if (made == 0)
		made = make_plans(target, spec, configs, count, true, plans_out, limit);
	release_configs(configs, count);
	release_parts(&parts);
	*count_out = made;
	if (made > 0)
		return THAW_OK;
	return fail_conv(spec, count ? "no engine proposed for it may be taken" : "no engine is proposed for it");
}

/* --- plans as text ----------------------------------------------------------------------------------------------- */

thaw_status thaw_cudnn_plan_write(const struct thaw_cudnn_plan *plan, struct thaw_text *json)
{
	int64_t length = 0, got = 0;
	char *bytes = NULL;
	cudnnStatus_t status = cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION,
	                                                CUDNN_TYPE_CHAR, 0, &length, NULL);

	if (!status) {
		bytes = thaw_alloc((size_t)length + 1, 1);
		if (!bytes)
			return THAW_OUT_OF_MEMORY;
		status = cudnnBackendGetAttribute(plan->plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
		                                  length, &got, bytes);
	}
	if (status) {
		free(bytes);
		return thaw_fail(THAW_FAILED, "cuDNN cannot write a plan of engine %d: %s", plan->engine, thaw_cudnn_reason(status));
	}
	for (char *c = bytes; *c; c++)
		if (*c == '\n' || *c == '\r' || *c == '\t')
			*c = ' '; /* only between what is JSON's: within its strings they are escaped */
	thaw_text_add(json, "%s", bytes);
	free(bytes);
	return thaw_text_status(json);
}

thaw_status thaw_cudnn_plan_read(const struct thaw_cudnn_target *target, const struct thaw_gpu_conv_spec *spec,
                                 const char *json, struct thaw_cudnn_plan *plan_out)
{
	struct thaw_cudnn_plan plan = {.statistics = spec->statistics};
	thaw_status status = THAW_OK;
	cudnnStatus_t error;

	if (!target->handle && !target->properties) /* cuDNN would follow a pointer that is none */
		return thaw_fail(THAW_FAILED, "a plan of cuDNN's is for no GPU");
	error = make_plan(target, NULL, json, &plan);
	if (!error)
		error = look_at_plan(&plan);
	if (error)
		status = thaw_fail(THAW_FAILED, "cuDNN refuses a plan: %s", thaw_cudnn_reason(error));
	else if (!is_wanted(spec, &plan) || plan.workspace_bytes > spec->workspace_limit)
		status = thaw_fail(THAW_FAILED, "a plan of engine %d with %zu bytes of workspace is not one that may be taken",
		                   plan.engine, plan.workspace_bytes);
	if (status)
		thaw_cudnn_plan_release(&plan);
	else
		*plan_out = plan;
	return status;
}

/* --- targets ----------------------------------------------------------------------------------------------------- */

thaw_status thaw_cudnn_target_read(const char *json, size_t length, struct thaw_cudnn_target *target_out)
{
	struct parts parts = {.count = 0};
	cudnnBackendDescriptor_t d = part(&parts, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);

	set(&parts, d, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)length, json);
	finish(&parts, d);
	if (parts.status) {
		thaw_status status = thaw_fail(THAW_FAILED, "cuDNN: properties of a GPU: %s", thaw_cudnn_reason(parts.status));

		release_parts(&parts);
		return status;
	}
	*target_out = (struct thaw_cudnn_target){.properties = d};
	return THAW_OK;
}

void thaw_cudnn_target_release(struct thaw_cudnn_target *target)
{
	if (target->properties)
		(void)cudnnBackendDestroyDescriptor(target->properties);
	target->properties = NULL;
}
