#include "runner/evaluate.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/confusion.h"
#include "base/mem.h"
#include "io/loader.h"
#include "nn/plan.h"
#include "runner/stop.h"
#include "runner/watchdog.h"
#include "runner/world.h"

enum {
	BATCH = 32,
	MEASURED = 8, /* batches that are timed, after one that warms up */
};

struct thaw_evaluator {
	struct thaw_setup *setup;
	struct thaw_plan *plan;
	struct thaw_loader *loader;
	int64_t batches, mine;               /* of the split; of this rank: batch i belongs to rank i % ranks */
	int32_t *order;                      /* (count) pictures in their own order */
	struct thaw_batch_range *ranges;     /* (mine) */
	double *losses;                      /* (batches) */
	double *said;                        /* (count, 3) of each picture: class, its probability, loss */
	float *probabilities;                /* (BATCH, classes) */
	struct thaw_prediction *predictions; /* (count) */
	struct thaw_class_counts *of;        /* (classes) of the predictions */
	uint8_t *pixels;                     /* (BATCH,H,W,3) where a last batch is filled up */
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
	thaw_loader_free(evaluator->loader);
	thaw_plan_free(evaluator->plan);
	free(evaluator->order);
	free(evaluator->ranges);
	free(evaluator->losses);
	free(evaluator->said);
	free(evaluator->probabilities);
	free(evaluator->predictions);
	free(evaluator->of);
	free(evaluator->pixels);
	free(evaluator);
}

static thaw_status deal_out(struct thaw_evaluator *e)
{
	int64_t count = e->setup->facts->count;
	size_t crop = (size_t)e->setup->job->data.crop;

	if (count > INT32_MAX / 3) /* what ranks exchange at once */
		return thaw_fail(THAW_BAD_JOB, "data.val: %lld pictures, allowed are up to %d", (long long)count,
		                 INT32_MAX / 3);
	e->batches = (count + BATCH - 1) / BATCH;
	e->order = thaw_alloc((size_t)count, sizeof *e->order);
	e->ranges = thaw_alloc((size_t)e->batches, sizeof *e->ranges);
	e->losses = thaw_alloc((size_t)e->batches, sizeof *e->losses);
	e->pixels = thaw_alloc(BATCH, crop * crop * 3);
	e->said = thaw_alloc(3 * (size_t)count, sizeof *e->said);
	e->probabilities = thaw_alloc(BATCH * (size_t)e->setup->facts->classes, sizeof *e->probabilities);
	e->predictions = thaw_alloc((size_t)count, sizeof *e->predictions);
	e->of = thaw_alloc((size_t)e->setup->facts->classes, sizeof *e->of);
	if (!e->order || !e->ranges || !e->losses || !e->pixels || !e->said || !e->probabilities || !e->predictions ||
	    !e->of)
		return THAW_OUT_OF_MEMORY;
	for (int64_t i = 0; i < count; i++)
		e->order[i] = (int32_t)i;
	for (int64_t i = e->setup->rank; i < e->batches; i += e->setup->ranks)
		e->ranges[e->mine++] =
			(struct thaw_batch_range){i * BATCH, (int)(count - i * BATCH < BATCH ? count - i * BATCH : BATCH)};
	return THAW_OK;
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
			.batch_limit = BATCH,
		},
		&e->loader);
}

thaw_status thaw_evaluator_new(struct thaw_setup *setup, struct thaw_evaluator **evaluator_out)
{
	struct thaw_evaluator *e = thaw_alloc(1, sizeof *e);
	struct thaw_plan_spec spec = {.device = setup->device, .params = &setup->params, .batch = BATCH};
	thaw_status status;

	memcpy(spec.mean, setup->facts->mean, sizeof spec.mean);
	memcpy(spec.std, setup->facts->std, sizeof spec.std);
	if (e)
		e->setup = setup;
	status = e ? deal_out(e) : THAW_OUT_OF_MEMORY;
	if (!status)
		status = open_loader(e);
	status = thaw_world_agree(status);
	if (!status)
		status = thaw_setup_compile(setup, &spec, &e->plan);
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

/* One batch of this rank, filled up to BATCH pictures with labels of -1. */
static thaw_status evaluate_batch(struct thaw_evaluator *e, int64_t first, struct thaw_score *score_out)
{
	struct thaw_batch batch;
	int32_t labels[BATCH];
	struct thaw_input input = {.labels = labels, .global_count = BATCH, .predictions = e->probabilities};
	thaw_status status = thaw_loader_get(e->loader, &batch);

	if (status)
		return status;
	for (int i = 0; i < BATCH; i++)
		labels[i] = i < batch.count ? batch.labels[i] : -1;
	input.pixels = batch.pixels;
	if (batch.count < BATCH) {
		memcpy(e->pixels, batch.pixels, (size_t)batch.count * (size_t)batch.size * (size_t)batch.size * 3);
		input.pixels = e->pixels;
	}
	status = thaw_plan_forward(e->plan, &input, NULL, score_out);
	for (int i = 0; i < batch.count && !status; i++)
		keep(e, first + i, labels[i], e->probabilities + (size_t)i * (size_t)e->setup->facts->classes);
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

thaw_status thaw_evaluate(struct thaw_evaluator *e, struct thaw_metrics *metrics_out)
{
	struct thaw_metrics metrics = {0};
	int64_t counts[3] = {0};
	thaw_status status = thaw_loader_start(e->loader, 0, e->order, e->ranges, e->mine);

	memset(e->losses, 0, (size_t)e->batches * sizeof *e->losses);
	memset(e->said, 0, 3 * (size_t)e->setup->facts->count * sizeof *e->said);
	for (int64_t i = 0; i < e->mine && !status && !thaw_stop_asked(); i++) {
		struct thaw_score score;

		thaw_watchdog_at(THAW_AT_VALIDATION, i + 1);
		if (e->told)
			e->told(e->context, i, e->mine);
		status = evaluate_batch(e, e->ranges[i].first, &score);
		if (status)
			break;
		e->losses[e->ranges[i].first / BATCH] = score.loss;
		counts[0] += score.count;
		counts[1] += score.top1;
		counts[2] += score.top5;
	}
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

/* Of this rank's batches alone, as far as it has any. */
static thaw_status measure(struct thaw_evaluator *e, double *seconds_out)
{
	thaw_status status = thaw_loader_start(e->loader, 0, e->order, e->ranges, e->mine);
	double begun = thaw_clock_seconds();
	int64_t done = 0;

	*seconds_out = 0;
	for (; done < e->mine && done <= MEASURED && !status; done++) {
		struct thaw_score score;

		if (done == 1)
			begun = thaw_clock_seconds();
		thaw_watchdog_at(THAW_AT_VALIDATION, done + 1);
		status = evaluate_batch(e, e->ranges[done].first, &score);
	}
	if (!status && done > 0)
		*seconds_out = (thaw_clock_seconds() - begun) * (double)e->mine / (double)(done > 1 ? done - 1 : 1);
	return status;
}

thaw_status thaw_evaluator_measure(struct thaw_evaluator *e, double *seconds_out)
{
	double seconds;
	thaw_status status = thaw_world_agree(measure(e, &seconds));

	return status ? status : thaw_world_largest(seconds, seconds_out);
}
