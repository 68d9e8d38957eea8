#!/usr/bin/env python3
"""Shards written by h5py after docs/formats.md: a good one, and one for every thing that thaw has to refuse.

    tests/golden/make_shards.py tests/golden/shards.bin

The file holds, for each shard, a line "NAME LENGTH" and its bytes. tests/unit/dataset_test.c knows what is wrong with
which.
"""
import hashlib
import os
import struct
import sys
import tempfile

import h5py
import numpy as np

CLASSES = ["ants", "bees", "wasps"]
SHAPES = [(16, 20), (24, 16), (18, 18), (16, 31)]
LABELS = [0, 2, 1, 2]
ROW = np.dtype([("offset", "<u8"), ("height", "<u2"), ("width", "<u2"), ("label", "<i4"), ("crc32c", "<u4")])


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def pixels_of(i):
    h, w = SHAPES[i]
    y, x, c = np.mgrid[0:h, 0:w, 0:3]
    return ((y * 7 + x * 3 + c * 50 + i * 11) % 256).astype("u1")


def fixed(text, width=None):
    return np.array(text.encode(), dtype=h5py.string_dtype("utf-8", width or len(text.encode()) or 1))


def fixed_list(texts):
    width = max(len(t.encode()) for t in texts)
    return np.array([t.encode() for t in texts], dtype=h5py.string_dtype("utf-8", width))


def good_parts():
    attributes = {
        "format_version": np.int64(1), "split": fixed("train"), "count": np.int64(4), "resize": np.int64(16),
        "mean": np.array([0.485, 0.456, 0.406], "<f4"), "std": np.array([0.229, 0.224, 0.225], "<f4"),
    }
    rows = np.zeros(4, ROW)
    data = [pixels_of(i).tobytes() for i in range(4)]
    for i, (shape, label) in enumerate(zip(SHAPES, LABELS)):
        rows[i] = (sum(map(len, data[:i])), *shape, label, crc32c(data[i]))
    datasets = {
        "classes": fixed_list(CLASSES), "names": fixed_list([f"{CLASSES[l]}/{i}.jpg" for i, l in enumerate(LABELS)]),
        "index": rows, "pixels": np.frombuffer(b"".join(data), "u1"),
    }
    return attributes, datasets


def untimed():
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plist.set_obj_track_times(False)
    return plist


def put(file, name, value):
    """Stores `value` contiguously, unless it is a function, which then does what it wants."""
    if callable(value):
        value(file, name)
    elif value is not None:
        value = np.asarray(value)
        tid = h5py.h5t.py_create(value.dtype, logical=True)
        did = h5py.h5d.create(file.id, name.encode(), tid, h5py.h5s.create_simple(value.shape), untimed())
        if value.size:
            did.write(h5py.h5s.ALL, h5py.h5s.ALL, value, tid)


def seal(body, left_out, kind=b"thaw shard\n"):
    head = kind.ljust(16, b"\0") + struct.pack("<QQ", len(body), left_out)
    return body + head + hashlib.sha256(body[:len(body) - left_out] + head).digest()


def build(folder, attributes=None, datasets=None):
    """The bytes of a shard whose parts were replaced, or with None left out. `pixels` come last."""
    path = os.path.join(folder, "shard.h5")
    good_attributes, good_datasets = good_parts()
    with h5py.File(path, "w", libver=("earliest", "v110"), meta_block_size=1) as file:
        for name, value in {**good_attributes, **(attributes or {})}.items():
            if value is not None:
                file.attrs[name] = value
        for name, value in {**good_datasets, **(datasets or {})}.items():
            put(file, name, value)
        pixels = file["pixels"] if isinstance(file.get("pixels", getlink=True), h5py.HardLink) else None
        plain = isinstance(pixels, h5py.Dataset) and pixels.id.get_offset() is not None
        end = pixels.id.get_offset() + pixels.size if plain else -1
    with open(path, "rb") as file:
        body = file.read()
    return seal(body, pixels_bytes() if end == len(body) else 0)


def pixels_bytes():
    return sum(h * w * 3 for h, w in SHAPES)


def rows_with(i, **fields):
    rows = good_parts()[1]["index"]
    for name, value in fields.items():
        rows[name][i] = value
    return rows


def chunked(**how):
    def make(file, name):
        value = good_parts()[1][name]
        file.create_dataset(name, data=value, chunks=value.shape, track_times=False, **how)
    return make


def external(file, name):
    file.create_dataset(name, (pixels_bytes(),), "u1", track_times=False, external=[("elsewhere.bin", 0, pixels_bytes())])


def virtual(file, name):
    plist, space = untimed(), h5py.h5s.create_simple((pixels_bytes(),))
    plist.set_virtual(space, b"elsewhere.h5", b"pixels", space)
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_U8LE, space, plist)


def variable(file, name):
    file.create_dataset(name, data=CLASSES, dtype=h5py.string_dtype(), track_times=False)


def huge(file, name):
    space = h5py.h5s.create_simple((1 << 42,))
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.STD_U8LE, space, untimed())


def link(target):
    def make(file, name):
        file[name] = target
    return make


def variants():
    pixels = good_parts()[1]["pixels"]
    yield "good", {}, {}
    yield "no-version", {"format_version": None}, {}
    yield "other-version", {"format_version": np.int64(2)}, {}
    yield "big-endian-count", {"count": np.array(4, ">i8")}, {}
    yield "real-count", {"count": np.float64(4)}, {}
    yield "long-split", {"split": fixed("training-set")}, {}
    yield "variable-split", {"split": "train"}, {}
    yield "two-means", {"mean": np.array([0.5, 0.5], "<f4")}, {}
    yield "nan-mean", {"mean": np.array([0.5, np.nan, 0.5], "<f4")}, {}
    yield "zero-std", {"std": np.array([0.5, 0.5, 0], "<f4")}, {}
    yield "zero-resize", {"resize": np.int64(0)}, {}
    yield "wrong-count", {"count": np.int64(5)}, {}
    yield "no-classes", {}, {"classes": None}
    yield "unsorted-classes", {}, {"classes": fixed_list(["bees", "ants", "wasps"])}
    yield "equal-classes", {}, {"classes": fixed_list(["ants", "ants", "wasps"])}
    yield "nameless-class", {}, {"classes": fixed_list(["", "ants", "bees"])}
    yield "variable-classes", {}, {"classes": variable}
    yield "square-classes", {}, {"classes": fixed_list(CLASSES + ["x"]).reshape(2, 2)}
    yield "three-names", {}, {"names": fixed_list(["a", "b", "c"])}
    yield "chunked-index", {}, {"index": chunked()}
    yield "narrow-index", {}, {"index": good_parts()[1]["index"].astype(ROW.descr[:-1] + [("crc32c", "<u2")])}
    yield "square-index", {}, {"index": good_parts()[1]["index"].reshape(2, 2)}
    yield "label-too-large", {}, {"index": rows_with(1, label=3)}
    yield "label-negative", {}, {"index": rows_with(1, label=-1)}
    yield "offset-wrong", {}, {"index": rows_with(2, offset=1 << 63)}
    yield "no-height", {}, {"index": rows_with(3, height=0)}
    yield "too-high", {}, {"index": rows_with(3, height=65535)}
    yield "chunked-pixels", {}, {"pixels": chunked()}
    yield "deflated-pixels", {}, {"pixels": chunked(compression="gzip")}
    yield "external-pixels", {}, {"pixels": external}
    yield "virtual-pixels", {}, {"pixels": virtual}
    yield "huge-pixels", {}, {"pixels": huge}
    yield "empty-pixels", {}, {"pixels": pixels[:0]}
    yield "signed-pixels", {}, {"pixels": pixels.astype("i1")}
    yield "soft-link", {}, {"pixels": link(h5py.SoftLink("/index"))}
    yield "external-link", {}, {"pixels": link(h5py.ExternalLink("elsewhere.h5", "/pixels"))}
    yield "group-pixels", {}, {"pixels": lambda file, name: file.create_group(name)}
    yield "pixels-first", {}, {"pixels": pixels, "more": np.zeros(4096, "u1")}


def main():
    with tempfile.TemporaryDirectory() as folder, open(sys.argv[1], "wb") as out:
        for name, attributes, datasets in variants():
            shard = build(folder, attributes, datasets)
            out.write(b"%s %d\n" % (name.encode(), len(shard)) + shard)
        other = {"not-hdf5": seal(b"pixels" * 100, 0), "checkpoint": seal(b"\x89HDF\r\n\x1a\n", 0, b"thaw checkpoint\n")}
        for name, shard in other.items():
            out.write(b"%s %d\n" % (name.encode(), len(shard)) + shard)


main()
