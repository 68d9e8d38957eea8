/* thaw's own checkpoints: the tensors in /model (io/checkpoint.h). */
#include <string.h>

#include "base/mem.h"
#include "io/checkpoint.h"
#include "io/weights_reader.h"

static thaw_status copy_facts(const struct thaw_checkpoint_facts *from, struct thaw_weights_facts *to)
{
	memcpy(to->arch, from->arch, sizeof to->arch);
	memcpy(to->mean, from->mean, sizeof to->mean);
	memcpy(to->std, from->std, sizeof to->std);
	to->resize = (int)from->resize;
	to->crop = (int)from->crop;
	to->names = thaw_alloc((size_t)from->classes, sizeof *to->names);
	for (int i = 0; to->names && i < from->classes; i++) {
		to->names[i] = thaw_copy_text(from->names[i]);
		if (!to->names[i])
			return THAW_OUT_OF_MEMORY;
		to->classes = i + 1;
	}
	return to->names ? THAW_OK : THAW_OUT_OF_MEMORY;
}

thaw_status thaw_weights_read_checkpoint(struct thaw_weights_reader *reader)
{
	static const char model[] = "model/";
	thaw_status status = thaw_checkpoint_open(reader->path, &reader->checkpoint);

	if (status)
		return status;
	status = copy_facts(thaw_checkpoint_facts(reader->checkpoint), &reader->weights->facts);
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
