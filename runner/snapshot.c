#include "runner/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

enum { BUILD = 160 };

/* What computes: what the bits of a result depend on. */
static void name_build(const struct thaw_setup *setup, char build_out[BUILD])
{
	snprintf(build_out, BUILD, "thaw %s, %s, %d threads a rank", THAW_VERSION, thaw_device_describe(setup->device),
	         setup->threads);
}

/* Tensors with room for their names: all parameters; then of every one that is not state the slots, how many updates it
 * has had, and its average. */
struct tensors {
	struct thaw_checkpoint_tensor *list;
	char (*names)[112];
	int count;
};

/* With the parameter's shape, or as one number (rank 0). */
static void add(struct tensors *t, const char *prefix, const struct thaw_param *param, int rank, float *data)
{
	struct thaw_checkpoint_tensor *tensor = &t->list[t->count];

	snprintf(t->names[t->count], sizeof t->names[t->count], "%s/%s", prefix, param->name);
	*tensor = (struct thaw_checkpoint_tensor){.name = t->names[t->count], .rank = rank, .data = data};
	for (int d = 0; d < rank; d++)
		tensor->dims[d] = param->shape[d];
	t->count++;
}

/* What an optimizer keeps of one parameter. */
static void add_slots(struct tensors *t, const struct thaw_optimizer *optimizer, int i)
{
	const struct thaw_param *param = thaw_net_param(optimizer->params->net, i);
	char prefix[32];

	if (thaw_role_is_state(param->role))
		return;
	for (int s = 0; s < optimizer->slots; s++) {
		snprintf(prefix, sizeof prefix, "optimizer/%s", optimizer->slot_name[s]);
		add(t, prefix, param, param->rank, optimizer->slot[s] + param->offset);
	}
	if (optimizer->steps)
		add(t, "optimizer/step", param, 0, &optimizer->steps[i]);
}

static void tensors_release(struct tensors *t)
{
	free(t->list);
	free(t->names);
}

static void add_average(struct tensors *t, const struct thaw_average *average, int i)
{
	const struct thaw_param *param = thaw_net_param(average->params->net, i);

	if (!thaw_role_is_state(param->role))
		add(t, "average", param, param->rank, average->values + param->offset);
}

static thaw_status tensors_init(struct tensors *t, const struct thaw_params *params, struct thaw_snapshot_state state)
{
	int count = thaw_net_params(params->net), slots = state.optimizer ? state.optimizer->slots + 1 : 0;
	int each = 1 + slots + (state.average ? 1 : 0);

	*t = (struct tensors){0};
	t->list = thaw_alloc((size_t)count * (size_t)each, sizeof *t->list);
	t->names = thaw_alloc((size_t)count * (size_t)each, sizeof *t->names);
	if (!t->list || !t->names) {
		tensors_release(t);
		return THAW_OUT_OF_MEMORY;
	}
	for (int i = 0; i < count; i++)
		add(t, "model", thaw_net_param(params->net, i), thaw_net_param(params->net, i)->rank,
		    thaw_params_at(params, i));
	for (int i = 0; state.optimizer && i < count; i++)
		add_slots(t, state.optimizer, i);
	for (int i = 0; state.average && i < count; i++)
		add_average(t, state.average, i);
	return THAW_OK;
}

thaw_status thaw_snapshot_write(const char *path, const char *previous, struct thaw_checkpoint_facts facts,
                                const struct thaw_setup *setup, struct thaw_snapshot_state state)
{
	const char **names = thaw_setup_class_names(setup);
	struct tensors tensors;
	char build[BUILD];
	thaw_status status;

	if (!names)
		return THAW_OUT_OF_MEMORY;
	status = tensors_init(&tensors, &setup->params, state);
	if (status)
		goto free_names;
	name_build(setup, build);
	snprintf(facts.arch, sizeof facts.arch, "%s", setup->job->model.arch);
	memcpy(facts.mean, setup->facts->mean, sizeof facts.mean);
	memcpy(facts.std, setup->facts->std, sizeof facts.std);
	facts.resize = setup->facts->resize;
	facts.crop = setup->job->data.crop;
	facts.train_data = setup->train_data;
	facts.val_data = setup->val_data;
	facts.classes = setup->facts->classes;
	facts.names = names;
	facts.build = build;
	status = thaw_checkpoint_write(path, previous, &facts, tensors.list, tensors.count);
	tensors_release(&tensors);
free_names:
	free(names);
	return status;
}

/* A checksum that a run began with, and that of the pictures that are there now. */
static thaw_status check_data(const char *path, const char *key, int64_t begun, uint32_t now)
{
	if (begun == (int64_t)now)
		return THAW_OK;
	return thaw_fail(THAW_BAD_JOB,
	                 "%s: the pictures there are not those that '%s' was trained with: --fresh begins beside it", key,
	                 path);
}

/* Whether the job can go on from the checkpoint: the same pictures, and what the losses are of is of the same size. */
static thaw_status check_losses(const char *path, const struct thaw_checkpoint_facts *facts,
                                const struct thaw_setup *setup, struct thaw_snapshot_wanted wanted)
{
	thaw_status status = THAW_OK;

	if (wanted.losses)
		status = check_data(path, "data.train", facts->train_data, setup->train_data);
	if (!status && wanted.losses)
		status = check_data(path, "data.val", facts->val_data, setup->val_data);
	if (status)
		return status;
	if (wanted.losses && facts->replicas != setup->replicas)
		return thaw_fail(THAW_BAD_JOB, "'%s' was written with %d replicas, the job has %d", path, facts->replicas,
		                 setup->replicas);
	if (wanted.val_losses && facts->epoch > setup->job->epochs)
		return thaw_fail(THAW_BAD_JOB, "'%s' stands at epoch %lld, the job has %d", path, (long long)facts->epoch,
		                 setup->job->epochs);
	return THAW_OK;
}

/* Whether the checkpoint was made for this network and these data. */
static thaw_status check_facts(const char *path, const struct thaw_checkpoint_facts *facts,
                               const struct thaw_setup *setup)
{
	const struct thaw_meaning mine = {path, facts->classes, facts->names, facts->mean, facts->std},
							  theirs = thaw_dataset_meaning(setup->val);

	if (strcmp(facts->arch, setup->job->model.arch) != 0)
		return thaw_fail(THAW_BAD_JOB, "'%s' holds a %s, the job names %s", path, facts->arch, setup->job->model.arch);
	return thaw_meaning_match(&mine, &theirs, THAW_BAD_JOB);
}

/* Where a run goes on elsewhere than it was, on another GPU or processor. */
static void warn_of_build(const char *path, const char *theirs, const struct thaw_setup *setup)
{
	char mine[BUILD];

	name_build(setup, mine);
	if (strcmp(mine, theirs) != 0)
		thaw_warn("'%s' was written by %s, what goes on is %s: numbers may round otherwise from here on", path, theirs, mine);
}

thaw_status thaw_snapshot_read(const char *path, struct thaw_setup *setup, struct thaw_snapshot_wanted wanted,
                               struct thaw_checkpoint_facts *facts_out)
{
	const struct thaw_checkpoint_facts *facts;
	struct thaw_checkpoint *checkpoint;
	struct tensors tensors;
	thaw_status status = thaw_checkpoint_open(path, &checkpoint);

	if (status)
		return status;
	facts = thaw_checkpoint_facts(checkpoint);
	status = check_facts(path, facts, setup);
	if (!status && facts->crop != setup->job->data.crop) /* the network would see objects of another size */
		thaw_warn("'%s' was trained with data.crop %lld, this job has %d", path, (long long)facts->crop,
		          setup->job->data.crop);
	if (!status)
		status = check_losses(path, facts, setup, wanted);
	if (status)
		goto free_checkpoint;
	status = tensors_init(&tensors, &setup->params, wanted.state);
	if (status)
		goto free_checkpoint;
	for (int i = 0; i < tensors.count && !status; i++)
		status = thaw_checkpoint_read(checkpoint, &tensors.list[i]);
	setup->params.version++;
	tensors_release(&tensors);
	if (status)
		goto free_checkpoint;
	if (wanted.losses) {
		warn_of_build(path, facts->build, setup);
		memcpy(wanted.losses, facts->losses, 2 * (size_t)facts->replicas * sizeof *wanted.losses);
	}
	if (wanted.val_losses && facts->epoch > 0)
		memcpy(wanted.val_losses, facts->val_losses, (size_t)facts->epoch * sizeof *wanted.val_losses);
	snprintf(setup->weights, sizeof setup->weights, "%s", path);
	*facts_out = *facts;
	facts_out->names = NULL; /* they go with the checkpoint */
	facts_out->job = facts_out->build = NULL;
	facts_out->losses = facts_out->val_losses = NULL;
free_checkpoint:
	thaw_checkpoint_free(checkpoint);
	return status;
}
