/*
 * base/file: what is published is the old file or the new one at every moment, whatever fails.
 *
 * The program has its own fsync(), link() and rename(), through which the library sees a disk that fails.
 */
#define _GNU_SOURCE /* F_OFD_SETLK */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/files.h"
#include "tests/test.h"

static char folder[] = "/tmp/thaw-test-XXXXXX";

static enum { GOOD, LIES, CUTS, NO_FOLDER_SYNC, NO_LINKS, NO_LAST_RENAME } disk;
static const char *old, *new; /* what "a" may hold at any moment, unless NULL */

static void check_content(const char *path, const char *want)
{
	size_t length = 99;
	char *bytes = NULL;

	CHECK_OK(thaw_file_read(path, 1000, &bytes, &length));
	CHECK_INT(length, strlen(want));
	CHECK_TEXT(bytes ? bytes : "no file", want); /* terminated */
	free(bytes);
}

static void watch(void)
{
	size_t length;
	char *bytes = NULL;

	if (!old)
		return;
	CHECK_OK(thaw_file_read("a", 1000, &bytes, &length));
	CHECK(bytes && (strcmp(bytes, old) == 0 || strcmp(bytes, new) == 0));
	free(bytes);
}

int fsync(int fd)
{
	struct stat info;

	watch();
	CHECK(fstat(fd, &info) == 0);
	if (disk == NO_FOLDER_SYNC && S_ISDIR(info.st_mode)) {
		errno = EIO;
		return -1;
	}
	if (disk == LIES && S_ISREG(info.st_mode))
		CHECK(pwrite(fd, "!", 1, info.st_size - 1) == 1);
	if (disk == CUTS && S_ISREG(info.st_mode))
		CHECK(ftruncate(fd, info.st_size - 1) == 0);
	return fdatasync(fd);
}

int link(const char *from, const char *to)
{
	watch();
	if (disk != NO_LINKS)
		return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
	errno = EPERM;
	return -1;
}

int rename(const char *from, const char *to)
{
	int result = -1;

	watch();
	if (disk == NO_LAST_RENAME && strcmp(to, "a") == 0)
		errno = EIO;
	else
		result = renameat(AT_FDCWD, from, AT_FDCWD, to);
	watch();
	return result;
}

/* Files that end in ".tmp". */
static int temporaries(void)
{
	DIR *entries = opendir(".");
	int count = 0;

	for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;)
		count += strstr(entry->d_name, ".tmp") != NULL;
	closedir(entries);
	return count;
}

/* No second copy of what is written: it is compared in pieces. */
static void test_memory_of_publish(void)
{
	const size_t length = (size_t)64 << 20;
	char *bytes = malloc(length);
	struct rusage before, after;

	memset(bytes, 'b', length);
	CHECK(getrusage(RUSAGE_SELF, &before) == 0);
	CHECK_OK(thaw_file_publish("large", bytes, length));
	CHECK(getrusage(RUSAGE_SELF, &after) == 0);
	CHECK(after.ru_maxrss - before.ru_maxrss < 16 << 10); /* KiB */
	disk = LIES; /* in the last of 64 pieces */
	CHECK_FAILS(thaw_file_publish("large", bytes, length), THAW_FAILED, "reads back different from what was written");
	disk = CUTS;
	CHECK_FAILS(thaw_file_publish("large", bytes, length), THAW_FAILED, "reads back different from what was written");
	disk = GOOD;
	CHECK_INT(temporaries(), 0);
	CHECK(unlink("large") == 0);
	free(bytes);
}

static void test_files(void)
{
	char *bytes = NULL;
	size_t length = 99;

	CHECK(!thaw_file_exists("a"));
	CHECK_OK(thaw_file_publish("a", "old", 3));
	check_content("a", "old");
	CHECK_OK(thaw_file_publish("a", "newer", 5));
	check_content("./a", "newer");
	CHECK_OK(thaw_file_publish("empty", "", 0));
	check_content("empty", "");
	CHECK_OK(thaw_file_append("a", ",", 1));
	CHECK_OK(thaw_file_append("a", "newest", 6));
	CHECK_OK(thaw_file_append("b", "first", 5));
	check_content("a", "newer,newest");
	check_content("b", "first");
	CHECK_OK(thaw_file_rename("b", "a"));
	check_content("a", "first");
	CHECK(!thaw_file_exists("b"));
	CHECK_FAILS(thaw_file_read("a", 4, &bytes, &length), THAW_FAILED, "'a' has 5 bytes, allowed are 4");
	CHECK_FAILS(thaw_file_read("b", 4, &bytes, &length), THAW_FAILED, "cannot open 'b': No such file or directory");
	CHECK_FAILS(thaw_file_read("/dev/zero", 4, &bytes, &length), THAW_FAILED,
				"cannot read '/dev/zero': not a plain file");
	CHECK(bytes == NULL && length == 99);
	CHECK_FAILS(thaw_file_rename("b", "a"), THAW_FAILED, "cannot rename to 'a': No such file");
	CHECK_FAILS(thaw_file_append("none/a", "x", 1), THAW_FAILED, "cannot open 'none/a': No such file");
	CHECK_FAILS(thaw_file_publish("none/a", "x", 1), THAW_FAILED, "cannot create 'none/a.");
	check_content("a", "first");
}

/* What is replaced is whole, neither synced (here a sync says what it sees) nor left half. */
static void test_replace(void)
{
	disk = LIES;
	CHECK_OK(thaw_file_replace("now", "first", 5));
	check_content("now", "first");
	CHECK_OK(thaw_file_replace("now", "2nd", 3));
	check_content("now", "2nd");
	disk = GOOD;
	CHECK_FAILS(thaw_file_replace("none/now", "x", 1), THAW_FAILED, "cannot create 'none/now.");
	CHECK(mkdir("folder", 0777) == 0);
	CHECK_FAILS(thaw_file_replace("folder", "x", 1), THAW_FAILED, "cannot rename to 'folder': Is a directory");
	CHECK(rmdir("folder") == 0);
	old = "first"; /* of "a", which is watched whenever something is renamed */
	new = "second";
	CHECK_OK(thaw_file_replace("a", "second", 6));
	disk = NO_LAST_RENAME;
	CHECK_FAILS(thaw_file_replace("a", "third", 5), THAW_FAILED, "cannot rename to 'a'");
	disk = GOOD;
	old = NULL;
	CHECK_OK(thaw_file_replace("a", "first", 5));
	CHECK_INT(temporaries(), 0);
	CHECK(unlink("now") == 0);
}

/* Publishing where only part can be written, or the place is a folder, leaves everything as it was. */
static void test_failed_publish(void)
{
	static char large[8192];
	struct rlimit limit, small;

	signal(SIGXFSZ, SIG_IGN); /* a full disk, more or less */
	CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	small = (struct rlimit){4096, limit.rlim_max};
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	CHECK_FAILS(thaw_file_publish("a", large, sizeof large), THAW_FAILED, "File too large");
	CHECK_FAILS(thaw_file_append("large", large, sizeof large), THAW_FAILED,
	            "cannot write 'large': only 4096 of 8192 bytes found room");
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	CHECK_INT(temporaries(), 0);
	check_content("a", "first");
	CHECK(mkdir("folder", 0777) == 0);
	CHECK_FAILS(thaw_file_publish("folder", "x", 1), THAW_FAILED, "cannot rename to 'folder': Is a directory");
	CHECK_INT(temporaries(), 0);
	CHECK(rmdir("folder") == 0);
	check_content("a", "first");
}

static void test_folders(void)
{
	CHECK_OK(thaw_folder_make("deep/er/folder"));
	CHECK_OK(thaw_folder_make("deep/er/folder/"));
	CHECK_OK(thaw_file_publish("deep/er/file", "x", 1));
	CHECK_FAILS(thaw_folder_make("deep/er/file"), THAW_FAILED, "'deep/er/file' is there and is not a folder");
	CHECK_FAILS(thaw_folder_make("deep/er/file/more"), THAW_FAILED, "Not a directory");
	CHECK_OK(thaw_file_publish("deep/a.1.tmp", "x", 1));
	CHECK_OK(thaw_file_publish("deep/a.22.tmp", "x", 1));
	CHECK_OK(thaw_file_publish("deep/a.b.tmp", "x", 1));
	CHECK_OK(thaw_file_publish("deep/a.1.tmp2", "x", 1));
	CHECK_OK(thaw_folder_clean("deep", "^a\\.[0-9]+\\.tmp$"));
	CHECK(!thaw_file_exists("deep/a.1.tmp") && !thaw_file_exists("deep/a.22.tmp"));
	CHECK(thaw_file_exists("deep/a.b.tmp") && thaw_file_exists("deep/a.1.tmp2"));
	CHECK_OK(thaw_folder_clean("none", "x"));
	CHECK_FAILS(thaw_folder_clean("a", "x"), THAW_FAILED, "cannot open folder 'a': Not a directory");
	CHECK_FAILS(thaw_folder_clean("deep", "("), THAW_FAILED, "'(' is not a regular expression");
	CHECK_FAILS(thaw_folder_clean("deep", "^er$"), THAW_FAILED, "cannot remove 'er': Is a directory");
	CHECK(rmdir("deep/er/folder") == 0);
	CHECK_OK(thaw_folder_clean("deep/er", "^file$"));
	CHECK(rmdir("deep/er") == 0);
	CHECK_OK(thaw_folder_clean("deep", "^a\\."));
	CHECK(rmdir("deep") == 0);
}

static void check_walk(const char *start, const char *root, const char *want)
{
	struct thaw_files files = {NULL, 0};
	char got[256] = "";

	CHECK_OK(thaw_files_walk(&files, start, root));
	thaw_files_sort(&files, 0);
	for (int64_t i = 0; i < files.count; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " " : "", files.path[i]);
	CHECK_TEXT(got, want);
	thaw_files_release(&files);
	CHECK(!files.path && files.count == 0);
}

/* Hidden files, links to folders, to nowhere and in circles. */
static void test_walk(void)
{
	struct thaw_files files = {NULL, 0};

	CHECK_OK(thaw_folder_make("walk/b"));
	CHECK_OK(thaw_folder_make("walk/.hidden"));
	CHECK_OK(thaw_file_publish("walk/1", "x", 1));
	CHECK_OK(thaw_file_publish("walk/b/2", "x", 1));
	CHECK_OK(thaw_file_publish("walk/b/.3", "x", 1));
	CHECK_OK(thaw_file_publish("walk/.hidden/4", "x", 1));
	CHECK(symlink("..", "walk/b/up") == 0 && symlink("nowhere", "walk/b/gone") == 0 && symlink("b", "walk/c") == 0);
	check_walk("walk", NULL, "walk/1 walk/b/2 walk/b/gone walk/c/2 walk/c/gone");
	check_walk("walk/b", "walk", "b/2 b/gone");
	check_walk("walk/b", NULL, "walk/b/2 walk/b/gone walk/b/up/1");
	CHECK_OK(thaw_files_walk(&files, "walk/1", NULL)); /* a file is what is there */
	CHECK(files.count == 1 && strcmp(files.path[0], "walk/1") == 0);
	thaw_files_release(&files);
	CHECK_OK(thaw_folder_clean("walk/b", "^\\.?[a-z0-9]"));
	CHECK_OK(thaw_folder_clean("walk/.hidden", "^4"));
	CHECK(rmdir("walk/b") == 0 && rmdir("walk/.hidden") == 0);
	CHECK_OK(thaw_folder_clean("walk", "^[1c]$"));
	CHECK(rmdir("walk") == 0);
}

/* The name of the temporary file says which process of which host it belongs to. */
static void test_temporary_name(void)
{
	char host[256] = "", want[512];

	CHECK(gethostname(host, sizeof host - 1) == 0);
	snprintf(want, sizeof want, "cannot create 'none/a.%s.%ld.tmp'", host, (long)getpid());
	CHECK_FAILS(thaw_file_publish("none/a", "x", 1), THAW_FAILED, want);
}

/* What a disk can do between writing and the end. */
static void test_failing_disk(void)
{
	disk = LIES;
	CHECK_FAILS(thaw_file_publish("a", "other", 5), THAW_FAILED, ".tmp' reads back different from what was written");
	disk = CUTS;
	CHECK_FAILS(thaw_file_publish("a", "other", 5), THAW_FAILED, ".tmp' reads back different from what was written");
	check_content("a", "first");
	disk = NO_FOLDER_SYNC;
	CHECK_FAILS(thaw_file_publish("a", "other", 5), THAW_FAILED, "cannot sync folder '.': Input/output error");
	check_content("a", "other"); /* as the header says */
	disk = GOOD;
	CHECK_INT(temporaries(), 0);
}

static void publish_watched(const char *before, const char *after)
{
	old = before;
	new = after;
	CHECK_OK(thaw_file_publish_keeping("a", "previous", after, strlen(after)));
	old = NULL;
	check_content("a", after);
	check_content("previous", before);
	CHECK_INT(temporaries(), 0);
}

/* What a process killed between link() and rename() leaves: a temporary that is the file itself. */
static void leave_stale_link(void)
{
	char host[256] = "", name[512];

	CHECK(gethostname(host, sizeof host - 1) == 0);
	snprintf(name, sizeof name, "previous.%s.%ld.tmp", host, (long)getpid());
	CHECK(linkat(AT_FDCWD, "a", AT_FDCWD, name, 0) == 0);
}

static void test_keeping(void)
{
	struct rlimit limit, small;

	CHECK(unlink("a") == 0);
	CHECK_OK(thaw_file_publish_keeping("a", "previous", "one", 3));
	check_content("a", "one");
	CHECK(!thaw_file_exists("previous"));
	publish_watched("one", "two");
	publish_watched("two", "three");
	disk = NO_LINKS;
	publish_watched("three", "four");
	disk = GOOD;

	/* A crash, or a failure, between the two renames: both names are one file, and the next one goes on from there. */
	disk = NO_LAST_RENAME;
	CHECK_FAILS(thaw_file_publish_keeping("a", "previous", "lost", 4), THAW_FAILED, "cannot rename to 'a'");
	disk = GOOD;
	check_content("a", "four");
	check_content("previous", "four");
	publish_watched("four", "five");

	CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	small = (struct rlimit){3, limit.rlim_max};
	CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
	CHECK_FAILS(thaw_file_publish_keeping("a", "previous", "seven", 5), THAW_FAILED, "File too large");
	disk = NO_LINKS; /* there is room for the new file, and not for the copy of the old one */
	leave_stale_link();
	CHECK_FAILS(thaw_file_publish_keeping("a", "previous", "six", 3), THAW_FAILED, "File too large");
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	disk = GOOD;
	CHECK_FAILS(thaw_file_publish_keeping("a", "none/previous", "six", 3), THAW_FAILED, "cannot create 'none/previous");
	check_content("a", "five");
	check_content("previous", "four");
	CHECK_INT(temporaries(), 0);
	CHECK(unlink("previous") == 0);
}

static enum { LOCKS, REMOVED_AT_FIRST, NO_LOCKS, NO_LOCK_DAEMON } locking;

/* As the kernel has it, but for what is to be provoked. */
int flock(int fd, int operation)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	CHECK_INT(operation, LOCK_EX | LOCK_NB);
	if (locking == REMOVED_AT_FIRST) {
		locking = LOCKS;
		CHECK(unlink("lock") == 0);
	}
	if (locking == NO_LOCKS || locking == NO_LOCK_DAEMON) {
		errno = locking == NO_LOCKS ? ENOSYS : ENOLCK;
		return -1;
	}
	return fcntl(fd, F_OFD_SETLK, &whole) == 0 ? 0 : (errno = EWOULDBLOCK, -1);
}

static void test_locks(void)
{
	struct stat at_path, locked;
	int lock = -2, other = -2;

	CHECK_OK(thaw_file_publish("lock", "left by a killed process", 24));
	CHECK_OK(thaw_file_lock("lock", &lock));
	CHECK(lock >= 0);
	CHECK_OK(thaw_file_lock("lock", &other));
	CHECK_INT(other, -1);
	CHECK(thaw_file_exists("lock"));
	thaw_file_unlock("lock", lock);
	CHECK(!thaw_file_exists("lock"));
	locking = REMOVED_AT_FIRST; /* between opening and locking, by the one who had the lock */
	CHECK_OK(thaw_file_lock("lock", &lock));
	CHECK(lock >= 0 && stat("lock", &at_path) == 0 && fstat(lock, &locked) == 0 && at_path.st_ino == locked.st_ino);
	thaw_file_unlock("lock", lock);
	locking = NO_LOCKS;
	CHECK_OK(thaw_file_lock("lock", &lock));
	CHECK(lock >= 0);
	thaw_file_unlock("lock", lock);
	locking = NO_LOCK_DAEMON;
	lock = -2;
	CHECK_FAILS(thaw_file_lock("lock", &lock), THAW_FAILED, "cannot lock 'lock': No locks available");
	CHECK_FAILS(thaw_file_lock("none/lock", &lock), THAW_FAILED, "cannot open 'none/lock': No such file");
	CHECK_INT(lock, -2);
	CHECK(unlink("lock") == 0);
}

int main(void)
{
	if (!mkdtemp(folder) || chdir(folder) != 0)
		return 1;
	test_memory_of_publish();
	test_files();
	test_replace();
	test_failed_publish();
	test_folders();
	test_walk();
	test_temporary_name();
	test_failing_disk();
	test_keeping();
	test_locks();
	CHECK(unlink("a") == 0 && unlink("empty") == 0 && unlink("large") == 0);
	CHECK(chdir("/") == 0 && rmdir(folder) == 0); /* nothing was left behind */
	return TEST_END();
}
