/* Reading through a schema: what stands where, what is missing, and what an unknown key may have meant. */
#include "jobs/schema.h"

#include <stdio.h>
#include <string.h>

#include "base/printable.h"

const struct thaw_key *thaw_schema_find(const struct thaw_schema *schema, const char *path)
{
	for (int i = 0; i < schema->count; i++)
		if (strcmp(schema->keys[i].path, path) == 0)
			return &schema->keys[i];
	return NULL;
}

size_t thaw_key_section(const struct thaw_key *key)
{
	const char *dot = strchr(key->path, '.');

	return dot ? (size_t)(dot - key->path) : 0;
}

bool thaw_schema_begins_section(const struct thaw_schema *schema, int i)
{
	const struct thaw_key *key = &schema->keys[i];
	size_t length = thaw_key_section(key);

	return i == 0 || thaw_key_section(key - 1) != length || strncmp(key->path, (key - 1)->path, length) != 0;
}

/* Whether `path` is a section of the schema: "optimizer". */
static bool is_section(const struct thaw_schema *schema, const char *path)
{
	size_t length = strlen(path);

	for (int i = 0; i < schema->count; i++)
		if (strncmp(schema->keys[i].path, path, length) == 0 && schema->keys[i].path[length] == '.')
			return true;
	return false;
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* How many letters to insert, delete, replace or swap with the next make the first `n` of `b` of `a` (optimal string
 * alignment). Long texts are like nothing. */
static int distance(const char *a, const char *b, int n)
{
	enum { LONGEST = 48 };
	int rows[3][LONGEST + 1] = {{0}}, m = (int)strlen(a);

	if (m > LONGEST || n > LONGEST)
		return m + n;
	for (int j = 0; j <= n; j++)
		rows[0][j] = j;
	for (int i = 1; i <= m; i++) {
		int *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

		row[0] = i;
		for (int j = 1; j <= n; j++) {
			row[j] = least(up[j - 1] + (a[i - 1] != b[j - 1]), least(up[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], up2[j - 2] + 1);
		}
	}
	return rows[m % 3][n];
}

/* Letters of a path that may be wrong: the key's alone where the section is right. One more, for short ones. */
static int in_doubt(const struct thaw_schema *schema, const char *path)
{
	const char *dot = strrchr(path, '.');
	char section[160];

	if (dot) {
		snprintf(section, sizeof section, "%.*s", (int)(dot - path), path);
		if (is_section(schema, section))
			path = dot + 1;
	}
	return (int)strlen(path) + 1;
}

thaw_status thaw_schema_fail_unknown(const struct thaw_schema *schema, struct thaw_place place, const char *path)
{
	int nearest = in_doubt(schema, path) / 3 + 1, meant_length = 0; /* up to a third of the letters may be wrong */
	const char *meant = NULL;

	if (is_section(schema, path))
		return thaw_place_fail(place, path, "a section, wanted are its keys");
	for (int i = 0; i < schema->count; i++) {
		const char *known = schema->keys[i].path;
		int length = (int)strlen(known), section = (int)strcspn(known, ".");
		const struct {
			const char *text;
			int length, meant_length;
		} likes[] = {
			{known, length, length},
			{known, section, section},
			{known + section + 1, length - section - 1, length}, /* "lr" stands for "optimizer.lr" */
		};

		for (int j = 0; j < (section < length ? 3 : 1); j++) {
			int d = distance(path, likes[j].text, likes[j].length);

			if (d < nearest) {
				nearest = d;
				meant = known;
				meant_length = likes[j].meant_length;
			}
		}
	}
	if (meant)
		return thaw_place_fail(place, NULL, "unknown key '%s', did you mean '%.*s'", thaw_show(path).text, meant_length,
		                       meant);
	return thaw_place_fail(place, NULL, "unknown key '%s', 'thaw help job' lists all", thaw_show(path).text);
}

thaw_status thaw_schema_read(const struct thaw_schema *schema, const char *prefix, const struct thaw_yaml *map,
                             void *record, struct thaw_place *given)
{
	thaw_status status = THAW_OK;

	for (const struct thaw_yaml *entry = map->first; entry && !status; entry = entry->next) {
		char path[160], below[162];
		const struct thaw_key *key;

		snprintf(path, sizeof path, "%s%s", prefix, entry->key); /* cut, it is like no key */
		snprintf(below, sizeof below, "%s.", path);
		key = thaw_schema_find(schema, path);
		if (key && strchr(entry->key, '.')) {
			status = thaw_place_fail(entry->key_place, NULL, "key '%s': in a file it is '%.*s: {%s: ...}'", path,
			                         (int)strcspn(path, "."), path, strchr(path, '.') + 1);
		} else if (key) {
			given[key - schema->keys] = entry->place;
			status = thaw_key_read(key, entry, record);
		} else if (entry->kind == THAW_YAML_MAP && (entry->first || is_section(schema, path))) {
			status = thaw_schema_read(schema, below, entry, record, given);
		} else {
			status = thaw_schema_fail_unknown(schema, entry->key_place, path);
		}
	}
	return status;
}

thaw_status thaw_schema_complete(const struct thaw_schema *schema, struct thaw_place place,
                                 const struct thaw_place *given, void *record)
{
	for (int i = 0; i < schema->count; i++) {
		const struct thaw_key *key = &schema->keys[i];
		thaw_status status = THAW_OK;

		if (given[i].source || key->derived)
			continue;
		if (key->fallback)
			status = thaw_key_read_text(key, place, key->fallback, record);
		else
			status = thaw_place_fail(place, key->path, "missing: %s", key->meaning);
		if (status)
			return status;
	}
	return THAW_OK;
}
