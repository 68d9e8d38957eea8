/* Types in which a device keeps activations, and the weights it multiplies them with. */
#ifndef THAW_NN_NUMBER_H
#define THAW_NN_NUMBER_H

#include <stddef.h>

enum thaw_number { THAW_FLOAT32, THAW_BFLOAT16, THAW_FLOAT16 };

static inline size_t thaw_number_bytes(enum thaw_number number)
{
	return number == THAW_FLOAT32 ? 4 : 2;
}

#endif
