#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
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
	char line[1024];
	va_list args;

	if (mute)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	printf("%s\n", line);
	fflush(stdout);
	keep(line);
}

void thaw_warn(const char *format, ...)
{
	static const char mark[] = "thaw: warning: ";
	char line[1024];
	va_list args;

	if (mute)
		return;
	memcpy(line, mark, sizeof mark);
	va_start(args, format);
	vsnprintf(line + sizeof mark - 1, sizeof line - sizeof mark + 1, format, args);
	va_end(args);
	fflush(stdout);
	fprintf(stderr, "%s\n", line);
	keep(line);
}
