/*
 * faults: a disk that fails under a whole program. Loaded before the C library, it counts the calls that the program
 * makes to write below a folder, and lets one of them go wrong:
 *
 *     LD_PRELOAD=libfaults.so FAULTS_BELOW=runs/ FAULTS_AT=7 FAULTS=ENOSPC thaw train job.yaml
 *
 * FAULTS: ENOSPC and EIO are what the call says then, SHORT writes half, KILL ends the process there. FAULTS_COUNT names
 * a file that gets the number of calls when all is over. Only thaw's own process is meant: children begin with 0 again.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int calls;

/* The number of the call is counted if `path` lies below the folder; true if it is to go wrong. */
static bool goes_wrong(const char *path)
{
	const char *below = getenv("FAULTS_BELOW"), *at = getenv("FAULTS_AT"), *how = getenv("FAULTS");

	if (!below || !path || !strstr(path, below))
		return false;
	if (!at || !how || calls++ != atoi(at))
		return false;
	if (strcmp(how, "KILL") == 0)
		raise(SIGKILL);
	errno = strcmp(how, "ENOSPC") == 0 ? ENOSPC : EIO;
	return true;
}

static bool fd_goes_wrong(int fd)
{
	char link[64], path[4096];
	int before = errno;
	ssize_t length;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof path - 1);
	errno = before;
	if (length < 0)
		return false;
	path[length] = '\0';
	return goes_wrong(path);
}

__attribute__((destructor)) static void tell(void)
{
	const char *path = getenv("FAULTS_COUNT");
	FILE *file = path ? fopen(path, "w") : NULL;

	if (file) {
		fprintf(file, "%d\n", calls);
		fclose(file);
	}
}

/* The C library's own. */
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	if ((flags & O_ACCMODE) != O_RDONLY && goes_wrong(path))
		return -1;
	return NEXT(open)(path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
	const char *how = getenv("FAULTS");

	if (fd_goes_wrong(fd)) {
		if (strcmp(how, "SHORT") != 0)
			return -1;
		length = (length + 1) / 2;
	}
	return NEXT(write)(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
	return fd_goes_wrong(fd) ? -1 : NEXT(pwrite)(fd, bytes, length, at);
}

int ftruncate(int fd, off_t length)
{
	return fd_goes_wrong(fd) ? -1 : NEXT(ftruncate)(fd, length);
}

int fsync(int fd)
{
	return fd_goes_wrong(fd) ? -1 : 0; /* the machine stays on: nothing has to reach its disk, and tests are faster */
}

int rename(const char *from, const char *to)
{
	return goes_wrong(to) ? -1 : NEXT(rename)(from, to);
}

int link(const char *from, const char *to)
{
	return goes_wrong(to) ? -1 : NEXT(link)(from, to);
}

int unlink(const char *path)
{
	return goes_wrong(path) ? -1 : NEXT(unlink)(path);
}

int mkdir(const char *path, mode_t mode)
{
	return goes_wrong(path) ? -1 : NEXT(mkdir)(path, mode);
}
