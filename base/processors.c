#define _GNU_SOURCE /* sched_getaffinity */
#include "base/processors.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"

/* This process' affinity mask, as long as the system's, whose length is found by trying. CPU_FREE() it; NULL: the
 * system does not tell. */
static cpu_set_t *get_mask(size_t *size_out)
{
	for (int most = CPU_SETSIZE; most <= 1 << 20; most *= 2) {
		size_t size = CPU_ALLOC_SIZE(most);
		cpu_set_t *set = CPU_ALLOC(most);

		if (set && sched_getaffinity(0, size, set) == 0) {
			*size_out = size;
			return set;
		}
		CPU_FREE(set);
	}
	return NULL;
}

int thaw_processors(void)
{
	size_t size;
	cpu_set_t *set = get_mask(&size);
	int count = set ? CPU_COUNT_S(size, set) : 0;

	CPU_FREE(set);
	return count > 0 ? count : 1;
}

int thaw_processors_unbound(void)
{
	size_t size;
	cpu_set_t *before = get_mask(&size), *all = before ? malloc(size) : NULL;
	int count = thaw_processors();

	if (all) {
		memset(all, 0xff, size);
		if (sched_setaffinity(0, size, all) == 0) {
			count = thaw_processors();
			(void)sched_setaffinity(0, size, before);
		}
	}
	free(all);
	CPU_FREE(before);
	return count;
}

uint32_t thaw_processors_checksum(void)
{
	size_t size;
	cpu_set_t *set = get_mask(&size);
	uint32_t crc = set ? thaw_crc32c(0, set, size) : 0;

	CPU_FREE(set);
	return crc;
}

/* Compiled without those instructions itself. __builtin_cpu_supports() takes only literals. */
#if defined(__x86_64__)
__attribute__((target("arch=x86-64")))
#endif
thaw_status
thaw_processor_check(void)
{
	const char *missing = NULL;

#if defined(__SSE4_2__)
	missing = __builtin_cpu_supports("sse4.2") ? missing : "SSE4.2";
#endif
#if defined(__BMI2__)
	missing = __builtin_cpu_supports("bmi2") ? missing : "BMI2";
#endif
#if defined(__FMA__)
	missing = __builtin_cpu_supports("fma") ? missing : "FMA";
#endif
#if defined(__AVX2__)
	missing = __builtin_cpu_supports("avx2") ? missing : "AVX2";
#endif
#if defined(__AVX512VNNI__)
	missing = __builtin_cpu_supports("avx512vnni") ? missing : "AVX-512 VNNI";
#endif
#if defined(__AVX512BW__)
	missing = __builtin_cpu_supports("avx512bw") ? missing : "AVX-512 BW";
#endif
#if defined(__AVX512DQ__)
	missing = __builtin_cpu_supports("avx512dq") ? missing : "AVX-512 DQ";
#endif
#if defined(__AVX512VL__)
	missing = __builtin_cpu_supports("avx512vl") ? missing : "AVX-512 VL";
#endif
#if defined(__AVX512F__)
	missing = __builtin_cpu_supports("avx512f") ? missing : "AVX-512";
#endif
	if (!missing)
		return THAW_OK;
	return thaw_fail(THAW_FAILED,
	                 "this thaw was built for a processor with %s: build it on this machine, or with -DTHAW_NATIVE=OFF",
	                 missing);
}
