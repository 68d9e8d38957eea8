/*
 * What a command says of itself: as plain text for `--help`, and as a part of the manual page.
 *
 * Both are made of its thaw_command and its table of options, so neither can say anything else than is parsed.
 */
#ifndef THAW_BASE_HELP_H
#define THAW_BASE_HELP_H

#include "base/options.h"
#include "base/text.h"

/* Synopsis, summary, options, notes. */
void thaw_help_add(struct thaw_text *help, const struct thaw_command *command, const struct thaw_option *options,
                   int count);

/* The same as a subsection in roff, with the macros of man(7). */
void thaw_help_add_man(struct thaw_text *man, const struct thaw_command *command, const struct thaw_option *options,
                       int count);

/* Adds plain text that roff prints as it is. */
void thaw_man_add(struct thaw_text *man, const char *text);

/* Adds paragraphs, parted by empty lines; indented lines stay lines. */
void thaw_man_add_paragraphs(struct thaw_text *man, const char *text);

#endif
