/*
 * The checks that every test uses.
 *
 * A check that fails prints its line and goes on; TEST_END() makes the exit code. Comparisons of numbers are written so that
 * NaN fails. A test that cannot run here ends with SKIP("why"): exit code 77, which CTest shows as skipped.
 */
#ifndef THAW_TESTS_TEST_H
#define THAW_TESTS_TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

static int test_failures;

#define TEST_FAIL(...) (printf("%s:%d: ", __FILE__, __LINE__), printf(__VA_ARGS__), printf("\n"), test_failures++)

#define CHECK(condition) ((condition) ? (void)0 : (void)TEST_FAIL("not so: %s", #condition))

#define CHECK_INT(got, want)                                                                              \
	do {                                                                                                  \
		long long got_ = (long long)(got), want_ = (long long)(want);                                     \
		if (got_ != want_)                                                                                \
			TEST_FAIL("%s is %lld, want %lld", #got, got_, want_);                                        \
	} while (0)

#define CHECK_NEAR(got, want, tolerance)                                                                  \
	do {                                                                                                  \
		double got_ = (got), want_ = (want);                                                              \
		if (!(fabs(got_ - want_) <= (tolerance)))                                                         \
			TEST_FAIL("%s is %.9g, want %.9g within %g", #got, got_, want_, (double)(tolerance));         \
	} while (0)

#define CHECK_TEXT(got, want)                                                                             \
	do {                                                                                                  \
		const char *got_ = (got), *want_ = (want);                                                        \
		if (strcmp(got_, want_) != 0)                                                                     \
			TEST_FAIL("%s is '%s', want '%s'", #got, got_, want_);                                        \
	} while (0)

#define CHECK_OK(expression)                                                                              \
	do {                                                                                                  \
		thaw_status status_ = (expression);                                                               \
		if (status_)                                                                                      \
			TEST_FAIL("%s failed: %s", #expression, thaw_fail_text());                                    \
	} while (0)

/* The expression must fail with this status and words that contain `part`. */
#define CHECK_FAILS(expression, want, part)                                                               \
	do {                                                                                                  \
		thaw_status status_ = (expression);                                                               \
		if (status_ != (want) || !strstr(thaw_fail_text(), part))                                         \
			TEST_FAIL("%s: status %d '%s', want %d naming '%s'", #expression, (int)status_,               \
			          status_ ? thaw_fail_text() : "", (int)(want), part);                                \
	} while (0)

#define SKIP(why) (printf("skipped: %s\n", why), exit(77))

/* Skips the test where a device could not be opened for want of a GPU. */
#define SKIP_WITHOUT_GPU(status)                                                                          \
	((status) && strncmp(thaw_fail_text(), "no GPU", strlen("no GPU")) == 0 ? SKIP(thaw_fail_text()) : (void)0)

#define TEST_END() (printf("%s\n", test_failures ? "FAILED" : "passed"), test_failures != 0)

#endif
