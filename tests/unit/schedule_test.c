/* Schedules against PyTorch's formulas worked by hand, and against everything that must be refused. */
#include "nn/optimizer.h"
#include "nn/schedule.h"
#include "tests/test.h"

/* StepLR(step_size=7, gamma=0.1): epochs 0-6 full rate, 7-13 a tenth, 14 a hundredth. */
static void test_step_drops_at_7_and_14(void)
{
	struct thaw_schedule s = {.kind = "step", .steps_per_epoch = 10, .step_epochs = 7, .gamma = 0.1};

	CHECK_NEAR(thaw_schedule_factor(&s, 0), 1.0, 1e-15);
	CHECK_NEAR(thaw_schedule_factor(&s, 69), 1.0, 1e-15);
	CHECK_NEAR(thaw_schedule_factor(&s, 70), 0.1, 1e-15);
	CHECK_NEAR(thaw_schedule_factor(&s, 139), 0.1, 1e-15);
	CHECK_NEAR(thaw_schedule_factor(&s, 140), 0.01, 1e-15);
	s.kind = "constant";
	CHECK_NEAR(thaw_schedule_factor(&s, 140), 1.0, 0);
}

static void test_refusals_name_the_key(void)
{
	struct thaw_schedule s = {.kind = "step", .steps_per_epoch = 10, .step_epochs = 7, .gamma = 0.1};
	struct thaw_schedule wrong = s;

	CHECK_OK(thaw_schedule_check(&s));
	wrong.kind = "cosinus";
	CHECK_FAILS(thaw_schedule_check(&wrong), THAW_BAD_JOB, "schedule.kind");
	wrong = s, wrong.step_epochs = 0;
	CHECK_FAILS(thaw_schedule_check(&wrong), THAW_BAD_JOB, "schedule.step");
	wrong = s, wrong.gamma = 0;
	CHECK_FAILS(thaw_schedule_check(&wrong), THAW_BAD_JOB, "schedule.gamma");
	wrong = s, wrong.gamma = NAN;
	CHECK_FAILS(thaw_schedule_check(&wrong), THAW_BAD_JOB, "schedule.gamma");
	wrong = s, wrong.steps_per_epoch = 0;
	CHECK_FAILS(thaw_schedule_check(&wrong), THAW_BAD_JOB, "0 steps");
}

static void test_optimizer_refusals(void)
{
	struct thaw_params params = {0};
	struct thaw_optimizer optimizer;
	struct thaw_optimizer_spec spec = {.kind = "sgdm", .threads = 1};

	CHECK_FAILS(thaw_optimizer_init(&optimizer, &spec, &params), THAW_BAD_JOB, "optimizer.kind");
	spec.kind = "sgd";
	spec.momentum = 1.5;
	CHECK_FAILS(thaw_optimizer_init(&optimizer, &spec, &params), THAW_BAD_JOB, "optimizer.momentum");
	spec.momentum = 0;
	spec.weight_decay = NAN;
	CHECK_FAILS(thaw_optimizer_init(&optimizer, &spec, &params), THAW_BAD_JOB, "optimizer.weight_decay");
}

int main(void)
{
	test_step_drops_at_7_and_14();
	test_refusals_name_the_key();
	test_optimizer_refusals();
	return TEST_END();
}
