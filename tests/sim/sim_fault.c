#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

bool thaw_sim_fault(const char *kind, const char *of)
{
	static const char *asked;
	size_t length = strlen(kind);

	if (!asked)
		asked = getenv("THAW_SIM_FAULT") ? getenv("THAW_SIM_FAULT") : "";
	return strncmp(asked, kind, length) == 0 && asked[length] == ':' && strcmp(asked + length + 1, of) == 0;
}
