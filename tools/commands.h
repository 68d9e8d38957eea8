/* The commands that prepare and look. */
#ifndef THAW_TOOLS_COMMANDS_H
#define THAW_TOOLS_COMMANDS_H

#include "base/options.h"

extern const struct thaw_command thaw_command_demo;   /* draw a small picture set */
extern const struct thaw_command thaw_command_pack;   /* class folders -> shards */
extern const struct thaw_command thaw_command_show;   /* what a shard or checkpoint holds */
extern const struct thaw_command thaw_command_report; /* run folders -> one page */

#endif
