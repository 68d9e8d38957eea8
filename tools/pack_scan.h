/*
 * Finding the pictures that a pack is made of.
 *
 * Classes are the folders of the training split, sorted byte-wise; pictures are in the order of class and path,
 * byte-wise too. Every file below a class folder is taken for a picture: what it really is turns out when it is read.
 * Pictures that stand in no class folder are warned of. Hidden files and folders are passed over, links are followed
 * unless they lead back to a folder above them.
 */
#ifndef THAW_TOOLS_PACK_SCAN_H
#define THAW_TOOLS_PACK_SCAN_H

#include <stdint.h>

#include "base/status.h"

struct thaw_pack_file {
	char *path; /* relative to the split's folder: "ants/0013035.jpg" */
	int32_t label;
};

struct thaw_pack_split {
	const char *name; /* "train" or "val" */
	char *folder;
	struct thaw_pack_file *files; /* (count) */
	int64_t count;
};

enum { THAW_PACK_TRAIN, THAW_PACK_VAL, THAW_PACK_SPLITS };

struct thaw_pack_source {
	int classes;
	char **names; /* (classes) */
	struct thaw_pack_split split[THAW_PACK_SPLITS];
};

/* Looks through FOLDER/train and FOLDER/val (or FOLDER/valid); with val_fraction > 0 through class folders directly
 * below FOLDER, of which a share drawn from `seed` becomes the validation split: at least one picture of each class,
 * and never all; what does not begin as a picture takes no part in the drawing. THAW_BAD_JOB: the folder has another
 * layout; THAW_FAILED: a class cannot be used, naming it. */
thaw_status thaw_pack_scan(const char *folder, double val_fraction, uint64_t seed, struct thaw_pack_source *source_out);

void thaw_pack_source_release(struct thaw_pack_source *source);

#endif
