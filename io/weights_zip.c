/*
 * torch.save() since PyTorch 1.6: a zip file whose entries are stored as they are, all in one folder:
 *
 *     NAME/data.pkl       the pickle; a storage's id names an entry,
 *     NAME/data/KEY       which is its bytes
 *     NAME/byteorder      "little", where it is there
 *
 * minizip reads the directory; the bytes are looked at where they lie in the map. Entries may not overlap, nor have the
 * same name, nor, those that are used, be compressed: what an archive unfolds to is never more than it is. Checksums of
 * the entries that are used are compared, where the file has any.
 */
#include "io/weights_torch.h"

#include <libdeflate.h>
#include <minizip/unzip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
	ENTRIES_LIMIT = 1 << 14,
	NAME_LIMIT = 256,
	END = 22, /* bytes of the record at the end, which torch.save() writes without a comment */
};

struct entry {
	char name[NAME_LIMIT];
	uint64_t offset, length; /* bytes of the file */
	uint32_t crc32;
	bool compressed, checked;
};

struct zip {
	struct thaw_weights_reader *reader;
	struct entry *entries; /* (count) in byte-wise order of their names */
	size_t count;
	size_t folder;         /* bytes of "NAME/" */
	bool has_checksums;    /* torch.serialization.set_crc32_options(False) writes zeros */
	uint64_t at;           /* where minizip reads */
};

/* --- a file in memory, for minizip ------------------------------------------------------------------------------- */

static voidpf open_memory(voidpf zip, const void *name, int mode)
{
	(void)name;
	(void)mode;
	((struct zip *)zip)->at = 0;
	return zip;
}

static uLong read_memory(voidpf opaque, voidpf stream, void *to, uLong count)
{
	struct zip *zip = stream;
	uint64_t left = zip->reader->length - zip->at;

	(void)opaque;
	count = count < left ? count : (uLong)left;
	memcpy(to, zip->reader->bytes + zip->at, count);
	zip->at += count;
	return count;
}

static uLong write_memory(voidpf opaque, voidpf stream, const void *from, uLong count)
{
	(void)opaque;
	(void)stream;
	(void)from;
	(void)count;
	return 0;
}

static ZPOS64_T tell_memory(voidpf opaque, voidpf stream)
{
	(void)opaque;
	return ((struct zip *)stream)->at;
}

static long seek_memory(voidpf opaque, voidpf stream, ZPOS64_T offset, int origin)
{
	struct zip *zip = stream;
	uint64_t base = origin == ZLIB_FILEFUNC_SEEK_SET ? 0
	                : origin == ZLIB_FILEFUNC_SEEK_CUR ? zip->at
	                                                   : zip->reader->length;

	(void)opaque;
	if (offset > zip->reader->length - base)
		return -1;
	zip->at = base + offset;
	return 0;
}

/* Closing, and asking for an error: there is none. */
static int no_error(voidpf opaque, voidpf stream)
{
	(void)opaque;
	(void)stream;
	return 0;
}

/* --- directory --------------------------------------------------------------------------------------------------- */

static thaw_status fail(const struct zip *zip, const char *what)
{
	return thaw_fail(THAW_FAILED, "'%s' is damaged: %s", zip->reader->path, what);
}

/* The entry that minizip stands at. */
static thaw_status read_entry(const struct zip *zip, unzFile file, struct entry *entry_out)
{
	unz_file_info64 info;

	if (unzGetCurrentFileInfo64(file, &info, entry_out->name, sizeof entry_out->name, NULL, 0, NULL, 0) != UNZ_OK)
		return fail(zip, "an entry of its zip directory cannot be read");
	if (info.size_filename >= sizeof entry_out->name || strlen(entry_out->name) != info.size_filename)
		return fail(zip, "an entry of its zip directory has a name of over 255 bytes, or with a zero in it");
	if (info.flag & 1)
		return thaw_fail(THAW_FAILED, "'%s': '%s' in it is encrypted", zip->reader->path, entry_out->name);
	if (unzOpenCurrentFile(file) != UNZ_OK)
		return thaw_fail(THAW_FAILED, "'%s' is damaged: '%s' is not where its zip directory says", zip->reader->path,
		                 entry_out->name);
	entry_out->offset = unzGetCurrentFileZStreamPos64(file);
	(void)unzCloseCurrentFile(file);
	entry_out->length = info.compressed_size;
	entry_out->compressed = info.compression_method != 0 || info.compressed_size != info.uncompressed_size;
	entry_out->crc32 = (uint32_t)info.crc;
	if (entry_out->offset > zip->reader->length || entry_out->length > zip->reader->length - entry_out->offset)
		return thaw_fail(THAW_FAILED, "'%s' is cut short: '%s' ends behind its end", zip->reader->path,
		                 entry_out->name);
	return THAW_OK;
}

static int by_offset(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* No two share bytes or a name; afterwards they are in order of names. */
static thaw_status check_entries(struct zip *zip)
{
	qsort(zip->entries, zip->count, sizeof *zip->entries, by_offset);
	for (size_t i = 1; i < zip->count; i++)
		if (zip->entries[i].offset - zip->entries[i - 1].offset < zip->entries[i - 1].length)
			return fail(zip, "entries of its zip directory overlap");
	qsort(zip->entries, zip->count, sizeof *zip->entries, by_name);
	for (size_t i = 1; i < zip->count; i++)
		if (strcmp(zip->entries[i].name, zip->entries[i - 1].name) == 0)
			return fail(zip, "two entries of its zip directory have the same name");
	return THAW_OK;
}

static thaw_status read_directory(struct zip *zip)
{
	zlib_filefunc64_def memory = {
		.zopen64_file = open_memory,
		.zread_file = read_memory,
		.zwrite_file = write_memory,
		.ztell64_file = tell_memory,
		.zseek64_file = seek_memory,
		.zclose_file = no_error,
		.zerror_file = no_error,
		.opaque = zip,
	};
	thaw_status status = THAW_OK;
	unz_global_info64 info;
	unzFile file = NULL;

	if (zip->reader->length >= END && memcmp(zip->reader->bytes + zip->reader->length - END, "PK\5\6", 4) == 0)
		file = unzOpen2_64(zip->reader->path, &memory);
	if (!file)
		return thaw_fail(THAW_FAILED, "'%s' is cut short or damaged: no directory of its zip file at its end",
		                 zip->reader->path);
	if (unzGetGlobalInfo64(file, &info) != UNZ_OK || info.number_entry == 0 || info.number_entry > ENTRIES_LIMIT) {
		status = fail(zip, "its zip directory is empty, or has over 16384 entries");
		goto close_file;
	}
	zip->entries = thaw_alloc((size_t)info.number_entry, sizeof *zip->entries);
	if (!zip->entries)
		status = THAW_OUT_OF_MEMORY;
	for (int more = unzGoToFirstFile(file); more == UNZ_OK && !status && zip->count < info.number_entry;
	     more = unzGoToNextFile(file)) {
		status = read_entry(zip, file, &zip->entries[zip->count]);
		zip->has_checksums |= zip->entries[zip->count++].crc32 != 0;
	}
	if (!status && zip->count != info.number_entry)
		status = fail(zip, "its zip directory has fewer entries than it says");
	if (!status)
		status = check_entries(zip);
close_file:
	(void)unzClose(file);
	return status;
}

/* --- entries ----------------------------------------------------------------------------------------------------- */

/* NAME/`folder``key`, compared with its checksum; NULL: there is none. */
static thaw_status find_entry(struct zip *zip, const char *folder, const char *key, size_t key_length,
                              struct entry **entry_out)
{
	size_t length = zip->folder + strlen(folder) + key_length;
	struct entry wanted, *found;

	*entry_out = NULL;
	if (length >= sizeof wanted.name || memchr(key, '\0', key_length))
		return THAW_OK;
	memcpy(wanted.name, zip->entries[0].name, zip->folder);
	snprintf(wanted.name + zip->folder, sizeof wanted.name - zip->folder, "%s%.*s", folder, (int)key_length, key);
	found = bsearch(&wanted, zip->entries, zip->count, sizeof wanted, by_name);
	if (found && found->compressed)
		return thaw_fail(THAW_FAILED, "'%s': '%s' in it is compressed, which torch.save() does not do",
		                 zip->reader->path, found->name);
	if (found && zip->has_checksums && !found->checked) {
		if (libdeflate_crc32(0, zip->reader->bytes + found->offset, (size_t)found->length) != found->crc32)
			return thaw_fail(THAW_FAILED, "'%s' is damaged: the checksum of '%s' differs", zip->reader->path,
			                 found->name);
		found->checked = true;
	}
	*entry_out = found;
	return THAW_OK;
}

static thaw_status locate(void *context, struct thaw_storage *storage)
{
	struct zip *zip = context;
	struct entry *entry;
	thaw_status status = find_entry(zip, "data/", storage->key, storage->key_length, &entry);

	if (status)
		return status;
	if (!entry)
		return thaw_fail(THAW_FAILED, "'%s' is damaged: its pickle names storage '%.*s', which is not there",
		                 zip->reader->path, storage->key_length < 40 ? (int)storage->key_length : 40, storage->key);
	storage->data = zip->reader->bytes + entry->offset;
	storage->data_length = entry->length;
	return THAW_OK;
}

static thaw_status check_byte_order(struct zip *zip)
{
	struct entry *entry;
	thaw_status status = find_entry(zip, "byteorder", "", 0, &entry);

	if (!status && entry && (entry->length != 6 || memcmp(zip->reader->bytes + entry->offset, "little", 6) != 0))
		status = thaw_fail(THAW_FAILED, "'%s' was written on a big-endian machine", zip->reader->path);
	return status;
}

static thaw_status read_pickle(struct zip *zip)
{
	struct thaw_pickle pickle = {.path = zip->reader->path, .rules = &thaw_torch_rules};
	struct thaw_pickle_value *root;
	struct entry *entry;
	thaw_status status = find_entry(zip, "data.pkl", "", 0, &entry);

	if (status)
		return status;
	if (!entry)
		return thaw_fail(THAW_FAILED, "'%s' is a zip file, and not one of torch.save(): no data.pkl in its first folder",
		                 zip->reader->path);
	pickle.at = zip->reader->bytes + entry->offset;
	pickle.end = pickle.at + entry->length;
	status = thaw_pickle_read(&pickle, &root);
	if (!status)
		status = thaw_torch_collect(zip->reader, root, locate, zip);
	thaw_pickle_release(&pickle);
	return status;
}

thaw_status thaw_weights_read_zip(struct thaw_weights_reader *reader)
{
	struct zip zip = {.reader = reader};
	thaw_status status = read_directory(&zip);

	if (!status) {
		const char *slash = strchr(zip.entries[0].name, '/');

		zip.folder = slash ? (size_t)(slash + 1 - zip.entries[0].name) : 0;
		status = check_byte_order(&zip);
	}
	if (!status)
		status = read_pickle(&zip);
	free(zip.entries);
	return status;
}
