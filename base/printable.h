/*
 * What is printed: texts from elsewhere made fit for it, and plurals.
 *
 * base/log.h prints nothing else than this: names of files and classes may hold anything, also what clears a terminal.
 */
#ifndef THAW_BASE_PRINTABLE_H
#define THAW_BASE_PRINTABLE_H

#include "base/text.h"

/* Whether `text` is UTF-8 without control characters and line separators. */
bool thaw_is_printable(const char *text);

/* `text` for a message: cut, and with everything unprintable as '?'. */
struct thaw_shown {
	char text[64];
};
struct thaw_shown thaw_show(const char *text);

/* Appends `string`, with every byte of what is not printable as \xHH. */
void thaw_text_add_printable(struct thaw_text *text, const char *string);

/* Characters of a text in UTF-8: bytes that continue none. */
int thaw_characters(const char *text);

/* What a word ends in after this number: "s", or "" after 1. */
const char *thaw_plural(int64_t count);

/* "(64, 3, 7, 7)" of up to 8 dimensions. */
const char *thaw_shape_text(int rank, const int64_t *dims, char text_out[192]);

#endif
