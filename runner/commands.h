/* The commands that run. */
#ifndef THAW_RUNNER_COMMANDS_H
#define THAW_RUNNER_COMMANDS_H

#include "base/options.h"

extern const struct thaw_command thaw_command_devices; /* what there is to compute with */
extern const struct thaw_command thaw_command_plan;    /* what a job would do */
extern const struct thaw_command thaw_command_lr_find; /* a learning rate for it */
extern const struct thaw_command thaw_command_train;   /* train as a job file says */
extern const struct thaw_command thaw_command_eval;    /* exact metrics of a checkpoint */
extern const struct thaw_command thaw_command_models;  /* architectures */
extern const struct thaw_command thaw_command_predict; /* what a network says of pictures */
extern const struct thaw_command thaw_command_weights; /* files of weights */

#endif
