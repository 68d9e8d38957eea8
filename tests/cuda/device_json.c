/*
 * What cuDNN knows of GPU 0, as the JSON that it plans by: the files in tests/cuda/devices were written by hand, and
 * this is what the GPU itself says.
 *
 *     device_json > devices/NAME.json
 */
#include <cudnn.h>
#include <stdio.h>
#include <stdlib.h>

/* The text of GPU 0; NULL where cuDNN says no, which sets *status_out. The caller frees it. */
static char *read_properties(cudnnStatus_t *status_out)
{
	cudnnBackendDescriptor_t properties = NULL;
	int32_t number = 0;
	int64_t size_bytes = 0;
	char *text = NULL;
	cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &properties);

	if (!status)
		status = cudnnBackendSetAttribute(properties, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &number);
	if (!status)
		status = cudnnBackendFinalize(properties);
	if (!status)
		status = cudnnBackendGetAttribute(properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0,
		                                  &size_bytes, NULL);
	if (!status && (text = calloc(1, (size_t)size_bytes + 1)) == NULL)
		status = CUDNN_STATUS_ALLOC_FAILED;
	if (!status)
		status = cudnnBackendGetAttribute(properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
		                                  size_bytes, &size_bytes, text);
	if (properties)
		(void)cudnnBackendDestroyDescriptor(properties);
	if (status) {
		free(text);
		text = NULL;
	}
	*status_out = status;
	return text;
}

int main(void)
{
	cudnnStatus_t status;
	char *text = read_properties(&status);
	int code = 0;

	if (!text) {
		fprintf(stderr, "device_json: cuDNN %zu: %s\n", cudnnGetVersion(), cudnnGetErrorString(status));
		return 1;
	}
	if (printf("%s\n", text) < 0 || fflush(stdout) != 0)
		code = 1;
	free(text);
	return code;
}
