/* Shards: a file under a seal that fits is refused, or every picture, name and class that it has can be read. */
#include <string.h>

#include "io/shard.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct thaw_shard_map shard;
	const char *path;
	thaw_status status;

	fuzz_seal("shard", bytes, length, &path);
	status = thaw_shard_open(path, &shard);
	FUZZ_CHECK(status == THAW_OK || (status == THAW_FAILED && *thaw_fail_text()));
	if (status)
		return 0;
	for (int i = 0; i < shard.facts.classes; i++)
		FUZZ_CHECK(strlen(shard.classes[i]) < length);
	for (int64_t i = 0; i < shard.count; i++) {
		const struct thaw_picture *picture = &shard.index[i];
		const uint8_t *end = shard.pixels + picture->offset + (size_t)picture->height * picture->width * 3;

		FUZZ_CHECK(end > (const uint8_t *)shard.map && end <= (const uint8_t *)shard.map + shard.map_length);
		FUZZ_CHECK(picture->label >= 0 && picture->label < shard.facts.classes);
		FUZZ_CHECK(strlen(shard.names[i]) < length);
		(void)thaw_shard_check(path, &shard, i);
	}
	thaw_shard_close(&shard);
	return 0;
}
