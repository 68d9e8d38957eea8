/*
 * Text that grows.
 *
 * A thaw_text starts as THAW_TEXT_EMPTY and is released once. `data` is always a valid, terminated string. A failed
 * allocation is sticky: later additions do nothing, and thaw_text_status() tells it once, at the end.
 */
#ifndef THAW_BASE_TEXT_H
#define THAW_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct thaw_text {
	const char *data;    /* terminated; "" when empty */
	size_t length;       /* bytes, without the terminator */
	size_t capacity;     /* bytes owned; 0 while `data` is the constant "" */
	bool out_of_memory;
};

#define THAW_TEXT_EMPTY {"", 0, 0, false}

void thaw_text_init(struct thaw_text *text);
void thaw_text_release(struct thaw_text *text); /* the contents; `text` is empty and usable again */

/* Appends, printf's way; vprintf's. */
void thaw_text_add(struct thaw_text *text, const char *format, ...) THAW_PRINTF(2, 3);
void thaw_text_add_list(struct thaw_text *text, const char *format, va_list args) THAW_PRINTF(2, 0);

/* Appends `length` bytes as they are. */
void thaw_text_add_bytes(struct thaw_text *text, const void *bytes, size_t length);

/* Appends `string` as a JSON string with its quotes: control characters, quotes and backslashes are escaped. */
void thaw_text_add_json(struct thaw_text *text, const char *string);

/* "11,177,538": thousands apart. Returns `out`. */
const char *thaw_count_text(int64_t count, char out[32]);

/* THAW_OUT_OF_MEMORY if any addition was lost. */
thaw_status thaw_text_status(const struct thaw_text *text);

#endif
