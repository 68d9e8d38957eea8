/*
 * What goes between the host and the device while steps follow one another.
 *
 * Nobody waits for a step to be over before the next is given: what it needs to know is sent ahead from pinned memory,
 * pixels on a stream of their own beside the step before, and what it tells is asked for when the next is under way.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/cuda/cuda.h"

struct thaw_recording {
	struct thaw_gpu_graph *graph;
};

static struct thaw_cuda *cuda_of(struct thaw_device *device)
{
	return device->own;
}

/* --- mail -------------------------------------------------------------------------------------------------------- */

static void free_mail(struct thaw_gpu *gpu, struct thaw_cuda_mail *mail)
{
	for (int i = 0; i < THAW_CUDA_SENDS; i++) {
		thaw_gpu_free_pinned(gpu, mail->letter[i]);
		thaw_gpu_event_free(mail->read[i]);
	}
	*mail = (struct thaw_cuda_mail){.letter_bytes = 0};
}

static thaw_status make_mail(struct thaw_gpu *gpu, struct thaw_cuda_mail *mail, size_t letter_bytes)
{
	thaw_status status = THAW_OK;

	mail->letter_bytes = letter_bytes;
	for (int i = 0; i < THAW_CUDA_SENDS && !status; i++) {
		status = thaw_gpu_alloc_pinned(gpu, letter_bytes, "what a step is told", &mail->letter[i]);
		if (!status)
			status = thaw_gpu_event_new(gpu, false, &mail->read[i]);
	}
	return status;
}

/* An empty letter: one that has been read. */
static thaw_status take_letter(struct thaw_cuda_mail *mail, void **letter_out)
{
	unsigned i = mail->next % THAW_CUDA_SENDS;

	*letter_out = mail->letter[i];
	return thaw_gpu_event_wait(mail->read[i]);
}

/* Sends the letter that was taken last. */
static thaw_status send_letter(struct thaw_gpu_stream *stream, struct thaw_cuda_mail *mail, void *to, size_t size_bytes)
{
	unsigned i = mail->next++ % THAW_CUDA_SENDS;
	thaw_status status = thaw_gpu_put(stream, to, mail->letter[i], size_bytes);

	return status ? status : thaw_gpu_event_record(mail->read[i], stream);
}

thaw_status thaw_cuda_send_rate(struct thaw_device *device, double rate)
{
	struct thaw_cuda *cuda = cuda_of(device);
	void *letter;
	thaw_status status = take_letter(&cuda->rates, &letter);

	if (status)
		return status;
	memcpy(letter, &rate, sizeof rate);
	return send_letter(cuda->stream, &cuda->rates, &cuda->facts->rate, sizeof rate);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static size_t told_bytes(int rows)
{
	return sizeof(struct thaw_update_facts) + (size_t)rows * THAW_SCORES * sizeof(double);
}

thaw_status thaw_cuda_queue_init(struct thaw_cuda *cuda)
{
	void *facts = NULL, *told = NULL;
	thaw_status status = thaw_gpu_stream_new(cuda->gpu, false, &cuda->stream);

	if (!status)
		status = thaw_gpu_stream_new(cuda->gpu, false, &cuda->copies);
	if (!status)
		status = thaw_gpu_event_new(cuda->gpu, false, &cuda->copied);
	if (!status)
		status = thaw_gpu_event_new(cuda->gpu, false, &cuda->taken);
	if (!status)
		status = make_mail(cuda->gpu, &cuda->rates, sizeof(double));
	if (!status)
		status = thaw_gpu_alloc(cuda->gpu, told_bytes(THAW_ROWS), "scores", &facts);
	cuda->facts = facts;
	for (int i = 0; i < THAW_CUDA_TOLD && !status; i++) {
		status = thaw_gpu_alloc_pinned(cuda->gpu, told_bytes(THAW_ROWS), "scores", &told);
		if (!status)
			cuda->told[i].facts = told;
		if (!status)
			status = thaw_gpu_event_new(cuda->gpu, false, &cuda->told[i].here);
	}
	return status ? status : thaw_gpu_zero(cuda->stream, cuda->facts, told_bytes(THAW_ROWS));
}

void thaw_cuda_queue_release(struct thaw_cuda *cuda)
{
	thaw_gpu_stream_free(cuda->copies);
	thaw_gpu_stream_free(cuda->stream);
	thaw_gpu_event_free(cuda->copied);
	thaw_gpu_event_free(cuda->taken);
	free_mail(cuda->gpu, &cuda->feeds);
	free_mail(cuda->gpu, &cuda->rates);
	for (int i = 0; i < THAW_CUDA_TOLD; i++) {
		thaw_gpu_free_pinned(cuda->gpu, cuda->told[i].facts);
		thaw_gpu_event_free(cuda->told[i].here);
	}
	thaw_gpu_free(cuda->gpu, cuda->facts);
	thaw_gpu_free(cuda->gpu, cuda->feed.scalars);
	thaw_gpu_free(cuda->gpu, cuda->pixels);
}

static thaw_status wait(struct thaw_device *device)
{
	thaw_status status = thaw_gpu_wait(cuda_of(device)->copies);

	return status ? status : thaw_gpu_wait(cuda_of(device)->stream);
}

/* --- feeding ----------------------------------------------------------------------------------------------------- */

enum { SCALARS = 256 }; /* bytes that the scalars take up, so that what follows is aligned */

static size_t feed_bytes(int room)
{
	return SCALARS + (size_t)room * (2 * sizeof(int32_t) + sizeof(double));
}

/* What stands where in a letter or in the device's copy of it. */
static struct thaw_cuda_feed feed_at(void *memory, int room)
{
	char *at = memory;

	return (struct thaw_cuda_feed){
		.scalars = memory,
		.shares = (double *)(void *)(at + SCALARS),
		.labels = (int32_t *)(void *)(at + SCALARS) + 2 * room,
		.mixed = (int32_t *)(void *)(at + SCALARS) + 3 * room,
	};
}

static thaw_status make_feed(struct thaw_cuda *cuda, int n)
{
	int room = (n + 7) / 8 * 8;
	void *memory;
	thaw_status status;

	free_mail(cuda->gpu, &cuda->feeds);
	thaw_gpu_free(cuda->gpu, cuda->feed.scalars);
	cuda->feed = (struct thaw_cuda_feed){.scalars = NULL};
	cuda->room = 0;
	status = make_mail(cuda->gpu, &cuda->feeds, feed_bytes(room));
	if (!status)
		status = thaw_gpu_alloc(cuda->gpu, feed_bytes(room), "labels", &memory);
	if (status)
		return status;
	cuda->feed = feed_at(memory, room);
	cuda->room = room;
	return THAW_OK;
}

static thaw_status make_pixels(struct thaw_cuda *cuda, size_t pixels_bytes)
{
	void *memory;
	thaw_status status;

	thaw_gpu_free(cuda->gpu, cuda->pixels);
	cuda->pixels = NULL;
	cuda->pixels_room = 0;
	status = thaw_gpu_alloc(cuda->gpu, pixels_bytes, "pictures", &memory);
	if (status)
		return status;
	cuda->pixels = memory;
	cuda->pixels_room = pixels_bytes;
	return THAW_OK;
}

thaw_status thaw_cuda_make_room(struct thaw_device *device, int n, size_t pixels_bytes)
{
	struct thaw_cuda *cuda = cuda_of(device);
	thaw_status status;

	if (n <= cuda->room && pixels_bytes <= cuda->pixels_room)
		return THAW_OK;
	status = wait(device);
	if (!status && n > cuda->room)
		status = make_feed(cuda, n);
	if (!status && pixels_bytes > cuda->pixels_room)
		status = make_pixels(cuda, pixels_bytes);
	device->moves++;
	return status;
}

static thaw_status send_feed(struct thaw_cuda *cuda, const struct thaw_run *run, size_t n)
{
	struct thaw_cuda_feed letter;
	void *memory;
	thaw_status status = take_letter(&cuda->feeds, &memory);

	if (status)
		return status;
	letter = feed_at(memory, cuda->room);
	*letter.scalars = (struct thaw_scalars){.gradient_scale = run->gradient_scale, .share = run->share};
	memcpy(letter.labels, run->labels, n * sizeof *run->labels);
	if (run->mixed) {
		memcpy(letter.mixed, run->mixed, n * sizeof *run->mixed);
		memcpy(letter.shares, run->shares, n * sizeof *run->shares);
	}
	return send_letter(cuda->stream, &cuda->feeds, cuda->feed.scalars, feed_bytes(cuda->room));
}

/* The pixels before may still be wanted, but no more than by the first step of a network. */
static thaw_status send_pixels(struct thaw_cuda *cuda, const uint8_t *pixels, size_t pixels_bytes)
{
	thaw_status status = thaw_gpu_event_order(cuda->taken, cuda->copies);

	if (!status)
		status = thaw_gpu_put(cuda->copies, cuda->pixels, pixels, pixels_bytes);
	if (!status)
		status = thaw_gpu_event_record(cuda->copied, cuda->copies);
	return status ? status : thaw_gpu_event_order(cuda->copied, cuda->stream);
}

static thaw_status feed(struct thaw_device *device, const struct thaw_run *run, int n, size_t pixels_bytes)
{
	thaw_status status = thaw_cuda_make_room(device, n, pixels_bytes);

	if (!status)
		status = send_feed(cuda_of(device), run, (size_t)n);
	return status || pixels_bytes == 0 ? status : send_pixels(cuda_of(device), run->pixels, pixels_bytes);
}

static thaw_status fed(struct thaw_device *device)
{
	return thaw_gpu_event_wait(cuda_of(device)->copied);
}

/* --- telling ----------------------------------------------------------------------------------------------------- */

double *thaw_cuda_score(const struct thaw_cuda *cuda, int row)
{
	return (double *)(void *)(cuda->facts + 1) + (size_t)row * THAW_SCORES;
}

struct thaw_score thaw_cuda_score_of(const double numbers[THAW_SCORES])
{
	return (struct thaw_score){
		.loss = numbers[THAW_SCORE_LOSS],
		.weight = numbers[THAW_SCORE_WEIGHT],
		.count = (int64_t)numbers[THAW_SCORE_COUNT],
		.top1 = (int64_t)numbers[THAW_SCORE_TOP1],
		.top5 = (int64_t)numbers[THAW_SCORE_TOP5],
	};
}

static thaw_status tell(struct thaw_device *device, int rows)
{
	struct thaw_cuda *cuda = cuda_of(device);
	struct thaw_cuda_told *told = &cuda->told[cuda->tellings++ % THAW_CUDA_TOLD];
	thaw_status status;

	assert(rows <= THAW_ROWS && cuda->tellings - cuda->asked <= THAW_CUDA_TOLD);
	told->rows = rows;
	status = thaw_gpu_get(cuda->stream, told->facts, cuda->facts, told_bytes(rows));
	return status ? status : thaw_gpu_event_record(told->here, cuda->stream);
}

static thaw_status here(struct thaw_device *device, bool *here_out)
{
	const struct thaw_cuda *cuda = cuda_of(device);

	return thaw_gpu_event_done(cuda->told[cuda->asked % THAW_CUDA_TOLD].here, here_out);
}

static thaw_status told(struct thaw_device *device, struct thaw_score *scores_out, struct thaw_told *told_out)
{
	struct thaw_cuda *cuda = cuda_of(device);
	const struct thaw_cuda_told *told = &cuda->told[cuda->asked % THAW_CUDA_TOLD];
	const double *scores = (const double *)(const void *)(told->facts + 1);
	thaw_status status;

	assert(cuda->asked < cuda->tellings);
	status = thaw_gpu_event_wait(told->here);
	if (status)
		return status;
	cuda->asked++;
	for (int i = 0; i < told->rows; i++)
		scores_out[i] = thaw_cuda_score_of(scores + (size_t)i * THAW_SCORES);
	*told_out = (struct thaw_told){
		.norm = told->facts->norm, .applied = told->facts->applied, .broken = (int)told->facts->broken};
	return THAW_OK;
}

/* --- recording --------------------------------------------------------------------------------------------------- */

static thaw_status record(struct thaw_device *device)
{
	return thaw_gpu_capture_begin(cuda_of(device)->stream);
}

static void forget(struct thaw_device *device, struct thaw_recording *recording)
{
	(void)device;
	if (recording)
		thaw_gpu_graph_free(recording->graph);
	free(recording);
}

static thaw_status recorded(struct thaw_device *device, struct thaw_recording **recording_out)
{
	struct thaw_recording *recording = thaw_alloc(1, sizeof *recording);
	struct thaw_gpu_graph *graph;
	thaw_status status = thaw_gpu_capture_end(cuda_of(device)->stream, &graph);

	if (!status && !recording) {
		thaw_gpu_graph_free(graph);
		return THAW_OUT_OF_MEMORY;
	}
	if (status) {
		free(recording);
		return status;
	}
	recording->graph = graph;
	*recording_out = recording;
	return THAW_OK;
}

static thaw_status replay(struct thaw_device *device, struct thaw_recording *recording)
{
	return thaw_gpu_graph_launch(cuda_of(device)->stream, recording->graph);
}

/* --- the host's own memory --------------------------------------------------------------------------------------- */

static thaw_status allocate_pinned(struct thaw_device *device, size_t size_bytes, const char *what, void **memory_out)
{
	return thaw_gpu_alloc_pinned(cuda_of(device)->gpu, size_bytes, what, memory_out);
}

static void release_pinned(struct thaw_device *device, void *memory)
{
	thaw_gpu_free_pinned(cuda_of(device)->gpu, memory);
}

const struct thaw_queue_ops thaw_cuda_queue = {
	.feed = feed,
	.fed = fed,
	.tell = tell,
	.here = here,
	.told = told,
	.record = record,
	.recorded = recorded,
	.replay = replay,
	.forget = forget,
	.wait = wait,
	.allocate_pinned = allocate_pinned,
	.release_pinned = release_pinned,
};
