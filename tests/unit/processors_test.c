/* What a build says on a processor that lacks some of its instructions: base/processors.c as if compiled for AVX-512, on
 * a made-up processor. */
#define _GNU_SOURCE /* sched_getaffinity */
#include <sched.h>

#include "tests/test.h"

static const char *lacking = ""; /* what the names of the missing instructions begin with */

#define __builtin_cpu_supports(name) (*lacking == '\0' || strncmp(name, lacking, strlen(lacking)) != 0)
#if !defined(__AVX512F__)
#define __AVX512F__ 1
#endif
#if !defined(__AVX2__)
#define __AVX2__ 1
#endif
#if !defined(__SSE4_2__)
#define __SSE4_2__ 1
#endif
#include "base/processors.c"

int main(void)
{
	CHECK_OK(thaw_processor_check());
	lacking = "sse4.2";
	CHECK_FAILS(thaw_processor_check(), THAW_FAILED,
	            "this thaw was built for a processor with SSE4.2: build it on this");
	lacking = "avx2";
	CHECK_FAILS(thaw_processor_check(), THAW_FAILED, "with AVX2: build it on this machine, or with -DTHAW_NATIVE=OFF");
	lacking = "avx512";
	CHECK_FAILS(thaw_processor_check(), THAW_FAILED, "this thaw was built for a processor with AVX-512: build it on");
	lacking = "avx"; /* the newest is named */
	CHECK_FAILS(thaw_processor_check(), THAW_FAILED, "with AVX-512: build");
	return TEST_END();
}
