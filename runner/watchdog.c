#define _POSIX_C_SOURCE 200809L
#include "runner/watchdog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum { SAMPLES = 31, FACTOR = 20 };
static const double period = 0.05; /* seconds from one look to the next */
static const double grace = 0.4;   /* seconds, of a rank that waits for nobody: those that wait for it speak first */

static const char *const names[THAW_SECTIONS] = {"start", "step", "validation batch", "checkpoint of step",
                                                 "the end, step"};

/* What the thread reads, written by the rank's main thread. */
static atomic_int at;
static atomic_llong number, beats; /* beats: how often the rank got on */
static _Atomic(const char *) waits;
static _Atomic(double) limit; /* seconds, for what the rank is at */

/* The main thread's own. */
static double begun, least;
static double took[THAW_SECTIONS][SAMPLES]; /* seconds, the last ones */
static int samples[THAW_SECTIONS];

static int rank_here;
static atomic_int log_file = -1;
static bool running;

static _Noreturn void end(double seconds)
{
	const char *what = atomic_load(&waits);
	char line[240];
	int length = snprintf(line, sizeof line, "thaw: rank %d: no progress for %.0f s at %s %lld%s%s: the run ends\n",
	                      rank_here, seconds, names[atomic_load(&at)], (long long)atomic_load(&number),
	                      what ? ", waiting for " : "", what ? what : "");

	(void)!write(STDERR_FILENO, line, (size_t)length);
	(void)!write(log_file, line, (size_t)length);
	_exit(1);
}

/* Adds up the time between two looks, but never much more than it should be: what is beyond, all of us stood still. */
static _Noreturn void *watch(void *unused)
{
	const struct timespec nap = {0, (long)(period * 1e9)};
	double last = thaw_clock_seconds(), still = 0;
	long long seen = 0;

	(void)unused;
	for (;;) {
		double now, passed;

		nanosleep(&nap, NULL);
		now = thaw_clock_seconds();
		passed = now - last;
		last = now;
		if (atomic_load(&beats) != seen) {
			seen = atomic_load(&beats);
			still = 0;
		}
		still += passed < 4 * period ? passed : 4 * period;
		if (still > atomic_load(&limit) + (atomic_load(&waits) ? 0 : grace))
			end(still);
	}
}

thaw_status thaw_watchdog_start(int rank, int seconds)
{
	pthread_t thread;
	int error;

	if (seconds == 0)
		return THAW_OK;
	rank_here = rank;
	least = seconds;
	begun = thaw_clock_seconds();
	atomic_store(&limit, least);
	error = pthread_create(&thread, NULL, watch, NULL);
	if (error)
		return thaw_fail(THAW_FAILED, "cannot start a thread: %s", strerror(error));
	pthread_detach(thread);
	running = true;
	return THAW_OK;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(enum thaw_section section)
{
	int count = samples[section] < SAMPLES ? samples[section] : SAMPLES;
	double sorted[SAMPLES];

	if (count == 0)
		return 0;
	memcpy(sorted, took[section], (size_t)count * sizeof *sorted);
	qsort(sorted, (size_t)count, sizeof *sorted, compare);
	return sorted[count / 2];
}

void thaw_watchdog_at(enum thaw_section section, int64_t number_now)
{
	enum thaw_section before = (enum thaw_section)atomic_load(&at);
	double now;

	if (!running)
		return;
	now = thaw_clock_seconds();
	took[before][samples[before]++ % SAMPLES] = now - begun;
	begun = now;
	log_file = thaw_log_file();
	atomic_store(&at, section);
	if (number_now >= 0)
		atomic_store(&number, number_now);
	atomic_store(&limit, least > FACTOR * median(section) ? least : FACTOR * median(section));
	atomic_fetch_add(&beats, 1);
}

void thaw_watchdog_waits(const char *what)
{
	atomic_store(&waits, what);
}
