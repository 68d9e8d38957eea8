#include "base/help.h"

#include <string.h>

/* Every command has it; thaw_options_parse() sees to it. */
static const struct thaw_option help_option = {.name = "help", .letter = 'h', .help = "print this"};

/* --- plain text -------------------------------------------------------------------------------------------------- */

/* Adds `text`, each line after the first indented by `columns`, and a newline. */
static void add_hanging(struct thaw_text *help, int columns, const char *text)
{
	size_t length = strcspn(text, "\n");

	thaw_text_add_bytes(help, text, length);
	for (text += length; *text; text += length) {
		text++;
		length = strcspn(text, "\n");
		thaw_text_add(help, "\n%*s", length > 0 ? columns : 0, "");
		thaw_text_add_bytes(help, text, length);
	}
	thaw_text_add_bytes(help, "\n", 1);
}

/* Adds "  -o, --out FOLDER" filled up to `columns`, and the help text behind it. */
static void add_option(struct thaw_text *help, int columns, const struct thaw_option *option)
{
	size_t begin = help->length;

	if (option->letter)
		thaw_text_add(help, "  -%c, --%s", option->letter, option->name);
	else
		thaw_text_add(help, "      --%s", option->name);
	if (option->argument)
		thaw_text_add(help, " %s", option->argument);
	thaw_text_add(help, "%*s", columns - (int)(help->length - begin), "");
	add_hanging(help, columns, option->help);
}

void thaw_help_add(struct thaw_text *help, const struct thaw_command *command, const struct thaw_option *options,
                   int count)
{
	size_t widest = strlen(help_option.name);
	int columns;

	for (int i = 0; i < count; i++) {
		size_t width = strlen(options[i].name) + (options[i].argument ? 1 + strlen(options[i].argument) : 0);

		widest = width > widest ? width : widest;
	}
	columns = (int)widest + 10; /* "  -o, --" before, two spaces behind */
	thaw_text_add(help, "usage: ");
	add_hanging(help, 7, command->synopsis);
	thaw_text_add(help, "\n%s\n\noptions:\n", command->summary);
	for (int i = 0; i < count; i++)
		add_option(help, columns, &options[i]);
	add_option(help, columns, &help_option);
	if (command->notes)
		thaw_text_add(help, "\n%s\n", command->notes);
}

/* --- manual page ------------------------------------------------------------------------------------------------- */

/* What roff would print as a typographic relative, which no shell takes. */
static const struct {
	char character;
	const char *escape;
} escapes[] = {{'\\', "\\e"}, {'-', "\\-"}, {'\'', "\\(aq"}, {'`', "\\(ga"}, {'^', "\\(ha"}, {'~', "\\(ti"}};

static void add_escaped(struct thaw_text *man, const char *text, size_t length)
{
	const size_t count = sizeof escapes / sizeof *escapes;

	if (length > 0 && *text == '.') /* it would be a request */
		thaw_text_add(man, "\\&");
	for (size_t i = 0; i < length; i++) {
		size_t e = 0;

		while (e < count && escapes[e].character != text[i])
			e++;
		if (e < count)
			thaw_text_add(man, "%s", escapes[e].escape);
		else
			thaw_text_add_bytes(man, &text[i], 1);
	}
}

void thaw_man_add(struct thaw_text *man, const char *text)
{
	add_escaped(man, text, strlen(text));
}

/* `paragraph` is the macro that parts paragraphs: .PP, or .IP within an item. */
static void add_paragraphs(struct thaw_text *man, const char *paragraph, const char *text)
{
	enum { NOTHING, FILLED, AS_IT_IS } before = NOTHING, now;
	bool parted = false;

	for (size_t length; *text; text += length + (text[length] == '\n')) {
		length = strcspn(text, "\n");
		if (length == 0) {
			parted = true;
			continue;
		}
		now = *text == ' ' ? AS_IT_IS : FILLED;
		if (before == AS_IT_IS && now == FILLED)
			thaw_text_add(man, ".EE\n");
		if (before == AS_IT_IS && now == AS_IT_IS && parted)
			thaw_text_add(man, ".sp\n");
		else if (before != NOTHING && (parted || now != before))
			thaw_text_add(man, "%s\n", paragraph);
		if (now == AS_IT_IS && before != AS_IT_IS)
			thaw_text_add(man, ".EX\n");
		add_escaped(man, text, length);
		thaw_text_add(man, "\n");
		before = now;
		parted = false;
	}
	if (before == AS_IT_IS)
		thaw_text_add(man, ".EE\n");
}

void thaw_man_add_paragraphs(struct thaw_text *man, const char *text)
{
	add_paragraphs(man, ".PP", text);
}

static void add_man_option(struct thaw_text *man, const struct thaw_option *option)
{
	thaw_text_add(man, ".TP\n");
	if (option->letter)
		thaw_text_add(man, "\\fB\\-%c\\fR, ", option->letter);
	thaw_text_add(man, "\\fB\\-\\-");
	thaw_man_add(man, option->name);
	thaw_text_add(man, "\\fR");
	if (option->argument) {
		thaw_text_add(man, " \\fI");
		thaw_man_add(man, option->argument);
		thaw_text_add(man, "\\fR");
	}
	thaw_text_add(man, "\n");
	add_paragraphs(man, ".IP", option->help);
}

void thaw_help_add_man(struct thaw_text *man, const struct thaw_command *command, const struct thaw_option *options,
                       int count)
{
	thaw_text_add(man, ".SS thaw ");
	thaw_man_add(man, command->name);
	thaw_text_add(man, "\n");
	thaw_man_add(man, command->summary);
	thaw_text_add(man, "\n.PP\n.EX\n");
	for (const char *line = command->synopsis; *line;) {
		size_t length = strcspn(line, "\n");

		add_escaped(man, line, length);
		thaw_text_add(man, "\n");
		line += length + (line[length] == '\n');
	}
	thaw_text_add(man, ".EE\n");
	for (int i = 0; i < count; i++)
		add_man_option(man, &options[i]);
	add_man_option(man, &help_option);
	if (command->notes) {
		thaw_text_add(man, ".PP\n");
		add_paragraphs(man, ".PP", command->notes);
	}
}
