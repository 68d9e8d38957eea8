/* Goes through a corpus: replay FOLDER... . Every file of the folders, all of which are small, is given to the target,
 * which may have 1 GiB; its name is printed before. */
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/file.h"
#include "tests/fuzz/fuzz.h"

static int replay(const char *path)
{
	char *bytes;
	size_t length;

	if (thaw_file_read(path, (size_t)1 << 24, &bytes, &length)) {
		printf("%s\n", thaw_fail_text());
		return 1;
	}
	fprintf(stderr, "%s\n", path);
	(void)LLVMFuzzerTestOneInput((const uint8_t *)bytes, length);
	free(bytes);
	return 0;
}

int main(int argc, char **argv)
{
	int files = 0, failures = 0;

#if !defined(__SANITIZE_ADDRESS__) /* which takes terabytes of addresses */
	(void)setrlimit(RLIMIT_AS, &(struct rlimit){(rlim_t)1 << 30, (rlim_t)1 << 30});
#endif
	for (int i = 1; i < argc; i++) {
		struct dirent **entries;
		int count = scandir(argv[i], &entries, NULL, alphasort);

		for (int k = 0; k < count; k++) {
			char path[1024];

			snprintf(path, sizeof path, "%s/%s", argv[i], entries[k]->d_name);
			if (entries[k]->d_name[0] != '.') {
				failures += replay(path);
				files++;
			}
			free(entries[k]);
		}
		if (count >= 0)
			free(entries);
	}
	printf("%d files\n", files);
	return files == 0 || failures > 0;
}
