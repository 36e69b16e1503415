"""Golden file of PyTorch's `nn.init`: distributions, exact values where nothing is random, and gains."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from .case import Case

DRAWS = 48
QUANTILES = np.linspace(0.05, 0.95, 19)

RANDOM = {
    # name: (shape, function)
    "uniform": ((40, 20), lambda t: nn.init.uniform_(t, -1.0, 3.0)),
    "normal": ((40, 20), lambda t: nn.init.normal_(t, 2.0, 0.5)),
    "trunc_normal": ((40, 20), lambda t: nn.init.trunc_normal_(t, 0.5, 1.0, -0.5, 2.0)),
    "trunc_normal_tail": ((40, 20), lambda t: nn.init.trunc_normal_(t, 0.0, 1.0, 1.5, 4.0)),
    "xavier_uniform": ((32, 8, 3, 3), lambda t: nn.init.xavier_uniform_(t, nn.init.calculate_gain("tanh"))),
    "xavier_normal": ((32, 8, 3, 3), lambda t: nn.init.xavier_normal_(t, 0.5)),
    "kaiming_uniform": (
        (32, 8, 3, 3),
        lambda t: nn.init.kaiming_uniform_(t, a=0.2, mode="fan_out", nonlinearity="leaky_relu"),
    ),
    "kaiming_normal": ((32, 8, 3), lambda t: nn.init.kaiming_normal_(t, mode="fan_in", nonlinearity="relu")),
    "sparse": ((41, 20), lambda t: nn.init.sparse_(t, sparsity=0.3, std=0.2)),
    "orthogonal": ((40, 20), lambda t: nn.init.orthogonal_(t, 2.0)),
}

EXACT = {
    "dirac": ((6, 3, 3, 2), lambda t: nn.init.dirac_(t, groups=2)),
    "dirac_1d": ((2, 4, 3), lambda t: nn.init.dirac_(t)),
    "eye": ((3, 5), nn.init.eye_),
    "constant": ((2, 3), lambda t: nn.init.constant_(t, 0.25)),
}

GAINS = {
    "linear": nn.init.calculate_gain("linear"),
    "tanh": nn.init.calculate_gain("tanh"),
    "relu": nn.init.calculate_gain("relu"),
    "leaky_relu_0.2": nn.init.calculate_gain("leaky_relu", 0.2),
    "selu": nn.init.calculate_gain("selu"),
}


def cases() -> Iterator[Case]:
    torch.manual_seed(1)
    shapes = {name: shape for name, (shape, _) in (RANDOM | EXACT).items()}
    case = Case("more-init", "initialisation", draws=DRAWS, shapes=shapes, gains=GAINS)
    for name, (shape, fill) in RANDOM.items():
        values = np.concatenate([fill(torch.empty(shape)).double().numpy().ravel() for _ in range(DRAWS)])
        case.put_array(f"{name}.quantiles", np.quantile(values, QUANTILES).astype(np.float32))
        case.put_array(f"{name}.deviation", np.array([values.std()], dtype=np.float32))
    for name, (shape, fill) in EXACT.items():
        case.put(name, fill(torch.empty(shape)))
    yield case
