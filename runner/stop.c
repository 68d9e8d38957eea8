#define _DEFAULT_SOURCE /* syscall */
#include "runner/stop.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	int number;
	const char *name;
	bool urgent; /* the second one does not wait */
} signals[] = {
	{SIGTERM, "TERM", true},
	{SIGINT, "INT", true},
	{SIGHUP, "HUP", true},
	{SIGUSR1, "USR1", false},
	{SIGUSR2, "USR2", false},
};
enum { SIGNALS = sizeof signals / sizeof *signals };

static volatile sig_atomic_t asked = -1; /* row of the first signal */
static volatile sig_atomic_t urgent;

static void on_signal(int number)
{
	for (int i = 0; i < SIGNALS; i++) {
		if (signals[i].number != number)
			continue;
		if (signals[i].urgent && urgent)
			_exit(128 + number);
		urgent |= signals[i].urgent;
		if (asked < 0)
			asked = i;
	}
}

/* Whether the program was started with SIGHUP ignored: under nohup a run outlives its terminal. That is looked at before
 * any library is initialised, since UCX, which Open MPI may bring along, takes SIGHUP for itself then; and by the bare
 * system call, since a sanitizer's sigaction() is not ready yet either. */
static bool outlives_terminal;

static void look_at_hangup(void)
{
	struct {
		uintptr_t handler, flags, restorer, mask;
	} action = {0};

	syscall(SYS_rt_sigaction, SIGHUP, NULL, &action, sizeof action.mask);
	outlives_terminal = action.handler == (uintptr_t)SIG_IGN;
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(void) = look_at_hangup;

static void listen_to(int number, bool listen)
{
	struct sigaction action = {.sa_handler = listen ? on_signal : SIG_DFL, .sa_flags = SA_RESTART};

	if (number == SIGHUP && outlives_terminal)
		action.sa_handler = SIG_IGN;
	sigemptyset(&action.sa_mask);
	sigaction(number, &action, NULL);
}

void thaw_stop_listen(bool listen)
{
	for (int i = 0; i < SIGNALS; i++)
		listen_to(signals[i].number, listen);
}

void thaw_stop_by(const char *name)
{
	for (int i = 0; i < SIGNALS; i++) {
		bool listen = signals[i].urgent || strcmp(signals[i].name, name) == 0;

		listen_to(signals[i].number, listen);
		if (!listen && asked == i)
			raise(signals[i].number);
	}
}

const char *thaw_stop_asked(void)
{
	return asked < 0 ? NULL : signals[asked].name;
}
