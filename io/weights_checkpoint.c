/* thaw's own checkpoints: the tensors in /model (io/checkpoint.h). */
#include <math.h>
#include <string.h>

#include "io/checkpoint.h"
#include "io/weights_reader.h"

/* Names stay the checkpoint's. */
static thaw_status take_facts(const char *path, const struct thaw_checkpoint_facts *from, struct thaw_weights_facts *to)
{
	for (int c = 0; c < 3; c++)
		if (!isfinite(from->mean[c]) || !isfinite(from->std[c]) || !(from->std[c] > 0))
			return thaw_fail(THAW_FAILED, "'%s': normalised by mean %g, std %g: allowed are finite numbers, std above 0",
			                 path, (double)from->mean[c], (double)from->std[c]);
	memcpy(to->arch, from->arch, sizeof to->arch);
	memcpy(to->mean, from->mean, sizeof to->mean);
	memcpy(to->std, from->std, sizeof to->std);
	to->resize = (int)from->resize;
	to->crop = (int)from->crop;
	to->classes = from->classes;
	to->names = from->names;
	return THAW_OK;
}

thaw_status thaw_weights_read_checkpoint(struct thaw_weights_reader *reader)
{
	static const char model[] = "model/";
	thaw_status status = thaw_checkpoint_open(reader->path, &reader->checkpoint);

	if (status)
		return status;
	status = take_facts(reader->path, thaw_checkpoint_facts(reader->checkpoint), &reader->weights->facts);
	for (int i = 0; i < thaw_checkpoint_count(reader->checkpoint) && !status; i++) {
		const struct thaw_checkpoint_tensor *tensor = thaw_checkpoint_tensor(reader->checkpoint, i);
		uint64_t bytes = sizeof(float);

		if (strncmp(tensor->name, model, strlen(model)) != 0)
			continue;
		for (int d = 0; d < tensor->rank; d++)
			bytes *= (uint64_t)tensor->dims[d];
		status = thaw_weights_add(reader, &(struct thaw_weight_claim){
			.name = tensor->name + strlen(model),
			.name_length = strlen(tensor->name) - strlen(model),
			.dtype = THAW_F32,
			.rank = tensor->rank,
			.dims = tensor->dims,
			.data = thaw_checkpoint_bytes(reader->checkpoint, i),
			.data_length = bytes,
		});
	}
	return status;
}
