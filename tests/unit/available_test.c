/* What is left of a machine's memory, from texts as kernels write them: hosts, control groups of both versions. */
#define _GNU_SOURCE /* mkdtemp */
#include "base/available.h"

#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/test.h"

static char root[] = "/tmp/thaw-available-XXXXXX";

/* A file below the root, with its folders. */
static void write_file(const char *path, const char *text)
{
	struct thaw_text place = THAW_TEXT_EMPTY, folder = THAW_TEXT_EMPTY;

	thaw_text_add(&place, "%s/%s", root, path);
	thaw_text_add_bytes(&folder, place.data, (size_t)(strrchr(place.data, '/') - place.data));
	CHECK_OK(thaw_folder_make(folder.data));
	CHECK_OK(thaw_file_replace(place.data, text, strlen(text)));
	thaw_text_release(&place);
	thaw_text_release(&folder);
}

/* An empty machine. */
static void begin(void)
{
	char command[96];

	snprintf(command, sizeof command, "rm -rf %s && mkdir %s", root, root);
	CHECK_INT(system(command), 0);
}

static const char meminfo[] = "MemTotal:       24684096 kB\n"
							  "MemFree:        20402316 kB\n"
							  "MemAvailable:       8000 kB\n"
							  "Buffers:           59920 kB\n"
							  "SwapCached:            9 kB\n"
							  "SwapTotal:          4096 kB\n"
							  "SwapFree:            192 kB\n";

static uint64_t kib(void)
{
	uint64_t bytes = thaw_memory_available(root);

	return bytes == UINT64_MAX ? bytes : bytes / 1024;
}

static void test_host(void)
{
	begin();
	CHECK(kib() == UINT64_MAX);
	write_file("proc/meminfo", "MemTotal: 1 kB\nMemFree: 1 kB\n"); /* before Linux 3.14 */
	CHECK(kib() == UINT64_MAX);
	write_file("proc/meminfo", meminfo);
	CHECK_INT(kib(), 8192);
	write_file("proc/meminfo", "MemAvailable:       8000 kB\n");
	CHECK_INT(kib(), 8000);
	write_file("proc/meminfo", "MemAvailable:   16000000 kB\n"); /* more than 32 bits of bytes */
	CHECK_INT(kib(), 16000000);
}

/* 4 MiB of limit, of which 3 MiB are used, of these 1 MiB by files: 2 MiB are left. */
static void test_version_2(void)
{
	begin();
	write_file("proc/meminfo", meminfo);
	write_file("proc/self/cgroup", "0::/system.slice/slurm/job_7\n");
	CHECK_INT(kib(), 8192);
	write_file("sys/fs/cgroup/system.slice/slurm/job_7/memory.max", "max\n");
	write_file("sys/fs/cgroup/system.slice/slurm/job_7/memory.current", "3145728\n");
	CHECK_INT(kib(), 8192);
	write_file("sys/fs/cgroup/system.slice/slurm/job_7/memory.max", "4194304\n");
	CHECK_INT(kib(), 1024);
	write_file("sys/fs/cgroup/system.slice/slurm/job_7/memory.stat",
	           "anon 2097152\nfile 1048576\nshmem 0\ninactive_anon 5\ninactive_file 786432\nactive_file 262144\n");
	CHECK_INT(kib(), 2048);
	/* a group above has less left, or none at all */
	write_file("sys/fs/cgroup/system.slice/memory.max", "5242880\n");
	write_file("sys/fs/cgroup/system.slice/memory.current", "4194304\n");
	CHECK_INT(kib(), 1024);
	write_file("sys/fs/cgroup/system.slice/memory.current", "6291456\n");
	CHECK_INT(kib(), 0);
	/* limits of groups that this process is not in */
	write_file("proc/self/cgroup", "0::/user.slice\n");
	CHECK_INT(kib(), 8192);
	/* in a container the path is the host's, or "/" */
	write_file("sys/fs/cgroup/memory.max", "4194304\n");
	write_file("sys/fs/cgroup/memory.current", "3145728\n");
	CHECK_INT(kib(), 1024);
	write_file("proc/self/cgroup", "0::/\n");
	CHECK_INT(kib(), 1024);
	write_file("proc/self/cgroup", "0::/docker/0123/../..\n");
	CHECK_INT(kib(), 1024);
}

static void test_version_1(void)
{
	begin();
	write_file("proc/meminfo", meminfo);
	write_file("proc/self/cgroup", "9:name=systemd:/\n8:pids:/memory\n4:cpu,memory,devices:/jobs/7\n0::/\n");
	write_file("sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "9223372036854771712\n"); /* none */
	write_file("sys/fs/cgroup/memory/jobs/7/memory.usage_in_bytes", "3145728\n");
	CHECK_INT(kib(), 8192);
	write_file("sys/fs/cgroup/memory/jobs/7/memory.limit_in_bytes", "4194304\n");
	write_file("sys/fs/cgroup/memory/jobs/7/memory.stat",
	           "inactive_file 9999999\nactive_file 9999999\ntotal_inactive_file 1048576\ntotal_active_file 4096\n");
	CHECK_INT(kib(), 2052);
	write_file("proc/self/cgroup", "4:memory_not:/jobs/7\n3:cpu:/jobs/7\n");
	CHECK_INT(kib(), 8192);
	write_file("proc/self/cgroup", "no line of this kind\n:\n\n");
	CHECK_INT(kib(), 8192);
}

static void test_check(void)
{
	const uint64_t mib = 1 << 20;

	CHECK_OK(thaw_memory_check(10 * mib, 1, 0, 10 * mib, "activations"));
	CHECK_FAILS(thaw_memory_check(10 * mib, 1, 0, 10 * mib + 1, "activations"), THAW_OUT_OF_MEMORY,
	            "out of memory: activations need 10.0 MiB, available are 10.0 MiB");
	CHECK(!strstr(thaw_fail_text(), "ranks"));
	/* two ranks: each has half of what is left, and what it has */
	CHECK_OK(thaw_memory_check(10 * mib, 2, 0, 5 * mib, "activations"));
	CHECK_FAILS(thaw_memory_check(10 * mib, 2, 0, 6 * mib, "activations"), THAW_OUT_OF_MEMORY,
	            "activations need 6.0 MiB, available are 5.0 MiB for each of 2 ranks");
	CHECK_OK(thaw_memory_check(10 * mib, 2, 3 * mib, 8 * mib, "activations"));
	CHECK_FAILS(thaw_memory_check(10 * mib, 2, 3 * mib, 9 * mib, "activations"), THAW_OUT_OF_MEMORY,
	            "activations need 9.0 MiB, available are 8.0 MiB for each of 2 ranks");
	CHECK_OK(thaw_memory_check(0, 1, 3 * mib, 2 * mib, "activations"));
	CHECK_OK(thaw_memory_check(UINT64_MAX, 1, 0, SIZE_MAX, "activations"));
}

/* A slab that this machine has no memory for, though it may have the addresses. */
static void test_slab(void)
{
	const size_t tib = (size_t)1 << 40;

	if (thaw_memory_available("") > 64 * tib)
		return;
	CHECK(thaw_alloc_slab(64 * tib, "activations") == NULL);
	CHECK(strstr(thaw_fail_text(), "out of memory: activations need 67108864.0 MiB, available are ") != NULL);
}

int main(void)
{
	if (!mkdtemp(root))
		return 1;
	test_host();
	test_version_2();
	test_version_1();
	test_check();
	test_slab();
	begin();
	rmdir(root);
	return TEST_END();
}
