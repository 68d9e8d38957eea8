"""Prints what fastai 2.8 suggests for the curves of tests/unit/lr_range_test.c: rows of its table `curves`.

    python3 tests/golden/make_lr_range.py      (needs fastai and torch)

A curve is a plateau, a fall around 10^fall and a rise from 10^rise on, with a ripple instead of noise.
"""

import math
import torch
from fastai.callback.schedule import steep, valley

FROM, TO = 1e-7, 10.0


def curve(fall, rise, ripple, steps):
    rates = [FROM * (TO / FROM) ** (i / (steps - 1)) for i in range(steps)]
    losses = []
    for i, rate in enumerate(rates):
        x = math.log10(rate)
        losses.append(2.0 - 1.2 / (1 + math.exp(-3 * (x - fall))) + math.exp(2 * (x - rise)) / 10
                      + ripple * ((37 * i) % 11 - 5))
    return rates, losses


def smooth(losses):
    """fastai's AvgSmoothLoss, beta 0.98."""
    mean, out = 0.0, []
    for i, loss in enumerate(losses):
        mean = 0.98 * mean + 0.02 * loss
        out.append(mean / (1 - 0.98 ** (i + 1)))
    return out


def stop(smoothed):
    """LRFinder: the last loss that is kept."""
    for i in range(len(smoothed)):
        if smoothed[i] > 4 * min(smoothed[: i + 1]):
            return i + 1
    return len(smoothed)


for fall, rise, ripple, steps in [(-3, -1, 0, 100), (-3, -1, 0.004, 100), (-2, 0, 0.01, 100), (-4, -3, 0.02, 60), (-2, -2, 0.005, 300)]:
    rates, losses = curve(fall, rise, ripple, steps)
    smoothed = smooth(losses)
    count = stop(smoothed)
    kept = torch.tensor(smoothed[:count], dtype=torch.float64)[steps // 10:-5]
    lrs = torch.tensor(rates[:count], dtype=torch.float64)[steps // 10:-5]
    found = [rates.index(min(rates, key=lambda r: abs(r - suggest(lrs, kept, steps)[0]))) for suggest in (valley, steep)]
    print("\t{%g, %g, %g, %d, %d, %.9f, %d, %d}," % (fall, rise, ripple, steps, count, smoothed[count - 1], *found))
