/* tools/pack_spool: the shards of a split hold what was added, whatever the disk did to it in between, or nothing. */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/test.h"
#include "tests/unit/split.h"
#include "tools/pack_spool.h"

static const char *folder;

/* Files in the folder whose names hold `part`. */
static int files(const char *part)
{
	DIR *entries = opendir(folder);
	int count = 0;

	for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;)
		count += entry->d_name[0] != '.' && strstr(entry->d_name, part) != NULL;
	closedir(entries);
	return count;
}

/* Seven pictures, whose sizes split.h tells, with `limit` bytes a shard. */
static void fill(struct thaw_spool *spool, struct split_shard *pictures, uint64_t limit)
{
	CHECK_OK(thaw_spool_init(spool, folder, "train", 7, limit));
	CHECK_INT(files(""), 0); /* the spool file has no name */
	for (int i = 0; i < 7; i++)
		CHECK_OK(thaw_spool_add(spool, &pictures->index[i], pictures->names[i], pictures->pixels[i]));
	fflush(spool->file);
}

static void test_whole(void)
{
	struct split_shard *pictures = split_draw(7, 0, 7);
	struct thaw_dataset *dataset;
	struct thaw_spool spool;
	char path[128];

	pictures->names[3] = "bees/\xff\n.png";
	fill(&spool, pictures, 5000);
	CHECK(spool.shards > 2);
	CHECK_OK(thaw_spool_write(&spool, &pictures->facts, pictures->classes));
	CHECK_INT(files(".tmp"), spool.shards);
	CHECK_INT(lseek(fileno(spool.file), 0, SEEK_END), 0); /* nothing is there twice */
	CHECK_OK(thaw_spool_publish(&spool));
	CHECK_INT(files(".tmp"), 0);
	thaw_spool_release(&spool);
	snprintf(path, sizeof path, "%s/train-*.h5", folder);
	CHECK_OK(thaw_dataset_open(path, "train", &dataset));
	for (int i = 0; i < 7; i++) {
		const uint8_t *pixels;
		const struct thaw_picture *picture = thaw_dataset_picture(dataset, i, &pixels), *want = &pictures->index[i];

		CHECK(picture->height == want->height && picture->width == want->width && picture->label == want->label);
		CHECK(memcmp(pixels, pictures->pixels[i], (size_t)want->height * want->width * 3) == 0);
		CHECK_TEXT(thaw_dataset_name(dataset, i), i == 3 ? "bees/\\xFF\\x0A.png" : pictures->names[i]);
	}
	thaw_dataset_free(dataset);
	CHECK_OK(thaw_folder_clean(folder, "\\.h5$"));
	split_free(pictures);
}

/* A byte of picture 4 changed, and bytes lost. */
static void test_damage(void)
{
	struct split_shard *pictures = split_draw(7, 0, 7);
	struct thaw_spool spool;

	fill(&spool, pictures, 5000);
	CHECK(pwrite(fileno(spool.file), "!", 1, (off_t)pictures->index[4].offset + 100) == 1);
	CHECK_FAILS(thaw_spool_write(&spool, &pictures->facts, pictures->classes), THAW_FAILED,
	            "/train.pixels.tmp' reads back different from what was written: picture 'bees/4.png'");
	thaw_spool_release(&spool);
	CHECK_OK(thaw_spool_clean(folder));
	fill(&spool, pictures, 1 << 20);
	CHECK(ftruncate(fileno(spool.file), (off_t)spool.bytes - 1) == 0);
	CHECK_FAILS(thaw_spool_write(&spool, &pictures->facts, pictures->classes), THAW_FAILED,
	            "/train.pixels.tmp': it became shorter");
	thaw_spool_release(&spool);
	CHECK_INT(files(""), 0);
	CHECK_FAILS(thaw_spool_init(&spool, "/nowhere", "val", 1, 1), THAW_FAILED,
	            "cannot create '/nowhere/val.pixels.tmp'");
	split_free(pictures);
}

static int lies; /* fsync() calls until a byte of the file is changed */

/* The disk as the library sees it. */
int fsync(int fd)
{
	if (--lies == 0)
		CHECK(pwrite(fd, "!", 1, lseek(fd, 0, SEEK_END) - 100) == 1); /* in the last picture, before the seal */
	return fdatasync(fd);
}

static void test_shards_are_read_back(void)
{
	struct split_shard *pictures = split_draw(7, 0, 7);
	struct thaw_spool spool;

	fill(&spool, pictures, 1 << 20);
	lies = 1;
	CHECK_FAILS(thaw_spool_write(&spool, &pictures->facts, pictures->classes), THAW_FAILED,
	            "/train-00000.tmp' is damaged: the pixels of 'ants/6.png' have another checksum");
	thaw_spool_release(&spool);
	CHECK_OK(thaw_spool_clean(folder));
	CHECK_INT(files(""), 0);
	split_free(pictures);
}

int main(void)
{
	folder = split_folder();
	test_whole();
	test_damage();
	test_shards_are_read_back();
	split_remove(folder);
	return TEST_END();
}
