#include "runner/evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "io/loader.h"
#include "nn/plan.h"
#include "runner/stop.h"
#include "runner/watchdog.h"
#include "runner/world.h"

enum { BATCH = 32 };

struct thaw_evaluator {
	struct thaw_setup *setup;
	struct thaw_plan *plan;
	struct thaw_loader *loader;
	int64_t batches, mine;           /* of the split; of this rank: batch i belongs to rank i % ranks */
	int32_t *order;                  /* (count) pictures in their own order */
	struct thaw_batch_range *ranges; /* (mine) */
	double *losses;                  /* (batches) */
	uint8_t *pixels;                 /* (BATCH,H,W,3) where a last batch is filled up */
};

void thaw_evaluator_free(struct thaw_evaluator *evaluator)
{
	if (!evaluator)
		return;
	thaw_loader_free(evaluator->loader);
	thaw_plan_free(evaluator->plan);
	free(evaluator->order);
	free(evaluator->ranges);
	free(evaluator->losses);
	free(evaluator->pixels);
	free(evaluator);
}

static thaw_status deal_out(struct thaw_evaluator *e)
{
	int64_t count = e->setup->facts->count;
	size_t crop = (size_t)e->setup->job->data.crop;

	e->batches = (count + BATCH - 1) / BATCH;
	e->order = thaw_alloc((size_t)count, sizeof *e->order);
	e->ranges = thaw_alloc((size_t)e->batches, sizeof *e->ranges);
	e->losses = thaw_alloc((size_t)e->batches, sizeof *e->losses);
	e->pixels = thaw_alloc(BATCH, crop * crop * 3);
	if (!e->order || !e->ranges || !e->losses || !e->pixels)
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

/* One batch of this rank, filled up to BATCH pictures with labels of -1. */
static thaw_status evaluate_batch(struct thaw_evaluator *e, struct thaw_score *score_out)
{
	struct thaw_batch batch;
	int32_t labels[BATCH];
	struct thaw_input input = {.labels = labels, .global_count = BATCH};
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
	return thaw_plan_forward(e->plan, &input, NULL, score_out);
}

thaw_status thaw_evaluate(struct thaw_evaluator *e, struct thaw_metrics *metrics_out)
{
	struct thaw_metrics metrics = {0};
	int64_t counts[3] = {0};
	thaw_status status = thaw_loader_start(e->loader, 0, e->order, e->ranges, e->mine);

	memset(e->losses, 0, (size_t)e->batches * sizeof *e->losses);
	for (int64_t i = 0; i < e->mine && !status && !thaw_stop_asked(); i++) {
		struct thaw_score score;

		thaw_watchdog_at(THAW_AT_VALIDATION, i + 1);
		status = evaluate_batch(e, &score);
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
		status = thaw_comm_sum_int64(e->setup->comm, counts, 3);
	if (status)
		return status;
	for (int64_t i = 0; i < e->batches; i++)
		metrics.loss += e->losses[i];
	metrics.count = counts[0];
	metrics.top1 = counts[1];
	metrics.top5 = counts[2];
	metrics.loss /= (double)metrics.count;
	*metrics_out = metrics;
	return THAW_OK;
}
