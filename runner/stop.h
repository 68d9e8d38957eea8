/*
 * Stopping in order: a signal only sets a flag, which the loops look at between two steps.
 *
 * SIGTERM, SIGINT and SIGUSR2 (or SIGUSR1, if the job says so) ask for it; Slurm and mpirun send them before they kill.
 * A second SIGTERM or SIGINT ends the process at once, with exit code 128 + its number.
 */
#ifndef THAW_RUNNER_STOP_H
#define THAW_RUNNER_STOP_H

#include <stdbool.h>

/* From now on signals ask for a stop, both SIGUSR1 and SIGUSR2; or, with false, have their usual action again. */
void thaw_stop_listen(bool listen);

/* The signal, "USR1" or "USR2", that asks besides SIGTERM and SIGINT; the other has its usual action, at once if it has
 * come already. */
void thaw_stop_by(const char *name);

/* The name of the signal that asked ("TERM"); NULL if none did. */
const char *thaw_stop_asked(void);

#endif
