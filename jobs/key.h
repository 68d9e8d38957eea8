/*
 * Keys: how one value of a job file is read, checked, printed and explained.
 *
 * A key says under which path a value stands ("optimizer.lr"), where it goes in a record (struct thaw_job), and its
 * type; a type is a constant set of functions. Keys are the rows of a schema (jobs/schema.h).
 *
 * Numbers are decimal, as JSON has them (also ".5", "5." and "+1"); "0x10", "010", "1_000", ".inf" and "nan" are not
 * numbers. What stands in quotes is text. true and false are the only truth values.
 */
#ifndef THAW_JOBS_KEY_H
#define THAW_JOBS_KEY_H

#include "base/text.h"
#include "jobs/yaml.h"

struct thaw_key;

struct thaw_type {
	/* Reads the value into its zeroed field of `record`. THAW_BAD_JOB names place, key and what is allowed. */
	thaw_status (*read)(const struct thaw_key *key, const struct thaw_yaml *node, void *record);
	/* Prints the field so that it reads back with the same bits: flow YAML, or, with `block`, lines under the key's. */
	void (*print)(const struct thaw_key *key, const void *record, struct thaw_text *text);
	/* What is allowed: "whole numbers, 1 to 1048576". */
	void (*describe)(const struct thaw_key *key, struct thaw_text *text);
	bool flow;  /* the text of a --set or a default is YAML; otherwise it is taken as it is */
	bool block;
};

struct thaw_key {
	const char *path;
	const struct thaw_type *type;
	size_t offset, size_bytes;  /* of the field within the record */
	const char *fallback;       /* the default, written as in a --set */
	const char *derived;        /* instead of a default: in words, what decides. With neither, the key is required */
	double low, high;           /* numbers: the bounds, */
	bool above_low;             /* of which `low` itself is not allowed */
	const char *const *choices; /* choice: the allowed words, NULL at the end */
	const char *unit;           /* "epochs"; NULL for none */
	bool anytime;               /* changes nothing in a result: a run that goes on may have another value */
	const char *meaning;        /* one line for the reference */
};

/*                                                field */
extern const struct thaw_type thaw_type_int;    /* int */
extern const struct thaw_type thaw_type_seed;   /* uint64_t, any */
extern const struct thaw_type thaw_type_number; /* double */
extern const struct thaw_type thaw_type_range;  /* double[2], low <= high */
extern const struct thaw_type thaw_type_bool;   /* bool */
extern const struct thaw_type thaw_type_choice; /* char[] */
extern const struct thaw_type thaw_type_word;   /* char[]: letters, digits, '_', '-', '.', not beginning with '.' */
extern const struct thaw_type thaw_type_text;   /* char[]: printable UTF-8 */
extern const struct thaw_type thaw_type_parts;  /* struct thaw_patterns */
extern const struct thaw_type thaw_type_epochs; /* struct thaw_epochs, rising */
extern const struct thaw_type thaw_type_scales; /* struct thaw_scales, no part twice */

/* Reads a value into `record`, from a node or from the text of a --set. */
thaw_status thaw_key_read(const struct thaw_key *key, const struct thaw_yaml *node, void *record);
thaw_status thaw_key_read_text(const struct thaw_key *key, struct thaw_place place, const char *text, void *record);

/* Fails with "batch: 'many', allowed are whole numbers, 1 to 1048576". */
thaw_status thaw_key_fail(const struct thaw_key *key, const struct thaw_yaml *node);

#endif
