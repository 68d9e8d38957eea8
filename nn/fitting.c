#include "nn/fitting.h"

#include "nn/device.h"

enum {
	SPARE = 32, /* this part of what is available is left for what comes on top: pictures and labels on their way */
	FEW = 9,    /* pictures from which to conclude where no plan for the asked batch can be made */
	ROUNDS = 5, /* plans that are tried on the way to the largest that fits */
	ROUND = 8,  /* batches of two of these or more are multiples of it */
};

/* Bytes of the arena for so many pictures. */
static thaw_status measure(const struct thaw_net *net, const struct thaw_plan_spec *asked, int batch, size_t *bytes_out)
{
	struct thaw_plan_spec spec = *asked;
	struct thaw_plan *plan;
	bool untimed = spec.device->untimed;
	thaw_status status;

	spec.batch = batch;
	spec.measures = true;
	spec.device->untimed = true;
	status = thaw_plan_compile(net, &spec, &plan);
	spec.device->untimed = untimed;
	if (status)
		return status;
	*bytes_out = thaw_plan_facts(plan).arena_bytes;
	thaw_plan_free(plan);
	return THAW_OK;
}

/* The same where a library has nothing for as many: what a few need, in proportion. */
static thaw_status measure_any(const struct thaw_net *net, const struct thaw_plan_spec *asked, size_t one,
                               size_t *bytes_out)
{
	size_t few;
	thaw_status status = measure(net, asked, asked->batch, bytes_out);

	if (status != THAW_FAILED && status != THAW_OUT_OF_MEMORY) /* that even what steps have of their own does not fit */
		return status;
	status = measure(net, asked, FEW, &few);
	if (!status)
		*bytes_out = one + (few - one) / (FEW - 1) * (size_t)(asked->batch - 1);
	return status;
}

/* The largest batch found between one that fits and one that does not: bytes grow nearly in proportion. */
static thaw_status search(const struct thaw_net *net, const struct thaw_plan_spec *asked, size_t limit, size_t bytes[2],
                          int *batch_out)
{
	int fits = 1, too_many = asked->batch;

	for (int round = 0; round < ROUNDS && too_many - fits > 1; round++) {
		double share = (double)(limit - bytes[0]) / (double)(bytes[1] - bytes[0]);
		int guess = fits + (int)(share * (double)(too_many - fits));
		size_t guessed = 0;
		thaw_status status;

		guess = guess <= fits ? fits + 1 : guess >= too_many ? too_many - 1 : guess;
		status = measure(net, asked, guess, &guessed);
		if (status && status != THAW_FAILED && status != THAW_OUT_OF_MEMORY)
			return status;
		if (!status && guessed <= limit) {
			fits = guess;
			bytes[0] = guessed;
		} else {
			too_many = guess;
			bytes[1] = guessed > limit ? guessed : limit + 1;
		}
	}
	*batch_out = fits >= 2 * ROUND ? fits / ROUND * ROUND : fits;
	return THAW_OK;
}

thaw_status thaw_plan_fits(const struct thaw_net *net, const struct thaw_plan_spec *spec, bool *fits_out)
{
	size_t bytes, available;
	thaw_status status = thaw_device_available(spec->device, &available);

	if (!status)
		status = measure(net, spec, spec->batch, &bytes);
	if (!status)
		*fits_out = bytes <= available;
	else if (status == THAW_FAILED || status == THAW_OUT_OF_MEMORY)
		*fits_out = true;
	else
		return status;
	return THAW_OK;
}

thaw_status thaw_plan_fitting(const struct thaw_net *net, const struct thaw_plan_spec *spec,
                              struct thaw_fitting *fitting_out)
{
	struct thaw_fitting fitting = {.batch = 0};
	size_t bytes[2], limit;
	thaw_status status = thaw_device_available(spec->device, &fitting.available_bytes);

	if (!status)
		status = measure(net, spec, 1, &bytes[0]);
	if (!status)
		status = measure_any(net, spec, bytes[0], &bytes[1]);
	if (status)
		return status;
	fitting.needed_bytes = bytes[1];
	limit = fitting.available_bytes - fitting.available_bytes / SPARE;
	if (bytes[1] <= limit)
		fitting.batch = spec->batch;
	else if (bytes[0] <= limit)
		status = search(net, spec, limit, bytes, &fitting.batch);
	if (!status)
		*fitting_out = fitting;
	return status;
}
