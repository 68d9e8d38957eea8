/* What is said where a batch is too large. */
#include "runner/fitting.h"

#include "tests/test.h"

int main(void)
{
	struct thaw_fitting_facts facts = {
		.batch = 4096,
		.replicas = 8,
		.ranks = 4,
		.gpu = true,
		.needed = 212.3 * 1073741824.0,
		.available = 139.1 * 1073741824.0,
		.fits = 328,
	};

	CHECK_FAILS(thaw_fitting_words(&facts), THAW_OUT_OF_MEMORY,
	            "out of memory: batch: 4096 needs 212.3 GiB for activations on each GPU, 139.1 GiB are free: "
	            "a batch of 2624 would fit");
	facts.gpu = false;
	facts.available = 0.5 * 1073741824.0;
	facts.fits = 0;
	CHECK_FAILS(
		thaw_fitting_words(&facts), THAW_OUT_OF_MEMORY,
		"needs 212.3 GiB for activations in each of 4 ranks, 512.0 MiB are free: not even one picture in each of 8 "
		"replicas fits, a smaller data.crop or network may");
	facts.ranks = facts.replicas = 1;
	CHECK_FAILS(thaw_fitting_words(&facts), THAW_OUT_OF_MEMORY,
	            "needs 212.3 GiB for activations, 512.0 MiB are free: not even one picture in each of 1 replica fits");
	return TEST_END();
}
