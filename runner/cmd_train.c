#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "runner/commands.h"
#include "runner/record.h"
#include "runner/trainer.h"
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

/* Makes the run folder, which nobody else may have made: the job's, or with `fresh` the first of NAME-2, NAME-3, ...
 * that is free; the job then has that name. */
static thaw_status make_folder(struct thaw_job *job, bool fresh, struct thaw_text *folder)
{
	size_t length = strlen(job->name);
	thaw_status status = thaw_folder_make(job->runs);

	for (int number = 1; !status; number++) {
		if (number > 1 &&
		    snprintf(job->name + length, sizeof job->name - length, "-%d", number) >= (int)(sizeof job->name - length))
			return thaw_fail(THAW_BAD_JOB, "name: '%s' leaves no room for a number behind it", job->name);
		thaw_text_release(folder);
		thaw_text_add(folder, "%s/%s", job->runs, job->name);
		status = thaw_text_status(folder);
		if (status || mkdir(folder->data, 0777) == 0)
			break;
		if (errno != EEXIST)
			return thaw_fail(THAW_FAILED, "cannot make folder '%s': %s", folder->data, strerror(errno));
		if (!fresh)
			return thaw_fail(THAW_BAD_JOB,
			                 "run folder '%s' is there already: --fresh begins beside it, --set name=... elsewhere",
			                 folder->data);
	}
	return status;
}

/* The job as it is run, every key with its value. */
static thaw_status write_job(const struct thaw_job *job, const char *path)
{
	struct thaw_text yaml = THAW_TEXT_EMPTY;
	thaw_status status = thaw_job_dump(job, &yaml);

	if (!status)
		status = thaw_file_publish(path, yaml.data, yaml.length);
	thaw_text_release(&yaml);
	return status;
}

/* A folder in which the run cannot begin is no run: it goes again. */
static thaw_status open_folder(struct thaw_job *job, bool fresh, struct thaw_text *folder)
{
	struct thaw_text log = THAW_TEXT_EMPTY, copy = THAW_TEXT_EMPTY;
	thaw_status status = make_folder(job, fresh, folder);

	if (status)
		return status;
	thaw_text_add(&log, "%s/log.txt", folder->data);
	thaw_text_add(&copy, "%s/job.yaml", folder->data);
	status = thaw_text_status(&log);
	if (!status)
		status = thaw_text_status(&copy);
	if (!status)
		status = write_job(job, copy.data);
	if (!status)
		status = thaw_log_open(log.data);
	if (status) {
		(void)unlink(log.data);
		(void)unlink(copy.data);
		(void)rmdir(folder->data);
	}
	thaw_text_release(&log);
	thaw_text_release(&copy);
	return status;
}

/* What was left to thaw is now known, and part of what decides the result. */
static void resolve(struct thaw_job *job, const struct thaw_setup *setup)
{
	job->replicas = setup->replicas;
	job->threads = setup->threads;
	snprintf(job->device, sizeof job->device, "%s", setup->device->backend->name);
}

static thaw_status train(struct thaw_setup *setup, struct thaw_job *job, const struct arguments *a, double begun)
{
	struct thaw_train_options options = {.measure_steps = a->steps, .begun_seconds = begun};
	struct thaw_text folder = THAW_TEXT_EMPTY;
	struct thaw_trainer *trainer;
	thaw_status status;

	signal(SIGPIPE, SIG_IGN); /* `thaw train | head` trains on */
	resolve(job, setup);
	status = thaw_trainer_new(setup, &options, &trainer);
	if (status)
		return status;
	if (setup->rank == 0 && a->steps == 0)
		status = open_folder(job, a->fresh, &folder);
	if (!status)
		status = thaw_record_head(setup, a->steps ? NULL : folder.data);
	status = thaw_world_agree(status);
	if (!status)
		status = thaw_trainer_run(trainer, folder.data);
	thaw_trainer_free(trainer);
	thaw_text_release(&folder);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	double begun = thaw_clock_seconds();
	struct arguments arguments = {0};
	struct thaw_setup setup;
	struct thaw_job *job;
	bool help;
	thaw_status status = thaw_world_start(&argc, &argv);

	if (!status)
		status = thaw_world_agree(parse(self, argc, argv, &arguments, &help));
	if (status || help)
		return status;
	status = thaw_setup_load(arguments.job, &arguments.sets, &job);
	if (status)
		return status;
	status = thaw_setup_open(job, true, &setup);
	if (!status) {
		status = train(&setup, job, &arguments, begun);
		thaw_setup_release(&setup);
	}
	free(job);
	return status;
}

const struct thaw_command thaw_command_train = {
	.name = "train",
	.summary = "train a network as a job file says",
	.synopsis = "[mpirun -n N] thaw train JOB.yaml [options]",
	.notes = "Results stand in RUNS/NAME: best.h5 (best validation accuracy), last.h5, metrics.csv, metrics.jsonl,\n"
			 "job.yaml (the job with every key), log.txt. `thaw help job` lists the keys.\n"
			 "\n"
			 "    mpirun -n 2 thaw train job.yaml --set optimizer.lr=1e-2 --set name=faster\n",
	.run = run,
};
