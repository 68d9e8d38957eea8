/* thaw devices: what there is to compute with here, and which rank would take what. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/processors.h"
#include "nn/device.h"
#include "runner/commands.h"
#include "runner/gpus.h"
#include "runner/watchdog.h"
#include "runner/world.h"

enum {
	BACKENDS = 8,
	WHY = 320,    /* bytes of words that say what is wrong */
	PATIENCE = 60 /* seconds for what should take one: a driver may hang */
};

static const char without_cuda[] =
	"this build has no GPU backend: CUDA, cuDNN and NCCL are needed when thaw is built (-DTHAW_CUDA=ON)";

/* What a rank tells of itself. */
struct place {
	struct thaw_gpu_view view;
	struct thaw_found_gpu gpu; /* the one that it would take */
	char why[WHY];             /* it cannot have it; "" */
	int64_t cores;
};

_Static_assert(sizeof(struct place) % 8 == 0, "what thaw_world_gather() takes");

struct backend {
	const char *name;
	struct thaw_found found;
	char why[WHY]; /* it does not work; "" */
	struct {
		struct thaw_found_gpu facts;
		char why[WHY];
	} gpus[THAW_GPUS];
};

struct report {
	struct backend backends[BACKENDS];
	int backends_count;
	int ranks;
	struct place *places; /* (ranks) */
	int *gpus;            /* (ranks) the number of the GPU that each takes; -1: none */
	char launcher[WHY];   /* ranks could not be started; "" */
	char trouble[WHY];    /* with how ranks and GPUs go together; "" */
};

static void keep_words(char why[WHY], thaw_status status)
{
	snprintf(why, WHY, "%s", status ? thaw_fail_text() : "");
}

static thaw_status agree(thaw_status mine)
{
	return thaw_world() ? thaw_world_agree(mine) : mine;
}

/* --- looking ----------------------------------------------------------------------------------------------------- */

static void survey(struct report *report)
{
	for (int i = 0; thaw_device_name(i) && i < BACKENDS; i++) {
		struct backend *backend = &report->backends[report->backends_count++];

		backend->name = thaw_device_name(i);
		keep_words(backend->why, thaw_device_survey(i, &backend->found));
	}
}

/* The backend that ranks take GPUs of; NULL: none works. */
static const struct backend *with_gpus(const struct report *report, int *number_out)
{
	for (int i = 0; i < report->backends_count; i++)
		if (report->backends[i].found.gpus > 0) {
			*number_out = i;
			return &report->backends[i];
		}
	return NULL;
}

/* The GPU of this rank, opened as a run would open it. */
static void look_at_own(const struct report *report, int rank, struct place *place)
{
	int number, gpu = report->gpus[rank];

	if (!with_gpus(report, &number) || gpu < 0 || gpu >= place->view.count)
		return;
	keep_words(place->why, thaw_device_look(number, gpu, &place->gpu));
}

/* A rank that has looked at a GPU of this host; NULL: none takes it. */
static const struct place *who_takes(const struct report *report, uint32_t identity)
{
	for (int i = 0; i < report->ranks; i++) {
		const struct thaw_gpu_view *view = &report->places[i].view;
		int gpu = report->gpus[i];

		if (gpu >= 0 && gpu < view->count && view->identity[gpu] == identity &&
		    strcmp(view->host, report->places[0].view.host) == 0)
			return &report->places[i];
	}
	return NULL;
}

/* All that rank 0 sees: it looks at those that no rank has looked at. */
static void look_at_all(struct report *report)
{
	for (int b = 0; b < report->backends_count; b++) {
		struct backend *backend = &report->backends[b];

		for (int i = 0; i < backend->found.gpus; i++) {
			const struct place *place = who_takes(report, backend->found.identity[i]);

			thaw_watchdog_at(THAW_AT_START, -1);
			if (place) {
				backend->gpus[i].facts = place->gpu;
				memcpy(backend->gpus[i].why, place->why, sizeof place->why);
			} else {
				keep_words(backend->gpus[i].why, thaw_device_look(b, i, &backend->gpus[i].facts));
			}
		}
	}
}

/* Who takes what, from what all see. */
static thaw_status deal(struct report *report)
{
	struct thaw_gpu_view *views = thaw_alloc((size_t)report->ranks, sizeof *views);

	if (!views)
		return THAW_OUT_OF_MEMORY;
	for (int i = 0; i < report->ranks; i++)
		views[i] = report->places[i].view;
	thaw_gpus_deal(views, report->ranks, report->gpus);
	keep_words(report->trouble, thaw_gpus_check(views, report->ranks, report->gpus));
	free(views);
	return THAW_OK;
}

static thaw_status look(struct report *report)
{
	int rank = thaw_world() ? thaw_comm_rank(thaw_world()) : 0;
	struct place mine = {.cores = thaw_processors()};
	thaw_status status;

	report->ranks = thaw_world() ? thaw_comm_size(thaw_world()) : 1;
	report->places = thaw_alloc((size_t)report->ranks, sizeof *report->places);
	report->gpus = thaw_alloc((size_t)report->ranks, sizeof *report->gpus);
	status = report->places && report->gpus ? thaw_gpu_look_around("auto", &mine.view) : THAW_OUT_OF_MEMORY;
	status = agree(status);
	if (status)
		return status;
	survey(report);
	status = thaw_world_gather(&mine, sizeof mine, report->places);
	if (!status)
		status = agree(deal(report));
	if (status)
		return status;
	look_at_own(report, rank, &mine);
	status = thaw_world_gather(&mine, sizeof mine, report->places);
	if (!status && rank == 0)
		look_at_all(report);
	return status;
}

/* --- telling ----------------------------------------------------------------------------------------------------- */

static double gib(size_t bytes)
{
	return (double)bytes / (1024.0 * 1024.0 * 1024.0);
}

static void add_gpu(const struct thaw_found_gpu *gpu, struct thaw_text *lines)
{
	thaw_text_add(lines, "%s, %.1f of %.1f GiB free, compute capability %d.%d, %d multiprocessors\n", gpu->name,
	              gib(gpu->available_bytes), gib(gpu->memory_bytes), gpu->capability / 10, gpu->capability % 10,
	              gpu->processors);
}

static void add_backend(const struct backend *backend, struct thaw_text *lines)
{
	const char *visible = backend->found.gpus > 0 ? getenv("CUDA_VISIBLE_DEVICES") : NULL;

	if (*backend->why)
		thaw_text_add(lines, "%-10s does not work: %s\n", backend->name, backend->why);
	if (*backend->why && *backend->found.versions)
		thaw_text_add(lines, "%-10s libraries: %s\n", "", backend->found.versions);
	if (!*backend->why)
		thaw_text_add(lines, "%-10s works: %s", backend->name, backend->found.versions);
	if (!*backend->why && strcmp(backend->name, "cpu") == 0)
		thaw_text_add(lines, ", %d of %d cores", thaw_processors(), thaw_processors_unbound());
	if (visible)
		thaw_text_add(lines, ", CUDA_VISIBLE_DEVICES=%s", visible);
	if (!*backend->why)
		thaw_text_add(lines, "\n");
	for (int i = 0; i < backend->found.gpus; i++) {
		thaw_text_add(lines, "%-10s GPU %d: ", "", i);
		if (*backend->gpus[i].why)
			thaw_text_add(lines, "%s\n", backend->gpus[i].why);
		else
			add_gpu(&backend->gpus[i].facts, lines);
	}
}

/* "rank 3 on node7: GPU 3, NVIDIA H200, 139.1 of 139.8 GiB free" */
static void add_rank(const struct report *report, int rank, struct thaw_text *lines)
{
	const struct place *place = &report->places[rank];

	thaw_text_add(lines, "%-10s rank %d on %s: ", "", rank, place->view.host);
	if (place->view.count == 0)
		thaw_text_add(lines, "no GPU, %lld core%s\n", (long long)place->cores, place->cores == 1 ? "" : "s");
	else if (report->gpus[rank] < 0)
		thaw_text_add(lines, "no GPU is left\n");
	else if (*place->why || !*place->gpu.name)
		thaw_text_add(lines, "GPU %d, which it cannot have: %s\n", report->gpus[rank],
		              *place->why ? place->why : "it does not see it");
	else
		thaw_text_add(lines, "GPU %d, %s, %.1f of %.1f GiB free\n", report->gpus[rank], place->gpu.name,
		              gib(place->gpu.available_bytes), gib(place->gpu.memory_bytes));
}

static int count_hosts(const struct report *report)
{
	int hosts = 0;

	for (int i = 0; i < report->ranks; i++) {
		bool known = false;

		for (int k = 0; k < i && !known; k++)
			known = strcmp(report->places[k].view.host, report->places[i].view.host) == 0;
		hosts += !known;
	}
	return hosts;
}

static void add_ranks(const struct report *report, struct thaw_text *lines)
{
	int hosts = count_hosts(report);

	thaw_text_add(lines, "%-10s %s", "mpi", thaw_comm_library());
	if (*report->launcher)
		thaw_text_add(lines, ": %s\n", report->launcher);
	else
		thaw_text_add(lines, ", %d rank%s on %d host%s\n", report->ranks, report->ranks == 1 ? "" : "s", hosts,
		              hosts == 1 ? "" : "s");
	for (int i = 0; i < report->ranks; i++)
		add_rank(report, i, lines);
	if (*report->trouble)
		thaw_text_add(lines, "%-10s %s\n", "trouble", report->trouble);
}

/* What Slurm says of the job, by the names of its variables and of ours. */
static const struct {
	const char *variable, *name, *words;
} slurm[] = {
	{"SLURM_JOB_ID", "job", "job"},
	{"SLURM_NTASKS", "tasks", "tasks"},
	{"SLURM_JOB_NUM_NODES", "nodes", "nodes"},
	{"SLURM_JOB_NODELIST", "node_list", "on"},
	{"SLURM_NTASKS_PER_NODE", "tasks_per_node", "tasks per node"},
	{"SLURM_GPUS_ON_NODE", "gpus_on_node", "GPUs on this node"},
};

static void add_slurm(struct thaw_text *lines)
{
	bool first = true;

	for (size_t i = 0; i < sizeof slurm / sizeof *slurm; i++) {
		const char *value = getenv(slurm[i].variable);

		if (!value)
			continue;
		if (first)
			thaw_text_add(lines, "%-10s ", "slurm");
		thaw_text_add(lines, "%s%s %s", first ? "" : ", ", slurm[i].words, value);
		first = false;
	}
	if (!first)
		thaw_text_add(lines, "\n");
}

static void add_lines(const struct report *report, struct thaw_text *lines)
{
	bool has_cuda = false;

	thaw_text_add(lines, "%-10s %s, %s build, compiler %s\n", "thaw", THAW_VERSION, THAW_BUILD, __VERSION__);
	for (int i = 0; i < report->backends_count; i++) {
		add_backend(&report->backends[i], lines);
		has_cuda |= strcmp(report->backends[i].name, "cuda") == 0;
	}
	if (!has_cuda)
		thaw_text_add(lines, "%-10s %s\n", "cuda", without_cuda);
	add_ranks(report, lines);
	add_slurm(lines);
}

/* --- as JSON ----------------------------------------------------------------------------------------------------- */

static void add_json_words(struct thaw_text *json, const char *key, const char *words)
{
	thaw_json_text(json, key, *words ? words : NULL);
}

static void add_json_gpu(struct thaw_text *json, int number, const struct thaw_found_gpu *gpu, const char *why)
{
	char capability[16];

	snprintf(capability, sizeof capability, "%d.%d", gpu->capability / 10, gpu->capability % 10);
	thaw_json_integer(json, "gpu", number);
	add_json_words(json, "name", gpu->name);
	thaw_json_integer(json, "memory_bytes", (int64_t)gpu->memory_bytes);
	thaw_json_integer(json, "available_bytes", (int64_t)gpu->available_bytes);
	thaw_json_text(json, "capability", capability);
	thaw_json_integer(json, "multiprocessors", gpu->processors);
	add_json_words(json, "why_not", why);
}

static void add_json_backend(struct thaw_text *json, const struct backend *backend)
{
	thaw_json_open(json, NULL, '{');
	thaw_json_text(json, "name", backend->name);
	thaw_json_bool(json, "works", !*backend->why);
	add_json_words(json, "why_not", backend->why);
	add_json_words(json, "versions", backend->found.versions);
	thaw_json_open(json, "gpus", '[');
	for (int i = 0; i < backend->found.gpus; i++) {
		thaw_json_open(json, NULL, '{');
		add_json_gpu(json, i, &backend->gpus[i].facts, backend->gpus[i].why);
		thaw_json_close(json, '}');
	}
	thaw_json_close(json, ']');
	thaw_json_close(json, '}');
}

static void add_json_ranks(struct thaw_text *json, const struct report *report)
{
	thaw_json_open(json, "ranks", '[');
	for (int i = 0; i < report->ranks; i++) {
		const struct place *place = &report->places[i];

		thaw_json_open(json, NULL, '{');
		thaw_json_integer(json, "rank", i);
		thaw_json_text(json, "host", place->view.host);
		thaw_json_integer(json, "cores", place->cores);
		if (place->view.count > 0 && report->gpus[i] >= 0)
			add_json_gpu(json, report->gpus[i], &place->gpu, place->why);
		else
			thaw_json_text(json, "gpu", NULL);
		thaw_json_close(json, '}');
	}
	thaw_json_close(json, ']');
}

static void add_json_slurm(struct thaw_text *json)
{
	thaw_json_open(json, "slurm", '{');
	for (size_t i = 0; i < sizeof slurm / sizeof *slurm; i++)
		if (getenv(slurm[i].variable))
			thaw_json_text(json, slurm[i].name, getenv(slurm[i].variable));
	thaw_json_close(json, '}');
}

static void add_json(const struct report *report, struct thaw_text *json)
{
	thaw_json_open(json, NULL, '{');
	thaw_json_text(json, "version", THAW_VERSION);
	thaw_json_text(json, "build", THAW_BUILD);
	thaw_json_text(json, "compiler", __VERSION__);
	thaw_json_integer(json, "cores", thaw_processors());
	thaw_json_integer(json, "cores_of_host", thaw_processors_unbound());
	thaw_json_open(json, "backends", '[');
	for (int i = 0; i < report->backends_count; i++)
		add_json_backend(json, &report->backends[i]);
	thaw_json_close(json, ']');
	thaw_json_text(json, "mpi", thaw_comm_library());
	add_json_words(json, "launcher", report->launcher);
	add_json_ranks(json, report);
	add_json_words(json, "trouble", report->trouble);
	add_json_slurm(json);
	thaw_json_close(json, '}');
}

/* --- the command ------------------------------------------------------------------------------------------------- */

struct arguments {
	const char *required;
	bool json;
};

static thaw_status parse(const struct thaw_command *self, int argc, char **argv, struct arguments *a, bool *help_out)
{
	const struct thaw_option options[] = {
		{"json", 0, THAW_OPTION_FLAG, &a->json, 0, 0, NULL, "print one object of JSON"},
		{"require", 0, THAW_OPTION_TEXT, &a->required, 0, 0, "NAME",
	     "exit with 1 where a backend does not work for every rank\n"
	     "cpu: the host's processors\n"
	     "cuda: a GPU for each rank"},
	};
	struct thaw_texts given = {0};
	thaw_status status =
		thaw_options_parse(self, options, sizeof options / sizeof *options, argc, argv, &given, help_out);

	if (status || *help_out)
		return status;
	if (given.count > 0)
		return thaw_fail(THAW_BAD_JOB, "thaw devices: takes options alone, not '%s'", given.text[0]);
	if (a->required && strcmp(a->required, "cpu") != 0 && strcmp(a->required, "cuda") != 0)
		return thaw_fail(THAW_BAD_JOB, "thaw devices: --require %s: allowed are cpu, cuda", a->required);
	return THAW_OK;
}

/* Whether this rank can work with the backend. */
static thaw_status check_required(const struct report *report, const char *required)
{
	int rank = thaw_world() ? thaw_comm_rank(thaw_world()) : 0;

	for (int i = 0; i < report->backends_count; i++) {
		const struct backend *backend = &report->backends[i];

		if (strcmp(backend->name, required) != 0)
			continue;
		if (*backend->why)
			return thaw_fail(THAW_FAILED, "%s does not work here: %s", required, backend->why);
		if (backend->found.gpus > 0 && (*report->trouble || *report->places[rank].why))
			return thaw_fail(THAW_FAILED, "%s does not work here: %s", required,
			                 *report->trouble ? report->trouble : report->places[rank].why);
		return THAW_OK;
	}
	return thaw_fail(THAW_FAILED, "%s does not work here: %s", required, without_cuda);
}

static thaw_status tell(const struct report *report, const struct arguments *a)
{
	struct thaw_text lines = THAW_TEXT_EMPTY;
	thaw_status status;

	(a->json ? add_json : add_lines)(report, &lines);
	status = thaw_text_status(&lines);
	if (!status)
		thaw_log_lines(lines.data);
	thaw_text_release(&lines);
	if (!status && *report->launcher)
		status = a->required ? thaw_fail(THAW_FAILED, "%s", report->launcher) : THAW_OK;
	else if (!status && a->required)
		status = check_required(report, a->required);
	return status;
}

static thaw_status run(const struct thaw_command *self, int argc, char **argv)
{
	struct arguments arguments = {.required = NULL};
	struct report *report = thaw_alloc(1, sizeof *report);
	bool help = false;
	thaw_status status;

	if (!report)
		return THAW_OUT_OF_MEMORY;
	status = thaw_world_start(&argc, &argv);
	if (status == THAW_BAD_JOB) { /* a launcher that MPI does not know: what is here can be told all the same */
		keep_words(report->launcher, status);
		status = THAW_OK;
	}
	if (!status)
		status = agree(parse(self, argc, argv, &arguments, &help));
	if (!status && !help) {
		status = thaw_watchdog_start(thaw_world() ? thaw_comm_rank(thaw_world()) : 0, PATIENCE);
		if (!status)
			status = look(report);
		status = agree(status ? status : tell(report, &arguments));
	}
	free(report->places);
	free(report->gpus);
	free(report);
	return status;
}

const struct thaw_command thaw_command_devices = {
	.name = "devices",
	.summary = "what there is to compute with here: processors, GPUs, their libraries, ranks",
	.synopsis = "[mpirun -n N] thaw devices [options]",
	.notes =
		"The first thing to run on a new machine. It says of each backend whether it works here, with which libraries and\n"
		"on what, or why not; and which GPU each rank would take: the first of those it sees that no rank before it on its\n"
		"host has taken. Memory that is free is what is left while this command holds the GPU.\n"
		"\n"
		"    thaw devices\n"
		"    mpirun -n 8 thaw devices\n"
		"    mpirun -n 8 thaw devices --require cuda && mpirun -n 8 thaw train job.yaml\n",
	.run = run,
};
