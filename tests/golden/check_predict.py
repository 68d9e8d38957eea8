#!/usr/bin/env python3
"""Compares what thaw says of photographs with PyTorch: pixels, classes picture by picture, ensembles, mirrored pictures.

    tests/golden/check_predict.py THAW PHOTOS     (needs torch, torchvision, h5py, numpy; ten minutes)

PHOTOS holds class folders in train/ and val/, as `thaw pack` takes them. The networks are ResNet-18 with random weights.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import torch
import torchvision
from PIL import Image, ImageOps
from torchvision import transforms

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SEE = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
                          transforms.Normalize(MEAN, STD)])


def see(path):
    """torchvision's evaluation transform of a file, (3, 224, 224)."""
    return SEE(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


def network(seed):
    torch.manual_seed(seed)
    net = torchvision.models.resnet18(weights=None)
    for name, tensor in net.named_buffers():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    return net.eval()


def tell_apart(net, seen):
    """Lets the pictures' classes differ: features of random weights hardly do."""
    head, net.fc = net.fc, torch.nn.Identity()
    features = torch.cat([net(part) for part in seen.split(32)])
    net.fc = head
    head.weight.copy_(torch.randn_like(head.weight))
    head.weight.mul_(2 / ((features - features.mean(0)) @ head.weight.T).std())
    head.bias.copy_(-(head.weight @ features.mean(0)))


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def said(thaw, files, pictures, *options):
    """Probabilities (N, 1000) by thaw."""
    command = [thaw, "predict", *(word for file in files for word in ("-c", file)), "--json", "--top", "1000", *options]
    lines = run(*command, *pictures).splitlines()
    probabilities = np.zeros((len(lines), 1000))
    for row, line in zip(probabilities, lines):
        for one in json.loads(line)["predictions"]:
            row[one["label"]] = one["probability"]
    return probabilities


def check_pixels(thaw, photos, folder):
    """The crops of the shards of `thaw pack`, normalised, against the transform."""
    run(thaw, "pack", photos, "-o", f"{folder}/data")
    worst = total = count = 0
    for split in ("train", "val"):
        for shard in sorted(glob.glob(f"{folder}/data/{split}-*.h5")):
            with h5py.File(shard) as file:
                for row, name in zip(file["index"], file["names"]):
                    height, width, begin = int(row["height"]), int(row["width"]), int(row["offset"])
                    pixels = file["pixels"][begin:begin + height * width * 3].reshape(height, width, 3)
                    crop = transforms.CenterCrop(224)(torch.from_numpy(pixels).permute(2, 0, 1))
                    got = (crop.float() / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
                    difference = (got - see(os.path.join(photos, split, name.decode()))).abs()
                    worst, total = max(worst, difference.max().item()), total + difference.mean().item()
                    count += 1
    print(f"pixels: {count} pictures, largest difference {worst:g}, mean {total / count:g}")
    assert count > 0 and worst < 1e-5


def main():
    thaw, photos = os.path.abspath(sys.argv[1]), sys.argv[2]
    pictures = sorted(path for path in glob.glob(f"{photos}/val/*/*") if not path.endswith(".gif"))
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        check_pixels(thaw, photos, folder)
        seen = torch.stack([see(path) for path in pictures])
        nets, files = [network(1), network(2)], [f"{folder}/{i}.pth" for i in (1, 2)]
        for net, file in zip(nets, files):
            tell_apart(net, seen)
            torch.save(net.state_dict(), file)
        one, two, mirrored = (torch.cat([torch.softmax(net(part.flip(3) if flip else part), 1) for part in seen.split(32)])
                              .double().numpy() for net, flip in ((nets[0], False), (nets[1], False), (nets[0], True)))
        for what, want, got in (
                ("one network", one, said(thaw, files[:1], pictures)),
                ("two networks", (one + two) / 2, said(thaw, files, pictures)),
                ("mirrored too", (one + mirrored) / 2, said(thaw, files[:1], pictures, "--tta", "flip"))):
            same = int((want.argmax(1) == got.argmax(1)).sum())
            worst = np.abs(want - got).max()
            print(f"{what}: top-1 of {same} of {len(pictures)} pictures the same, "
                  f"{len(set(want.argmax(1)))} classes; largest difference of a probability {worst:.2e}")
            assert same == len(pictures) and worst < 1e-4


if __name__ == "__main__":
    main()
