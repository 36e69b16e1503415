"""Golden files of losses, reduced by mean, by sum and not at all."""

from collections.abc import Iterator

import torch
from torch import nn

from .case import Case

SAMPLES, CLASSES = 12, 7
CLASS_WEIGHTS = [0.5, 1.0, 2.0, 0.25, 1.5, 3.0, 0.75]

CROSS_ENTROPIES = {
    "cross-entropy": (0.0, False),
    "cross-entropy-smoothing": (0.1, False),
    "cross-entropy-weighted": (0.0, True),
    "cross-entropy-weighted-smoothing": (0.1, True),
}

REGRESSIONS = {
    "mse": ("MSELoss", {}),
    "l1": ("L1Loss", {}),
    "huber-1.0": ("HuberLoss", {"delta": 1.0}),
    "huber-0.5": ("HuberLoss", {"delta": 0.5}),
    "smooth-l1": ("SmoothL1Loss", {"beta": 1.0}),
    "smooth-l1-0.5": ("SmoothL1Loss", {"beta": 0.5}),
}


def reductions(case: Case, loss: str, arguments: dict, input: torch.Tensor, target: torch.Tensor) -> Case:
    """The loss and the gradient of `input` for each reduction."""
    case.put("input", input)
    case.put("target", target)
    for reduction in ("mean", "sum", "none"):
        leaf = input.clone().requires_grad_()
        value = getattr(nn, loss)(**arguments, reduction=reduction)(leaf, target)
        if reduction == "none":
            upstream = case.normal(*value.shape)
            case.put("upstream.none", upstream)
            value.backward(upstream)
        else:
            value.backward()
        case.put(f"loss.{reduction}", value)
        case.put(f"grad.{reduction}", leaf.grad)
    return case


def cases() -> Iterator[Case]:
    for name, (smoothing, weighted) in CROSS_ENTROPIES.items():
        case = Case(f"loss-{name}", "loss", loss="CrossEntropyLoss", label_smoothing=smoothing, weighted=weighted)
        arguments = {"label_smoothing": smoothing}
        if weighted:
            arguments["weight"] = torch.tensor(CLASS_WEIGHTS, dtype=torch.float64)
            case.put("class_weight", arguments["weight"])
        input = case.normal(SAMPLES, CLASSES, scale=3.0)
        yield reductions(case, "CrossEntropyLoss", arguments, input, case.integers(SAMPLES, below=CLASSES))
    for name, (loss, arguments) in REGRESSIONS.items():
        case = Case(f"loss-{name}", "loss", loss=loss, **arguments)
        yield reductions(case, loss, arguments, case.normal(SAMPLES, 3), case.normal(SAMPLES, 3))
