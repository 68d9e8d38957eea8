#include "nn/models.h"

#include "base/text.h"
#include "nn/models/resnet.h"

/* One row per family. */
static const struct family {
	bool (*build)(struct thaw_net *net, const char *arch, int classes, int size); /* false: not of this family */
	const char *(*name)(int i); /* of the i-th variant, NULL past the last */
	const char *(*weights)(int i);
} families[] = {
	{thaw_resnet_build, thaw_resnet_name, thaw_resnet_weights},
};

/* The family of the i-th architecture, and which of its variants that is; NULL past the last. */
static const struct family *find_family(int i, int *variant_out)
{
	for (size_t f = 0; f < sizeof families / sizeof *families; f++)
		for (*variant_out = 0; families[f].name(*variant_out); ++*variant_out)
			if (i-- == 0)
				return &families[f];
	return NULL;
}

const char *thaw_model_name(int i)
{
	int variant;
	const struct family *family = find_family(i, &variant);

	return family ? family->name(variant) : NULL;
}

const char *thaw_model_weights(int i)
{
	int variant;
	const struct family *family = find_family(i, &variant);

	return family ? family->weights(variant) : NULL;
}

static thaw_status fail_unknown(const char *arch)
{
	struct thaw_text names = THAW_TEXT_EMPTY;
	thaw_status status;

	for (int i = 0; thaw_model_name(i); i++)
		thaw_text_add(&names, " %s", thaw_model_name(i));
	status = thaw_fail(THAW_BAD_JOB, "model.arch: unknown architecture '%s': there are%s", arch, names.data);
	thaw_text_release(&names);
	return status;
}

thaw_status thaw_model_build(const char *arch, int classes, int size, struct thaw_net **net_out)
{
	struct thaw_net *net = thaw_net_new();
	thaw_status status;
	bool known = false;

	if (!net)
		return THAW_OUT_OF_MEMORY;
	for (size_t f = 0; f < sizeof families / sizeof *families && !known; f++)
		known = families[f].build(net, arch, classes, size);
	status = known ? thaw_net_finish(net) : fail_unknown(arch);
	if (status)
		thaw_net_free(net);
	else
		*net_out = net;
	return status;
}
