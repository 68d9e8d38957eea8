/*
 * What thaw says of itself. All of it is made of the tables that the program works by: commands, options, keys, exit
 * codes.
 */
#ifndef THAW_RUNNER_HELP_H
#define THAW_RUNNER_HELP_H

#include <stdio.h>

#include "base/options.h"

struct thaw_commands {
	const struct thaw_command *const *command;
	int count;
};

/* The command of this name, NULL if there is none. */
const struct thaw_command *thaw_find_command(struct thaw_commands commands, const char *name);

/* One line for each command, and where there is more. */
void thaw_help_list(struct thaw_commands commands, FILE *file);

/* `thaw help TOPIC` on standard output: a command, or one of the topics that the list names; NULL: the list. */
thaw_status thaw_help(struct thaw_commands commands, const char *topic);

#endif
