#define _POSIX_C_SOURCE 200809L
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/printable.h"

static bool mute;
static FILE *file;
static struct thaw_text early = THAW_TEXT_EMPTY; /* said before there was a file */

void thaw_log_mute(bool muted)
{
	mute = muted;
}

thaw_status thaw_log_open(const char *path)
{
	if (file)
		fclose(file);
	file = NULL;
	if (!path || mute) {
		thaw_text_release(&early);
		return THAW_OK;
	}
	file = fopen(path, "ae");
	if (!file)
		return thaw_fail(THAW_FAILED, "cannot open '%s': %s", path, strerror(errno));
	fputs(early.data, file);
	fflush(file);
	thaw_text_release(&early);
	return THAW_OK;
}

int thaw_log_file(void)
{
	return file ? fileno(file) : -1;
}

static void keep(const char *line)
{
	if (file) {
		fprintf(file, "%s\n", line);
		fflush(file);
	} else if (early.length < 65536) {
		thaw_text_add(&early, "%s\n", line);
	}
}

/* One line to `stream` and to the log file. */
static void tell(FILE *stream, const char *kind, const char *format, va_list args)
{
	struct thaw_text words = THAW_TEXT_EMPTY, line = THAW_TEXT_EMPTY;

	thaw_text_add_list(&words, format, args);
	thaw_text_add(&line, "%s", kind);
	thaw_text_add_printable(&line, words.data);
	fflush(stdout);
	fprintf(stream, "%s\n", line.data);
	fflush(stream);
	keep(line.data);
	thaw_text_release(&words);
	thaw_text_release(&line);
}

void thaw_log(const char *format, ...)
{
	va_list args;

	if (mute)
		return;
	va_start(args, format);
	tell(stdout, "", format, args);
	va_end(args);
}

void thaw_log_lines(const char *text)
{
	while (*text) {
		int length = (int)strcspn(text, "\n");

		thaw_log("%.*s", length, text);
		text += length + (text[length] == '\n');
	}
}

void thaw_warn(const char *format, ...)
{
	va_list args;

	if (mute)
		return;
	va_start(args, format);
	tell(stderr, "thaw: warning: ", format, args);
	va_end(args);
}

void thaw_log_failure(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(stderr, "thaw: ", format, args);
	va_end(args);
}
