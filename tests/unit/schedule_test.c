/* Schedules worked by hand, and everything that must be refused; tests/golden compares them with PyTorch's. */
#include "nn/schedule.h"
#include "tests/test.h"

/* The factor at a step of a run of ten steps an epoch. */
static double factor(const struct thaw_schedule *s, int64_t step)
{
	return thaw_schedule_factor(s, &(struct thaw_progress){.step = step, .steps = 150, .epoch = (int)(step / 10)});
}

/* StepLR(step_size=7, gamma=0.1): epochs 0-6 full rate, 7-13 a tenth, 14 a hundredth. */
static void test_step_drops_at_7_and_14(void)
{
	struct thaw_schedule s = {.kind = "step", .step_epochs = 7, .gamma = 0.1};

	CHECK_NEAR(factor(&s, 0), 1.0, 1e-15);
	CHECK_NEAR(factor(&s, 69), 1.0, 1e-15);
	CHECK_NEAR(factor(&s, 70), 0.1, 1e-15);
	CHECK_NEAR(factor(&s, 139), 0.1, 1e-15);
	CHECK_NEAR(factor(&s, 140), 0.01, 1e-15);
	s.kind = "constant";
	CHECK_NEAR(factor(&s, 140), 1.0, 0);
}

/* What moves by epochs counts those that it is told, whatever their length. */
static void test_epochs_may_differ_in_length(void)
{
	struct thaw_schedule s = {.kind = "exponential", .gamma = 0.5};

	CHECK_NEAR(thaw_schedule_factor(&s, &(struct thaw_progress){.step = 3, .steps = 100, .epoch = 2}), 0.25, 1e-15);
	CHECK_NEAR(thaw_schedule_factor(&s, &(struct thaw_progress){.step = 99, .steps = 100, .epoch = 2}), 0.25, 1e-15);
}

/* Ten steps from 0.2 to 1; then half a cosine over the 140 that are left: half way after 70 of them. */
static void test_cosine_begins_behind_warm_up(void)
{
	struct thaw_schedule s = {.kind = "cosine", .minimum = 0.2, .warmup = 10, .warmup_start = 0.2};

	CHECK_NEAR(factor(&s, 0), 0.2, 1e-15);
	CHECK_NEAR(factor(&s, 5), 0.6, 1e-15);
	CHECK_NEAR(factor(&s, 10), 1.0, 1e-15);
	CHECK_NEAR(factor(&s, 80), 0.6, 1e-15);
	s.warmup = 0;
	CHECK_NEAR(factor(&s, 0), 1.0, 1e-15);
	CHECK_NEAR(factor(&s, 75), 0.6, 1e-15);
	s.warmup = 200; /* longer than the run */
	CHECK_NEAR(factor(&s, 149), 0.2 + 0.8 * 149 / 200, 1e-15);
}

/* Runs so short that a part of the schedule has no steps still get a number. */
static void test_short_runs(void)
{
	struct thaw_schedule s = {.rise = 0.5, .div = 4, .final_div = 2, .start = 0.25, .warmup_start = 0.5};

	for (int i = 0; thaw_schedule_kind(i); i++) {
		static const int milestones[] = {1};

		s.kind = thaw_schedule_kind(i);
		s.gamma = 0.5, s.step_epochs = 1, s.milestones = milestones, s.milestones_count = 1;
		CHECK_OK(thaw_schedule_check(&s));
		for (int64_t steps = 1; steps <= 3; steps++)
			for (int64_t step = 0; step < steps; step++)
				for (s.warmup = 0; s.warmup <= 3; s.warmup++) {
					double f = thaw_schedule_factor(&s, &(struct thaw_progress){.step = step, .steps = steps});

					CHECK(f > 0 && f <= 1);
				}
		s.warmup = 0;
	}
	s.kind = "one_cycle";
	CHECK_NEAR(thaw_schedule_factor(&s, &(struct thaw_progress){.step = 0, .steps = 2}), 1.0, 1e-15);
	CHECK_NEAR(thaw_schedule_factor(&s, &(struct thaw_progress){.step = 1, .steps = 2}), 0.125, 1e-15);
}

static const double bad[] = {NAN, -INFINITY, INFINITY, -0.5}; /* for every number that a schedule has */

static void test_refusals_name_the_key(void)
{
	static const int order[] = {3, 3}, first[] = {0, 2};
	struct thaw_schedule good = {
		.kind = "step", .step_epochs = 7, .gamma = 0.1, .rise = 0.3, .div = 25, .final_div = 1e4, .start = 0.1};
	struct thaw_schedule s = good;

	CHECK_OK(thaw_schedule_check(&s));
	s.kind = "cosinus";
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.kind");
	s = good, s.step_epochs = 0;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.step: 0");
	s = good, s.warmup = -1;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.warmup: -1");
	s = good, s.warmup = 1;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.warmup_start: 0");
	s = good, s.kind = "multi_step";
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.milestones: there is none");
	s.milestones = order, s.milestones_count = 2;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "epoch 3 is number 2, allowed is 4");
	s.milestones = first;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "epoch 0 is number 1, allowed is 1");
	s = good, s.gamma = 0;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.gamma: 0");
	s = good, s.kind = "rising", s.start = 0;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.start: 0");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		s = good, s.gamma = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.gamma");
		s = good, s.warmup = 1, s.warmup_start = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.warmup_start");
		s = good, s.kind = "exponential", s.gamma = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.gamma");
		s = good, s.kind = "cosine", s.minimum = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.min");
		s = good, s.kind = "one_cycle", s.rise = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.rise");
		s = good, s.kind = "one_cycle", s.div = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.div");
		s = good, s.kind = "one_cycle", s.final_div = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.final_div");
		s = good, s.kind = "rising", s.start = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.start");
	}
}

static void test_plateau_refusals(void)
{
	struct thaw_schedule good = {.kind = "plateau", .patience = 2, .gamma = 0.1, .threshold = 1e-4}, s = good;

	CHECK_OK(thaw_schedule_check(&s));
	s.patience = -1;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.patience: -1");
	s = good, s.cooldown = -2;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.cooldown: -2");
	s = good, s.gamma = 1;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.gamma: 1");
	s = good, s.threshold = 1;
	CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.threshold: 1");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		s = good, s.gamma = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.gamma");
		s = good, s.threshold = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.threshold");
		s = good, s.minimum = bad[i];
		CHECK_FAILS(thaw_schedule_check(&s), THAW_BAD_JOB, "schedule.min");
	}
}

/* A loss that stands still: with patience 1 every second epoch drops; warm-up is a factor in front of that. */
static void test_plateau_by_hand(void)
{
	static const double losses[] = {1, 1, 1, 1, 1};
	struct thaw_schedule s = {.kind = "plateau", .patience = 1, .gamma = 0.5, .warmup = 10, .warmup_start = 0.2};
	struct thaw_progress at = {.step = 10, .steps = 100, .epoch = 5, .losses = losses};

	for (at.losses_count = 0; at.losses_count <= 2; at.losses_count++) /* the first is the best, the second is borne */
		CHECK_NEAR(thaw_schedule_factor(&s, &at), 1, 0);
	CHECK_NEAR(thaw_schedule_factor(&s, &at), 0.5, 0);
	at.losses_count = 5;
	CHECK_NEAR(thaw_schedule_factor(&s, &at), 0.25, 0);
	at.step = 5;
	CHECK_NEAR(thaw_schedule_factor(&s, &at), 0.25 * 0.6, 1e-15);
	at.losses_count = 0;
	at.losses = NULL;
	CHECK_NEAR(thaw_schedule_factor(&s, &at), 0.6, 1e-15);
}

int main(void)
{
	test_step_drops_at_7_and_14();
	test_epochs_may_differ_in_length();
	test_cosine_begins_behind_warm_up();
	test_short_runs();
	test_refusals_name_the_key();
	test_plateau_refusals();
	test_plateau_by_hand();
	return TEST_END();
}
