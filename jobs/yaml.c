#include "jobs/yaml.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/mem.h"
#include "base/printable.h"

struct reader {
	yaml_parser_t parser;
	struct thaw_place origin;
	const char *text;
	int events;
};

thaw_status thaw_place_fail(struct thaw_place place, const char *key, const char *format, ...)
{
	char where[320], what[384];
	int set_length = (int)strcspn(place.source, "=");
	bool named = !key || (!place.line && strncmp(place.source, key, (size_t)set_length) == 0 && !key[set_length]);
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	if (place.line)
		snprintf(where, sizeof where, "%s:%d:%d", place.source, place.line, place.column);
	else
		snprintf(where, sizeof where, "--set %.*s", set_length, place.source);
	return thaw_fail(THAW_BAD_JOB, "%s: %s%s%s", where, named ? "" : key, named ? "" : ": ", what);
}

bool thaw_yaml_is_null(const struct thaw_yaml *node)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};

	for (size_t i = 0; node->kind == THAW_YAML_SCALAR && node->plain && i < sizeof nulls / sizeof *nulls; i++)
		if (strcmp(node->text, nulls[i]) == 0)
			return true;
	return false;
}

void thaw_yaml_free(struct thaw_yaml *node)
{
	while (node) {
		struct thaw_yaml *next = node->next;

		thaw_yaml_free(node->first); /* as deep as the parser let in */
		free((char *)node->text);
		free((char *)node->key);
		free(node);
		node = next;
	}
}

static struct thaw_place place_of(const struct reader *reader, yaml_mark_t mark)
{
	struct thaw_place place = reader->origin;

	if (place.line) {
		place.line = (int)mark.line + 1;
		place.column = (int)mark.column + 1;
	}
	return place;
}

/* Where byte `offset` stands, for faults below the level of characters. */
static yaml_mark_t mark_of(const struct reader *reader, size_t offset)
{
	yaml_mark_t mark = {0, 0, 0};

	for (size_t i = 0; i < offset; i++) {
		if (reader->text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		} else if (((uint8_t)reader->text[i] & 0xC0) != 0x80) {
			mark.column++;
		}
	}
	return mark;
}

static thaw_status fail_parser(const struct reader *reader)
{
	const yaml_parser_t *parser = &reader->parser;

	if (parser->error == YAML_MEMORY_ERROR)
		return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: reading '%s'", reader->origin.source);
	if (parser->error == YAML_READER_ERROR)
		return thaw_place_fail(place_of(reader, mark_of(reader, parser->problem_offset)), NULL, "not plain text: %s",
		                       parser->problem);
	return thaw_place_fail(place_of(reader, parser->problem_mark), NULL, "not YAML: %s%s%s", parser->problem,
	                       parser->context ? " " : "", parser->context ? parser->context : "");
}

/* The caller deletes the event. */
static thaw_status next_event(struct reader *reader, yaml_event_t *event_out)
{
	struct thaw_place place;

	if (!yaml_parser_parse(&reader->parser, event_out))
		return fail_parser(reader);
	if (++reader->events <= THAW_YAML_EVENTS)
		return THAW_OK;
	place = place_of(reader, event_out->start_mark);
	yaml_event_delete(event_out);
	return thaw_place_fail(place, NULL, "more than %d parts of YAML", THAW_YAML_EVENTS);
}

/* Refuses anchors, aliases, tags and NUL in what begins a node. */
static thaw_status check_event(const struct reader *reader, const yaml_event_t *event)
{
	struct thaw_place place = place_of(reader, event->start_mark);
	const yaml_char_t *anchor = NULL, *tag = NULL;

	switch (event->type) {
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
		if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length)
			return thaw_place_fail(place, NULL, "a NUL character is not allowed");
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
		break;
	default:
		return thaw_place_fail(place, NULL, "an alias ('*') is not allowed");
	}
	if (anchor)
		return thaw_place_fail(place, NULL, "an anchor ('&') is not allowed");
	if (tag)
		return thaw_place_fail(place, NULL, "a tag ('!') is not allowed");
	return THAW_OK;
}

static thaw_status read_value(struct reader *reader, int depth, struct thaw_yaml **node_out);

/* Reads the value that belongs to `key`, whose text moves into the value's node. */
static thaw_status read_entry(struct reader *reader, struct thaw_yaml *parent, struct thaw_yaml *key, int depth,
                              struct thaw_yaml **value_out)
{
	struct thaw_yaml *value;
	thaw_status status;

	if (key->kind != THAW_YAML_SCALAR)
		return thaw_place_fail(key->place, NULL, "a key is a word, not a list or map");
	for (const struct thaw_yaml *other = parent->first; other; other = other->next)
		if (strcmp(other->key, key->text) == 0)
			return thaw_place_fail(key->place, NULL, "key '%s' stands here twice", thaw_show(key->text).text);
	status = read_value(reader, depth, &value);
	if (status)
		return status;
	value->key = key->text;
	value->key_place = key->place;
	key->text = NULL;
	*value_out = value;
	return THAW_OK;
}

static thaw_status read_children(struct reader *reader, struct thaw_yaml *parent, int depth)
{
	struct thaw_yaml **end = &parent->first;

	for (;;) {
		struct thaw_yaml *node;
		thaw_status status = read_value(reader, depth, &node);

		if (status || !node)
			return status;
		if (parent->kind == THAW_YAML_MAP) {
			struct thaw_yaml *key = node;

			status = read_entry(reader, parent, key, depth, &node);
			thaw_yaml_free(key);
			if (status)
				return status;
		}
		*end = node;
		end = &node->next;
	}
}

/* Makes the node of one event, without what is below it. */
static thaw_status make_node(const struct reader *reader, const yaml_event_t *event, struct thaw_yaml **node_out)
{
	thaw_status status = check_event(reader, event);
	struct thaw_yaml *node;

	if (status)
		return status;
	node = thaw_alloc(1, sizeof *node);
	if (!node)
		return THAW_OUT_OF_MEMORY;
	node->place = place_of(reader, event->start_mark);
	node->kind = event->type == YAML_SCALAR_EVENT           ? THAW_YAML_SCALAR
	             : event->type == YAML_SEQUENCE_START_EVENT ? THAW_YAML_LIST
	                                                        : THAW_YAML_MAP;
	if (node->kind == THAW_YAML_SCALAR) {
		node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
		node->text = thaw_copy_text((const char *)event->data.scalar.value);
		if (!node->text) {
			free(node);
			return THAW_OUT_OF_MEMORY;
		}
	}
	*node_out = node;
	return THAW_OK;
}

/* The next node and all below it; NULL where a list or map ends. */
static thaw_status read_value(struct reader *reader, int depth, struct thaw_yaml **node_out)
{
	struct thaw_yaml *node = NULL;
	yaml_event_t event;
	thaw_status status = next_event(reader, &event);

	if (status)
		return status;
	if (event.type != YAML_SEQUENCE_END_EVENT && event.type != YAML_MAPPING_END_EVENT)
		status = make_node(reader, &event, &node);
	yaml_event_delete(&event);
	if (!status && node && node->kind != THAW_YAML_SCALAR) {
		if (depth >= THAW_YAML_DEPTH)
			status = thaw_place_fail(node->place, NULL, "lists and maps deeper than %d levels", THAW_YAML_DEPTH);
		else
			status = read_children(reader, node, depth + 1);
	}
	if (status) {
		thaw_yaml_free(node);
		return status;
	}
	*node_out = node;
	return THAW_OK;
}

/* Passes the next event, which must be of type `wanted`. */
static thaw_status pass_event(struct reader *reader, yaml_event_type_t wanted)
{
	const char *fault = NULL;
	struct thaw_place place;
	yaml_event_t event;
	thaw_status status = next_event(reader, &event);

	if (status)
		return status;
	place = place_of(reader, event.start_mark);
	if (event.type != wanted)
		fault = wanted == YAML_DOCUMENT_START_EVENT ? "empty" : "a second document is not allowed";
	else if (wanted == YAML_DOCUMENT_START_EVENT &&
	         (event.data.document_start.version_directive ||
	          event.data.document_start.tag_directives.start != event.data.document_start.tag_directives.end))
		fault = "a directive ('%') is not allowed";
	yaml_event_delete(&event);
	return fault ? thaw_place_fail(place, NULL, "%s", fault) : THAW_OK;
}

static thaw_status read_document(struct reader *reader, struct thaw_yaml **root_out)
{
	struct thaw_yaml *root = NULL;
	thaw_status status = pass_event(reader, YAML_STREAM_START_EVENT);

	if (!status)
		status = pass_event(reader, YAML_DOCUMENT_START_EVENT);
	if (!status)
		status = read_value(reader, 0, &root);
	if (!status)
		status = pass_event(reader, YAML_DOCUMENT_END_EVENT);
	if (!status)
		status = pass_event(reader, YAML_STREAM_END_EVENT);
	if (status) {
		thaw_yaml_free(root);
		return status;
	}
	*root_out = root;
	return THAW_OK;
}

thaw_status thaw_yaml_parse(struct thaw_place origin, const char *text, size_t length, struct thaw_yaml **root_out)
{
	static const char byte_order_mark[] = "\xEF\xBB\xBF";
	struct reader reader = {.origin = origin, .text = text};
	thaw_status status;

	if (length > THAW_YAML_BYTES)
		return thaw_place_fail(origin, NULL, "%zu bytes of YAML, allowed are %d", length, THAW_YAML_BYTES);
	if (length >= 3 && memcmp(text, byte_order_mark, 3) == 0) {
		reader.text += 3;
		length -= 3;
	}
	if (!yaml_parser_initialize(&reader.parser))
		return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory: reading '%s'", origin.source);
	yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING); /* not guessed from the first bytes */
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)reader.text, length);
	status = read_document(&reader, root_out);
	yaml_parser_delete(&reader.parser);
	return status;
}
