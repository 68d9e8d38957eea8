/* Files of weights: any bytes are refused, or all their tensors can be copied. Zip files lose their checksums, and
 * checkpoints get their seal, so that what lies behind them is reached. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/weights.h"
#include "tests/fuzz/fuzz.h"

/* Where no entry has a checksum, none is compared: 16 bytes into a record of the central directory, and 14 into the
 * header of an entry. */
static void drop_checksums(uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i + 20 <= length; i++)
		if (memcmp(bytes + i, "PK\1\2", 4) == 0)
			memset(bytes + i + 16, 0, 4);
		else if (memcmp(bytes + i, "PK\3\4", 4) == 0)
			memset(bytes + i + 14, 0, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length + 1);
	struct thaw_weights weights;
	const char *path;
	thaw_status status;

	FUZZ_CHECK(copy != NULL);
	memcpy(copy, bytes, length);
	if (length > 64 && memcmp(bytes, "\x89HDF", 4) == 0) {
		fuzz_seal("checkpoint", copy, length, &path);
	} else {
		drop_checksums(copy, length);
		fuzz_file(copy, length, &path);
	}
	free(copy);
	status = thaw_weights_open(path, &weights);
	FUZZ_CHECK(status == THAW_OK || (status == THAW_FAILED && *thaw_fail_text()));
	if (status)
		return 0;
	FUZZ_CHECK(weights.count > 0);
	for (int i = 0; i < weights.count; i++) {
		const struct thaw_weight *tensor = &weights.tensors[i];
		float *values;

		FUZZ_CHECK(tensor->elems >= 0 && (size_t)tensor->elems <= 4 * length && tensor->rank <= THAW_WEIGHT_RANK);
		values = malloc(((size_t)tensor->elems + 1) * sizeof *values);
		FUZZ_CHECK(values != NULL);
		thaw_weight_copy(tensor, values);
		free(values);
		FUZZ_CHECK(thaw_weights_find(&weights, tensor->name) == tensor);
	}
	for (int c = 0; c < 3 && weights.facts.arch[0]; c++)
		FUZZ_CHECK(isfinite(weights.facts.mean[c]) && weights.facts.std[c] > 0);
	FUZZ_CHECK(weights.facts.resize >= 0 && weights.facts.resize <= 65535);
	FUZZ_CHECK(weights.facts.crop >= 0 && weights.facts.crop <= 65535);
	for (int i = 0; i < weights.facts.classes; i++)
		FUZZ_CHECK(strlen(weights.facts.names[i]) < length);
	thaw_weights_release(&weights);
	return 0;
}
