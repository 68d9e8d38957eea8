/*
 * Small splits for tests, in a folder of their own.
 *
 * Picture i is (16 + 5 * (i % 4), 20 + 7 * (i % 3)), has label i % classes and the pixels of split_pixel().
 */
#ifndef THAW_TESTS_UNIT_SPLIT_H
#define THAW_TESTS_UNIT_SPLIT_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/shard.h"

enum { SPLIT_PICTURES = 64 };

static const char *const split_classes[] = {"ants", "bees", "wasps"};

static inline uint8_t split_pixel(int64_t picture, int y, int x, int channel)
{
	return (uint8_t)((y * 7 + x * 3 + channel * 50 + picture * 11) % 256);
}

/* CRC-32C bit by bit, as RFC 3720 defines it. */
static inline uint32_t split_crc32c(const uint8_t *bytes, size_t length)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

/* One shard's pictures `first .. first + count - 1`, ready to be written or changed before. */
struct split_shard {
	struct thaw_dataset_facts facts;
	const char *classes[3];
	struct thaw_picture index[SPLIT_PICTURES];
	char name[SPLIT_PICTURES][32];
	const char *names[SPLIT_PICTURES];
	uint8_t *pixels[SPLIT_PICTURES];
	struct thaw_shard shard;
};

static inline struct split_shard *split_draw(int64_t total, int64_t first, int64_t count)
{
	struct split_shard *s = calloc(1, sizeof *s);
	uint64_t offset = 0;

	s->facts = (struct thaw_dataset_facts){
		.split = "train", .count = total, .classes = 3, .resize = 16, .mean = {0.5f, 0.25f, 0.75f}, .std = {1, 2, 4}};
	memcpy(s->classes, split_classes, sizeof split_classes);
	for (int64_t k = 0; k < count; k++) {
		int64_t i = first + k;
		int height = 16 + 5 * (int)(i % 4), width = 20 + 7 * (int)(i % 3);
		uint8_t *p = s->pixels[k] = malloc((size_t)height * (size_t)width * 3);

		for (int y = 0; y < height; y++)
			for (int x = 0; x < width; x++)
				for (int c = 0; c < 3; c++)
					*p++ = split_pixel(i, y, x, c);
		snprintf(s->name[k], sizeof s->name[k], "%s/%lld.png", split_classes[i % 3], (long long)i);
		s->names[k] = s->name[k];
		s->index[k].offset = offset;
		s->index[k].height = (uint16_t)height;
		s->index[k].width = (uint16_t)width;
		s->index[k].label = (int32_t)(i % 3);
		s->index[k].crc32c = split_crc32c(s->pixels[k], (size_t)height * (size_t)width * 3);
		offset += (uint64_t)height * (uint64_t)width * 3;
	}
	s->shard = (struct thaw_shard){.facts = &s->facts,
								   .classes = s->classes,
								   .count = count,
								   .index = s->index,
								   .names = s->names,
								   .pixels = (const uint8_t *const *)s->pixels};
	return s;
}

static inline void split_free(struct split_shard *s)
{
	for (int64_t k = 0; k < s->shard.count; k++)
		free(s->pixels[k]);
	free(s);
}

/* Draws and writes one shard. */
static inline thaw_status split_write(const char *path, int64_t total, int64_t first, int64_t count)
{
	struct split_shard *s = split_draw(total, first, count);
	thaw_status status = thaw_shard_write(path, &s->shard);

	split_free(s);
	return status;
}

/* A new folder, whose name stays valid to the end. */
static inline const char *split_folder(void)
{
	static char folder[] = "/tmp/thaw-test-XXXXXX";

	if (!mkdtemp(folder))
		abort();
	return folder;
}

/* Removes the folder and the files in it. */
static inline void split_remove(const char *folder)
{
	DIR *entries = opendir(folder);

	for (struct dirent *entry; entries && (entry = readdir(entries)) != NULL;)
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(entries), entry->d_name, 0);
	closedir(entries);
	rmdir(folder);
}

#endif
