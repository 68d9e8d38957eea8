/* Pictures that stand twice: in training and in validation they make the validation look better than it is, in two
 * classes one of them is wrong. */
#ifndef THAW_TOOLS_PACK_TWINS_H
#define THAW_TOOLS_PACK_TWINS_H

#include "tools/pack_scan.h"

/* What two files with the same bytes have in common. */
struct thaw_pack_key {
	uint64_t bytes;
	uint32_t crc32c;
	int64_t file; /* of the split's files */
};

struct thaw_pack_keys {
	const struct thaw_pack_split *split;
	struct thaw_pack_key *keys; /* (count) */
	int64_t count;
};

/* Warns of every validation picture whose file has the same bytes as a training picture's, and counts these; warns too
 * of pictures that stand in two classes of a split. Sorts the keys. */
thaw_status thaw_pack_warn_twins(const struct thaw_pack_keys *train, const struct thaw_pack_keys *val,
                                 int64_t *count_out);

#endif
