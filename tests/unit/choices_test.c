/* The words that a job file may choose from are those that the network's tables know, and the other way round. */
#include "jobs/schema.h"
#include "nn/device.h"
#include "nn/optimizer.h"
#include "nn/schedule.h"
#include "tests/test.h"

static bool known(const char *(*name)(int), const char *word)
{
	for (int i = 0; name(i); i++)
		if (strcmp(name(i), word) == 0)
			return true;
	return false;
}

static bool offered(const struct thaw_key *key, const char *word)
{
	for (int i = 0; key->choices[i]; i++)
		if (strcmp(key->choices[i], word) == 0)
			return true;
	return false;
}

/* `extra`: a word that only the job file has. */
static void check(const char *path, const char *(*name)(int), const char *extra)
{
	const struct thaw_key *key = thaw_schema_find(&thaw_job_schema, path);

	CHECK(key && key->choices);
	for (int i = 0; key->choices[i]; i++)
		if (!known(name, key->choices[i]) && strcmp(key->choices[i], extra) != 0)
			TEST_FAIL("%s: a job may choose '%s', which nothing knows", path, key->choices[i]);
	for (int i = 0; name(i); i++)
		if (!offered(key, name(i)))
			TEST_FAIL("%s: no job may choose '%s'", path, name(i));
}

int main(void)
{
	check("optimizer.kind", thaw_optimizer_kind, "");
	check("schedule.kind", thaw_schedule_kind, "");
	check("device", thaw_device_name, "auto");
	return TEST_END();
}
