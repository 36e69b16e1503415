"""Golden file of the other learning-rate schedules: the rate used in each of 60 steps, from a base rate of 0.1."""

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from torch.optim import lr_scheduler as s

from .case import Case

STEPS = 60
RATE = 0.1

SCHEDULES = {
    "step": lambda o: s.StepLR(o, step_size=7, gamma=0.5),
    "multi_step": lambda o: s.MultiStepLR(o, milestones=[5, 20, 20, 41], gamma=0.3),
    "exponential": lambda o: s.ExponentialLR(o, gamma=0.9),
    "linear": lambda o: s.LinearLR(o, start_factor=0.2, end_factor=0.9, total_iters=13),
    "polynomial": lambda o: s.PolynomialLR(o, total_iters=40, power=2.0),
    "warm_restarts": lambda o: s.CosineAnnealingWarmRestarts(o, T_0=7, T_mult=2, eta_min=0.001),
    "warm_restarts_equal": lambda o: s.CosineAnnealingWarmRestarts(o, T_0=9),
    "sequential": lambda o: s.SequentialLR(
        o,
        [
            s.LinearLR(o, start_factor=0.1, total_iters=6),
            s.StepLR(o, step_size=5, gamma=0.7),
            s.ExponentialLR(o, gamma=0.8),
        ],
        milestones=[6, 33],
    ),
    "chained": lambda o: s.ChainedScheduler([s.LinearLR(o, start_factor=0.25, total_iters=8), s.ExponentialLR(o, 0.95)]),
    "three_phases": lambda o: s.OneCycleLR(o, RATE, total_steps=STEPS, three_phase=True, cycle_momentum=False),
    "three_phases_linear": lambda o: s.OneCycleLR(
        o, RATE, total_steps=STEPS, pct_start=0.35, anneal_strategy="linear", div_factor=10.0, final_div_factor=50.0,
        three_phase=True, cycle_momentum=False,
    ),
}

METRICS = [
    ("plateau_min", {"mode": "min", "factor": 0.5, "patience": 2, "threshold": 0.01, "cooldown": 0}),
    ("plateau_max", {"mode": "max", "factor": 0.3, "patience": 3, "threshold": 0.02, "cooldown": 4}),
    (
        "plateau_absolute",
        {"mode": "min", "factor": 0.1, "patience": 1, "threshold": 0.1, "threshold_mode": "abs", "min_lr": 0.002},
    ),
    # Below a rate of 0.02 a half is too small a change.
    ("plateau_eps", {"mode": "min", "factor": 0.5, "patience": 1, "threshold": 0.01, "eps": 0.01}),
]


def rates(make) -> np.ndarray:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    used = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler = make(optimizer)
        for _ in range(STEPS):
            used.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            scheduler.step()
    return np.array(used, dtype=np.float64)


def plateau(case: Case, name: str, settings: dict) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    scheduler = s.ReduceLROnPlateau(optimizer, **settings)
    falling = np.exp(-np.arange(STEPS) / 10) + 0.2 * case.random.standard_normal(STEPS)
    metrics = falling if settings["mode"] == "min" else 1 - falling
    used = []
    for metric in metrics:
        scheduler.step(metric)
        used.append(float(optimizer.param_groups[0]["lr"]))
    case.put_array(f"{name}.metrics", metrics)
    case.put_array(name, np.array(used, dtype=np.float64))


def cases() -> Iterator[Case]:
    case = Case("more-schedules", "schedules", steps=STEPS, lr=RATE, plateaus=dict(METRICS))
    for name, make in SCHEDULES.items():
        case.put_array(name, rates(make))
    for name, settings in METRICS:
        plateau(case, name, settings)
    yield case
