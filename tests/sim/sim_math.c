/*
 * Convolutions and matrix products, as their formulas say: loops over numbers in double precision, independent of the
 * other backends. The innermost loop goes over channels that stand side by side, of what is added to.
 */
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/mem.h"
#include "tests/sim/sim.h"

/* Bytes of scratch memory that a convolution or a product says it needs, and spoils at both ends. As with real ones a
 * smaller batch may want more: that of a single picture does, where THAW_SIM_WORKSPACE says how many bytes. */
enum { WORKSPACE = 512, SPOILED = 256 };
enum { TILE = 128 }; /* pixels whose sums a block makes */

static double load(enum thaw_number number, const void *from, size_t i)
{
	uint16_t bits;
	float x;

	if (number == THAW_FLOAT32) {
		memcpy(&x, (const char *)from + i * sizeof x, sizeof x);
		return (double)x;
	}
	memcpy(&bits, (const char *)from + i * sizeof bits, sizeof bits);
	return (double)(number == THAW_FLOAT16 ? thaw_half_to_float(bits) : thaw_bf16_to_float(bits));
}

static void store(enum thaw_number number, void *to, size_t i, double value)
{
	float x = (float)value;
	uint16_t bits;

	if (number == THAW_FLOAT32) {
		memcpy((char *)to + i * sizeof x, &x, sizeof x);
		return;
	}
	bits = number == THAW_FLOAT16 ? thaw_float_to_half(x) : thaw_float_to_bf16(x);
	memcpy((char *)to + i * sizeof bits, &bits, sizeof bits);
}

static double *load_all(enum thaw_number number, const void *from, size_t count)
{
	double *values = thaw_alloc(count, sizeof *values);

	if (!values)
		thaw_sim_refuse("out of memory");
	for (size_t i = 0; i < count; i++)
		values[i] = load(number, from, i);
	return values;
}

/* Scratch memory is written to as long as a call runs: it may lie neither over what is read nor over what is written. */
static void spoil(void *workspace, size_t size_bytes, size_t alignment, const char *what)
{
	char *at = thaw_sim_at(workspace, size_bytes, alignment, what);

	memset(at, 0xff, SPOILED);
	memset(at + size_bytes - SPOILED, 0xff, SPOILED);
}

/* --- convolutions ------------------------------------------------------------------------------------------------ */

struct thaw_gpu_conv {
	struct thaw_gpu_conv_spec spec;
};

/* How many numbers x, w and y have. */
struct sizes {
	size_t x, w, y;
};

static struct sizes sizes_of(const struct thaw_gpu_conv_spec *s)
{
	return (struct sizes){
		(size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->c,
		(size_t)s->k * (size_t)s->kernel * (size_t)s->kernel * (size_t)(s->c / s->groups),
		(size_t)s->n * (size_t)s->oh * (size_t)s->ow * (size_t)s->k,
	};
}

static size_t workspace_of(const struct thaw_gpu_conv_spec *s)
{
	const char *large = s->n == 1 ? getenv("THAW_SIM_WORKSPACE") : NULL;

	return large ? (size_t)atoll(large) : WORKSPACE;
}

/* As if timing had said so. */
static bool chooses_statistics(void)
{
	const char *chosen = getenv("THAW_SIM_STATISTICS");

	return chosen && strcmp(chosen, "1") == 0;
}

thaw_status thaw_gpu_conv_new(struct thaw_gpu *gpu, const struct thaw_gpu_conv_spec *spec,
                              struct thaw_gpu_conv **conv_out)
{
	struct thaw_gpu_conv *conv = thaw_alloc(1, sizeof *conv);

	(void)gpu;
	if (!conv)
		return THAW_OUT_OF_MEMORY;
	if (spec->c % spec->groups != 0 || spec->k % spec->groups != 0 ||
	    spec->oh != (spec->h + 2 * spec->pad - spec->kernel) / spec->stride + 1 ||
	    spec->ow != (spec->w + 2 * spec->pad - spec->kernel) / spec->stride + 1)
		thaw_sim_refuse("a convolution of %dx%dx%d to %dx%dx%d with kernel %d, stride %d, pad %d, groups %d", spec->c,
		                spec->h, spec->w, spec->k, spec->oh, spec->ow, spec->kernel, spec->stride, spec->pad,
		                spec->groups);
	if (spec->statistics && (spec->pass != THAW_GPU_FORWARD || spec->bias || spec->residual || spec->relu))
		thaw_sim_refuse("a convolution with statistics and something else behind it");
	if (spec->workspace_limit < workspace_of(spec))
		thaw_sim_refuse("a convolution with %zu bytes of workspace", spec->workspace_limit);
	conv->spec = *spec;
	conv->spec.statistics &= chooses_statistics();
	*conv_out = conv;
	return THAW_OK;
}

void thaw_gpu_conv_free(struct thaw_gpu_conv *conv)
{
	free(conv);
}

size_t thaw_gpu_conv_workspace(const struct thaw_gpu_conv *conv)
{
	return workspace_of(&conv->spec);
}

bool thaw_gpu_conv_has_statistics(const struct thaw_gpu_conv *conv)
{
	return conv->spec.statistics;
}

const char *thaw_gpu_conv_engine(const struct thaw_gpu_conv *conv)
{
	(void)conv;
	return "simulated";
}

struct pass {
	struct thaw_gpu_conv_spec spec;
	struct thaw_gpu_conv_tensors tensors;
};

/* Calls `visit` for each output pixel, tap and input pixel that meet. */
typedef void visit_fn(const struct thaw_gpu_conv_spec *s, double *restrict x, double *restrict w, double *restrict y);

/* y += x w, w as (C / groups, K / groups) of one tap and group, all at one pixel. */
static void visit_forward(const struct thaw_gpu_conv_spec *s, double *restrict x, double *restrict w,
                          double *restrict y)
{
	int ins = s->c / s->groups, outs = s->k / s->groups;

	for (int c = 0; c < ins; c++)
		for (int k = 0; k < outs; k++)
			y[k] += x[c] * w[c * outs + k];
}

/* w as (K / groups, C / groups) */
static void visit_data(const struct thaw_gpu_conv_spec *s, double *restrict x, double *restrict w, double *restrict y)
{
	int ins = s->c / s->groups, outs = s->k / s->groups;

	for (int k = 0; k < outs; k++)
		for (int c = 0; c < ins; c++)
			x[c] += y[k] * w[k * ins + c];
}

static void visit_weights(const struct thaw_gpu_conv_spec *s, double *restrict x, double *restrict w,
                          double *restrict y)
{
	int ins = s->c / s->groups, outs = s->k / s->groups;

	for (int c = 0; c < ins; c++)
		for (int k = 0; k < outs; k++)
			w[c * outs + k] += x[c] * y[k];
}

static void visit_all(const struct thaw_gpu_conv_spec *s, visit_fn *visit, double *x, double *w, double *y)
{
	size_t ins = (size_t)(s->c / s->groups), outs = (size_t)(s->k / s->groups),
		   pixels = (size_t)s->n * (size_t)s->oh * (size_t)s->ow;

	for (size_t pixel = 0; pixel < pixels; pixel++) {
		int n = (int)(pixel / (size_t)(s->oh * s->ow)), p = (int)(pixel / (size_t)s->ow) % s->oh,
			q = (int)pixel % s->ow;

		for (int tap = 0; tap < s->kernel * s->kernel; tap++) {
			int h = p * s->stride - s->pad + tap / s->kernel, v = q * s->stride - s->pad + tap % s->kernel;

			if (h < 0 || h >= s->h || v < 0 || v >= s->w)
				continue;
			for (size_t g = 0; g < (size_t)s->groups; g++)
				visit(s,
				      x + (((size_t)n * (size_t)s->h + (size_t)h) * (size_t)s->w + (size_t)v) * (size_t)s->c + g * ins,
				      w + ((size_t)tap * (size_t)s->groups + g) * ins * outs, y + pixel * (size_t)s->k + g * outs);
		}
	}
}

/* Place of weight (k, tap, c) among (taps, groups) matrices, as the pass visits them. */
static size_t turned(const struct thaw_gpu_conv_spec *s, size_t i)
{
	size_t ins = (size_t)(s->c / s->groups), outs = (size_t)(s->k / s->groups), taps = (size_t)(s->kernel * s->kernel);
	size_t c = i % ins, tap = i / ins % taps, k = i / ins / taps;

	if (thaw_sim_fault("conv", "order"))
		c = i / taps % ins, tap = i % taps;
	return (tap * (size_t)s->groups + k / outs) * ins * outs +
	       (s->pass == THAW_GPU_DATA ? k % outs * ins + c : c * outs + k % outs);
}

static double *load_weights(const struct thaw_gpu_conv_spec *s, const void *from)
{
	double *w = thaw_alloc(sizes_of(s).w, sizeof *w);

	for (size_t i = 0; i < sizes_of(s).w; i++)
		w[turned(s, i)] = load(s->number, from, i);
	return w;
}

static void finish_forward(const struct pass *pass, const double *y, void *to)
{
	const struct thaw_gpu_conv_spec *s = &pass->spec;
	size_t element = thaw_number_bytes(s->number);
	const void *bias =
		s->bias ? thaw_sim_at(pass->tensors.bias, (size_t)s->k * element, 16, "a convolution's bias") : NULL;
	const void *residual =
		s->residual ? thaw_sim_at(pass->tensors.residual, sizes_of(s).y * element, 16, "a convolution's residual")
					: NULL;

	for (size_t i = 0; i < sizes_of(s).y; i++) {
		double value =
			y[i] + (bias ? load(s->number, bias, i % (size_t)s->k) : 0) + (residual ? load(s->number, residual, i) : 0);

		store(s->number, to, i, s->relu && value < 0 && !thaw_sim_fault("conv", "relu") ? 0 : value);
	}
}

/* Over y as it was rounded, since that is the tensor that cuDNN's graph names: what engines have in registers may be
 * the numbers before, and differ by rounding. In float32, a tile's first, then those of all tiles one after another. */
static void sum_channels(const struct pass *pass, const void *y)
{
	const struct thaw_gpu_conv_spec *s = &pass->spec;
	size_t channels = (size_t)s->k, rows = sizes_of(s).y / channels;
	float *sums = thaw_sim_at(pass->tensors.sums, 2 * channels * sizeof *sums, 16, "a convolution's sums");

	memset(sums, 0, 2 * channels * sizeof *sums);
	for (size_t k = 0; k < channels; k++) {
		for (size_t tile = 0; tile < rows; tile += TILE) {
			float sum = 0, squares = 0;

			for (size_t row = tile; row < rows && row < tile + TILE; row++) {
				float value = (float)load(s->number, y, row * channels + k);

				sum += value;
				squares += value * value;
			}
			sums[k] += sum;
			sums[channels + k] += squares;
		}
	}
}

static void run_pass(const void *arguments)
{
	const struct pass *pass = arguments;
	const struct thaw_gpu_conv_spec *s = &pass->spec;
	const struct sizes sizes = sizes_of(s);
	size_t element = thaw_number_bytes(s->number);
	void *x = thaw_sim_at(pass->tensors.x, sizes.x * element, 16, "a convolution's x");
	void *w = thaw_sim_at(pass->tensors.w, sizes.w * element, 16, "a convolution's weights");
	void *y = thaw_sim_at(pass->tensors.y, sizes.y * element, 16, "a convolution's y");
	double *xs, *ws, *ys;

	xs = s->pass == THAW_GPU_DATA ? thaw_alloc(sizes.x, sizeof *xs) : load_all(s->number, x, sizes.x);
	ws = s->pass == THAW_GPU_WEIGHTS ? thaw_alloc(sizes.w, sizeof *ws) : load_weights(s, w);
	ys = s->pass == THAW_GPU_FORWARD ? thaw_alloc(sizes.y, sizeof *ys) : load_all(s->number, y, sizes.y);
	spoil(pass->tensors.workspace, workspace_of(s), 16, "a convolution's workspace");
	switch (s->pass) {
	case THAW_GPU_FORWARD:
		visit_all(s, visit_forward, xs, ws, ys);
		finish_forward(pass, ys, y);
		if (s->statistics)
			sum_channels(pass, y);
		break;
	case THAW_GPU_DATA:
		visit_all(s, visit_data, xs, ws, ys);
		for (size_t i = 0; i < sizes.x; i++)
			store(s->number, x, i, xs[i] + (thaw_sim_fault("conv", "add") ? load(s->number, x, i) : 0));
		break;
	case THAW_GPU_WEIGHTS:
		visit_all(s, visit_weights, xs, ws, ys);
		for (size_t i = 0; i < sizes.w; i++)
			store(s->number, w, i, ws[turned(s, i)]);
		break;
	}
	spoil(pass->tensors.workspace, workspace_of(s), 16, "a convolution's workspace");
	free(xs);
	free(ws);
	free(ys);
}

thaw_status thaw_gpu_conv_run(struct thaw_gpu_stream *stream, struct thaw_gpu_conv *conv,
                              const struct thaw_gpu_conv_tensors *tensors)
{
	const struct pass pass = {conv->spec, *tensors};

	if (!tensors->x || !tensors->w || !tensors->y || !tensors->workspace || (conv->spec.statistics && !tensors->sums))
		thaw_sim_refuse("a convolution without one of its tensors");
	return thaw_sim_enqueue(stream, run_pass, &pass, sizeof pass);
}

/* --- matrix products --------------------------------------------------------------------------------------------- */

struct thaw_gpu_gemm {
	struct thaw_gpu_gemm_spec spec;
};

thaw_status thaw_gpu_gemm_new(struct thaw_gpu *gpu, const struct thaw_gpu_gemm_spec *spec,
                              struct thaw_gpu_gemm **gemm_out)
{
	struct thaw_gpu_gemm *gemm = thaw_alloc(1, sizeof *gemm);

	(void)gpu;
	if (!gemm)
		return THAW_OUT_OF_MEMORY;
	gemm->spec = *spec;
	*gemm_out = gemm;
	return THAW_OK;
}

void thaw_gpu_gemm_free(struct thaw_gpu_gemm *gemm)
{
	free(gemm);
}

size_t thaw_gpu_gemm_workspace(const struct thaw_gpu_gemm *gemm)
{
	(void)gemm;
	return WORKSPACE;
}

struct product {
	struct thaw_gpu_gemm_spec spec;
	const void *a, *b;
	void *c, *workspace;
};

/* Bytes from the first number of a matrix to behind its last. */
static size_t extent(int rows, int columns, int stride, enum thaw_number number)
{
	return ((size_t)(rows - 1) * (size_t)stride + (size_t)columns) * thaw_number_bytes(number);
}

static void run_product(const void *arguments)
{
	const struct product *product = arguments;
	const struct thaw_gpu_gemm_spec *s = &product->spec;
	size_t a_bytes = s->a_turned ? extent(s->inner, s->rows, s->a_stride, s->number)
	                             : extent(s->rows, s->inner, s->a_stride, s->number);
	size_t b_bytes = s->b_turned ? extent(s->columns, s->inner, s->b_stride, s->number)
	                             : extent(s->inner, s->columns, s->b_stride, s->number);
	const void *a = thaw_sim_at(product->a, a_bytes, THAW_GPU_GEMM_ALIGNMENT, "a product's a");
	const void *b = thaw_sim_at(product->b, b_bytes, THAW_GPU_GEMM_ALIGNMENT, "a product's b");
	void *c = thaw_sim_at(product->c, extent(s->rows, s->columns, s->c_stride, s->c_number), THAW_GPU_GEMM_ALIGNMENT,
	                      "a product's c");

	spoil(product->workspace, WORKSPACE, THAW_GPU_GEMM_WORKSPACE_ALIGNMENT, "a product's workspace");
	for (int row = 0; row < s->rows; row++)
		for (int column = 0; column < s->columns; column++) {
			double sum = 0;

			for (int i = 0; i < s->inner; i++) {
				size_t from_a = s->a_turned ? (size_t)i * (size_t)s->a_stride + (size_t)row
				                            : (size_t)row * (size_t)s->a_stride + (size_t)i;
				size_t from_b = s->b_turned ? (size_t)column * (size_t)s->b_stride + (size_t)i
				                            : (size_t)i * (size_t)s->b_stride + (size_t)column;

				sum += load(s->number, a, from_a) * load(s->number, b, from_b);
			}
			store(s->c_number, c, (size_t)row * (size_t)s->c_stride + (size_t)column, sum);
		}
	spoil(product->workspace, WORKSPACE, THAW_GPU_GEMM_WORKSPACE_ALIGNMENT, "a product's workspace");
}

thaw_status thaw_gpu_gemm_run(struct thaw_gpu_stream *stream, struct thaw_gpu_gemm *gemm, const void *a, const void *b,
                              void *c, void *workspace)
{
	const struct product product = {gemm->spec, a, b, c, workspace};

	if (!a || !b || !c || !workspace)
		thaw_sim_refuse("a matrix product without one of its matrices");
	return thaw_sim_enqueue(stream, run_product, &product, sizeof product);
}
