/*
 * What timing found: key -> name of the fastest implementation.
 *
 * The answers are kept in a file (convolutions.txt in the folder of base/cache.h), so that a later run on the same
 * machine starts at once and computes the same bits. A key names all that the answer depends on: processor, library,
 * shape, threads.
 */
#ifndef THAW_NN_CPU_TUNING_H
#define THAW_NN_CPU_TUNING_H

#include <stdbool.h>

#include "base/status.h"

struct thaw_text;

/* Reads the file, if there is one; damaged lines are passed over. `library` becomes part of every key, with the
 * processor's name. Once per process. */
thaw_status thaw_tuning_load(const char *library);

/* The last name kept for `key` that is `known`, NULL if none: builds that know different names may share a file.
 * Borrowed until the next call of any of these. */
const char *thaw_tuning_find(const char *key, bool (*known)(const char *name));

/* Takes `name` for `key` in this process, and in those that learn from it, in place of any before. */
thaw_status thaw_tuning_note(const char *key, const char *name);

/* The same, and keeps it in the file. A file that cannot be written is not an error, as it only saves time: the first
 * time there is a warning. */
thaw_status thaw_tuning_add(const char *key, const char *name);

/* All that is known, as text; and taking it over from another process, whose answers win. */
thaw_status thaw_tuning_text(struct thaw_text *text);
thaw_status thaw_tuning_learn(const char *text);

#endif
