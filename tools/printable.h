/* What is printed: names and texts from elsewhere made fit for it, and plurals. */
#ifndef THAW_TOOLS_PRINTABLE_H
#define THAW_TOOLS_PRINTABLE_H

#include "base/text.h"

/* Appends `string`, with every byte of what is not printable UTF-8 (control characters, broken sequences) as \xHH. */
void thaw_text_add_printable(struct thaw_text *text, const char *string);

/* What a word ends in after this number: "s", or "" after 1. */
const char *thaw_plural(int64_t count);

#endif
