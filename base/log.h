/*
 * What a run says.
 *
 * Lines go to standard output and, once a run folder exists, to its log.txt as well. Ranks other than 0 are muted: they
 * speak only through their exit code and, when they fail, through main.c. Lines end without a newline in the call, and
 * may be of any length; what is not printable in them (names of files may hold anything) stands as \xHH. Errors of
 * writing them are ignored, so a full disk may cost lines of log.txt: what a run is worth stands in its checkpoints and
 * metrics, whose errors are told.
 */
#ifndef THAW_BASE_LOG_H
#define THAW_BASE_LOG_H

#include <stdbool.h>

#include "base/status.h"

/* A muted process prints neither lines nor warnings. */
void thaw_log_mute(bool muted);

/* From now on lines are appended to `path` too; lines said before are written there first. NULL closes it. */
thaw_status thaw_log_open(const char *path);

/* The log file's descriptor, for a thread that may not wait for this module; -1: there is none. */
int thaw_log_file(void);

void thaw_log(const char *format, ...) THAW_PRINTF(1, 2);

/* With true, what thaw_log() says goes to the log file alone: standard output is for something else. */
void thaw_log_hide(bool hides);

/* A line on standard output alone. */
void thaw_log_print(const char *format, ...) THAW_PRINTF(1, 2);

/* A line on standard error, which is a terminal, that stands until the next one, or any other line, takes its place;
 * cut to the terminal's width. "" takes it away. */
void thaw_log_live(const char *line);

/* Each line of a text on its own. */
void thaw_log_lines(const char *text);

/* "thaw: warning: ..." on standard error, and in the log file. */
void thaw_warn(const char *format, ...) THAW_PRINTF(1, 2);

/* "thaw: ..." on standard error, and in the log file: why a command ends. Only main.c calls it, on a muted rank too. */
void thaw_log_failure(const char *format, ...) THAW_PRINTF(1, 2);

#endif
