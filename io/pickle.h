/*
 * Python's pickles, as far as files of weights need them: a closed interpreter.
 *
 * It knows the opcodes by which protocol 2 writes numbers, texts, tuples, lists, dictionaries and references to names,
 * and those by which Python 2 wrote texts. A name is a row of the caller's table or nothing; what calling it makes is
 * the caller's own code, which makes values and no more. So nothing is imported and nothing is executed, whatever a
 * file says. Any other opcode or name is refused.
 *
 * Values live in blocks of at most 32 MiB together, and pickles have at most 16 MiB, all of a file together, however
 * large it is. Values are never freed singly. One may contain itself: who walks has to know how deep.
 *
 * Source: CPython, Lib/pickletools.py; PyTorch, torch/_weights_only_unpickler.py.
 */
#ifndef THAW_IO_PICKLE_H
#define THAW_IO_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum thaw_pickle_kind {
	THAW_PICKLE_NONE,
	THAW_PICKLE_BOOL,
	THAW_PICKLE_INT,
	THAW_PICKLE_REAL,
	THAW_PICKLE_TEXT,
	THAW_PICKLE_TUPLE,
	THAW_PICKLE_LIST,
	THAW_PICKLE_DICT,
	THAW_PICKLE_NAME,   /* a row of the table */
	THAW_PICKLE_MADE,   /* what the caller made */
	THAW_PICKLE_OPAQUE, /* an object that nobody looks into */
	THAW_PICKLE_MARK    /* only on the interpreter's stack */
};

struct thaw_pickle_value {
	enum thaw_pickle_kind kind;
	int64_t count;                      /* TUPLE, LIST: items; DICT: keys and values; TEXT: bytes */
	union {
		int64_t integer;                /* BOOL, INT */
		double real;
		const char *text;               /* (count) in the file, not terminated */
		struct thaw_pickle_item *first; /* of TUPLE, LIST, DICT, where each key stands before its value */
		const struct thaw_pickle_name *name;
		void *made;
	};
	struct thaw_pickle_item *last;
};

struct thaw_pickle_item {
	struct thaw_pickle_value *value;
	struct thaw_pickle_item *next;
};

/* A row of the table. What `meaning` and `detail` say is the caller's matter. */
struct thaw_pickle_name {
	const char *module, *name; /* "collections", "OrderedDict" */
	int meaning, detail;
};

struct thaw_pickle;

struct thaw_pickle_rules {
	const struct thaw_pickle_name *names;
	int count;

	/* Calls a name with a tuple; what it returns takes the place of both. */
	thaw_status (*call)(struct thaw_pickle *pickle, const struct thaw_pickle_name *name,
	                    const struct thaw_pickle_value *arguments, struct thaw_pickle_value **value_out);

	/* What to tell of a module whose names are refused: "...: a whole model, ..."; NULL: nothing. */
	const char *(*advise)(const char *module);

	/* What a persistent id stands for. */
	thaw_status (*find)(struct thaw_pickle *pickle, const struct thaw_pickle_value *id,
	                    struct thaw_pickle_value **value_out);
};

/* Bytes with pickles in them, one behind the other, and whatever stands between. */
struct thaw_pickle {
	const char *path; /* for messages, as all that the caller gives: borrowed */
	const struct thaw_pickle_rules *rules;
	void *context;    /* the rules' */
	const uint8_t *at, *end;

	struct thaw_pickle_block *blocks;
	size_t block_used, used; /* bytes, of the first block and of all */
	struct thaw_pickle_value **stack, **memo;
	size_t depth, stack_room, memo_count, memo_room;
	const uint8_t *begin; /* of the pickle that is read */
	size_t read;          /* bytes of all pickles before it */
	thaw_status status;   /* why there was no memory */
};

/* `path`, `rules`, `context`, `at` and `end` are set to begin, all else is zero. */
void thaw_pickle_release(struct thaw_pickle *pickle);

/* Interprets the pickle at `at`, which then stands behind it. The value lives until the release. THAW_FAILED names path
 * and byte, and the opcode or name that is refused. */
thaw_status thaw_pickle_read(struct thaw_pickle *pickle, struct thaw_pickle_value **value_out);

/* The next `length` bytes; `at` then stands behind them. THAW_FAILED: there are fewer. */
thaw_status thaw_pickle_skip(struct thaw_pickle *pickle, uint64_t length, const uint8_t **bytes_out);

/* A zeroed block, small, that lives as long as the values; a value. NULL after thaw_fail(): `status` is then what to
 * return. */
void *thaw_pickle_alloc(struct thaw_pickle *pickle, size_t size_bytes);
struct thaw_pickle_value *thaw_pickle_new(struct thaw_pickle *pickle, enum thaw_pickle_kind kind);

/* Adds an item to a TUPLE, LIST or DICT. */
thaw_status thaw_pickle_append(struct thaw_pickle *pickle, struct thaw_pickle_value *list,
                               struct thaw_pickle_value *value);

/* The i-th item of a TUPLE or LIST, if it is of this kind; else NULL. */
const struct thaw_pickle_value *thaw_pickle_item(const struct thaw_pickle_value *list, int i,
                                                 enum thaw_pickle_kind kind);

/* Whether `value` is this text. */
bool thaw_pickle_is_text(const struct thaw_pickle_value *value, const char *text);

#endif
