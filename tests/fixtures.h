/*
 * Many small fixtures in one file: of each a line "NAME LENGTH" and its bytes. tests/golden/make_shards.py and
 * make_weights.py write them.
 *
 *     struct fixtures f = fixtures_open(golden, "shards.bin");
 *
 *     while (fixtures_next(&f))
 *             use(f.name, f.bytes, f.length);
 */
#ifndef THAW_TESTS_FIXTURES_H
#define THAW_TESTS_FIXTURES_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct fixtures {
	FILE *file; /* NULL: there is none, and so are no fixtures */
	char name[64];
	char *bytes; /* (length) until the next */
	size_t length;
};

static inline struct fixtures fixtures_open(const char *folder, const char *name)
{
	struct fixtures fixtures = {.file = NULL};
	char path[512];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	fixtures.file = fopen(path, "rb");
	return fixtures;
}

/* False after the last, and where the file is not as it should be; all is closed then. */
static inline bool fixtures_next(struct fixtures *f)
{
	free(f->bytes);
	f->bytes = NULL;
	if (f->file && fscanf(f->file, "%63s %zu", f->name, &f->length) == 2 && getc(f->file) == '\n') {
		f->bytes = malloc(f->length ? f->length : 1);
		if (f->bytes && fread(f->bytes, 1, f->length, f->file) == f->length)
			return true;
	}
	free(f->bytes);
	if (f->file)
		fclose(f->file);
	*f = (struct fixtures){.file = NULL};
	return false;
}

#endif
