/* JSON as RFC 8259 has it, and times on the line of a meter, by hand. */
#include "base/json.h"
#include "base/meter.h"
#include "tests/test.h"

static void test_json(void)
{
	struct thaw_text json = THAW_TEXT_EMPTY;

	thaw_json_open(&json, NULL, '{');
	thaw_json_text(&json, "a\"b", "c{");
	thaw_json_integer(&json, "least", INT64_MIN);
	thaw_json_open(&json, "list", '[');
	thaw_json_open(&json, NULL, '[');
	thaw_json_close(&json, ']');
	thaw_json_text(&json, NULL, "[");
	thaw_json_open(&json, NULL, '{');
	thaw_json_bool(&json, "yes", true);
	thaw_json_bool(&json, "no", false);
	thaw_json_close(&json, '}');
	thaw_json_close(&json, ']');
	thaw_json_text(&json, "none", NULL);
	thaw_json_close(&json, '}');
	CHECK_OK(thaw_text_status(&json));
	CHECK_TEXT(json.data, "{\"a\\\"b\": \"c{\", \"least\": -9223372036854775808, \"list\": [[], \"[\", "
	                      "{\"yes\": true, \"no\": false}], \"none\": null}");
	thaw_text_release(&json);
}

/* A backslash that stands for an unprintable byte is one of the text, and so doubled. */
static void test_texts(void)
{
	struct thaw_text json = THAW_TEXT_EMPTY;

	thaw_json_text(&json, NULL, "\xc3\xb6 \xff\n\\");
	CHECK_TEXT(json.data, "\"\xc3\xb6 \\\\xFF\\\\x0A\\\\\"");
	thaw_text_release(&json);
}

static void test_numbers(void)
{
	struct thaw_text json = THAW_TEXT_EMPTY;

	thaw_json_open(&json, NULL, '[');
	thaw_json_number(&json, NULL, 0.1f);
	thaw_json_number(&json, NULL, 1e300);
	thaw_json_number(&json, NULL, NAN);
	thaw_json_number(&json, NULL, -INFINITY);
	thaw_json_fixed(&json, NULL, 1.25, 1);
	thaw_json_fixed(&json, NULL, 1795441451.8344, 3);
	thaw_json_fixed(&json, NULL, NAN, 3);
	thaw_json_close(&json, ']');
	CHECK_TEXT(json.data, "[0.100000001, 1e+300, null, null, 1.2, 1795441451.834, null]");
	thaw_text_release(&json);
}

static void test_times(void)
{
	char out[24];

	CHECK_TEXT(thaw_meter_time(0, out), "0:00");
	CHECK_TEXT(thaw_meter_time(7.4, out), "0:07");
	CHECK_TEXT(thaw_meter_time(59.5, out), "1:00");
	CHECK_TEXT(thaw_meter_time(3599.4, out), "59:59");
	CHECK_TEXT(thaw_meter_time(3599.5, out), "1:00:00");
	CHECK_TEXT(thaw_meter_time(3723, out), "1:02:03");
	CHECK_TEXT(thaw_meter_time(360000, out), "100:00:00");
	CHECK_TEXT(thaw_meter_time(NAN, out), "?");
	CHECK_TEXT(thaw_meter_time(INFINITY, out), "?");
	CHECK_TEXT(thaw_meter_time(-1, out), "?");
}

int main(void)
{
	test_json();
	test_texts();
	test_numbers();
	test_times();
	return TEST_END();
}
