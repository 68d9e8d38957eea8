#define _POSIX_C_SOURCE 200809L
#include "base/cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

thaw_status thaw_cache_path(const char *name, struct thaw_text *path)
{
	const char *own = getenv("THAW_CACHE"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	thaw_text_release(path);
	if (own ? !*own : !(cache && *cache) && !(home && *home))
		return THAW_OK;
	if (own)
		thaw_text_add(path, "%s/%s", own, name);
	else if (cache && *cache)
		thaw_text_add(path, "%s/thaw/%s", cache, name);
	else
		thaw_text_add(path, "%s/.cache/thaw/%s", home, name);
	return thaw_text_status(path);
}

thaw_status thaw_cache_make_folder(const char *path)
{
	struct thaw_text folder = THAW_TEXT_EMPTY;
	thaw_status status;

	thaw_text_add(&folder, "%.*s", (int)(strrchr(path, '/') - path), path);
	status = thaw_text_status(&folder);
	if (!status)
		status = thaw_folder_make(folder.data);
	thaw_text_release(&folder);
	return status;
}
