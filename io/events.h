/*
 * Curves for TensorBoard: event files of scalars, as TensorFlow's EventsWriter lays them out.
 *
 * A file is a row of records, each u64 length, masked CRC-32C of those eight bytes, data, masked CRC-32C of the data
 * (TFRecord, little-endian; the mask is rotate right 15, + 0xa282ead8). The data are an Event in protocol buffers
 * (tensorboard/compat/proto/event.proto: wall_time 1, step 2, file_version 3, summary 5, session_log 7; summary.proto:
 * value 1 with tag 1, simple_value 2). The first is the file version, "brain.Event:2".
 *
 * The second event says at which step the writer starts. A run that goes on begins a file of its own: TensorBoard then
 * drops what earlier files have at that step and after, so that the curve has no seam, whether it was looking all the
 * time or starts later. Those files are left as they are, since a TensorBoard that is looking remembers how far it has
 * read. Files are read in the order of their names, which begin with the time: a new one gets a later time than any
 * there, whatever the clocks of two hosts say.
 *
 * A flush is one write(2). When a crash or a full disk leaves half a record at the end, readers leave that out.
 */
#ifndef THAW_IO_EVENTS_H
#define THAW_IO_EVENTS_H

#include "base/text.h"

struct thaw_events {
	struct thaw_text path;    /* "runs/ants/events.out.tfevents.1700000000.node1.4711.0" */
	struct thaw_text pending; /* records that are not in the file yet */
};

/* Prepares a file in run folder `folder`, which is there; the file comes with the first flush. `seconds` is the time
 * of day since 1970. `start_step`: the first step that the run is about to write again; 0 when it begins. */
thaw_status thaw_events_open(const char *folder, double seconds, int64_t start_step, struct thaw_events *events_out);
void thaw_events_release(struct thaw_events *events); /* what is pending is lost */

/* A point of the curve `tag` ("loss/val"), step >= 0. A failed allocation is told by the next flush. */
void thaw_events_add(struct thaw_events *events, const char *tag, int64_t step, double value, double seconds);

/* Appends what is pending. After THAW_FAILED the file may end in half a record: nothing more may be written to it. */
thaw_status thaw_events_flush(struct thaw_events *events);

#endif
