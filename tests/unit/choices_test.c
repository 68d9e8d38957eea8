/* The words that a job file may choose from are those that the network's tables know, and the other way round; and what
 * it may ask of the augmentation, that takes. */
#include "io/augment.h"
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

/* `extra`: words that only the job file has, or has in any build; one behind the other, a space behind each. */
static void check(const char *path, const char *(*name)(int), const char *extra)
{
	const struct thaw_key *key = thaw_schema_find(&thaw_job_schema, path);

	CHECK(key && key->choices);
	for (int i = 0; key->choices[i]; i++)
		if (!known(name, key->choices[i]) && !strstr(extra, key->choices[i]))
			TEST_FAIL("%s: a job may choose '%s', which nothing knows", path, key->choices[i]);
	for (int i = 0; name(i); i++)
		if (!offered(key, name(i)))
			TEST_FAIL("%s: no job may choose '%s'", path, name(i));
}

/* The largest numbers, and the widest ranges, that a job file may have, and a little beyond. */
static void check_augment(void)
{
	static const struct {
		const char *path;
		size_t offset;
		bool range;
	} fields[] = {
#define NUMBER(name) {"augment." #name, offsetof(struct thaw_augment, name), false}
#define RANGE(name)                                                 \
	{                                                               \
		"augment." #name, offsetof(struct thaw_augment, name), true \
	}
		NUMBER(flip), NUMBER(rotation),  NUMBER(brightness), NUMBER(contrast),   NUMBER(saturation), NUMBER(hue),
		NUMBER(grey), NUMBER(blur),      NUMBER(erase),      NUMBER(mixup),      NUMBER(cutmix),     RANGE(scale),
		RANGE(ratio), RANGE(blur_sigma), RANGE(erase_scale), RANGE(erase_ratio),
	};
	const struct thaw_augment plain = {.crop = THAW_CROP_RANDOM_RESIZED,
	                                   .size = 32,
	                                   .scale = {0.08, 1},
	                                   .ratio = {0.75, 1.33},
	                                   .blur = 1,
	                                   .blur_sigma = {0.1, 2},
	                                   .erase = 1,
	                                   .erase_scale = {0.02, 0.33},
	                                   .erase_ratio = {0.3, 3.3}};
	int keys = 0;

	for (int i = 0; i < thaw_job_schema.count; i++)
		keys += strncmp(thaw_job_schema.keys[i].path, "augment.", 8) == 0;
	CHECK_INT(keys, (int)(sizeof fields / sizeof *fields) + 1); /* and augment.crop */
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		const struct thaw_key *key = thaw_schema_find(&thaw_job_schema, fields[i].path);
		struct thaw_augment augment = plain;
		double *at = (double *)((char *)&augment + fields[i].offset);

		CHECK(key != NULL);
		at[0] = !fields[i].range ? key->high : key->above_low ? nextafter(key->low, 1) : key->low;
		if (fields[i].range)
			at[1] = key->high;
		if (thaw_augment_check(&augment))
			TEST_FAIL("a job may have what the loader refuses: %s", thaw_fail_text());
		at[fields[i].range] = key->high * 1.001;
		CHECK_FAILS(thaw_augment_check(&augment), THAW_BAD_JOB, fields[i].path);
	}
}

int main(void)
{
	check_augment();
	check("optimizer.kind", thaw_optimizer_kind, "");
	check("schedule.kind", thaw_schedule_kind, "");
	check("device", thaw_device_name, "auto cuda ");
	return TEST_END();
}
