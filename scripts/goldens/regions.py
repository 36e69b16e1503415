"""Golden files of what works along any axis, by index or over regions of images; images lie with their channels last."""

from collections.abc import Callable, Iterator

import torch
from torch.nn import functional as F

from .case import Case
from .indexing import Tensors, operation

REDUCTIONS = ("sum", "mean", "amax", "amin", "prod")

# Lengths before and after, and scales, between which rounding decides which position is nearest.
NEAREST = [(inputs, outputs, None) for inputs in (2, 7, 31, 79) for outputs in (5, 20, 41, 47, 83, 107)]
NEAREST += [(inputs, None, scale) for inputs in (3, 10, 31) for scale in (0.3, 0.7, 1.0, 1.1, 1.3, 1.7, 2.0, 3.3)]


def along_axes() -> Iterator[Case]:
    computations: dict[str, Callable[[Tensors], torch.Tensor]] = {
        "softmax-along": lambda t: t["x"].softmax(1),
        "log-softmax-along": lambda t: t["x"].log_softmax(0),
        "topk-along": lambda t: t["x"].topk(2, dim=1).values,
        "sort-along": lambda t: t["x"].sort(dim=0, descending=True).values,
        "glu-along": lambda t: F.glu(t["x"], 1),
    }
    for name, compute in computations.items():
        case = Case(f"region-{name}", "operation", operation=name)
        yield operation(compute, case, x=case.normal(3, 4, 5))


def by_index() -> Iterator[Case]:
    case = Case("region-gather-shorter", "operation", operation="gather-shorter")
    yield operation(
        lambda t: t["x"].gather(1, t["index"]), case, x=case.normal(3, 4, 5), index=case.integers(2, 6, 3, below=4)
    )
    # Shorter along all axes; no place is named twice. PyTorch has derivatives for values of the shape of the index alone.
    case = Case("region-scatter-shorter", "operation", operation="scatter-shorter")
    places = torch.tensor([[[3, 0], [1, 2]], [[0, 3], [2, 1]]])
    yield operation(
        lambda t: t["x"].scatter(1, t["index"], t["y"]), case, x=case.normal(3, 4, 3), y=case.normal(2, 2, 2), index=places
    )
    case = Case("region-scatter-add-shorter", "operation", operation="scatter-add-shorter")
    index = case.integers(2, 6, 3, below=4)
    yield operation(
        lambda t: t["x"].scatter_add(1, t["index"], t["y"]), case, x=case.normal(3, 4, 5), y=case.normal(2, 6, 3), index=index
    )
    for reduction in REDUCTIONS:
        for include_self in (True, False):
            suffix = "with" if include_self else "without"
            name = f"scatter-reduce-{reduction}-{suffix}"
            case = Case(f"region-{name}", "operation", operation="scatter-reduce", reduce=reduction, include_self=include_self)
            x, y = case.normal(3, 4, 2), case.normal(3, 6, 2)
            if reduction == "prod":
                # One zero among the factors of a place, and two of another.
                y[0, 0, 0] = y[1, 0, 0] = y[1, 1, 0] = 0.0
            index = case.integers(3, 6, 2, below=3)
            index[0, :, 0] = torch.tensor([0, 1, 2, 1, 2, 0])
            index[1, :, 0] = torch.tensor([1, 1, 1, 0, 2, 0])
            yield operation(
                lambda t, r=reduction, s=include_self: t["x"].scatter_reduce(1, t["index"], t["y"], r, include_self=s),
                case,
                x=x,
                y=y,
                index=index,
            )


def images() -> Iterator[Case]:
    def last(compute: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], torch.Tensor]:
        return lambda t: compute(t["x"].permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def unpooled(x: torch.Tensor) -> torch.Tensor:
        values, places = F.max_pool2d(x, (2, 3), (2, 3), return_indices=True)
        return F.max_unpool2d(values, places, (2, 3), (2, 3), output_size=x.shape[2:])

    case = Case("region-max-unpool", "operation", operation="max-unpool")
    yield operation(last(unpooled), case, x=case.normal(2, 5, 7, 3))
    # Where windows begin is found in the type of the numbers: float32, as an engine has them.
    for name, kernel, size in (("fractional", (2, 3), (4, 3)), ("fractional-one", (3, 2), (1, 5))):
        case = Case(f"region-{name}", "operation", operation="fractional", kernel=kernel, size=size)
        samples = case.uniform(2, 3, 2, low=0.0, high=1.0).to(torch.float32)
        x = case.normal(2, 9, 8, 3).to(torch.float32)

        def pooled(x: torch.Tensor, kernel=kernel, size=size, samples=samples) -> torch.Tensor:
            return F.fractional_max_pool2d(x, kernel, output_size=size, _random_samples=samples)

        case.put("in.samples", samples)
        yield operation(last(pooled), case, x=x)


def nearest() -> Case:
    """For each pair of lengths, or length and scale, the positions that PyTorch takes."""
    lengths = [[inputs, outputs, scale] for inputs, outputs, scale in NEAREST]
    case = Case("nearest", "nearest", lengths=lengths)
    for mode in ("nearest", "nearest-exact"):
        for i, (inputs, outputs, scale) in enumerate(NEAREST):
            if scale is not None and int(inputs * scale) == 0:
                continue
            x = torch.arange(inputs, dtype=torch.float32)[None, None]
            y = F.interpolate(x, size=outputs, scale_factor=scale, mode=mode)
            case.put(f"{mode}.{i}", y[0, 0].to(torch.int64))
    return case


def cases() -> Iterator[Case]:
    yield from along_axes()
    yield from by_index()
    yield from images()
    yield nearest()
