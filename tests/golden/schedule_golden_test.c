/*
 * Schedules against torch.optim.lr_scheduler (tests/golden/make_schedules.py).
 *
 *     schedule_golden_test <tests/golden>
 */
#include "nn/schedule.h"
#include "tests/golden/golden.h"
#include "tests/test.h"

enum { EPOCHS = 6, STEPS = 7, TOTAL = EPOCHS * STEPS, WARMUP = 10 };

#define TOLERANCE 1e-12 /* PyTorch multiplies its rates up from step to step */

static const int early_and_late[] = {1, 4, 5};

static const struct {
	const char *name;
	struct thaw_schedule schedule;
} rows[] = {
	{"constant", {.kind = "constant"}},
	{"constant warm", {.kind = "constant", .warmup = WARMUP, .warmup_start = 0.01}},
	{"step", {.kind = "step", .step_epochs = 2, .gamma = 0.1}},
	{"step warm", {.kind = "step", .step_epochs = 1, .gamma = 0.5, .warmup = WARMUP, .warmup_start = 0.25}},
	{"multi_step", {.kind = "multi_step", .milestones = early_and_late, .milestones_count = 3, .gamma = 0.3}},
	{"multi_step warm",
	 {.kind = "multi_step", .milestones = early_and_late, .milestones_count = 2, .gamma = 0.3, .warmup = WARMUP,
	  .warmup_start = 0.1}},
	{"exponential", {.kind = "exponential", .gamma = 0.8}},
	{"cosine", {.kind = "cosine"}},
	{"cosine min", {.kind = "cosine", .minimum = 0.05}},
	{"cosine warm", {.kind = "cosine", .minimum = 0.05, .warmup = WARMUP, .warmup_start = 0.01}},
	{"one_cycle", {.kind = "one_cycle", .rise = 0.3, .div = 25, .final_div = 1e4}},
	{"one_cycle late", {.kind = "one_cycle", .rise = 0.9, .div = 10, .final_div = 100}},
	{"one_cycle fall", {.kind = "one_cycle", .rise = 0, .div = 10, .final_div = 100}},
	{"one_cycle rise", {.kind = "one_cycle", .rise = 1, .div = 10, .final_div = 100}},
	{"one_cycle warm",
	 {.kind = "one_cycle", .rise = 0.25, .div = 4, .final_div = 10, .warmup = WARMUP, .warmup_start = 0.1}},
	{"rising", {.kind = "rising", .start = 1e-3}},
	{"rising linear", {.kind = "rising", .start = 1e-3, .linear = true}},
};
enum { ROWS = sizeof rows / sizeof *rows };

static const double losses[] = {2.0, 1.5, 1.5, 1.49999, 1.6,  1.7,  1.4,  1.4, 1.4, 1.4,
                                1.39, NAN, 1.39, 1.39,  1.39, 1.39, 1.2,  1.2, 1.2, 1.2};
enum { LOSSES = sizeof losses / sizeof *losses };

static const struct {
	const char *name;
	struct thaw_schedule schedule;
} plateaus[] = {
	{"plateau", {.kind = "plateau", .patience = 1, .gamma = 0.1, .threshold = 1e-4}},
	{"plateau patient", {.kind = "plateau", .patience = 2, .gamma = 0.5, .threshold = 0.1, .cooldown = 2}},
	{"plateau hasty", {.kind = "plateau", .patience = 0, .gamma = 0.5, .minimum = 0.1}},
};
enum { PLATEAUS = sizeof plateaus / sizeof *plateaus };

int main(int argc, char **argv)
{
	struct golden *golden;
	size_t elems;
	double *want;

	if (argc != 2) {
		printf("usage: schedule_golden_test <tests/golden>\n");
		return 1;
	}
	golden = golden_open(argv[1], "schedules.h5");
	CHECK_INT(golden_count(golden, "/"), ROWS + PLATEAUS);
	for (int i = 0; i < ROWS; i++) {
		want = golden_doubles(golden, rows[i].name, &elems);
		CHECK_INT(elems, TOTAL);
		CHECK_OK(thaw_schedule_check(&rows[i].schedule));
		for (int step = 0; step < TOTAL; step++) {
			struct thaw_progress at = {.step = step, .steps = TOTAL, .epoch = step / STEPS};
			double got = thaw_schedule_factor(&rows[i].schedule, &at);

			if (!(fabs(got - want[step]) <= TOLERANCE))
				TEST_FAIL("%s: %.15g at step %d, want %.15g", rows[i].name, got, step, want[step]);
		}
		free(want);
	}
	for (int i = 0; i < PLATEAUS; i++) {
		want = golden_doubles(golden, plateaus[i].name, &elems);
		CHECK_INT(elems, LOSSES);
		CHECK_OK(thaw_schedule_check(&plateaus[i].schedule));
		CHECK_NEAR(thaw_schedule_factor(&plateaus[i].schedule, &(struct thaw_progress){.steps = 1}), 1, 0);
		for (int count = 1; count <= LOSSES; count++) {
			struct thaw_progress at = {.step = 1, .steps = 2, .losses = losses, .losses_count = count};
			double got = thaw_schedule_factor(&plateaus[i].schedule, &at);

			if (!(fabs(got - want[count - 1]) <= TOLERANCE))
				TEST_FAIL("%s: %.15g after %d losses, want %.15g", plateaus[i].name, got, count, want[count - 1]);
		}
		free(want);
	}
	golden_close(golden);
	return TEST_END();
}
