/*
 * Faults that happen when a test asks for them: `thaw train JOB --fault NAME[:RANK]@[PLACE:]STEP`. A place is where in
 * its life the run is when so many steps are done: start, phase (the next one begins), validation, checkpoint, end;
 * without one, it is in step STEP. Builds without THAW_FAULTS have neither the option nor the code.
 */
#ifndef THAW_RUNNER_FAULT_H
#define THAW_RUNNER_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#ifdef THAW_FAULTS

/* The fault to come: "hang@12", "kill:1@3", "term@checkpoint:10". A RANK that is not given is the last one in a step,
 * and any at another place. THAW_BAD_JOB lists the names. */
thaw_status thaw_fault_plan(const char *text, int ranks);

/* Lets a fault of the process (hang, stop, kill, segv, leave, a signal) happen if due on `rank` at `step`, from 1;
 * or at `place` with `step` done. */
void thaw_fault_strike(int rank, int64_t step);
void thaw_fault_strike_at(const char *place, int rank, int64_t step);

/* Whether the fault of this name, which the caller makes happen, is due, on whatever rank. */
bool thaw_fault_due(const char *name, int64_t step);

#else

static inline thaw_status thaw_fault_plan(const char *text, int ranks)
{
	(void)text, (void)ranks;
	return THAW_OK;
}

static inline void thaw_fault_strike(int rank, int64_t step)
{
	(void)rank, (void)step;
}

static inline void thaw_fault_strike_at(const char *place, int rank, int64_t step)
{
	(void)place, (void)rank, (void)step;
}

static inline bool thaw_fault_due(const char *name, int64_t step)
{
	(void)name, (void)step;
	return false;
}

#endif
#endif
