"""Golden files of tables and activations: padded look-ups, bags, gates, slopes, and updates of single rows."""

from collections.abc import Iterator

import torch
from torch import nn

from .case import Case, randomise
from .layers import layer_case

ACTIVATIONS = {
    "log-sigmoid": ("LogSigmoid", {}),
    "softsign": ("Softsign", {}),
    "softshrink": ("Softshrink", {"lambd": 0.5}),
    "hardshrink": ("Hardshrink", {"lambd": 0.5}),
    "tanhshrink": ("Tanhshrink", {}),
    "hardtanh": ("Hardtanh", {"min_val": -1.0, "max_val": 1.0}),
    "celu": ("CELU", {"alpha": 1.0}),
    "adjusted-celu": ("CELU", {"alpha": 0.7}),
    "adjusted-elu": ("ELU", {"alpha": 1.3}),
    "adjusted-leaky-relu": ("LeakyReLU", {"negative_slope": 0.2}),
    "adjusted-hardtanh": ("Hardtanh", {"min_val": -0.5, "max_val": 2.0}),
    "adjusted-softshrink": ("Softshrink", {"lambd": 1.2}),
    "adjusted-hardshrink": ("Hardshrink", {"lambd": 1.2}),
    "adjusted-threshold": ("Threshold", {"threshold": 0.3, "value": -2.0}),
    "rectifier-prelu": ("PReLU", {"num_parameters": 1}),
    "gate-glu": ("GLU", {"dim": -1}),
    "rows-softmin": ("Softmin", {"dim": -1}),
}


def activations() -> Iterator[Case]:
    for name, (layer, arguments) in ACTIVATIONS.items():
        yield layer_case(name, layer, arguments, lambda case: case.uniform(6, 34, low=-6.0, high=6.0))
    evaluated = {"lower": 0.1, "upper": 0.3}
    yield layer_case("rectifier-rrelu", "RReLU", evaluated, lambda case: case.normal(4, 7), training=False)
    # Channels are PyTorch's second axis: of images they are the last here.
    images = {"rectifier-prelu-channels": ("PReLU", {"num_parameters": 3}), "rows-softmax2d": ("Softmax2d", {})}
    for name, (layer, arguments) in images.items():
        yield layer_case(name, layer, arguments, lambda case: case.normal(2, 3, 4, 5, scale=2.0))


def padded() -> Case:
    arguments = {"num_embeddings": 7, "embedding_dim": 3, "padding_idx": 2}
    return layer_case("table-padded", "Embedding", arguments, lambda case: case.integers(4, 5, below=7))


def options() -> Iterator[Case]:
    """Look-ups whose gradients are divided by how often a row stands there, and whose rows have a largest norm."""
    for name, others in (
        ("frequency", {"scale_grad_by_freq": True}),
        ("frequency-padded", {"scale_grad_by_freq": True, "padding_idx": 1}),
        ("limited", {"max_norm": 0.8}),
        ("limited-1", {"max_norm": 0.7, "norm_type": 1.0, "scale_grad_by_freq": True}),
        ("limited-3", {"max_norm": 0.6, "norm_type": 3.0, "padding_idx": 4}),
        ("limited-inf", {"max_norm": 0.5, "norm_type": float("inf")}),
    ):
        arguments = {"num_embeddings": 7, "embedding_dim": 3} | others
        module = nn.Embedding(**arguments)
        # JSON knows no infinity.
        shown = arguments | {"norm_type": str(arguments.get("norm_type", 2.0))}
        yield layer_case(
            f"table-{name}", "Embedding", shown, lambda case: case.integers(4, 5, below=7), module=module
        )


def bag(
    name: str,
    mode: str,
    ragged: bool,
    padding: int | None,
    weighted: bool,
    last_offset: int | None = None,
) -> Case:
    others = {} if last_offset is None else {"include_last_offset": True}
    case = Case(f"bag-{name}", "bag", mode=mode, padding_idx=padding, **others)
    layer = nn.EmbeddingBag(7, 3, mode=mode, padding_idx=padding, **others).double()
    randomise(layer, case)
    case.put("param.weight", layer.weight)
    numbers = case.integers(11, below=7) if ragged else case.integers(4, 5, below=7)
    # One bag is empty.
    offsets = torch.tensor([0, 3, 3, 9] + ([] if last_offset is None else [last_offset])) if ragged else None
    case.put("input", numbers)
    if ragged:
        case.put("offsets", offsets)
    weights = case.normal(*numbers.shape).requires_grad_() if weighted else None
    if weighted:
        case.put("weights", weights)
    output = layer(numbers, offsets, per_sample_weights=weights)
    upstream = case.normal(*output.shape)
    output.backward(upstream)
    case.put("output", output)
    case.put("upstream", upstream)
    case.put("grad.weight", layer.weight.grad)
    if weighted:
        case.put("grad.weights", weights.grad)
    return case


def bags() -> Iterator[Case]:
    for mode in ("sum", "mean", "max"):
        yield bag(f"{mode}-ragged", mode, True, None, False)
        yield bag(f"{mode}-ragged-padded", mode, True, 4, False)
        yield bag(f"{mode}-padded", mode, False, 2, False)
    yield bag("sum-ragged-weighted", "sum", True, 1, True)
    yield bag("sum-weighted", "sum", False, None, True)
    for mode in ("sum", "mean", "max"):
        yield bag(f"{mode}-last-offset", mode, True, None, False, 11)


def rows(name: str, optimizer: str, arguments: dict, sparse: bool = True, max_norm: float | None = None) -> Case:
    """Ten steps on a table of which each step uses some rows, several times."""
    steps = 10
    others = {} if max_norm is None else {"max_norm": max_norm, "sparse": sparse}
    case = Case(f"rows-{name}", "rows", optimizer=optimizer, steps=steps, **arguments, **others)
    table = nn.Embedding(9, 4, sparse=sparse, max_norm=max_norm).double()
    randomise(table, case)
    case.put("initial", table.weight)
    numbers, weights = case.integers(steps, 5, below=9), case.normal(steps, 5, 4)
    case.put("numbers", numbers)
    case.put("upstream", weights)
    stepper = getattr(torch.optim, optimizer)(table.parameters(), **arguments)
    after = []
    for step in range(steps):
        stepper.zero_grad()
        (table(numbers[step]) * weights[step]).sum().backward()
        stepper.step()
        after.append(table.weight.detach().clone())
    case.put("after", torch.stack(after))
    return case


def cases() -> Iterator[Case]:
    yield from activations()
    yield padded()
    yield from options()
    yield from bags()
    yield rows("sparse-adam", "SparseAdam", {"lr": 0.05, "betas": (0.9, 0.99), "eps": 1e-6})
    yield rows("sgd", "SGD", {"lr": 0.1})
    for name, optimizer, arguments, sparse in (
        ("sgd", "SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}, False),
        ("adam", "Adam", {"lr": 0.05, "betas": (0.9, 0.99), "eps": 1e-6, "weight_decay": 0.1}, False),
        (
            "adamw-amsgrad",
            "AdamW",
            {"lr": 0.05, "betas": (0.9, 0.99), "eps": 1e-6, "weight_decay": 0.2, "amsgrad": True},
            False,
        ),
        ("rows-sgd", "SGD", {"lr": 0.1}, True),
        ("rows-sparse-adam", "SparseAdam", {"lr": 0.05, "betas": (0.9, 0.99), "eps": 1e-6}, True),
    ):
        yield rows(f"limited-{name}", optimizer, arguments, sparse, 0.7)
