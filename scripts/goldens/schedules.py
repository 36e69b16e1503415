"""Golden file of learning-rate schedules: the rate used in each of 50 steps."""

import math
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.optim import lr_scheduler

from .case import Case

STEPS = 50
WARMUP = 5

ONE_CYCLE = {
    "max_lr": 0.1,
    "total_steps": STEPS,
    "pct_start": 0.3,
    "div_factor": 25.0,
    "final_div_factor": 1e4,
    "three_phase": False,
}
ONE_CYCLE_FORMULA = (
    "initial = max_lr / div_factor; final = initial / final_div_factor; "
    "peak = pct_start * total_steps - 1; end = total_steps - 1; "
    "step <= peak: anneal(initial, max_lr, step / peak); "
    "else anneal(max_lr, final, (step - peak) / (end - peak)); "
)

SCHEDULES = {
    "constant": {"lr": 0.1, "formula": "lr"},
    "cosine": {
        "lr": 0.1,
        "eta_min": 0.001,
        "T_max": STEPS,
        "formula": "eta_min + (lr - eta_min) * (1 + cos(pi * step / T_max)) / 2",
    },
    "one_cycle_cos": ONE_CYCLE
    | {
        "anneal_strategy": "cos",
        "formula": ONE_CYCLE_FORMULA + "anneal(a, b, t) = b + (a - b) * (1 + cos(pi * t)) / 2",
    },
    "one_cycle_linear": ONE_CYCLE
    | {
        "anneal_strategy": "linear",
        "formula": ONE_CYCLE_FORMULA + "anneal(a, b, t) = a + (b - a) * t",
    },
    "warmup_cosine": {
        "lr": 0.1,
        "eta_min": 0.001,
        "warmup_steps": WARMUP,
        "total_steps": STEPS,
        "formula": (
            "step < warmup_steps: lr * (step + 1) / warmup_steps; else eta_min + (lr - eta_min) * "
            "(1 + cos(pi * (step - warmup_steps) / (total_steps - warmup_steps))) / 2"
        ),
    },
}


def rates(lr: float, make: Callable) -> np.ndarray:
    """The learning rates that an optimiser with this scheduler uses."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)
    scheduler = make(optimizer)
    used = []
    with warnings.catch_warnings():
        # The step after the last leaves the schedule's range; its rate is not used.
        warnings.simplefilter("ignore")
        for step in range(STEPS):
            used.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            if step + 1 < STEPS:
                scheduler.step()
    return np.array(used, dtype=np.float64)


def warmup_cosine(step: int, lr: float, eta_min: float) -> float:
    """The factor of `lr` for a linear warm-up, then cosine annealing."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    cosine = (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))) / 2
    return (eta_min + (lr - eta_min) * cosine) / lr


def cases() -> Iterator[Case]:
    case = Case("schedules", "schedules", steps=STEPS, schedules=SCHEDULES)
    lr, eta_min = 0.1, 0.001
    one_cycle = ONE_CYCLE | {"cycle_momentum": False}
    makers = {
        "constant": lambda o: lr_scheduler.ConstantLR(o, factor=1.0),
        "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=STEPS, eta_min=eta_min),
        "one_cycle_cos": lambda o: lr_scheduler.OneCycleLR(o, **one_cycle, anneal_strategy="cos"),
        "one_cycle_linear": lambda o: lr_scheduler.OneCycleLR(o, **one_cycle, anneal_strategy="linear"),
        "warmup_cosine": lambda o: lr_scheduler.LambdaLR(o, lambda step: warmup_cosine(step, lr, eta_min)),
    }
    for name, make in makers.items():
        case.put_array(name, rates(lr, make))
    yield case
