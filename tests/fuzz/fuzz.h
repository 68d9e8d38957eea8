/*
 * What the fuzz targets share.
 *
 * A target is one file with LLVMFuzzerTestOneInput(): it does with any bytes what thaw does with a file of one kind. It
 * is linked with libFuzzer (THAW_FUZZ=ON, clang) to search, and with replay.c (any compiler) to go through the corpus
 * as a test. Checksums would stop the search at the door, so a target makes them right before thaw looks.
 */
#ifndef THAW_TESTS_FUZZ_H
#define THAW_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* Lets `path` (which stays the same file) hold a whole file of this kind ("shard", "checkpoint"): `bytes`, of which
 * the last 64 become the seal that fits those before. What a shard's seal leaves out is as they say, if it can be. */
void fuzz_seal(const char *kind, const uint8_t *bytes, size_t length, const char **path_out);

/* Lets `path` hold these bytes. */
void fuzz_file(const uint8_t *bytes, size_t length, const char **path_out);

/* Ends the process with words, which is a finding. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_fail(const char *file, int line, const char *condition);

#endif
