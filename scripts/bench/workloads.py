"""The workloads of `deepfit bench`: network, batch and optimiser."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from . import networks


@dataclass(frozen=True)
class Workload:
    """A network with what it is given."""

    network: Callable[[], nn.Module]
    batch: int
    # Name of the input, shape of one example and, for integers, their number.
    input: str
    shape: tuple[int, ...]
    below: int | None
    classes: int
    optimizer: str | None

    def data(self, seed: int) -> dict[str, np.ndarray]:
        """One batch: bytes of images in the order [batch, height, width, channel], tokens, or numbers."""
        random = np.random.default_rng(seed)
        shape = (self.batch, *self.shape)
        if self.input == "image":
            inputs = random.integers(0, 256, shape, dtype=np.uint8)
        elif self.below is not None:
            inputs = random.integers(0, self.below, shape).astype(np.int32)
        else:
            inputs = random.standard_normal(shape).astype(np.float32)
        per_token = self.optimizer is not None and self.classes == self.below
        target = random.integers(0, self.classes, shape if per_token else (self.batch,)).astype(np.int32)
        return {self.input: inputs, "target": target}

    def tensor(self, data: dict[str, np.ndarray], dtype: torch.dtype) -> torch.Tensor:
        """The input as the network takes it: pixels from 0 to 1, channels first."""
        values = torch.from_numpy(data[self.input])
        if self.input == "image":
            return (values.to(dtype) / 255).permute(0, 3, 1, 2).contiguous()
        return values.long() if self.below is not None else values.to(dtype)

    def stepper(self, network: nn.Module, fused: bool | None = None) -> torch.optim.Optimizer:
        """The optimiser; `fused` updates each parameter in one pass over memory."""
        if self.optimizer == "AdamW":
            return torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.01, fused=fused)
        return torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=fused)

    @staticmethod
    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits.flatten(0, -2), target.flatten())


def image(network, batch: int, side: int, channels: int, classes: int, optimizer: str | None) -> Workload:
    return Workload(network, batch, "image", (side, side, channels), None, classes, optimizer)


def minilm(optimizer: str | None) -> Workload:
    return Workload(networks.Minilm, 16, "tokens", (128,), 30522, 2, optimizer)


WORKLOADS = {
    "mlp_small": Workload(lambda: networks.Mlp(30, 64, 64, 2), 32, "numeric", (30,), None, 2, "AdamW"),
    "mlp": Workload(lambda: networks.Mlp(784, 512, 512, 10), 128, "numeric", (784,), None, 10, "AdamW"),
    "lenet": image(networks.Lenet, 64, 28, 1, 10, "AdamW"),
    "resnet18_cifar": image(lambda: networks.Resnet18(10, True), 32, 32, 3, 10, "SGD"),
    "resnet18_224": image(lambda: networks.Resnet18(1000, False), 8, 224, 3, 1000, "SGD"),
    "resnet18_224_infer": image(lambda: networks.Resnet18(1000, False), 8, 224, 3, 1000, None),
    "dwconv": image(networks.Dwconv, 16, 96, 3, 10, "SGD"),
    "lstm": Workload(networks.Lstm, 32, "sequence", (64, 64), None, 10, "AdamW"),
    "minilm": minilm("AdamW"),
    "minilm_infer": minilm(None),
    "gpt": Workload(networks.Gpt, 8, "tokens", (256,), 256, 256, "AdamW"),
}
