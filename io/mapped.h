/*
 * Files mapped for reading.
 *
 * Who reads a mapped file behind the end of what is left of it is killed by SIGBUS, without a word. So the first map
 * installs a handler that says which file it was and ends the process with exit code 1; a SIGBUS from anywhere else has
 * the action that it had before.
 *
 * One thread maps and unmaps at a time; any number of them may read.
 */
#ifndef THAW_IO_MAPPED_H
#define THAW_IO_MAPPED_H

#include <stddef.h>

#include "base/status.h"

/* Maps the whole file, which must be a plain one and not empty. THAW_FAILED names path and reason. */
thaw_status thaw_mapped_open(const char *path, void **map_out, size_t *length_out);
void thaw_mapped_close(void *map, size_t length);

#endif
