#include "runner/help.h"

#include <string.h>

#include "base/help.h"
#include "jobs/job.h"

typedef thaw_status print_topic(struct thaw_commands commands);

static print_topic print_keys, print_key_page, print_manual;

static const struct topic {
	const char *name, *summary;
	print_topic *print;
} topics[] = {
	{"job", "keys of a job file", print_keys},
	{"job.md", "the same as a page, docs/job.md", print_key_page},
	{"thaw.1", "all of this as a manual page: thaw help thaw.1 | man -l -", print_manual},
};
enum { TOPICS = sizeof topics / sizeof *topics };

static const char does[] = "train image classifiers on many processors, one process each";

const struct thaw_command *thaw_find_command(struct thaw_commands commands, const char *name)
{
	for (int i = 0; i < commands.count; i++)
		if (strcmp(name, commands.command[i]->name) == 0)
			return commands.command[i];
	return NULL;
}

void thaw_help_list(struct thaw_commands commands, FILE *file)
{
	int widest = 0;

	for (int i = 0; i < commands.count; i++) {
		int width = (int)strlen(commands.command[i]->name);

		widest = width > widest ? width : widest;
	}
	fprintf(file, "thaw %s: %s\n\n", THAW_VERSION, does);
	for (int i = 0; i < commands.count; i++)
		fprintf(file, "  thaw %-*s  %s\n", widest, commands.command[i]->name, commands.command[i]->summary);
	fprintf(file, "\n  thaw COMMAND --help   options of a command\n");
	for (int i = 0; i < TOPICS; i++)
		fprintf(file, "  thaw help %-10s  %s\n", topics[i].name, topics[i].summary);
	fprintf(file, "  thaw --version        build, backends, libraries\n");
}

/* Has a command print its help in the form that `option` asks for. */
static thaw_status ask(const struct thaw_command *command, const char *option)
{
	char name[1] = "", word[16];

	snprintf(word, sizeof word, "%s", option);
	return command->run(command, 2, (char *[]){name, word, NULL});
}

thaw_status thaw_help(struct thaw_commands commands, const char *topic)
{
	const struct thaw_command *command = topic ? thaw_find_command(commands, topic) : NULL;

	if (!topic)
		thaw_help_list(commands, stdout);
	for (int i = 0; topic && i < TOPICS; i++)
		if (strcmp(topic, topics[i].name) == 0)
			return topics[i].print(commands);
	if (topic && !command)
		return thaw_fail(THAW_BAD_JOB, "no help on '%s': thaw --help lists what there is help on", topic);
	return command ? ask(command, "--help") : THAW_OK;
}

static thaw_status print_keys(struct thaw_commands commands)
{
	(void)commands;
	thaw_job_print_keys(stdout);
	return THAW_OK;
}

static thaw_status print_key_page(struct thaw_commands commands)
{
	(void)commands;
	thaw_job_print_markdown(stdout);
	return THAW_OK;
}

/* --- manual page ------------------------------------------------------------------------------------------------- */

static const struct {
	int exit_code;
	const char *meaning;
} exits[] = {
#define X(name, exit_code, meaning) {exit_code, meaning},
	THAW_STATUS_MAP(X)
#undef X
};

static const char description[] =
	"thaw packs folders of pictures into shards, trains a network on them as a job file says, and tells what came of "
	"it. mpirun starts as many processes as there are to share the work; one needs no mpirun. The result of a run is "
	"a folder of plain files. A run that was stopped or killed goes on when the same command is given again.";

static const char job_files[] =
	"A job file is YAML; 'thaw help job' lists its keys with their defaults and what is allowed. A small one:\n"
	"\n"
	"  model: {arch: resnet18}\n"
	"  data: {train: data/train-*.h5, val: data/val-*.h5, crop: 224}\n"
	"  epochs: 40\n"
	"  optimizer: {lr: 0.01}\n";

static const struct {
	const char *name, *meaning;
} variables[] = {
	{"THAW_CACHE",
     "Folder in which the timing of convolutions is kept, so that a later run chooses the same; empty: it "
     "is not kept. Without it, that is XDG_CACHE_HOME/thaw or HOME/.cache/thaw."},
	{"THAW_GPU",
     "Number of the GPU to take, instead of the first that no other rank on the host takes: to try two ranks on one."},
	{"THAW_CONVOLUTION",
     "An implementation that all convolutions take instead of what timing chooses: direct, for one."},
};

static void add_item(struct thaw_text *man, const char *name, const char *meaning)
{
	thaw_text_add(man, ".TP\n.B ");
	thaw_man_add(man, name);
	thaw_text_add(man, "\n");
	thaw_man_add(man, meaning);
	thaw_text_add(man, "\n");
}

static void add_head(struct thaw_text *man)
{
	thaw_text_add(man, ".TH THAW 1 \"\" \"thaw %s\" \"User commands\"\n.SH NAME\nthaw \\- %s\n", THAW_VERSION, does);
	thaw_text_add(man, ".SH SYNOPSIS\n.B thaw\n.I COMMAND\n.RI [ options ]\n.SH DESCRIPTION\n");
	thaw_man_add_paragraphs(man, description);
	thaw_text_add(man, ".SH COMMANDS\n");
}

static void add_tail(struct thaw_text *man)
{
	thaw_text_add(man, ".SH JOB FILES\n");
	thaw_man_add_paragraphs(man, job_files);
	thaw_text_add(man, ".SH HELP\n");
	for (int i = 0; i < TOPICS; i++) {
		char name[32];

		snprintf(name, sizeof name, "thaw help %s", topics[i].name);
		add_item(man, name, topics[i].summary);
	}
	thaw_text_add(man, ".SH EXIT STATUS\n");
	for (size_t i = 0; i < sizeof exits / sizeof *exits; i++) {
		char code[12];

		snprintf(code, sizeof code, "%d", exits[i].exit_code);
		add_item(man, code, exits[i].meaning);
	}
	thaw_text_add(man, ".SH ENVIRONMENT\n");
	for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
		add_item(man, variables[i].name, variables[i].meaning);
	thaw_text_add(man, ".SH SEE ALSO\n.BR mpirun (1),\n.BR tensorboard (1)\n");
}

/* Commands print their parts themselves, as their options are known to nobody else. */
static thaw_status print_manual(struct thaw_commands commands)
{
	struct thaw_text head = THAW_TEXT_EMPTY, tail = THAW_TEXT_EMPTY;
	thaw_status status;

	add_head(&head);
	add_tail(&tail);
	status = thaw_text_status(&head);
	if (!status)
		status = thaw_text_status(&tail);
	if (!status)
		fputs(head.data, stdout);
	for (int i = 0; i < commands.count && !status; i++)
		status = ask(commands.command[i], "--help=man");
	if (!status)
		fputs(tail.data, stdout);
	thaw_text_release(&head);
	thaw_text_release(&tail);
	return status;
}
