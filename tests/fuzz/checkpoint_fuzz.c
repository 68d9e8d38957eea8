/* Checkpoints: a file under a seal that fits is refused, or every tensor and text that it has can be read. */
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint.h"
#include "tests/fuzz/fuzz.h"

static void read_tensor(const struct thaw_checkpoint *checkpoint, int i, size_t length)
{
	struct thaw_checkpoint_tensor want = *thaw_checkpoint_tensor(checkpoint, i);
	size_t elems = 1;

	FUZZ_CHECK(want.rank >= 0 && want.rank <= 4);
	for (int d = 0; d < want.rank; d++) {
		FUZZ_CHECK(want.dims[d] > 0 && (size_t)want.dims[d] <= length / elems);
		elems *= (size_t)want.dims[d];
	}
	want.data = malloc(elems * sizeof *want.data);
	FUZZ_CHECK(want.data != NULL);
	FUZZ_CHECK(thaw_checkpoint_read(checkpoint, &want) == THAW_OK);
	free(want.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	struct thaw_checkpoint *checkpoint;
	const struct thaw_checkpoint_facts *facts;
	const char *path;
	volatile double read = 0; /* so that every loss is */
	thaw_status status;

	fuzz_seal("checkpoint", bytes, length, &path);
	status = thaw_checkpoint_open(path, &checkpoint);
	FUZZ_CHECK(status == THAW_OK || (status == THAW_FAILED && *thaw_fail_text()));
	if (status)
		return 0;
	facts = thaw_checkpoint_facts(checkpoint);
	FUZZ_CHECK(facts->epoch >= 0 && facts->step >= 0 && facts->replicas >= 1);
	FUZZ_CHECK(strlen(facts->job) < length && strlen(facts->build) < length && strlen(facts->arch) < 32);
	FUZZ_CHECK(facts->average_epoch >= 0 && (!facts->val_losses || facts->epoch < (int64_t)length));
	for (int64_t i = 0; facts->val_losses && i < facts->epoch; i++)
		read = facts->val_losses[i];
	(void)read;
	for (int i = 0; i < facts->classes; i++)
		FUZZ_CHECK(strlen(facts->names[i]) < length);
	for (int i = 0; i < thaw_checkpoint_count(checkpoint); i++)
		read_tensor(checkpoint, i, length);
	thaw_checkpoint_free(checkpoint);
	return 0;
}
