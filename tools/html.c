#include "tools/html.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/printable.h"
#include "io/image.h"
#include "io/resize.h"

void thaw_html_add(struct thaw_text *html, const char *text)
{
	static const struct {
		char c;
		const char *entity;
	} entities[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}, {'\'', "&#39;"}};
	struct thaw_text printable = THAW_TEXT_EMPTY;

	thaw_text_add_printable(&printable, text);
	for (const char *c = printable.data; *c; c++) {
		const char *entity = NULL;

		for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
			if (*c == entities[i].c)
				entity = entities[i].entity;
		thaw_text_add_bytes(html, entity ? entity : c, entity ? strlen(entity) : 1);
	}
	html->out_of_memory |= printable.out_of_memory;
	thaw_text_release(&printable);
}

void thaw_html_add_base64(struct thaw_text *html, const void *bytes, size_t length)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *b = bytes;

	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		uint32_t group = (uint32_t)b[i] << 16 | (left > 1 ? (uint32_t)b[i + 1] << 8 : 0) | (left > 2 ? b[i + 2] : 0u);
		const char four[4] = {digits[group >> 18], digits[group >> 12 & 63], left > 1 ? digits[group >> 6 & 63] : '=',
		                      left > 2 ? digits[group & 63] : '='};

		thaw_text_add_bytes(html, four, 4);
	}
}

/* The picture with its longer edge at most `edge`. `small->pixels` is the caller's to free. */
static thaw_status reduce(const struct thaw_picture *picture, const uint8_t *pixels, int edge, struct thaw_image *small)
{
	struct thaw_resizer resizer = {0};
	int height = picture->height, width = picture->width, longer = height > width ? height : width;
	thaw_status status;

	if (longer > edge) {
		height = (height * edge + longer / 2) / longer;
		width = (width * edge + longer / 2) / longer;
	}
	small->height = height > 0 ? height : 1;
	small->width = width > 0 ? width : 1;
	small->pixels = thaw_alloc((size_t)small->height * (size_t)small->width, 3);
	if (!small->pixels)
		return THAW_OUT_OF_MEMORY;
	status = thaw_resize(&resizer, pixels, picture->width, (struct thaw_box){0, 0, picture->height, picture->width},
	                     small->pixels, small->height, small->width, false);
	thaw_resizer_release(&resizer);
	return status;
}

thaw_status thaw_html_add_picture(struct thaw_text *html, const struct thaw_picture *picture, const uint8_t *pixels,
                                  int edge)
{
	enum { QUALITY = 85 };
	struct thaw_image small = {0};
	struct thaw_text jpeg = THAW_TEXT_EMPTY;
	thaw_status status = reduce(picture, pixels, edge, &small);

	if (!status)
		status = thaw_image_encode_jpeg(&small, QUALITY, &jpeg);
	if (!status) {
		thaw_text_add(html, "<img width=\"%d\" height=\"%d\" alt=\"\" src=\"data:image/jpeg;base64,", small.width,
		              small.height);
		thaw_html_add_base64(html, jpeg.data, jpeg.length);
		thaw_text_add(html, "\">");
	}
	thaw_text_release(&jpeg);
	thaw_image_release(&small);
	return status;
}
