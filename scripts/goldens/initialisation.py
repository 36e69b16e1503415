"""Golden file of PyTorch's default initialisations: their distributions."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from .case import Case

DRAWS = 64
QUANTILES = np.linspace(0.0, 1.0, 21)

LAYERS = {
    "linear": lambda: nn.Linear(64, 128),
    "conv2d": lambda: nn.Conv2d(16, 32, 3),
    "conv2d_groups": lambda: nn.Conv2d(16, 32, 3, groups=4),
    "embedding": lambda: nn.Embedding(100, 16),
    "batch_norm": lambda: nn.BatchNorm2d(8),
    "layer_norm": lambda: nn.LayerNorm(8),
}


def uniform(fan_in: int) -> dict:
    """U(-bound, bound), bound = 1 / sqrt(fan_in).

    He's initialisation with a = sqrt(5), PyTorch's default for weights, has the
    bound sqrt(6 / ((1 + a^2) fan_in)), which is the same as that of the biases.
    """
    return {"distribution": "uniform", "bound": 1.0 / math.sqrt(fan_in), "fan_in": fan_in}


EXPECTED = {
    "linear.weight": uniform(64),
    "linear.bias": uniform(64),
    "conv2d.weight": uniform(16 * 3 * 3),
    "conv2d.bias": uniform(16 * 3 * 3),
    "conv2d_groups.weight": uniform(16 // 4 * 3 * 3),
    "conv2d_groups.bias": uniform(16 // 4 * 3 * 3),
    "embedding.weight": {"distribution": "normal", "std": 1.0},
    "batch_norm.weight": {"distribution": "constant", "value": 1.0},
    "batch_norm.bias": {"distribution": "constant", "value": 0.0},
    "layer_norm.weight": {"distribution": "constant", "value": 1.0},
    "layer_norm.bias": {"distribution": "constant", "value": 0.0},
}


def confirm(name: str, expected: dict, values: np.ndarray) -> None:
    """Refuses to write an expectation that PyTorch itself does not meet."""
    kind = expected["distribution"]
    if kind == "uniform":
        largest = np.abs(values).max()
        met = 0.99 * expected["bound"] < largest <= expected["bound"] * (1 + 1e-6)
    elif kind == "normal":
        met = abs(values.std() / expected["std"] - 1) < 0.02
    else:
        met = (values == expected["value"]).all()
    assert met, f"{name}: PyTorch does not initialise it as {expected}"


def cases() -> Iterator[Case]:
    torch.manual_seed(0)
    drawn: dict[str, list[np.ndarray]] = {}
    shapes = {}
    for layer, make in LAYERS.items():
        for _ in range(DRAWS):
            for parameter, value in make().named_parameters():
                name = f"{layer}.{parameter}"
                shapes[name] = list(value.shape)
                drawn.setdefault(name, []).append(value.detach().double().numpy().ravel())
    parameters = {name: EXPECTED[name] | {"shape": shapes[name]} for name in drawn}
    case = Case("init", "initialisation", draws=DRAWS, parameters=parameters)
    for name, arrays in drawn.items():
        values = np.concatenate(arrays)
        confirm(name, EXPECTED[name], values)
        statistics = [values.min(), values.max(), values.mean(), values.std()]
        case.put_array(f"{name}.statistics", np.array(statistics, dtype=np.float32))
        case.put_array(f"{name}.quantiles", np.quantile(values, QUANTILES).astype(np.float32))
    yield case
