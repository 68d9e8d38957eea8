#include <webp/decode.h>
#include <webp/demux.h>

#include "io/image_formats.h"

static thaw_status fail_decoding(const char *name, VP8StatusCode code)
{
	switch (code) {
	case VP8_STATUS_OUT_OF_MEMORY:
		return thaw_fail(THAW_OUT_OF_MEMORY, "out of memory decoding '%s'", name);
	case VP8_STATUS_NOT_ENOUGH_DATA:
	case VP8_STATUS_SUSPENDED:
		return thaw_image_cut_short(name);
	default:
		return thaw_image_damaged(name, "not a valid WebP bitstream");
	}
}

/* Decodes a frame to its place in the picture. Alpha is dropped, not blended. */
static thaw_status draw(const char *name, const WebPIterator *frame, struct thaw_image *image)
{
	size_t stride = (size_t)image->width * 3;
	size_t corner = (size_t)frame->y_offset * stride + (size_t)frame->x_offset * 3;
	WebPDecoderConfig config;
	VP8StatusCode code;

	if (!WebPInitDecoderConfig(&config))
		return thaw_image_damaged(name, "libwebp is not of the version that thaw was built for");
	config.output.colorspace = MODE_RGB;
	config.output.is_external_memory = 1;
	config.output.u.RGBA.rgba = image->pixels + corner;
	config.output.u.RGBA.stride = (int)stride;
	config.output.u.RGBA.size = image->height * stride - corner;
	code = WebPDecode(frame->fragment.bytes, frame->fragment.size, &config);
	WebPFreeDecBuffer(&config.output);
	return code == VP8_STATUS_OK ? THAW_OK : fail_decoding(name, code);
}

/* The first frame of an animation, as Pillow shows it: over black where it leaves the picture's edges free. */
static thaw_status read_picture(const struct thaw_encoded *file, WebPDemuxer *demuxer, struct thaw_image *image_out,
                                int *orientation_out)
{
	struct thaw_image image;
	WebPIterator frame;
	WebPChunkIterator exif;
	thaw_status status = thaw_image_new(file->name, WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_HEIGHT),
	                                    WebPDemuxGetI(demuxer, WEBP_FF_CANVAS_WIDTH), &image);

	if (status)
		return status;
	if (WebPDemuxGetFrame(demuxer, 1, &frame)) {
		status = draw(file->name, &frame, &image);
		WebPDemuxReleaseIterator(&frame);
	} else {
		status = thaw_image_damaged(file->name, "it has no frame");
	}
	if (status) {
		thaw_image_release(&image);
		return status;
	}
	*image_out = image;
	*orientation_out = 1;
	if (WebPDemuxGetChunk(demuxer, "EXIF", 1, &exif)) {
		*orientation_out = thaw_exif_orientation(exif.chunk.bytes, exif.chunk.size);
		WebPDemuxReleaseChunkIterator(&exif);
	}
	return THAW_OK;
}

thaw_status thaw_webp_decode(const struct thaw_encoded *file, struct thaw_image *image_out, int *orientation_out)
{
	WebPData data = {file->bytes, file->length};
	WebPDemuxState state;
	WebPDemuxer *demuxer = WebPDemuxPartial(&data, &state);
	thaw_status status;

	if (!demuxer && state == WEBP_DEMUX_PARSE_ERROR)
		return thaw_image_damaged(file->name, "not a valid WebP container");
	if (state == WEBP_DEMUX_DONE)
		status = read_picture(file, demuxer, image_out, orientation_out);
	else
		status = thaw_image_cut_short(file->name);
	WebPDemuxDelete(demuxer);
	return status;
}
