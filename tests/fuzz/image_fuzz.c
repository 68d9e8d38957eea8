/* Pictures: any bytes are refused, or become pixels, all of which can be read. The checksums of PNG are made right. */
#include <stdlib.h>
#include <string.h>

#include "io/image.h"
#include "tests/fuzz/fuzz.h"

/* CRC-32 as in PNG (ISO 3309), bit by bit. */
static uint32_t crc32_of(const uint8_t *bytes, size_t length)
{
	uint32_t crc = ~UINT32_C(0);

	for (size_t i = 0; i < length; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

/* After 8 bytes of signature: length, kind, data, checksum of kind and data, all numbers with their high byte first. */
static void correct_png(uint8_t *bytes, size_t length)
{
	size_t at = 8;

	if (length < 8 || memcmp(bytes, "\x89PNG", 4) != 0)
		return;
	while (length - at >= 12) {
		size_t data =
			(size_t)bytes[at] << 24 | (size_t)bytes[at + 1] << 16 | (size_t)bytes[at + 2] << 8 | bytes[at + 3];
		uint32_t crc;

		if (data > length - at - 12)
			return;
		crc = crc32_of(bytes + at + 4, data + 4);
		for (int i = 0; i < 4; i++)
			bytes[at + 8 + data + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
		at += data + 12;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
	uint8_t *file = malloc(length ? length : 1); /* of exactly this length: a sanitizer sees what reads beyond */
	struct thaw_image image;
	thaw_status status;

	FUZZ_CHECK(file != NULL);
	memcpy(file, bytes, length);
	correct_png(file, length);
	status = thaw_image_decode("x", file, length, &image);
	FUZZ_CHECK(status == THAW_OK || (status == THAW_FAILED && *thaw_fail_text()));
	if (!status) {
		volatile uint8_t last;

		FUZZ_CHECK(image.height > 0 && image.width > 0);
		last = image.pixels[(size_t)image.height * (size_t)image.width * 3 - 1];
		(void)last;
		thaw_image_release(&image);
	}
	free(file);
	return 0;
}
