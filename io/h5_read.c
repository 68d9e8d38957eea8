#include "io/h5_read.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { DEPTH_LIMIT = 8, NAME_LIMIT = 512, BLOCKS_LIMIT = 256 };

/* --- bytes ------------------------------------------------------------------------------------------------------- */

/* `count` bytes at `offset`; NULL beyond the end, or when more was visited than there is. */
static const uint8_t *visit(struct thaw_h5_reader *reader, uint64_t offset, uint64_t count)
{
	if (offset > reader->length || count > reader->length - offset || count > reader->left)
		return NULL;
	reader->left -= count;
	return reader->bytes + offset;
}

static thaw_status fail_structure(const struct thaw_h5_reader *reader, const char *what, const char *name)
{
	return thaw_fail(THAW_FAILED, "'%s': %s of '/%s' is not as thaw writes it", reader->path, what, name);
}

/* --- object headers ---------------------------------------------------------------------------------------------- */

/* Kinds of messages: section IV.A.2. */
enum {
	SPACE = 0x01,
	LINK_INFO = 0x02,
	TYPE = 0x03,
	LINK = 0x06,
	EXTERNAL_FILES = 0x07,
	LAYOUT = 0x08,
	FILTERS = 0x0b,
	ATTRIBUTE = 0x0c,
	CONTINUATION = 0x10,
	SYMBOL_TABLE = 0x11
};

struct header {
	struct thaw_h5_part space, type, layout, symbols;
	bool links; /* as groups have them since HDF5 1.8, also to other files */
};

/* Keeps what a message says. Where it is shared with another object, or a filter or another file takes part, there is
 * no layout that thaw reads. */
static thaw_status take_message(struct thaw_h5_reader *reader, struct header *header, unsigned kind, bool shared,
                                struct thaw_h5_part part, bool is_root)
{
	static const struct thaw_h5_part none = {(const uint8_t *)"", 0};

	switch (kind) {
	case SPACE:
		header->space = shared ? none : part;
		break;
	case TYPE:
		header->type = shared ? none : part;
		break;
	case LAYOUT:
		if (!header->layout.at)
			header->layout = shared ? none : part;
		break;
	case FILTERS:
	case EXTERNAL_FILES:
		header->layout = none;
		break;
	case SYMBOL_TABLE:
		header->symbols = part;
		break;
	case LINK:
	case LINK_INFO:
		header->links = true;
		break;
	case ATTRIBUTE:
		if (is_root && !shared) {
			struct thaw_h5_part *attribute =
				thaw_append(&reader->attributes, reader->attributes_count, sizeof *attribute);

			if (!attribute)
				return THAW_OUT_OF_MEMORY;
			*attribute = part;
			reader->attributes_count++;
		}
		break;
	}
	return THAW_OK;
}

/* Goes through the blocks of an object header of version 1. */
static thaw_status read_header(struct thaw_h5_reader *reader, uint64_t address, const char *name,
                               struct header *header_out)
{
	struct header header = {.links = false};
	struct thaw_h5_part blocks[BLOCKS_LIMIT];
	const uint8_t *prefix = visit(reader, address, 16);
	size_t count = 0;
	uint64_t left;

	if (!prefix || prefix[0] != 1)
		return fail_structure(reader, "the header", name);
	left = thaw_h5_number(prefix + 2, 2);
	blocks[0].length = (size_t)thaw_h5_number(prefix + 8, 4);
	blocks[0].at = visit(reader, address + 16, blocks[0].length);
	for (size_t b = 0; b <= count; b++) {
		const uint8_t *next = blocks[b].at, *end = next ? next + blocks[b].length : NULL;

		if (!next)
			return fail_structure(reader, "the header", name);
		for (; left > 0 && end - next >= 8; left--) {
			unsigned kind = (unsigned)thaw_h5_number(next, 2);
			struct thaw_h5_part part = {next + 8, (size_t)thaw_h5_number(next + 2, 2)};
			thaw_status status;

			if (part.length > (size_t)(end - part.at))
				return fail_structure(reader, "the header", name);
			if (kind == CONTINUATION) {
				if (part.length < 16 || ++count == BLOCKS_LIMIT)
					return fail_structure(reader, "the header", name);
				blocks[count].length = (size_t)thaw_h5_number(part.at + 8, 8);
				blocks[count].at = visit(reader, thaw_h5_number(part.at, 8), blocks[count].length);
			}
			status = take_message(reader, &header, kind, next[4] & 2, part, !*name);
			if (status)
				return status;
			next = part.at + part.length;
		}
	}
	*header_out = header;
	return THAW_OK;
}

/* --- groups ------------------------------------------------------------------------------------------------------ */

/* A walk through the groups. */
struct walk {
	struct thaw_h5_reader *reader;
	char name[NAME_LIMIT]; /* of the object it stands at */
	size_t length;         /* of the part of it that is the group's: 0, or up to the slash */
	int depth;
	const char *names; /* the group's heap of names, */
	uint64_t names_length;
	const char *before; /* in it: the last name; NULL before the first */
};

static thaw_status walk_group(struct walk *walk, const struct header *header);

static thaw_status add_object(struct walk *walk, enum thaw_h5_kind kind, const struct header *header)
{
	struct thaw_h5_object *object = thaw_append(&walk->reader->objects, walk->reader->objects_count, sizeof *object);

	if (!object)
		return THAW_OUT_OF_MEMORY;
	*object = (struct thaw_h5_object){thaw_copy_text(walk->name), kind, header->space, header->type, header->layout};
	walk->reader->objects_count += object->name != NULL;
	return object->name ? THAW_OK : THAW_OUT_OF_MEMORY;
}

/* An entry of a symbol table: where its name is, where its header is, and whether it is a link to a path instead. */
static thaw_status visit_symbol(struct walk *walk, const uint8_t *entry)
{
	struct thaw_h5_reader *reader = walk->reader;
	uint64_t at = thaw_h5_number(entry, 8), room = at < walk->names_length ? walk->names_length - at : 0;
	const char *name = walk->names + (room ? at : 0), *end = memchr(name, '\0', room < NAME_LIMIT ? room : NAME_LIMIT);
	size_t length = end ? (size_t)(end - name) : 0;
	struct header header = {.links = false};
	struct walk below;
	thaw_status status;

	if (length == 0 || memchr(name, '/', length) || length + walk->length + 2 > NAME_LIMIT || length > reader->left ||
	    (walk->before && strcmp(walk->before, name) >= 0)) /* they ascend: none stands there twice */
		return fail_structure(reader, "a name", walk->name);
	reader->left -= length;
	walk->before = name;
	memcpy(walk->name + walk->length, name, length + 1);
	if (thaw_h5_number(entry + 16, 4) > 1)
		return add_object(walk, THAW_H5_LINK, &header);
	status = read_header(reader, thaw_h5_number(entry + 8, 8), walk->name, &header);
	if (status)
		return status;
	if (!header.symbols.at && !header.links)
		return add_object(walk, header.layout.at && header.space.at && header.type.at ? THAW_H5_DATASET : THAW_H5_OTHER,
		                  &header);
	status = add_object(walk, THAW_H5_GROUP, &header);
	if (status)
		return status;
	below = *walk;
	below.length += length;
	below.depth++;
	return walk_group(&below, &header);
}

/* A leaf: "SNOD", and up to 65,535 entries of 40 bytes. */
static thaw_status visit_leaf(struct walk *walk, uint64_t address)
{
	const uint8_t *head = visit(walk->reader, address, 8), *entries;
	uint64_t count = head && memcmp(head, "SNOD\1", 5) == 0 ? thaw_h5_number(head + 6, 2) : 0;
	thaw_status status = THAW_OK;

	entries = count ? visit(walk->reader, address + 8, 40 * count) : NULL;
	if (!entries)
		return fail_structure(walk->reader, "a leaf", walk->name);
	for (uint64_t i = 0; i < count && !status; i++) {
		status = visit_symbol(walk, entries + 40 * i);
		walk->name[walk->length] = '\0';
	}
	return status;
}

/* A node of the tree over the leaves: names and children alternate, a name first. It stands `level` above the leaves;
 * -1: it is the root, and says how far. */
static thaw_status visit_node(struct walk *walk, uint64_t address, int level)
{
	const uint8_t *head = visit(walk->reader, address, 24), *children;
	bool known = head && memcmp(head, "TREE\0", 5) == 0 && head[5] < DEPTH_LIMIT && (level < 0 || head[5] == level);
	uint64_t count = known ? thaw_h5_number(head + 6, 2) : 0;
	thaw_status status = THAW_OK;

	if (known && count == 0 && level < 0)
		return THAW_OK; /* an empty group */
	children = count ? visit(walk->reader, address + 24, 16 * count + 8) : NULL;
	if (!children)
		return fail_structure(walk->reader, "a node", walk->name);
	for (uint64_t i = 0; i < count && !status; i++) {
		uint64_t child = thaw_h5_number(children + 16 * i + 8, 8);

		status = head[5] == 0 ? visit_leaf(walk, child) : visit_node(walk, child, head[5] - 1);
	}
	return status;
}

/* What `walk` stands at: the tree of a group, and its heap of names. */
static thaw_status walk_group(struct walk *walk, const struct header *header)
{
	struct thaw_h5_reader *reader = walk->reader;
	const uint8_t *heap;
	uint64_t offset;

	if (header->links)
		return thaw_fail(THAW_FAILED, "'%s': '/%s' holds links to elsewhere, or is of a newer HDF5 than thaw reads",
		                 reader->path, walk->name);
	if (walk->depth == DEPTH_LIMIT)
		return thaw_fail(THAW_FAILED, "'%s': more than %d groups within each other", reader->path, DEPTH_LIMIT);
	if (header->symbols.length < 16)
		return fail_structure(reader, "the table", walk->name);
	heap = visit(reader, thaw_h5_number(header->symbols.at + 8, 8), 32);
	if (!heap || memcmp(heap, "HEAP\0", 5) != 0)
		return fail_structure(reader, "the heap", walk->name);
	walk->names_length = thaw_h5_number(heap + 8, 8);
	offset = thaw_h5_number(heap + 24, 8);
	if (offset > reader->length || walk->names_length > reader->length - offset)
		return fail_structure(reader, "the heap", walk->name);
	walk->names = (const char *)reader->bytes + offset;
	walk->before = NULL;
	if (walk->depth > 0)
		walk->name[walk->length++] = '/';
	walk->name[walk->length] = '\0';
	return visit_node(walk, thaw_h5_number(header->symbols.at, 8), -1);
}

/* --- the file ---------------------------------------------------------------------------------------------------- */

/* Superblock 0, whose numbers have 8 bytes and whose addresses count from the first byte; the root group's header. */
static thaw_status read_superblock(struct thaw_h5_reader *reader, struct header *root_out)
{
	const uint8_t *block = visit(reader, 0, 96);

	if (!block || memcmp(block, "\x89HDF\r\n\x1a\n", 8) != 0)
		return thaw_fail(THAW_FAILED, "'%s' is not HDF5", reader->path);
	if (block[8] != 0 || block[13] != 8 || block[14] != 8 || thaw_h5_number(block + 24, 8) != 0)
		return thaw_fail(THAW_FAILED, "'%s' is of another version of HDF5's format than thaw reads, its first",
		                 reader->path);
	return read_header(reader, thaw_h5_number(block + 64, 8), "", root_out);
}

thaw_status thaw_h5_open(const char *path, const void *bytes, size_t length, struct thaw_h5_reader *reader_out)
{
	struct thaw_h5_reader reader = {.path = path, .bytes = bytes, .length = length, .left = length};
	struct walk walk = {.reader = &reader};
	struct header root;
	thaw_status status = read_superblock(&reader, &root);

	if (!status)
		status = walk_group(&walk, &root);
	if (status)
		thaw_h5_close(&reader);
	else
		*reader_out = reader;
	return status;
}

void thaw_h5_close(struct thaw_h5_reader *reader)
{
	for (size_t i = 0; i < reader->objects_count; i++)
		free(reader->objects[i].name);
	free(reader->objects);
	free(reader->attributes);
}
