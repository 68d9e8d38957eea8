/*
 * A disk that fails, or a process that is killed, at any of the calls by which a checkpoint is written: afterwards there
 * is the old one or the new one, and who wrote it knows which.
 *
 * The linker puts the functions here in the place of the system's for all of thaw's own code (CMakeLists.txt). A case
 * runs in a process of its own, in which one call, counted from the first, goes wrong.
 */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "io/checkpoint.h"
#include "tests/test.h"

/* --- what goes wrong --------------------------------------------------------------------------------------------- */

enum kind { ERROR, SHORT, LIE, KILL_BEFORE, KILL_AFTER };

/* A fault, and the calls that can have it; NULL: all. */
static const struct fault {
	const char *name, *calls;
	enum kind kind;
	int error;
} faults[] = {
	{"no room", "open write close fsync rename link", ERROR, ENOSPC},
	{"a disk that fails", NULL, ERROR, EIO},
	{"a signal", "open read write close fsync", ERROR, EINTR},
	{"no descriptors", "open", ERROR, EMFILE},
	{"part of the bytes", "read write", SHORT, 0},
	{"bytes that get lost", "write", LIE, 0},
	{"killed before", NULL, KILL_BEFORE, 0},
	{"killed after", NULL, KILL_AFTER, 0},
};

enum { KILLED = 9 };

static const struct fault *fault; /* NULL: all goes well */
static int at, calls;             /* the number of the call that goes wrong, and of the next one */
static bool links;                /* whether the file system has them */
static char failed[16];           /* the call that went wrong */

/* Whether this call is the one. */
static bool goes_wrong(const char *call)
{
	if (!fault || (fault->calls && !strstr(fault->calls, call)) || calls++ != at)
		return false;
	snprintf(failed, sizeof failed, "%s", call);
	if (fault->kind == KILL_BEFORE)
		_exit(KILLED);
	if (fault->kind == ERROR)
		errno = fault->error;
	return true;
}

/* What a call that is the one returns, `result` being what it would have. */
static int wrong_result(int result)
{
	if (fault->kind == KILL_AFTER)
		_exit(KILLED);
	return result;
}

/* A call that succeeds or fails. Where the fault is none for it, it goes well. */
#define CALL(name, call) (!goes_wrong(name) ? (call) : fault->kind == ERROR ? -1 : wrong_result(call))

int __real_open(const char *path, int flags, ...);
int __real_close(int fd);
ssize_t __real_read(int fd, void *bytes, size_t length);
ssize_t __real_write(int fd, const void *bytes, size_t length);
int __real_rename(const char *from, const char *to);
int __real_link(const char *from, const char *to);
int __real_unlink(const char *path);
int __real_fstat(int fd, struct stat *info);

int __wrap_open(const char *path, int flags, ...);
int __wrap_close(int fd);
ssize_t __wrap_read(int fd, void *bytes, size_t length);
ssize_t __wrap_write(int fd, const void *bytes, size_t length);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __wrap_unlink(const char *path);
int __wrap_fstat(int fd, struct stat *info);

int __wrap_open(const char *path, int flags, ...)
{
	int mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, int);
	va_end(args);
	return CALL("open", __real_open(path, flags, mode));
}

int __wrap_close(int fd)
{
	int result = __real_close(fd); /* also where it fails */

	return CALL("close", result);
}

ssize_t __wrap_read(int fd, void *bytes, size_t length)
{
	if (!goes_wrong("read"))
		return __real_read(fd, bytes, length);
	if (fault->kind == ERROR)
		return -1;
	return wrong_result((int)__real_read(fd, bytes, fault->kind == SHORT ? (length + 1) / 2 : length));
}

ssize_t __wrap_write(int fd, const void *bytes, size_t length)
{
	if (!goes_wrong("write"))
		return __real_write(fd, bytes, length);
	if (fault->kind == ERROR)
		return -1;
	if (fault->kind == LIE)
		return (ssize_t)length;
	if (fault->kind == KILL_AFTER) /* amid it */
		return wrong_result((int)__real_write(fd, bytes, length / 2));
	return wrong_result((int)__real_write(fd, bytes, fault->kind == SHORT ? (length + 1) / 2 : length));
}

int __wrap_fsync(int fd)
{
	(void)fd;
	return CALL("fsync", 0); /* nothing here survives the machine's end anyway */
}

int __wrap_rename(const char *from, const char *to)
{
	return CALL("rename", __real_rename(from, to));
}

int __wrap_link(const char *from, const char *to)
{
	if (!links) {
		errno = EPERM;
		return -1;
	}
	return CALL("link", __real_link(from, to));
}

int __wrap_unlink(const char *path)
{
	return CALL("unlink", __real_unlink(path));
}

int __wrap_fstat(int fd, struct stat *info)
{
	return CALL("fstat", __real_fstat(fd, info));
}

/* --- what is written --------------------------------------------------------------------------------------------- */

static char folder[32] = "/dev/shm/thaw-test-XXXXXX", last[64], previous[64];

/* A checkpoint that can be told from others by its epoch, which all its numbers are. */
static thaw_status write_epoch(int epoch)
{
	static const char *const names[] = {"ants", "bees"};
	static float values[3000];
	static const double val_losses[16]; /* more than any epoch */
	const double losses[2] = {0};
	const struct thaw_checkpoint_facts facts = {
		.epoch = epoch,
		.step = epoch,
		.replicas = 1,
		.losses = losses,
		.val_losses = val_losses,
		.metric = "top1",
		.arch = "resnet20",
		.classes = 2,
		.names = names,
		.job = "name: x\n",
		.build = "",
	};
	const struct thaw_checkpoint_tensor tensor = {"model/fc.weight", 2, {30, 100}, values};

	for (int i = 0; i < 3000; i++)
		values[i] = (float)epoch;
	return thaw_checkpoint_write(last, previous, &facts, &tensor, 1);
}

/* The epoch of the checkpoint at `path`: 0 if there is no file, -1 if it cannot be read or is of more than one epoch. */
static int epoch_of(const char *path)
{
	static float values[3000];
	struct thaw_checkpoint_tensor want = {"model/fc.weight", 2, {30, 100}, values};
	struct thaw_checkpoint *checkpoint;
	int epoch;

	if (!thaw_file_exists(path))
		return 0;
	if (thaw_checkpoint_open(path, &checkpoint))
		return -1;
	epoch = (int)thaw_checkpoint_facts(checkpoint)->epoch;
	if (thaw_checkpoint_read(checkpoint, &want))
		epoch = -1;
	for (int i = 0; i < 3000; i++)
		if (values[i] != (float)epoch)
			epoch = -1;
	thaw_checkpoint_free(checkpoint);
	return epoch;
}

/* Files that end in ".tmp". */
static int temporaries(void)
{
	DIR *entries = opendir(folder);
	int count = 0;

	for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;)
		count += strstr(entry->d_name, ".tmp") != NULL;
	closedir(entries);
	return count;
}

/* --- the sweep --------------------------------------------------------------------------------------------------- */

enum { WRITTEN, REFUSED, BAD_WORDS, UNSAID, OVER, NO_UNLINK = 16 };

/* Writes `epoch` in a process of its own, whose call `k` goes wrong: how it ended, KILLED included; OVER when it makes
 * fewer calls; with NO_UNLINK if that call was to remove something. */
static int run_case(const struct fault *wanted, int epoch, int k)
{
	int end = -1;
	pid_t child = fork();

	if (child == 0) {
		const char *words = thaw_fail_text();
		thaw_status status;

		at = k;
		fault = wanted;
		status = write_epoch(epoch);
		if (calls <= k)
			_exit(OVER);
		if (status && (status != THAW_FAILED || !strstr(words, folder) ||
		               (wanted->kind == ERROR && !strstr(words, strerror(wanted->error)))))
			_exit(BAD_WORDS);
		if (!status && wanted->kind == ERROR &&
		    (strstr("open fsync rename", failed) || (strcmp(failed, "write") == 0 && wanted->error != EINTR)))
			_exit(UNSAID);
		_exit((status ? REFUSED : WRITTEN) | (strcmp(failed, "unlink") == 0 ? NO_UNLINK : 0));
	}
	CHECK(child > 0 && waitpid(child, &end, 0) == child);
	return WIFEXITED(end) ? WEXITSTATUS(end) : -1;
}

/* What has to hold after a case in a folder that held checkpoints of the epochs `before` and `before - 1` (0: none). */
static bool holds(int end, int before, int epoch)
{
	int is = epoch_of(last), was = epoch_of(previous), older = before > 1 ? before - 1 : 0;

	if (end == WRITTEN || end == (WRITTEN | NO_UNLINK))
		return is == epoch && was == before && temporaries() <= (end & NO_UNLINK ? 1 : 0);
	if (end == REFUSED || end == KILLED)
		return (is == before || is == epoch) && (was == older || was == before) && (is == before || was == before) &&
		       (end == KILLED || temporaries() == 0);
	return false;
}

/* All cases of one fault: how many there were. */
static int sweep(const struct fault *wanted, int before, int epoch)
{
	for (int k = 0;; k++) {
		int end;

		(void)unlink(last);
		(void)unlink(previous);
		for (int e = before > 1 ? before - 1 : 1; e <= before; e++)
			CHECK_OK(write_epoch(e));
		end = run_case(wanted, epoch, k);
		if (end == OVER)
			return k;
		if (!holds(end, before, epoch))
			TEST_FAIL("%s at call %d, over epoch %d: end %d, then last %d, previous %d, %d temporary", wanted->name, k,
			          before, end, epoch_of(last), epoch_of(previous), temporaries());
		CHECK_OK(thaw_folder_clean(folder, "\\.tmp$")); /* the next start */
		CHECK_OK(write_epoch(epoch + 1));
		CHECK_INT(epoch_of(last), epoch + 1);
		CHECK_INT(temporaries(), 0);
	}
}

int main(void)
{
	int cases = 0;

	if (!mkdtemp(folder) && !mkdtemp(strcpy(folder, "/tmp/thaw-test-XXXXXX"))) /* in memory, if that can be */
		return 1;
	snprintf(last, sizeof last, "%s/last.h5", folder);
	snprintf(previous, sizeof previous, "%s/previous.h5", folder);
	for (int with_links = 0; with_links < 2; with_links++)
		for (int before = 0; before <= 2; before++)
			for (size_t f = 0; f < sizeof faults / sizeof *faults; f++) {
				links = with_links;
				cases += sweep(&faults[f], before, 5);
			}
	printf("%d cases\n", cases);
	CHECK(cases > 300);
	unlink(last);
	unlink(previous);
	CHECK(rmdir(folder) == 0);
	return TEST_END();
}
