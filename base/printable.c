#include "base/printable.h"

#include <stdio.h>

#include <string.h>

/* The character at *text, which is moved on; -1 for a byte that begins none. */
static int32_t next_character(const char **text)
{
	static const int32_t lowest[] = {0, 0x80, 0x800, 0x10000};
	uint8_t lead = (uint8_t) * (*text)++;
	int more = lead < 0x80 ? 0 : lead < 0xC0 ? -1 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : lead < 0xF8 ? 3 : -1;
	int32_t c = more > 0 ? lead & (0x3F >> more) : lead;

	if (more < 0)
		return -1;
	for (int i = 0; i < more; i++) {
		if (((uint8_t)(*text)[i] & 0xC0) != 0x80)
			return -1;
		c = c << 6 | ((uint8_t)(*text)[i] & 0x3F);
	}
	if (c < lowest[more] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return -1;
	*text += more;
	return c;
}

static bool is_printable(int32_t c)
{
	return c >= 0x20 && !(c >= 0x7F && c <= 0x9F) && c != 0x2028 && c != 0x2029 && c != 0xFEFF &&
	       (c & 0xFFFE) != 0xFFFE;
}

bool thaw_is_printable(const char *text)
{
	while (*text)
		if (!is_printable(next_character(&text)))
			return false;
	return true;
}

struct thaw_shown thaw_show(const char *text)
{
	struct thaw_shown shown = {""};
	size_t used = 0;

	while (*text && used + 4 + sizeof "..." <= sizeof shown.text) { /* a character has up to four bytes */
		const char *begin = text;

		if (is_printable(next_character(&text)))
			while (begin < text)
				shown.text[used++] = *begin++;
		else
			shown.text[used++] = '?';
	}
	if (*text)
		memcpy(shown.text + used, "...", sizeof "...");
	return shown;
}

void thaw_text_add_printable(struct thaw_text *text, const char *string)
{
	while (*string) {
		const char *begin = string;

		if (is_printable(next_character(&string)))
			thaw_text_add_bytes(text, begin, (size_t)(string - begin));
		else
			for (; begin < string; begin++)
				thaw_text_add(text, "\\x%02X", (unsigned)(unsigned char)*begin);
	}
}

int thaw_characters(const char *text)
{
	int count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xC0) != 0x80;
	return count;
}

const char *thaw_plural(int64_t count)
{
	return count == 1 ? "" : "s";
}

const char *thaw_shape_text(int rank, const int64_t *dims, char text_out[192])
{
	size_t length = 1;

	text_out[0] = '(';
	for (int i = 0; i < rank; i++)
		length += (size_t)snprintf(text_out + length, 192 - length, i ? ", %lld" : "%lld", (long long)dims[i]);
	snprintf(text_out + length, 192 - length, ")");
	return text_out;
}
