"""Golden files of spatial layers: convolution, pooling, normalisation and resizing of sequences and images.

Activations lie with their channels last, parameters as PyTorch keeps them.
"""

from collections.abc import Iterator

import torch
from torch import nn

from .case import Case, buffers, randomise

# A sequence and an image with odd sizes: [batch, channels, ...].
SEQUENCE = (3, 4, 13)
IMAGE = (2, 4, 7, 9)

CONV1D = {
    "plain": {"kernel_size": 3},
    "stride-dilation": {"kernel_size": 3, "stride": 2, "padding": 3, "dilation": 2},
    "groups": {"kernel_size": 4, "padding": 1, "groups": 2, "bias": False},
    "depthwise": {"kernel_size": 3, "padding": 2, "dilation": 2, "groups": 4},
    "reflect": {"kernel_size": 5, "padding": 2, "padding_mode": "reflect"},
    "circular": {"kernel_size": 3, "stride": 3, "padding": 2, "padding_mode": "circular"},
    "same": {"kernel_size": 4, "padding": "same"},
    "same-dilation": {"kernel_size": 5, "padding": "same", "dilation": 2, "groups": 2},
}

CONV2D = {
    "depthwise-dilation": {"kernel_size": (3, 2), "padding": (2, 1), "dilation": (2, 3), "groups": 4},
    "groups-stride-dilation": {"kernel_size": (2, 3), "stride": (2, 3), "dilation": (3, 2), "groups": 2},
    "reflect": {"kernel_size": (3, 3), "padding": (1, 2), "padding_mode": "reflect"},
    "replicate": {"kernel_size": (3, 3), "stride": (2, 2), "padding": (2, 1), "padding_mode": "replicate"},
    "circular": {"kernel_size": (3, 3), "padding": (1, 1), "padding_mode": "circular"},
    "same": {"kernel_size": (3, 2), "padding": "same", "dilation": (1, 3)},
    "same-reflect": {"kernel_size": (4, 3), "padding": "same", "padding_mode": "reflect"},
}

CONV_TRANSPOSE1D = {
    "plain": {"kernel_size": 3},
    "stride": {"kernel_size": 4, "stride": 3, "padding": 1, "output_padding": 2},
    "dilation": {"kernel_size": 3, "stride": 2, "padding": 2, "output_padding": 2, "dilation": 3},
    "groups": {"kernel_size": 3, "stride": 2, "groups": 2, "bias": False},
}

CONV_TRANSPOSE2D = {
    "plain": {"kernel_size": (3, 2)},
    "stride": {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1), "output_padding": (1, 1)},
    "uneven": {"kernel_size": (2, 4), "stride": (3, 1), "padding": (0, 2), "output_padding": (2, 0)},
    "dilation": {"kernel_size": (3, 2), "stride": (1, 2), "padding": (1, 0), "dilation": (2, 3)},
    "long-output-padding": {"kernel_size": (2, 2), "stride": (1, 2), "output_padding": (2, 1), "dilation": (3, 1)},
    "groups": {"kernel_size": (3, 3), "stride": (2, 1), "groups": 2},
    "depthwise": {"kernel_size": (4, 4), "stride": (2, 2), "padding": (1, 1), "groups": 4, "bias": False},
}

POOL1D = {
    "max": ("MaxPool1d", {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True}),
    "max-plain": ("MaxPool1d", {"kernel_size": 2, "stride": 2, "padding": 0, "dilation": 1, "ceil_mode": False}),
    "avg": ("AvgPool1d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": False, "count_include_pad": True}),
    "avg-ceil": (
        "AvgPool1d",
        {"kernel_size": 4, "stride": 3, "padding": 1, "ceil_mode": True, "count_include_pad": True},
    ),
    "lp": ("LPPool1d", {"norm_type": 2.0, "kernel_size": 3, "stride": 2, "ceil_mode": True}),
    "adaptive-max": ("AdaptiveMaxPool1d", {"output_size": 5}),
    "adaptive-avg": ("AdaptiveAvgPool1d", {"output_size": 5}),
    "adaptive-avg-longer": ("AdaptiveAvgPool1d", {"output_size": 17}),
}

POOL2D = {
    "max-ceil": (
        "MaxPool2d",
        {"kernel_size": (3, 2), "stride": (2, 2), "padding": (1, 1), "dilation": (1, 1), "ceil_mode": True},
    ),
    "max-dilation": (
        "MaxPool2d",
        {"kernel_size": (2, 3), "stride": (1, 2), "padding": (1, 1), "dilation": (3, 2), "ceil_mode": False},
    ),
    "avg-ceil": (
        "AvgPool2d",
        {"kernel_size": (2, 3), "stride": (2, 2), "padding": (1, 1), "ceil_mode": True, "count_include_pad": True},
    ),
    "avg-ceil-exclude-pad": (
        "AvgPool2d",
        {"kernel_size": (3, 2), "stride": (3, 2), "padding": (1, 1), "ceil_mode": True, "count_include_pad": False},
    ),
    "avg-divisor": (
        "AvgPool2d",
        {"kernel_size": (2, 3), "stride": (2, 2), "padding": (1, 1), "ceil_mode": True, "divisor_override": 5},
    ),
    "lp": ("LPPool2d", {"norm_type": 4.0, "kernel_size": (3, 2), "stride": (2, 2), "ceil_mode": False}),
    "adaptive-max": ("AdaptiveMaxPool2d", {"output_size": (3, 4)}),
    "adaptive-avg": ("AdaptiveAvgPool2d", {"output_size": (3, 4)}),
    "adaptive-avg-larger": ("AdaptiveAvgPool2d", {"output_size": (10, 2)}),
    "adaptive-avg-one": ("AdaptiveAvgPool2d", {"output_size": (1, 1)}),
}

# name: (class, arguments, shape of the input)
NORMALISATIONS = {
    "group-norm": ("GroupNorm", {"num_groups": 2, "num_channels": 4, "eps": 1e-5, "affine": True}, IMAGE),
    "group-norm-plain": ("GroupNorm", {"num_groups": 4, "num_channels": 4, "eps": 1e-3, "affine": False}, SEQUENCE),
    "group-norm-one": ("GroupNorm", {"num_groups": 1, "num_channels": 6, "eps": 1e-5, "affine": True}, (5, 6)),
    "instance-norm-1d": ("InstanceNorm1d", {"affine": False, "track_running_stats": False}, SEQUENCE),
    "instance-norm-2d": ("InstanceNorm2d", {"affine": True, "track_running_stats": False}, IMAGE),
    "instance-norm-2d-running": ("InstanceNorm2d", {"affine": True, "track_running_stats": True}, IMAGE),
    "instance-norm-1d-running": ("InstanceNorm1d", {"affine": False, "track_running_stats": True}, SEQUENCE),
}

# Axes as they are: [batch, ..., normalised axes].
LAST_AXES = {
    "layer-norm-two-axes": (
        "LayerNorm",
        {"normalized_shape": (5, 3), "eps": 1e-5, "elementwise_affine": True, "bias": True},
        (4, 5, 3),
    ),
    "layer-norm-plain": (
        "LayerNorm",
        {"normalized_shape": (7,), "eps": 1e-5, "elementwise_affine": False, "bias": True},
        (4, 3, 7),
    ),
    "layer-norm-no-bias": (
        "LayerNorm",
        {"normalized_shape": (7,), "eps": 1e-5, "elementwise_affine": True, "bias": False},
        (4, 7),
    ),
    "rms-norm": ("RMSNorm", {"normalized_shape": (7,), "eps": 1e-6, "elementwise_affine": True}, (4, 3, 7)),
    "rms-norm-plain": ("RMSNorm", {"normalized_shape": (3, 7), "eps": 1e-3, "elementwise_affine": False}, (4, 3, 7)),
}

IMAGE_NORMS = {
    "layer-norm-image": (
        "LayerNorm",
        {"normalized_shape": IMAGE[1:], "eps": 1e-5, "elementwise_affine": True, "bias": True},
        IMAGE,
    ),
    "rms-norm-image": ("RMSNorm", {"normalized_shape": IMAGE[1:], "eps": 1e-5, "elementwise_affine": True}, IMAGE),
}

PADDINGS = {
    "zero-1d": ("ZeroPad1d", {"padding": (2, 1)}, SEQUENCE),
    "constant-1d": ("ConstantPad1d", {"padding": (0, 3), "value": -1.5}, SEQUENCE),
    "reflect-1d": ("ReflectionPad1d", {"padding": (12, 2)}, SEQUENCE),
    "replicate-1d": ("ReplicationPad1d", {"padding": (2, 20)}, SEQUENCE),
    "circular-1d": ("CircularPad1d", {"padding": (13, 2)}, SEQUENCE),
    "zero-2d": ("ZeroPad2d", {"padding": (1, 2, 3, 0)}, IMAGE),
    "constant-2d-crop": ("ConstantPad2d", {"padding": (-1, 2, 3, -2), "value": 0.75}, IMAGE),
    "reflect-2d": ("ReflectionPad2d", {"padding": (8, 2, 1, 6)}, IMAGE),
    "replicate-2d": ("ReplicationPad2d", {"padding": (1, 2, 3, 4)}, IMAGE),
    "circular-1d-crop": ("CircularPad1d", {"padding": (-2, 9)}, SEQUENCE),
    "circular-2d-crop": ("CircularPad2d", {"padding": (3, -2, -1, -1)}, IMAGE),
    "circular-2d": ("CircularPad2d", {"padding": (9, 2, 1, 7)}, IMAGE),
}

UPSAMPLINGS = {
    "nearest-1d": ({"scale_factor": 2.0, "mode": "nearest"}, SEQUENCE),
    "linear-1d": ({"size": 20, "mode": "linear", "align_corners": False}, SEQUENCE),
    "linear-1d-corners": ({"size": 29, "mode": "linear", "align_corners": True}, SEQUENCE),
    "nearest-2d": ({"size": (5, 20), "mode": "nearest"}, IMAGE),
    "bilinear-2d": ({"scale_factor": (2.0, 2.5), "mode": "bilinear", "align_corners": False}, IMAGE),
    "bilinear-2d-corners": ({"scale_factor": (2.0, 2.5), "mode": "bilinear", "align_corners": True}, IMAGE),
    "bilinear-2d-smaller": ({"size": (3, 1), "mode": "bilinear", "align_corners": True}, IMAGE),
    "nearest-exact-1d": ({"size": 20, "mode": "nearest-exact"}, SEQUENCE),
    "nearest-exact-2d": ({"scale_factor": (0.7, 2.5), "mode": "nearest-exact"}, IMAGE),
    "area-1d": ({"scale_factor": 1.7, "mode": "area"}, SEQUENCE),
    "area-2d": ({"size": (3, 20), "mode": "area"}, IMAGE),
    "bicubic-2d": ({"size": (11, 20), "mode": "bicubic", "align_corners": False}, IMAGE),
    "bicubic-2d-corners": ({"size": (5, 20), "mode": "bicubic", "align_corners": True}, IMAGE),
}

SHUFFLES = {
    "pixel-shuffle": ("PixelShuffle", {"upscale_factor": 2}, (2, 12, 3, 5)),
    "pixel-unshuffle": ("PixelUnshuffle", {"downscale_factor": 3}, (2, 2, 6, 9)),
    "fold": (
        "Fold",
        {"output_size": (5, 7), "kernel_size": (2, 3), "dilation": (2, 1), "padding": (1, 0), "stride": (1, 2)},
        (2, 4 * 6, 15),
    ),
    "unfold": ("Unfold", {"kernel_size": (2, 3), "dilation": (2, 1), "padding": (1, 0), "stride": (1, 2)}, IMAGE),
}


def channels_last(value: torch.Tensor) -> torch.Tensor:
    """Channels behind all other axes."""
    return value.movedim(1, -1) if value.dim() > 2 else value


def case_of(
    name: str,
    layer: str,
    arguments: dict,
    shape: tuple,
    config: dict,
    training: bool = True,
    moves: bool = True,
    module: nn.Module | None = None,
) -> Case:
    """Runs the layer forward and backward with a random gradient of its output."""
    case = Case(f"spatial-{name}", "layer", layer=layer, training=training, **config)
    module = (module or getattr(nn, layer)(**arguments)).double().train(training)
    randomise(module, case)
    for parameter, value in module.named_parameters():
        case.put(f"param.{parameter}", value)
    for buffer, value in buffers(module).items():
        case.put(f"buffer.{buffer}", value)
    order = channels_last if moves else lambda value: value
    input = case.normal(*shape, scale=1.5, mean=0.25).requires_grad_()
    output = module(input)
    upstream = case.normal(*output.shape)
    output.backward(upstream)
    case.put("input", order(input))
    case.put("output", order(output))
    case.put("upstream", order(upstream))
    case.put("grad.input", order(input.grad))
    for parameter, value in module.named_parameters():
        case.put(f"grad.param.{parameter}", value.grad)
    if training:
        for buffer, value in buffers(module).items():
            case.put(f"after.{buffer}", value)
    return case


def convolutions() -> Iterator[Case]:
    for layer, cases, shape, one in (
        ("Conv1d", CONV1D, SEQUENCE, 1),
        ("Conv2d", CONV2D, IMAGE, (1, 1)),
        ("ConvTranspose1d", CONV_TRANSPOSE1D, SEQUENCE, 1),
        ("ConvTranspose2d", CONV_TRANSPOSE2D, IMAGE, (1, 1)),
    ):
        zero = 0 if one == 1 else (0, 0)
        for name, others in cases.items():
            arguments = {"in_channels": 4, "out_channels": 6, "stride": one, "padding": zero, "dilation": one}
            arguments |= {"groups": 1, "bias": True, "padding_mode": "zeros"}
            if "Transpose" in layer:
                arguments |= {"output_padding": zero}
            arguments |= others
            if arguments["groups"] == 4:
                arguments["out_channels"] = 8
            yield case_of(f"{layer.lower()}-{name}", layer, arguments, shape, arguments)


def flattened() -> Case:
    """A convolved sequence, flattened before a linear layer: its weights are in the order of channels and length."""
    module = nn.Sequential(nn.Conv1d(4, 6, 3, stride=2), nn.Flatten(), nn.Linear(6 * 6, 5))
    return case_of("flat-conv1d-linear", "Sequential", {}, SEQUENCE, {}, module=module)


def cases() -> Iterator[Case]:
    yield from convolutions()
    yield flattened()
    for shape, group, family in ((SEQUENCE, POOL1D, "pool1d"), (IMAGE, POOL2D, "pool2d")):
        for name, (layer, arguments) in group.items():
            yield case_of(f"{family}-{name}", layer, arguments, shape, arguments)
    for name, (layer, arguments, shape) in NORMALISATIONS.items():
        if layer.startswith("Instance"):
            arguments = {"num_features": shape[1], "eps": 1e-5, "momentum": 0.2} | arguments
        for training in (True, False) if "running" in name else (True,):
            suffix = "" if training else "-eval"
            yield case_of(f"norm-{name}{suffix}", layer, arguments, shape, arguments, training)
    for name, (layer, arguments, shape) in LAST_AXES.items():
        yield case_of(f"norm-{name}", layer, arguments, shape, arguments, moves=False)
    for name, (layer, arguments, shape) in IMAGE_NORMS.items():
        yield case_of(f"norm-{name}", layer, arguments, shape, arguments)
    for name, (layer, arguments, shape) in PADDINGS.items():
        yield case_of(f"pad-{name}", layer, arguments, shape, arguments)
    for name, (arguments, shape) in UPSAMPLINGS.items():
        yield case_of(f"upsample-{name}", "Upsample", arguments, shape, arguments)
    for name, (layer, arguments, shape) in SHUFFLES.items():
        yield case_of(f"shuffle-{name}", layer, arguments, shape, arguments)
