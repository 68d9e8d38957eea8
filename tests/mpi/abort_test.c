/*
 * One rank ends while the others wait for it in a collective. abort_test.sh looks at what is left.
 *
 *     abort_test abort     the last rank calls thaw_comm_abort() with 78
 *     abort_test return    the last rank returns 76 from main()
 */
#define _GNU_SOURCE /* getpid */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "comm/comm.h"

int main(int argc, char **argv)
{
	struct thaw_comm *comm;
	int64_t count = 1;

	if (argc != 2 || thaw_comm_start(&argc, &argv, &comm) || thaw_comm_sum_int64(comm, &count, 1))
		return 1;
	printf("pid %d\n", (int)getpid()); /* reaches the script only if an abort flushes it or the rank ends in order */
	if (thaw_comm_rank(comm) != thaw_comm_size(comm) - 1) {
		fflush(stdout);
		thaw_comm_sum_int64(comm, &count, 1);
		return 1;
	}
	if (strcmp(argv[1], "abort") == 0)
		thaw_comm_abort(comm, 78);
	return 76;
}
