#include "tools/printable.h"

#include <string.h>

#include "jobs/yaml.h"

/* Bytes of the printable character that `string` begins with; 0 if it begins with something else. */
static size_t printable_length(const char *string)
{
	char character[5] = "";

	for (size_t i = 0; i < 4 && string[i]; i++) {
		character[i] = string[i];
		if (thaw_is_printable(character))
			return i + 1;
	}
	return 0;
}

void thaw_text_add_printable(struct thaw_text *text, const char *string)
{
	while (*string) {
		size_t length = printable_length(string);

		if (length > 0)
			thaw_text_add_bytes(text, string, length);
		else
			thaw_text_add(text, "\\x%02X", (unsigned)(unsigned char)*string);
		string += length > 0 ? length : 1;
	}
}

const char *thaw_plural(int64_t count)
{
	return count == 1 ? "" : "s";
}
