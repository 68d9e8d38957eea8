#define _POSIX_C_SOURCE 200809L
#include "runner/fault.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void hang(void)
{
	for (;;)
		pause();
}

static void stop(void)
{
	raise(SIGSTOP);
}

static void kill_self(void)
{
	raise(SIGKILL);
}

static void segv(void)
{
	signal(SIGSEGV, SIG_DFL);
	raise(SIGSEGV);
}

static void leave(void)
{
	_exit(0);
}

static const struct fault {
	const char *name;
	void (*strike)(void); /* NULL: the place where it happens asks thaw_fault_due() */
} faults[] = {
	{"hang", hang},       /* for ever */
	{"stop", stop},       /* as a debugger or a bad host does */
	{"kill", kill_self},  /* as the system that is out of memory does */
	{"segv", segv},       /* as a bug does */
	{"leave", leave},     /* with exit code 0 */
	{"validation", NULL}, /* its loss is no number */
	{"gradient", NULL},   /* one number of it becomes infinite */
};
enum { FAULTS = sizeof faults / sizeof *faults };

static const struct fault *planned;
static int planned_rank;
static long long planned_step;

thaw_status thaw_fault_plan(const char *text, int ranks)
{
	char name[16] = "", extra;

	planned_rank = ranks - 1;
	if (sscanf(text, "%15[a-z]@%lld%c", name, &planned_step, &extra) != 2 &&
	    sscanf(text, "%15[a-z]:%d@%lld%c", name, &planned_rank, &planned_step, &extra) != 3)
		return thaw_fail(THAW_BAD_JOB, "--fault %s: wanted is NAME@STEP or NAME:RANK@STEP", text);
	for (int i = 0; i < FAULTS; i++)
		if (strcmp(faults[i].name, name) == 0)
			planned = &faults[i];
	if (!planned)
		return thaw_fail(THAW_BAD_JOB, "--fault %s: there are hang, stop, kill, segv, leave, validation, gradient",
		                 text);
	return THAW_OK;
}

bool thaw_fault_due(const char *name, int64_t step)
{
	return planned && strcmp(planned->name, name) == 0 && step == planned_step;
}

void thaw_fault_strike(int rank, int64_t step)
{
	if (planned && planned->strike && rank == planned_rank && step == planned_step)
		planned->strike();
}
