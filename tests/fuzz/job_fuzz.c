/* Job files: any text is a job or a refusal, and a job that was read is written down as one that reads the same. */
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "jobs/job.h"
#include "tests/fuzz/fuzz.h"

/* A first line "#KEY=VALUE" is a --set as well. */
static int find_set(const uint8_t *bytes, size_t length, char set[200])
{
	const uint8_t *end = length > 0 && bytes[0] == '#' ? memchr(bytes, '\n', length) : NULL;

	if (!end || end - bytes > 199)
		return 0;
	memcpy(set, bytes + 1, (size_t)(end - bytes - 1));
	set[end - bytes - 1] = '\0';
	return 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	static struct thaw_job job, again;
	struct thaw_text yaml = THAW_TEXT_EMPTY;
	char set[200];
	const char *const sets[] = {set};
	int count = find_set(bytes, length, set);
	thaw_status status = thaw_job_parse("job.yaml", (const char *)bytes, length, sets, count, &job);

	FUZZ_CHECK(status == THAW_OK || (status == THAW_BAD_JOB && *thaw_fail_text()));
	if (status)
		return 0;
	FUZZ_CHECK(thaw_job_dump(&job, &yaml) == THAW_OK);
	FUZZ_CHECK(thaw_job_parse("again.yaml", yaml.data, yaml.length, NULL, 0, &again) == THAW_OK);
	FUZZ_CHECK(memcmp(&job, &again, sizeof job) == 0);
	FUZZ_CHECK(thaw_job_match(&job, &again, "runs/x") == THAW_OK);
	thaw_text_release(&yaml);
	return 0;
}
