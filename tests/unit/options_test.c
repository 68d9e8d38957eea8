/* Option parsing: every kind, every way to give it, every refusal with its words, and the help text as a whole. */
#define _POSIX_C_SOURCE 200809L
#include "base/options.h"

#include <stdint.h>
#include <unistd.h>

#include "tests/test.h"

static int64_t number;
static double rate;
static const char *out;
static bool force;
static struct thaw_texts sets, given;
static bool help;

static const struct thaw_command command = {
	.name = "bake",
	.summary = "bread from flour",
	.synopsis = "thaw bake FLOUR -o FOLDER [options]\nthaw bake --force",
	.notes = "It takes an hour.\n"
			 ".5 of it at 200 ~C.\n"
			 "\n"
			 "  thaw bake 'rye' -o C:\\bread\n"
			 "\n"
			 "  thaw bake --force\n"
			 "Cool it.",
};

static const struct thaw_option options[] = {
	{"out", 'o', THAW_OPTION_TEXT, &out, 0, 0, "FOLDER", "where to put it"},
	{"resize", 0, THAW_OPTION_INT, &number, 1, 4096, "N", "length (256),\nof the shorter edge"},
	{"rate", 'r', THAW_OPTION_NUMBER, &rate, 0.5, 2, "X", "speed"},
	{"set", 0, THAW_OPTION_TEXTS, &sets, 0, 0, "KEY=VALUE", "change a key"},
	{"force", 'f', THAW_OPTION_FLAG, &force, 0, 0, NULL, "do it"},
};

static thaw_status parse(char **argv)
{
	int argc = 0;

	number = 256, rate = 1, out = NULL, force = false, sets.count = 0, given.count = 99, help = true;
	while (argv[argc])
		argc++;
	return thaw_options_parse(&command, options, 5, argc, argv, &given, &help);
}
#define PARSE(...) parse((char *[]){(char *)"bake", __VA_ARGS__, NULL})
#define W(word) (char *)(word)

static void test_nothing_given_keeps_defaults(void)
{
	char *argv[] = {W("bake"), NULL};

	CHECK_OK(parse(argv));
	CHECK_INT(number, 256);
	CHECK_NEAR(rate, 1, 0);
	CHECK(out == NULL && !force && !help);
	CHECK_INT(given.count, 0);
}

static void test_all_kinds_anywhere(void)
{
	CHECK_OK(PARSE(W("a"), W("--resize"), W("4096"), W("b"), W("-o"), W("x"), W("--rate=0.5"), W("-f"), W("-")));
	CHECK_INT(number, 4096);
	CHECK_NEAR(rate, 0.5, 0);
	CHECK_TEXT(out, "x");
	CHECK(force && !help);
	CHECK_INT(given.count, 3);
	CHECK_TEXT(given.text[0], "a");
	CHECK_TEXT(given.text[1], "b");
	CHECK_TEXT(given.text[2], "-");
}

static void test_ways_to_give_an_argument(void)
{
	CHECK_OK(PARSE(W("-ox"), W("-r"), W("2"), W("--resize=1")));
	CHECK_TEXT(out, "x");
	CHECK_NEAR(rate, 2, 0);
	CHECK_INT(number, 1);
	CHECK_OK(PARSE(W("--out=a=b"), W("--out"), W("-c")));
	CHECK_TEXT(out, "-c"); /* the last counts, and one dash is an argument */
}

static void test_texts_are_collected(void)
{
	CHECK_OK(PARSE(W("--set"), W("a=1"), W("--set=b=2")));
	CHECK_INT(sets.count, 2);
	CHECK_TEXT(sets.text[0], "a=1");
	CHECK_TEXT(sets.text[1], "b=2");
}

static void test_two_dashes_end_options(void)
{
	CHECK_OK(PARSE(W("--"), W("--force"), W("--"), W("-x")));
	CHECK(!force);
	CHECK_INT(given.count, 3);
	CHECK_TEXT(given.text[0], "--force");
	CHECK_TEXT(given.text[1], "--");
	CHECK_TEXT(given.text[2], "-x");
}

static void test_refusals(void)
{
	CHECK_FAILS(PARSE(W("--resize"), W("0")), THAW_BAD_JOB, "thaw bake: --resize 0: allowed are 1 to 4096");
	CHECK_FAILS(PARSE(W("--resize=4097")), THAW_BAD_JOB, "--resize 4097: allowed are 1 to 4096");
	CHECK_FAILS(PARSE(W("--resize"), W("-5")), THAW_BAD_JOB, "--resize -5: allowed are 1 to 4096");
	CHECK_FAILS(PARSE(W("--resize=99999999999999999999")), THAW_BAD_JOB, "allowed are 1 to 4096");
	CHECK_FAILS(PARSE(W("--resize=12x")), THAW_BAD_JOB, "--resize 12x: allowed are whole numbers, 1 to 4096");
	CHECK_FAILS(PARSE(W("--resize=2.5")), THAW_BAD_JOB, "--resize 2.5: allowed are whole numbers, 1 to 4096");
	CHECK_INT(number, 256);
	CHECK_FAILS(PARSE(W("--rate=nan")), THAW_BAD_JOB, "--rate nan: allowed are 0.5 to 2");
	CHECK_FAILS(PARSE(W("--rate=0.4999")), THAW_BAD_JOB, "--rate 0.4999: allowed are 0.5 to 2");
	CHECK_FAILS(PARSE(W("-r"), W("fast")), THAW_BAD_JOB, "--rate fast: allowed are 0.5 to 2");
	CHECK_NEAR(rate, 1, 0);
	CHECK_FAILS(PARSE(W("--rezise"), W("3")), THAW_BAD_JOB,
	            "thaw bake: unknown option '--rezise': see 'thaw bake --help'");
	CHECK_FAILS(PARSE(W("--re=3")), THAW_BAD_JOB, "unknown option '--re=3'");
	CHECK_FAILS(PARSE(W("-x")), THAW_BAD_JOB, "unknown option '-x'");
	CHECK_FAILS(PARSE(W("--out")), THAW_BAD_JOB, "thaw bake: --out needs an argument: --out FOLDER");
	CHECK_FAILS(PARSE(W("--out=")), THAW_BAD_JOB, "--out needs an argument");
	CHECK_FAILS(PARSE(W("-o"), W("--force")), THAW_BAD_JOB, "--out needs an argument");
	CHECK_FAILS(PARSE(W("--force=yes")), THAW_BAD_JOB, "thaw bake: --force takes no argument");
	CHECK_FAILS(PARSE(W("-fx")), THAW_BAD_JOB, "--force takes no argument");
}

static void test_too_many(void)
{
	enum { ROOM = 4096 };
	static char *argv[ROOM + 3];

	for (int i = 0; i < ROOM + 2; i++)
		argv[i] = W("word");
	CHECK_FAILS(parse(argv), THAW_BAD_JOB, "allowed are 4096 of its kind");
	argv[ROOM + 1] = NULL;
	CHECK_OK(parse(argv));
	CHECK_INT(given.count, ROOM);
}

/* What is printed when `word` asks for help: standard output goes to a file meanwhile. */
static void check_help(const char *word, const char *want)
{
	char got[2048] = "";
	FILE *file = tmpfile();
	int kept = dup(STDOUT_FILENO);

	if (!file)
		SKIP("no temporary file");
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	CHECK_OK(PARSE(W("a"), (char *)word, W("--unknown")));
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	rewind(file);
	got[fread(got, 1, sizeof got - 1, file)] = '\0';
	fclose(file);
	CHECK(help);
	CHECK_TEXT(got, want);
}

static void test_help(void)
{
	static const char want[] = "usage: thaw bake FLOUR -o FOLDER [options]\n"
							   "       thaw bake --force\n"
							   "\n"
							   "bread from flour\n"
							   "\n"
							   "options:\n"
							   "  -o, --out FOLDER     where to put it\n"
							   "      --resize N       length (256),\n"
							   "                       of the shorter edge\n"
							   "  -r, --rate X         speed\n"
							   "      --set KEY=VALUE  change a key\n"
							   "  -f, --force          do it\n"
							   "  -h, --help           print this\n"
							   "\n"
							   "It takes an hour.\n"
							   ".5 of it at 200 ~C.\n"
							   "\n"
							   "  thaw bake 'rye' -o C:\\bread\n"
							   "\n"
							   "  thaw bake --force\n"
							   "Cool it.\n";

	check_help("--help", want);
	check_help("-h", want);
}

/* As man(7) and groff_char(7) want it. */
static void test_manual(void)
{
	check_help("--help=man", ".SS thaw bake\n"
							 "bread from flour\n"
							 ".PP\n"
							 ".EX\n"
							 "thaw bake FLOUR \\-o FOLDER [options]\n"
							 "thaw bake \\-\\-force\n"
							 ".EE\n"
							 ".TP\n"
							 "\\fB\\-o\\fR, \\fB\\-\\-out\\fR \\fIFOLDER\\fR\n"
							 "where to put it\n"
							 ".TP\n"
							 "\\fB\\-\\-resize\\fR \\fIN\\fR\n"
							 "length (256),\n"
							 "of the shorter edge\n"
							 ".TP\n"
							 "\\fB\\-r\\fR, \\fB\\-\\-rate\\fR \\fIX\\fR\n"
							 "speed\n"
							 ".TP\n"
							 "\\fB\\-\\-set\\fR \\fIKEY=VALUE\\fR\n"
							 "change a key\n"
							 ".TP\n"
							 "\\fB\\-f\\fR, \\fB\\-\\-force\\fR\n"
							 "do it\n"
							 ".TP\n"
							 "\\fB\\-h\\fR, \\fB\\-\\-help\\fR\n"
							 "print this\n"
							 ".PP\n"
							 "It takes an hour.\n"
							 "\\&.5 of it at 200 \\(tiC.\n"
							 ".PP\n"
							 ".EX\n"
							 "  thaw bake \\(aqrye\\(aq \\-o C:\\ebread\n"
							 ".sp\n"
							 "  thaw bake \\-\\-force\n"
							 ".EE\n"
							 ".PP\n"
							 "Cool it.\n");
}

int main(void)
{
	test_nothing_given_keeps_defaults();
	test_all_kinds_anywhere();
	test_ways_to_give_an_argument();
	test_texts_are_collected();
	test_two_dashes_end_options();
	test_refusals();
	test_too_many();
	test_help();
	test_manual();
	return TEST_END();
}
