/*
 * thaw: the command table, and the only place that prints failures and chooses the exit code.
 */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "jobs/job.h"
#include "nn/backend.h"
#include "nn/device.h"
#include "runner/commands.h"
#include "runner/world.h"
#include "tools/commands.h"

static const struct thaw_command *const commands[] = {
	&thaw_command_demo, &thaw_command_pack, &thaw_command_show, &thaw_command_train, &thaw_command_eval,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *file)
{
	fprintf(file, "thaw %s: fine-tune image classifiers on many processors, one process each\n\n", THAW_VERSION);
	for (int i = 0; i < COMMANDS; i++)
		fprintf(file, "  thaw %-6s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(file, "\n  thaw COMMAND --help   options of a command\n"
	              "  thaw help job         keys of a job file\n"
	              "  thaw --version        build, backends, libraries\n");
}

static void print_version(void)
{
	printf("thaw %s  (%s, %s)\n", THAW_VERSION, THAW_BUILD, __VERSION__);
	for (int i = 0; thaw_device_name(i); i++) {
		struct thaw_device *device;

		if (thaw_device_open(thaw_device_name(i), 1, &device) == THAW_OK)
			printf("device  %-10s %s\n", thaw_device_name(i), device->backend->describe());
		thaw_device_free(device);
	}
	printf("libraries  %s\n", THAW_LIBRARIES);
}

static thaw_status run(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--version") == 0) {
		print_version();
		return THAW_OK;
	}
	if (strcmp(name, "help") == 0 && argc > 2 && strcmp(argv[2], "job") == 0) {
		thaw_job_print_keys(stdout);
		return THAW_OK;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_help(stdout);
		return THAW_OK;
	}
	for (int i = 0; i < COMMANDS; i++)
		if (strcmp(name, commands[i]->name) == 0)
			return commands[i]->run(commands[i], argc - 1, argv + 1);
	if (!*name) {
		print_help(stderr);
		return thaw_fail(THAW_BAD_JOB, "a command is needed");
	}
	return thaw_fail(THAW_BAD_JOB, "unknown command '%s': thaw --help lists them", name);
}

/* A failure that all ranks agreed on is told by rank 0 alone; one that a rank found alone takes the others down. */
int main(int argc, char **argv)
{
	struct thaw_comm *world;
	thaw_status status;
	int code, rank, ranks;

	signal(SIGXFSZ, SIG_IGN); /* a file that grows too large is an error of write(2), with words, not a death */
	status = run(argc, argv);
	code = thaw_status_exit_code(status);
	world = thaw_world();
	rank = world ? thaw_comm_rank(world) : 0;
	ranks = world ? thaw_comm_size(world) : 1;
	if (status && !(thaw_world_agreed() && rank != 0)) {
		fflush(stdout);
		if (ranks > 1 && !thaw_world_agreed())
			fprintf(stderr, "thaw: rank %d: %s\n", rank, thaw_fail_text());
		else
			fprintf(stderr, "thaw: %s\n", thaw_fail_text());
	}
	if (status && ranks > 1 && !thaw_world_agreed())
		thaw_comm_abort(world, code);
	thaw_comm_stop(world);
	return code;
}
