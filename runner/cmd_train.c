#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "runner/commands.h"
#include "runner/record.h"
#include "runner/train.h"
#include "runner/world.h"

struct arguments {
	const char *job;
	struct thaw_texts sets;
	bool fresh;
	int64_t steps;
};

static thaw_status parse(const struct thaw_command *self, int argc, char **argv, struct arguments *a, bool *help_out)
{
	const struct thaw_option options[] = {
		{"set", 0, THAW_OPTION_TEXTS, &a->sets, 0, 0, "KEY=VALUE", "set a key of the job file; may be repeated"},
		{"fresh", 0, THAW_OPTION_FLAG, &a->fresh, 0, 0, NULL,
	     "where the run folder is taken, begin beside it: NAME-2, NAME-3, ..."},
		{"steps", 0, THAW_OPTION_INT, &a->steps, 1, 1e9, "N",
	     "end after N steps and tell their speed; nothing is validated or written"},
	};
	struct thaw_texts files = {0};
	thaw_status status =
		thaw_options_parse(self, options, sizeof options / sizeof *options, argc, argv, &files, help_out);

	if (status || *help_out)
		return status;
	if (files.count != 1)
		return thaw_fail(THAW_BAD_JOB, "train takes one job file, not %d", files.count);
	a->job = files.text[0];
	return THAW_OK;
}

/* Rank 0 makes the run folder: the job's, or with `fresh` the first of NAME-2, NAME-3, ... that is free. */
static thaw_status make_folder(const struct thaw_job *job, bool fresh, struct thaw_text *folder)
{
	for (int number = 1;; number++) {
		thaw_text_release(folder);
		thaw_text_add(folder, "%s/%s", job->runs, job->name);
		if (number > 1)
			thaw_text_add(folder, "-%d", number);
		if (!thaw_file_exists(folder->data))
			break;
		if (!fresh)
			return thaw_fail(THAW_BAD_JOB,
			                 "run folder '%s' is there already: --fresh begins beside it, --set name=... elsewhere",
			                 folder->data);
	}
	return thaw_folder_make(folder->data);
}

/* The resolved job, under the name of the folder it lies in. */
static thaw_status write_job(const struct thaw_job *job, const char *folder)
{
	struct thaw_text yaml = THAW_TEXT_EMPTY, path = THAW_TEXT_EMPTY;
	thaw_status status = thaw_job_dump(job, &yaml);

	thaw_text_add(&path, "%s/job.yaml", folder);
	if (!status)
		status = thaw_text_status(&path);
	if (!status)
		status = thaw_file_publish(path.data, yaml.data, yaml.length);
	thaw_text_release(&yaml);
	thaw_text_release(&path);
	return status;
}

static thaw_status open_folder(const struct thaw_job *job, bool fresh, struct thaw_text *folder)
{
	struct thaw_text log = THAW_TEXT_EMPTY;
	thaw_status status = make_folder(job, fresh, folder);

	thaw_text_add(&log, "%s/log.txt", folder->data);
	if (!status)
		status = write_job(job, folder->data);
	if (!status)
		status = thaw_log_open(log.data);
	thaw_text_release(&log);
	return status;
}

/* What training needs beyond what evaluating does. */
static thaw_status check_job(const struct thaw_setup *setup)
{
	if (setup->replicas % setup->ranks != 0)
		return thaw_fail(THAW_BAD_JOB, "replicas: %d cannot be divided among %d ranks", setup->replicas, setup->ranks);
	if (setup->replicas > setup->job->batch)
		return thaw_fail(THAW_BAD_JOB, "batch: %d is less than one picture for each of %d replicas", setup->job->batch,
		                 setup->replicas);
	for (int i = 0; i < setup->job->phases_count; i++) {
		bool *trains;
		thaw_status status = thaw_setup_select(setup, i, &trains);

		if (status)
			return status;
		free(trains);
	}
	return THAW_OK;
}

static thaw_status train(struct thaw_setup *setup, const struct arguments *a, double begun)
{
	struct thaw_train_options options = {.measure_steps = a->steps, .begun_seconds = begun};
	struct thaw_text folder = THAW_TEXT_EMPTY;
	thaw_status status = check_job(setup);

	if (!status && setup->rank == 0 && a->steps == 0)
		status = open_folder(setup->job, a->fresh, &folder);
	if (!status)
		status = thaw_record_head(setup, a->steps ? "measuring" : folder.data);
	status = thaw_world_agree(status);
	options.folder = folder.data;
	if (!status)
		status = thaw_train(setup, &options);
	thaw_log_open(NULL);
	thaw_text_release(&folder);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	double begun = thaw_clock_seconds();
	struct arguments arguments = {0};
	struct thaw_setup setup;
	struct thaw_comm *comm;
	struct thaw_job *job;
	bool help;
	thaw_status status = parse(self, argc, argv, &arguments, &help);

	if (status || help)
		return status;
	status = thaw_world_start(&argc, &argv, &comm);
	if (status)
		return status;
	job = thaw_alloc(1, sizeof *job);
	status = job ? thaw_job_load(arguments.job, arguments.sets.text, arguments.sets.count, job) : THAW_OUT_OF_MEMORY;
	status = thaw_world_agree(status);
	if (!status)
		status = thaw_setup_open(job, comm, true, &setup);
	if (!status) {
		status = train(&setup, &arguments, begun);
		thaw_setup_release(&setup);
	}
	free(job);
	return status;
}

const struct thaw_command thaw_command_train = {
	.name = "train",
	.summary = "fine-tune a network as a job file says",
	.synopsis = "[mpirun -n N] thaw train JOB.yaml [options]",
	.notes = "Results stand in RUNS/NAME: best.h5 (best validation accuracy), last.h5, metrics.csv, metrics.jsonl,\n"
			 "job.yaml (the job with every key), log.txt. `thaw help job` lists the keys.\n"
			 "\n"
			 "    mpirun -n 2 thaw train job.yaml --set optimizer.lr=1e-2 --set name=faster\n",
	.run = run,
};
