#define _POSIX_C_SOURCE 200809L
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/printable.h"

static bool mute, hidden;
static bool live; /* a line stands on the terminal that the next one takes the place of */
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

void thaw_log_live(const char *line)
{
	struct winsize size = {0};

	if (mute || (!*line && !live))
		return;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
		size.ws_col = 80;
	fprintf(stderr, "\r%.*s\033[K", size.ws_col - 1, line); /* one that is broken in two could not be written over */
	fflush(stderr);
	live = *line;
}

/* One line to `stream`, unless that is NULL, and to the log file, if it is to be kept. */
static void tell(FILE *stream, bool kept, const char *kind, const char *format, va_list args)
{
	struct thaw_text words = THAW_TEXT_EMPTY, line = THAW_TEXT_EMPTY;

	thaw_text_add_list(&words, format, args);
	thaw_text_add(&line, "%s", kind);
	thaw_text_add_printable(&line, words.data);
	if (stream) {
		fflush(stdout);
		thaw_log_live("");
		fprintf(stream, "%s\n", line.data);
		fflush(stream);
	}
	if (kept)
		keep(line.data);
	thaw_text_release(&words);
	thaw_text_release(&line);
}

void thaw_log_hide(bool hides)
{
	hidden = hides;
}

void thaw_log(const char *format, ...)
{
	va_list args;

	if (mute)
		return;
	va_start(args, format);
	tell(hidden ? NULL : stdout, true, "", format, args);
	va_end(args);
}

void thaw_log_print(const char *format, ...)
{
	va_list args;

	if (mute)
		return;
	va_start(args, format);
	tell(stdout, false, "", format, args);
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
	tell(stderr, true, "thaw: warning: ", format, args);
	va_end(args);
}

void thaw_log_failure(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(stderr, true, "thaw: ", format, args);
	va_end(args);
}
