#include "nn/schedule.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static double constant(const struct thaw_schedule *s, const struct thaw_progress *at)
{
	(void)s, (void)at;
	return 1.0;
}

static double step_drops(const struct thaw_schedule *s, const struct thaw_progress *at)
{
	return pow(s->gamma, (double)(at->epoch / s->step_epochs));
}

static double multi_step(const struct thaw_schedule *s, const struct thaw_progress *at)
{
	int drops = 0;

	while (drops < s->milestones_count && s->milestones[drops] <= at->epoch)
		drops++;
	return pow(s->gamma, (double)drops);
}

static double exponential(const struct thaw_schedule *s, const struct thaw_progress *at)
{
	return pow(s->gamma, (double)at->epoch);
}

/* From `from` to `to` along half a cosine, as `part` goes from 0 to 1. */
static double half_cosine(double from, double to, double part)
{
	return to + (from - to) * (1.0 + cos(pi * part)) / 2.0;
}

static double cosine(const struct thaw_schedule *s, const struct thaw_progress *at)
{
	return half_cosine(1.0, s->minimum, (double)at->step / (double)at->steps);
}

/* PyTorch's: the peak is at step rise * steps - 1, the end at the last step. */
static double one_cycle(const struct thaw_schedule *s, const struct thaw_progress *at)
{
	double step = (double)at->step, peak = s->rise * (double)at->steps - 1.0, last = (double)at->steps - 1.0;

	if (step >= peak)
		return half_cosine(1.0, 1.0 / (s->div * s->final_div), last > peak ? (step - peak) / (last - peak) : 0.0);
	return half_cosine(1.0 / s->div, 1.0, step / peak);
}

static double rising(const struct thaw_schedule *s, const struct thaw_progress *at)
{
	double part = (double)at->step / (double)at->steps;

	return s->linear ? s->start + (1.0 - s->start) * part : pow(s->start, 1.0 - part);
}

static double plateau(const struct thaw_schedule *s, const struct thaw_progress *at)
{
	double factor = 1.0, best = INFINITY;
	int bad = 0, cooling = 0; /* epochs */

	for (int i = 0; i < at->losses_count; i++) {
		bad++;
		if (at->losses[i] < best * (1.0 - s->threshold)) {
			best = at->losses[i];
			bad = 0;
		}
		if (cooling > 0) {
			cooling--;
			bad = 0;
		}
		if (bad > s->patience) {
			factor = fmax(factor * s->gamma, s->minimum);
			cooling = s->cooldown;
			bad = 0;
		}
	}
	return factor;
}

/* --- what a schedule may hold; ranges are written as !(inside), so that NaN is outside --------------------------- */

static thaw_status check_constant(const struct thaw_schedule *s)
{
	(void)s;
	return THAW_OK;
}

static thaw_status check_gamma(const struct thaw_schedule *s)
{
	if (!(s->gamma > 0.0 && s->gamma <= 1.0))
		return thaw_fail(THAW_BAD_JOB, "schedule.gamma: %g, allowed is above 0, up to 1", s->gamma);
	return THAW_OK;
}

static thaw_status check_step(const struct thaw_schedule *s)
{
	if (s->step_epochs < 1)
		return thaw_fail(THAW_BAD_JOB, "schedule.step: %lld epochs, allowed is 1 and more", (long long)s->step_epochs);
	return check_gamma(s);
}

static thaw_status check_multi_step(const struct thaw_schedule *s)
{
	if (s->milestones_count < 1)
		return thaw_fail(THAW_BAD_JOB, "schedule.milestones: there is none, expected are epochs to drop at");
	for (int i = 0; i < s->milestones_count; i++) {
		int least = i ? s->milestones[i - 1] + 1 : 1;

		if (s->milestones[i] < least)
			return thaw_fail(THAW_BAD_JOB, "schedule.milestones: epoch %d is number %d, allowed is %d and more",
			                 s->milestones[i], i + 1, least);
	}
	return check_gamma(s);
}

static thaw_status check_minimum(const struct thaw_schedule *s)
{
	if (!(s->minimum >= 0.0 && s->minimum <= 1.0))
		return thaw_fail(THAW_BAD_JOB, "schedule.min: %g, allowed is 0 to 1", s->minimum);
	return THAW_OK;
}

static thaw_status check_one_cycle(const struct thaw_schedule *s)
{
	if (!(s->rise >= 0.0 && s->rise <= 1.0))
		return thaw_fail(THAW_BAD_JOB, "schedule.rise: %g, allowed is 0 to 1", s->rise);
	if (!(s->div >= 1.0 && isfinite(s->div)))
		return thaw_fail(THAW_BAD_JOB, "schedule.div: %g, allowed is 1 and more", s->div);
	if (!(s->final_div >= 1.0 && isfinite(s->final_div)))
		return thaw_fail(THAW_BAD_JOB, "schedule.final_div: %g, allowed is 1 and more", s->final_div);
	return THAW_OK;
}

static thaw_status check_rising(const struct thaw_schedule *s)
{
	if (!(s->start > 0.0 && s->start <= 1.0))
		return thaw_fail(THAW_BAD_JOB, "schedule.start: %g, allowed is above 0, up to 1", s->start);
	return THAW_OK;
}

static thaw_status check_plateau(const struct thaw_schedule *s)
{
	if (s->patience < 0)
		return thaw_fail(THAW_BAD_JOB, "schedule.patience: %d epochs, allowed is 0 and more", s->patience);
	if (s->cooldown < 0)
		return thaw_fail(THAW_BAD_JOB, "schedule.cooldown: %d epochs, allowed is 0 and more", s->cooldown);
	if (!(s->gamma > 0.0 && s->gamma < 1.0))
		return thaw_fail(THAW_BAD_JOB,
		                 "schedule.gamma: %g, allowed is above 0, below 1, where schedule.kind is plateau", s->gamma);
	if (!(s->threshold >= 0.0 && s->threshold < 1.0))
		return thaw_fail(THAW_BAD_JOB, "schedule.threshold: %g, allowed is 0 to below 1", s->threshold);
	return check_minimum(s);
}

static const struct kind {
	const char *name;
	thaw_status (*check)(const struct thaw_schedule *);
	double (*factor)(const struct thaw_schedule *, const struct thaw_progress *);
	bool by_step; /* begins when warm-up ends, and has the rest of the steps */
} kinds[] = {
	{"constant", check_constant, constant, false},
	{"step", check_step, step_drops, false},
	{"multi_step", check_multi_step, multi_step, false},
	{"exponential", check_gamma, exponential, false},
	{"cosine", check_minimum, cosine, true},
	{"one_cycle", check_one_cycle, one_cycle, true},
	{"rising", check_rising, rising, true},
	{"plateau", check_plateau, plateau, false},
};

static const struct kind *find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

const char *thaw_schedule_kind(int i)
{
	return i >= 0 && (size_t)i < sizeof kinds / sizeof *kinds ? kinds[i].name : NULL;
}

thaw_status thaw_schedule_check(const struct thaw_schedule *s)
{
	const struct kind *kind = find_kind(s->kind);

	if (!kind)
		return thaw_fail(THAW_BAD_JOB, "schedule.kind: unknown schedule '%s'", s->kind);
	if (s->warmup < 0)
		return thaw_fail(THAW_BAD_JOB, "schedule.warmup: %lld steps, allowed is 0 and more", (long long)s->warmup);
	if (s->warmup > 0 && !(s->warmup_start > 0.0 && s->warmup_start <= 1.0))
		return thaw_fail(THAW_BAD_JOB, "schedule.warmup_start: %g, allowed is above 0, up to 1", s->warmup_start);
	return kind->check(s);
}

double thaw_schedule_factor(const struct thaw_schedule *s, const struct thaw_progress *at)
{
	const struct kind *kind = find_kind(s->kind);
	struct thaw_progress behind = *at;
	double warm = 1.0;

	if (at->step < s->warmup)
		warm = s->warmup_start + (1.0 - s->warmup_start) * (double)at->step / (double)s->warmup;
	if (kind->by_step && s->warmup > 0) {
		behind.step = at->step < s->warmup ? 0 : at->step - s->warmup;
		behind.steps = at->steps > s->warmup ? at->steps - s->warmup : 1;
	}
	return warm * kind->factor(s, &behind);
}
