"""Golden files of layers: output, gradients and updated buffers."""

from collections.abc import Callable, Iterator

import torch
from torch import nn

from .case import Case, buffers, randomise

CONVOLUTIONS = {
    # name: (channels in, channels out, kernel, other arguments)
    "3x3": (3, 5, (3, 3), {"padding": (1, 1)}),
    "5x5-stride2": (3, 4, (5, 5), {"stride": (2, 2), "padding": (2, 2)}),
    "7x7-stride2": (3, 6, (7, 7), {"stride": (2, 2), "padding": (3, 3)}),
    "1x1": (6, 4, (1, 1), {}),
    "1x1-stride2": (4, 6, (1, 1), {"stride": (2, 2)}),
    "groups2": (4, 6, (3, 3), {"padding": (1, 1), "groups": 2}),
    "depthwise": (6, 6, (3, 3), {"padding": (1, 1), "groups": 6}),
    "depthwise-stride2": (6, 6, (3, 3), {"stride": (2, 2), "padding": (1, 1), "groups": 6}),
    "depthwise-multiplier2": (4, 8, (3, 3), {"padding": (1, 1), "groups": 4}),
    "3x1": (3, 5, (3, 1), {"padding": (1, 0)}),
    "dilation2": (3, 5, (3, 3), {"padding": (2, 2), "dilation": (2, 2)}),
    "no-bias": (3, 5, (3, 3), {"padding": (1, 1), "bias": False}),
}

POOLINGS = {
    "max-pool-2x2": ("MaxPool2d", {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0)}),
    "max-pool-3x3-stride2": ("MaxPool2d", {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)}),
    "avg-pool-2x2": (
        "AvgPool2d",
        {"kernel_size": (2, 2), "stride": (2, 2), "padding": (0, 0), "count_include_pad": True},
    ),
    "avg-pool-3x3-stride2": (
        "AvgPool2d",
        {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "count_include_pad": True},
    ),
    "avg-pool-3x3-stride2-exclude-pad": (
        "AvgPool2d",
        {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "count_include_pad": False},
    ),
}

ACTIVATIONS = {
    "relu": ("ReLU", {}),
    "relu6": ("ReLU6", {}),
    "leaky-relu": ("LeakyReLU", {"negative_slope": 0.01}),
    "elu": ("ELU", {"alpha": 1.0}),
    "selu": ("SELU", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "gelu": ("GELU", {"approximate": "none"}),
    "gelu-tanh": ("GELU", {"approximate": "tanh"}),
    "silu": ("SiLU", {}),
    "softplus": ("Softplus", {"beta": 1.0, "threshold": 20.0}),
    "hardswish": ("Hardswish", {}),
    "hardsigmoid": ("Hardsigmoid", {}),
    "mish": ("Mish", {}),
    "softmax": ("Softmax", {"dim": -1}),
    "log-softmax": ("LogSoftmax", {"dim": -1}),
}


class EnsembleLinear(nn.Module):
    """A linear layer of several members, which differ in scales of its inputs and outputs and in its bias."""

    def __init__(self, members: int, in_features: int, out_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.r = nn.Parameter(torch.empty(members, in_features))
        self.s = nn.Parameter(torch.empty(members, out_features))
        self.bias = nn.Parameter(torch.empty(members, out_features))

    def forward(self, x):
        each = [x if x.dim() == 2 else x[:, k] for k in range(len(self.r))]
        each = [((x * r) @ self.weight.T) * s + b for x, r, s, b in zip(each, self.r, self.s, self.bias)]
        return torch.stack(each, dim=1)


class PartsLinear(nn.Module):
    """A linear layer of its own for each of several vectors."""

    def __init__(self, parts: int, in_features: int, out_features: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(parts, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(parts, out_features))

    def forward(self, x):
        return torch.einsum("bpi,pio->bpo", x, self.weight) + self.bias


class PeriodicEmbedding(nn.Module):
    """Numbers as points on waves, a linear layer on these for each column, and the number beside them."""

    def __init__(self, columns: int, waves: int, width: int):
        super().__init__()
        self.frequency = nn.Parameter(torch.empty(columns, waves))
        self.phase = nn.Parameter(torch.empty(columns, waves))
        self.linear = PartsLinear(columns, waves, width - 1)

    def forward(self, x):
        x = x[:, :, None]
        waves = torch.cos(2 * torch.pi * self.frequency * x + self.phase)
        return torch.cat([self.linear(waves), x], dim=2).flatten(1)


def layer_case(
    name: str,
    layer: str,
    arguments: dict,
    make_input: Callable[[Case], torch.Tensor],
    training: bool = True,
    module: nn.Module | None = None,
) -> Case:
    """Runs the layer forward and backward with a random gradient of its output."""
    case = Case(f"layer-{name}", "layer", layer=layer, training=training, **arguments)
    module = (module or getattr(nn, layer)(**arguments)).double().train(training)
    randomise(module, case)
    for parameter, value in module.named_parameters():
        case.put(f"param.{parameter}", value)
    for buffer, value in buffers(module).items():
        case.put(f"buffer.{buffer}", value)

    input = make_input(case)
    case.put_image("input", input)
    if input.is_floating_point():
        input.requires_grad_()
    output = module(input)
    upstream = case.normal(*output.shape)
    output.backward(upstream)

    case.put_image("output", output)
    case.put_image("upstream", upstream)
    if input.is_floating_point():
        case.put_image("grad.input", input.grad)
    for parameter, value in module.named_parameters():
        case.put(f"grad.param.{parameter}", value.grad)
    if training:
        for buffer, value in buffers(module).items():
            case.put(f"after.{buffer}", value)
    return case


def images(channels: int, batch: int = 2, height: int = 9, width: int = 7):
    """Random images, their height another than their width."""
    return lambda case: case.normal(batch, channels, height, width)


def linear() -> Iterator[Case]:
    for name, shape, bias in (
        ("linear", (5, 7), True),
        ("linear-no-bias", (5, 7), False),
        ("linear-3d", (2, 3, 7), True),
    ):
        arguments = {"in_features": 7, "out_features": 4, "bias": bias}
        yield layer_case(name, "Linear", arguments, lambda case, shape=shape: case.normal(*shape))


def convolutions() -> Iterator[Case]:
    for name, (inputs, outputs, kernel, others) in CONVOLUTIONS.items():
        arguments = {
            "in_channels": inputs,
            "out_channels": outputs,
            "kernel_size": kernel,
            "stride": (1, 1),
            "padding": (0, 0),
            "dilation": (1, 1),
            "groups": 1,
            "bias": True,
        } | others
        yield layer_case(f"conv2d-{name}", "Conv2d", arguments, images(inputs))


def poolings() -> Iterator[Case]:
    for name, (layer, arguments) in POOLINGS.items():
        yield layer_case(name, layer, arguments, images(3))
    yield layer_case(
        "global-avg-pool",
        "AdaptiveAvgPool2d",
        {"output_size": 1},
        images(5),
        module=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


def normalisations() -> Iterator[Case]:
    for training in (True, False):
        suffix = "" if training else "-eval"
        arguments = {"num_features": 3, "eps": 1e-5, "momentum": 0.1}
        yield layer_case(
            f"batch-norm-1d{suffix}",
            "BatchNorm1d",
            arguments,
            lambda case: case.normal(8, 3, scale=2.0, mean=0.5),
            training,
        )
        yield layer_case(
            f"batch-norm-2d{suffix}",
            "BatchNorm2d",
            arguments,
            lambda case: case.normal(4, 3, 5, 6, scale=2.0, mean=0.5),
            training,
        )
    yield from normalisation_options()
    yield layer_case(
        "layer-norm",
        "LayerNorm",
        {"normalized_shape": (10,), "eps": 1e-5},
        lambda case: case.normal(4, 6, 10, scale=2.0, mean=0.5),
    )


def normalisation_options() -> Iterator[Case]:
    """Batch normalisation without what it usually has."""
    defaults = {"num_features": 3, "eps": 1e-5, "momentum": 0.1, "affine": True, "track_running_stats": True}
    for name, options in (
        ("no-affine", {"affine": False}),
        ("no-statistics", {"track_running_stats": False}),
        ("cumulative", {"momentum": None, "eps": 1e-3}),
    ):
        for training in (True, False):
            module = nn.BatchNorm2d(**defaults | options)
            if options.get("momentum", 0) is None:
                # Some batches have been before.
                module.num_batches_tracked.fill_(3)
            yield layer_case(
                f"batch-norm-{name}{'' if training else '-eval'}",
                "BatchNorm2d",
                defaults | options,
                lambda case: case.normal(4, 3, 5, 6, scale=2.0, mean=0.5),
                training,
                module,
            )


def lookups() -> Iterator[Case]:
    arguments = {"num_embeddings": 10, "embedding_dim": 4}
    # 15 indices into 10 rows: some rows repeat, so that their gradients add up.
    yield layer_case("embedding", "Embedding", arguments, lambda case: case.integers(3, 5, below=10))
    yield layer_case("flatten", "Flatten", {"start_dim": 1}, images(5, batch=2, height=3, width=4))


def members() -> Iterator[Case]:
    arguments = {"members": 3, "in_features": 5, "out_features": 4}
    for name, shape in (("ensemble-linear", (6, 3, 5)), ("ensemble-linear-shared", (6, 5))):
        module = EnsembleLinear(**arguments)
        make_input = lambda case, shape=shape: case.normal(*shape)  # noqa: E731
        yield layer_case(name, "EnsembleLinear", arguments, make_input, module=module)
    arguments = {"parts": 3, "in_features": 5, "out_features": 2}
    module = PartsLinear(**arguments)
    yield layer_case("parts-linear", "PartsLinear", arguments, lambda case: case.normal(6, 3, 5), module=module)
    arguments = {"columns": 3, "waves": 5, "width": 4}
    module = PeriodicEmbedding(**arguments)
    yield layer_case("periodic-embedding", "PeriodicEmbedding", arguments, lambda case: case.normal(6, 3), module=module)


def activations() -> Iterator[Case]:
    for name, (layer, arguments) in ACTIVATIONS.items():
        yield layer_case(name, layer, arguments, lambda case: case.uniform(6, 33, low=-6.0, high=6.0))


def cases() -> Iterator[Case]:
    yield from linear()
    yield from convolutions()
    yield from poolings()
    yield from normalisations()
    yield from lookups()
    yield from activations()
    yield from members()
