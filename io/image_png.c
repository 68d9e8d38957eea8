#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "io/image_formats.h"

static const size_t spare_memory = (size_t)1 << 24; /* for what libpng needs besides the parts of a file */

/* libpng leaves on an error: what is to be released afterwards stands here and not in variables of the function that
 * longjmp() cuts off. */
struct reader {
	png_structp png;
	png_infop info;
	const struct thaw_encoded *file;
	size_t at; /* bytes taken from the file */
	thaw_status status;
	size_t limit; /* of a block of memory that libpng may ask for now */
	bool refused; /* there was none */
	struct thaw_image image;
};

struct writer {
	png_structp png;
	png_infop info;
	const char *path;
};

static void on_read_error(png_structp png, png_const_charp message)
{
	struct reader *reader = png_get_error_ptr(png);

	if (reader->refused)
		reader->status = thaw_fail(THAW_OUT_OF_MEMORY, "out of memory decoding '%s'", reader->file->name);
	else
		reader->status = thaw_image_damaged(reader->file->name, message);
	png_longjmp(png, 1);
}

/* libpng's own words do not tell a file that is damaged from memory that is short. And it asks for what a part of the
 * file says it has, before it looks for it: without memory it passes that part over, and finds that it is cut short. */
static png_voidp take_memory(png_structp png, png_alloc_size_t size)
{
	struct reader *reader = png_get_mem_ptr(png);
	void *memory;

	if (size > reader->limit)
		return NULL;
	memory = malloc(size);
	if (!memory)
		reader->refused = true;
	return memory;
}

static void give_memory(png_structp png, png_voidp memory)
{
	(void)png;
	free(memory);
}

/* Warnings are about chunks that are not looked at here. */
static void on_warning(png_structp png, png_const_charp message)
{
	(void)png, (void)message;
}

static void take_bytes(png_structp png, png_bytep bytes, size_t length)
{
	struct reader *reader = png_get_io_ptr(png);

	if (length > reader->file->length - reader->at) {
		reader->status = thaw_image_cut_short(reader->file->name);
		png_longjmp(png, 1);
	}
	memcpy(bytes, reader->file->bytes + reader->at, length);
	reader->at += length;
}

/* Colours as Pillow's convert("RGB") leaves them: alpha is dropped, not blended; of 16 bits the high 8 stay. (Pillow
 * clips 16-bit grey at 255 instead, which makes most of such a picture white: there we differ.) */
static thaw_status read_picture(struct reader *reader)
{
	png_structp png = reader->png;
	uint32_t height, width;
	size_t row_bytes;
	int passes;

	if (setjmp(png_jmpbuf(png)))
		return reader->status;
	png_set_read_fn(png, reader, take_bytes);
	reader->limit = reader->file->length + spare_memory;
	png_read_info(png, reader->info);
	reader->limit = SIZE_MAX; /* rows are as long as the picture is wide */
	height = png_get_image_height(png, reader->info);
	width = png_get_image_width(png, reader->info);
	reader->status = thaw_image_new(reader->file->name, height, width, &reader->image);
	if (reader->status)
		return reader->status;

	png_set_expand(png);
	png_set_gray_to_rgb(png);
	png_set_strip_16(png);
	png_set_strip_alpha(png);
	passes = png_set_interlace_handling(png);
	png_read_update_info(png, reader->info);
	row_bytes = (size_t)width * 3;
	if (png_get_rowbytes(png, reader->info) != row_bytes)
		png_error(png, "unknown kind of pixels");
	for (int pass = 0; pass < passes; pass++)
		for (uint32_t y = 0; y < height; y++)
			png_read_row(png, reader->image.pixels + y * row_bytes, NULL);
	reader->limit = reader->file->length + spare_memory;
	png_read_end(png, reader->info);
	return THAW_OK;
}

thaw_status thaw_png_decode(const struct thaw_encoded *file, struct thaw_image *image_out, int *orientation_out)
{
	struct reader reader = {.file = file, .limit = SIZE_MAX};
	png_bytep exif;
	uint32_t exif_length;
	thaw_status status;

	reader.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &reader, on_read_error, on_warning, &reader, take_memory,
	                                      give_memory);
	reader.info = reader.png ? png_create_info_struct(reader.png) : NULL;
	if (reader.info)
		status = read_picture(&reader);
	else
		status = thaw_fail(THAW_OUT_OF_MEMORY, "out of memory decoding '%s'", file->name);
	if (status) {
		thaw_image_release(&reader.image);
	} else {
		*image_out = reader.image;
		*orientation_out = 1;
		if (png_get_eXIf_1(reader.png, reader.info, &exif_length, &exif))
			*orientation_out = thaw_exif_orientation(exif, exif_length);
	}
	png_destroy_read_struct(&reader.png, &reader.info, NULL);
	return status;
}

static void on_write_error(png_structp png, png_const_charp message)
{
	struct writer *writer = png_get_error_ptr(png);

	thaw_fail(THAW_FAILED, "cannot write '%s': %s", writer->path, message);
	png_longjmp(png, 1);
}

static thaw_status write_picture(struct writer *writer, FILE *file, const struct thaw_image *image)
{
	png_structp png = writer->png;

	if (setjmp(png_jmpbuf(png)))
		return THAW_FAILED;
	png_init_io(png, file);
	png_set_IHDR(png, writer->info, (uint32_t)image->width, (uint32_t)image->height, 8, PNG_COLOR_TYPE_RGB,
	             PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, writer->info);
	for (int y = 0; y < image->height; y++)
		png_write_row(png, image->pixels + (size_t)y * image->width * 3);
	png_write_end(png, NULL);
	return THAW_OK;
}

thaw_status thaw_png_encode(FILE *file, const char *path, const struct thaw_image *image)
{
	struct writer writer = {.path = path};
	thaw_status status;

	writer.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &writer, on_write_error, on_warning);
	writer.info = writer.png ? png_create_info_struct(writer.png) : NULL;
	if (writer.info)
		status = write_picture(&writer, file, image);
	else
		status = thaw_fail(THAW_OUT_OF_MEMORY, "out of memory encoding '%s'", path);
	png_destroy_write_struct(&writer.png, &writer.info);
	return status;
}
