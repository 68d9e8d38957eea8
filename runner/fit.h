/*
 * How a file of weights fits a network, and its way into one.
 *
 * Tensors are found by torchvision's names, and must have the network's shapes. Two things may differ: what counts
 * batches (num_batches_tracked, n_averaged), which nothing here needs, is never missed nor left over; and the head, the
 * last linear layer, may be one of other classes, and is then not the file's.
 */
#ifndef THAW_RUNNER_FIT_H
#define THAW_RUNNER_FIT_H

#include "io/weights.h"
#include "nn/params.h"

enum { THAW_FIT_SIZE = 224 }; /* pixels, where a network is built only to look: any size has the same parameters */

struct thaw_fit {
	int fitting; /* tensors that go into the network */
	int missing, left_over, misshapen;
	int64_t head_classes;     /* of the file's head; 0: it has none */
	bool other_head;          /* of other classes than the network's, or none */
	const char *other_family; /* "a ResNet-D of timm": whose these are, which thaw has not; NULL */
	char head[THAW_WEIGHT_NAME];   /* "fc.1.": what the file calls its head, where that is in a torch.nn.Sequential; "" */
	char prefix[THAW_WEIGHT_NAME]; /* "model.": what stands before most of the network's names; "": nothing */
};

/* Compares names and shapes. The first ten of what does not fit are appended to `list`, unless that is NULL:
 * "'bn1.bias' is missing; 'conv1.weight' is (64, 3, 3, 3), expected (64, 3, 7, 7); 'x' is left over; and 3 more".
 * THAW_OUT_OF_MEMORY only. */
struct thaw_text;
thaw_status thaw_fit_look(const struct thaw_net *net, const struct thaw_weights *weights, struct thaw_fit *fit_out,
                          struct thaw_text *list);

/* The pictures that a file's network learnt from: as the file says; else, for a network that torchvision has weights
 * of, as its first ones (IMAGENET1K_V1) are, whose sizes all but the later ones of ResNet-50 and deeper have too. */
struct thaw_fit_input {
	bool said;             /* how they are normalised, by the file */
	float mean[3], std[3]; /* torchvision's where nothing is known */
	int resize, crop;      /* pixels; 0: not known */
};
struct thaw_fit_input thaw_fit_input(const struct thaw_weights *weights, const char *arch);

/* Whether a tensor of this name belongs to the head. */
bool thaw_fit_is_head(const struct thaw_net *net, const char *name);

/* Copies what fits into the parameters, without the head where that is another. THAW_FAILED names a tensor of which a
 * number is not finite, or a variance below 0. */
thaw_status thaw_fit_copy(const struct thaw_fit *fit, const struct thaw_weights *weights, struct thaw_params *params);

/* The architecture whose tensors the file has most nearly, whatever the classes of its head, and of these the one that
 * leaves the fewest over; `fit_out` is how it fits, and `list` as above. NULL: nothing fits any of them; `fit_out` is
 * then of one that lacks the fewest. THAW_OUT_OF_MEMORY only. */
thaw_status thaw_fit_arch(const struct thaw_weights *weights, const char **arch_out, struct thaw_fit *fit_out,
                          struct thaw_text *list);

/* Whether all of the network is there, whatever is there besides. */
bool thaw_fit_is_whole(const struct thaw_fit *fit);

#endif
