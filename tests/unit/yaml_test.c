/* The YAML that is let in, where its nodes stand, and the YAML that is refused: each refusal with its place. */
#include "jobs/yaml.h"
#include "base/printable.h"

#include "tests/test.h"

static thaw_status parse(const char *text, size_t length, struct thaw_yaml **root_out)
{
	return thaw_yaml_parse((struct thaw_place){"f.yaml", 1, 1}, text, length, root_out);
}

/* Fails the test unless `text` is refused with exactly these words. */
#define CHECK_REFUSED(text, words) check_refused(__LINE__, text, strlen(text), words)

static void check_refused(int line, const char *text, size_t length, const char *words)
{
	struct thaw_yaml *root = NULL;
	char *exact = malloc(length + 1); /* not terminated: a sanitizer sees a read beyond the end */
	thaw_status status;

	memcpy(exact, text, length);
	exact = realloc(exact, length ? length : 1);
	status = parse(exact, length, &root);
	if (status != THAW_BAD_JOB || strcmp(thaw_fail_text(), words) != 0 || root)
		TEST_FAIL("line %d: status %d, '%s', want '%s'", line, (int)status, thaw_fail_text(), words);
	thaw_yaml_free(root);
	free(exact);
}

static void check_node(int line, const struct thaw_yaml *node, const char *text, int at_line, int at_column)
{
	if (!node || node->kind != THAW_YAML_SCALAR || strcmp(node->text, text) != 0 || node->place.line != at_line ||
	    node->place.column != at_column)
		TEST_FAIL("line %d: '%s' at %d:%d, want '%s' at %d:%d", line, node && node->text ? node->text : "(none)",
		          node ? node->place.line : 0, node ? node->place.column : 0, text, at_line, at_column);
}
#define CHECK_NODE(node, text, line, column) check_node(__LINE__, node, text, line, column)

/* Lines and columns counted by hand; columns count characters, so the value behind 'ä' stands at 5. */
static void test_tree_and_places(void)
{
	static const char text[] = "a: 1 # comment\n"
							   "b:\n"
							   "  c: \"x\\ty\"\n"
							   "  d: [p, 'q', {r: s}]\n"
							   "\xC3\xA4: v\n"
							   "e:\n"
							   "f: []\n";
	struct thaw_yaml *root, *b, *d, *a_umlaut, *e;

	CHECK_OK(parse(text, strlen(text), &root));
	CHECK_INT(root->kind, THAW_YAML_MAP);
	CHECK_TEXT(root->first->key, "a");
	CHECK_NODE(root->first, "1", 1, 4);
	CHECK(root->first->plain);
	b = root->first->next;
	CHECK_TEXT(b->key, "b");
	CHECK_INT(b->kind, THAW_YAML_MAP);
	CHECK_INT(b->key_place.line, 2);
	CHECK_INT(b->key_place.column, 1);
	CHECK_NODE(b->first, "x\ty", 3, 6);
	CHECK(!b->first->plain);
	d = b->first->next;
	CHECK_INT(d->kind, THAW_YAML_LIST);
	CHECK_INT(d->key_place.column, 3);
	CHECK_INT(d->place.line, 4);
	CHECK_INT(d->place.column, 6);
	CHECK_NODE(d->first, "p", 4, 7);
	CHECK(!d->first->key);
	CHECK_NODE(d->first->next, "q", 4, 10);
	CHECK(!d->first->next->plain);
	CHECK_NODE(d->first->next->next->first, "s", 4, 19);
	CHECK(!d->first->next->next->next && !d->next);
	a_umlaut = b->next;
	CHECK_TEXT(a_umlaut->key, "\xC3\xA4");
	CHECK_NODE(a_umlaut, "v", 5, 4);
	e = a_umlaut->next;
	CHECK_NODE(e, "", 6, 3);
	CHECK(thaw_yaml_is_null(e));
	CHECK_INT(e->next->kind, THAW_YAML_LIST);
	CHECK(!e->next->first && !e->next->next);
	CHECK_TEXT(e->place.source, "f.yaml");
	thaw_yaml_free(root);
}

static void test_what_else_is_let_in(void)
{
	static const char *const texts[] = {
		"--- \na: 1\n...\n",
		"\xEF\xBB\xBFx: 1\ny: 2\n",
		"a: 1\r\nb: 2\r\n",
		"{a: 1, b: 2}",
		"a",
		"[]",
		"a: |\n  x\n  y\n",
		"? a\n: 1\n",
		"a: '!not a tag'\n",
		"a: x!y\nb: x&y\nc: x*y\n",
		/* 16 levels: 15 lists in the map */
		"a: [[[[[[[[[[[[[[[]]]]]]]]]]]]]]]",
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct thaw_yaml *root = NULL;

		if (parse(texts[i], strlen(texts[i]), &root))
			TEST_FAIL("text %zu: %s", i, thaw_fail_text());
		thaw_yaml_free(root);
	}
}

static void test_constructs_refused(void)
{
	CHECK_REFUSED("", "f.yaml:1:1: empty");
	CHECK_REFUSED("# nothing\n", "f.yaml:2:1: empty");
	CHECK_REFUSED("a: &x 1\n", "f.yaml:1:4: an anchor ('&') is not allowed");
	CHECK_REFUSED("a: 1\nb: &x [1]\n", "f.yaml:2:4: an anchor ('&') is not allowed");
	CHECK_REFUSED("&x {a: 1}", "f.yaml:1:1: an anchor ('&') is not allowed");
	CHECK_REFUSED("a: *x\n", "f.yaml:1:4: an alias ('*') is not allowed");
	CHECK_REFUSED("*x : 1\n", "f.yaml:1:1: an alias ('*') is not allowed");
	CHECK_REFUSED("a: !!int 1\n", "f.yaml:1:4: a tag ('!') is not allowed");
	CHECK_REFUSED("a: ! 1\n", "f.yaml:1:4: a tag ('!') is not allowed");
	CHECK_REFUSED("\xC3\xA4\xC3\xA4: x\nb: ! 'y'\n", "f.yaml:2:4: a tag ('!') is not allowed");
	CHECK_REFUSED("a:\r\n  - \xE2\x82\xAC\r\n  - !\r\n", "f.yaml:3:5: a tag ('!') is not allowed");
	CHECK_REFUSED("a: !x [1]\n", "f.yaml:1:4: a tag ('!') is not allowed");
	CHECK_REFUSED("!!map {a: 1}\n", "f.yaml:1:1: a tag ('!') is not allowed");
	CHECK_REFUSED("%YAML 1.1\n---\na: 1\n", "f.yaml:1:1: a directive ('%') is not allowed");
	CHECK_REFUSED("%TAG ! tag:x,2000:\n---\na: 1\n", "f.yaml:1:1: a directive ('%') is not allowed");
	CHECK_REFUSED("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document is not allowed");
	CHECK_REFUSED("a: 1\n...\n---\nb: 2\n", "f.yaml:3:1: a second document is not allowed");
	CHECK_REFUSED("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: key 'a' stands here twice");
	CHECK_REFUSED("s: {a: 1, 'a': 2}\n", "f.yaml:1:11: key 'a' stands here twice");
	CHECK_REFUSED("[a]: 1\n", "f.yaml:1:1: a key is a word, not a list or map");
	CHECK_REFUSED("{{a: 1}: 2}\n", "f.yaml:1:2: a key is a word, not a list or map");
	CHECK_REFUSED("a: \"x\\0y\"\n", "f.yaml:1:4: a NUL character is not allowed");
	CHECK_REFUSED("\"x\\0y\": 1\n", "f.yaml:1:1: a NUL character is not allowed");
	CHECK_REFUSED("a: [1, 2\nb: 3\n",
	              "f.yaml:2:2: not YAML: did not find expected ',' or ']' while parsing a flow sequence");
	CHECK_REFUSED("a: 1\n b: 2\n", "f.yaml:2:3: not YAML: mapping values are not allowed in this context");
	CHECK_REFUSED(
		"a: 1\n\tb: 2\n",
		"f.yaml:2:1: not YAML: found a tab character that violates indentation while scanning a plain scalar");
}

static void test_bytes_refused(void)
{
	static const char nul[] = "a: 1\nb: x\0y\n", utf16[] = "\xFF\xFE"
														   "a\0:\0 \0"
														   "1\0";

	check_refused(__LINE__, nul, sizeof nul - 1, "f.yaml:2:5: not plain text: control characters are not allowed");
	check_refused(__LINE__, utf16, sizeof utf16 - 1, "f.yaml:1:1: not plain text: invalid leading UTF-8 octet");
	CHECK_REFUSED("a: \x1B[31m\n", "f.yaml:1:4: not plain text: control characters are not allowed");
	CHECK_REFUSED("\xC3\xA4: \xFF\n", "f.yaml:1:4: not plain text: invalid leading UTF-8 octet");
	CHECK_REFUSED("a: \xC3\n", "f.yaml:1:5: not plain text: invalid trailing UTF-8 octet");
	CHECK_REFUSED("a: \xC0\x80\n", "f.yaml:1:4: not plain text: invalid length of a UTF-8 sequence");
	CHECK_REFUSED("a: \xED\xA0\x80\n", "f.yaml:1:4: not plain text: invalid Unicode character");
	CHECK_REFUSED("a: \xE2\x82", "f.yaml:1:4: not plain text: incomplete UTF-8 octet sequence");
}

/* Every one of these took a YAML library down or through seconds of work somewhere. */
static void test_hostile_sizes_refused(void)
{
	static char text[100001];
	static const char bomb[] = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
							   "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n";
	size_t used = 0;

	memset(text, '[', 100000);
	check_refused(__LINE__, text, 100000, "f.yaml:1:1: 100000 bytes of YAML, allowed are 65536");
	check_refused(__LINE__, text, 65536, "f.yaml:1:17: lists and maps deeper than 16 levels");
	memset(text, '{', 65536);
	check_refused(__LINE__, text, 65536, "f.yaml:1:17: lists and maps deeper than 16 levels");
	for (int i = 0; i < 30000; i++)
		memcpy(text + 2 * i, "- ", 2);
	check_refused(__LINE__, text, 60000, "f.yaml:1:33: lists and maps deeper than 16 levels");
	CHECK_REFUSED("a: [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", "f.yaml:1:19: lists and maps deeper than 16 levels");
	CHECK_REFUSED(bomb, "f.yaml:1:4: an anchor ('&') is not allowed");
	CHECK_REFUSED("a: &a [*a]\n", "f.yaml:1:4: an anchor ('&') is not allowed");
	/* Stream start, document start, list start and 19,997 items: the next one, item 19,998, is too many. */
	text[0] = '[';
	for (int i = 0; i < 30000; i++)
		memcpy(text + 1 + 2 * i, "1,", 2);
	check_refused(__LINE__, text, 60001, "f.yaml:1:39996: more than 20000 parts of YAML");
	for (int i = 0; used < 65000; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, "&x%d ", i);
	check_refused(__LINE__, text, used, "f.yaml:1:1: an anchor ('&') is not allowed");
	memset(text, ' ', 65536);
	check_refused(__LINE__, text, 65536, "f.yaml:2:1: empty");
}

static void test_words_of_places(void)
{
	struct thaw_place file = {"d/f.yaml", 7, 3}, set = {"optimizer.lr=1", 0, 0};

	CHECK_FAILS(thaw_place_fail(file, "batch", "%d", 5), THAW_BAD_JOB, "d/f.yaml:7:3: batch: 5");
	CHECK_FAILS(thaw_place_fail(file, NULL, "bad"), THAW_BAD_JOB, "d/f.yaml:7:3: bad");
	thaw_place_fail(set, "optimizer.lr", "bad");
	CHECK_TEXT(thaw_fail_text(), "--set optimizer.lr: bad");
	thaw_place_fail(set, "phases.lr", "bad");
	CHECK_TEXT(thaw_fail_text(), "--set optimizer.lr: phases.lr: bad");
	thaw_place_fail(set, NULL, "bad");
	CHECK_TEXT(thaw_fail_text(), "--set optimizer.lr: bad");
}

static void test_texts_shown(void)
{
	char longer[101] = "";

	CHECK(thaw_is_printable("data/\xC3\xA4 \xF0\x9F\x90\x9D.h5"));
	CHECK(thaw_is_printable(""));
	CHECK(!thaw_is_printable("a\tb"));
	CHECK(!thaw_is_printable("a\x7F"));
	CHECK(!thaw_is_printable("\xC2\x85"));     /* next line */
	CHECK(!thaw_is_printable("\xE2\x80\xA8")); /* line separator */
	CHECK(!thaw_is_printable("\xEF\xBB\xBF")); /* byte order mark */
	CHECK(!thaw_is_printable("\xEF\xBF\xBF")); /* U+FFFF */
	CHECK(!thaw_is_printable("\x80"));
	CHECK(!thaw_is_printable("\xC3"));
	CHECK(!thaw_is_printable("\xE0\x80\xAF"));     /* '/' too long */
	CHECK(!thaw_is_printable("\xED\xA0\x80"));     /* half a surrogate pair */
	CHECK(!thaw_is_printable("\xF4\x90\x80\x80")); /* beyond U+10FFFF */
	CHECK(!thaw_is_printable("\xF8\x88\x80\x80\x80"));

	CHECK_TEXT(thaw_show("plain \xC3\xA4").text, "plain \xC3\xA4");
	CHECK_TEXT(thaw_show("\x1B[31mred\xFF\n").text, "?[31mred??");
	memset(longer, 'x', 100);
	CHECK_TEXT(thaw_show(longer).text, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...");
	for (int i = 0; i < 25; i++)
		memcpy(longer + 4 * i, "\xF0\x9F\x90\x9D", 4);
	CHECK_INT(strlen(thaw_show(longer).text), 60 + 3); /* 15 whole characters */
	CHECK(thaw_is_printable(thaw_show(longer).text));
}

int main(void)
{
	test_tree_and_places();
	test_what_else_is_let_in();
	test_constructs_refused();
	test_bytes_refused();
	test_hostile_sizes_refused();
	test_words_of_places();
	test_texts_shown();
	return TEST_END();
}
