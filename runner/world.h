/*
 * The ranks of this process' command, and how a failure ends them all.
 *
 * A failure that all ranks agreed on (thaw_world_agree) is told once, by rank 0, and every rank leaves in order. A
 * failure of one rank alone is told by that rank, which then takes the others down: main.c does both.
 */
#ifndef THAW_RUNNER_WORLD_H
#define THAW_RUNNER_WORLD_H

#include <stdbool.h>

#include "comm/comm.h"

/* Starts communication, the first time in a process. From then on ranks other than 0 print nothing but a failure of
 * their own. */
thaw_status thaw_world_start(int *argc, char ***argv);

/* The communicator, NULL before the start. */
struct thaw_comm *thaw_world(void);

/* All ranks call this with their status and get the worst; its words are then everywhere. */
thaw_status thaw_world_agree(thaw_status mine);

/* Whether this rank has failed with `status` and the others do not know: they may still be sending what it holds. */
bool thaw_world_alone(thaw_status status);

/* The largest of what the ranks have, on all of them. */
thaw_status thaw_world_largest(double mine, double *largest_out);

/* What each rank has: `size` bytes, a multiple of 8, in the order of the ranks, on all of them: all_out (ranks, size). One
 * process alone where nothing was started. */
thaw_status thaw_world_gather(const void *mine, size_t size, void *all_out);

/* Compute threads for this rank: the processors it may use, divided by the ranks on this host that may use the same
 * ones; at least 1. */
thaw_status thaw_world_threads(int *threads_out);

#endif
