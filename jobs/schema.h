/*
 * Schemas: the keys of a job file, as constant tables.
 *
 * Reading files and --set, defaults, the resolved dump and the reference all go through the tables in jobs/schema.c,
 * the one place to add a key to. jobs/schema_read.c reads through them.
 */
#ifndef THAW_JOBS_SCHEMA_H
#define THAW_JOBS_SCHEMA_H

#include "jobs/key.h"

enum { THAW_SCHEMA_KEYS = 96 };

struct thaw_schema {
	const struct thaw_key *keys; /* those of a section stand together */
	int count;                   /* at most THAW_SCHEMA_KEYS */
};

extern const struct thaw_schema thaw_job_schema;   /* struct thaw_job */
extern const struct thaw_schema thaw_phase_schema; /* struct thaw_phase, one entry of `phases` */

/* The key of this path, NULL if there is none. */
const struct thaw_key *thaw_schema_find(const struct thaw_schema *schema, const char *path);

/* How many characters of a key's path are its section: 9 of "optimizer.lr", 0 of "epochs". */
size_t thaw_key_section(const struct thaw_key *key);

/* Whether key `i` stands in another section than the one before it. */
bool thaw_schema_begins_section(const struct thaw_schema *schema, int i);

/* Fails with "unknown key 'optimzer.lr', did you mean 'optimizer.lr'", or that `path` is a section. */
thaw_status thaw_schema_fail_unknown(const struct thaw_schema *schema, struct thaw_place place, const char *path);

struct thaw_job;
struct thaw_phase;

/* Gives a phase what it does not say itself: the job's values. */
void thaw_schema_inherit(const struct thaw_job *job, struct thaw_phase *phase);

/* Reads a map whose keys' paths begin with `prefix` ("" or "phases."), with the maps of its sections, into `record`.
 * given[i] becomes the place of the value of key i if it is there and is left alone otherwise. */
thaw_status thaw_schema_read(const struct thaw_schema *schema, const char *prefix, const struct thaw_yaml *map,
                             void *record, struct thaw_place *given);

/* Sets every key i that is not given (given[i].source is NULL) to its default; a required one is missed at `place`. */
thaw_status thaw_schema_complete(const struct thaw_schema *schema, struct thaw_place place,
                                 const struct thaw_place *given, void *record);

#endif
