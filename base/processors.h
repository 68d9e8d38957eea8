/* The processors this process may use: how many, and whether they understand it. */
#ifndef THAW_BASE_PROCESSORS_H
#define THAW_BASE_PROCESSORS_H

#include <stdint.h>

#include "base/status.h"

/* Those of its affinity mask, on machines of any size: what taskset, Slurm or mpirun bound it to. 1 if the system does
 * not tell. */
int thaw_processors(void);

/* Those it could use if nobody had bound it. */
int thaw_processors_unbound(void);

/* Of the mask: processes on one host that have the same share its processors. */
uint32_t thaw_processors_checksum(void);

/* THAW_FAILED if thaw was compiled for instructions that this processor lacks, and would end with SIGILL: it names them
 * and how to build anew. To be called first of all. */
thaw_status thaw_processor_check(void);

#endif
