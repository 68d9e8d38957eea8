#include "io/pickle.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
	BLOCK = 64 << 10,
	VALUES_LIMIT = 32 << 20, /* bytes; a ResNet-152 with two optimizer slots needs 3 million */
	BYTES_LIMIT = 16 << 20,  /* of all pickles; a ResNet-152 with two optimizer slots has a half million */
	STACK_LIMIT = 1 << 20,   /* values; of a dictionary or list a thousand items stand there at a time */
	NAME_LIMIT = 128,
};

struct thaw_pickle_block {
	struct thaw_pickle_block *before;
	_Alignas(16) unsigned char bytes[];
};

static thaw_status fail_at(const struct thaw_pickle *pickle, const char *what)
{
	return thaw_fail(THAW_FAILED, "'%s' is damaged: %s at byte %td of a pickle", pickle->path, what,
	                 pickle->at - pickle->begin);
}

/* --- values ------------------------------------------------------------------------------------------------------ */

void *thaw_pickle_alloc(struct thaw_pickle *pickle, size_t size_bytes)
{
	struct thaw_pickle_block *block = pickle->blocks;

	size_bytes = (size_bytes + 15) & ~(size_t)15;
	if (!block || pickle->block_used + size_bytes > BLOCK) {
		if (BLOCK > VALUES_LIMIT - pickle->used) {
			pickle->status = thaw_fail(THAW_FAILED, "'%s': its pickles make more than %d MiB of values", pickle->path,
			                           VALUES_LIMIT >> 20);
			return NULL;
		}
		block = thaw_alloc(1, sizeof *block + BLOCK);
		if (!block) {
			pickle->status = THAW_OUT_OF_MEMORY;
			return NULL;
		}
		block->before = pickle->blocks;
		pickle->blocks = block;
		pickle->block_used = 0;
		pickle->used += BLOCK;
	}
	pickle->block_used += size_bytes;
	return block->bytes + pickle->block_used - size_bytes;
}

struct thaw_pickle_value *thaw_pickle_new(struct thaw_pickle *pickle, enum thaw_pickle_kind kind)
{
	struct thaw_pickle_value *value = thaw_pickle_alloc(pickle, sizeof *value);

	if (value)
		value->kind = kind;
	return value;
}

thaw_status thaw_pickle_append(struct thaw_pickle *pickle, struct thaw_pickle_value *list,
                               struct thaw_pickle_value *value)
{
	struct thaw_pickle_item *item = thaw_pickle_alloc(pickle, sizeof *item);

	if (!item)
		return pickle->status;
	item->value = value;
	if (list->last)
		list->last->next = item;
	else
		list->first = item;
	list->last = item;
	list->count++;
	return THAW_OK;
}

const struct thaw_pickle_value *thaw_pickle_item(const struct thaw_pickle_value *list, int i,
                                                 enum thaw_pickle_kind kind)
{
	const struct thaw_pickle_item *item = list->first;

	while (item && i-- > 0)
		item = item->next;
	return item && item->value->kind == kind ? item->value : NULL;
}

bool thaw_pickle_is_text(const struct thaw_pickle_value *value, const char *text)
{
	return value->kind == THAW_PICKLE_TEXT && (size_t)value->count == strlen(text) &&
	       memcmp(value->text, text, (size_t)value->count) == 0;
}

void thaw_pickle_release(struct thaw_pickle *pickle)
{
	while (pickle->blocks) {
		struct thaw_pickle_block *block = pickle->blocks;

		pickle->blocks = block->before;
		free(block);
	}
	free(pickle->stack);
	free(pickle->memo);
	pickle->stack = pickle->memo = NULL;
}

/* --- bytes ------------------------------------------------------------------------------------------------------- */

/* The next `count` bytes; NULL where there are fewer. */
static const uint8_t *take(struct thaw_pickle *pickle, uint64_t count)
{
	const uint8_t *bytes = pickle->at;

	if (count > (uint64_t)(pickle->end - bytes))
		return NULL;
	pickle->at += count;
	return bytes;
}

thaw_status thaw_pickle_skip(struct thaw_pickle *pickle, uint64_t length, const uint8_t **bytes_out)
{
	const uint8_t *bytes = take(pickle, length);

	if (!bytes)
		return thaw_fail(THAW_FAILED, "'%s' is cut short: %llu bytes are missing", pickle->path,
		                 (unsigned long long)(length - (uint64_t)(pickle->end - pickle->at)));
	*bytes_out = bytes;
	return THAW_OK;
}

/* An unsigned number of so many bytes, the lowest first. */
static thaw_status take_number(struct thaw_pickle *pickle, int bytes, uint64_t *number_out)
{
	const uint8_t *at = take(pickle, (uint64_t)bytes);

	*number_out = 0;
	if (!at)
		return fail_at(pickle, "it ends");
	for (int i = 0; i < bytes; i++)
		*number_out |= (uint64_t)at[i] << 8 * i;
	return THAW_OK;
}

/* A line without its end. */
static thaw_status take_line(struct thaw_pickle *pickle, char line_out[NAME_LIMIT])
{
	size_t room = (size_t)(pickle->end - pickle->at);
	const uint8_t *end = memchr(pickle->at, '\n', room < NAME_LIMIT ? room : NAME_LIMIT);

	if (!end)
		return fail_at(pickle, "a name without an end");
	memcpy(line_out, pickle->at, (size_t)(end - pickle->at));
	line_out[end - pickle->at] = '\0';
	pickle->at = end + 1;
	return THAW_OK;
}

/* --- stack and memo ---------------------------------------------------------------------------------------------- */

/* Room for `count` pointers in an array that grows by doubling. */
static thaw_status reserve(struct thaw_pickle_value ***array, size_t *room, size_t count)
{
	size_t wanted = *room ? *room : 256;
	struct thaw_pickle_value **grown;

	while (wanted < count)
		wanted *= 2;
	if (wanted == *room)
		return THAW_OK;
	grown = realloc(*array, wanted * sizeof *grown);
	if (!grown)
		return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: %zu values", wanted);
	*array = grown;
	*room = wanted;
	return THAW_OK;
}

static thaw_status push(struct thaw_pickle *pickle, struct thaw_pickle_value *value)
{
	thaw_status status;

	if (!value)
		return pickle->status;
	if (pickle->depth == STACK_LIMIT)
		return fail_at(pickle, "a stack that is too deep");
	status = reserve(&pickle->stack, &pickle->stack_room, pickle->depth + 1);
	if (!status)
		pickle->stack[pickle->depth++] = value;
	return status;
}

/* The topmost value, which stays; NULL where there is none or it is a mark. */
static struct thaw_pickle_value *top(struct thaw_pickle *pickle)
{
	struct thaw_pickle_value *value = pickle->depth > 0 ? pickle->stack[pickle->depth - 1] : NULL;

	return value && value->kind != THAW_PICKLE_MARK ? value : NULL;
}

static struct thaw_pickle_value *pop(struct thaw_pickle *pickle)
{
	struct thaw_pickle_value *value = top(pickle);

	if (value)
		pickle->depth--;
	return value;
}

/* Number of values above the topmost mark; -1 where there is none. */
static int64_t above_mark(const struct thaw_pickle *pickle)
{
	for (size_t i = pickle->depth; i-- > 0;)
		if (pickle->stack[i]->kind == THAW_PICKLE_MARK)
			return (int64_t)(pickle->depth - i - 1);
	return -1;
}

static thaw_status remember(struct thaw_pickle *pickle, uint64_t place)
{
	thaw_status status;

	if (!top(pickle) || place > (uint64_t)(pickle->at - pickle->begin) || place >= STACK_LIMIT)
		return fail_at(pickle, "a memo of nothing");
	status = reserve(&pickle->memo, &pickle->memo_room, place + 1);
	if (status)
		return status;
	for (; pickle->memo_count <= place; pickle->memo_count++)
		pickle->memo[pickle->memo_count] = NULL;
	pickle->memo[place] = top(pickle);
	return THAW_OK;
}

static thaw_status recall(struct thaw_pickle *pickle, uint64_t place)
{
	if (place >= pickle->memo_count || !pickle->memo[place])
		return fail_at(pickle, "a memo that was never made");
	return push(pickle, pickle->memo[place]);
}

/* --- opcodes ----------------------------------------------------------------------------------------------------- */

static thaw_status push_integer(struct thaw_pickle *pickle, enum thaw_pickle_kind kind, int64_t integer)
{
	struct thaw_pickle_value *value = thaw_pickle_new(pickle, kind);

	if (value)
		value->integer = integer;
	return push(pickle, value);
}

/* A number of `bytes` bytes, two's complement where `is_signed`. */
static thaw_status read_integer(struct thaw_pickle *pickle, int bytes, bool is_signed)
{
	uint64_t number, sign = bytes > 0 && bytes < 8 ? (uint64_t)1 << (8 * bytes - 1) : 0;
	thaw_status status = take_number(pickle, bytes, &number);

	if (is_signed && sign)
		number = (number ^ sign) - sign;
	return status ? status : push_integer(pickle, THAW_PICKLE_INT, (int64_t)number);
}

static thaw_status read_long(struct thaw_pickle *pickle)
{
	uint64_t bytes;
	thaw_status status = take_number(pickle, 1, &bytes);

	if (!status && bytes > 8) /* seeds may be as large; nothing in weights is */
		return take(pickle, bytes) ? push(pickle, thaw_pickle_new(pickle, THAW_PICKLE_OPAQUE))
		                           : fail_at(pickle, "a number that is cut short");
	return status ? status : read_integer(pickle, (int)bytes, true);
}

static thaw_status read_real(struct thaw_pickle *pickle)
{
	const uint8_t *at = take(pickle, 8);
	struct thaw_pickle_value *value;
	uint64_t bits = 0;

	if (!at)
		return fail_at(pickle, "it ends");
	for (int i = 0; i < 8; i++)
		bits = bits << 8 | at[i];
	value = thaw_pickle_new(pickle, THAW_PICKLE_REAL);
	if (value)
		memcpy(&value->real, &bits, sizeof bits);
	return push(pickle, value);
}

/* A text behind its length of `bytes` bytes. */
static thaw_status read_text(struct thaw_pickle *pickle, int bytes)
{
	struct thaw_pickle_value *value;
	const uint8_t *text;
	uint64_t length;
	thaw_status status = take_number(pickle, bytes, &length);

	if (status)
		return status;
	text = take(pickle, length);
	if (!text)
		return fail_at(pickle, "a text that is cut short");
	value = thaw_pickle_new(pickle, THAW_PICKLE_TEXT);
	if (value) {
		value->text = (const char *)text;
		value->count = (int64_t)length;
	}
	return push(pickle, value);
}

/* The topmost `count` values become one. */
static thaw_status make_tuple(struct thaw_pickle *pickle, int64_t count, bool marked)
{
	struct thaw_pickle_value *tuple = thaw_pickle_new(pickle, THAW_PICKLE_TUPLE);
	thaw_status status = tuple ? THAW_OK : pickle->status;

	if (count < 0 || (size_t)count > pickle->depth)
		return fail_at(pickle, "a tuple of nothing");
	for (size_t i = pickle->depth - (size_t)count; i < pickle->depth && !status; i++)
		status = pickle->stack[i]->kind == THAW_PICKLE_MARK ? fail_at(pickle, "a tuple of nothing")
		                                                    : thaw_pickle_append(pickle, tuple, pickle->stack[i]);
	if (status)
		return status;
	pickle->depth -= (size_t)count + (marked ? 1 : 0);
	return push(pickle, tuple);
}

/* The topmost `count` values go into what stands below them: a list, or a dictionary of keys and values. What is put
 * into an object that nobody looks into is gone. */
static thaw_status add_items(struct thaw_pickle *pickle, int64_t count, bool marked, enum thaw_pickle_kind kind)
{
	size_t below = (size_t)count + (marked ? 2 : 1);
	struct thaw_pickle_value *into;
	thaw_status status = THAW_OK;

	if (count < 0 || below > pickle->depth || (kind == THAW_PICKLE_DICT && count % 2 != 0))
		return fail_at(pickle, "items of nothing");
	into = pickle->stack[pickle->depth - below];
	if (into->kind != kind && into->kind != THAW_PICKLE_OPAQUE)
		return fail_at(pickle, "items of what is no container");
	for (size_t i = pickle->depth - (size_t)count; i < pickle->depth && !status; i++)
		if (pickle->stack[i]->kind == THAW_PICKLE_MARK)
			status = fail_at(pickle, "items of nothing");
		else if (into->kind == kind)
			status = thaw_pickle_append(pickle, into, pickle->stack[i]);
	pickle->depth -= below - 1;
	return status;
}

static thaw_status read_name(struct thaw_pickle *pickle)
{
	char module[NAME_LIMIT], name[NAME_LIMIT];
	const char *advice;
	thaw_status status = take_line(pickle, module);

	if (!status)
		status = take_line(pickle, name);
	if (status)
		return status;
	for (int i = 0; i < pickle->rules->count; i++) {
		const struct thaw_pickle_name *row = &pickle->rules->names[i];

		if (strcmp(row->name, name) == 0 && strcmp(row->module, module) == 0) {
			struct thaw_pickle_value *value = thaw_pickle_new(pickle, THAW_PICKLE_NAME);

			if (value)
				value->name = row;
			return push(pickle, value);
		}
	}
	advice = pickle->rules->advise(module);
	return thaw_fail(THAW_FAILED, "'%s' asks for '%s.%s', which weights do not need: refused%s%s", pickle->path, module,
	                 name, advice ? "; " : "", advice ? advice : "");
}

/* Of REDUCE and NEWOBJ, which both call what stands below a tuple. */
static thaw_status call(struct thaw_pickle *pickle)
{
	struct thaw_pickle_value *arguments = pop(pickle), *name = arguments ? pop(pickle) : NULL, *made = NULL;
	thaw_status status;

	if (!name || name->kind != THAW_PICKLE_NAME || arguments->kind != THAW_PICKLE_TUPLE)
		return fail_at(pickle, "a call of what is no name");
	status = pickle->rules->call(pickle, name->name, arguments, &made);
	return status ? status : push(pickle, made);
}

/* The state of a dictionary is what it remembers of modules, that of an object what nobody looks into. */
static thaw_status build(struct thaw_pickle *pickle)
{
	struct thaw_pickle_value *state = pop(pickle), *object = state ? top(pickle) : NULL;

	if (!object || (object->kind != THAW_PICKLE_DICT && object->kind != THAW_PICKLE_OPAQUE))
		return fail_at(pickle, "a state of what has none");
	return THAW_OK;
}

static thaw_status find(struct thaw_pickle *pickle)
{
	struct thaw_pickle_value *id = pop(pickle), *found = NULL;
	thaw_status status;

	if (!id)
		return fail_at(pickle, "a reference to nothing");
	status = pickle->rules->find(pickle, id, &found);
	return status ? status : push(pickle, found);
}

/* An opcode whose argument is a place in the memo. */
static thaw_status use_memo(struct thaw_pickle *pickle, int bytes,
                            thaw_status (*use)(struct thaw_pickle *pickle, uint64_t place))
{
	uint64_t place;
	thaw_status status = take_number(pickle, bytes, &place);

	return status ? status : use(pickle, place);
}

static thaw_status check_protocol(struct thaw_pickle *pickle)
{
	uint64_t protocol;
	thaw_status status = take_number(pickle, 1, &protocol);

	if (!status && protocol != 2)
		status = thaw_fail(THAW_FAILED,
		                   "'%s' is written with pickle protocol %d: only 2 is read, which torch.save() takes by itself",
		                   pickle->path, (int)protocol);
	return status;
}

static thaw_status fail_opcode(const struct thaw_pickle *pickle, uint8_t opcode)
{
	char what[64] = "opcode 0x00, which weights do not need,";
	static const char digits[] = "0123456789abcdef";

	what[9] = digits[opcode >> 4];
	what[10] = digits[opcode & 15];
	return fail_at(pickle, what);
}

static thaw_status run_opcode(struct thaw_pickle *pickle, uint8_t opcode)
{
	switch (opcode) { /* names as in pickletools */
	case 0x80: return check_protocol(pickle);                                      /* PROTO */
	case '(':  return push(pickle, thaw_pickle_new(pickle, THAW_PICKLE_MARK));     /* MARK */
	case 'N':  return push(pickle, thaw_pickle_new(pickle, THAW_PICKLE_NONE));     /* NONE */
	case 0x88: return push_integer(pickle, THAW_PICKLE_BOOL, 1);                   /* NEWTRUE */
	case 0x89: return push_integer(pickle, THAW_PICKLE_BOOL, 0);                   /* NEWFALSE */
	case 'J':  return read_integer(pickle, 4, true);                               /* BININT */
	case 'K':  return read_integer(pickle, 1, false);                              /* BININT1 */
	case 'M':  return read_integer(pickle, 2, false);                              /* BININT2 */
	case 0x8a: return read_long(pickle);                                           /* LONG1 */
	case 'G':  return read_real(pickle);                                           /* BINFLOAT */
	case 'X':  return read_text(pickle, 4);                                        /* BINUNICODE */
	case 'T':  return read_text(pickle, 4);                                        /* BINSTRING */
	case 'U':  return read_text(pickle, 1);                                        /* SHORT_BINSTRING */
	case ')':  return make_tuple(pickle, 0, false);                                /* EMPTY_TUPLE */
	case 0x85: return make_tuple(pickle, 1, false);                                /* TUPLE1 */
	case 0x86: return make_tuple(pickle, 2, false);                                /* TUPLE2 */
	case 0x87: return make_tuple(pickle, 3, false);                                /* TUPLE3 */
	case 't':  return make_tuple(pickle, above_mark(pickle), true);                /* TUPLE */
	case ']':  return push(pickle, thaw_pickle_new(pickle, THAW_PICKLE_LIST));     /* EMPTY_LIST */
	case 'a':  return add_items(pickle, 1, false, THAW_PICKLE_LIST);               /* APPEND */
	case 'e':  return add_items(pickle, above_mark(pickle), true, THAW_PICKLE_LIST); /* APPENDS */
	case '}':  return push(pickle, thaw_pickle_new(pickle, THAW_PICKLE_DICT));     /* EMPTY_DICT */
	case 's':  return add_items(pickle, 2, false, THAW_PICKLE_DICT);               /* SETITEM */
	case 'u':  return add_items(pickle, above_mark(pickle), true, THAW_PICKLE_DICT); /* SETITEMS */
	case 'q':  return use_memo(pickle, 1, remember);                               /* BINPUT */
	case 'r':  return use_memo(pickle, 4, remember);                               /* LONG_BINPUT */
	case 'h':  return use_memo(pickle, 1, recall);                                 /* BINGET */
	case 'j':  return use_memo(pickle, 4, recall);                                 /* LONG_BINGET */
	case 'c':  return read_name(pickle);                                           /* GLOBAL */
	case 'R':  return call(pickle);                                                /* REDUCE */
	case 0x81: return call(pickle);                                                /* NEWOBJ */
	case 'b':  return build(pickle);                                               /* BUILD */
	case 'Q':  return find(pickle);                                                /* BINPERSID */
	default:   return fail_opcode(pickle, opcode);
	}
}

thaw_status thaw_pickle_read(struct thaw_pickle *pickle, struct thaw_pickle_value **value_out)
{
	thaw_status status = THAW_OK;
	struct thaw_pickle_value *value;

	pickle->begin = pickle->at;
	pickle->depth = pickle->memo_count = 0;
	while (!status) {
		const uint8_t *opcode = take(pickle, 1);

		if (!opcode)
			return fail_at(pickle, "it ends");
		if (pickle->read + (size_t)(pickle->at - pickle->begin) > BYTES_LIMIT)
			return thaw_fail(THAW_FAILED, "'%s': its pickles have more than %d MiB", pickle->path, BYTES_LIMIT >> 20);
		if (*opcode == '.') /* STOP */
			break;
		status = run_opcode(pickle, *opcode);
	}
	if (status)
		return status;
	value = pop(pickle);
	if (!value || pickle->depth > 0)
		return fail_at(pickle, "an end too early");
	pickle->read += (size_t)(pickle->at - pickle->begin);
	*value_out = value;
	return THAW_OK;
}
