#include "jobs/key.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/printable.h"
#include "jobs/job.h"

/* --- keys -------------------------------------------------------------------------------------------------------- */

static void add_bounds(const struct thaw_key *key, struct thaw_text *text)
{
	thaw_text_add(text, key->above_low ? "above %.15g, up to %.15g" : "%.15g to %.15g", key->low, key->high);
	if (key->unit)
		thaw_text_add(text, " %s", key->unit);
}

thaw_status thaw_key_fail(const struct thaw_key *key, const struct thaw_yaml *node)
{
	struct thaw_text allowed = THAW_TEXT_EMPTY;
	char what[80] = "no value";
	thaw_status status;

	if (node->kind != THAW_YAML_SCALAR)
		strcpy(what, node->kind == THAW_YAML_MAP ? "a map" : node->first ? "a list" : "an empty list");
	else if (!thaw_yaml_is_null(node))
		snprintf(what, sizeof what, node->plain ? "'%s'" : "'\"%s\"'", thaw_show(node->text).text);
	key->type->describe(key, &allowed);
	status = thaw_place_fail(node->place, key->path, "%s, allowed are %s", what, allowed.data);
	thaw_text_release(&allowed);
	return status;
}

thaw_status thaw_key_read(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	memset((char *)record + key->offset, 0, key->size_bytes);
	return key->type->read(key, node, record);
}

thaw_status thaw_key_read_text(const struct thaw_key *key, struct thaw_place place, const char *text, void *record)
{
	struct thaw_yaml scalar = {.kind = THAW_YAML_SCALAR, .place = place, .text = text, .plain = true}, *root;
	thaw_status status;

	if (!key->type->flow)
		return thaw_key_read(key, &scalar, record);
	status = thaw_yaml_parse(place, text, strlen(text), &root);
	if (status)
		return status;
	status = thaw_key_read(key, root, record);
	thaw_yaml_free(root);
	return status;
}

static thaw_status fail_bounds(const struct thaw_key *key, const struct thaw_yaml *node)
{
	struct thaw_text allowed = THAW_TEXT_EMPTY;
	thaw_status status;

	add_bounds(key, &allowed);
	status = thaw_place_fail(node->place, key->path, "%s, allowed are %s", thaw_show(node->text).text, allowed.data);
	thaw_text_release(&allowed);
	return status;
}

/* --- numbers and truth values ------------------------------------------------------------------------------------ */

static void *field(const struct thaw_key *key, void *record)
{
	return (char *)record + key->offset;
}

static const void *const_field(const struct thaw_key *key, const void *record)
{
	return (const char *)record + key->offset;
}

/* [+-] digits without needless zeros [. digits] [e [+-] digits]; the parts after the digits only if `fraction`. */
static bool is_number(const struct thaw_yaml *node, bool fraction)
{
	const char *c = node->text;
	size_t digits;

	if (node->kind != THAW_YAML_SCALAR || !node->plain)
		return false;
	c += *c == '+' || *c == '-';
	digits = strspn(c, "0123456789");
	if (digits > 1 && *c == '0')
		return false;
	c += digits;
	if (fraction && *c == '.') {
		size_t more = strspn(++c, "0123456789");

		digits += more;
		c += more;
	}
	if (fraction && digits > 0 && (*c == 'e' || *c == 'E')) {
		c++;
		c += *c == '+' || *c == '-';
		digits = strspn(c, "0123456789");
		c += digits;
	}
	return digits > 0 && !*c;
}

static bool is_within(const struct thaw_key *key, double value)
{
	return value >= key->low && value <= key->high && !(key->above_low && value == key->low);
}

static thaw_status read_int(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	long long value;

	if (!is_number(node, false))
		return thaw_key_fail(key, node);
	value = strtoll(node->text, NULL, 10); /* the far end when it does not fit */
	if (!is_within(key, (double)value))
		return fail_bounds(key, node);
	*(int *)field(key, record) = (int)value;
	return THAW_OK;
}

static void print_int(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	thaw_text_add(text, "%d", *(const int *)const_field(key, record));
}

static void describe_int(const struct thaw_key *key, struct thaw_text *text)
{
	thaw_text_add(text, "whole numbers, ");
	add_bounds(key, text);
}

static thaw_status read_seed(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	uint64_t value;

	if (!is_number(node, false) || node->text[0] == '-')
		return thaw_key_fail(key, node);
	errno = 0;
	value = strtoull(node->text, NULL, 10);
	if (errno)
		return thaw_key_fail(key, node);
	*(uint64_t *)field(key, record) = value;
	return THAW_OK;
}

static void print_seed(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	thaw_text_add(text, "%" PRIu64, *(const uint64_t *)const_field(key, record));
}

static void describe_seed(const struct thaw_key *key, struct thaw_text *text)
{
	(void)key;
	thaw_text_add(text, "whole numbers, 0 to %" PRIu64, UINT64_MAX);
}

static thaw_status number_of(const struct thaw_key *key, const struct thaw_yaml *node, double *value_out)
{
	double value;

	if (!is_number(node, true))
		return thaw_key_fail(key, node);
	errno = 0;
	value = strtod(node->text, NULL);
	if (errno && value == 0) /* not 0, but too small for a double */
		return thaw_key_fail(key, node);
	if (!is_within(key, value))
		return fail_bounds(key, node);
	*value_out = value + 0.0; /* -0 becomes 0 */
	return THAW_OK;
}

/* The fewest digits, but six at least, that read back as the same number. */
static void add_number(double value, struct thaw_text *text)
{
	char digits[32];
	int precision = 6;

	do
		snprintf(digits, sizeof digits, "%.*g", precision, value);
	while (strtod(digits, NULL) != value && precision++ < 17);
	thaw_text_add(text, "%s", digits);
}

static thaw_status read_number(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	return number_of(key, node, field(key, record));
}

static void print_number(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	add_number(*(const double *)const_field(key, record), text);
}

static void describe_number(const struct thaw_key *key, struct thaw_text *text)
{
	thaw_text_add(text, "numbers, ");
	add_bounds(key, text);
}

static thaw_status read_range(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	const struct thaw_yaml *low = node->first, *high = low ? low->next : NULL;
	double *range = field(key, record);
	thaw_status status;

	if (node->kind != THAW_YAML_LIST)
		return thaw_key_fail(key, node);
	if (!high || high->next)
		return thaw_place_fail(node->place, key->path, "wanted are two numbers, [low, high]");
	status = number_of(key, low, &range[0]);
	if (!status)
		status = number_of(key, high, &range[1]);
	if (!status && !(range[0] <= range[1]))
		status = thaw_place_fail(node->place, key->path, "low end %g lies above high end %g", range[0], range[1]);
	return status;
}

static void print_range(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	const double *range = const_field(key, record);

	thaw_text_add(text, "[");
	add_number(range[0], text);
	thaw_text_add(text, ", ");
	add_number(range[1], text);
	thaw_text_add(text, "]");
}

static void describe_range(const struct thaw_key *key, struct thaw_text *text)
{
	thaw_text_add(text, "[low, high], ");
	add_bounds(key, text);
}

static thaw_status read_bool(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	bool is_true = node->kind == THAW_YAML_SCALAR && node->plain && strcmp(node->text, "true") == 0;
	bool is_false = node->kind == THAW_YAML_SCALAR && node->plain && strcmp(node->text, "false") == 0;

	if (!is_true && !is_false)
		return thaw_key_fail(key, node);
	*(bool *)field(key, record) = is_true;
	return THAW_OK;
}

static void print_bool(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	thaw_text_add(text, *(const bool *)const_field(key, record) ? "true" : "false");
}

static void describe_bool(const struct thaw_key *key, struct thaw_text *text)
{
	(void)key;
	thaw_text_add(text, "true, false");
}

/* --- texts ------------------------------------------------------------------------------------------------------- */

static bool is_word(const char *text)
{
	return text[0] != '.' && !text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")];
}

static thaw_status copy_text(const struct thaw_key *key, const struct thaw_yaml *node, bool (*allowed)(const char *),
                             char *field_out, size_t size_bytes)
{
	size_t length = node->kind == THAW_YAML_SCALAR ? strlen(node->text) : 0;

	if (length == 0 || length >= size_bytes || thaw_yaml_is_null(node) || !allowed(node->text))
		return thaw_key_fail(key, node);
	memcpy(field_out, node->text, length);
	return THAW_OK;
}

/* In quotes unless any reader of YAML takes the bare text for text. */
static void add_text(const char *value, struct thaw_text *text)
{
	static const char *const other[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
	bool bare = (isalpha((unsigned char)value[0]) || value[0] == '/') &&
	            !value[strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/*-")];

	for (size_t i = 0; i < sizeof other / sizeof *other; i++)
		bare = bare && strcasecmp(value, other[i]) != 0;
	if (bare)
		thaw_text_add(text, "%s", value);
	else
		thaw_text_add_json(text, value);
}

static thaw_status read_choice(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	for (const char *const *choice = key->choices; node->kind == THAW_YAML_SCALAR && *choice; choice++)
		if (strcmp(node->text, *choice) == 0) {
			assert(strlen(*choice) < key->size_bytes);
			memcpy(field(key, record), *choice, strlen(*choice));
			return THAW_OK;
		}
	return thaw_key_fail(key, node);
}

static void describe_choice(const struct thaw_key *key, struct thaw_text *text)
{
	for (const char *const *choice = key->choices; *choice; choice++)
		thaw_text_add(text, "%s%s", choice == key->choices ? "" : ", ", *choice);
}

static thaw_status read_word(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	return copy_text(key, node, is_word, field(key, record), key->size_bytes);
}

static void describe_word(const struct thaw_key *key, struct thaw_text *text)
{
	thaw_text_add(text, "up to %zu of A-Za-z0-9._- (no dot first)", key->size_bytes - 1);
}

static thaw_status read_text(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	return copy_text(key, node, thaw_is_printable, field(key, record), key->size_bytes);
}

static void print_text(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	add_text(const_field(key, record), text);
}

static void describe_text(const struct thaw_key *key, struct thaw_text *text)
{
	thaw_text_add(text, "1 to %zu bytes of text", key->size_bytes - 1);
}

static thaw_status read_parts(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	const struct thaw_yaml *part = node->kind == THAW_YAML_LIST ? node->first : node;
	struct thaw_patterns *parts = field(key, record);

	for (; part; part = part == node ? NULL : part->next) {
		thaw_status status;

		if (parts->count == THAW_PATTERNS)
			return thaw_place_fail(part->place, key->path, "more than %d parts", THAW_PATTERNS);
		status = copy_text(key, part, is_word, parts->text[parts->count], sizeof parts->text[0]);
		if (status)
			return status;
		parts->count++;
	}
	for (int i = 0; parts->count > 1 && i < parts->count; i++)
		if (strcmp(parts->text[i], "all") == 0)
			return thaw_place_fail(node->place, key->path, "'all' beside other parts, allowed is it alone");
	return parts->count > 0 ? THAW_OK : thaw_key_fail(key, node);
}

static void print_parts(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	const struct thaw_patterns *parts = const_field(key, record);
	bool all = strcmp(parts->text[0], "all") == 0;

	for (int i = 0; i < parts->count; i++) {
		thaw_text_add(text, all ? "" : i == 0 ? "[" : ", ");
		add_text(parts->text[i], text);
	}
	thaw_text_add(text, all ? "" : "]");
}

static void describe_parts(const struct thaw_key *key, struct thaw_text *text)
{
	(void)key;
	thaw_text_add(text, "all, fc, or lists such as [layer4, fc]");
}

static thaw_status read_epochs(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	struct thaw_epochs *epochs = field(key, record);

	if (node->kind != THAW_YAML_LIST || !node->first)
		return thaw_key_fail(key, node);
	for (const struct thaw_yaml *item = node->first; item; item = item->next) {
		double value = 0;
		thaw_status status;

		if (epochs->count == THAW_PATTERNS)
			return thaw_place_fail(item->place, key->path, "more than %d epochs", THAW_PATTERNS);
		if (!is_number(item, false))
			return thaw_key_fail(key, item);
		status = number_of(key, item, &value);
		if (status)
			return status;
		if (epochs->count > 0 && (int)value <= epochs->epoch[epochs->count - 1])
			return thaw_place_fail(item->place, key->path, "%d after %d, wanted are rising epochs", (int)value,
			                       epochs->epoch[epochs->count - 1]);
		epochs->epoch[epochs->count++] = (int)value;
	}
	return THAW_OK;
}

static void print_epochs(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	const struct thaw_epochs *epochs = const_field(key, record);

	for (int i = 0; i < epochs->count; i++)
		thaw_text_add(text, "%s%d", i ? ", " : "[", epochs->epoch[i]);
	thaw_text_add(text, "]");
}

static void describe_epochs(const struct thaw_key *key, struct thaw_text *text)
{
	thaw_text_add(text, "lists of rising epochs, ");
	add_bounds(key, text);
}

static thaw_status read_scales(const struct thaw_key *key, const struct thaw_yaml *node, void *record)
{
	struct thaw_scales *scales = field(key, record);

	if (node->kind != THAW_YAML_MAP)
		return thaw_key_fail(key, node);
	for (const struct thaw_yaml *item = node->first; item; item = item->next) {
		const struct thaw_yaml part = {.kind = THAW_YAML_SCALAR, .place = item->key_place, .text = item->key};
		thaw_status status;

		if (scales->count == THAW_PATTERNS)
			return thaw_place_fail(item->key_place, key->path, "more than %d parts", THAW_PATTERNS);
		status = copy_text(key, &part, is_word, scales->of[scales->count].part, sizeof scales->of[0].part);
		if (!status)
			status = number_of(key, item, &scales->of[scales->count].factor);
		if (status)
			return status;
		scales->count++;
	}
	return THAW_OK;
}

static void print_scales(const struct thaw_key *key, const void *record, struct thaw_text *text)
{
	const struct thaw_scales *scales = const_field(key, record);

	thaw_text_add(text, "{");
	for (int i = 0; i < scales->count; i++) {
		thaw_text_add(text, i ? ", " : "");
		add_text(scales->of[i].part, text);
		thaw_text_add(text, ": ");
		add_number(scales->of[i].factor, text);
	}
	thaw_text_add(text, "}");
}

static void describe_scales(const struct thaw_key *key, struct thaw_text *text)
{
	thaw_text_add(text, "maps of parts to factors, ");
	add_bounds(key, text);
}

/* --- types ------------------------------------------------------------------------------------------------------- */

const struct thaw_type thaw_type_int = {read_int, print_int, describe_int, false, false};
const struct thaw_type thaw_type_seed = {read_seed, print_seed, describe_seed, false, false};
const struct thaw_type thaw_type_number = {read_number, print_number, describe_number, false, false};
const struct thaw_type thaw_type_range = {read_range, print_range, describe_range, true, false};
const struct thaw_type thaw_type_bool = {read_bool, print_bool, describe_bool, false, false};
const struct thaw_type thaw_type_choice = {read_choice, print_text, describe_choice, false, false};
const struct thaw_type thaw_type_word = {read_word, print_text, describe_word, false, false};
const struct thaw_type thaw_type_text = {read_text, print_text, describe_text, false, false};
const struct thaw_type thaw_type_parts = {read_parts, print_parts, describe_parts, true, false};
const struct thaw_type thaw_type_epochs = {read_epochs, print_epochs, describe_epochs, true, false};
const struct thaw_type thaw_type_scales = {read_scales, print_scales, describe_scales, true, false};
