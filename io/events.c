#define _POSIX_C_SOURCE 200809L
#include "io/events.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/checksum.h"
#include "base/file.h"

#define FILE_PREFIX "events.out.tfevents."

/* --- protocol buffers -------------------------------------------------------------------------------------------- */

enum wire { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

static void add_varint(struct thaw_text *data, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		thaw_text_add_bytes(data, &(uint8_t){(uint8_t)(value | 0x80)}, 1);
	thaw_text_add_bytes(data, &(uint8_t){(uint8_t)value}, 1);
}

static void add_key(struct thaw_text *data, int field, enum wire wire)
{
	add_varint(data, (uint64_t)field << 3 | wire);
}

/* `size` low bytes of `value`, the lowest first. */
static void add_fixed(struct thaw_text *data, uint64_t value, int size)
{
	for (int i = 0; i < size; i++)
		thaw_text_add_bytes(data, &(uint8_t){(uint8_t)(value >> 8 * i)}, 1);
}

static void add_block(struct thaw_text *data, int field, const void *bytes, size_t length)
{
	add_key(data, field, LENGTH);
	add_varint(data, length);
	thaw_text_add_bytes(data, bytes, length);
}

static void begin_event(struct thaw_text *data, double seconds, int64_t step)
{
	uint64_t bits;

	memcpy(&bits, &seconds, sizeof bits);
	add_key(data, 1, FIXED64);
	add_fixed(data, bits, 8);
	if (step > 0) { /* 0 is what a field that is left out means */
		add_key(data, 2, VARINT);
		add_varint(data, (uint64_t)step);
	}
}

/* --- records ----------------------------------------------------------------------------------------------------- */

static uint32_t masked_crc(const void *bytes, size_t length)
{
	uint32_t crc = thaw_crc32c(0, bytes, length);

	return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* Adds the record of an event, or remembers that it is lost; releases `data`. */
static void add_record(struct thaw_text *records, struct thaw_text *data)
{
	size_t begin = records->length;

	add_fixed(records, data->length, 8);
	if (!records->out_of_memory)
		add_fixed(records, masked_crc(records->data + begin, 8), 4);
	thaw_text_add_bytes(records, data->data, data->length);
	add_fixed(records, masked_crc(data->data, data->length), 4);
	records->out_of_memory |= data->out_of_memory;
	thaw_text_release(data);
}

static void add_version(struct thaw_text *records, double seconds)
{
	static const char version[] = "brain.Event:2";
	struct thaw_text data = THAW_TEXT_EMPTY;

	begin_event(&data, seconds, 0);
	add_block(&data, 3, version, strlen(version));
	add_record(records, &data);
}

/* Whatever earlier files have at this step and after it is dropped by the reader; but the first start of a run means
 * nothing to it, so that every file needs one. */
static void add_start(struct thaw_text *records, double seconds, int64_t step)
{
	static const uint8_t log[] = {1 << 3 | VARINT, 1}; /* SessionLog: status START */
	struct thaw_text data = THAW_TEXT_EMPTY;

	begin_event(&data, seconds, step);
	add_block(&data, 7, log, sizeof log);
	add_record(records, &data);
}

void thaw_events_add(struct thaw_events *events, const char *tag, int64_t step, double value, double seconds)
{
	struct thaw_text data = THAW_TEXT_EMPTY, summary = THAW_TEXT_EMPTY, point = THAW_TEXT_EMPTY;
	float number = (float)value;
	uint32_t bits;

	memcpy(&bits, &number, sizeof bits);
	add_block(&point, 1, tag, strlen(tag));
	add_key(&point, 2, FIXED32);
	add_fixed(&point, bits, 4);
	add_block(&summary, 1, point.data, point.length);
	begin_event(&data, seconds, step);
	add_block(&data, 5, summary.data, summary.length);
	data.out_of_memory |= summary.out_of_memory || point.out_of_memory;
	add_record(&events->pending, &data);
	thaw_text_release(&summary);
	thaw_text_release(&point);
}

/* --- files ------------------------------------------------------------------------------------------------------- */

/* The latest time in the names of event files in `folder`; -1 without any. */
static thaw_status latest_time(const char *folder, int64_t *latest_out)
{
	DIR *entries = opendir(folder);
	const struct dirent *entry;
	int64_t latest = -1, seconds;

	if (!entries)
		return thaw_fail(THAW_FAILED, "cannot open folder '%s': %s", folder, strerror(errno));
	while ((entry = readdir(entries)) != NULL)
		if (sscanf(entry->d_name, FILE_PREFIX "%10" SCNd64 ".", &seconds) == 1 && seconds > latest)
			latest = seconds;
	closedir(entries);
	*latest_out = latest;
	return THAW_OK;
}

thaw_status thaw_events_open(const char *folder, double seconds, int64_t start_step, struct thaw_events *events_out)
{
	struct thaw_events events = {THAW_TEXT_EMPTY, THAW_TEXT_EMPTY};
	int64_t latest = -1, now = (int64_t)seconds;
	char host[256] = "";
	thaw_status status = latest_time(folder, &latest);

	if (status)
		return status;
	(void)gethostname(host, sizeof host - 1);
	thaw_text_add(&events.path, "%s/" FILE_PREFIX "%010" PRId64 ".%s.%ld.0", folder, now > latest ? now : latest + 1,
	              host, (long)getpid());
	add_version(&events.pending, seconds);
	add_start(&events.pending, seconds, start_step);
	status = thaw_text_status(&events.path);
	if (!status)
		status = thaw_text_status(&events.pending);
	if (status)
		thaw_events_release(&events);
	else
		*events_out = events;
	return status;
}

void thaw_events_release(struct thaw_events *events)
{
	thaw_text_release(&events->path);
	thaw_text_release(&events->pending);
}

thaw_status thaw_events_flush(struct thaw_events *events)
{
	thaw_status status = thaw_text_status(&events->pending);

	if (!status && events->pending.length > 0)
		status = thaw_file_append(events->path.data, events->pending.data, events->pending.length);
	if (!status)
		thaw_text_release(&events->pending);
	return status;
}
