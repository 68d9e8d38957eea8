"""Makes ops.h5: what PyTorch computes for every operation, forward and gradients, on small shapes.

    python3 tests/golden/make_ops.py      (needs torch, numpy, h5py; writes ops.h5 beside this file)

Inputs are not stored: both sides draw them from thaw's random streams (harness.c: op_inputs()). PyTorch computes in
double precision from these float32 numbers. One dataset per case, named "<kind>: <what>", holds the results one after
another in the order of enum op_array, rounded to float32; its attribute `case` is struct op_case's numbers.
"""

import os
import numpy as np
import h5py
import torch
import torch.nn.functional as F
from philox import uniform, words

SEED = 20
SHARE = 0.25  # of the global batch: weighs batch statistics, and divides the gradient of the loss
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

# enum op_array of tests/ops/harness.h
X, RESIDUAL, WEIGHT, BIAS, GAMMA, BETA, RUNNING_MEAN, RUNNING_VAR, DY = range(9)

FIELDS = ["stream", "n", "c", "h", "w", "k", "kernel", "stride", "pad", "groups", "bias", "relu", "residual", "fold",
          "batch_statistics", "ties", "smoothing", "weighted", "mixed"]
DEFAULTS = dict(kernel=1, stride=1, pad=0, groups=1, bias=0, relu=0, residual=0, fold=0, batch_statistics=0, ties=0,
                smoothing=0, weighted=0, mixed=0)  # smoothing: in percent


def cases():
    def case(kind, n, c, h, w, k=None, **more):
        return dict(DEFAULTS, kind=kind, n=n, c=c, h=h, w=w, k=k or c, **more)

    yield case("input", 2, 3, 5, 7)
    yield case("input", 1, 3, 1, 1)

    # n, c, h, w, k, kernel, stride, pad, groups
    for n, c, h, w, k, kernel, stride, pad, groups in [
        (2, 3, 7, 7, 5, 7, 2, 3, 1), (1, 3, 2, 3, 8, 7, 2, 3, 1), (1, 5, 3, 3, 8, 5, 1, 2, 1),
        (1, 3, 9, 5, 17, 3, 1, 1, 1), (1, 5, 4, 3, 33, 3, 1, 1, 1), (1, 16, 4, 4, 16, 3, 1, 1, 1),
        (2, 17, 3, 4, 5, 3, 1, 1, 1), (1, 33, 4, 4, 5, 3, 1, 1, 1), (1, 8, 8, 9, 8, 3, 1, 1, 1),
        (1, 16, 1, 1, 8, 3, 1, 1, 1), (2, 8, 5, 5, 8, 3, 1, 0, 1),
        (2, 16, 5, 4, 5, 3, 2, 1, 1), (1, 17, 5, 5, 9, 3, 2, 1, 1), (2, 8, 6, 6, 16, 3, 2, 1, 1),
        (2, 16, 2, 2, 5, 3, 2, 1, 1),
        (2, 16, 4, 4, 5, 1, 1, 0, 1), (1, 33, 5, 3, 17, 1, 1, 0, 1), (1, 16, 5, 5, 32, 1, 2, 0, 1),
        (2, 16, 1, 1, 17, 1, 1, 0, 1),
        (1, 16, 4, 4, 16, 3, 1, 1, 2), (1, 16, 6, 6, 16, 3, 2, 1, 4), (1, 16, 5, 5, 16, 3, 1, 1, 16),
        (2, 12, 4, 4, 6, 1, 1, 0, 3),
    ]:
        yield case("conv", n, c, h, w, k, kernel=kernel, stride=stride, pad=pad, groups=groups,
                   bias=(n + k + kernel) % 2)
    for c, k, kernel, stride, pad, groups in [(16, 16, 3, 1, 1, 1), (3, 17, 7, 2, 3, 1), (16, 33, 1, 1, 0, 1),
                                              (17, 16, 3, 2, 1, 1), (32, 16, 3, 1, 1, 2)]:
        for relu, residual, fold in [(1, 0, 1), (1, 1, 1), (0, 0, 1), (0, 1, 1), (1, 0, 0)]:
            yield case("conv", 1, c, 3, 4, k, kernel=kernel, stride=stride, pad=pad, groups=groups, relu=relu,
                       residual=residual, fold=fold, bias=(k + relu) % 2)

    for n, c, h, w in [(2, 16, 3, 3), (3, 5, 4, 3), (1, 17, 2, 3), (3, 33, 1, 1)]:
        for batch_statistics in (1, 0):
            for relu, residual in [(0, 0), (1, 0), (0, 1), (1, 1)]:
                yield case("batch_norm", n, c, h, w, relu=relu, residual=residual, batch_statistics=batch_statistics)

    for n, c, h, w in [(1, 16, 3, 3), (1, 5, 3, 3), (2, 33, 1, 2)]:
        yield case("relu", n, c, h, w, relu=1)
        yield case("add", n, c, h, w, residual=1)
        yield case("add", n, c, h, w, residual=1, relu=1)

    for n, c, h, w, kernel, stride, pad in [(1, 16, 6, 6, 3, 2, 1), (1, 17, 5, 4, 3, 2, 1), (2, 3, 6, 5, 2, 2, 0),
                                            (1, 33, 3, 4, 3, 1, 1), (2, 5, 1, 1, 3, 2, 1), (1, 16, 2, 3, 3, 2, 1)]:
        for ties in (0, 1):
            yield case("max_pool", n, c, h, w, kernel=kernel, stride=stride, pad=pad, ties=ties)

    for n, c, h, w in [(1, 16, 7, 7), (1, 17, 2, 3), (3, 33, 1, 1), (2, 5, 4, 4)]:
        yield case("global_pool", n, c, h, w)

    for n, c, h, w, k, stride in [(1, 16, 6, 6, 32, 2), (1, 16, 5, 3, 33, 2), (2, 3, 4, 4, 8, 1), (1, 5, 3, 3, 5, 2),
                                  (2, 17, 1, 1, 33, 2)]:
        yield case("shortcut", n, c, h, w, k, stride=stride)

    for n, c, k in [(4, 16, 10), (1, 33, 2), (3, 5, 17), (2, 40, 21)]:
        yield case("linear", n, c, 1, 1, k, bias=1)

    for n, c in [(4, 10), (1, 2), (3, 5), (5, 33), (2, 3)]:
        yield case("loss", n, c, 1, 1)
    yield case("loss", 4, 7, 1, 1, ties=1)
    yield case("loss", 5, 10, 1, 1, pad=2)  # the last two pictures only fill up the batch
    for smoothing in (0, 10):
        for weighted in (0, 1):
            for mixed in (0, 1):
                if smoothing or weighted or mixed:
                    yield case("loss", 6, 7, 1, 1, pad=weighted + mixed, smoothing=smoothing, weighted=weighted,
                               mixed=mixed)


def title(v):
    text = "{kind}: {n}x{c}x{h}x{w}".format(**v)
    if v["kind"] in ("conv", "linear", "shortcut"):
        text += " to {k}".format(**v)
    if v["kind"] == "loss" and v["pad"]:
        text += " with {pad} to fill up".format(**v)
    if v["kind"] in ("conv", "max_pool"):
        text += ", {kernel}x{kernel} pad {pad}".format(**v)
    if v["stride"] > 1:
        text += ", stride {stride}".format(**v)
    if v["groups"] > 1:
        text += ", groups {groups}".format(**v)
    for flag in FIELDS[10:]:
        if v[flag] > 1:
            text += " +{} {}%".format(flag, v[flag])
        elif v[flag]:
            text += " +" + flag.replace("_", "-")
    return text


def inputs(v, out_shape):
    """The case's inputs as float64 tensors with the values of op_inputs()."""
    def draw(array, low, high, shape):
        values = uniform(SEED, v["stream"], array, low, high, shape)
        return torch.tensor(values.astype(np.float64), requires_grad=True)

    c = v["k"] if v["kind"] == "conv" else v["c"]
    weight = (v["k"], v["c"] // v["groups"]) + ((v["kernel"],) * 2 if v["kind"] == "conv" else ())
    scale = 4 if v["kind"] == "loss" else 1
    t = {
        X: draw(X, -scale, scale, (v["n"], v["c"], v["h"], v["w"])),
        RESIDUAL: draw(RESIDUAL, -1, 1, out_shape),
        WEIGHT: draw(WEIGHT, -0.5, 0.5, weight),
        BIAS: draw(BIAS, -0.5, 0.5, (v["k"],)),
        GAMMA: draw(GAMMA, 0.5, 1.5, (c,)),
        BETA: draw(BETA, -0.5, 0.5, (c,)),
        RUNNING_MEAN: draw(RUNNING_MEAN, -0.5, 0.5, (c,)),
        RUNNING_VAR: draw(RUNNING_VAR, 0.5, 1.5, (c,)),
        DY: draw(DY, -1, 1, out_shape),
    }
    if v["ties"]:
        t[X] = torch.floor(t[X].detach() * 2).requires_grad_()
    return t


def out_shape(v):
    p, q = ((v[d] + 2 * v["pad"] - v["kernel"]) // v["stride"] + 1 for d in ("h", "w"))
    return {"global_pool": (v["n"], v["c"], 1, 1),
            "linear": (v["n"], v["k"], 1, 1),
            "loss": (v["n"], v["c"], 1, 1)}.get(v["kind"], (v["n"], v["k"], p, q))


def cross_entropy(v, logits, labels):
    """The sum of the pictures' losses and that of their weights. Second labels count by 1 - the picture's share."""
    classes = None
    if v["weighted"]:
        classes = torch.tensor(uniform(SEED, v["stream"], GAMMA, 0.5, 1.5, (v["c"],)).astype(np.float64))
    options = dict(weight=classes, label_smoothing=v["smoothing"] / 100, ignore_index=-1)

    def both(these):
        weights = (torch.ones(v["c"]).double() if classes is None else classes)[these.clamp(min=0)] * these.ge(0)
        losses = F.cross_entropy(logits, these, reduction="none", **options)
        # What PyTorch calls the mean is the sum over that of the weights.
        assert torch.allclose(losses.sum() / weights.sum(), F.cross_entropy(logits, these, **options))
        return losses, weights

    losses, weights = both(labels)
    if v["mixed"]:
        second = torch.tensor((words(SEED, v["stream"], BETA, v["n"]) % np.uint32(v["c"])).astype(np.int64))
        shares = torch.tensor(uniform(SEED, v["stream"], RUNNING_MEAN, 0, 1, (v["n"],)).astype(np.float64))
        second[labels < 0], shares[0] = -1, 1
        other, other_weights = both(second)
        losses, weights = shares * losses + (1 - shares) * other, shares * weights + (1 - shares) * other_weights
    return losses.sum(), weights.sum()


def results(v):
    kind, t = v["kind"], inputs(v, out_shape(v))
    if kind == "input":
        pixels = (words(SEED, v["stream"], X, v["n"] * v["h"] * v["w"] * 3) & 255).reshape(v["n"], v["h"], v["w"], 3)
        mean, std = np.float32(MEAN).astype(np.float64), np.float32(STD).astype(np.float64)
        return [torch.tensor(((pixels / 255.0 - mean) / std).transpose(0, 3, 1, 2))]
    if kind == "loss":
        logits = t[X].reshape(v["n"], v["c"])
        labels = torch.tensor((words(SEED, v["stream"], BIAS, v["n"]) % np.uint32(v["c"])).astype(np.int64))
        real = v["n"] - v["pad"]
        labels[real:] = -1
        loss, weight = cross_entropy(v, logits, labels)
        gradient, = torch.autograd.grad(loss * SHARE / v["n"], t[X])
        # Of equal logits the smaller class comes first: a stable sort of the negated ones.
        order = torch.argsort(-logits, dim=1, stable=True)
        rank = order.eq(labels[:, None]).double().argmax(dim=1)[:real]
        score = torch.stack([loss, (rank < 1).sum().double(), (rank < 5).sum().double(), weight])
        return [gradient, F.softmax(logits, dim=1), score]

    wanted, statistics = [X], []
    norm = (t[RUNNING_MEAN].detach().clone(), t[RUNNING_VAR].detach().clone(), t[GAMMA], t[BETA])
    bias = t[BIAS] if v["bias"] else None
    if kind == "conv":
        y = F.conv2d(t[X], t[WEIGHT], bias, v["stride"], v["pad"], groups=v["groups"])
        if v["fold"]:
            y = F.batch_norm(y, *norm, training=False)
        wanted += [WEIGHT] + [BIAS] * v["bias"]
    elif kind == "batch_norm":
        # Momentum 1: the running statistics become the batch's.
        y = F.batch_norm(t[X], *norm, training=bool(v["batch_statistics"]), momentum=1)
        wanted += [RESIDUAL] * v["residual"] + [GAMMA, BETA]
        statistics = [SHARE * s for s in norm[:2]] if v["batch_statistics"] else []
    elif kind == "linear":
        y = F.linear(t[X].reshape(v["n"], v["c"]), t[WEIGHT], bias).reshape(out_shape(v))
        wanted += [WEIGHT, BIAS]
    elif kind == "max_pool":
        y = F.max_pool2d(t[X], v["kernel"], v["stride"], v["pad"])
    elif kind == "global_pool":
        y = F.adaptive_avg_pool2d(t[X], 1)
    elif kind == "shortcut":
        before = (v["k"] - v["c"]) // 2
        y = F.pad(t[X][:, :, ::v["stride"], ::v["stride"]], (0, 0, 0, 0, before, v["k"] - v["c"] - before))
    else:
        y = t[X]
        wanted += [RESIDUAL] * v["residual"]
    if v["residual"]:
        y = y + t[RESIDUAL]
    if v["relu"]:
        y = F.relu(y)
    if kind == "conv" and (v["fold"] or v["relu"] or v["residual"]):
        return [y]  # fused only where there is no backward pass
    assert y.shape == out_shape(v), (v, y.shape)
    return [y, *torch.autograd.grad(y, [t[i] for i in wanted], t[DY]), *statistics]


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ops.h5")
    with h5py.File(path, "w") as file:
        for stream, v in enumerate(cases()):
            v["stream"] = stream
            flat = np.concatenate([r.detach().numpy().reshape(-1) for r in results(v)])
            file.create_dataset(title(v), data=flat.astype(np.float32))
            file[title(v)].attrs["case"] = np.array([v[f] for f in FIELDS], np.int32)
    print(f"{path}: {stream + 1} cases, {os.path.getsize(path)} bytes")


main()
