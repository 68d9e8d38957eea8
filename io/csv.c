#include "io/csv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/printable.h"

void thaw_csv_init(struct thaw_csv *csv, const char *path, char *bytes)
{
	*csv = (struct thaw_csv){.path = path, .next = bytes, .next_line = 1};
}

size_t thaw_csv_lines(const struct thaw_csv *csv)
{
	size_t lines = 0;

	for (const char *c = csv->next; (c = strchr(c, '\n')) != NULL; c++)
		lines++;
	return lines;
}

/* Moves what stands in quotes from *from to *to, without them; *from is then behind the closing one, or at the end. */
static void unquote(struct thaw_csv *csv, char **from, char **to)
{
	for ((*from)++; **from; *(*to)++ = *(*from)++) {
		csv->next_line += **from == '\n';
		if (**from == '"' && *++*from != '"')
			return;
	}
}

thaw_status thaw_csv_next(struct thaw_csv *csv, bool *more_out)
{
	char *from = csv->next;

	csv->count = 0;
	csv->line = csv->next_line;
	*more_out = false;
	for (;;) {
		char *to = from, *field = from, end;

		if (*from == '"')
			unquote(csv, &from, &to);
		else
			while (*from && !strchr(",\r\n", *from))
				*to++ = *from++;
		if (*from == '\r' && from[1] == '\n')
			from++;
		end = *from;
		if (!end)
			return THAW_OK;
		if (!strchr(",\n", end))
			return thaw_fail(THAW_FAILED,
			                 "'%s', line %lld: a field is followed by '%s', allowed are ',' and a line end", csv->path,
			                 (long long)csv->line, thaw_show(from).text);
		if (csv->count == THAW_CSV_FIELDS)
			return thaw_fail(THAW_FAILED, "'%s', line %lld has more than %d fields", csv->path, (long long)csv->line,
			                 THAW_CSV_FIELDS);
		*to = '\0';
		csv->fields[csv->count++] = field;
		from++;
		if (end == '\n')
			break;
	}
	csv->next = from;
	csv->next_line++;
	*more_out = true;
	return THAW_OK;
}

static thaw_status fail(const struct thaw_csv *csv, int i, const char *name, double low, double high)
{
	return thaw_fail(THAW_FAILED, "'%s', line %lld: %s is '%s', allowed are numbers from %.9g to %.9g", csv->path,
	                 (long long)csv->line, name, thaw_show(csv->fields[i]).text, low, high);
}

thaw_status thaw_csv_integer(const struct thaw_csv *csv, int i, const char *name, int64_t low, int64_t high,
                             int64_t *value_out)
{
	const char *field = csv->fields[i];
	char *end;
	long long value;

	errno = 0;
	value = strtoll(field, &end, 10);
	if (end == field || *end || errno || value < low || value > high)
		return fail(csv, i, name, (double)low, (double)high);
	*value_out = value;
	return THAW_OK;
}

thaw_status thaw_csv_number(const struct thaw_csv *csv, int i, const char *name, double low, double high,
                            double *value_out)
{
	const char *field = csv->fields[i];
	char *end;
	double value = strtod(field, &end);

	if (end == field || *end || !(value >= low && value <= high))
		return fail(csv, i, name, low, high);
	*value_out = value;
	return THAW_OK;
}

void thaw_csv_add(struct thaw_text *text, const char *field)
{
	if (!field[strcspn(field, ",\"\r\n")]) {
		thaw_text_add_bytes(text, field, strlen(field));
		return;
	}
	thaw_text_add_bytes(text, "\"", 1);
	for (; *field; field++) {
		if (*field == '"')
			thaw_text_add_bytes(text, "\"", 1);
		thaw_text_add_bytes(text, field, 1);
	}
	thaw_text_add_bytes(text, "\"", 1);
}
