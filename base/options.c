#include "base/options.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/help.h"

typedef void add_help(struct thaw_text *text, const struct thaw_command *command, const struct thaw_option *options,
                      int count);

static thaw_status print_help(const struct thaw_command *command, const struct thaw_option *options, int count,
                              add_help *add)
{
	struct thaw_text help = THAW_TEXT_EMPTY;
	thaw_status status;

	add(&help, command, options, count);
	status = thaw_text_status(&help);
	if (!status)
		fputs(help.data, stdout);
	thaw_text_release(&help);
	return status;
}

static thaw_status fail_range(const struct thaw_command *command, const struct thaw_option *option, const char *text)
{
	if (option->kind == THAW_OPTION_INT)
		return thaw_fail(THAW_BAD_JOB, "thaw %s: --%s %s: allowed are %.0f to %.0f", command->name, option->name, text,
		                 option->low, option->high);
	return thaw_fail(THAW_BAD_JOB, "thaw %s: --%s %s: allowed are %g to %g", command->name, option->name, text,
	                 option->low, option->high);
}

static thaw_status set_int(const struct thaw_command *command, const struct thaw_option *option, const char *text)
{
	char *end;
	long long value;

	errno = 0;
	value = strtoll(text, &end, 10);
	if (end == text || *end)
		return thaw_fail(THAW_BAD_JOB, "thaw %s: --%s %s: allowed are whole numbers, %.0f to %.0f", command->name,
		                 option->name, text, option->low, option->high);
	if (errno || !((double)value >= option->low && (double)value <= option->high))
		return fail_range(command, option, text);
	*(int64_t *)option->value = value;
	return THAW_OK;
}

static thaw_status set_number(const struct thaw_command *command, const struct thaw_option *option, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= option->low && value <= option->high))
		return fail_range(command, option, text);
	*(double *)option->value = value;
	return THAW_OK;
}

static thaw_status append(const struct thaw_command *command, struct thaw_texts *texts, const char *text)
{
	const int limit = (int)(sizeof texts->text / sizeof *texts->text);

	if (texts->count == limit)
		return thaw_fail(THAW_BAD_JOB, "thaw %s: '%s': allowed are %d of its kind", command->name, text, limit);
	texts->text[texts->count++] = text;
	return THAW_OK;
}

static thaw_status set(const struct thaw_command *command, const struct thaw_option *option, const char *text)
{
	switch (option->kind) {
	case THAW_OPTION_INT:
		return set_int(command, option, text);
	case THAW_OPTION_NUMBER:
		return set_number(command, option, text);
	case THAW_OPTION_TEXTS:
		return append(command, option->value, text);
	case THAW_OPTION_TEXT:
		*(const char **)option->value = text;
		return THAW_OK;
	case THAW_OPTION_FLAG:
		*(bool *)option->value = true;
	}
	return THAW_OK;
}

/* The option that `word` names; `attached_out` is the argument that hangs on it (--name=X, -oX), NULL if none does. */
static const struct thaw_option *find(const struct thaw_option *options, int count, const char *word,
                                      const char **attached_out)
{
	size_t length = strcspn(word + 2, "=");

	for (int i = 0; i < count; i++) {
		const struct thaw_option *option = &options[i];

		if (word[1] == '-' && strlen(option->name) == length && memcmp(word + 2, option->name, length) == 0) {
			*attached_out = word[2 + length] ? word + 3 + length : NULL;
			return option;
		}
		if (option->letter && word[1] == option->letter) {
			*attached_out = word[2] ? word + 2 : NULL;
			return option;
		}
	}
	return NULL;
}

/* Sets the option named by argv[*at], and moves *at to the last word that belongs to it. */
static thaw_status take(const struct thaw_command *command, const struct thaw_option *option, const char *attached,
                        char **argv, int *at)
{
	const char *text = attached;

	if (option->kind == THAW_OPTION_FLAG) {
		if (attached)
			return thaw_fail(THAW_BAD_JOB, "thaw %s: --%s takes no argument", command->name, option->name);
		return set(command, option, NULL);
	}
	if (!text && argv[*at + 1] && strncmp(argv[*at + 1], "--", 2) != 0)
		text = argv[++*at];
	if (!text || !*text)
		return thaw_fail(THAW_BAD_JOB, "thaw %s: --%s needs an argument: --%s %s", command->name, option->name,
		                 option->name, option->argument);
	return set(command, option, text);
}

thaw_status thaw_options_parse(const struct thaw_command *command, const struct thaw_option *options, int count,
                               int argc, char **argv, struct thaw_texts *positionals_out, bool *help_out)
{
	bool ended = false;
	thaw_status status = THAW_OK;

	positionals_out->count = 0;
	*help_out = false;
	for (int i = 1; i < argc && !status; i++) {
		const struct thaw_option *option;
		const char *word = argv[i], *attached;

		if (ended || word[0] != '-' || !word[1]) {
			status = append(command, positionals_out, word);
		} else if (strcmp(word, "--") == 0) {
			ended = true;
		} else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
			*help_out = true;
			return print_help(command, options, count, thaw_help_add);
		} else if (strcmp(word, "--help=man") == 0) {
			*help_out = true;
			return print_help(command, options, count, thaw_help_add_man);
		} else if ((option = find(options, count, word, &attached)) != NULL) {
			status = take(command, option, attached, argv, &i);
		} else {
			status = thaw_fail(THAW_BAD_JOB, "thaw %s: unknown option '%s': see 'thaw %s --help'", command->name, word,
			                   command->name);
		}
	}
	return status;
}
