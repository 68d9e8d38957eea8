#include "runner/setup.h"

#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"
#include "nn/models.h"
#include "nn/plan.h"
#include "runner/gpus.h"
#include "runner/watchdog.h"
#include "runner/world.h"

thaw_status thaw_setup_compare(const char *path, uint32_t checksum)
{
	uint32_t first = checksum;
	thaw_status status = thaw_comm_broadcast(thaw_world(), &first, sizeof first);

	if (!status && first != checksum)
		status = thaw_fail(THAW_BAD_JOB, "'%s' holds something else here than for rank 0", path);
	return thaw_world_agree(status);
}

thaw_status thaw_setup_load(const char *path, const struct thaw_texts *sets, struct thaw_job **job_out)
{
	struct thaw_job *job = thaw_alloc(1, sizeof *job);
	thaw_status status = thaw_world_agree(job ? thaw_job_load(path, sets->text, sets->count, job) : THAW_OUT_OF_MEMORY);

	if (!status)
		status = thaw_setup_compare(path, thaw_crc32c(0, job, sizeof *job));
	if (status)
		free(job);
	else
		*job_out = job;
	return status;
}

static thaw_status open_data(struct thaw_setup *setup, bool training)
{
	const struct thaw_job *job = setup->job;
	thaw_status status = thaw_dataset_open(job->data.val, "val", &setup->val);

	if (!status && training)
		status = thaw_dataset_open(job->data.train, "train", &setup->train);
	if (!status && training)
		status = thaw_dataset_match(setup->train, setup->val);
	if (!status)
		setup->facts = thaw_dataset_facts(setup->val);
	return status;
}

uint32_t thaw_setup_checksum(const struct thaw_setup *setup)
{
	const struct thaw_params *params = &setup->params;
	uint32_t crc = thaw_crc32c(0, params->values, (size_t)thaw_net_param_elems(params->net) * sizeof *params->values);

	return thaw_crc32c(crc, params->states, (size_t)thaw_net_state_elems(params->net) * sizeof *params->states);
}

/* Of all that tells one split from another, as docs/formats.md says. */
static uint32_t data_checksum(const struct thaw_dataset *dataset)
{
	const struct thaw_dataset_facts *facts = thaw_dataset_facts(dataset);
	uint32_t crc = thaw_crc32c(0, facts->mean, sizeof facts->mean);

	crc = thaw_crc32c(crc, facts->std, sizeof facts->std);
	for (int i = 0; i < facts->classes; i++)
		crc = thaw_crc32c(crc, thaw_dataset_class(dataset, i), strlen(thaw_dataset_class(dataset, i)) + 1);
	for (int64_t i = 0; i < facts->count; i++) {
		const struct thaw_picture *picture = thaw_dataset_picture(dataset, i, NULL);

		crc = thaw_crc32c(crc, &picture->height, sizeof picture->height);
		crc = thaw_crc32c(crc, &picture->width, sizeof picture->width);
		crc = thaw_crc32c(crc, &picture->label, sizeof picture->label);
		crc = thaw_crc32c(crc, &picture->crc32c, sizeof picture->crc32c);
	}
	return crc;
}

thaw_status thaw_setup_held(const struct thaw_setup *setup, size_t *held_out)
{
	const struct thaw_memory_ops *memory = setup->device->backend->memory;
	size_t available = setup->available_bytes;
	thaw_status status = memory ? memory->available(setup->device, &available) : THAW_OK;

	if (!status)
		*held_out = setup->available_bytes > available ? setup->available_bytes - available : 0;
	return status;
}

static thaw_status open_device(struct thaw_setup *setup)
{
	const struct thaw_job *job = setup->job;
	const char *precision = job->precision;
	thaw_status status = thaw_device_open(job->device, setup->threads, setup->gpu, &setup->device);

	if (!status && !setup->device->backend->memory && strcmp(precision, "fp32") != 0) {
		thaw_warn("precision: %s is for GPUs, device '%s' computes with fp32", precision, setup->device->backend->name);
		precision = "fp32"; /* so that the same job runs on a GPU and without one */
	}
	if (!status)
		status = thaw_device_compute(setup->device, precision, job->tf32);
	if (status)
		return status;
	setup->device->sharers = thaw_comm_local_size(setup->comm);
	setup->device->fused_statistics = job->fused_statistics;
	if (setup->device->number == THAW_FLOAT16)
		setup->device->loss_scale = job->loss_scale;
	if (setup->device->backend->memory)
		status = setup->device->backend->memory->available(setup->device, &setup->available_bytes);
	return status;
}

static thaw_status build(struct thaw_setup *setup)
{
	const struct thaw_job *job = setup->job;
	thaw_status status = open_device(setup);

	if (!status)
		status = thaw_model_build(job->model.arch, setup->facts->classes, job->data.crop, &setup->net);
	if (!status)
		status = thaw_params_init(&setup->params, setup->net);
	if (!status)
		status = thaw_params_attach(&setup->params, setup->device);
	return status;
}

thaw_status thaw_setup_open(const struct thaw_job *job, bool training, struct thaw_setup *setup_out)
{
	struct thaw_comm *comm = thaw_world();
	struct thaw_setup setup = {
		.job = job,
		.comm = comm,
		.rank = thaw_comm_rank(comm),
		.ranks = thaw_comm_size(comm),
		.threads = job->threads,
	};
	thaw_status status = THAW_OK;

	setup.replicas = job->replicas ? job->replicas : setup.ranks;
	if (!setup.threads)
		status = thaw_world_threads(&setup.threads);
	if (!status)
		status = thaw_gpus_choose(job->device, &setup.gpu);
	if (status)
		return status;
	status = open_data(&setup, training);
	if (!status)
		status = build(&setup);
	status = thaw_world_agree(status);
	if (!status) {
		setup.val_data = data_checksum(setup.val);
		status = thaw_setup_compare(job->data.val, setup.val_data);
	}
	if (!status && training) {
		setup.train_data = data_checksum(setup.train);
		status = thaw_setup_compare(job->data.train, setup.train_data);
	}
	if (!status && training) /* all have a device: nobody waits in vain */
		status = thaw_world_agree(thaw_sums_new(comm, setup.device, job->comm, job->timeout, &setup.sums));
	if (status)
		thaw_setup_release(&setup);
	else
		*setup_out = setup;
	return status;
}

void thaw_setup_release(struct thaw_setup *setup)
{
	thaw_sums_free(setup->sums);
	thaw_params_release(&setup->params);
	thaw_net_free(setup->net);
	thaw_device_free(setup->device);
	thaw_dataset_free(setup->train);
	thaw_dataset_free(setup->val);
	*setup = (struct thaw_setup){0};
}

thaw_status thaw_setup_with(const struct thaw_job *job, bool training, thaw_setup_work *work, const void *arguments)
{
	struct thaw_setup setup;
	thaw_status status = thaw_watchdog_start(thaw_comm_rank(thaw_world()), job->timeout);

	if (!status)
		status = thaw_setup_open(job, training, &setup);
	if (status)
		return status;
	status = work(&setup, arguments);
	if (!thaw_world_alone(status))
		thaw_setup_release(&setup);
	return status;
}

const char **thaw_setup_class_names(const struct thaw_setup *setup)
{
	const char **names = thaw_alloc((size_t)setup->facts->classes, sizeof *names);

	for (int i = 0; names && i < setup->facts->classes; i++)
		names[i] = thaw_dataset_class(setup->val, i);
	return names;
}

thaw_status thaw_setup_select(const struct thaw_setup *setup, int phase, bool **trains_out)
{
	const struct thaw_patterns *patterns = &setup->job->phases[phase].train;
	const char *names[THAW_PATTERNS];
	bool *trains = thaw_alloc((size_t)thaw_net_params(setup->net), sizeof *trains);
	thaw_status status;

	if (!trains)
		return THAW_OUT_OF_MEMORY;
	for (int i = 0; i < patterns->count; i++)
		names[i] = patterns->text[i];
	status = thaw_net_select(setup->net, names, patterns->count, trains);
	if (status)
		free(trains);
	else
		*trains_out = trains;
	return status;
}

/* Gives rank 0's choices of implementations to all. Whatever fails on one rank, all go through the same broadcasts. */
static thaw_status share_choices(struct thaw_setup *setup)
{
	const struct thaw_backend *backend = setup->device->backend;
	struct thaw_text text = THAW_TEXT_EMPTY;
	thaw_status status = setup->rank == 0 ? backend->choices(&text) : THAW_OK;
	int64_t length = (int64_t)text.length;
	char *copy = NULL;

	status = thaw_world_agree(status);
	if (!status)
		status = thaw_comm_broadcast(setup->comm, &length, sizeof length);
	if (!status) {
		copy = thaw_alloc((size_t)length + 1, 1);
		status = thaw_world_agree(copy ? THAW_OK : THAW_OUT_OF_MEMORY);
	}
	if (!status && setup->rank == 0)
		memcpy(copy, text.data, (size_t)length);
	if (!status)
		status = thaw_comm_broadcast(setup->comm, copy, (size_t)length);
	if (!status && setup->rank != 0)
		status = backend->learn(copy);
	free(copy);
	thaw_text_release(&text);
	return status;
}

thaw_status thaw_setup_compile(struct thaw_setup *setup, const struct thaw_plan_spec *spec, struct thaw_plan **plan_out)
{
	bool share = setup->ranks > 1 && setup->device->backend->choices;
	thaw_status status = THAW_OK;
	struct thaw_plan *plan = NULL;

	if (!share || setup->rank == 0)
		status = thaw_plan_compile(setup->net, spec, &plan);
	if (share) {
		status = thaw_world_agree(status);
		if (!status)
			status = share_choices(setup);
		if (!status && setup->rank != 0)
			status = thaw_plan_compile(setup->net, spec, &plan);
	}
	if (setup->ranks > 1 || status)
		status = thaw_world_agree(status);
	if (status)
		thaw_plan_free(plan);
	else
		*plan_out = plan;
	return status;
}
