#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "nn/cuda/module.h"

/* The folder of the program, with a slash behind it. */
static thaw_status find_program(char folder_out[PATH_MAX])
{
	ssize_t length = readlink("/proc/self/exe", folder_out, PATH_MAX - 1);

	while (length > 0 && folder_out[length - 1] != '/')
		length--;
	if (length <= 0)
		return thaw_fail(THAW_FAILED, "cannot find the folder that the program stands in");
	folder_out[length] = '\0';
	return THAW_OK;
}

/* A file that was cut off would end the process when it is mapped. The last thing in it is its table of sections. */
static bool is_whole(const char *path)
{
	Elf64_Ehdr head;
	struct stat file;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool whole = fd >= 0 && fstat(fd, &file) == 0 && read(fd, &head, sizeof head) == (ssize_t)sizeof head &&
	             memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
	             head.e_shoff + (uint64_t)head.e_shnum * head.e_shentsize <= (uint64_t)file.st_size;

	if (fd >= 0)
		close(fd);
	return whole;
}

static thaw_status open_file(void **file_out)
{
	static const char *const places[] = {"thaw-cuda.so", "../lib/thaw/thaw-cuda.so"};
	char folder[PATH_MAX], path[PATH_MAX + 32];
	thaw_status status = find_program(folder);

	for (size_t i = 0; i < sizeof places / sizeof *places && !status; i++) {
		snprintf(path, sizeof path, "%s%s", folder, places[i]);
		if (access(path, F_OK) != 0)
			continue;
		if (!is_whole(path))
			return thaw_fail(THAW_FAILED, "no GPU: '%s' is not whole, or no program file", path);
		*file_out = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		return *file_out ? THAW_OK : thaw_fail(THAW_FAILED, "no GPU: cannot load '%s': %s", path, dlerror());
	}
	return status ? status : thaw_fail(THAW_FAILED, "no GPU: there is no 'thaw-cuda.so' beside the program");
}

thaw_status thaw_cuda_load(const struct thaw_cuda_module **module_out)
{
	static const struct thaw_cuda_module *module;
	void *file;
	thaw_status status = module ? THAW_OK : open_file(&file);

	if (!status && !module) {
		module = dlsym(file, "thaw_cuda_module");
		if (!module || strcmp(module->version, THAW_VERSION) != 0) {
			module = NULL;
			return thaw_fail(THAW_FAILED, "no GPU: 'thaw-cuda.so' belongs to another version of the program");
		}
	}
	if (!status)
		*module_out = module;
	return status;
}

bool thaw_cuda_has_driver(void)
{
	return dlopen("libcuda.so.1", RTLD_LAZY | RTLD_GLOBAL) != NULL;
}

thaw_status thaw_cuda_find(const struct thaw_cuda_module **module_out)
{
	if (!thaw_cuda_has_driver())
		return thaw_fail(THAW_FAILED, "no GPU: there is no NVIDIA driver here");
	return thaw_cuda_load(module_out);
}
