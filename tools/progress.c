#define _POSIX_C_SOURCE 200809L
#include "tools/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { BAR = 30 };

void thaw_progress_init(struct thaw_progress *progress, int64_t total)
{
	*progress =
		(struct thaw_progress){.total = total, .begun = thaw_clock_seconds(), .terminal = isatty(STDERR_FILENO)};
}

void thaw_progress_step(struct thaw_progress *progress)
{
	static const char full[] = "##############################", empty[] = "..............................";
	double now, rate;
	int filled;

	progress->done++;
	if (!progress->terminal)
		return;
	now = thaw_clock_seconds();
	if (now - progress->shown < 0.1)
		return;
	progress->shown = now;
	rate = (double)progress->done / (now - progress->begun);
	filled = (int)(BAR * progress->done / progress->total);
	fprintf(stderr, "\r%.*s%.*s %lld/%lld  %.0f pictures/s  %.0f s left\033[K", filled, full, BAR - filled, empty,
	        (long long)progress->done, (long long)progress->total, rate,
	        (double)(progress->total - progress->done) / rate);
	fflush(stderr);
}

void thaw_progress_clear(struct thaw_progress *progress)
{
	if (progress->terminal && progress->shown > 0)
		fputs("\r\033[K", stderr);
	progress->shown = 0;
}
