/*
 * The run folder: where a run begins, or goes on from its last checkpoint.
 *
 * thaw_folder_find() looks and changes nothing, so that a job that cannot be run leaves nothing behind;
 * thaw_folder_enter() makes the folder or takes it up once everything else has been found to work. A folder has one
 * owner at a time: the file `lock` in it is locked, and says whose it is. A file system may lose a lock (a network that
 * was cut for too long); so the owner also looks, before each checkpoint and each row, that the file still names it.
 */
#ifndef THAW_RUNNER_FOLDER_H
#define THAW_RUNNER_FOLDER_H

#include <stdbool.h>

#include "jobs/job.h"

enum { THAW_PATH = 2 * THAW_TEXT };

struct thaw_run_folder {
	char path[THAW_PATH];   /* "runs/ants" */
	char name[64];          /* with `fresh`: the job's, which may have got a number; otherwise "" */
	char resume[THAW_PATH]; /* the checkpoint to go on from: last.h5, or previous.h5 where that is damaged; "": begin */
	bool damaged;           /* last.h5 */
	bool found;             /* a run was begun there */
	bool within;            /* that checkpoint is of the midst of an epoch */
	int epoch;              /* epochs done there, */
	int best_epoch;         /* the best of them, 0: none yet, */
	int average_epoch;      /* and that of the average */
	double best;            /* what the best has of checkpoint.metric */
};

/* Where `job` is to run. All ranks call it and get what rank 0 found. With `fresh`, the job gets the first name of
 * NAME, NAME-2, NAME-3, ... that is free. Where the run was begun already, what the job leaves open (replicas, threads,
 * device: 0 and auto) becomes what it was then, and the folder is this process' from then on. THAW_BAD_JOB: another job
 * was begun there; names what differs. Somebody else's run is going on there, or it is no run folder at all.
 * THAW_FAILED: no checkpoint there is whole. */
thaw_status thaw_folder_find(struct thaw_job *job, bool fresh, struct thaw_run_folder *folder_out);

/* THAW_FAILED when the folder is no longer this process', and by whom it was taken over. Rank 0 only. */
thaw_status thaw_folder_check(const char *path);

/* Keeps checkpoint `name` of so many epochs under the name epoch-0012.h5, and removes what is older than
 * checkpoint.keep says. A file system that has no second names costs a warning. Rank 0 only. */
thaw_status thaw_folder_keep(const char *path, const struct thaw_job *job, int epoch, const char *name);

/* Does what a process left undone that was killed: removes files that it did not publish, and keeps what it had not
 * kept. The owner's, on rank 0. */
thaw_status thaw_folder_settle(const struct thaw_run_folder *folder, const struct thaw_job *job);

/* Gives the folder back to whoever comes next. Rank 0 only; the process' end does the same. */
void thaw_folder_leave(const struct thaw_run_folder *folder);

/* Makes the folder, with job.yaml, or removes what a killed process left half done and cuts the metrics to what the
 * checkpoint has (a damaged last.h5 becomes damaged.h5); from then on log.txt has all that is said. With `fresh`, one
 * that another process made meanwhile is no failure: folder and job get the next name. Rank 0 only. */
thaw_status thaw_folder_enter(struct thaw_run_folder *folder, struct thaw_job *job);

#endif
