#!/usr/bin/env python3
"""Compares thaw with PyTorch on torchvision's ResNets and real photographs.

    tests/golden/check_weights.py THAW PICTURES...     (needs torch, torchvision, numpy; ten minutes)

Each network, of random weights and statistics, is saved in every form: zip and stream, float32, float16 and bfloat16,
wrapped or boxed or not, and safetensors. For each of them `thaw predict` must say what PyTorch says, and what
`thaw weights convert` writes must load with strict=True, every bit the same.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torchvision
from PIL import Image

ARCHS = os.environ.get("ARCHS", "resnet18 resnet34 resnet50 resnet101 resnet152").split()
TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
KINDS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
TOLERANCE = {"f32": 1e-4, "f16": 1e-4, "bf16": 1e-4}  # of the largest logit: PyTorch gets the same rounded weights


def network(arch):
    torch.manual_seed(1)
    net = getattr(torchvision.models, arch)(weights=None)
    for name, tensor in net.named_buffers():
        if name.endswith("running_mean"):
            tensor.normal_(0, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        else:
            tensor.fill_(1234)
    return net.eval()


def safetensors(path):
    """The tensors of a file, and its metadata."""
    data = open(path, "rb").read()
    length, = struct.unpack("<Q", data[:8])
    head = json.loads(data[8:8 + length])
    body = bytearray(data[8 + length:])
    metadata = head.pop("__metadata__", {})
    return {name: torch.frombuffer(body[slice(*said["data_offsets"])], dtype=KINDS[said["dtype"]])
            .reshape(said["shape"]) for name, said in head.items()}, metadata


def logits(net):
    """torchvision's evaluation transform, decoded by Pillow."""
    see = torchvision.transforms.Compose([
        torchvision.transforms.Resize(256), torchvision.transforms.CenterCrop(224), torchvision.transforms.ToTensor(),
        torchvision.transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    with torch.inference_mode():
        return net(torch.stack([see(Image.open(path).convert("RGB")) for path in PICTURES]))


def said(path):
    lines = subprocess.run([THAW, "predict", "-c", path, "--json", "--top", "1000", *PICTURES], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    probabilities = np.zeros((len(lines), 1000))
    for row, line in zip(probabilities, lines):
        for one in json.loads(line)["predictions"]:
            row[one["label"]] = one["probability"]
    return probabilities


def compare(what, path, want, kind):
    expected = torch.log_softmax(want.double(), 1).numpy()
    with np.errstate(divide="ignore"):
        got = np.log(said(path))
    some = expected > -60  # what a float's probability holds
    worst = np.abs(got - expected)[some].max() / want.abs().max().item()
    print(f"{what:34} {worst:.2e}")
    assert worst <= TOLERANCE[kind], what


def forms(state):
    yield "zip", state, {}
    yield "stream", state, {"_use_new_zipfile_serialization": False}
    wrapped = {"module." + name: tensor for name, tensor in state.items()}
    yield "zip, wrapped", wrapped, {}
    yield "stream, wrapped and boxed", {"epoch": 3, "state_dict": wrapped}, {"_use_new_zipfile_serialization": False}


def check(arch, folder):
    net = network(arch)
    for kind, dtype in TYPES.items():
        state = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor
                 for name, tensor in net.state_dict().items()}
        rounded = network(arch)
        rounded.load_state_dict(state)
        want = logits(rounded)
        for form, what, options in forms(state):
            path, out = os.path.join(folder, "in.pth"), os.path.join(folder, "out.safetensors")
            torch.save(what, path, **options)
            compare(f"{arch} {kind} {form}", path, want, kind)
            subprocess.run([THAW, "weights", "convert", path, out], check=True, capture_output=True)
            back, _ = safetensors(out)
            assert list(sorted(back)) == list(sorted(state)), (arch, form)
            assert all(torch.equal(back[name], state[name]) and back[name].dtype == state[name].dtype for name in state)
            getattr(torchvision.models, arch)(weights=None).load_state_dict(back, strict=True)
        compare(f"{arch} {kind} safetensors", out, want, kind)


if __name__ == "__main__":
    THAW, PICTURES = sys.argv[1], sys.argv[2:]
    with tempfile.TemporaryDirectory() as work:
        for each in ARCHS:
            check(each, work)
    print("all agree")
