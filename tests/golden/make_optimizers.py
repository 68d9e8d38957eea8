"""Makes optimizers.h5: twenty updates of a few parameters by torch.optim, and moving averages of them.

    python3 tests/golden/make_optimizers.py      (needs torch, numpy, h5py; writes optimizers.h5 beside this file)

Parameters and gradients are not stored: both sides draw them from thaw's random streams (optimizer_golden_test.c). The
truth is computed in double precision. The same updates in float32 tell how far rounding alone takes each result; tests
allow a multiple of that.

    <case>         (arrays, numbers)      parameters, then each slot, after the last update
    <case>_error   (arrays, parameters)   what float32 differs by: the largest difference over the largest number
"""

import copy
import os
import numpy as np
import h5py
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from philox import uniform

SEED, STEPS = 40, 20
# Index in the parameter table, shape, scale of the gradients; norms stand at 1 and 2, running statistics at 3 and 4.
PARAMS = [(0, (4, 3, 3, 3), 1.0), (1, (4,), 2.0**-6), (2, (4,), 2.0**-6), (5, (5, 4), 2.0**-3), (6, (5,), 1.0)]
IS_WEIGHT = [True, False, False, True, False]
LR_SCALE = [1.0, 0.5, 0.0, 10.0, 3.0]

# name: kind, learning rate, options. Not torch's are: clip, scaled, phases, decay_norms, of_steps.
CASES = {
    "sgd": ("sgd", 0.1, {}),
    "sgd momentum": ("sgd", 0.1, dict(momentum=0.9)),
    "sgd decay": ("sgd", 0.1, dict(momentum=0.9, weight_decay=0.1)),
    "sgd decay weights": ("sgd", 0.1, dict(momentum=0.9, weight_decay=0.1, decay_norms=False)),
    "sgd nesterov": ("sgd", 0.1, dict(momentum=0.9, weight_decay=0.1, nesterov=True)),
    "sgd steps": ("sgd", 0.1, dict(momentum=0.9, weight_decay=0.1, of_steps=True)),
    "sgd steps nesterov": ("sgd", 0.1, dict(momentum=0.9, weight_decay=0.1, nesterov=True, of_steps=True)),
    "sgd clip": ("sgd", 0.1, dict(momentum=0.9, weight_decay=0.1, clip=2.0)),
    "sgd scaled": ("sgd", 0.1, dict(momentum=0.9, weight_decay=0.1, scaled=True)),
    "sgd phases": ("sgd", 0.1, dict(momentum=0.9, phases=True)),
    "adam": ("adam", 0.01, dict(betas=(0.9, 0.999), eps=1e-8)),
    "adam decay": ("adam", 0.01, dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)),
    "adam short memory": ("adam", 0.01, dict(betas=(0.0, 0.5), eps=0.1)),
    "adam clip": ("adam", 0.01, dict(betas=(0.3, 0.99), eps=0.01, clip=2.0)),
    "adam phases": ("adam", 0.01, dict(betas=(0.9, 0.99), eps=1e-8, phases=True)),
    "adamw": ("adamw", 0.01, dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.5)),
    "adamw decay weights": ("adamw", 0.01, dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.5, decay_norms=False)),
    "adamw scaled": ("adamw", 0.01, dict(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.5, scaled=True)),
}
SLOTS = {"sgd": ["momentum_buffer"], "adam": ["exp_avg", "exp_avg_sq"], "adamw": ["exp_avg", "exp_avg_sq"]}


def first_values(index, shape):
    return uniform(SEED, index, 0, -0.5, 0.5, shape)


def gradient(index, step, shape, scale):
    """Smaller from one step to the next, four times over; every eighth number is always 0."""
    values = uniform(SEED, index, 1 + step, -1, 1, shape) * np.float32(scale * 2.0 ** -(step % 4))
    values.reshape(-1)[7::8] = 0
    return values


def rate(base, step):
    return base * (1 - 0.03 * step)


def trains(phases, k, step):
    """With phases the first three parameters are frozen at first, and for a while later on."""
    return not phases or k >= 3 or (step >= 7 and step not in (12, 13, 14))


def keras_sgd(params, buffers, lr, momentum, decay, nesterov):
    """keras.optimizers.SGD: v = momentum v - lr g; w += v, or with nesterov w += momentum v - lr g."""
    for k, p in enumerate(params):
        g = p.grad + decay[k] * p
        buffers[k].mul_(momentum).sub_(lr[k] * g)
        p.add_(momentum * buffers[k] - lr[k] * g if nesterov else buffers[k])


@torch.no_grad()
def run(kind, base, options, dtype, after_step=None):
    options = dict(options)
    decay = options.pop("weight_decay", 0.0)
    decay_norms, of_steps = options.pop("decay_norms", True), options.pop("of_steps", False)
    clip, scaled, phases = options.pop("clip", None), options.pop("scaled", False), options.pop("phases", False)
    params = [torch.nn.Parameter(torch.tensor(first_values(i, shape), dtype=dtype)) for i, shape, _ in PARAMS]
    decays = [decay if weight or decay_norms else 0.0 for weight in IS_WEIGHT]
    scale = LR_SCALE if scaled else [1.0] * len(params)
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind]
    optimizer = make([dict(params=[p], weight_decay=d) for p, d in zip(params, decays)], base, **options)
    buffers = [torch.zeros_like(p) for p in params]
    for step in range(STEPS):
        for k, (p, (i, shape, size)) in enumerate(zip(params, PARAMS)):
            p.grad = torch.tensor(gradient(i, step, shape, size), dtype=dtype) if trains(phases, k, step) else None
        if clip:
            torch.nn.utils.clip_grad_norm_(params, clip)
        rates = [rate(base, step) * s for s in scale]
        if of_steps:
            keras_sgd(params, buffers, rates, options["momentum"], decays, options.get("nesterov", False))
        else:
            for group, r in zip(optimizer.param_groups, rates):
                group["lr"] = r
            optimizer.step()
        if after_step:
            after_step(params)
    arrays = [params]
    for slot in SLOTS[kind]:
        if of_steps:
            arrays.append([-b for b in buffers])
        elif kind == "sgd" and not options.get("momentum"):
            arrays.append([p.grad for p in params])  # v = 0 v + g
        else:
            arrays.append([optimizer.state[p][slot] for p in params])
    return [[t.detach().double().numpy().reshape(-1) for t in array] for array in arrays]


def check_steps_form():
    """Without nesterov, momentum of steps is torch's with the momentum momentum * old rate / new rate."""
    kind, base, options = CASES["sgd steps"]
    params = [torch.nn.Parameter(torch.tensor(first_values(i, shape)).double()) for i, shape, _ in PARAMS]
    optimizer = torch.optim.SGD(params, base, options["momentum"], weight_decay=options["weight_decay"])
    for step in range(STEPS):
        for p, (i, shape, size) in zip(params, PARAMS):
            p.grad = torch.tensor(gradient(i, step, shape, size)).double()
        group = optimizer.param_groups[0]
        group["momentum"] = options["momentum"] * group["lr"] / rate(base, step)
        group["lr"] = rate(base, step)
        optimizer.step()
    for got, want in zip(params, run(kind, base, options, torch.float64)[0]):
        assert np.allclose(got.detach().numpy().reshape(-1), want, rtol=1e-12, atol=1e-14)


def averages(decay, warm_up, dtype):
    """The averages of case "sgd momentum"."""
    def mix(averaged, now, n):
        d = min(decay, (1 + int(n)) / (10 + int(n))) if warm_up else decay
        get_ema_multi_avg_fn(d)(averaged, now, n)

    average = []

    def update(params):
        if not average:
            average.append(AveragedModel(torch.nn.ParameterList(copy.deepcopy(params)), multi_avg_fn=mix))
        average[0].update_parameters(torch.nn.ParameterList(params))

    run(*CASES["sgd momentum"], dtype, update)
    return [[p.detach().double().numpy().reshape(-1) for p in average[0].module]]


def store(file, name, make):
    want, got = make(torch.float64), make(torch.float32)
    file[name] = np.stack([np.concatenate(array) for array in want]).astype(np.float32)
    error = np.array([[np.abs(g - w).max() / np.abs(w).max() for g, w in zip(g_array, w_array)]
                      for g_array, w_array in zip(got, want)])
    file[name + "_error"] = error.astype(np.float32)
    print(f"{name}: float32 differs by {error.max():.1e}")


def main():
    torch.set_num_threads(1)
    check_steps_form()
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "optimizers.h5")
    with h5py.File(path, "w") as file:
        for name, case in CASES.items():
            store(file, name, lambda dtype: run(*case, dtype))
        store(file, "average", lambda dtype: averages(0.9, False, dtype))
        store(file, "average warm-up", lambda dtype: averages(0.5, True, dtype))
    print(f"{path}: {os.path.getsize(path)} bytes")


main()
