/*
 * YAML as a tree of nodes that know where they stand.
 *
 * Job files may come from anyone, so only what a job needs is let in: one document of maps, lists and scalars in UTF-8,
 * at most 64 KiB, 16 levels deep, 20,000 parser events. Anchors, aliases, tags, directives, second documents, repeated
 * keys and NUL are refused. libyaml does the scanning, through its event interface, and is seen only by jobs/yaml.c.
 *
 * Scalars stay text: what "9" or "no" means is decided by whoever knows which type is wanted (jobs/key.h).
 */
#ifndef THAW_JOBS_YAML_H
#define THAW_JOBS_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { THAW_YAML_BYTES = 65536, THAW_YAML_DEPTH = 16, THAW_YAML_EVENTS = 20000 };

/* Where a value was given: in a file, or by a `--set`. */
struct thaw_place {
	const char *source; /* the file's name; of a --set the whole "KEY=VALUE" */
	int line, column;   /* from 1, columns count characters; 0 for a --set */
};

enum thaw_yaml_kind { THAW_YAML_SCALAR, THAW_YAML_LIST, THAW_YAML_MAP };

struct thaw_yaml {
	enum thaw_yaml_kind kind;
	struct thaw_place place;
	const char *text;            /* scalar: terminated, without quotes; NULL otherwise */
	bool plain;                  /* scalar: it stood without quotes */
	const char *key;             /* of an entry of a map; NULL otherwise */
	struct thaw_place key_place;
	struct thaw_yaml *first;     /* list, map: the first item or entry, NULL when empty */
	struct thaw_yaml *next;      /* the next item or entry of the same list or map */
};

/* Reads the one document of `text`. `origin` is the file's name with line 1 and column 1, or a --set with 0 and 0; its
 * source is borrowed by the tree, which the caller frees. THAW_BAD_JOB for whatever is refused. */
thaw_status thaw_yaml_parse(struct thaw_place origin, const char *text, size_t length, struct thaw_yaml **root_out);
void thaw_yaml_free(struct thaw_yaml *node); /* with all below it and after it; NULL is fine */

/* A plain scalar that says nothing: "", "~", "null". */
bool thaw_yaml_is_null(const struct thaw_yaml *node);

/* Records a fault at a place, THAW_BAD_JOB: "job.yaml:4:12: batch: 0, ...". `key` (NULL for none) is the path of the
 * key at fault; a --set names its key already, there it is not repeated: "--set batch: 0, ...". */
thaw_status thaw_place_fail(struct thaw_place place, const char *key, const char *format, ...) THAW_PRINTF(3, 4);

#endif
