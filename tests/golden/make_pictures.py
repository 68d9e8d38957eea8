"""Makes the folder pictures/: small picture files of every kind, and what Pillow and torchvision make of them.

    python3 tests/golden/make_pictures.py      (needs Pillow 13 or later, torch, torchvision, numpy)

    *.jpg *.png ...  pictures, drawn from thaw's random streams
    expected.bin     for each of them that is to be read: name (32 bytes, zero-filled), height and width (little-endian
                     32 bits), the RGB pixels of ImageOps.exif_transpose(Image.open(name)).convert("RGB")
    resize.txt       a line for each case: height and width of a random picture, the box (top left height width), the
                     size that comes out (height width), mirrored or not, CRC-32C of crop(box).resize(size, BILINEAR)
    augment.txt      what 200,000 draws of RandomResizedCrop.get_params are like: see write_augment()
"""

import io
import os
import struct
import zlib

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps
from torchvision.transforms import RandomResizedCrop

from philox import words

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures")
SEED = 20
HEIGHT, WIDTH = 19, 26  # odd number of rows, and no whole number of blocks, for the chroma planes' edges

# Resize takes the vertical pass first in some pictures since 13.0.
assert int(PIL.__version__.split(".")[0]) >= 13


def noise(stream, count):
    return words(SEED, stream, 0, (count + 3) // 4).astype("<u4").view(np.uint8)[:count]


def drawing(channels, stream=1):
    """Slopes of colour with some noise: what a codec finds neither trivial nor hopeless."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = np.stack([x * 9, y * 13, 255 - x * 4 - y * 5, 120 + y * 3 - x * 2][:channels], -1)
    return ((planes + noise(stream, planes.size).reshape(planes.shape) // 8) % 256).astype(np.uint8)


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation, order="<", kind=3):
    """The least EXIF block: one tag. A value of 16 bits (kind 3) or of 32 (kind 4)."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *([orientation, 0] if kind == 3 else [orientation]))
    return b"Exif\0\0" + head + struct.pack(order + "IHHHI", 8, 1, 0x112, kind, 1) + value + bytes(4)


def jpegs():
    rgb = Image.fromarray(drawing(3))
    files = {
        "baseline.jpg": encoded(rgb, "JPEG", quality=85),
        "444.jpg": encoded(rgb, "JPEG", quality=90, subsampling=0),
        "422.jpg": encoded(rgb, "JPEG", quality=90, subsampling=1),
        "progressive.jpg": encoded(rgb, "JPEG", quality=85, progressive=True),
        "restarts.jpg": encoded(rgb, "JPEG", quality=85, restart_marker_blocks=1),
        "rgb.jpg": encoded(rgb, "JPEG", quality=90, keep_rgb=True),
        "grey.jpg": encoded(Image.fromarray(drawing(1)[:, :, 0]), "JPEG", quality=85),
        "cmyk.jpg": encoded(Image.fromarray(drawing(4), "CMYK"), "JPEG", quality=90),
        "exif_big_endian.jpg": encoded(rgb, "JPEG", exif=exif(6, ">")),
        "exif_long.jpg": encoded(rgb, "JPEG", exif=exif(8, "<", 4)),
        "exif_9.jpg": encoded(rgb, "JPEG", exif=exif(9)),
    }
    cmyk = files["cmyk.jpg"]
    adobe = cmyk.index(b"Adobe")
    files["ycck.jpg"] = cmyk[:adobe + 11] + b"\2" + cmyk[adobe + 12:]  # the same numbers, said to be YCCK
    files["cmyk_plain.jpg"] = cmyk[:adobe - 4] + cmyk[adobe + 12:]     # and without Adobe's marker
    for orientation in range(1, 9):
        files[f"exif_{orientation}.jpg"] = encoded(rgb, "JPEG", exif=exif(orientation))
    whole = files["baseline.jpg"]
    bad = {
        "cut.jpg": whole[:len(whole) * 2 // 3],
        "cut_progressive.jpg": files["progressive.jpg"][:-40],
        "cut_header.jpg": whole[:40],
        "ends_early.jpg": whole[:len(whole) * 2 // 3] + b"\xff\xd9",  # Pillow fills up with grey, we refuse
        "no_table.jpg": whole.replace(b"\xff\xdb", b"\xff\xe5"),  # its quantization tables are called something else
    }
    return files, bad


ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(samples, bits, colour, before=b"", after=b"", interlaced=False, height=HEIGHT):
    """A PNG of (HEIGHT, WIDTH, channels) samples, filter 0, that says it has `height` rows. `before` and `after` are
    chunks around the data."""

    def rows(part):
        if bits == 16:
            packed = part.astype(">u2").reshape(len(part), -1).view(np.uint8)
        else:
            wide = np.unpackbits(part.astype(np.uint8).reshape(len(part), -1, 1), axis=2)[:, :, 8 - bits:]
            packed = np.packbits(wide.reshape(len(part), -1), axis=1)
        return b"".join(b"\0" + row.tobytes() for row in packed)

    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    data = b"".join(rows(samples[top::down, left::across]) for top, left, down, across in passes)
    head = struct.pack(">IIBBBBB", samples.shape[1], height, bits, colour, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + before + chunk(b"IDAT", zlib.compress(data, 9)) + after +
            chunk(b"IEND", b""))


def pngs():
    rgb = drawing(3, 2)
    palette = {colours: chunk(b"PLTE", noise(3, colours * 3).tobytes()) for colours in (2, 4, 10, 16)}
    indices = (drawing(1, 4) >> 4).astype(np.uint16)
    grey16 = noise(5, HEIGHT * WIDTH * 2).view("<u2").reshape(HEIGHT, WIDTH, 1)
    rgba16 = noise(6, HEIGHT * WIDTH * 8).view("<u2").reshape(HEIGHT, WIDTH, 4)
    files = {
        "rgb8.png": png(rgb, 8, 2),
        "rgb16.png": png(rgba16[:, :, :3], 16, 2),
        "rgba8.png": png(drawing(4, 7), 8, 6),
        "rgba16.png": png(rgba16, 16, 6),
        "grey1.png": png(indices >> 3, 1, 0),
        "grey2.png": png(indices >> 2, 2, 0),
        "grey4.png": png(indices, 4, 0),
        "grey8.png": png(drawing(1), 8, 0),
        "grey16.png": png(grey16, 16, 0),
        "grey_alpha8.png": png(drawing(2), 8, 4),
        "grey_alpha16.png": png(rgba16[:, :, :2], 16, 4),
        "palette1.png": png(indices >> 3, 1, 3, palette[2]),
        "palette2.png": png(indices >> 2, 2, 3, palette[4]),
        "palette4.png": png(indices, 4, 3, palette[16]),
        "palette8.png": png(indices, 8, 3, palette[16]),
        "palette_alpha.png": png(indices, 8, 3, palette[16] + chunk(b"tRNS", noise(8, 9).tobytes())),
        "palette_short.png": png(indices, 8, 3, palette[10]),  # indices beyond it are black
        "grey_key.png": png(drawing(1), 8, 0, chunk(b"tRNS", struct.pack(">H", 100))),
        "rgb_key.png": png(rgb, 8, 2, chunk(b"tRNS", struct.pack(">HHH", *map(int, rgb[3, 3])))),
        "gamma.png": png(rgb, 8, 2, chunk(b"gAMA", struct.pack(">I", 100000))),
        "interlaced_rgb8.png": png(rgb, 8, 2, interlaced=True),
        "interlaced_grey1.png": png(indices >> 3, 1, 0, interlaced=True),
        "interlaced_palette4.png": png(indices, 4, 3, palette[16], interlaced=True),
        "exif_6.png": png(rgb, 8, 2, before=chunk(b"eXIf", exif(6)[6:])),
        "exif_5_behind.png": png(rgb, 8, 2, after=chunk(b"eXIf", exif(5)[6:])),
        "filters.png": encoded(Image.fromarray(drawing(3)), "PNG"),
    }
    whole = files["rgb8.png"]
    bad = {
        "cut.png": whole[:len(whole) // 2],
        "cut_header.png": whole[:20],
        "bad_crc.png": whole[:60] + bytes([whole[60] ^ 1]) + whole[61:],
        "few_rows.png": png(rgb, 8, 2, height=HEIGHT + 9),
        "huge.png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)) +
                    chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""),
    }
    return files, bad


def webps():
    rgb, rgba = Image.fromarray(drawing(3)), Image.fromarray(drawing(4), "RGBA")
    small = Image.fromarray(drawing(4)[4:12, 6:20], "RGBA")
    files = {
        "lossy.webp": encoded(rgb, "WEBP", quality=80),
        "lossless.webp": encoded(rgb, "WEBP", lossless=True),
        "lossy_alpha.webp": encoded(rgba, "WEBP", quality=80),
        "lossless_alpha.webp": encoded(rgba, "WEBP", lossless=True, exact=True),
        "exif_7.webp": encoded(rgb, "WEBP", quality=80, exif=exif(7)),
        "animated.webp": encoded(rgb, "WEBP", quality=80, save_all=True,
                                 append_images=[Image.fromarray(drawing(3, 9))]),
    }
    # An animation whose first frame covers a part: VP8X (animated, with alpha), ANIM, ANMF at (6, 4).
    frame = encoded(small, "WEBP", lossless=True, exact=True)[12:]

    def riff(kind, data):
        return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    def three(*numbers):
        return b"".join(struct.pack("<I", number)[:3] for number in numbers)

    chunks = (riff(b"VP8X", b"\x12\0\0\0" + three(WIDTH - 1, HEIGHT - 1)) + riff(b"ANIM", bytes(6)) +
              riff(b"ANMF", three(6 // 2, 4 // 2, small.width - 1, small.height - 1, 100) + b"\2" + frame))
    files["animated_part.webp"] = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
    lossy, lossless = files["lossy.webp"], files["lossless.webp"]
    bad = {
        "cut.webp": lossy[:len(lossy) // 2],
        "cut_header.webp": lossy[:14],
        "damaged.webp": lossless[:30] + bytes(len(lossless) - 30),
        "no_frame.webp": b"RIFF" + struct.pack("<I", 4 + 18) + b"WEBP" + riff(b"VP8X", bytes(4) + three(9, 9)),
    }
    return files, bad


def others():
    rgb = Image.fromarray(drawing(3)[:4, :4])
    return {name: encoded(rgb, kind) for name, kind in {"x.gif": "GIF", "x.bmp": "BMP", "x.tif": "TIFF"}.items()}


def pillow(data):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))


def write_pictures():
    expected = b""
    for files, bad in (jpegs(), pngs(), webps(), ({}, others())):
        for name, data in sorted((files | bad).items()):
            with open(os.path.join(FOLDER, name), "wb") as file:
                file.write(data)
        for name, data in sorted(files.items()):
            rgb = pillow(data)
            if name == "grey16.png":  # the one difference: Pillow clips at 255, thaw takes the high byte
                grey = np.asarray(Image.open(io.BytesIO(data)))
                assert (rgb[:, :, 0] == np.minimum(grey, 255)).all()
                rgb = np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
            expected += struct.pack("<32sII", name.encode(), *rgb.shape[:2]) + rgb.tobytes()
    with open(os.path.join(FOLDER, "expected.bin"), "wb") as file:
        file.write(expected)


def crc32c(data):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283


def resize_cases():
    """(height, width, box, height and width out, mirrored)"""
    whole = [(1, 1, 1, 1), (1, 1, 5, 7), (5, 7, 1, 1), (1, 9, 4, 9), (9, 1, 9, 4), (2, 3, 3, 2), (8, 8, 8, 8),
             (16, 16, 8, 8), (33, 31, 32, 32), (100, 50, 99, 53), (50, 100, 53, 99), (300, 20, 20, 10),
             (20, 300, 10, 20), (40, 41, 40, 90), (40, 41, 90, 41), (256, 256, 224, 224), (341, 256, 224, 224),
             (375, 500, 256, 341), (500, 375, 341, 256), (600, 800, 48, 64), (1500, 7, 30, 3), (7, 1500, 3, 30),
             (11, 12, 200, 210), (64, 64, 65, 63), (65, 63, 64, 64)]
    for height, width, *size in whole:
        for mirrored in (0, 1):
            yield height, width, (0, 0, height, width), size, mirrored
    random = iter(int(word) for word in words(SEED, 100, 0, 10000))
    for _ in range(120):
        height, width = 1 + next(random) % 150, 1 + next(random) % 150
        top, left = next(random) % height, next(random) % width
        box = (top, left, 1 + next(random) % (height - top), 1 + next(random) % (width - left))
        yield height, width, box, (1 + next(random) % 120, 1 + next(random) % 120), next(random) % 2


def write_resize():
    with open(os.path.join(FOLDER, "resize.txt"), "w") as file:
        for i, (height, width, (top, left, rows, columns), size, mirrored) in enumerate(resize_cases()):
            image = Image.fromarray(noise(1000 + i, height * width * 3).reshape(height, width, 3))
            image = image.crop((left, top, left + columns, top + rows)).resize((size[1], size[0]), Image.BILINEAR)
            if mirrored:
                image = ImageOps.mirror(image)
            print(height, width, top, left, rows, columns, *size, mirrored, f"{crc32c(image.tobytes()):08x}", file=file)


AUGMENT_CASES = [  # height, width, scale, ratio
    (256, 341, (0.08, 1.0), (3 / 4, 4 / 3)),
    (400, 256, (0.08, 1.0), (3 / 4, 4 / 3)),
    (256, 256, (0.5, 0.6), (1.0, 1.0)),
    (256, 700, (0.6, 1.0), (3 / 4, 4 / 3)),
    (24, 30, (0.08, 1.0), (1 / 2, 2.0)),
]
AUGMENT_DRAWS = 200_000


def write_augment():
    """For each case a line with height, width, scale, ratio; then for the share of the area, the width divided by the
    height, and the middle of the box down and across as shares of the picture, one line each: mean, standard deviation,
    and the nine deciles."""
    torch.manual_seed(SEED)
    with open(os.path.join(FOLDER, "augment.txt"), "w") as file:
        for height, width, scale, ratio in AUGMENT_CASES:
            picture = torch.empty(3, height, width)
            draws = [RandomResizedCrop.get_params(picture, list(scale), list(ratio)) for _ in range(AUGMENT_DRAWS)]
            top, left, rows, columns = np.array(draws, float).T
            print(height, width, *(f"{number:.17g}" for number in scale + ratio), file=file)
            for what in (rows * columns / (height * width), columns / rows, (top + rows / 2) / height,
                         (left + columns / 2) / width):
                deciles = np.quantile(what, np.arange(1, 10) / 10)
                print(*(f"{number:.9g}" for number in (what.mean(), what.std(), *deciles)), file=file)


if __name__ == "__main__":
    os.makedirs(FOLDER, exist_ok=True)
    write_pictures()
    write_resize()
    write_augment()
