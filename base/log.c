#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

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

static void keep(const char *line)
{
	if (file) {
		fprintf(file, "%s\n", line);
		fflush(file);
	} else if (early.length < 65536) {
		thaw_text_add(&early, "%s\n", line);
	}
}

void thaw_log(const char *format, ...)
{
	struct thaw_text line = THAW_TEXT_EMPTY;
	va_list args;

	if (mute)
		return;
	va_start(args, format);
	thaw_text_add_list(&line, format, args);
	va_end(args);
	printf("%s\n", line.data);
	fflush(stdout);
	keep(line.data);
	thaw_text_release(&line);
}

/* "thaw: <kind><words>" on standard error and in the log file. */
static void tell(const char *kind, const char *format, va_list args)
{
	struct thaw_text line = THAW_TEXT_EMPTY;

	thaw_text_add(&line, "thaw: %s", kind);
	thaw_text_add_list(&line, format, args);
	fflush(stdout);
	fprintf(stderr, "%s\n", line.data);
	keep(line.data);
	thaw_text_release(&line);
}

void thaw_warn(const char *format, ...)
{
	va_list args;

	if (mute)
		return;
	va_start(args, format);
	tell("warning: ", format, args);
	va_end(args);
}

void thaw_log_failure(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell("", format, args);
	va_end(args);
}
