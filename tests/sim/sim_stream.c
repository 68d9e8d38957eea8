/*
 * Streams, events and graphs.
 *
 * A stream is a queue of works. A work may run when it is first in its queue and the events it waits for have come.
 * Nothing runs until somebody waits; then works are drawn from all streams until what is waited for is done.
 *
 * A captured work becomes a node of a graph, with the nodes that have to run before it. A launched graph is one work,
 * which runs its nodes in any order that these allow.
 *
 * What waits for other processes is tried again and again, and holds up only what comes after it.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/random.h"
#include "tests/sim/sim.h"

enum { STREAMS = 16, DEPENDENCIES = 8 };

enum node_state { WAITING, STUCK, RAN };

struct work {
	thaw_sim_run *run;
	thaw_sim_try *attempt;
	char arguments[THAW_SIM_ARGUMENTS];
	struct thaw_gpu_event *waits; /* for the event's mark `mark`; NULL: for none */
	struct thaw_gpu_event *marks; /* when it is done, the event has come as far as `mark` */
	uint64_t mark;
	struct thaw_gpu_graph *graph; /* to be run; NULL: none */
	enum node_state *states;      /* of its nodes; NULL: not begun */
	int before[DEPENDENCIES];     /* nodes of the graph it is part of */
	int before_count;
};

struct thaw_gpu_stream {
	struct work *works; /* (count) of which the first `done` are over */
	int done, count, room;
	struct thaw_gpu_graph *into; /* captured there; NULL: not */
	int last[DEPENDENCIES];      /* nodes that the next one has to come after */
	int last_count;
	bool rash; /* a fault: it waits for no event */
};

struct thaw_gpu_event {
	uint64_t recorded, come;      /* marks set, and reached */
	struct thaw_gpu_graph *graph; /* recorded in its capture: */
	int node[DEPENDENCIES];
	int node_count;
	bool timed;
};

struct thaw_gpu_graph {
	struct work *nodes; /* (count) */
	int count, room;
	struct thaw_gpu_stream *origin;
	bool launched;
};

static struct thaw_gpu_stream *streams[STREAMS];
static struct thaw_gpu_graph *capture; /* that is under way; NULL: none */
static int favoured;                   /* works that the stream drawn last still has before another is drawn */

unsigned thaw_sim_draw(unsigned limit)
{
	static struct thaw_random random;
	static bool begun;

	if (!begun) {
		const char *seed = getenv("THAW_SIM_SEED");

		thaw_random_init(&random, seed ? (uint64_t)atoll(seed) : 1, THAW_RANDOM_TEST, 0, 0);
		begun = true;
	}
	return thaw_random_below(&random, limit);
}

void thaw_sim_outside_capture(const char *call)
{
	if (capture)
		thaw_sim_refuse("%s while a graph is captured", call);
}

bool thaw_sim_is_captured(const struct thaw_gpu_stream *stream)
{
	return stream->into != NULL;
}

/* --- queues ------------------------------------------------------------------------------------------------------ */

static void *grow(void *items, int count, int *room, size_t item_bytes)
{
	if (count < *room)
		return items;
	*room = *room ? 2 * *room : 64;
	items = realloc(items, (size_t)*room * item_bytes);
	if (!items)
		thaw_sim_refuse("out of memory");
	return items;
}

/* Adds a node to the stream's graph, after what its last ones were. */
static void add_node(struct thaw_gpu_stream *stream, const struct work *work)
{
	struct thaw_gpu_graph *graph = stream->into;
	struct work *node;

	graph->nodes = grow(graph->nodes, graph->count, &graph->room, sizeof *graph->nodes);
	node = &graph->nodes[graph->count];
	*node = *work;
	memcpy(node->before, stream->last, sizeof node->before);
	node->before_count = stream->last_count;
	stream->last[0] = graph->count++;
	stream->last_count = 1;
}

static void add(struct thaw_gpu_stream *stream, const struct work *work)
{
	if (stream->into) {
		add_node(stream, work);
		return;
	}
	if (stream->done == stream->count)
		stream->done = stream->count = 0;
	stream->works = grow(stream->works, stream->count, &stream->room, sizeof *stream->works);
	stream->works[stream->count++] = *work;
}

static thaw_status enqueue(struct thaw_gpu_stream *stream, struct work *work, const void *arguments,
                           size_t arguments_bytes)
{
	if (arguments_bytes > sizeof work->arguments)
		thaw_sim_refuse("%zu bytes of arguments", arguments_bytes);
	memcpy(work->arguments, arguments, arguments_bytes);
	add(stream, work);
	return THAW_OK;
}

thaw_status thaw_sim_enqueue(struct thaw_gpu_stream *stream, thaw_sim_run *run, const void *arguments,
                             size_t arguments_bytes)
{
	struct work work = {.run = run};

	return enqueue(stream, &work, arguments, arguments_bytes);
}

thaw_status thaw_sim_enqueue_try(struct thaw_gpu_stream *stream, thaw_sim_try *attempt, const void *arguments,
                                 size_t arguments_bytes)
{
	struct work work = {.attempt = attempt};

	return enqueue(stream, &work, arguments, arguments_bytes);
}

static bool run_graph(struct work *launched);

/* Does a work, or as much of it as can be done now; says whether it is over. */
static bool run_work(struct work *work)
{
	if (work->run)
		work->run(work->arguments);
	if (work->attempt && !work->attempt(work->arguments))
		return false;
	if (work->graph && !run_graph(work))
		return false;
	if (work->marks && work->marks->come < work->mark)
		work->marks->come = work->mark;
	return true;
}

static bool may_run(const struct work *node, const enum node_state *states)
{
	for (int i = 0; i < node->before_count && !thaw_sim_fault("graph", "edge"); i++)
		if (states[node->before[i]] != RAN)
			return false;
	return true;
}

/* Nodes, each drawn from those that may run, until all have run or none can go on. */
static bool run_graph(struct work *launched)
{
	const struct thaw_gpu_graph *graph = launched->graph;
	enum node_state *states =
		launched->states ? launched->states : thaw_alloc((size_t)graph->count + 1, sizeof *states);
	bool over = true;

	if (!states)
		thaw_sim_refuse("out of memory");
	if (thaw_sim_fault("graph", "node"))
		states[graph->count - 1] = RAN;
	for (;;) {
		int could = 0, chosen, i;

		for (i = 0; i < graph->count; i++)
			could += states[i] == WAITING && may_run(&graph->nodes[i], states);
		if (could == 0)
			break;
		chosen = (int)thaw_sim_draw((unsigned)could);
		for (i = 0; states[i] != WAITING || !may_run(&graph->nodes[i], states) || chosen-- > 0; i++)
			;
		states[i] = run_work(&graph->nodes[i]) ? RAN : STUCK;
	}
	for (int i = 0; i < graph->count; i++) {
		over &= states[i] == RAN;
		states[i] = states[i] == STUCK ? WAITING : states[i];
	}
	launched->states = over ? NULL : states;
	if (over)
		free(states);
	return over;
}

static bool is_ready(const struct thaw_gpu_stream *stream)
{
	const struct work *work;

	if (!stream || stream->done == stream->count)
		return false;
	work = &stream->works[stream->done];
	return !work->waits || work->waits->come >= work->mark;
}

/* One of the streams that could go on, -1: none can. It stays the same for a drawn number of works, or until somebody
 * waits for something else: were each drawn by itself, a stream with one work would never be late beside one with hundreds. */
static int draw_stream(const bool stuck[STREAMS])
{
	static int favourite;
	int could = 0, chosen;

	if (favoured-- > 0 && is_ready(streams[favourite]) && !stuck[favourite])
		return favourite;
	for (int i = 0; i < STREAMS; i++)
		could += is_ready(streams[i]) && !stuck[i];
	if (could == 0)
		return -1;
	chosen = (int)thaw_sim_draw((unsigned)could);
	favoured = 1 << thaw_sim_draw(11);
	for (favourite = 0; !is_ready(streams[favourite]) || stuck[favourite] || chosen-- > 0; favourite++)
		;
	return favourite;
}

/* Runs one work of a stream that could go on. If all that could wait for other processes, they get some time. */
static void run_one(void)
{
	const struct timespec pause = {.tv_nsec = 50000};
	bool stuck[STREAMS] = {false};

	for (int stuck_count = 0;; stuck_count++) {
		int i = draw_stream(stuck);

		if (i < 0 && stuck_count == 0)
			thaw_sim_refuse("all streams wait for events that nobody records");
		if (i < 0)
			break;
		if (run_work(&streams[i]->works[streams[i]->done])) {
			streams[i]->done++;
			return;
		}
		stuck[i] = true;
	}
	nanosleep(&pause, NULL);
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

thaw_status thaw_gpu_stream_new(struct thaw_gpu *gpu, bool urgent, struct thaw_gpu_stream **stream_out)
{
	struct thaw_gpu_stream *stream = thaw_alloc(1, sizeof *stream);

	(void)gpu;
	(void)urgent;
	if (!stream)
		return THAW_OUT_OF_MEMORY;
	for (int i = 0; i < STREAMS; i++)
		if (!streams[i]) {
			*stream_out = streams[i] = stream;
			stream->rash = thaw_sim_fault("order", (const char[]){(char)('0' + i % 10), '\0'});
			return THAW_OK;
		}
	thaw_sim_refuse("more than %d streams", STREAMS);
}

void thaw_gpu_stream_free(struct thaw_gpu_stream *stream)
{
	if (!stream)
		return;
	if (thaw_gpu_wait(stream))
		thaw_sim_refuse("cannot finish a stream");
	for (int i = 0; i < STREAMS; i++)
		if (streams[i] == stream)
			streams[i] = NULL;
	free(stream->works);
	free(stream);
}

thaw_status thaw_gpu_wait(struct thaw_gpu_stream *stream)
{
	thaw_sim_outside_capture("thaw_gpu_wait");
	favoured = 0;
	while (!thaw_sim_fault("wait", "stream") && stream->done < stream->count)
		run_one();
	return THAW_OK;
}

/* --- events ------------------------------------------------------------------------------------------------------ */

thaw_status thaw_gpu_event_new(struct thaw_gpu *gpu, bool timed, struct thaw_gpu_event **event_out)
{
	struct thaw_gpu_event *event = thaw_alloc(1, sizeof *event);

	(void)gpu;
	if (!event)
		return THAW_OUT_OF_MEMORY;
	event->timed = timed;
	*event_out = event;
	return THAW_OK;
}

void thaw_gpu_event_free(struct thaw_gpu_event *event)
{
	free(event);
}

thaw_status thaw_gpu_event_record(struct thaw_gpu_event *event, struct thaw_gpu_stream *stream)
{
	struct work work = {.marks = event, .mark = ++event->recorded};

	event->graph = stream->into;
	if (stream->into) {
		memcpy(event->node, stream->last, sizeof event->node);
		event->node_count = stream->last_count;
	} else {
		add(stream, &work);
	}
	return THAW_OK;
}

thaw_status thaw_gpu_event_order(struct thaw_gpu_event *event, struct thaw_gpu_stream *waiting)
{
	struct work work = {.waits = event, .mark = event->recorded};

	if (waiting->rash) {
		waiting->into = event->graph;
		return THAW_OK;
	}
	if (!event->graph) {
		if (waiting->into)
			thaw_sim_refuse("a captured stream waits for an event from outside the capture");
		add(waiting, &work);
		return THAW_OK;
	}
	if (event->graph != capture)
		thaw_sim_refuse("an event of a capture that is over");
	waiting->into = capture;
	for (int i = 0; i < event->node_count; i++) {
		if (waiting->last_count == DEPENDENCIES)
			thaw_sim_refuse("more than %d dependencies", DEPENDENCIES);
		waiting->last[waiting->last_count++] = event->node[i];
	}
	return THAW_OK;
}

thaw_status thaw_gpu_event_wait(struct thaw_gpu_event *event)
{
	thaw_sim_outside_capture("thaw_gpu_event_wait");
	favoured = 0;
	while (!thaw_sim_fault("wait", "event") && event->come < event->recorded)
		run_one();
	return THAW_OK;
}

/* Asking is all that waiting is made of: each time, one more work is done. */
thaw_status thaw_gpu_event_done(struct thaw_gpu_event *event, bool *done_out)
{
	thaw_sim_outside_capture("thaw_gpu_event_done");
	if (event->come < event->recorded)
		run_one();
	*done_out = event->come >= event->recorded || thaw_sim_fault("wait", "event");
	return THAW_OK;
}

thaw_status thaw_gpu_event_seconds(struct thaw_gpu_event *from, struct thaw_gpu_event *to, double *seconds_out)
{
	if (!from->timed || !to->timed)
		thaw_sim_refuse("the time between events that have none");
	if (from->come < from->recorded || to->come < to->recorded)
		thaw_sim_refuse("the time between events that have not come");
	*seconds_out = 1e-3;
	return THAW_OK;
}

/* --- graphs ------------------------------------------------------------------------------------------------------ */

thaw_status thaw_gpu_capture_begin(struct thaw_gpu_stream *stream)
{
	thaw_sim_outside_capture("thaw_gpu_capture_begin");
	capture = thaw_alloc(1, sizeof *capture);
	if (!capture)
		return THAW_OUT_OF_MEMORY;
	capture->origin = stream;
	stream->into = capture;
	stream->last_count = 0;
	return THAW_OK;
}

/* Whether node `late` comes after node `early`. */
static bool comes_after(const struct thaw_gpu_graph *graph, int late, int early)
{
	bool after = late == early;

	for (int i = 0; i < graph->nodes[late].before_count && !after; i++)
		after = comes_after(graph, graph->nodes[late].before[i], early);
	return after;
}

/* Whether the origin has waited for all that the stream did. */
static bool is_joined(const struct thaw_gpu_graph *graph, const struct thaw_gpu_stream *stream)
{
	for (int i = 0; i < stream->last_count; i++) {
		bool joined = false;

		for (int k = 0; k < graph->origin->last_count; k++)
			joined |= comes_after(graph, graph->origin->last[k], stream->last[i]);
		if (!joined)
			return false;
	}
	return true;
}

thaw_status thaw_gpu_capture_end(struct thaw_gpu_stream *stream, struct thaw_gpu_graph **graph_out)
{
	if (!capture || stream->into != capture || capture->origin != stream)
		thaw_sim_refuse("the end of a capture that did not begin on this stream");
	for (int i = 0; i < STREAMS; i++)
		if (streams[i] && streams[i]->into == capture && !is_joined(capture, streams[i]))
			thaw_sim_refuse("a stream that was drawn into a capture has not come back");
	for (int i = 0; i < STREAMS; i++)
		if (streams[i]) {
			streams[i]->into = NULL;
			streams[i]->last_count = 0;
		}
	*graph_out = capture;
	capture = NULL;
	return THAW_OK;
}

void thaw_gpu_graph_free(struct thaw_gpu_graph *graph)
{
	if (!graph)
		return;
	for (int i = 0; i < STREAMS; i++)
		for (int k = streams[i] ? streams[i]->done : 0; streams[i] && k < streams[i]->count; k++)
			if (streams[i]->works[k].graph == graph)
				thaw_sim_refuse("a graph is freed before it has run");
	free(graph->nodes);
	free(graph);
}

thaw_status thaw_gpu_graph_launch(struct thaw_gpu_stream *stream, struct thaw_gpu_graph *graph)
{
	struct work work = {.graph = graph};

	thaw_sim_outside_capture("thaw_gpu_graph_launch");
	if (!graph->launched || !thaw_sim_fault("graph", "once"))
		add(stream, &work);
	graph->launched = true;
	return THAW_OK;
}
