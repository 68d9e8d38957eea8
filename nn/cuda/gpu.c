#include "nn/cuda/gpu.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/checksum.h"
#include "base/mem.h"
#include "nn/cuda/choice.h"
#include "nn/cuda/cudnn_plan.h"
#include "nn/cuda/gpu_real.h"
#include "nn/cuda/lack.h"

struct thaw_gpu_event {
	struct thaw_gpu *gpu;
	cudaEvent_t event;
};

struct thaw_gpu_graph {
	struct thaw_gpu *gpu;
	cudaGraphExec_t graph;
};

thaw_status thaw_gpu_check(const struct thaw_gpu *gpu, cudaError_t error, const char *call)
{
	if (error == cudaSuccess)
		return THAW_OK;
	(void)cudaGetLastError(); /* the libraries would take it for one of their own */
	return thaw_fail(error == cudaErrorMemoryAllocation ? THAW_OUT_OF_MEMORY : THAW_FAILED, "GPU %d (%s): %s: %s",
	                 gpu->number, gpu->facts.name, call, cudaGetErrorString(error));
}

thaw_status thaw_gpu_cudnn_failure(cudnnStatus_t error)
{
	return error == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED ||
	               error == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED
	           ? THAW_OUT_OF_MEMORY
	           : THAW_FAILED;
}

thaw_status thaw_gpu_cublas_failure(cublasStatus_t error)
{
	return error == CUBLAS_STATUS_ALLOC_FAILED ? THAW_OUT_OF_MEMORY : THAW_FAILED;
}

/* --- the device -------------------------------------------------------------------------------------------------- */

thaw_status thaw_gpu_count(int *count_out)
{
	cudaError_t error = cudaGetDeviceCount(count_out);
	struct thaw_gpu_lack lack = {
		.old = error == cudaErrorInsufficientDriver,
		.visible = getenv("CUDA_VISIBLE_DEVICES"),
	};

	if (error == cudaSuccess && *count_out > 0)
		return THAW_OK;
	if (error && error != cudaErrorNoDevice && !lack.old) { /* then it is no matter of what is visible */
		lack.error = cudaGetErrorString(error);
		lack.visible = NULL;
	}
	(void)cudaDriverGetVersion(&lack.driver);
	(void)cudaRuntimeGetVersion(&lack.runtime);
	*count_out = thaw_gpu_lacks_all(&lack) ? 0 : -1;
	return thaw_gpu_fail_lack(&lack);
}

void thaw_gpu_versions(char text_out[THAW_GPU_VERSIONS])
{
	size_t cudnn = cudnnGetVersion(), cublas = cublasLtGetVersion();
	int driver = 0, runtime = 0;
	char of_driver[40] = "";

	(void)cudaDriverGetVersion(&driver);
	(void)cudaRuntimeGetVersion(&runtime);
	if (driver)
		snprintf(of_driver, sizeof of_driver, ", driver %d.%d", driver / 1000, driver % 1000 / 10);
	snprintf(text_out, THAW_GPU_VERSIONS, "CUDA %d.%d%s, cuDNN %zu.%zu.%zu, cuBLASLt %zu.%zu", runtime / 1000,
	         runtime % 1000 / 10, of_driver, cudnn / 10000, cudnn / 100 % 100, cudnn % 100, cublas / 10000,
	         cublas / 100 % 100);
}

/* The place on the bus too: what a virtual machine makes up for the other may be all zeroes. */
thaw_status thaw_gpu_identity(int number, uint32_t *identity_out)
{
	const struct thaw_gpu gpu = {.number = number};
	struct cudaDeviceProp properties;
	thaw_status status = thaw_gpu_check(&gpu, cudaGetDeviceProperties(&properties, number), "cudaGetDeviceProperties");

	if (!status) {
		const int place[] = {properties.pciDomainID, properties.pciBusID, properties.pciDeviceID};

		*identity_out = thaw_crc32c(thaw_crc32c(0, &properties.uuid, sizeof properties.uuid), place, sizeof place);
	}
	return status;
}

static void describe(struct thaw_gpu *gpu, const struct cudaDeviceProp *properties)
{
	size_t cudnn = cudnnGetVersion();
	int driver = 0;

	(void)cudaDriverGetVersion(&driver);
	thaw_gpu_versions(gpu->facts.versions);
	snprintf(gpu->facts.name, sizeof gpu->facts.name, "%.63s", properties->name);
	gpu->facts.capability = 10 * properties->major + properties->minor;
	gpu->facts.processors = properties->multiProcessorCount;
	gpu->facts.memory_bytes = properties->totalGlobalMem;
	snprintf(gpu->machine, sizeof gpu->machine, "%s, sm_%d, %d processors, driver %d, cuDNN %zu", gpu->facts.name,
	         gpu->facts.capability, gpu->facts.processors, driver, cudnn);
}

static thaw_status open_libraries(struct thaw_gpu *gpu)
{
	cudnnStatus_t cudnn;
	cublasStatus_t cublas;

	if (cudnnGetVersion() < THAW_CUDNN_LEAST)
		return thaw_fail(THAW_FAILED, "cuDNN %zu.%zu is too old: %d.%d or later is wanted", cudnnGetVersion() / 10000,
		                 cudnnGetVersion() / 100 % 100, THAW_CUDNN_LEAST / 10000, THAW_CUDNN_LEAST / 100 % 100);
	cudnn = cudnnCreate(&gpu->cudnn);
	if (cudnn)
		return thaw_fail(thaw_gpu_cudnn_failure(cudnn), "GPU %d (%s): cuDNN: %s", gpu->number, gpu->facts.name,
		                 cudnnGetErrorString(cudnn));
	cublas = cublasLtCreate(&gpu->cublas);
	if (cublas)
		return thaw_fail(thaw_gpu_cublas_failure(cublas), "GPU %d (%s): cuBLASLt: %s", gpu->number, gpu->facts.name,
		                 cublasLtGetStatusString(cublas));
	return THAW_OK;
}

thaw_status thaw_gpu_open(int number, struct thaw_gpu **gpu_out)
{
	struct thaw_gpu *gpu;
	struct cudaDeviceProp properties;
	int count;
	thaw_status status = thaw_gpu_count(&count);

	if (status)
		return status;
	if (number >= count)
		return thaw_fail(THAW_FAILED, "no GPU %d: this process sees %d", number, count);
	gpu = thaw_alloc(1, sizeof *gpu);
	if (!gpu)
		return THAW_OUT_OF_MEMORY;
	gpu->number = number;
	status = thaw_gpu_check(gpu, cudaSetDevice(number), "cudaSetDevice");
	if (!status)
		status = thaw_gpu_check(gpu, cudaGetDeviceProperties(&properties, number), "cudaGetDeviceProperties");
	if (!status) {
		describe(gpu, &properties);
		status = open_libraries(gpu);
	}
	if (status)
		thaw_gpu_close(gpu);
	else
		*gpu_out = gpu;
	return status;
}

void thaw_gpu_close(struct thaw_gpu *gpu)
{
	if (!gpu)
		return;
	thaw_choice_keep();
	if (gpu->cudnn) {
		(void)cudnnSetStream(gpu->cudnn, NULL); /* not one that is gone */
		(void)cudnnDestroy(gpu->cudnn);
	}
	if (gpu->cublas)
		(void)cublasLtDestroy(gpu->cublas);
	free(gpu);
}

const struct thaw_gpu_facts *thaw_gpu_facts(const struct thaw_gpu *gpu)
{
	return &gpu->facts;
}

thaw_status thaw_gpu_available(struct thaw_gpu *gpu, size_t *bytes_out)
{
	size_t all;

	return thaw_gpu_check(gpu, cudaMemGetInfo(bytes_out, &all), "cudaMemGetInfo");
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

thaw_status thaw_gpu_alloc(struct thaw_gpu *gpu, size_t size_bytes, const char *what, void **memory_out)
{
	cudaError_t error = cudaMalloc(memory_out, size_bytes ? size_bytes : 1);
	size_t left = 0, all = 0;

	if (error != cudaErrorMemoryAllocation)
		return thaw_gpu_check(gpu, error, "cudaMalloc");
	(void)cudaGetLastError(); /* it is over with that */
	(void)cudaMemGetInfo(&left, &all);
	return thaw_fail(THAW_OUT_OF_MEMORY, "out of GPU memory: %s need %.1f MiB, %.1f of %.1f are left", what,
	                 (double)size_bytes / 1048576.0, (double)left / 1048576.0, (double)all / 1048576.0);
}

void thaw_gpu_free(struct thaw_gpu *gpu, void *memory)
{
	(void)gpu;
	(void)cudaFree(memory);
}

thaw_status thaw_gpu_alloc_pinned(struct thaw_gpu *gpu, size_t size_bytes, const char *what, void **memory_out)
{
	cudaError_t error = cudaMallocHost(memory_out, size_bytes ? size_bytes : 1);

	if (error != cudaErrorMemoryAllocation)
		return thaw_gpu_check(gpu, error, "cudaMallocHost");
	(void)cudaGetLastError();
	return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory that can be pinned: %s need %.1f MiB", what,
	                 (double)size_bytes / 1048576.0);
}

void thaw_gpu_free_pinned(struct thaw_gpu *gpu, void *memory)
{
	(void)gpu;
	(void)cudaFreeHost(memory);
}

/* --- streams and events ------------------------------------------------------------------------------------------ */

thaw_status thaw_gpu_stream_new(struct thaw_gpu *gpu, bool urgent, struct thaw_gpu_stream **stream_out)
{
	struct thaw_gpu_stream *stream = thaw_alloc(1, sizeof *stream);
	int least = 0, greatest = 0;
	thaw_status status;

	if (!stream)
		return THAW_OUT_OF_MEMORY;
	stream->gpu = gpu;
	status =
		thaw_gpu_check(gpu, cudaDeviceGetStreamPriorityRange(&least, &greatest), "cudaDeviceGetStreamPriorityRange");
	if (!status)
		status = thaw_gpu_check(
			gpu, cudaStreamCreateWithPriority(&stream->stream, cudaStreamNonBlocking, urgent ? greatest : least),
			"cudaStreamCreateWithPriority");
	if (status)
		free(stream);
	else
		*stream_out = stream;
	return status;
}

void thaw_gpu_stream_free(struct thaw_gpu_stream *stream)
{
	if (stream)
		(void)cudaStreamDestroy(stream->stream);
	free(stream);
}

thaw_status thaw_gpu_wait(struct thaw_gpu_stream *stream)
{
	return thaw_gpu_check(stream->gpu, cudaStreamSynchronize(stream->stream), "cudaStreamSynchronize");
}

thaw_status thaw_gpu_event_new(struct thaw_gpu *gpu, bool timed, struct thaw_gpu_event **event_out)
{
	struct thaw_gpu_event *event = thaw_alloc(1, sizeof *event);
	thaw_status status;

	if (!event)
		return THAW_OUT_OF_MEMORY;
	event->gpu = gpu;
	status =
		thaw_gpu_check(gpu, cudaEventCreateWithFlags(&event->event, timed ? cudaEventDefault : cudaEventDisableTiming),
	                   "cudaEventCreateWithFlags");
	if (status)
		free(event);
	else
		*event_out = event;
	return status;
}

void thaw_gpu_event_free(struct thaw_gpu_event *event)
{
	if (event)
		(void)cudaEventDestroy(event->event);
	free(event);
}

thaw_status thaw_gpu_event_record(struct thaw_gpu_event *event, struct thaw_gpu_stream *stream)
{
	return thaw_gpu_check(event->gpu, cudaEventRecord(event->event, stream->stream), "cudaEventRecord");
}

thaw_status thaw_gpu_event_order(struct thaw_gpu_event *event, struct thaw_gpu_stream *waiting)
{
	return thaw_gpu_check(event->gpu, cudaStreamWaitEvent(waiting->stream, event->event, 0), "cudaStreamWaitEvent");
}

thaw_status thaw_gpu_event_wait(struct thaw_gpu_event *event)
{
	return thaw_gpu_check(event->gpu, cudaEventSynchronize(event->event), "cudaEventSynchronize");
}

thaw_status thaw_gpu_event_done(struct thaw_gpu_event *event, bool *done_out)
{
	cudaError_t error = cudaEventQuery(event->event);

	*done_out = error == cudaSuccess;
	if (error != cudaErrorNotReady)
		return thaw_gpu_check(event->gpu, error, "cudaEventQuery");
	(void)cudaGetLastError(); /* else whoever asks for it next takes this answer for a failure */
	return THAW_OK;
}

thaw_status thaw_gpu_event_seconds(struct thaw_gpu_event *from, struct thaw_gpu_event *to, double *seconds_out)
{
	float milliseconds = 0;
	thaw_status status =
		thaw_gpu_check(to->gpu, cudaEventElapsedTime(&milliseconds, from->event, to->event), "cudaEventElapsedTime");

	*seconds_out = 1e-3 * (double)milliseconds;
	return status;
}

/* --- work -------------------------------------------------------------------------------------------------------- */

static thaw_status copy(struct thaw_gpu_stream *stream, void *to, const void *from, size_t size_bytes,
                        enum cudaMemcpyKind kind)
{
	return thaw_gpu_check(stream->gpu, cudaMemcpyAsync(to, from, size_bytes, kind, stream->stream), "cudaMemcpyAsync");
}

/* CUDA itself waits for memory that is not pinned, but for what a capture would not let it. */
thaw_status thaw_gpu_put(struct thaw_gpu_stream *stream, void *to, const void *host, size_t size_bytes)
{
	return copy(stream, to, host, size_bytes, cudaMemcpyHostToDevice);
}

thaw_status thaw_gpu_get(struct thaw_gpu_stream *stream, void *host, const void *from, size_t size_bytes)
{
	return copy(stream, host, from, size_bytes, cudaMemcpyDeviceToHost);
}

thaw_status thaw_gpu_zero(struct thaw_gpu_stream *stream, void *to, size_t size_bytes)
{
	return thaw_gpu_check(stream->gpu, cudaMemsetAsync(to, 0, size_bytes, stream->stream), "cudaMemsetAsync");
}

#define DECLARE(name, pointers) void thaw_kernel_##name(struct thaw_##name##_args arguments);
THAW_KERNELS(DECLARE)
#undef DECLARE

#define ROW(name, pointers) {(const void *)(uintptr_t)thaw_kernel_##name, "kernel " #name},
static const struct {
	const void *function;
	const char *name;
} kernels[] = {THAW_KERNELS(ROW)};
#undef ROW

thaw_status thaw_gpu_launch(struct thaw_gpu_stream *stream, enum thaw_kernel kernel, int64_t blocks,
                            const void *arguments, size_t arguments_bytes)
{
	const dim3 grid = {(unsigned)blocks, 1, 1}, block = {THAW_BLOCK, 1, 1};
	void *all[] = {(void *)(uintptr_t)arguments};

	(void)arguments_bytes;
	if (blocks == 0)
		return THAW_OK;
	return thaw_gpu_check(stream->gpu, cudaLaunchKernel(kernels[kernel].function, grid, block, all, 0, stream->stream),
	                      kernels[kernel].name);
}

/* --- graphs ------------------------------------------------------------------------------------------------------ */

thaw_status thaw_gpu_capture_begin(struct thaw_gpu_stream *stream)
{
	return thaw_gpu_check(stream->gpu, cudaStreamBeginCapture(stream->stream, cudaStreamCaptureModeThreadLocal),
	                      "cudaStreamBeginCapture");
}

thaw_status thaw_gpu_capture_end(struct thaw_gpu_stream *stream, struct thaw_gpu_graph **graph_out)
{
	struct thaw_gpu_graph *graph = thaw_alloc(1, sizeof *graph);
	cudaGraph_t captured = NULL;
	thaw_status status =
		thaw_gpu_check(stream->gpu, cudaStreamEndCapture(stream->stream, &captured), "cudaStreamEndCapture");

	if (!status && !graph)
		status = THAW_OUT_OF_MEMORY;
	if (!status) {
		graph->gpu = stream->gpu;
		/* With the priorities of the streams it was recorded from: else sums would wait behind all of the backward pass. */
		status = thaw_gpu_check(
			stream->gpu, cudaGraphInstantiate(&graph->graph, captured, cudaGraphInstantiateFlagUseNodePriority),
			"cudaGraphInstantiate");
	}
	if (captured)
		(void)cudaGraphDestroy(captured);
	if (status)
		free(graph);
	else
		*graph_out = graph;
	return status;
}

void thaw_gpu_graph_free(struct thaw_gpu_graph *graph)
{
	if (graph)
		(void)cudaGraphExecDestroy(graph->graph);
	free(graph);
}

thaw_status thaw_gpu_graph_launch(struct thaw_gpu_stream *stream, struct thaw_gpu_graph *graph)
{
	return thaw_gpu_check(stream->gpu, cudaGraphLaunch(graph->graph, stream->stream), "cudaGraphLaunch");
}
