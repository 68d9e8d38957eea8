/* poison FROM TO TENSOR: copies a checkpoint with NaN for the first number of one tensor, as no file of thaw's has it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint.h"

static int poison(const struct thaw_checkpoint *checkpoint, const char *to, const char *name)
{
	int count = thaw_checkpoint_count(checkpoint);
	struct thaw_checkpoint_tensor *tensors = calloc((size_t)count, sizeof *tensors);
	thaw_status status = tensors ? THAW_OK : THAW_OUT_OF_MEMORY;

	for (int i = 0; i < count && !status; i++) {
		size_t elems = 1;

		tensors[i] = *thaw_checkpoint_tensor(checkpoint, i);
		for (int d = 0; d < tensors[i].rank; d++)
			elems *= (size_t)tensors[i].dims[d];
		tensors[i].data = malloc(elems * sizeof *tensors[i].data);
		status = tensors[i].data ? thaw_checkpoint_read(checkpoint, &tensors[i]) : THAW_OUT_OF_MEMORY;
		if (!status && strcmp(tensors[i].name, name) == 0)
			tensors[i].data[0] = NAN;
	}
	if (!status)
		status = thaw_checkpoint_write(to, NULL, thaw_checkpoint_facts(checkpoint), tensors, count);
	for (int i = 0; tensors && i < count; i++)
		free(tensors[i].data);
	free(tensors);
	return status;
}

int main(int argc, char **argv)
{
	struct thaw_checkpoint *checkpoint;
	thaw_status status = argc == 4 ? thaw_checkpoint_open(argv[1], &checkpoint) : THAW_BAD_JOB;

	if (!status) {
		status = poison(checkpoint, argv[2], argv[3]);
		thaw_checkpoint_free(checkpoint);
	}
	if (status)
		fprintf(stderr, "poison: %s\n", thaw_fail_text());
	return status != THAW_OK;
}
