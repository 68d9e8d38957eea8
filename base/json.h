/*
 * JSON (RFC 8259), written value by value into a text.
 *
 *     thaw_json_open(&text, NULL, '{');
 *     thaw_json_text(&text, "name", "ants");
 *     thaw_json_open(&text, "shape", '[');
 *     thaw_json_integer(&text, NULL, 3);
 *     thaw_json_close(&text, ']');
 *     thaw_json_close(&text, '}');              {"name": "ants", "shape": [3]}
 *
 * Commas come by themselves. `key` is the value's name in an object, and NULL in an array and for the outermost value.
 * What a text holds that is not printable UTF-8 stands as \xHH, as in a log. Infinities and NaN, for which JSON has no
 * word, are null.
 */
#ifndef THAW_BASE_JSON_H
#define THAW_BASE_JSON_H

#include "base/text.h"

void thaw_json_open(struct thaw_text *json, const char *key, char bracket);  /* '{' or '[' */
void thaw_json_close(struct thaw_text *json, char bracket);                  /* '}' or ']' */
void thaw_json_text(struct thaw_text *json, const char *key, const char *value); /* NULL: null */
void thaw_json_integer(struct thaw_text *json, const char *key, int64_t value);
void thaw_json_number(struct thaw_text *json, const char *key, double value);    /* nine digits: a float's */
void thaw_json_fixed(struct thaw_text *json, const char *key, double value, int decimals);
void thaw_json_bool(struct thaw_text *json, const char *key, bool value);

#endif
