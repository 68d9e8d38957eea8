/*
 * CSV as RFC 4180 has it: fields between commas, a record per line; a field with a comma, quote or line end in it
 * stands in quotes, and quotes in it are doubled. Lines end with LF or CRLF.
 *
 * A last record without a line end is one that is being written: it is left out.
 */
#ifndef THAW_IO_CSV_H
#define THAW_IO_CSV_H

#include "base/text.h"

enum { THAW_CSV_FIELDS = 64 };

struct thaw_csv {
	const char *path; /* for messages */
	char *next;       /* terminated; fields are cut out in place */
	int64_t line;     /* of the record that was read last */
	int64_t next_line;
	int count;        /* its fields */
	char *fields[THAW_CSV_FIELDS];
};

/* Begins with `bytes`, which are changed and have to live as long as the fields. */
void thaw_csv_init(struct thaw_csv *csv, const char *path, char *bytes);

/* Lines from here to the end: no fewer than the records. */
size_t thaw_csv_lines(const struct thaw_csv *csv);

/* Reads the next record; *more_out is false at the end. THAW_FAILED names path and line: too many fields, or text
 * behind a closing quote. */
thaw_status thaw_csv_next(struct thaw_csv *csv, bool *more_out);

/* Field `i` as a number of the column `name`, within low .. high. THAW_FAILED names path, line, column and text. */
thaw_status thaw_csv_integer(const struct thaw_csv *csv, int i, const char *name, int64_t low, int64_t high,
                             int64_t *value_out);
thaw_status thaw_csv_number(const struct thaw_csv *csv, int i, const char *name, double low, double high,
                            double *value_out);

/* Appends a field, in quotes where it needs them. */
void thaw_csv_add(struct thaw_text *text, const char *field);

#endif
