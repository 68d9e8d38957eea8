#define _POSIX_C_SOURCE 200809L
#include "base/available.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT = 16384, PATH = 4096 };

/* What control groups know of memory: version 2, and version 1, where each controller may have a tree of its own. A
 * limit of "max" is none. */
static const struct groups {
	const char *controller; /* of the line in /proc/self/cgroup */
	const char *folder, *limit, *usage;
	const char *cached[2]; /* lines of memory.stat: bytes of files, which give way */
} versions[] = {
	{"", "/sys/fs/cgroup", "memory.max", "memory.current", {"inactive_file", "active_file"}},
	{"memory",
     "/sys/fs/cgroup/memory",
     "memory.limit_in_bytes",
     "memory.usage_in_bytes",
     {"total_inactive_file", "total_active_file"}},
};

/* The beginning of a file that the kernel makes; "" if there is none. */
static void read_text(const char *path, char text[TEXT])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	while (fd >= 0 && length < TEXT - 1) {
		ssize_t got = read(fd, text + length, TEXT - 1 - length);

		if (got <= 0)
			break;
		length += (size_t)got;
	}
	text[length] = '\0';
	if (fd >= 0)
		close(fd);
}

/* The number behind the word that begins a line of `text`: "MemAvailable:", "" for the first line as it is. */
static bool find_number(const char *text, const char *word, uint64_t *number_out)
{
	size_t length = strlen(word);

	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *at = line + length;

		if (strncmp(line, word, length) != 0 || (length && *at != ' '))
			continue;
		at += strspn(at, " ");
		if (*at < '0' || *at > '9')
			return false; /* "max" */
		*number_out = strtoull(at, NULL, 10);
		return true;
	}
	return false;
}

static uint64_t host_available(const char *root)
{
	char path[PATH], text[TEXT];
	uint64_t available, swap = 0;

	snprintf(path, sizeof path, "%s/proc/meminfo", root);
	read_text(path, text);
	if (!find_number(text, "MemAvailable:", &available))
		return UINT64_MAX;
	(void)find_number(text, "SwapFree:", &swap);
	return (available + swap) * 1024;
}

static bool group_number(const char *folder, const char *file, const char *word, uint64_t *number_out)
{
	char path[PATH], text[TEXT];

	snprintf(path, sizeof path, "%.*s/%s", PATH / 2, folder, file);
	read_text(path, text);
	return find_number(text, word, number_out);
}

static uint64_t group_available(const struct groups *version, const char *folder)
{
	uint64_t limit, usage, cached, all_cached = 0;

	if (!group_number(folder, version->limit, "", &limit) || !group_number(folder, version->usage, "", &usage))
		return UINT64_MAX;
	for (int i = 0; i < 2; i++)
		if (group_number(folder, "memory.stat", version->cached[i], &cached))
			all_cached += cached;
	usage -= all_cached < usage ? all_cached : usage;
	return usage < limit ? limit - usage : 0;
}

/* Of the group at `path` and all above it. In a container the path may be one of the host's, which is not there: what
 * is, is at the root. */
static uint64_t groups_available(const char *root, const struct groups *version, const char *path)
{
	char folder[PATH];
	size_t least_length = strlen(root) + strlen(version->folder);
	int length = snprintf(folder, sizeof folder, "%s%s%s", root, version->folder, path);
	uint64_t available = UINT64_MAX;

	if (length >= PATH / 2)
		return UINT64_MAX;
	for (;;) {
		uint64_t here = group_available(version, folder);
		char *slash = strrchr(folder, '/');

		available = here < available ? here : available;
		if (strlen(folder) <= least_length)
			return available;
		*slash = '\0';
	}
}

/* Whether `name` is one of a list as "cpu,memory". */
static bool lists(const char *list, const char *name)
{
	size_t length = strlen(name);

	if (!*list || !length)
		return !*list && !length;
	for (; list; list = strchr(list, ',') ? strchr(list, ',') + 1 : NULL)
		if (strncmp(list, name, length) == 0 && (list[length] == ',' || !list[length]))
			return true;
	return false;
}

uint64_t thaw_memory_available(const char *root)
{
	uint64_t available = host_available(root);
	char path[PATH], text[TEXT];

	snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
	read_text(path, text);
	for (char *line = text, *next; *line; line = next) { /* "4:cpu,memory:/jobs/7" */
		char *list, *group;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		list = strchr(line, ':');
		group = list ? strchr(list + 1, ':') : NULL;
		if (!group)
			continue;
		*group++ = '\0';
		for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
			if (lists(list + 1, versions[i].controller)) {
				uint64_t here = groups_available(root, &versions[i], group);

				available = here < available ? here : available;
			}
	}
	return available;
}

thaw_status thaw_memory_check(uint64_t available_bytes, int sharers, size_t held_bytes, size_t size_bytes,
                              const char *what)
{
	const double mib = 1048576.0;
	uint64_t share = available_bytes / (uint64_t)sharers;
	char each[40] = "";

	if (size_bytes <= held_bytes || size_bytes - held_bytes <= share)
		return THAW_OK;
	if (sharers > 1)
		snprintf(each, sizeof each, " for each of %d ranks", sharers);
	return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: %s need %.1f MiB, available are %.1f MiB%s", what,
	                 (double)size_bytes / mib, ((double)share + (double)held_bytes) / mib, each);
}
