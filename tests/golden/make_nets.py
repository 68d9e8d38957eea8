"""Makes nets.h5: whole networks trained for ten steps by PyTorch.

    python3 tests/golden/make_nets.py      (needs torch, torchvision, numpy, h5py; writes nets.h5 beside this file)

Weights, pictures and labels are not stored: both sides draw them from thaw's random streams (net_golden_test.c). The
truth is computed in double precision. The same run in float32 tells how far rounding alone takes each result; tests
allow a multiple of that. Of each tensor a probe is kept: its norm, its product with a random vector, and some elements.
Norms are drawn so that their outputs stay away from relu's kink: one number whose sign depends on rounding changes
gradients by a percent, and nothing could be compared.

Group per network and variant, "<arch> <variant>":
    predictions (N, 10), loss, evaluation (N, 10)   probabilities and loss of step 1; probabilities in evaluation mode
    gradients (trained, 2 + SAMPLES)                probes of step 1's gradients
    statistics (updated, 2 + SAMPLES)               probes of running statistics after step 1
    losses (10)                                     of the ten steps
    changes, momenta (trained, ..), final_statistics (updated, ..)      probes after ten steps
    <each>_error                                    what float32 differs by, one number per row
    trained, updated                                indices into the parameter table
"""

import copy
import os
import numpy as np
import h5py
import torch
import torch.nn as nn
import torch.nn.functional as F
import torchvision
from philox import uniform, words

SEED, SAMPLES, STEPS, CLASSES = 30, 16, 10, 10
VALUES, PIXELS, LABELS, PLACES, DIRECTION = range(5)  # b of the streams; a is the parameter's index or the step
RATE, MOMENTUM, DECAY = 1e-3, 0.9, 1e-4
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


class CifarBlock(nn.Module):
    def __init__(self, ins, outs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(ins, outs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outs)
        self.conv2 = nn.Conv2d(outs, outs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outs)
        self.stride, self.more = stride, outs - ins

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:
            x = F.pad(x[:, :, ::self.stride, ::self.stride],
                      (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(y + x)


class CifarResNet20(nn.Module):
    """He et al. 2015, section 4.2, shortcuts of option A."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(CifarBlock(16, 16, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(CifarBlock(16, 32, 2), CifarBlock(32, 32, 1), CifarBlock(32, 32, 1))
        self.layer3 = nn.Sequential(CifarBlock(32, 64, 2), CifarBlock(64, 64, 1), CifarBlock(64, 64, 1))
        self.fc = nn.Linear(64, CLASSES)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean(dim=(2, 3)))


NETS = [  # arch, maker, picture size, batch, last stage
    ("resnet20", CifarResNet20, 32, 8, "layer3"),
    ("resnet18", lambda: torchvision.models.resnet18(num_classes=CLASSES), 64, 4, "layer4"),
    ("resnet50", lambda: torchvision.models.resnet50(num_classes=CLASSES), 64, 4, "layer4"),
]
VARIANTS = [  # name, trained stages ({last}: the last one), frozen batch norms go on with the batch's statistics
    ("all", None, False),
    ("prefix", ["{last}", "fc"], False),
    ("middle", ["layer1", "fc"], False),
    ("prefix_batch", ["{last}", "fc"], True),
]


def table(net):
    """The parameter table: name -> tensor, in the order in which modules register them."""
    return {name: t for name, t in net.state_dict(keep_vars=True).items() if not name.endswith("num_batches_tracked")}


def first_values(name, index, shape):
    """Norms: gamma around 0.075, beta around 0.5, of norms called bn1 every third beta around -0.5."""
    if name.endswith("running_mean"):
        low, high = -0.1, 0.1
    elif name.endswith("running_var"):
        low, high = 0.04, 0.08
    elif name.startswith("fc"):
        low, high = -0.1, 0.1
    elif len(shape) == 4:
        high = 0.5 * np.sqrt(6.0 / float(np.prod(shape[1:])))
        low = -high
    else:
        low, high = (0.05, 0.1) if name.endswith("weight") else (0.4, 0.6)
    values = uniform(SEED, index, VALUES, low, high, shape)
    if name.endswith("bn1.bias"):
        values[2::3] *= -1
    return values


def batch(step, count, size):
    """Noise of four brightnesses: alike pictures would differ by little more than rounding once they are averaged."""
    pixels = (words(SEED, step, PIXELS, count * size * size * 3) & 255).reshape(count, size, size, 3)
    pixels >>= (np.arange(count, dtype=np.uint32) % 4).reshape(-1, 1, 1, 1)
    x = (pixels / 255.0 - MEAN.astype(np.float64)) / STD.astype(np.float64)
    labels = words(SEED, step, LABELS, count) % np.uint32(CLASSES)
    return torch.tensor(x.transpose(0, 3, 1, 2).copy()), torch.tensor(labels.astype(np.int64))


def probe(tensor, index):
    flat = tensor.detach().double().numpy().reshape(-1)
    direction = uniform(SEED, index, DIRECTION, -1, 1, flat.shape).astype(np.float64)
    places = words(SEED, index, PLACES, SAMPLES) % np.uint32(flat.size)
    return np.concatenate([[np.linalg.norm(flat), flat @ direction], flat[places]])


def stage(name):
    return {"bn1": "conv1"}.get(name.split(".")[0], name.split(".")[0])


def run(make, size, count, stages, batch_statistics, dtype):
    """Ten steps from the first values. Returns {dataset: array}."""
    net = make()
    parameters = table(net)
    with torch.no_grad():
        for index, (name, t) in enumerate(parameters.items()):
            t.copy_(torch.tensor(first_values(name, index, tuple(t.shape))))
    net.to(dtype)
    parameters = table(net)
    names = list(parameters)
    first = {name: t.detach().double().clone() for name, t in parameters.items()}
    trains = {name: stages is None or stage(name) in stages for name in names}

    x, labels = batch(0, count, size)
    out = {"evaluation": F.softmax(copy.deepcopy(net).eval()(x.to(dtype)), dim=1).detach().double().numpy()}

    net.train()
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d) and not trains[name + ".weight"] and not batch_statistics:
            module.eval()
    trained = [i for i, name in enumerate(names) if trains[name] and "running" not in name]
    updated = [i for i, name in enumerate(names) if "running" in name and (trains[name] or batch_statistics)]
    for name, t in parameters.items():
        t.requires_grad_(trains[name] and "running" not in name)
    optimizer = torch.optim.SGD([parameters[names[i]] for i in trained], RATE, MOMENTUM, weight_decay=DECAY)

    losses = []
    for step in range(STEPS):
        x, labels = batch(step, count, size)
        optimizer.zero_grad()
        logits = net(x.to(dtype))
        loss = F.cross_entropy(logits, labels)
        loss.backward()
        if step == 0:
            out["predictions"] = F.softmax(logits, dim=1).detach().double().numpy()
            out["gradients"] = np.stack([probe(parameters[names[i]].grad, i) for i in trained])
        optimizer.step()
        if step == 0 and updated:
            out["statistics"] = np.stack([probe(parameters[names[i]], i) for i in updated])
        losses.append(float(loss.detach()))
    out["losses"] = np.array(losses)
    out["changes"] = np.stack([probe(parameters[names[i]].double() - first[names[i]], i) for i in trained])
    out["momenta"] = np.stack([probe(optimizer.state[parameters[names[i]]]["momentum_buffer"], i) for i in trained])
    if updated:
        out["final_statistics"] = np.stack([probe(parameters[names[i]], i) for i in updated])
    return out, trained, updated, [first[name].numel() for name in names]


def probe_error(got, want, elems, least):
    """The largest of three estimates of ||got - want|| / ||want|| (net_golden_test.c has the same). Norms below `least`
    count as `least`: a shift in front of a norm has the gradient 0, where nothing but rounding is left."""
    samples = np.linalg.norm(got[2:] - want[2:]) * np.sqrt(elems / SAMPLES)
    return max(abs(got[0] - want[0]), abs(got[1] - want[1]), samples) / max(want[0], least)


def errors(name, got, want, indices, elems):
    if got.ndim == 1:
        return np.full(got.shape, np.abs(got - want).max())
    if got.shape[1] == CLASSES:
        return np.array([np.linalg.norm(got - want) / np.linalg.norm(want)])
    least = 1e-12 * want[:, 0].max()
    e = np.array([probe_error(g, w, elems[i], least) for g, w, i in zip(got, want, indices)])
    return np.maximum(e, np.median(e))  # one tensor's own may be small by luck


def main():
    torch.set_num_threads(1)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nets.h5")
    with h5py.File(path, "w") as file:
        for arch, make, size, count, last in NETS:
            for variant, stages, batch_statistics in VARIANTS:
                stages = stages and [s.format(last=last) for s in stages]
                want, trained, updated, elems = run(make, size, count, stages, batch_statistics, torch.float64)
                got, _, _, _ = run(make, size, count, stages, batch_statistics, torch.float32)
                group = file.create_group(f"{arch} {variant}")
                group["trained"], group["updated"] = np.array(trained, np.int32), np.array(updated, np.int32)
                summary = []
                for name, values in want.items():
                    e = errors(name, got[name], values, updated if "statistics" in name else trained, elems)
                    group[name], group[name + "_error"] = values.astype(np.float32), e.astype(np.float32)
                    summary.append(f"{name} {e.max():.1e}")
                print(arch, variant, np.round(want["losses"], 3), np.round(want["evaluation"].max(), 2),
                      np.round(want["predictions"].max(), 2), ", ".join(summary))
    print(f"{path}: {os.path.getsize(path)} bytes")


main()
