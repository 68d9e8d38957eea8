#define _POSIX_C_SOURCE 200809L
#include "io/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

/* A map, in a list that the handler may walk at any moment: entries are used again, and never freed. */
struct entry {
	_Atomic(const char *) map; /* NULL: not in use */
	size_t length;
	struct thaw_text words; /* what to say when reading it fails */
	struct entry *next;
};

static _Atomic(struct entry *) entries;
static struct sigaction before;

/* Calls only what is safe in a signal handler. */
static void on_bus_error(int signal, siginfo_t *info, void *context)
{
	const char *at = info->si_addr;

	(void)context;
	for (struct entry *e = info->si_code == BUS_ADRERR ? entries : NULL; e; e = e->next) {
		const char *map = e->map;

		if (map && at >= map && at < map + e->length) {
			(void)!write(STDERR_FILENO, e->words.data, e->words.length);
			(void)!write(thaw_log_file(), e->words.data, e->words.length);
			_exit(1);
		}
	}
	sigaction(SIGBUS, &before, NULL);
	raise(signal);
}

/* An entry that is not in use; NULL after thaw_fail(). */
static struct entry *free_entry(void)
{
	struct entry *entry = entries;

	while (entry && entry->map)
		entry = entry->next;
	if (entry)
		return entry;
	entry = thaw_alloc(1, sizeof *entry);
	if (!entry)
		return NULL;
	thaw_text_init(&entry->words);
	entry->next = entries;
	if (!entry->next) {
		struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};

		sigemptyset(&action.sa_mask);
		sigaction(SIGBUS, &action, &before);
	}
	entries = entry;
	return entry;
}

static thaw_status watch(const char *path, const void *map, size_t length)
{
	struct entry *entry = free_entry();
	thaw_status status;

	if (!entry)
		return THAW_OUT_OF_MEMORY;
	thaw_text_add(&entry->words, "thaw: '%s' became shorter while it was read, or its disk fails\n", path);
	status = thaw_text_status(&entry->words);
	if (status) {
		thaw_text_release(&entry->words);
		return status;
	}
	entry->length = length;
	entry->map = map;
	return THAW_OK;
}

thaw_status thaw_mapped_open(const char *path, void **map_out, size_t *length_out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused below, not waited for */
	thaw_status status = THAW_OK;
	struct stat info;
	void *map;

	if (fd < 0)
		return thaw_fail(THAW_FAILED, "cannot open '%s': %s", path, strerror(errno));
	if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) {
		status = thaw_fail(THAW_FAILED, "cannot read '%s': not a plain file, or empty", path);
		goto close_file;
	}
	/* Without MADV_RANDOM, which would read a cold shard a page at a time, five times slower than with read-around. */
	map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		status = thaw_fail(THAW_FAILED, "cannot map '%s': %s", path, strerror(errno));
		goto close_file;
	}
	status = watch(path, map, (size_t)info.st_size);
	if (status) {
		munmap(map, (size_t)info.st_size);
		goto close_file;
	}
	*map_out = map;
	*length_out = (size_t)info.st_size;
close_file:
	close(fd);
	return status;
}

void thaw_mapped_close(void *map, size_t length)
{
	struct entry *entry = entries;

	while (entry->map != map)
		entry = entry->next;
	munmap(map, length);
	entry->map = NULL;
	thaw_text_release(&entry->words);
}
