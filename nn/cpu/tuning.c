#define _POSIX_C_SOURCE 200809L
#include "nn/cpu/tuning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cache.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

/* One answer per line, "machine | key | name"; of several for a key the last counts. The text is the table. */
static struct thaw_text table = THAW_TEXT_EMPTY;
static char machine[160];
static struct thaw_text path = THAW_TEXT_EMPTY; /* "" when nothing is kept */
static bool torn;                               /* the file does not end with a line's end */

static void find_machine(const char *library)
{
	char line[256], model[96] = "unknown processor";
	FILE *file = fopen("/proc/cpuinfo", "re");

	while (file && fgets(line, sizeof line, file)) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) == 0 && colon) {
			snprintf(model, sizeof model, "%.*s", (int)strcspn(colon + 2, "\n|"), colon + 2);
			break;
		}
	}
	if (file)
		fclose(file);
	snprintf(machine, sizeof machine, "%s, %s", model, library);
}

thaw_status thaw_tuning_load(const char *library)
{
	char *bytes;
	size_t length;
	thaw_status status = thaw_cache_path("convolutions.txt", &path);

	find_machine(library);
	thaw_text_release(&table);
	torn = false;
	if (status || !*path.data || thaw_file_read(path.data, 1 << 22, &bytes, &length) != THAW_OK)
		return status;
	torn = length && bytes[length - 1] != '\n';
	if (memchr(bytes, '\0', length) == NULL) {
		thaw_text_add_bytes(&table, bytes, length);
		thaw_text_add(&table, torn ? "\n" : "");
	}
	free(bytes);
	return thaw_text_status(&table);
}

const char *thaw_tuning_find(const char *key, bool (*known)(const char *name))
{
	static char found[32];
	struct thaw_text prefix = THAW_TEXT_EMPTY;
	const char *line = table.data;
	bool any = false;

	thaw_text_add(&prefix, "%s | %s | ", machine, key);
	for (; *line && !prefix.out_of_memory; line += strcspn(line, "\n") + (line[strcspn(line, "\n")] != '\0')) {
		char name[sizeof found];

		if (strncmp(line, prefix.data, prefix.length) != 0)
			continue;
		snprintf(name, sizeof name, "%.*s", (int)strcspn(line + prefix.length, "\n"), line + prefix.length);
		if (!known(name))
			continue;
		memcpy(found, name, sizeof found);
		any = true;
	}
	thaw_text_release(&prefix);
	return any ? found : NULL;
}

/* Appends to the file, which the first line makes; a line of its own even behind a torn one. */
static void keep(const char *line)
{
	static bool warned;
	struct thaw_text bytes = THAW_TEXT_EMPTY;
	thaw_status status = thaw_cache_make_folder(path.data);

	thaw_text_add(&bytes, "%s%s", torn ? "\n" : "", line);
	if (!status)
		status = thaw_file_append(path.data, bytes.data, bytes.length);
	if (!status)
		torn = false;
	if (status && !warned) {
		thaw_warn("timings of convolutions cannot be kept in '%s': the next run times again", path.data);
		warned = true;
	}
	thaw_text_release(&bytes);
}

thaw_status thaw_tuning_note(const char *key, const char *name)
{
	thaw_text_add(&table, "%s | %s | %s\n", machine, key, name);
	return thaw_text_status(&table);
}

thaw_status thaw_tuning_add(const char *key, const char *name)
{
	size_t begin = table.length;
	thaw_status status = thaw_tuning_note(key, name);

	if (!status && *path.data)
		keep(table.data + begin);
	return status;
}

thaw_status thaw_tuning_text(struct thaw_text *text)
{
	thaw_text_add_bytes(text, table.data, table.length);
	return thaw_text_status(text);
}

thaw_status thaw_tuning_learn(const char *text)
{
	struct thaw_text both = THAW_TEXT_EMPTY;

	if (strcmp(text, table.data) == 0)
		return THAW_OK;
	thaw_text_add(&both, "%s%s", table.data, text);
	thaw_text_release(&table);
	table = both;
	return thaw_text_status(&table);
}
