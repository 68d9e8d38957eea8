/* The GPU backend as it is built: it links, and where there is no GPU it says so. */
#include "nn/device.h"
#include "tests/test.h"

int main(void)
{
	struct thaw_device *device = NULL;
	thaw_status status = thaw_device_open("cuda", 1, 0, &device);

	if (status)
		CHECK_FAILS(status, THAW_FAILED, "no GPU: ");
	else
		printf("%s\n", thaw_device_describe(device));
	thaw_device_free(device);
	CHECK_OK(thaw_device_open("auto", 1, 0, &device)); /* some device there always is */
	CHECK(device != NULL);
	thaw_device_free(device);
	return TEST_END();
}
