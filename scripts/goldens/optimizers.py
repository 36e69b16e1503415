"""Golden files of optimisers, gradient clipping and the moving average of weights."""

from collections.abc import Iterator

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .case import Case

STEPS = 10
SHAPES = {"weight": (4, 3), "bias": (5,)}

SGD = {"lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False}
ADAM = {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False}

OPTIMIZERS = {
    # name: (class, arguments, parameters without weight decay)
    "sgd": ("SGD", SGD, []),
    "sgd-momentum": ("SGD", SGD | {"momentum": 0.9}, []),
    "sgd-weight-decay": ("SGD", SGD | {"momentum": 0.9, "weight_decay": 0.05}, []),
    "sgd-nesterov": ("SGD", SGD | {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05}, []),
    "adam": ("Adam", ADAM, []),
    "adam-weight-decay": ("Adam", ADAM | {"weight_decay": 0.05}, []),
    "adamw": ("AdamW", ADAM | {"weight_decay": 0.01}, []),
    "adamw-options": (
        "AdamW",
        ADAM | {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1},
        [],
    ),
    "adamw-no-bias-decay": ("AdamW", ADAM | {"lr": 0.05, "weight_decay": 0.1}, ["bias"]),
}


# Of these the state matters after many steps: the largest moment so far is not the current one.
LONG = 80
LONG_OPTIMIZERS = {
    "adam-amsgrad": ("Adam", ADAM | {"amsgrad": True, "weight_decay": 0.05}, []),
    "adamw-amsgrad": (
        "AdamW",
        ADAM | {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1, "amsgrad": True},
        ["bias"],
    ),
    "sgd-dampening": ("SGD", SGD | {"momentum": 0.9, "dampening": 0.4, "weight_decay": 0.05}, []),
    "sgd-dampening-plain": ("SGD", SGD | {"lr": 0.02, "momentum": 0.7, "dampening": 1.0}, []),
    "adamw-maximize": ("AdamW", ADAM | {"weight_decay": 0.1, "maximize": True}, []),
    "sgd-maximize": ("SGD", SGD | {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05, "maximize": True}, []),
}


def gradients(case: Case, shape: tuple[int, ...], steps: int = STEPS) -> torch.Tensor:
    """A gradient for each step, of sizes from 1e-3 to 10."""
    size = torch.logspace(-3, 1, steps, dtype=torch.float64)[torch.from_numpy(case.random.permutation(steps))]
    values = case.normal(steps, *shape) * size.reshape(-1, *(1 for _ in shape))
    return values.to(torch.float32).to(torch.float64)


def optimizer_case(
    name: str, optimizer: str, arguments: dict, no_decay: list[str], steps: int = STEPS
) -> Case:
    case = Case(f"optimizer-{name}", "optimizer", optimizer=optimizer, steps=steps, no_decay=no_decay, **arguments)
    parameters = {n: nn.Parameter(case.normal(*shape)) for n, shape in SHAPES.items()}
    grads = {n: gradients(case, shape, steps) for n, shape in SHAPES.items()}
    for n in SHAPES:
        case.put(f"initial.{n}", parameters[n])
        case.put(f"grads.{n}", grads[n])
    groups = [{"params": [p for n, p in parameters.items() if n not in no_decay]}]
    if no_decay:
        groups.append({"params": [parameters[n] for n in no_decay], "weight_decay": 0.0})
    stepper = getattr(torch.optim, optimizer)(groups, **arguments)
    after = {n: [] for n in SHAPES}
    for step in range(steps):
        for n, parameter in parameters.items():
            parameter.grad = grads[n][step].clone()
        stepper.step()
        for n, parameter in parameters.items():
            after[n].append(parameter.detach().clone())
    for n in SHAPES:
        case.put(f"after.{n}", torch.stack(after[n]))
    return case


def clipping_case(name: str, clip, **arguments) -> Case:
    """Clips the gradients of two parameters together."""
    case = Case(name, "clip", **arguments)
    parameters = {n: nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for n, shape in SHAPES.items()}
    for n, parameter in parameters.items():
        parameter.grad = case.normal(*parameter.shape)
        case.put(f"grad.{n}", parameter.grad)
    norm = clip(list(parameters.values()), **arguments)
    for n, parameter in parameters.items():
        case.put(f"clipped.{n}", parameter.grad)
    if norm is not None:
        case.put("total_norm", norm)
    return case


def moving_average_case() -> Case:
    decay = 0.9
    case = Case("ema", "ema", decay=decay, steps=STEPS)
    model = nn.Module()
    sequence = {n: case.normal(STEPS, *shape) for n, shape in SHAPES.items()}
    for n, values in sequence.items():
        model.register_parameter(n, nn.Parameter(values[0].clone()))
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
    averaged = {n: [] for n in SHAPES}
    for step in range(STEPS):
        with torch.no_grad():
            for n, values in sequence.items():
                getattr(model, n).copy_(values[step])
        average.update_parameters(model)
        for n in SHAPES:
            averaged[n].append(getattr(average.module, n).detach().clone())
    for n in SHAPES:
        case.put(f"params.{n}", sequence[n])
        case.put(f"averaged.{n}", torch.stack(averaged[n]))
    return case


def cases() -> Iterator[Case]:
    for name, (optimizer, arguments, no_decay) in OPTIMIZERS.items():
        yield optimizer_case(name, optimizer, arguments, no_decay)
    for name, (optimizer, arguments, no_decay) in LONG_OPTIMIZERS.items():
        yield optimizer_case(f"long-{name}", optimizer, arguments, no_decay, LONG)
    yield clipping_case("clip-norm", nn.utils.clip_grad_norm_, max_norm=1.0)
    yield clipping_case("clip-norm-inactive", nn.utils.clip_grad_norm_, max_norm=100.0)
    yield clipping_case("clip-value", nn.utils.clip_grad_value_, clip_value=0.5)
    yield moving_average_case()
