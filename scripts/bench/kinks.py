"""Which activations fell on the other side of a kink.

The gradient of a rectifier or of a maximum jumps where its input is 0, or where two inputs are equal. Of the
millions of activations of a network some lie so near to such a kink that rounding decides on which side: each
then changes gradients by its whole contribution, however exact the arithmetic. `explain` finds the few that
explain a difference of gradients, and gives the gradients of the same network in f64 with these decided the
other way.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# As near to a kink as rounding in f32 may move an activation, relative to the size of its layer's.
NEAR = 1e-5
# As many candidates are tried, the nearest first.
MOST = 250
# Coordinates of the gradients in which the contributions are told from each other.
COORDINATES = 400_000


class _Rectify(torch.autograd.Function):
    """A rectifier, perhaps with an upper bound, some of whose decisions are turned round."""

    @staticmethod
    def forward(ctx, x, bound, turned):
        passes = x > 0 if bound is None else (x > 0) & (x < bound)
        passes.view(-1)[turned] ^= True
        ctx.save_for_backward(passes)
        return x.clamp(0, bound)

    @staticmethod
    def backward(ctx, upstream):
        return upstream * ctx.saved_tensors[0], None, None


class _Record:
    """Stands in for rectifiers and maximum pooling; sees which of their decisions are close."""

    def __init__(self, turned: set[tuple[int, int]]):
        self.turned = turned
        self.calls = 0
        self.close: list[tuple[float, int, int]] = []

    def _next(self, distance: torch.Tensor, size: float) -> torch.Tensor:
        """Notes the decisions whose relative distance from the kink is small; gives those to turn round."""
        call, self.calls = self.calls, self.calls + 1
        distance = distance.detach().reshape(-1) / max(size, 1e-30)
        for place in (distance < NEAR).nonzero().flatten().tolist():
            self.close.append((float(distance[place]), call, place))
        return torch.tensor([place for c, place in self.turned if c == call], dtype=torch.long)

    def rectify(self, x: torch.Tensor, bound: float | None = None) -> torch.Tensor:
        distance = x.abs() if bound is None else torch.minimum(x.abs(), (x - bound).abs())
        return _Rectify.apply(x, bound, self._next(distance, float(x.detach().square().mean().sqrt())))

    def max_pool(self, x: torch.Tensor, kernel: int, stride: int, padding: int) -> torch.Tensor:
        n, c, height, width = x.shape
        # Inputs are rectified, so that a border of zeros decides nothing.
        windows = functional.unfold(x.reshape(n * c, 1, height, width), kernel, padding=padding, stride=stride)
        values, places = windows.detach().topk(2, dim=1)
        distance = torch.where(values[:, 1] > 0, values[:, 0] - values[:, 1], torch.inf)
        turned = self._next(distance, float(x.detach().square().mean().sqrt()))
        chosen = places[:, 0].reshape(-1).clone()
        chosen[turned] = places[:, 1].reshape(-1)[turned]
        result = windows.gather(1, chosen.reshape(n * c, 1, -1))
        out = (height + 2 * padding - kernel) // stride + 1
        return result.reshape(n, c, out, -1)


def _gradients(network: nn.Module, loss: Callable[[], torch.Tensor], turned: set[tuple[int, int]]):
    """Gradients with some decisions turned round, and what was close."""
    record = _Record(turned)
    relu, relu6, pool, pool2d = functional.relu, nn.ReLU6.forward, nn.MaxPool2d.forward, functional.max_pool2d
    functional.relu = record.rectify
    nn.ReLU6.forward = lambda _, x: record.rectify(x, 6.0)
    nn.MaxPool2d.forward = lambda self, x: record.max_pool(x, self.kernel_size, self.stride, self.padding)
    functional.max_pool2d = lambda x, size: record.max_pool(x, size, size, 0)
    try:
        network.zero_grad()
        loss().backward()
    finally:
        functional.relu, nn.ReLU6.forward, nn.MaxPool2d.forward, functional.max_pool2d = relu, relu6, pool, pool2d
    return {name: p.grad.numpy().copy() for name, p in network.named_parameters()}, record.close


def explain(network: nn.Module, loss: Callable[[], torch.Tensor], found: dict) -> tuple[dict, int]:
    """Gradients of `network`, in f64, with those close decisions turned round that bring them nearest to `found`, and
    their number. `loss` must not depend on running statistics."""
    base, close = _gradients(network, loss, set())
    close = [(call, place) for _, call, place in sorted(close)[:MOST]]
    random = np.random.default_rng(0)
    names = sorted(base)
    # Every tensor counts the same, whatever its size and scale, but for those that are nothing but rounding.
    norms = {name: float(np.linalg.norm(base[name])) for name in names}
    floor = 1e-4 * np.sqrt(sum(norm**2 for norm in norms.values()))
    scale = {name: 1 / max(norm, floor) for name, norm in norms.items()}
    share = max(COORDINATES // len(names), 1)
    picked = {name: random.permutation(base[name].size)[:share] for name in names}

    def vector(gradients: dict) -> np.ndarray:
        flat = [gradients[name].reshape(-1)[picked[name]] * scale[name] for name in names]
        return np.concatenate(flat).astype(np.float64)

    start = vector(base)
    columns = [vector(_gradients(network, loss, {candidate})[0]) - start for candidate in close]
    if not columns:
        return base, 0
    # Each is turned round or not, so that the one that helps most is taken again and again.
    matrix, rest, turned = np.stack(columns), vector(found) - start, set()
    sizes = (matrix**2).sum(axis=1)
    while len(turned) < len(close):
        gains = 2 * matrix @ rest - sizes
        best = int(gains.argmax())
        if gains[best] <= 1e-3 * sizes[best]:
            break
        rest = rest - matrix[best]
        matrix[best] = 0
        sizes[best] = np.inf
        turned.add(close[best])
    return _gradients(network, loss, turned)[0], len(turned)
