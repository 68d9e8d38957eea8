/*
 * thaw: the command table, and the only place that prints failures and chooses the exit code.
 */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/processors.h"
#include "nn/backend.h"
#include "nn/device.h"
#include "runner/commands.h"
#include "runner/help.h"
#include "runner/watchdog.h"
#include "runner/world.h"
#include "tools/commands.h"

static const struct thaw_command *const commands[] = {
	&thaw_command_demo,    &thaw_command_pack,  &thaw_command_show, &thaw_command_plan,
	&thaw_command_lr_find, &thaw_command_train, &thaw_command_eval, &thaw_command_report,
	&thaw_command_models,  &thaw_command_predict, &thaw_command_weights, &thaw_command_devices,
};
static const struct thaw_commands all = {commands, sizeof commands / sizeof *commands};

static void print_version(void)
{
	printf("thaw %s  (%s, %s)\n", THAW_VERSION, THAW_BUILD, __VERSION__);
	for (int i = 0; thaw_device_name(i); i++) {
		struct thaw_device *device = NULL;
		thaw_status status = thaw_device_open(thaw_device_name(i), 1, 0, &device);

		printf("device  %-10s %s\n", thaw_device_name(i), status ? thaw_fail_text() : thaw_device_describe(device));
		thaw_device_free(device);
	}
	printf("libraries  %s\n", THAW_LIBRARIES);
}

static thaw_status run(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const struct thaw_command *command = thaw_find_command(all, name);

	if (command)
		return command->run(command, argc - 1, argv + 1);
	if (strcmp(name, "help") == 0)
		return thaw_help(all, argc > 2 ? argv[2] : NULL);
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return thaw_help(all, NULL);
	if (strcmp(name, "--version") == 0) {
		print_version();
		return THAW_OK;
	}
	if (*name)
		return thaw_fail(THAW_BAD_JOB, "unknown command '%s': thaw --help lists them", name);
	thaw_help_list(all, stderr);
	return thaw_fail(THAW_BAD_JOB, "a command is needed");
}

/* Output that could not be written is no success. */
static thaw_status check_output(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? THAW_OK : thaw_fail(THAW_FAILED, "cannot write standard output");
}

/* A failure that all ranks agreed on is told by rank 0 alone; one that a rank found alone takes the others down. */
static int end(thaw_status status)
{
	struct thaw_comm *world = thaw_world();
	int rank = world ? thaw_comm_rank(world) : 0, code = thaw_status_exit_code(status);
	bool alone = thaw_world_alone(status);

	if (alone)
		thaw_log_failure("rank %d: %s", rank, thaw_fail_text());
	else if (status && rank == 0)
		thaw_log_failure("%s", thaw_fail_text());
	thaw_log_open(NULL);
	thaw_watchdog_at(THAW_AT_END, -1);
	if (alone)
		thaw_comm_abort(world, code);
	thaw_comm_stop(world);
	return code;
}

/* A stream that was closed at the start would give its number to the next file, and that file all messages. */
static thaw_status open_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return thaw_fail(THAW_FAILED, "cannot open '/dev/null'");
	return THAW_OK;
}

int main(int argc, char **argv)
{
	thaw_status status = thaw_processor_check();

	signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error of write(2), with words, not a death */
	if (!status)
		status = open_streams();
	if (!status)
		status = run(argc, argv);
	return end(status ? status : check_output());
}
