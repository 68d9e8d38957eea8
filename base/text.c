#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void thaw_text_init(struct thaw_text *text)
{
	*text = (struct thaw_text)THAW_TEXT_EMPTY;
}

void thaw_text_release(struct thaw_text *text)
{
	if (text->capacity > 0)
		free((char *)text->data);
	thaw_text_init(text);
}

/* Room for `more` bytes and the terminator behind what is there; where they begin, or NULL. */
static char *reserve(struct thaw_text *text, size_t more)
{
	size_t needed = text->length + more + 1;
	char *data = text->capacity ? (char *)text->data : NULL;

	if (text->out_of_memory)
		return NULL;
	if (needed > text->capacity) {
		size_t capacity = needed < 120 ? 120 : needed + needed / 2;

		data = realloc(data, capacity);
		if (!data) {
			text->out_of_memory = true;
			return NULL;
		}
		text->data = data;
		text->capacity = capacity;
		data[text->length] = '\0';
	}
	return data + text->length;
}

void thaw_text_add_bytes(struct thaw_text *text, const void *bytes, size_t length)
{
	char *end = reserve(text, length);

	if (!end)
		return;
	if (length > 0)
		memcpy(end, bytes, length);
	end[length] = '\0';
	text->length += length;
}

void thaw_text_add_list(struct thaw_text *text, const char *format, va_list args)
{
	va_list again;
	char *end;
	int length;

	va_copy(again, args);
	length = vsnprintf(NULL, 0, format, args);
	if (length >= 0 && (end = reserve(text, (size_t)length)) != NULL) {
		vsnprintf(end, (size_t)length + 1, format, again);
		text->length += (size_t)length;
	}
	va_end(again);
}

void thaw_text_add(struct thaw_text *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	thaw_text_add_list(text, format, args);
	va_end(args);
}

void thaw_text_add_json(struct thaw_text *text, const char *string)
{
	thaw_text_add_bytes(text, "\"", 1);
	for (const unsigned char *c = (const unsigned char *)string; *c; c++) {
		if (*c == '"' || *c == '\\')
			thaw_text_add(text, "\\%c", *c);
		else if (*c < 0x20 || *c == 0x7f)
			thaw_text_add(text, "\\u%04x", (unsigned)*c);
		else
			thaw_text_add_bytes(text, c, 1);
	}
	thaw_text_add_bytes(text, "\"", 1);
}

const char *thaw_count_text(int64_t count, char out[32])
{
	char digits[24];
	int length = snprintf(digits, sizeof digits, "%lld", (long long)count), at = 0;

	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
	return out;
}

thaw_status thaw_text_status(const struct thaw_text *text)
{
	return text->out_of_memory ? thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: %zu bytes of text", text->length)
	                           : THAW_OK;
}
