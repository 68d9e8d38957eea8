#include "jobs/warnings.h"

#include <stddef.h>
#include <string.h>

#include "base/printable.h"

enum { FEW = 10, RATIO = 10, NAMED = 3 };

/* Pictures are cut out of the middle for validation: a crop far from their size sees a part, or blown-up pixels. */
static void check_crop(int crop, int edge, struct thaw_text *lines)
{
	if (crop > edge)
		thaw_text_add(lines, "data.crop is %d, but the shorter edge of the pictures is %d: they are enlarged\n", crop,
		              edge);
	else if (crop < edge / 2)
		thaw_text_add(lines,
		              "data.crop is %d, but the shorter edge of the pictures is %d: validation sees only their "
		              "middle; thaw pack --resize %d would suit\n",
		              crop, edge, crop * 8 / 7);
}

/* --- threads ----------------------------------------------------------------------------------------------------- */

static void check_threads(const struct thaw_job *job, const struct thaw_rank_counts *ranks, struct thaw_text *lines)
{
	int suits = ranks->processors / ranks->ranks;

	if (job->threads <= 1 || (int64_t)job->threads * ranks->ranks <= ranks->processors)
		return;
	thaw_text_add(lines, "threads: %d", job->threads);
	if (ranks->ranks > 1)
		thaw_text_add(lines, " for each of %d ranks here", ranks->ranks);
	thaw_text_add(lines, ", but there %s %d processor%s: they take turns; threads: %d would suit\n",
	              ranks->processors == 1 ? "is" : "are", ranks->processors, thaw_plural(ranks->processors),
	              suits > 1 ? suits : 1);
}

/* --- learning rates ---------------------------------------------------------------------------------------------- */

/* Rates that trainings of image classifiers are published with. Those of SGD grow with the batch, 0.1 per 256 pictures
 * (Goyal et al. 2017); Adam's default is 1e-3 (Kingma & Ba 2015). */
static const struct usual {
	const char *kind;
	double low, high;
	int batch; /* larger batches allow rates that are larger by as much; 0: no */
} usual_rates[] = {
	{"sgd", 1e-4, 0.5, 256},
	{"adam", 1e-6, 1e-2, 0},
	{"adamw", 1e-6, 1e-2, 0},
};

/* Whether an earlier phase has the same rate and batch, and so the same warning. */
static bool is_repeated(const struct thaw_job *job, int phase)
{
	const struct thaw_recipe *now = &job->phases[phase].recipe;

	for (int i = 0; i < phase; i++)
		if (job->phases[i].recipe.lr == now->lr && job->phases[i].recipe.batch == now->batch)
			return true;
	return false;
}

bool thaw_usual_rates(const char *optimizer, int batch, double *low_out, double *high_out)
{
	for (size_t i = 0; i < sizeof usual_rates / sizeof *usual_rates; i++) {
		const struct usual *usual = &usual_rates[i];

		if (strcmp(usual->kind, optimizer) != 0)
			continue;
		*low_out = usual->low;
		*high_out = usual->high;
		if (usual->batch && batch > usual->batch)
			*high_out *= (double)batch / usual->batch;
		return true;
	}
	return false;
}

static void check_rate(const struct thaw_job *job, int phase, struct thaw_text *lines)
{
	const struct thaw_recipe *recipe = &job->phases[phase].recipe;
	double low, high;

	if (thaw_usual_rates(job->optimizer.kind, recipe->batch, &low, &high) &&
	    !(recipe->lr >= low && recipe->lr <= high))
		thaw_text_add(lines,
		              "phase %d: a learning rate of %g; usual for %s with batches of %d is %g to %g: thaw lr-find "
		              "suggests one\n",
		              phase + 1, recipe->lr, job->optimizer.kind, recipe->batch, low, high);
}

static void check_factors(const struct thaw_job *job, struct thaw_text *lines)
{
	const struct thaw_scales *scales = &job->optimizer.lr_scale;

	for (int i = 0; i < scales->count; i++)
		if (!(scales->of[i].factor > 0))
			thaw_text_add(lines,
			              "optimizer.lr_scale: a factor of 0 freezes '%s' and yet computes its gradients: leave it out of "
			              "what phases train\n",
			              scales->of[i].part);
}

/* The rate that the job gives is reached in the epochs from `phase` on that share its schedule, if warm-up ends. */
static void check_warmup(const struct thaw_job *job, int phase, struct thaw_text *lines)
{
	double warmup = job->phases[phase].recipe.schedule.warmup;
	int epochs = job->phases[phase].epochs;

	if (!thaw_job_begins_schedule(job, phase))
		return;
	for (int i = phase + 1; i < job->phases_count && !thaw_job_begins_schedule(job, i); i++)
		epochs += job->phases[i].epochs;
	if (warmup >= epochs)
		thaw_text_add(lines,
		              "phase %d: a warm-up of %g epochs, but its schedule has %d: the full rate is never reached\n",
		              phase + 1, warmup, epochs);
}

/* --- norms ------------------------------------------------------------------------------------------------------- */

/* What is frozen from the start, in a network of random weights, has running statistics that no picture has made. */
static void check_frozen(const struct thaw_job *job, const struct thaw_norm_counts *norms, struct thaw_text *lines)
{
	if (!thaw_job_pretrained(job) && strcmp(job->batchnorm, "frozen") == 0 && norms[0].frozen > 0)
		thaw_text_add(lines, "phase 1: the norms of what is frozen have statistics that no picture has made; "
		                     "batchnorm: train lets them use each batch's\n");
}

/* --- batches ----------------------------------------------------------------------------------------------------- */

/* Told once where phases have the same. */
static void check_batch(const struct thaw_job *job, int phase, int64_t count, struct thaw_text *lines)
{
	int batch = job->phases[phase].recipe.batch;

	for (int i = 0; i < phase; i++)
		if (job->phases[i].recipe.batch == batch)
			return;
	if (batch > count)
		thaw_text_add(lines,
		              "phase %d: a batch of %d, but there are %lld training pictures: an epoch is one step of %lld\n",
		              phase + 1, batch, (long long)count, (long long)count);
}

/* Whether batches of this size leave a last one in which some replica has a single picture. */
static bool leaves_single(int64_t count, int batch, int replicas)
{
	int64_t tail = count % batch;

	return count > batch && tail > 0 && tail < 2 * (int64_t)replicas;
}

/* The size nearest to `batch` that leaves none, the smaller of two; 0: there is none within half of it. */
static int better_batch(int64_t count, int batch, int replicas)
{
	for (int d = 1; d <= batch / 2; d++) {
		if (batch - d >= replicas && !leaves_single(count, batch - d, replicas))
			return batch - d;
		if (!leaves_single(count, batch + d, replicas))
			return batch + d;
	}
	return 0;
}

/* Whether norms take their statistics from the batch. */
static bool has_batch_norms(const struct thaw_job *job, const struct thaw_norm_counts *norms, int phase)
{
	return norms[phase].trained > 0 || (strcmp(job->batchnorm, "train") == 0 && norms[phase].frozen > 0);
}

/* Whether an earlier phase has the same last batch, and norms that see it. */
static bool is_tail_told(const struct thaw_job *job, const struct thaw_norm_counts *norms, int phase)
{
	for (int i = 0; i < phase; i++)
		if (job->phases[i].recipe.batch == job->phases[phase].recipe.batch && has_batch_norms(job, norms, i))
			return true;
	return false;
}

static void check_tail(const struct thaw_job *job, int phase, int64_t count, int replicas, struct thaw_text *lines)
{
	int batch = job->phases[phase].recipe.batch;
	int64_t tail = count % batch;
	int better = better_batch(count, batch, replicas);

	if (!leaves_single(count, batch, replicas))
		return;
	thaw_text_add(lines, "phase %d: %lld pictures leave %lld for the last batch", phase + 1, (long long)count,
	              (long long)tail);
	if (replicas > 1)
		thaw_text_add(lines, ", a single one for some of %d replicas", replicas);
	thaw_text_add(lines, ": norms that train take their statistics from it");
	if (better)
		thaw_text_add(lines, "; batch: %d would not", better);
	thaw_text_add(lines, "\n");
}

/* --- classes ----------------------------------------------------------------------------------------------------- */

/* "2 of 5 classes have fewer than 10 training pictures: moth 3, wasp 7" */
static void check_few(const struct thaw_data_counts *data, const int64_t *counts, int64_t fewer, const char *what,
                      struct thaw_text *lines)
{
	int found = 0;

	for (int c = 0; c < data->classes; c++)
		found += counts[c] < fewer;
	if (found == 0)
		return;
	thaw_text_add(lines, "%d of %d classes ha%s %s:", found, data->classes, found == 1 ? "s" : "ve", what);
	for (int c = 0, named = 0; c < data->classes && named < NAMED; c++) {
		if (counts[c] >= fewer)
			continue;
		thaw_text_add(lines, "%s", named++ ? ", " : " ");
		thaw_text_add_printable(lines, data->names[c]);
		thaw_text_add(lines, " %lld", (long long)counts[c]);
	}
	thaw_text_add(lines, "%s\n", found > NAMED ? ", ..." : "");
}

static void check_balance(const struct thaw_job *job, const struct thaw_data_counts *data, struct thaw_text *lines)
{
	int most = 0, least = 0;

	for (int c = 1; c < data->classes; c++) {
		if (data->train[c] > data->train[most])
			most = c;
		if (data->train[c] < data->train[least])
			least = c;
	}
	if (data->train[most] <= RATIO * data->train[least] || strcmp(job->loss.class_weights, "none") != 0 ||
	    strcmp(job->data.sampling, "shuffle") != 0)
		return;
	thaw_text_add(lines, "class '");
	thaw_text_add_printable(lines, data->names[most]);
	thaw_text_add(lines, "' has %lld training pictures, '", (long long)data->train[most]);
	thaw_text_add_printable(lines, data->names[least]);
	thaw_text_add(lines,
	              "' %lld: with loss.class_weights: balanced, or data.sampling: balanced, both would weigh the same\n",
	              (long long)data->train[least]);
}

void thaw_job_add_warnings(const struct thaw_job *job, const struct thaw_data_counts *data,
                           const struct thaw_norm_counts *norms, const struct thaw_rank_counts *ranks,
                           struct thaw_text *lines)
{
	int64_t count = 0;

	for (int c = 0; c < data->classes; c++)
		count += data->train[c];
	check_crop(job->data.crop, data->resize, lines);
	check_threads(job, ranks, lines);
	check_factors(job, lines);
	check_frozen(job, norms, lines);
	for (int i = 0; i < job->phases_count; i++) {
		if (!is_repeated(job, i))
			check_rate(job, i, lines);
		check_warmup(job, i, lines);
		check_batch(job, i, count, lines);
		if (has_batch_norms(job, norms, i) && !is_tail_told(job, norms, i))
			check_tail(job, i, count, ranks->replicas, lines);
	}
	check_few(data, data->train, FEW, "fewer than 10 training pictures", lines);
	check_few(data, data->val, 1, "no validation picture", lines);
	check_balance(job, data, lines);
}
