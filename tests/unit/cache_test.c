/* Where the cache's folder is, by the environment. */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include "base/cache.h"

#include <stdlib.h>

#include "tests/test.h"

static void set_or_unset(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

int main(void)
{
	static const struct {
		const char *own, *cache, *home, *want;
	} rows[] = {
		{"/own", "/xdg", "/home/me", "/own/a.txt"},
		{NULL, "/xdg", "/home/me", "/xdg/thaw/a.txt"},
		{NULL, "", "/home/me", "/home/me/.cache/thaw/a.txt"},
		{NULL, NULL, "/home/me", "/home/me/.cache/thaw/a.txt"},
		{"/own", NULL, NULL, "/own/a.txt"},
		{"", "/xdg", "/home/me", ""},
		{NULL, NULL, "", ""},
		{NULL, NULL, NULL, ""},
	};
	struct thaw_text path = THAW_TEXT_EMPTY;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		set_or_unset("THAW_CACHE", rows[i].own);
		set_or_unset("XDG_CACHE_HOME", rows[i].cache);
		set_or_unset("HOME", rows[i].home);
		CHECK_OK(thaw_cache_path("a.txt", &path));
		CHECK_TEXT(path.data, rows[i].want);
	}
	CHECK_FAILS(thaw_cache_make_folder("/proc/none/a.txt"), THAW_FAILED, "cannot make folder '/proc/none'");
	thaw_text_release(&path);
	return TEST_END();
}
