/* How many processors this process may use. */
#ifndef THAW_BASE_PROCESSORS_H
#define THAW_BASE_PROCESSORS_H

/* Those of its affinity mask, on machines of any size: what taskset, Slurm or mpirun bound it to. 1 if the system does
 * not tell. */
int thaw_processors(void);

#endif
