/*
 * ResNet for ImageNet (He et al. 2015, table 1; torchvision's v1.5 with the stride on a bottleneck's 3x3) and for
 * CIFAR (section 4.2, shortcuts of option A). Names are torchvision's, so that weights are found by name.
 */
#include "nn/models/resnet.h"

#include <stdio.h>
#include <string.h>

enum block { BASIC, BOTTLENECK };

static const struct variant {
	const char *name;
	enum block block;
	bool cifar;    /* 3x3 stem without pooling, 16 channels, three stages, shortcuts without parameters */
	int blocks[4]; /* per stage */
	const char *weights; /* torchvision's IMAGENET1K_V1 */
} variants[] = {
	{"resnet18", BASIC, false, {2, 2, 2, 2}, "resnet18-f37072fd.pth"},
	{"resnet34", BASIC, false, {3, 4, 6, 3}, "resnet34-b627a593.pth"},
	{"resnet50", BOTTLENECK, false, {3, 4, 6, 3}, "resnet50-0676ba61.pth"},
	{"resnet101", BOTTLENECK, false, {3, 4, 23, 3}, "resnet101-63fe2227.pth"},
	{"resnet152", BOTTLENECK, false, {3, 8, 36, 3}, "resnet152-394f9c45.pth"},
	{"resnet20", BASIC, true, {3, 3, 3}, NULL},
	{"resnet32", BASIC, true, {5, 5, 5}, NULL},
	{"resnet44", BASIC, true, {7, 7, 7}, NULL},
	{"resnet56", BASIC, true, {9, 9, 9}, NULL},
	{"resnet110", BASIC, true, {18, 18, 18}, NULL},
};

/* What the blocks are built from: the net, and the prefix of the block's names. */
struct builder {
	struct thaw_net *net;
	char block[THAW_NAME - 16]; /* "layer1.0" */
};

/* Convolution number `i` of the block with its norm: "<block>.conv<i>", "<block>.bn<i>". */
static thaw_value conv_norm(const struct builder *b, int i, thaw_value x, struct thaw_conv conv)
{
	char name[THAW_NAME];

	snprintf(name, sizeof name, "%s.conv%d", b->block, i);
	x = thaw_net_conv(b->net, name, x, &conv);
	snprintf(name, sizeof name, "%s.bn%d", b->block, i);
	return thaw_net_batch_norm(b->net, name, x);
}

/* The way around a block: x itself where shapes agree, else a 1x1 convolution, or option A. */
static thaw_value way_around(const struct builder *b, thaw_value x, int out, int stride, bool same, bool cifar)
{
	char name[THAW_NAME];

	if (same)
		return x;
	if (cifar)
		return thaw_net_shortcut(b->net, x, out, stride);
	snprintf(name, sizeof name, "%s.downsample.0", b->block);
	x = thaw_net_conv(b->net, name, x, &(struct thaw_conv){.out = out, .kernel = 1, .stride = stride});
	snprintf(name, sizeof name, "%s.downsample.1", b->block);
	return thaw_net_batch_norm(b->net, name, x);
}

/* Two 3x3, or 1x1 - 3x3 - 1x1, around `width` channels. */
static thaw_value residual(const struct builder *b, enum block block, thaw_value x, int width, int stride)
{
	struct thaw_net *net = b->net;

	if (block == BASIC) {
		x = thaw_net_relu(
			net, conv_norm(b, 1, x, (struct thaw_conv){.out = width, .kernel = 3, .stride = stride, .pad = 1}));
		return conv_norm(b, 2, x, (struct thaw_conv){.out = width, .kernel = 3, .pad = 1});
	}
	x = thaw_net_relu(net, conv_norm(b, 1, x, (struct thaw_conv){.out = width, .kernel = 1}));
	x = thaw_net_relu(net,
	                  conv_norm(b, 2, x, (struct thaw_conv){.out = width, .kernel = 3, .stride = stride, .pad = 1}));
	return conv_norm(b, 3, x, (struct thaw_conv){.out = 4 * width, .kernel = 1});
}

static thaw_value stem(struct thaw_net *net, thaw_value x, bool cifar)
{
	struct thaw_conv conv = cifar ? (struct thaw_conv){.out = 16, .kernel = 3, .pad = 1}
	                              : (struct thaw_conv){.out = 64, .kernel = 7, .stride = 2, .pad = 3};

	thaw_net_group(net, "conv1");
	x = thaw_net_conv(net, "conv1", x, &conv);
	x = thaw_net_relu(net, thaw_net_batch_norm(net, "bn1", x));
	return cifar ? x : thaw_net_max_pool(net, x, 3, 2, 1);
}

static void build(struct thaw_net *net, const struct variant *v, int classes, int size)
{
	int expansion = v->block == BOTTLENECK ? 4 : 1, width = v->cifar ? 16 : 64, channels = width;
	thaw_value x = stem(net, thaw_net_input(net, (struct thaw_shape){3, size, size}), v->cifar);

	for (int stage = 0; stage < 4 && v->blocks[stage] > 0; stage++, width *= 2) {
		for (int i = 0; i < v->blocks[stage]; i++) {
			int stride = stage > 0 && i == 0 ? 2 : 1, out = width * expansion;
			struct builder b = {.net = net};
			thaw_value y;

			snprintf(b.block, sizeof b.block, "layer%d.%d", stage + 1, i);
			thaw_net_group(net, b.block);
			y = residual(&b, v->block, x, width, stride);
			x = way_around(&b, x, out, stride, stride == 1 && channels == out, v->cifar);
			x = thaw_net_relu(net, thaw_net_add(net, y, x));
			channels = out;
		}
	}
	thaw_net_group(net, "fc");
	thaw_net_head(net, thaw_net_linear(net, "fc", thaw_net_global_pool(net, x), classes));
}

bool thaw_resnet_build(struct thaw_net *net, const char *arch, int classes, int size)
{
	for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
		if (strcmp(variants[i].name, arch) != 0)
			continue;
		build(net, &variants[i], classes, size);
		return true;
	}
	return false;
}

const char *thaw_resnet_name(int i)
{
	return i >= 0 && (size_t)i < sizeof variants / sizeof *variants ? variants[i].name : NULL;
}

const char *thaw_resnet_weights(int i)
{
	return variants[i].weights;
}
