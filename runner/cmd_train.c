#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/meter.h"
#include "runner/commands.h"
#include "runner/fault.h"
#include "runner/folder.h"
#include "runner/formats.h"
#include "runner/record.h"
#include "runner/standing.h"
#include "runner/stop.h"
#include "runner/trainer.h"
#include "runner/watchdog.h"
#include "runner/world.h"

struct arguments {
	const char *job;
	struct thaw_texts sets;
	bool fresh;
	int64_t steps;
	double progress;
	const char *format;
	bool quiet, json;
	const char *fault;
};

/* One of --format, --json, --quiet. */
static thaw_status choose_format(const struct arguments *a)
{
	const char *name = a->quiet ? "quiet" : a->json ? "json" : a->format ? a->format : "table";
	thaw_status status;

	if (a->quiet + a->json + (a->format != NULL) > 1)
		return thaw_fail(THAW_BAD_JOB, "of --format, --json and --quiet only one can be given");
	status = thaw_format_choose(name);
	if (!status && a->steps && !thaw_format()->shows_log && !thaw_format()->speed)
		return thaw_fail(THAW_BAD_JOB, "--steps tells a speed, for which --format %s has no words", name);
	return status;
}

static thaw_status parse(const struct thaw_command *self, int argc, char **argv, struct arguments *a, bool *help_out)
{
	const struct thaw_option options[] = {
		{"set", 0, THAW_OPTION_TEXTS, &a->sets, 0, 0, "KEY=VALUE", "set a key of the job file; may be repeated"},
		{"fresh", 0, THAW_OPTION_FLAG, &a->fresh, 0, 0, NULL,
	     "where the run folder is taken, begin beside it: NAME-2, NAME-3, ..."},
		{"steps", 0, THAW_OPTION_INT, &a->steps, 1, 1e9, "N",
	     "end after N steps and tell their speed; nothing is validated or written"},
		{"progress", 0, THAW_OPTION_NUMBER, &a->progress, 0, 86400, "SECONDS",
	     "between two lines on standard error that say how far the run is (60);\n"
	     "each epoch begins anew; a terminal has one line that changes; 0: none"},
		{"format", 0, THAW_OPTION_TEXT, &a->format, 0, 0, "NAME",
	     "table: a row for each epoch, as log.txt has it in any case (default);\n"
	     "classic: the lines of PyTorch's tutorials;\n"
	     "json: an object on each line;\n"
	     "quiet: nothing"},
		{"json", 0, THAW_OPTION_FLAG, &a->json, 0, 0, NULL, "--format json"},
		{"quiet", 'q', THAW_OPTION_FLAG, &a->quiet, 0, 0, NULL, "--format quiet: warnings and failures only"},
#ifdef THAW_FAULTS
		{"fault", 0, THAW_OPTION_TEXT, &a->fault, 0, 0, "FAULT", "let NAME[:RANK]@[PLACE:]STEP go wrong, for tests"},
#endif
	};
	struct thaw_texts files = {0};
	thaw_status status =
		thaw_options_parse(self, options, sizeof options / sizeof *options, argc, argv, &files, help_out);

	if (status || *help_out)
		return status;
	if (files.count != 1)
		return thaw_fail(THAW_BAD_JOB, "train takes one job file, not %d", files.count);
	a->job = files.text[0];
	status = choose_format(a);
	if (status)
		return status;
	return a->fault ? thaw_fault_plan(a->fault, thaw_comm_size(thaw_world())) : THAW_OK;
}

/* What was left to thaw is now known, and part of what decides the result. */
static void resolve(struct thaw_job *job, const struct thaw_setup *setup)
{
	job->replicas = setup->replicas;
	job->threads = setup->threads;
	snprintf(job->device, sizeof job->device, "%s", setup->device->backend->name);
}

static thaw_status train(struct thaw_setup *setup, struct thaw_job *job, struct thaw_run_folder *folder,
                         struct thaw_train_options options)
{
	struct thaw_trainer *trainer;
	thaw_status status;

	resolve(job, setup);
	status = thaw_trainer_new(setup, &options, &trainer);
	if (status)
		return status;
	if (setup->rank == 0 && folder)
		status = thaw_folder_enter(folder, job);
	if (!status)
		status = thaw_record_head(setup, folder ? folder->path : NULL);
	if (!status && setup->rank == 0)
		thaw_record_begin(setup, folder ? folder->path : NULL, options.resume);
	status = thaw_world_agree(status);
	if (!status)
		status = thaw_trainer_run(trainer, folder ? folder->path : NULL);
	if (!thaw_world_alone(status))
		thaw_trainer_free(trainer);
	return status;
}

/* A run that is over may have been killed in its last words. */
static thaw_status settle(const struct thaw_run_folder *folder, const struct thaw_job *job)
{
	struct thaw_standing standing = {
		.epoch = folder->epoch,
		.epochs = job->epochs,
		.phases = job->phases_count,
		.loss = NAN,
		.images_per_second = NAN,
		.metric = job->checkpoint.metric,
		.best = folder->best,
		.best_epoch = folder->best_epoch,
	};

	for (int done = 0; done < folder->epoch; done += job->phases[standing.phase - 1].epochs)
		standing.phase++;
	thaw_standing_settle(&standing, folder->path);
	return thaw_folder_settle(folder, job);
}

/* Words for a run that `device: auto` began on GPUs, where there are none. */
static thaw_status fail_begun(thaw_status status, const char *folder)
{
	char words[THAW_WORDS];
	struct thaw_found found;

	thaw_device_gpus("cuda", &found);
	if (found.gpus > 0) /* it is for another reason */
		return status;
	snprintf(words, sizeof words, "%s", thaw_fail_text());
	return thaw_fail(status, "'%s' was begun on GPUs, and goes on with them (--fresh begins another run): %s", folder, words);
}

/* With what the command line said: measuring, beginning a run, or going on with one. */
static thaw_status run_job(struct thaw_job *job, const struct arguments *a, double begun)
{
	struct thaw_train_options options = {.measure_steps = a->steps, .begun_seconds = begun, .progress = a->progress};
	struct thaw_run_folder folder = {0};
	bool automatic = strcmp(job->device, "auto") == 0;
	struct thaw_setup setup;
	thaw_status status;

	if (a->steps) { /* there is nothing to keep */
		thaw_stop_listen(false);
		status = thaw_world_agree(thaw_stop_asked() ? thaw_fail(THAW_FAILED, "stopped by signal %s", thaw_stop_asked())
		                                            : THAW_OK);
	} else {
		thaw_stop_by(job->checkpoint.signal);
		status = thaw_folder_find(job, a->fresh, &folder);
	}
	if (status)
		return status;
	options.resume = *folder.resume ? folder.resume : NULL;
	if (!thaw_job_done(job, folder.epoch, folder.best_epoch))
		status = thaw_setup_open(job, true, &setup);
	if (status == THAW_FAILED && automatic && strcmp(job->device, "cuda") == 0)
		status = fail_begun(status, folder.path);
	if (!status && !thaw_job_done(job, folder.epoch, folder.best_epoch)) {
		status = train(&setup, job, a->steps ? NULL : &folder, options);
		if (!thaw_world_alone(status))
			thaw_setup_release(&setup);
	}
	if (thaw_job_done(job, folder.epoch, folder.best_epoch) && thaw_comm_rank(thaw_world()) == 0) {
		thaw_record_done(folder.path, folder.epoch, folder.epoch < job->epochs);
		status = settle(&folder, job);
	}
	thaw_folder_leave(&folder);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	double begun = thaw_clock_seconds();
	struct arguments arguments = {.progress = THAW_METER_SECONDS};
	struct thaw_job *job;
	bool help;
	thaw_status status;

	signal(SIGPIPE, SIG_IGN); /* `thaw train | head` trains on */
	thaw_stop_listen(true);
	status = thaw_world_start(&argc, &argv);
	if (!status)
		status = thaw_world_agree(parse(self, argc, argv, &arguments, &help));
	if (status || help)
		return status;
	status = thaw_setup_load(arguments.job, &arguments.sets, &job);
	if (!status) {
		status = thaw_watchdog_start(thaw_comm_rank(thaw_world()), job->timeout);
		if (!status)
			status = run_job(job, &arguments, begun);
		free(job);
	}
	if (status && thaw_comm_rank(thaw_world()) == 0)
		thaw_record_broken(status);
	return status;
}

const struct thaw_command thaw_command_train = {
	.name = "train",
	.summary = "train a network as a job file says",
	.synopsis = "[mpirun -n N] thaw train JOB.yaml [options]",
	.notes = "Results stand in RUNS/NAME: best.h5 (best validation accuracy), best-average.h5 (of an average of the\n"
			 "weights), last.h5, metrics.csv, metrics.jsonl, predictions.csv, job.yaml (the job with every key),\n"
			 "log.txt, and status.json, which says how far it is. `thaw help job` lists the keys.\n"
			 "A run that was killed, or stopped by SIGTERM, SIGINT, SIGHUP or SIGUSR2 (exit code 75), goes on when\n"
			 "the same command is given again. One that does not get on for as long as `timeout` says ends, with\n"
			 "exit code 1.\n"
			 "\n"
			 "    mpirun -n 2 thaw train job.yaml --set optimizer.lr=1e-2 --set name=faster\n",
	.run = run,
};
