#include "base/json.h"

#include <math.h>

#include "base/printable.h"

/* What stands before a value. No value ends in an opening bracket: behind one comes the first of its kind. */
static void begin(struct thaw_text *json, const char *key)
{
	char last = json->length > 0 ? json->data[json->length - 1] : '[';

	if (last != '{' && last != '[')
		thaw_text_add(json, ", ");
	if (key) {
		thaw_text_add_json(json, key);
		thaw_text_add(json, ": ");
	}
}

void thaw_json_open(struct thaw_text *json, const char *key, char bracket)
{
	begin(json, key);
	thaw_text_add_bytes(json, &bracket, 1);
}

void thaw_json_close(struct thaw_text *json, char bracket)
{
	thaw_text_add_bytes(json, &bracket, 1);
}

void thaw_json_text(struct thaw_text *json, const char *key, const char *value)
{
	struct thaw_text printable = THAW_TEXT_EMPTY;

	begin(json, key);
	if (value) {
		thaw_text_add_printable(&printable, value);
		json->out_of_memory |= printable.out_of_memory;
		thaw_text_add_json(json, printable.data);
	} else {
		thaw_text_add(json, "null");
	}
	thaw_text_release(&printable);
}

void thaw_json_integer(struct thaw_text *json, const char *key, int64_t value)
{
	begin(json, key);
	thaw_text_add(json, "%lld", (long long)value);
}

void thaw_json_number(struct thaw_text *json, const char *key, double value)
{
	begin(json, key);
	if (isfinite(value))
		thaw_text_add(json, "%.9g", value);
	else
		thaw_text_add(json, "null");
}

void thaw_json_fixed(struct thaw_text *json, const char *key, double value, int decimals)
{
	begin(json, key);
	if (isfinite(value))
		thaw_text_add(json, "%.*f", decimals, value);
	else
		thaw_text_add(json, "null");
}

void thaw_json_bool(struct thaw_text *json, const char *key, bool value)
{
	begin(json, key);
	thaw_text_add(json, "%s", value ? "true" : "false");
}
