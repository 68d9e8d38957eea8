#define _GNU_SOURCE /* sched_getaffinity */
#include "base/processors.h"

#include <sched.h>

/* The mask has to be as long as the system's, whose length is found by trying. */
int thaw_processors(void)
{
	for (int most = CPU_SETSIZE; most <= 1 << 20; most *= 2) {
		size_t size = CPU_ALLOC_SIZE(most);
		cpu_set_t *set = CPU_ALLOC(most);
		int count = set && sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;

		CPU_FREE(set);
		if (count > 0)
			return count;
	}
	return 1;
}
