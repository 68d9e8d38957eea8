/*
 * Ranks by MPI; the only file that sees mpi.h.
 *
 * A slice is summed in two stages. Parts: every rank sends part p of each of its frontier nodes to rank p and receives
 * its own part of everybody's, then adds them along the tree. Sums: every rank sends its summed part to all. Each moves
 * 2 (N - 1) / N of the slice per rank, as a ring would, with the order of additions fixed. Point-to-point messages
 * rather than collectives, so that a share of several nodes needs no packing and all land where they are used.
 */
#define _GNU_SOURCE /* setenv */
#include "comm/comm_backend.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "comm/tree.h"

enum {
	ALIGNED = 16,              /* parts begin at multiples of this many floats: a cache line */
	BLOCK = 1024,              /* floats added at once along the whole tree, so that sums stay in the nearest cache */
	WORDS = 200 + 1,           /* bytes of a failing rank's words, with the terminator */
	BROADCAST_BYTES = 1 << 26, /* at once: MPI counts in int */
};

/* node[left] + node[right], of the nodes of all ranks' frontiers */
struct add {
	int left, right;
};

struct exchange {
	enum { PARTS, SUMS, DONE } stage;
	int tag; /* the slice's number: ranks may take slices to their second stage in different orders */
	int64_t count;
	float **partials;      /* [own nodes] -> (count) */
	float *received;       /* (other nodes, part_limit) */
	MPI_Request *requests; /* [requests_count], of the present stage */
	int requests_count;
};

struct mpi_comm {
	struct thaw_comm comm;

	int *first_node;            /* [size + 1] each rank's first frontier node among those of all ranks */
	struct add *adds;           /* [nodes - 1] in order; the last makes the root */
	float **node;               /* [nodes] where their values stand, while a part is added */
	int64_t part_limit;         /* floats */
	struct exchange *exchanges; /* [slices_limit], each with its piece of the blocks below */
	float **partials;
	float *received;
	MPI_Request *requests;
};

struct part {
	int64_t begin; /* floats into the slice */
	int length;
};

static struct mpi_comm *mpi_of(struct thaw_comm *comm)
{
	return (struct mpi_comm *)comm;
}

static thaw_status mpi_failed(int code, const char *what)
{
	char text[MPI_MAX_ERROR_STRING];
	int length;

	MPI_Error_string(code, text, &length);
	return thaw_fail(THAW_FAILED, "MPI cannot %s: %.*s", what, length, text);
}

/* --- start and stop ---------------------------------------------------------------------------------------------- */

static bool mpi_launched(void)
{
	return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_RANK");
}

/* MPI may be asked for that before it starts: "Open MPI v4.1.4, package: ..." */
const char *thaw_comm_library(void)
{
	static char words[64];
	char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
	int length;
	char *version;

	MPI_Get_library_version(text, &length);
	text[strcspn(text, ",\n")] = '\0';
	version = strstr(text, " v");
	if (version)
		memmove(version + 1, version + 2, strlen(version + 2) + 1);
	snprintf(words, sizeof words, "%.63s", text);
	return words;
}

static int find_ranks(struct thaw_comm *comm)
{
	MPI_Comm host;
	int code = MPI_Comm_rank(MPI_COMM_WORLD, &comm->rank);

	if (!code)
		code = MPI_Comm_size(MPI_COMM_WORLD, &comm->size);
	if (!code)
		code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &host);
	if (code)
		return code;
	MPI_Comm_rank(host, &comm->local_rank);
	MPI_Comm_size(host, &comm->local_size);
	return MPI_Comm_free(&host);
}

/* After a failure MPI is left as it is: a rank that then ends makes the launcher end all. */
static thaw_status mpi_start(int *argc, char ***argv, struct thaw_comm **comm_out)
{
	struct mpi_comm *m = thaw_alloc(1, sizeof *m);
	thaw_status status;
	int code, threads = 0;

	if (!m)
		return THAW_OUT_OF_MEMORY;
	/* A rank that waits offers its core to others: a thousand times faster on small sums when ranks or their threads
	 * share cores, a few microseconds slower when they do not. What the user has set stands. */
	setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
	code = MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &threads);
	if (code) {
		status = mpi_failed(code, "start");
		goto free_comm;
	}
	MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
	if (threads < MPI_THREAD_FUNNELED) {
		status = thaw_fail(THAW_FAILED, "this MPI does not allow threads (MPI_THREAD_FUNNELED)");
		goto free_comm;
	}
	code = find_ranks(&m->comm);
	if (code) {
		status = mpi_failed(code, "number the ranks");
		goto free_comm;
	}
	*comm_out = &m->comm;
	return THAW_OK;

free_comm:
	free(m);
	return status;
}

static void release_plan(struct mpi_comm *m)
{
	free(m->first_node);
	free(m->adds);
	free(m->node);
	free(m->exchanges);
	free(m->partials);
	thaw_free_slab(m->received);
	free(m->requests);
	*m = (struct mpi_comm){.comm = m->comm};
}

static void mpi_stop(struct thaw_comm *comm)
{
	release_plan(mpi_of(comm));
	free(comm);
	MPI_Finalize();
}

static void mpi_abort(struct thaw_comm *comm, int exit_code)
{
	(void)comm;
	MPI_Abort(MPI_COMM_WORLD, exit_code);
}

/* --- sums of gradients: the plan --------------------------------------------------------------------------------- */

static int own_nodes(const struct mpi_comm *m)
{
	return m->first_node[m->comm.rank + 1] - m->first_node[m->comm.rank];
}

/* Numbers the frontier nodes of all ranks and writes down the additions that make the root of them. */
static void plan_adds(struct mpi_comm *m, int replicas)
{
	int share = replicas / m->comm.size, nodes = 0, adds = 0, depth = 0;
	int stack[THAW_FRONTIER];

	for (int rank = 0; rank < m->comm.size; rank++) {
		struct thaw_tree_node frontier[THAW_FRONTIER];
		int count = thaw_tree_frontier(replicas, rank * share, (rank + 1) * share, frontier);

		m->first_node[rank] = nodes;
		for (int i = 0; i < count; i++) {
			stack[depth++] = nodes++;
			for (int folds = thaw_tree_node_folds(replicas, frontier[i]); folds > 0; folds--) {
				depth--;
				m->adds[adds++] = (struct add){stack[depth - 1], stack[depth]};
			}
		}
	}
	m->first_node[m->comm.size] = nodes;
}

/* Floats in a part of a slice of `count`; the last parts of a small slice may be shorter or empty. */
static int64_t part_floats(const struct mpi_comm *m, int64_t count)
{
	int64_t unit = (int64_t)m->comm.size * ALIGNED;

	return (count + unit - 1) / unit * ALIGNED;
}

static thaw_status mpi_sum_plan(struct thaw_comm *comm, int replicas, int64_t count_limit, int slices_limit)
{
	struct mpi_comm *m = mpi_of(comm);
	size_t slices = (size_t)slices_limit, own, others, requests;

	release_plan(m);
	if (count_limit > INT_MAX)
		return thaw_fail(THAW_FAILED, "a slice of %lld numbers is too long for MPI, which takes %d",
						 (long long)count_limit, INT_MAX);
	m->first_node = thaw_alloc((size_t)comm->size + 1, sizeof *m->first_node);
	m->adds = thaw_alloc((size_t)replicas, sizeof *m->adds);
	m->node = thaw_alloc((size_t)replicas, sizeof *m->node);
	if (!m->first_node || !m->adds || !m->node)
		return THAW_OUT_OF_MEMORY;
	plan_adds(m, replicas);
	m->part_limit = part_floats(m, count_limit);
	own = (size_t)own_nodes(m);
	others = (size_t)m->first_node[comm->size] - own;
	requests = others + own * ((size_t)comm->size - 1); /* in stage `parts`; never fewer than in `sums` */
	m->exchanges = thaw_alloc(slices, sizeof *m->exchanges);
	m->partials = thaw_alloc(slices * own, sizeof *m->partials);
	m->requests = thaw_alloc(slices * requests, sizeof(MPI_Request));
	m->received = thaw_alloc_slab(slices * others * (size_t)m->part_limit * sizeof(float), "gradients of other ranks");
	if (!m->exchanges || !m->partials || !m->requests || !m->received)
		return THAW_OUT_OF_MEMORY;
	for (size_t i = 0; i < slices; i++)
		m->exchanges[i] = (struct exchange){
			.tag = (int)i,
			.partials = m->partials + i * own,
			.received = m->received + i * others * (size_t)m->part_limit,
			.requests = m->requests + i * requests,
		};
	return THAW_OK;
}

/* --- sums of gradients: the exchange ----------------------------------------------------------------------------- */

static struct part part_of(const struct mpi_comm *m, const struct exchange *x, int rank)
{
	int64_t floats = part_floats(m, x->count), begin = rank * floats;

	if (begin >= x->count)
		return (struct part){0, 0};
	return (struct part){begin, (int)(x->count - begin < floats ? x->count - begin : floats)};
}

/* Where this rank's part of another rank's node is received. */
static float *received_node(const struct mpi_comm *m, const struct exchange *x, int node)
{
	int place = node < m->first_node[m->comm.rank] ? node : node - own_nodes(m);

	return x->received + place * m->part_limit;
}

static thaw_status post_receive(struct exchange *x, float *values, int length, int from)
{
	int code = MPI_Irecv(values, length, MPI_FLOAT, from, x->tag, MPI_COMM_WORLD, &x->requests[x->requests_count++]);

	return code ? mpi_failed(code, "receive gradients") : THAW_OK;
}

static thaw_status post_send(struct exchange *x, const float *values, int length, int to)
{
	int code = MPI_Isend(values, length, MPI_FLOAT, to, x->tag, MPI_COMM_WORLD, &x->requests[x->requests_count++]);

	return code ? mpi_failed(code, "send gradients") : THAW_OK;
}

static thaw_status post_parts(struct mpi_comm *m, struct exchange *x)
{
	int rank = m->comm.rank, size = m->comm.size, mine = part_of(m, x, rank).length;
	thaw_status status = THAW_OK;

	x->stage = PARTS;
	x->requests_count = 0;
	for (int i = 1; i < size; i++) {
		int from = (rank + size - i) % size;

		for (int node = m->first_node[from]; !status && mine > 0 && node < m->first_node[from + 1]; node++)
			status = post_receive(x, received_node(m, x, node), mine, from);
	}
	for (int i = 1; i < size; i++) {
		int to = (rank + i) % size;
		struct part part = part_of(m, x, to);

		for (int k = 0; !status && part.length > 0 && k < own_nodes(m); k++)
			status = post_send(x, x->partials[k] + part.begin, part.length, to);
	}
	return status;
}

static thaw_status post_sums(struct mpi_comm *m, struct exchange *x)
{
	int rank = m->comm.rank, size = m->comm.size;
	struct part mine = part_of(m, x, rank);
	thaw_status status = THAW_OK;

	x->stage = SUMS;
	x->requests_count = 0;
	for (int i = 1; !status && i < size; i++) {
		int from = (rank + size - i) % size;
		struct part part = part_of(m, x, from);

		if (part.length > 0)
			status = post_receive(x, x->partials[0] + part.begin, part.length, from);
	}
	for (int i = 1; !status && i < size && mine.length > 0; i++)
		status = post_send(x, x->partials[0] + mine.begin, mine.length, (rank + i) % size);
	return status;
}

/* `sum` may be either of the others. */
static void add_floats(float *sum, const float *left, const float *right, int64_t count)
{
	for (int64_t i = 0; i < count; i++)
		sum[i] = left[i] + right[i];
}

/* Adds this rank's part of all nodes along the tree; the root replaces the first partial sum's part. */
static void add_part(struct mpi_comm *m, const struct exchange *x)
{
	int nodes = m->first_node[m->comm.size], first = m->first_node[m->comm.rank];
	struct part mine = part_of(m, x, m->comm.rank);
	float *root = x->partials[0] + mine.begin;

	for (int i = 0; i < nodes; i++) {
		bool own = i >= first && i < first + own_nodes(m);

		m->node[i] = own ? x->partials[i - first] + mine.begin : received_node(m, x, i);
	}
	for (int64_t at = 0; at < mine.length; at += BLOCK) {
		int64_t count = mine.length - at < BLOCK ? mine.length - at : BLOCK;

		for (int i = 0; i < nodes - 1; i++) {
			float *left = m->node[m->adds[i].left];

			add_floats((i == nodes - 2 ? root : left) + at, left + at, m->node[m->adds[i].right] + at, count);
		}
	}
}

/* Takes an exchange as far as it goes without waiting. */
static thaw_status advance(struct mpi_comm *m, struct exchange *x)
{
	while (x->stage != DONE) {
		thaw_status status = THAW_OK;
		int complete, code = MPI_Testall(x->requests_count, x->requests, &complete, MPI_STATUSES_IGNORE);

		if (code)
			return mpi_failed(code, "exchange gradients");
		if (!complete)
			return THAW_OK;
		if (x->stage == PARTS) {
			add_part(m, x);
			status = post_sums(m, x);
		} else {
			x->stage = DONE;
		}
		if (status)
			return status;
	}
	return THAW_OK;
}

static thaw_status mpi_sum_begin(struct thaw_comm *comm, struct thaw_slice slice)
{
	struct mpi_comm *m = mpi_of(comm);
	struct exchange *x = &m->exchanges[comm->slices_begun];

	memcpy(x->partials, slice.partials, (size_t)own_nodes(m) * sizeof *x->partials);
	x->count = slice.count;
	return post_parts(m, x);
}

static thaw_status mpi_progress(struct thaw_comm *comm)
{
	struct mpi_comm *m = mpi_of(comm);
	thaw_status status = THAW_OK;

	for (int i = 0; !status && i < comm->slices_begun; i++)
		status = advance(m, &m->exchanges[i]);
	return status;
}

/* Polls all rather than waiting for one: other ranks need this one's part of every slice. */
static thaw_status mpi_sum_end(struct thaw_comm *comm)
{
	const struct mpi_comm *m = mpi_of(comm);
	thaw_status status = THAW_OK;
	int done = 0;

	while (!status && done < comm->slices_begun) {
		status = mpi_progress(comm);
		while (done < comm->slices_begun && m->exchanges[done].stage == DONE)
			done++;
	}
	return status;
}

/* --- small collectives ------------------------------------------------------------------------------------------- */

static thaw_status mpi_sum_int64(struct thaw_comm *comm, int64_t *values, int count)
{
	int code = MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);

	(void)comm;
	return code ? mpi_failed(code, "sum counts") : THAW_OK;
}

static thaw_status mpi_gather_double(struct thaw_comm *comm, double *values, int count)
{
	int code = MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);

	(void)comm;
	return code ? mpi_failed(code, "gather losses") : THAW_OK;
}

static thaw_status mpi_broadcast(struct thaw_comm *comm, void *bytes, size_t length)
{
	(void)comm;
	for (size_t at = 0; at < length; at += BROADCAST_BYTES) {
		size_t count = length - at < BROADCAST_BYTES ? length - at : BROADCAST_BYTES;
		int code = MPI_Bcast((char *)bytes + at, (int)count, MPI_BYTE, 0, MPI_COMM_WORLD);

		if (code)
			return mpi_failed(code, "broadcast");
	}
	return THAW_OK;
}

static thaw_status mpi_agree(struct thaw_comm *comm, thaw_status mine, thaw_status *worst_out)
{
	struct {
		int status, rank;
	} worst = {(int)mine, comm->rank}; /* MPI_2INT; of equal ones the lowest rank is taken */
	char words[WORDS];
	int code = MPI_Allreduce(MPI_IN_PLACE, &worst, 1, MPI_2INT, MPI_MAXLOC, MPI_COMM_WORLD);

	if (code)
		return mpi_failed(code, "agree on a status");
	if (worst.status != THAW_OK) {
		snprintf(words, sizeof words, "%s", thaw_fail_text());
		code = MPI_Bcast(words, sizeof words, MPI_CHAR, worst.rank, MPI_COMM_WORLD);
		if (code)
			return mpi_failed(code, "tell a failure to all ranks");
		if ((int)mine != worst.status)
			thaw_fail((thaw_status)worst.status, "rank %d: %s", worst.rank, words);
	}
	*worst_out = (thaw_status)worst.status;
	return THAW_OK;
}

const struct thaw_comm_backend thaw_comm_mpi = {
	.launched = mpi_launched,
	.start = mpi_start,
	.stop = mpi_stop,
	.abort = mpi_abort,
	.sum_plan = mpi_sum_plan,
	.sum_begin = mpi_sum_begin,
	.progress = mpi_progress,
	.sum_end = mpi_sum_end,
	.sum_int64 = mpi_sum_int64,
	.gather_double = mpi_gather_double,
	.broadcast = mpi_broadcast,
	.agree = mpi_agree,
};
