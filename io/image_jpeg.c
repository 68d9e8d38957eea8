#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "base/mem.h"
#include "io/image_formats.h"

/* Each scan of a progressive file goes over the whole picture again, and may be a few bytes long. */
enum { scan_limit = 1000 };
static const uint64_t scanned_pixels_limit = UINT64_C(1) << 32;

/* libjpeg leaves on an error: what is to be released afterwards stands here and not in variables of the function that
 * longjmp() cuts off. */
struct reader {
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;
	struct jpeg_progress_mgr progress;
	jmp_buf failed;
	const struct thaw_encoded *file;
	thaw_status status;
	struct thaw_image image;
	uint8_t *cmyk; /* one row, (width, 4) */
	int orientation;
};

struct writer {
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	jmp_buf failed;
	const char *path;
};

static _Noreturn void give_up(struct reader *reader, thaw_status status)
{
	reader->status = status;
	longjmp(reader->failed, 1);
}

static void on_read_error(j_common_ptr jpeg)
{
	struct reader *reader = jpeg->client_data;
	char message[JMSG_LENGTH_MAX];

	jpeg->err->format_message(jpeg, message);
	if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
		give_up(reader, thaw_fail(THAW_OUT_OF_MEMORY, "out of memory decoding '%s'", reader->file->name));
	give_up(reader, thaw_image_damaged(reader->file->name, message));
}

/* Warnings have level -1. Those after which the decoder makes pixels up are errors here. */
static void on_read_message(j_common_ptr jpeg, int level)
{
	struct reader *reader = jpeg->client_data;

	if (level >= 0)
		return;
	switch (jpeg->err->msg_code) {
	case JWRN_JPEG_EOF:
		give_up(reader, thaw_image_cut_short(reader->file->name));
	case JWRN_HIT_MARKER:
	case JWRN_HUFF_BAD_CODE:
	case JWRN_ARITH_BAD_CODE:
	case JWRN_MUST_RESYNC:
		on_read_error(jpeg);
	}
}

static void on_progress(j_common_ptr jpeg)
{
	struct reader *reader = jpeg->client_data;

	uint64_t scans = (uint64_t)reader->jpeg.input_scan_number;

	if (scans > scan_limit || scans * reader->jpeg.image_width * reader->jpeg.image_height > scanned_pixels_limit)
		give_up(reader, thaw_image_damaged(reader->file->name, "too many scans"));
}

static int find_orientation(const struct jpeg_decompress_struct *jpeg)
{
	for (const struct jpeg_marker_struct *marker = jpeg->marker_list; marker; marker = marker->next)
		if (marker->data_length >= 6 && memcmp(marker->data, "Exif\0\0", 6) == 0)
			return thaw_exif_orientation(marker->data, marker->data_length);
	return 1;
}

/* x * y / 255, rounded, for bytes. */
static unsigned scaled(unsigned x, unsigned y)
{
	unsigned product = x * y + 128;

	return ((product >> 8) + product) >> 8;
}

/* Printing colours as Pillow shows them: stored inverted, as Adobe does, whether the file says so or not. */
static void cmyk_to_rgb(const uint8_t *cmyk, int width, uint8_t *rgb)
{
	for (int x = 0; x < width; x++, cmyk += 4, rgb += 3)
		for (int c = 0; c < 3; c++)
			rgb[c] = (uint8_t)(cmyk[3] - scaled(255u - cmyk[c], cmyk[3]));
}

static thaw_status prepare(struct reader *reader)
{
	struct jpeg_decompress_struct *jpeg = &reader->jpeg;
	thaw_status status = thaw_image_new(reader->file->name, jpeg->image_height, jpeg->image_width, &reader->image);

	if (status)
		return status;
	if (jpeg->num_components != 4) {
		jpeg->out_color_space = JCS_RGB;
		return THAW_OK;
	}
	jpeg->out_color_space = JCS_CMYK;
	reader->cmyk = thaw_alloc(jpeg->image_width, 4);
	return reader->cmyk ? THAW_OK : THAW_OUT_OF_MEMORY;
}

static thaw_status read_picture(struct reader *reader)
{
	struct jpeg_decompress_struct *jpeg = &reader->jpeg;

	if (setjmp(reader->failed))
		return reader->status;
	jpeg->client_data = reader;
	jpeg->err = jpeg_std_error(&reader->errors);
	reader->errors.error_exit = on_read_error;
	reader->errors.emit_message = on_read_message;
	jpeg_create_decompress(jpeg);
	reader->progress.progress_monitor = on_progress;
	jpeg->progress = &reader->progress;
	jpeg_mem_src(jpeg, reader->file->bytes, reader->file->length);
	jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
	jpeg_read_header(jpeg, TRUE);
	reader->orientation = find_orientation(jpeg);
	reader->status = prepare(reader);
	if (reader->status)
		return reader->status;

	jpeg_start_decompress(jpeg);
	while (jpeg->output_scanline < jpeg->output_height) {
		uint8_t *row = reader->image.pixels + (size_t)jpeg->output_scanline * jpeg->output_width * 3;

		jpeg_read_scanlines(jpeg, reader->cmyk ? &reader->cmyk : &row, 1);
		if (reader->cmyk)
			cmyk_to_rgb(reader->cmyk, reader->image.width, row);
	}
	return THAW_OK;
}

thaw_status thaw_jpeg_decode(const struct thaw_encoded *file, struct thaw_image *image_out, int *orientation_out)
{
	struct reader reader = {.file = file};
	thaw_status status = read_picture(&reader);

	jpeg_destroy_decompress(&reader.jpeg);
	free(reader.cmyk);
	if (status) {
		thaw_image_release(&reader.image);
		return status;
	}
	*image_out = reader.image;
	*orientation_out = reader.orientation;
	return THAW_OK;
}

static void on_write_error(j_common_ptr jpeg)
{
	struct writer *writer = jpeg->client_data;
	char message[JMSG_LENGTH_MAX];

	jpeg->err->format_message(jpeg, message);
	thaw_fail(THAW_FAILED, "cannot write '%s': %s", writer->path, message);
	longjmp(writer->failed, 1);
}

static thaw_status write_picture(struct writer *writer, FILE *file, const struct thaw_image *image, int quality)
{
	struct jpeg_compress_struct *jpeg = &writer->jpeg;

	if (setjmp(writer->failed))
		return THAW_FAILED;
	jpeg->client_data = writer;
	jpeg->err = jpeg_std_error(&writer->errors);
	writer->errors.error_exit = on_write_error;
	jpeg_create_compress(jpeg);
	jpeg_stdio_dest(jpeg, file);
	jpeg->image_width = (JDIMENSION)image->width;
	jpeg->image_height = (JDIMENSION)image->height;
	jpeg->input_components = 3;
	jpeg->in_color_space = JCS_RGB;
	jpeg_set_defaults(jpeg);
	jpeg_set_quality(jpeg, quality, TRUE);
	jpeg_start_compress(jpeg, TRUE);
	while (jpeg->next_scanline < jpeg->image_height) {
		uint8_t *row = image->pixels + (size_t)jpeg->next_scanline * image->width * 3;

		jpeg_write_scanlines(jpeg, &row, 1);
	}
	jpeg_finish_compress(jpeg);
	return THAW_OK;
}

thaw_status thaw_jpeg_encode(FILE *file, const char *path, const struct thaw_image *image, int quality)
{
	struct writer writer = {.path = path};
	thaw_status status = write_picture(&writer, file, image, quality);

	jpeg_destroy_compress(&writer.jpeg);
	return status;
}
