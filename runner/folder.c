#define _POSIX_C_SOURCE 200809L
#include "runner/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "io/checkpoint.h"
#include "io/seal.h"
#include "runner/record.h"
#include "runner/world.h"

/* What thaw_file_publish() leaves of this folder's files when it is killed. */
static const char temporaries[] = "^[a-z-]+\\.(yaml|csv|jsonl|json|h5)\\..+\\.[0-9]+\\.tmp$";

/* "FOLDER/NAME" in `out`. */
static thaw_status join(const char *folder, const char *name, char out[THAW_PATH])
{
	if (snprintf(out, THAW_PATH, "%s/%s", folder, name) >= THAW_PATH)
		return thaw_fail(THAW_BAD_JOB, "'%s/%s' is too long a path", folder, name);
	return THAW_OK;
}

/* --- owning ------------------------------------------------------------------------------------------------------ */

enum { OWNER = 400 };

static int lock = -1;
static char owner[OWNER]; /* what this process wrote to its lock; "": nothing */

/* "process 12 on host, Slurm job 7, since 2026-11-23 10:00:00.123456789": no two processes ever are the same. */
static void name_owner(char text[OWNER])
{
	const char *job = getenv("SLURM_JOB_ID");
	char host[256] = "", since[32] = "";
	struct timespec now;
	struct tm utc;

	(void)gethostname(host, sizeof host - 1);
	clock_gettime(CLOCK_REALTIME, &now);
	if (gmtime_r(&now.tv_sec, &utc))
		strftime(since, sizeof since, "%Y-%m-%d %H:%M:%S", &utc);
	snprintf(text, OWNER, "process %ld on %s%s%.32s, since %s.%09ld", (long)getpid(), host, job ? ", Slurm job " : "",
	         job ? job : "", since, now.tv_nsec);
}

/* Whose the lock at `path` is, as it says; "another process" where it does not, or is gone. False, with errno, if it
 * cannot be read. */
static bool read_owner(const char *path, char text[OWNER])
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 && errno == ENOENT ? 0 : -1;

	if (file >= 0) {
		int error;

		do
			length = read(file, text, OWNER - 1);
		while (length < 0 && errno == EINTR);
		error = errno;
		close(file);
		errno = error;
	}
	text[length > 0 ? length : 0] = '\0';
	if (!*text)
		strcpy(text, "another process");
	return length >= 0;
}

static thaw_status take(const char *folder)
{
	char path[THAW_PATH], text[OWNER];
	thaw_status status = join(folder, "lock", path);

	if (!status)
		status = thaw_file_lock(path, &lock);
	if (status)
		return status;
	if (lock < 0) {
		(void)read_owner(path, text);
		return thaw_fail(THAW_BAD_JOB,
		                 "run folder '%s' is in use by %s: --fresh begins beside it, --set name=... elsewhere", folder,
		                 text);
	}
	name_owner(text);
	if (ftruncate(lock, 0) == 0 && pwrite(lock, text, strlen(text), 0) == (ssize_t)strlen(text))
		memcpy(owner, text, sizeof owner);
	else /* a full disk costs the words, not the lock */
		thaw_warn("cannot write '%s': %s", path, strerror(errno));
	return THAW_OK;
}

thaw_status thaw_folder_check(const char *folder)
{
	char path[THAW_PATH], text[OWNER];
	thaw_status status = join(folder, "lock", path);

	if (status || !*owner)
		return status;
	if (!read_owner(path, text))
		return thaw_fail(THAW_FAILED, "cannot read '%s': %s", path, strerror(errno));
	if (strcmp(text, owner) == 0)
		return THAW_OK;
	if (!thaw_file_exists(path))
		return thaw_fail(THAW_FAILED, "'%s' is gone, with its folder or alone: nothing more is written there", path);
	return thaw_fail(THAW_FAILED, "run folder '%s' was taken over by %s: nothing more is written to it", folder, text);
}

void thaw_folder_leave(const struct thaw_run_folder *folder)
{
	char path[THAW_PATH], text[OWNER];
	bool named = lock >= 0 && join(folder->path, "lock", path) == THAW_OK;

	if (named && (!*owner || (read_owner(path, text) && strcmp(text, owner) == 0)))
		thaw_file_unlock(path, lock);
	else if (lock >= 0) /* of the file there is another owner */
		close(lock);
	lock = -1;
}

/* --- looking ----------------------------------------------------------------------------------------------------- */

/* Sets the name: the job's, or the first of those beside it that is free. */
static thaw_status find_name(struct thaw_job *job, bool fresh, char path[THAW_PATH])
{
	size_t length = strlen(job->name), room = sizeof job->name - length;
	thaw_status status = join(job->runs, job->name, path);

	for (int number = 2; !status && fresh && thaw_file_exists(path); number++) {
		if (snprintf(job->name + length, room, "-%d", number) >= (int)room)
			return thaw_fail(THAW_BAD_JOB, "name: '%s' leaves no room for a number behind it", job->name);
		status = join(job->runs, job->name, path);
	}
	return status;
}

/* Reads the job that was begun here, takes over what `job` leaves open, and refuses another one. */
static thaw_status match_job(const char *path, struct thaw_job *job)
{
	struct thaw_job *begun = thaw_alloc(1, sizeof *begun);
	char file[THAW_PATH];
	thaw_status status = begun ? join(path, "job.yaml", file) : THAW_OUT_OF_MEMORY;

	if (!status)
		status = thaw_job_load(file, NULL, 0, begun);
	if (!status) {
		if (job->replicas == 0)
			job->replicas = begun->replicas;
		if (job->threads == 0)
			job->threads = begun->threads;
		if (strcmp(job->device, "auto") == 0)
			memcpy(job->device, begun->device, sizeof job->device);
		memcpy(begun->runs, job->runs, sizeof begun->runs); /* the same folder, however it is named */
		status = thaw_job_match(job, begun, path);
	}
	free(begun);
	return status;
}

/* Takes checkpoint `name` as the one to go on from, if it is there. */
static thaw_status try_checkpoint(const char *name, struct thaw_run_folder *folder)
{
	const struct thaw_checkpoint_facts *facts;
	struct thaw_checkpoint *checkpoint;
	char path[THAW_PATH];
	thaw_status status = join(folder->path, name, path);

	if (status || !thaw_file_exists(path))
		return status;
	status = thaw_checkpoint_open(path, &checkpoint);
	if (status)
		return status;
	facts = thaw_checkpoint_facts(checkpoint);
	folder->within = facts->seconds > 0;
	folder->epoch = (int)facts->epoch;
	folder->best_epoch = (int)facts->best_epoch;
	folder->average_epoch = (int)facts->average_epoch;
	folder->best = facts->best;
	thaw_checkpoint_free(checkpoint);
	memcpy(folder->resume, path, sizeof path);
	return THAW_OK;
}

/* Whether a file that cannot be opened as a checkpoint is damaged for sure: it was read to its end, and its seal does
 * not hold. One that cannot be read now, or is of another version, may be whole. */
static bool is_damaged(const char *folder, const char *name)
{
	struct thaw_seal seal;
	char path[THAW_PATH], *bytes;
	size_t length;
	bool damaged;

	if (join(folder, name, path) || thaw_file_read(path, SIZE_MAX - 1, &bytes, &length))
		return false;
	damaged = thaw_seal_check(path, "checkpoint", bytes, length, &seal) == THAW_FAILED;
	free(bytes);
	return damaged;
}

static bool has(const struct thaw_run_folder *folder, const char *name)
{
	char path[THAW_PATH];

	return join(folder->path, name, path) == THAW_OK && thaw_file_exists(path);
}

/* Warns of a best checkpoint that is not what it was. */
static void check_best(const struct thaw_run_folder *folder, const char *name, int epoch)
{
	struct thaw_checkpoint *checkpoint;
	char path[THAW_PATH];

	if (epoch == 0 || join(folder->path, name, path))
		return;
	if (!thaw_file_exists(path))
		thaw_warn("'%s' is gone, that of epoch %d: only a better epoch makes another", path, epoch);
	else if (thaw_checkpoint_open(path, &checkpoint))
		thaw_warn("%s, that of epoch %d: only a better epoch makes another", thaw_fail_text(), epoch);
	else
		thaw_checkpoint_free(checkpoint);
}

/* Results that belong to no checkpoint any more are not written over. */
static thaw_status check_results(const struct thaw_run_folder *folder)
{
	if (!*folder->resume && (has(folder, "best.h5") || has(folder, "metrics.csv")))
		return thaw_fail(THAW_FAILED, "'%s' has results but no last.h5 to go on from: --fresh begins beside it",
		                 folder->path);
	check_best(folder, "best.h5", folder->best_epoch);
	check_best(folder, "best-average.h5", folder->average_epoch);
	return THAW_OK;
}

/* last.h5, or, where that is damaged, the one before. A run without any ended before its first and begins again; one
 * whose checkpoints are all damaged does not, for it would write over them. */
static thaw_status find_checkpoint(struct thaw_run_folder *folder)
{
	thaw_status status = try_checkpoint("last.h5", folder);

	folder->damaged = status == THAW_FAILED && is_damaged(folder->path, "last.h5");
	if (folder->damaged)
		thaw_warn("%s", thaw_fail_text());
	if ((!status || folder->damaged) && !*folder->resume) {
		status = try_checkpoint("previous.h5", folder);
		if (!status && folder->damaged && !*folder->resume)
			status = thaw_fail(THAW_FAILED, "'%s' has no whole checkpoint to go on from: --fresh begins beside it",
			                   folder->path);
	}
	if (!status && folder->damaged)
		thaw_warn("going on from '%s', the checkpoint before", folder->resume);
	return status ? status : check_results(folder);
}

static thaw_status fail_foreign(const char *path)
{
	return thaw_fail(THAW_BAD_JOB,
	                 "'%s' is there already and holds no run that could go on (no job.yaml): --fresh begins beside it, "
	                 "--set name=... elsewhere",
	                 path);
}

/* Whether nothing stands in the folder but what a process leaves that was killed before there was a job.yaml. */
static bool is_unborn(const char *path)
{
	DIR *folder = opendir(path);
	bool unborn = folder != NULL;

	for (struct dirent *entry; unborn && (entry = readdir(folder)) != NULL;)
		unborn = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
		         strcmp(entry->d_name, "lock") == 0 || strncmp(entry->d_name, "job.yaml.", strlen("job.yaml.")) == 0;
	if (folder)
		closedir(folder);
	return unborn;
}

/* Rank 0's part. */
static thaw_status look(struct thaw_job *job, bool fresh, struct thaw_run_folder *folder)
{
	char file[THAW_PATH];
	thaw_status status;

	if (fresh)
		memcpy(folder->name, job->name, sizeof folder->name);
	status = find_name(job, fresh, folder->path);

	if (!status)
		status = join(folder->path, "job.yaml", file);
	if (status || !thaw_file_exists(folder->path))
		return status;
	if (!thaw_file_exists(file))
		return is_unborn(folder->path) ? THAW_OK : fail_foreign(folder->path);
	folder->found = true;
	status = take(folder->path);
	if (!status)
		status = match_job(folder->path, job);
	return status ? status : find_checkpoint(folder);
}

thaw_status thaw_folder_find(struct thaw_job *job, bool fresh, struct thaw_run_folder *folder_out)
{
	struct thaw_run_folder folder = {0};
	thaw_status status = thaw_world_agree(thaw_comm_rank(thaw_world()) == 0 ? look(job, fresh, &folder) : THAW_OK);

	if (status)
		thaw_folder_leave(&folder);
	if (!status)
		status = thaw_comm_broadcast(thaw_world(), job, sizeof *job);
	if (!status)
		status = thaw_comm_broadcast(thaw_world(), &folder, sizeof folder);
	if (!status)
		*folder_out = folder;
	return status;
}

/* --- keeping ----------------------------------------------------------------------------------------------------- */

static thaw_status epoch_path(const char *folder, int epoch, char path[THAW_PATH])
{
	char name[32];

	snprintf(name, sizeof name, "epoch-%04d.h5", epoch);
	return join(folder, name, path);
}

static void remove_if_there(const char *path)
{
	if (unlink(path) != 0 && errno != ENOENT)
		thaw_warn("cannot remove '%s': %s", path, strerror(errno));
}

/* Removes what was kept of epoch `last` and before. */
static void remove_older(const char *folder, int last)
{
	DIR *entries = opendir(folder);

	for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;) {
		char path[THAW_PATH], same[THAW_PATH];
		int epoch;

		if (sscanf(entry->d_name, "epoch-%d.h5", &epoch) == 1 && epoch > 0 && epoch <= last &&
		    join(folder, entry->d_name, path) == THAW_OK && epoch_path(folder, epoch, same) == THAW_OK &&
		    strcmp(path, same) == 0)
			remove_if_there(path);
	}
	if (entries)
		closedir(entries);
}

thaw_status thaw_folder_keep(const char *path, const struct thaw_job *job, int epoch, const char *name)
{
	int keep = job->checkpoint.keep, every = job->checkpoint.every;
	char from[THAW_PATH], now[THAW_PATH];
	thaw_status status = join(path, name, from);

	if (!status)
		status = epoch_path(path, epoch, now);
	if (status || keep == 0)
		return status;
	remove_if_there(now);
	if (link(from, now) != 0)
		thaw_warn("cannot keep '%s': %s", now, strerror(errno));
	remove_older(path, (epoch / every - keep) * every);
	return THAW_OK;
}

thaw_status thaw_folder_settle(const struct thaw_run_folder *folder, const struct thaw_job *job)
{
	bool kept = folder->epoch > 0 && !folder->within &&
	            (folder->epoch % job->checkpoint.every == 0 || thaw_job_done(job, folder->epoch, folder->best_epoch));
	thaw_status status = thaw_folder_clean(folder->path, temporaries);

	return status || !kept ? status
	                       : thaw_folder_keep(folder->path, job, folder->epoch, strrchr(folder->resume, '/') + 1);
}

/* --- entering ---------------------------------------------------------------------------------------------------- */

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
static thaw_status begin(const struct thaw_run_folder *folder, const struct thaw_job *job)
{
	const char *path = folder->path;
	char copy[THAW_PATH], log[THAW_PATH];
	thaw_status status = join(path, "job.yaml", copy);

	if (!status)
		status = join(path, "log.txt", log);
	if (status)
		return status;
	status = thaw_folder_make(job->runs);
	if (!status && mkdir(path, 0777) != 0) {
		if (errno != EEXIST)
			status = thaw_fail(THAW_FAILED, "cannot make folder '%s': %s", path, strerror(errno));
		else if (!is_unborn(path))
			status = fail_foreign(path);
	}
	if (status)
		return status;
	status = take(path);
	if (status) {
		(void)rmdir(path); /* if nobody else is in it */
		return status;
	}
	if (!is_unborn(path)) { /* another one began meanwhile, and is over */
		thaw_folder_leave(folder);
		return fail_foreign(path);
	}
	status = thaw_folder_clean(path, temporaries);
	if (!status)
		status = write_job(job, copy);
	if (!status)
		status = thaw_log_open(log);
	if (status) {
		(void)unlink(log);
		(void)unlink(copy);
		thaw_folder_leave(folder);
		(void)rmdir(path);
	}
	return status;
}

/* Begins in the first folder that is still free when it is made: several jobs with --fresh may start at once. */
static thaw_status begin_fresh(struct thaw_run_folder *folder, struct thaw_job *job)
{
	thaw_status status = begin(folder, job);

	while (status == THAW_BAD_JOB) { /* whose it is was said in vain */
		memcpy(job->name, folder->name, sizeof folder->name);
		status = find_name(job, true, folder->path);
		if (status)
			return status;
		status = begin(folder, job);
	}
	return status;
}

/* A damaged last.h5 must not become previous.h5, the only whole one, when the next is published. */
static thaw_status put_aside(const struct thaw_run_folder *folder)
{
	char last[THAW_PATH], aside[THAW_PATH];
	thaw_status status = join(folder->path, "last.h5", last);

	if (!status)
		status = join(folder->path, "damaged.h5", aside);
	return status ? status : thaw_file_rename(last, aside);
}

thaw_status thaw_folder_enter(struct thaw_run_folder *folder, struct thaw_job *job)
{
	char log[THAW_PATH];
	thaw_status status = join(folder->path, "log.txt", log);

	if (status)
		return status;
	if (!folder->found)
		return *folder->name ? begin_fresh(folder, job) : begin(folder, job);
	status = thaw_folder_settle(folder, job);
	if (!status && folder->damaged)
		status = put_aside(folder);
	if (!status)
		status = thaw_record_cut(folder->path, folder->epoch);
	if (!status)
		status = thaw_log_open(log);
	if (!status)
		thaw_log("going on %s%s", *folder->resume ? "from " : "from the start: there is no checkpoint yet",
		         folder->resume);
	return status;
}
