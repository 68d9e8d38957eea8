#include "nn/schedule.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static double constant(const struct thaw_schedule *s, int64_t step)
{
	(void)s, (void)step;
	return 1.0;
}

/* gamma ^ floor(epoch / step_epochs); torch.optim.lr_scheduler.StepLR */
static double step_drops(const struct thaw_schedule *s, int64_t step)
{
	return pow(s->gamma, (double)(step / s->steps_per_epoch / s->step_epochs));
}

static const struct kind {
	const char *name;
	double (*factor)(const struct thaw_schedule *, int64_t step);
	bool gamma, step_epochs; /* the fields it reads */
} kinds[] = {
	{"constant", constant, false, false},
	{"step", step_drops, true, true},
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

/* Ranges are written as !(inside), so that NaN is outside. */
thaw_status thaw_schedule_check(const struct thaw_schedule *s)
{
	const struct kind *kind = find_kind(s->kind);

	if (!kind)
		return thaw_fail(THAW_BAD_JOB, "schedule.kind: unknown schedule '%s'", s->kind);
	if (s->steps_per_epoch < 1)
		return thaw_fail(THAW_BAD_JOB, "schedule: an epoch of %lld steps has nothing to schedule",
		                 (long long)s->steps_per_epoch);
	if (kind->step_epochs && s->step_epochs < 1)
		return thaw_fail(THAW_BAD_JOB, "schedule.step: %lld epochs, allowed is 1 and more", (long long)s->step_epochs);
	if (kind->gamma && !(s->gamma > 0.0 && s->gamma <= 1.0))
		return thaw_fail(THAW_BAD_JOB, "schedule.gamma: %g, allowed is above 0, up to 1", s->gamma);
	return THAW_OK;
}

double thaw_schedule_factor(const struct thaw_schedule *s, int64_t step)
{
	return find_kind(s->kind)->factor(s, step);
}
