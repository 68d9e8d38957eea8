"""Makes what torchvision makes of small pictures and draws for erasing, in the folder pictures/.

    python3 tests/golden/make_distort.py      (needs torch, torchvision, numpy)

    distort.txt  a line for each case: kind and edge of a square picture (tests/unit/drawing.h), then what is done to it,
                 in this order: brightness, contrast, saturation or hue with its factor, grey 1, blur with its sigma
    distort.bin  the results of torchvision's functional transforms on uint8 tensors, RGB, one after another
    rotate.txt   a line for each case: kind, height and width of a picture, top, left and edge of a square box, degrees,
                 mirrored or not
    rotate.bin   the boxes after the picture was rotated about their middles
    erase.txt    what 200,000 draws of RandomErasing.get_params are like: see write_erase()
"""

import math
import os

import numpy as np
import torch
from torchvision.transforms import InterpolationMode, RandomErasing
from torchvision.transforms import functional as F

from philox import words

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pictures")
SEED = 30


def picture(kind, height, width):
    """As tests/unit/drawing.h draws it; (3, height, width)."""
    y, x = np.mgrid[0:height, 0:width]
    noise = words(SEED, 0, 0, (height * width * 3 + 3) // 4).astype("<u4").view(np.uint8)[:height * width * 3]
    noise = noise.reshape(height, width, 3).astype(int)
    slopes = np.stack([x * 9, y * 13, 255 - x * 4 - y * 5], -1)
    levels = [slopes + noise // 8, noise // 64 * 85, noise][kind]
    return torch.from_numpy((levels % 256).astype(np.uint8)).permute(2, 0, 1).contiguous()


def blurred(image, sigma):
    radius = min(math.ceil(3 * sigma), image.shape[-1] - 1)
    return F.gaussian_blur(image, 2 * radius + 1, sigma)


APPLY = {
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
    "grey": lambda image, _: F.rgb_to_grayscale(image, 3),
    "blur": blurred,
}


def distort_cases():
    for kind, size in ((0, 17), (1, 12), (2, 23)):
        for what in ("brightness", "contrast", "saturation"):
            for factor in (0, 0.37, 0.9, 1.25, 2.6):
                yield kind, size, [(what, factor)]
        for shift in (-0.5, -0.21, 0, 0.04, 0.3, 0.5):
            yield kind, size, [("hue", shift)]
        yield kind, size, [("grey", 1)]
        for sigma in (0.1, 0.6, 1.3, 2.9):
            yield kind, size, [("blur", sigma)]
    yield 2, 8, [("blur", 9.5)]  # the kernel ends where reflections do
    yield 2, 64, [("blur", 10)]
    yield 0, 17, [("contrast", 1.4), ("brightness", 0.7), ("saturation", 1.3), ("hue", -0.1)]
    yield 0, 17, [("hue", 0.15), ("saturation", 0.6), ("brightness", 1.2), ("contrast", 0.8), ("grey", 1), ("blur", 0.8)]


def write(name, cases):
    """A line and the pixels of each case."""
    with open(os.path.join(FOLDER, name + ".txt"), "w") as text, open(os.path.join(FOLDER, name + ".bin"), "wb") as data:
        for line, image in cases:
            print(*line, file=text)
            data.write(image.permute(1, 2, 0).contiguous().numpy().tobytes())


def distorted():
    for kind, size, steps in distort_cases():
        image = picture(kind, size, size)
        for what, by in steps:
            image = APPLY[what](image, by)
        yield [kind, size, *(word for step in steps for word in step)], image


ROTATE_CASES = [  # kind, height, width, top, left, edge, degrees, mirrored
    (0, 31, 31, 0, 0, 31, 17.5, 0),
    (2, 31, 31, 0, 0, 31, -90, 0),
    (2, 20, 20, 0, 0, 20, 45, 1),
    (0, 60, 70, 17, 21, 24, 30, 0),
    (2, 60, 70, 17, 21, 24, -3.3, 1),
    (2, 60, 70, 30, 5, 25, 133, 0),
    (1, 40, 44, 0, 20, 24, 12, 1),
    (2, 70, 75, 2, 3, 66, -61, 0),
]


def rotated():
    for kind, height, width, top, left, edge, degrees, mirrored in ROTATE_CASES:
        image = F.rotate(picture(kind, height, width), degrees, InterpolationMode.BILINEAR,
                         center=[left + edge / 2, top + edge / 2])
        image = F.crop(image, top, left, edge, edge)
        yield (kind, height, width, top, left, edge, degrees, mirrored), F.hflip(image) if mirrored else image


ERASE_CASES = [(224, (0.02, 0.33), (0.3, 3.3)), (32, (0.1, 0.9), (0.5, 4.0))]  # edge, scale, ratio
ERASE_DRAWS = 200_000


def write_erase():
    """For each case a line with edge, scale, ratio and the share of draws that found no box; then, of the others, for the
    share of the area, the height divided by the width, and the middle of the box down and across as shares of the
    picture, one line each: mean, standard deviation, and the nine deciles."""
    torch.manual_seed(SEED)
    with open(os.path.join(FOLDER, "erase.txt"), "w") as file:
        for size, scale, ratio in ERASE_CASES:
            image = torch.empty(3, size, size)
            draws = [RandomErasing.get_params(image, scale, ratio, [0.0])[:4] for _ in range(ERASE_DRAWS)]
            draws = np.array(draws, float)
            found = draws[draws[:, 2] < size]
            print(size, *(f"{number:.17g}" for number in scale + ratio), 1 - len(found) / len(draws), file=file)
            top, left, rows, columns = found.T
            for what in (rows * columns / size**2, rows / columns, (top + rows / 2) / size, (left + columns / 2) / size):
                deciles = np.quantile(what, np.arange(1, 10) / 10)
                print(*(f"{number:.9g}" for number in (what.mean(), what.std(), *deciles)), file=file)


if __name__ == "__main__":
    write("distort", distorted())
    write("rotate", rotated())
    write_erase()
