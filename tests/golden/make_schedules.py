"""Makes schedules.h5: the learning rates that torch.optim.lr_scheduler gives over a few epochs, of a base rate of 1.

    python3 tests/golden/make_schedules.py      (needs torch, numpy, h5py; writes schedules.h5 beside this file)

A dataset per case: the rate of each of EPOCHS * STEPS updates; of "plateau ...", that of the epoch after each loss.
schedule_golden_test.c has the same cases by name.
"""

import os
import warnings
import numpy as np
import h5py
import torch
from torch.optim import lr_scheduler as s

EPOCHS, STEPS, WARMUP = 6, 7, 10
TOTAL = EPOCHS * STEPS


def by_step(make):
    return rates(make, lambda step: True)


def by_epoch(make):
    return rates(make, lambda step: step % STEPS == STEPS - 1)


def rates(make, moves, total=TOTAL):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    scheduler, out = make(optimizer), []
    for step in range(total):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if moves(step) and step < total - 1:
            scheduler.step()
    return np.array(out, np.float64)


def warm(start):
    """Of LinearLR alone: a factor."""
    return by_step(lambda o: s.LinearLR(o, start, 1.0, WARMUP))


def chained(start, make):
    """LinearLR, and from step WARMUP on another scheduler from its beginning."""
    return by_step(lambda o: s.SequentialLR(o, [s.LinearLR(o, start, 1.0, WARMUP), make(o)], [WARMUP]))


def one_cycle(total, rise, div, final_div):
    return lambda o: s.OneCycleLR(o, 1.0, total_steps=total, pct_start=rise, div_factor=div,
                                  final_div_factor=final_div, cycle_momentum=False)


def plateau(losses, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1.0)
    scheduler = s.ReduceLROnPlateau(optimizer, eps=0, **options)
    out = []
    for loss in losses:
        scheduler.step(loss)
        out.append(optimizer.param_groups[0]["lr"])
    return np.array(out, np.float64)


# Falls, stands, falls by less than the threshold, rises, falls, is not a number for once, and stands.
LOSSES = [2.0, 1.5, 1.5, 1.49999, 1.6, 1.7, 1.4, 1.4, 1.4, 1.4, 1.39, np.nan, 1.39, 1.39, 1.39, 1.39,
          1.2, 1.2, 1.2, 1.2]


def cases():
    yield "constant", by_epoch(lambda o: s.ConstantLR(o, 1.0))
    yield "constant warm", warm(0.01)
    yield "step", by_epoch(lambda o: s.StepLR(o, 2, 0.1))
    yield "step warm", by_epoch(lambda o: s.StepLR(o, 1, 0.5)) * warm(0.25)
    yield "multi_step", by_epoch(lambda o: s.MultiStepLR(o, [1, 4, 5], 0.3))
    yield "multi_step warm", by_epoch(lambda o: s.MultiStepLR(o, [1, 4], 0.3)) * warm(0.1)
    yield "exponential", by_epoch(lambda o: s.ExponentialLR(o, 0.8))
    yield "cosine", by_step(lambda o: s.CosineAnnealingLR(o, TOTAL))
    yield "cosine min", by_step(lambda o: s.CosineAnnealingLR(o, TOTAL, 0.05))
    yield "cosine warm", chained(0.01, lambda o: s.CosineAnnealingLR(o, TOTAL - WARMUP, 0.05))
    yield "one_cycle", by_step(one_cycle(TOTAL, 0.3, 25.0, 1e4))
    yield "one_cycle late", by_step(one_cycle(TOTAL, 0.9, 10.0, 100.0))
    yield "one_cycle fall", by_step(one_cycle(TOTAL, 0.0, 10.0, 100.0))
    yield "one_cycle rise", by_step(one_cycle(TOTAL, 1.0, 10.0, 100.0))
    rest = rates(one_cycle(TOTAL - WARMUP, 0.25, 4.0, 10.0), lambda step: True, TOTAL - WARMUP)
    yield "one_cycle warm", np.concatenate([warm(0.1)[:WARMUP] * rest[0], rest])
    yield "rising", by_step(lambda o: s.LambdaLR(o, lambda t: 1e-3 ** (1 - t / TOTAL)))
    yield "rising linear", by_step(lambda o: s.LinearLR(o, 0.001, 1.0, TOTAL))
    yield "plateau", plateau(LOSSES, factor=0.1, patience=1, threshold=1e-4)
    yield "plateau patient", plateau(LOSSES, factor=0.5, patience=2, threshold=0.1, cooldown=2)
    yield "plateau hasty", plateau(LOSSES, factor=0.5, patience=0, threshold=0, min_lr=0.1)


def main():
    warnings.simplefilter("ignore")  # schedulers that SequentialLR steps complain
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schedules.h5")
    with h5py.File(path, "w") as file:
        for name, values in cases():
            file[name] = values
            print(name, np.round(values[[0, 1, len(values) // 2, -1]], 6))
    print(f"{path}: {os.path.getsize(path)} bytes")


main()
