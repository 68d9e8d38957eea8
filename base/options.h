/*
 * Commands and their options.
 *
 * Each command is one constant thaw_command; runner/main.c holds the table of all. A command describes its options in
 * one table that parses the command line and makes `thaw COMMAND --help` and the manual page (base/help.h). Completion
 * (tools/completion.bash) reads the former: an argument called FOLDER is completed with folders, WORD.h5 with such
 * files, NAME with the words that begin lines of the option's help: "json: an object on each line".
 */
#ifndef THAW_BASE_OPTIONS_H
#define THAW_BASE_OPTIONS_H

#include <stdbool.h>

#include "base/status.h"

struct thaw_command {
	const char *name;     /* "pack" */
	const char *summary;  /* one line for `thaw --help`: "class folders of pictures to shards" */
	const char *synopsis; /* "thaw pack FOLDER -o FOLDER [options]" */
	const char *notes;    /* paragraphs and examples after the options; NULL for none */
	thaw_status (*run)(const struct thaw_command *self, int argc, char **argv); /* argv[0] is the command's name */
};

enum thaw_option_kind {
	THAW_OPTION_FLAG,   /* value: bool * */
	THAW_OPTION_INT,    /* value: int64_t *, within low .. high */
	THAW_OPTION_NUMBER, /* value: double *, within low .. high */
	THAW_OPTION_TEXT,   /* value: const char ** */
	THAW_OPTION_TEXTS,  /* value: struct thaw_texts *; the option may be repeated */
};

struct thaw_texts {
	int count;
	const char *text[4096];
};

struct thaw_option {
	const char *name;     /* "resize" for --resize N and --resize=N */
	char letter;          /* 'o' for -o X; 0 for none */
	enum thaw_option_kind kind;
	void *value;          /* holds the default before parsing */
	double low, high;
	const char *argument; /* "N", "FOLDER"; NULL for a flag */
	const char *help;     /* "length of the shorter edge, pixels (256)"; may have several lines */
};

/* Parses argv[1 .. argc - 1]; argv[argc] is NULL. Options may stand anywhere, `--` ends them; of an option given twice
 * the last counts. What is not an option goes, in order, to positionals_out->text; all texts are borrowed from argv.
 * `--help` prints the command's help, `--help=man` its part of the manual page, and both set *help_out: the caller then
 * returns THAW_OK. An unknown option, a missing or bad argument, a number out of range are THAW_BAD_JOB, naming option
 * and what is allowed: "thaw pack: --resize 0: allowed are 1 to 4096". */
thaw_status thaw_options_parse(const struct thaw_command *command, const struct thaw_option *options, int count,
                               int argc, char **argv, struct thaw_texts *positionals_out, bool *help_out);

#endif
