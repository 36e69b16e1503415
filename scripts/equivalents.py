"""The PyTorch modules that are equal to deepfit's networks, made from a model folder's config.json.

Parameters and running statistics have the names, shapes and order of axes of
deepfit's own, so that `state_dict` and safetensors files pass both ways.
"""

from functools import partial

import torch
from torch import nn
from torch.nn import functional

ACTIVATIONS = {
    "relu": functional.relu,
    "relu6": functional.relu6,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": functional.selu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "gelu_tanh": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
    "softplus": functional.softplus,
    "hardswish": functional.hardswish,
    "hardsigmoid": functional.hardsigmoid,
    "mish": functional.mish,
}


class Mlp(nn.Module):
    """For tables: `numeric` f32 [rows, columns] and `categories` i64 [rows, columns], each only if there are such."""

    def __init__(self, config: dict):
        super().__init__()
        tables = config.get("embeddings", [])
        self.numeric = config["numeric"]
        self.embeddings = nn.ModuleList(nn.Embedding(t["categories"], t["width"]) for t in tables)
        inputs = self.numeric + sum(t["width"] for t in tables)
        self.activation = ACTIVATIONS[config.get("activation", "relu")]
        self.dropout = config.get("dropout", 0.0)
        self.layers = len(config["hidden"])
        width = inputs
        for i, neurons in enumerate(config["hidden"], start=1):
            self.add_module(f"linear{i}", nn.Linear(width, neurons))
            if config.get("batch_norm", False):
                self.add_module(f"norm{i}", nn.BatchNorm1d(neurons))
            width = neurons
        self.output = nn.Linear(width, config["outputs"])
        self.skip = None
        if config.get("skip", False) and config["hidden"]:
            self.skip = nn.Linear(inputs, config["outputs"], bias=False)

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        parts = [inputs["numeric"]] if self.numeric else []
        parts += [table(inputs["categories"][:, i]) for i, table in enumerate(self.embeddings)]
        x = features = torch.cat(parts, dim=1)
        for i in range(1, self.layers + 1):
            x = self.activation(getattr(self, f"linear{i}")(x))
            x = getattr(self, f"norm{i}", nn.Identity())(x)
            x = functional.dropout(x, self.dropout, self.training)
        y = self.output(x)
        return y if self.skip is None else y + self.skip(features)


class Pixels(nn.Module):
    """`image` u8 [images, height, width, channels] as normalised numbers [images, channels, height, width]."""

    def __init__(self, config: dict):
        super().__init__()
        self.mean, self.std = torch.tensor(config["mean"]), torch.tensor(config["std"])

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return ((inputs["image"] / 255 - self.mean) / self.std).permute(0, 3, 1, 2)


class Cnn(nn.Module):
    def __init__(self, config: dict):
        super().__init__()
        image = config["image"]
        self.pixels = Pixels(image)
        self.activation = ACTIVATIONS[config.get("activation", "relu")]
        self.flattens = config.get("head", "global_average") == "flatten"
        self.stages = [len(stage) for stage in config["stages"]]
        channels, number = image["channels"], 0
        for stage in config["stages"]:
            for width in stage:
                number += 1
                self.add_module(f"conv{number}", nn.Conv2d(channels, width, 3, padding=1, bias=False))
                self.add_module(f"bn{number}", nn.BatchNorm2d(width))
                channels = width
        features = channels
        if self.flattens:
            features *= (image["height"] >> len(self.stages)) * (image["width"] >> len(self.stages))
        self.hidden = None
        if config.get("hidden", 0):
            self.hidden = nn.Linear(features, config["hidden"])
            features = config["hidden"]
        self.dropout = config.get("dropout", 0.0)
        self.fc = nn.Linear(features, config["outputs"])

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        x, number = self.pixels(inputs), 0
        for stage, depth in enumerate(self.stages, start=1):
            for _ in range(depth):
                number += 1
                x = self.activation(getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x)))
            if self.flattens or stage < len(self.stages):
                x = functional.max_pool2d(x, 2)
        x = x.flatten(1) if self.flattens else x.mean(dim=(2, 3))
        if self.hidden is not None:
            x = self.activation(self.hidden(x))
        return self.fc(functional.dropout(x, self.dropout, self.training))


class ResidualBlock(nn.Module):
    """Basic: 3x3, 3x3. Bottleneck: 1x1, 3x3, 1x1 with four times the channels; the stride is the 3x3's."""

    def __init__(self, bottleneck: bool, inputs: int, width: int, stride: int):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        plan = [(inputs, width, 3, stride), (width, width, 3, 1)]
        if bottleneck:
            plan = [(inputs, width, 1, 1), (width, width, 3, stride), (width, outputs, 1, 1)]
        self.depth = len(plan)
        for i, (before, after, kernel, step) in enumerate(plan, start=1):
            self.add_module(f"conv{i}", nn.Conv2d(before, after, kernel, step, kernel // 2, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(after))
        self.downsample = None
        if stride != 1 or inputs != outputs:
            fit = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(fit, nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        straight = x if self.downsample is None else self.downsample(x)
        for i in range(1, self.depth + 1):
            x = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x))
            if i < self.depth:
                x = functional.relu(x)
        return functional.relu(x + straight)


class Resnet(nn.Module):
    """torchvision's ResNet, but for a stem that keeps the resolution where the configuration says `small_stem`."""

    def __init__(self, config: dict):
        super().__init__()
        self.pixels = Pixels(config["image"])
        bottleneck = config["block"] == "bottleneck"
        channels = config["widths"][0]
        self.small_stem = config.get("small_stem", False)
        kernel, stride = (3, 1) if self.small_stem else (7, 2)
        self.conv1 = nn.Conv2d(config["image"]["channels"], channels, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.stages = len(config["depths"])
        for stage, (depth, width) in enumerate(zip(config["depths"], config["widths"], strict=True)):
            blocks = []
            for i in range(depth):
                blocks.append(ResidualBlock(bottleneck, channels, width, 2 if stage > 0 and i == 0 else 1))
                channels = 4 * width if bottleneck else width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, config["outputs"])

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(self.pixels(inputs))))
        if not self.small_stem:
            x = functional.max_pool2d(x, 3, 2, 1)
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean(dim=(2, 3)))


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, expansion: int, outputs: int, stride: int):
        super().__init__()
        hidden = inputs * expansion
        layers = [] if expansion == 1 else [convolution(inputs, hidden, 1)]
        layers += [convolution(hidden, hidden, 3, stride, hidden), nn.Conv2d(hidden, outputs, 1, bias=False)]
        self.conv = nn.Sequential(*layers, nn.BatchNorm2d(outputs))
        self.adds_input = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv(x) if self.adds_input else self.conv(x)


class MobilenetV2(nn.Module):
    """torchvision's MobileNetV2."""

    def __init__(self, config: dict):
        super().__init__()
        self.pixels = Pixels(config["image"])
        channels = config["stem"]
        features = [convolution(config["image"]["channels"], channels, 3, 2)]
        for block in config["blocks"]:
            features.append(InvertedResidual(channels, block["expansion"], block["channels"], block["stride"]))
            channels = block["channels"]
        if config["last"] is not None:
            features.append(convolution(channels, config["last"], 1))
            channels = config["last"]
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(config.get("dropout", 0.0)), nn.Linear(channels, config["outputs"]))

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.classifier(self.features(self.pixels(inputs)).mean(dim=(2, 3)))


KINDS = {"mlp": Mlp, "cnn": Cnn, "resnet": Resnet, "mobilenet_v2": MobilenetV2}


def module(model: dict) -> nn.Module:
    """The module for the `model` of a config.json, to be used in evaluation mode or trained."""
    return KINDS[model["model_type"]](model)
