"""Golden files of what picks, places, orders and rearranges elements."""

from collections.abc import Callable, Iterator

import torch

from .case import Case

Tensors = dict[str, torch.Tensor]


def operation(compute: Callable[[Tensors], torch.Tensor], case: Case, **inputs: torch.Tensor) -> Case:
    """The result and the gradients of floating-point inputs."""
    leaves = {}
    for key, value in inputs.items():
        case.put(f"in.{key}", value)
        leaves[key] = value.clone().requires_grad_() if value.is_floating_point() else value
    output = compute(leaves)
    upstream = case.normal(*output.shape)
    case.put("output", output)
    case.put("upstream", upstream)
    output.backward(upstream)
    for key, leaf in leaves.items():
        if leaf.is_floating_point():
            case.put(f"grad.{key}", leaf.grad)
    return case


def joined(parts: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """The parts in a row again, each with a factor of its own."""
    return torch.cat([part * (i + 1) for i, part in enumerate(parts)], 1)


def cases() -> Iterator[Case]:
    # name: computation, shape of x, and (shape, below) of indices
    single = {
        "gather": (lambda t: t["x"].gather(1, t["index"]), (3, 4, 5), ((3, 6, 5), 4)),
        "gather-last": (lambda t: t["x"].gather(-1, t["index"]), (3, 4), ((3, 2), 4)),
        "index-select-0": (lambda t: t["x"].index_select(0, t["index"]), (4, 3), ((6,), 4)),
        "index-select-1": (lambda t: t["x"].index_select(1, t["index"]), (2, 4, 3), ((5,), 4)),
        "cumsum-0": (lambda t: t["x"].cumsum(0), (4, 3), None),
        "cumsum-1": (lambda t: t["x"].cumsum(1), (2, 5, 3), None),
        "flip": (lambda t: t["x"].flip(1), (2, 5, 3), None),
        "roll": (lambda t: t["x"].roll(2, 1), (2, 5, 3), None),
        "roll-back": (lambda t: t["x"].roll(-6, 1), (2, 5, 3), None),
        "tile": (lambda t: t["x"].tile(2, 1, 3), (2, 3, 2), None),
        "repeat-interleave": (lambda t: t["x"].repeat_interleave(3, 1), (2, 3, 2), None),
        "split": (lambda t: joined(t["x"].split([1, 3, 2], 1)), (2, 6), None),
        "chunk": (lambda t: joined(t["x"].chunk(4, 1)), (2, 7), None),
        "topk-values": (lambda t: t["x"].topk(3).values, (4, 7), None),
        "smallest-values": (lambda t: t["x"].topk(3, largest=False).values, (4, 7), None),
        "sort-values": (lambda t: t["x"].sort().values, (4, 7), None),
        "sort-descending": (lambda t: t["x"].sort(descending=True).values, (2, 3, 4), None),
        "argmax-gather": (lambda t: t["x"].gather(-1, t["x"].argmax(-1, keepdim=True)), (4, 7), None),
    }
    for name, (compute, shape, index) in single.items():
        case = Case(f"operation-{name}", "operation", operation=name)
        inputs = {"x": case.normal(*shape)}
        if index:
            inputs["index"] = case.integers(*index[0], below=index[1])
        yield operation(compute, case, **inputs)
    double = {
        "scatter-add": (lambda t: t["x"].scatter_add(1, t["index"], t["y"]), (3, 4, 2), (3, 6, 2)),
        "stack": (lambda t: torch.stack([t["x"], t["y"]], 1), (3, 4), (3, 4)),
    }
    for name, (compute, first, second) in double.items():
        case = Case(f"operation-{name}", "operation", operation=name)
        inputs = {"x": case.normal(*first), "y": case.normal(*second)}
        if name == "scatter-add":
            inputs["index"] = case.integers(*second, below=first[1])
        yield operation(compute, case, **inputs)
    # Of several values for one place PyTorch leaves open which stays: here no place is named twice.
    case = Case("operation-scatter", "operation", operation="scatter")
    places = torch.tensor([[3, 0], [1, 2], [0, 3]])
    yield operation(
        lambda t: t["x"].scatter(1, t["index"], t["y"]),
        case,
        x=case.normal(3, 4),
        y=case.normal(3, 2),
        index=places,
    )
    case = Case("operation-masked-fill", "operation", operation="masked-fill")
    yield operation(
        lambda t: t["x"].masked_fill(t["mask"] > 0, -2.5),
        case,
        x=case.normal(3, 5),
        mask=case.integers(3, 5, below=2),
    )
