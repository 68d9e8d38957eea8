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

static void term(void)
{
	raise(SIGTERM);
}

static void interrupt(void)
{
	raise(SIGINT);
}

static void usr2(void)
{
	raise(SIGUSR2);
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
	{"term", term},       /* as mpirun and Slurm do */
	{"int", interrupt},   /* as Ctrl-C does */
	{"usr2", usr2},       /* as a batch script does before its time is over */
	{"validation", NULL}, /* its loss is no number */
	{"gradient", NULL},   /* one number of it becomes infinite */
};
enum { FAULTS = sizeof faults / sizeof *faults };

static const char *const places[] = {"step", "start", "phase", "validation", "checkpoint", "end"};
enum { PLACES = sizeof places / sizeof *places };

static const struct fault *planned;
static const char *planned_place;
static int planned_rank; /* -1: any */
static long long planned_step;

/* "12", "checkpoint:10" */
static bool read_place(const char *text)
{
	char name[16] = "step", extra;

	if (sscanf(text, "%lld%c", &planned_step, &extra) != 1 &&
	    sscanf(text, "%15[a-z]:%lld%c", name, &planned_step, &extra) != 2)
		return false;
	for (int i = 0; i < PLACES; i++)
		if (strcmp(places[i], name) == 0)
			planned_place = places[i];
	return planned_place != NULL;
}

thaw_status thaw_fault_plan(const char *text, int ranks)
{
	char name[16] = "";
	int length = 0, rank = -1;

	sscanf(text, "%15[a-z0-9]@%n", name, &length);
	if (!length)
		sscanf(text, "%15[a-z0-9]:%d@%n", name, &rank, &length);
	if (!length || !read_place(text + length))
		return thaw_fail(THAW_BAD_JOB, "--fault %s: wanted is NAME@STEP, NAME:RANK@STEP, NAME@PLACE:STEP", text);
	planned_rank = rank < 0 && planned_place == places[0] ? ranks - 1 : rank;
	for (int i = 0; i < FAULTS; i++)
		if (strcmp(faults[i].name, name) == 0)
			planned = &faults[i];
	if (!planned)
		return thaw_fail(THAW_BAD_JOB,
		                 "--fault %s: there are hang, stop, kill, segv, leave, term, int, usr2, validation, gradient",
		                 text);
	return THAW_OK;
}

bool thaw_fault_due(const char *name, int64_t step)
{
	return planned && strcmp(planned->name, name) == 0 && step == planned_step;
}

void thaw_fault_strike_at(const char *place, int rank, int64_t step)
{
	const struct fault *fault = planned;

	if (!fault || !fault->strike || strcmp(place, planned_place) != 0 || step != planned_step ||
	    (planned_rank >= 0 && planned_rank != rank))
		return;
	planned = NULL; /* once */
	fault->strike();
}

void thaw_fault_strike(int rank, int64_t step)
{
	thaw_fault_strike_at("step", rank, step);
}
