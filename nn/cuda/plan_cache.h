/*
 * Plans that were chosen before: key -> plan, both texts of one line without tabs.
 *
 * They are kept in the file cudnn-plans.txt in the folder of base/cache.h, a line "SHA-256, tab, key, tab, plan" each.
 * The checksum is of key and plan together, and a line that has another is passed over: whatever happened to the file,
 * a key is missed or finds what was added for it. Many processes may share a file. It is written whole, with what
 * stands there by then and what this process adds; of two that write at the same time one may lose its lines, which
 * costs another timing, later.
 */
#ifndef THAW_NN_CUDA_PLAN_CACHE_H
#define THAW_NN_CUDA_PLAN_CACHE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "base/text.h"

enum { THAW_PLAN_CACHE_LIMIT = 64 << 20 }; /* bytes of a file: one that has more is passed over, and replaced */

enum thaw_plan_origin {
	THAW_PLAN_KEPT,     /* stood in the file */
	THAW_PLAN_LEARNT,   /* taken over from another process */
	THAW_PLAN_TIMED,    /* the fastest that this process found: for the file */
	THAW_PLAN_PROPOSED, /* taken by this process without timing: not for the file, nor where times are asked for */
};

struct thaw_plan_record {
	char *key;
	const char *plan; /* in the same block */
	enum thaw_plan_origin origin;
	bool used; /* found, or added */
};

struct thaw_plan_cache {
	struct thaw_plan_record *records; /* (count) */
	size_t *slots;                    /* (slot_count) a hash table: numbers of records from 1; 0: free */
	size_t count, slot_count;
	struct thaw_text path; /* "" when nothing is kept */
	bool changed, warned;  /* there is something for the file; it was told that it cannot be written */
};

/* Reads the file, if there is one that can be. THAW_OUT_OF_MEMORY is the only failure. */
thaw_status thaw_plan_cache_load(struct thaw_plan_cache *cache_out);
void thaw_plan_cache_release(struct thaw_plan_cache *cache);

/* NULL: there is none. Borrowed until the next call of any of these. */
const struct thaw_plan_record *thaw_plan_cache_find(struct thaw_plan_cache *cache, const char *key);

/* Takes `plan` for `key` from now on, in place of any before. */
thaw_status thaw_plan_cache_add(struct thaw_plan_cache *cache, const char *key, const char *plan,
                                enum thaw_plan_origin origin);

/* Writes the file, if there is something for it. That it cannot be written is not an error, as it only saves time: the
 * first time there is a warning. */
void thaw_plan_cache_keep(struct thaw_plan_cache *cache);

/* All that this process used, as lines of the file; and taking over those of another, which win. */
thaw_status thaw_plan_cache_text(const struct thaw_plan_cache *cache, struct thaw_text *text);
thaw_status thaw_plan_cache_learn(struct thaw_plan_cache *cache, const char *text);

#endif
