#include "runner/evaluate.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/confusion.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/loader.h"
#include "nn/plan.h"
#include "runner/stop.h"
#include "runner/watchdog.h"
#include "runner/world.h"

enum {
	BATCH = 32,         /* pictures */
	DEVICE_BATCH = 128, /* the same for a device with memory of its own, which likes more at once */
	LEAST_BATCH = 8,    /* where memory is short */
	AHEAD = 2,          /* batches under way: such a device is at one while the host looks at the other */
	MEASURED = 8, /* batches that are timed, after one that warms up */
};

/* A batch that the device is at, or has been. */
struct under_way {
	int64_t first;        /* picture */
	int count;            /* of real ones */
	int32_t *labels;      /* (batch) -1: fills up */
	float *probabilities; /* (batch, classes) */
	uint8_t *pixels;      /* (batch,H,W,3) where a last batch is filled up */
	struct thaw_score score;
};

struct thaw_evaluator {
	struct thaw_setup *setup;
	struct thaw_plan *plan;
	struct thaw_allocator memory;        /* that the device reads and writes */
	int batch;                           /* pictures */
	struct under_way under_way[AHEAD];   /* batch i of this rank in i % AHEAD */
	struct thaw_loader *loader;
	int64_t batches, mine;               /* of the split; of this rank: batch i belongs to rank i % ranks */
	int32_t *order;                      /* (count) pictures in their own order */
	struct thaw_batch_range *ranges;     /* (mine) */
	double *losses;                      /* (batches) */
	double *said;                        /* (count, 3) of each picture: class, its probability, loss */
	struct thaw_prediction *predictions; /* (count) */
	struct thaw_class_counts *of;        /* (classes) of the predictions */
	double begun;                        /* thaw_clock_seconds() when what is measured began */
	thaw_evaluated_fn *told;             /* NULL: nobody wants to know */
	void *context;
};

void thaw_evaluator_watch(struct thaw_evaluator *evaluator, thaw_evaluated_fn *told, void *context)
{
	evaluator->told = told;
	evaluator->context = context;
}

void thaw_evaluator_free(struct thaw_evaluator *evaluator)
{
	if (!evaluator)
		return;
	thaw_plan_free(evaluator->plan); /* first: it waits for who may still read pictures */
	thaw_loader_free(evaluator->loader);
	free(evaluator->order);
	free(evaluator->ranges);
	free(evaluator->losses);
	free(evaluator->said);
	free(evaluator->predictions);
	free(evaluator->of);
	for (int i = 0; i < AHEAD; i++) {
		free(evaluator->under_way[i].labels);
		thaw_allocator_give(&evaluator->memory, evaluator->under_way[i].probabilities);
		thaw_allocator_give(&evaluator->memory, evaluator->under_way[i].pixels);
	}
	free(evaluator);
}

static thaw_status deal_out(struct thaw_evaluator *e)
{
	int64_t count = e->setup->facts->count;
	int64_t batch = e->batch;

	if (count > INT32_MAX / 3) /* what ranks exchange at once */
		return thaw_fail(THAW_BAD_JOB, "data.val: %lld pictures, allowed are up to %d", (long long)count,
		                 INT32_MAX / 3);
	e->batches = (count + batch - 1) / batch;
	e->order = thaw_alloc((size_t)count, sizeof *e->order);
	e->ranges = thaw_alloc((size_t)e->batches, sizeof *e->ranges);
	e->losses = thaw_alloc((size_t)e->batches, sizeof *e->losses);
	e->said = thaw_alloc(3 * (size_t)count, sizeof *e->said);
	e->predictions = thaw_alloc((size_t)count, sizeof *e->predictions);
	e->of = thaw_alloc((size_t)e->setup->facts->classes, sizeof *e->of);
	if (!e->order || !e->ranges || !e->losses || !e->said || !e->predictions || !e->of)
		return THAW_OUT_OF_MEMORY;
	for (int64_t i = 0; i < count; i++)
		e->order[i] = (int32_t)i;
	for (int64_t i = e->setup->rank; i < e->batches; i += e->setup->ranks)
		e->ranges[e->mine++] =
			(struct thaw_batch_range){i * batch, (int)(count - i * batch < batch ? count - i * batch : batch)};
	return THAW_OK;
}

static thaw_status make_room(struct thaw_evaluator *e, struct under_way *under_way)
{
	size_t batch = (size_t)e->batch, crop = (size_t)e->setup->job->data.crop;
	void *probabilities, *pixels;
	thaw_status status;

	under_way->labels = thaw_alloc(batch, sizeof *under_way->labels);
	status = under_way->labels ? THAW_OK : THAW_OUT_OF_MEMORY;
	if (!status)
		status = thaw_allocator_take(&e->memory, batch * (size_t)e->setup->facts->classes * sizeof(float),
		                             "probabilities", &probabilities);
	if (status)
		return status;
	under_way->probabilities = probabilities;
	status = thaw_allocator_take(&e->memory, batch * crop * crop * 3, "pictures", &pixels);
	if (!status)
		under_way->pixels = pixels;
	return status;
}

static thaw_status open_loader(struct thaw_evaluator *e)
{
	const struct thaw_job *job = e->setup->job;

	return thaw_loader_new(
		&(struct thaw_loader_spec){
			.dataset = e->setup->val,
			.augment = {.crop = THAW_CROP_CENTER, .size = job->data.crop},
			.seed = job->seed,
			.threads = job->data.threads,
			.ahead = 2,
			.batch_limit = e->batch,
			.memory = e->memory,
		},
		&e->loader);
}

/* Pictures, where there is memory for them: the same for any number of ranks, since what is rounded depends on it; few make
 * one batch, in whole eights. */
static int batch_of(const struct thaw_setup *setup)
{
	int64_t count = setup->facts->count;

	if (!setup->device->backend->queue)
		return BATCH;
	return count < DEVICE_BATCH ? (int)((count + 7) / 8 * 8) : DEVICE_BATCH;
}

/* For half as many pictures each time that there is no memory for them: the batch is nobody's wish, though another rounds
 * otherwise. All ranks call it. */
static thaw_status compile(struct thaw_evaluator *e)
{
	struct thaw_setup *setup = e->setup;
	struct thaw_plan_spec spec = {.device = setup->device, .batch = batch_of(setup), .params = &setup->params};
	thaw_status status;

	memcpy(spec.mean, setup->facts->mean, sizeof spec.mean);
	memcpy(spec.std, setup->facts->std, sizeof spec.std);
	while ((status = thaw_setup_compile(setup, &spec, &e->plan)) == THAW_OUT_OF_MEMORY && spec.batch > LEAST_BATCH)
		spec.batch = (spec.batch / 2 + LEAST_BATCH - 1) / LEAST_BATCH * LEAST_BATCH;
	e->batch = spec.batch;
	if (!status && e->batch < batch_of(setup))
		thaw_warn("memory is short: validation takes %d pictures at once, not %d, and its losses round otherwise",
		          e->batch, batch_of(setup));
	return status;
}

thaw_status thaw_evaluator_new(struct thaw_setup *setup, struct thaw_evaluator **evaluator_out)
{
	struct thaw_evaluator *e = thaw_alloc(1, sizeof *e);
	thaw_status status = thaw_world_agree(e ? THAW_OK : THAW_OUT_OF_MEMORY);

	if (status)
		goto free_evaluator;
	e->setup = setup;
	e->memory = thaw_device_allocator(setup->device);
	status = compile(e);
	if (status)
		goto free_evaluator;
	status = deal_out(e);
	for (int i = 0; i < AHEAD && !status; i++)
		status = make_room(e, &e->under_way[i]);
	if (!status)
		status = open_loader(e);
	status = thaw_world_agree(status);

free_evaluator:
	if (status)
		thaw_evaluator_free(e);
	else
		*evaluator_out = e;
	return status;
}

/* Keeps what the network says of picture `picture`: the first of the likeliest classes. */
static void keep(struct thaw_evaluator *e, int64_t picture, int32_t label, const float *probabilities)
{
	double *said = e->said + 3 * picture;
	int predicted = 0;

	for (int c = 1; c < e->setup->facts->classes; c++)
		if (probabilities[c] > probabilities[predicted])
			predicted = c;
	said[0] = predicted;
	said[1] = probabilities[predicted];
	said[2] = 0.0 - log(fmax(probabilities[label], FLT_MIN)); /* 0, never -0, which a sum over ranks does not keep */
}

static const struct thaw_queue_ops *queue_of(const struct thaw_evaluator *e)
{
	return e->setup->device->backend->queue;
}

/* Batch i of this rank, filled up with labels of -1. A device may still be at it. */
static thaw_status submit(struct thaw_evaluator *e, int64_t i)
{
	const struct thaw_queue_ops *queue = queue_of(e);
	struct under_way *u = &e->under_way[i % AHEAD];
	struct thaw_input input = {
		.labels = u->labels,
		.global_count = e->batch,
		.predictions = u->probabilities,
		.row = (int)(i % AHEAD),
	};
	struct thaw_batch batch;
	thaw_status status = queue ? queue->fed(e->setup->device) : THAW_OK; /* the pictures before are then free */

	if (!status)
		status = thaw_loader_get(e->loader, &batch);
	if (status)
		return status;
	u->first = e->ranges[i].first;
	u->count = batch.count;
	for (int n = 0; n < e->batch; n++)
		u->labels[n] = n < batch.count ? batch.labels[n] : -1;
	input.pixels = batch.pixels;
	if (batch.count < e->batch) {
		memcpy(u->pixels, batch.pixels, (size_t)batch.count * (size_t)batch.size * (size_t)batch.size * 3);
		input.pixels = u->pixels;
	}
	if (!queue)
		return thaw_plan_forward(e->plan, &input, NULL, &u->score);
	status = thaw_plan_feed(e->plan, &input);
	if (!status)
		status = thaw_plan_run(e->plan, NULL);
	return status ? status : queue->tell(e->setup->device, AHEAD);
}

/* Waits for batch i, and keeps what the network says of its pictures. */
static thaw_status collect(struct thaw_evaluator *e, int64_t i, struct thaw_score *score_out)
{
	struct under_way *u = &e->under_way[i % AHEAD];
	struct thaw_score scores[AHEAD];
	struct thaw_told told;
	thaw_status status = queue_of(e) ? queue_of(e)->told(e->setup->device, scores, &told) : THAW_OK;

	if (status)
		return status;
	*score_out = queue_of(e) ? scores[i % AHEAD] : u->score;
	for (int n = 0; n < u->count; n++)
		keep(e, u->first + n, u->labels[n], u->probabilities + (size_t)n * (size_t)e->setup->facts->classes);
	return THAW_OK;
}

/* Whether batch i of this rank is wanted, said before it comes. */
typedef bool wanted_fn(struct thaw_evaluator *e, int64_t i);

/* Sees batches through in their order, as long as they are wanted; counts pictures. */
static thaw_status run_batches(struct thaw_evaluator *e, wanted_fn *wanted, int64_t counts[3])
{
	int64_t submitted = 0, collected = 0;
	int most = queue_of(e) ? AHEAD : 1;
	bool more = true;
	thaw_status status = THAW_OK;

	while (!status) {
		struct thaw_score score;

		more = more && submitted < e->mine;
		if (more && submitted - collected < most && (more = wanted(e, submitted))) {
			status = submit(e, submitted++);
			continue;
		}
		if (collected == submitted)
			break;
		status = collect(e, collected, &score);
		if (status)
			break;
		e->losses[e->ranges[collected++].first / e->batch] = score.loss;
		counts[0] += score.count;
		counts[1] += score.top1;
		counts[2] += score.top5;
	}
	return status;
}

/* Brings together what all ranks kept. */
static thaw_status gather_predictions(struct thaw_evaluator *e)
{
	int64_t count = e->setup->facts->count;
	thaw_status status = thaw_comm_gather_double(e->setup->comm, e->said, (int)(3 * count));

	for (int64_t i = 0; i < count && !status; i++)
		e->predictions[i] = (struct thaw_prediction){
			.index = i,
			.label = thaw_dataset_picture(e->setup->val, i, NULL)->label,
			.predicted = (int32_t)e->said[3 * i],
			.probability = e->said[3 * i + 1],
			.loss = e->said[3 * i + 2],
		};
	return status;
}

static double balanced_accuracy(struct thaw_evaluator *e)
{
	const struct thaw_confusion confusion = {.classes = e->setup->facts->classes, .of = e->of};

	memset(e->of, 0, (size_t)confusion.classes * sizeof *e->of);
	for (int64_t i = 0; i < e->setup->facts->count; i++) {
		const struct thaw_prediction *p = &e->predictions[i];

		e->of[p->label].pictures++;
		e->of[p->label].right += p->predicted == p->label;
	}
	return thaw_balanced_accuracy(&confusion);
}

const struct thaw_prediction *thaw_evaluator_predictions(const struct thaw_evaluator *evaluator)
{
	return evaluator->predictions;
}

static bool until_stopped(struct thaw_evaluator *e, int64_t i)
{
	if (thaw_stop_asked())
		return false;
	thaw_watchdog_at(THAW_AT_VALIDATION, i + 1);
	if (e->told)
		e->told(e->context, i, e->mine);
	return true;
}

thaw_status thaw_evaluate(struct thaw_evaluator *e, struct thaw_metrics *metrics_out)
{
	struct thaw_metrics metrics = {0};
	int64_t counts[3] = {0};
	thaw_status status = thaw_loader_start(e->loader, 0, e->order, e->ranges, e->mine);

	memset(e->losses, 0, (size_t)e->batches * sizeof *e->losses);
	memset(e->said, 0, 3 * (size_t)e->setup->facts->count * sizeof *e->said);
	if (!status)
		status = run_batches(e, until_stopped, counts);
	if (!status)
		status = thaw_comm_gather_double(e->setup->comm, e->losses, (int)e->batches);
	if (!status)
		status = gather_predictions(e);
	if (!status)
		status = thaw_comm_sum_int64(e->setup->comm, counts, 3);
	if (status)
		return status;
	for (int64_t i = 0; i < e->batches; i++)
		metrics.loss += e->losses[i];
	metrics.count = counts[0];
	metrics.top1 = counts[1];
	metrics.top5 = counts[2];
	metrics.loss /= (double)metrics.count;
	metrics.balanced = balanced_accuracy(e);
	*metrics_out = metrics;
	return THAW_OK;
}

size_t thaw_evaluator_arena(const struct thaw_evaluator *evaluator)
{
	return thaw_plan_facts(evaluator->plan).arena_bytes;
}

/* A few of them, timed behind the first. */
static bool until_measured(struct thaw_evaluator *e, int64_t i)
{
	thaw_watchdog_at(THAW_AT_VALIDATION, i + 1);
	if (i == 1)
		e->begun = thaw_clock_seconds();
	return i <= MEASURED;
}

/* Of this rank's batches alone, as far as it has any. */
static thaw_status measure(struct thaw_evaluator *e, double *seconds_out)
{
	int64_t counts[3] = {0}, timed = e->mine - 1 < MEASURED ? e->mine - 1 : MEASURED;
	thaw_status status = thaw_loader_start(e->loader, 0, e->order, e->ranges, e->mine);

	e->begun = thaw_clock_seconds();
	if (!status)
		status = run_batches(e, until_measured, counts);
	if (!status)
		*seconds_out = (thaw_clock_seconds() - e->begun) * (double)e->mine / (double)(timed > 0 ? timed : 1);
	return status;
}

thaw_status thaw_evaluator_measure(struct thaw_evaluator *e, double *seconds_out)
{
	double seconds = 0;
	thaw_status status = thaw_world_agree(measure(e, &seconds));

	return status ? status : thaw_world_largest(seconds, seconds_out);
}
