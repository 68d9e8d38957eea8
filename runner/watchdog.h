/*
 * The watchdog: a run that stands still ends, with words, instead of holding its processors for ever.
 *
 * Each rank tells a thread of its own what it is at and, now and then, that it got on. When it has not got on for
 * longer than the limit, the thread says where the rank stands and what it waits for, and ends the process with exit
 * code 1; the launcher then takes the other ranks down. Ranks that wait for another are a little earlier than that one,
 * so that they have spoken. The limit is the job's `timeout` or, where that is more, twenty times the median of what
 * this kind of work took before. Time in which the whole process was stopped (Ctrl-Z, a laptop that sleeps, Slurm's
 * suspend) does not count. The thread only reads a clock, writes and exits: it cannot be stuck with the rest.
 */
#ifndef THAW_RUNNER_WATCHDOG_H
#define THAW_RUNNER_WATCHDOG_H

#include <stdint.h>

#include "base/status.h"

enum thaw_section { THAW_AT_START, THAW_AT_STEP, THAW_AT_VALIDATION, THAW_AT_CHECKPOINT, THAW_AT_END, THAW_SECTIONS };

/* Starts the thread, which ends with the process; `seconds` 0: does nothing, as do all calls then. */
thaw_status thaw_watchdog_start(int rank, int seconds);

/* The rank got on: from now on it is at this kind of work, `number` tells where ("step 12"); -1: where it was. */
void thaw_watchdog_at(enum thaw_section section, int64_t number);

/* What it waits for from now on: "the other ranks' gradients", a constant text; NULL: it computes. */
void thaw_watchdog_waits(const char *what);

#endif
