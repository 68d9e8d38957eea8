/*
 * Fixtures that PyTorch made: small HDF5 files in tests/golden, written by the make_*.py beside them.
 *
 * A fixture that cannot be read ends the test: these functions print why and exit(1).
 */
#ifndef THAW_TESTS_GOLDEN_GOLDEN_H
#define THAW_TESTS_GOLDEN_GOLDEN_H

#include <stddef.h>

struct golden;

struct golden *golden_open(const char *folder, const char *file);
void golden_close(struct golden *golden);

/* What stands in `group` ("/" for the file itself), in the order of names. */
int golden_count(struct golden *golden, const char *group);
void golden_name(struct golden *golden, const char *group, int i, char *name_out, size_t size_bytes);

/* A dataset whole, row after row; the caller frees it. `elems_out` may be NULL. */
double *golden_doubles(struct golden *golden, const char *path, size_t *elems_out);
float *golden_floats(struct golden *golden, const char *path, size_t *elems_out);

/* An attribute of exactly `count` whole numbers. */
void golden_ints(struct golden *golden, const char *path, const char *attribute, int *values_out, size_t count);

#endif
