"""Golden files of the other optimisers, and of L-BFGS on functions with known minima."""

from collections.abc import Iterator

import torch
from torch import nn

from .case import Case
from .optimizers import SHAPES, STEPS, gradients

RMSPROP = {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "momentum": 0.0, "centered": False, "weight_decay": 0.0}
ADAGRAD = {"lr": 0.01, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0, "eps": 1e-10}
ADADELTA = {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0}
ADAMAX = {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
NADAM = ADAMAX | {"momentum_decay": 4e-3, "decoupled_weight_decay": False}
RADAM = ADAMAX | {"lr": 1e-3, "decoupled_weight_decay": False}
LION = {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 0.0}
LAMB = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-6, "weight_decay": 0.01}


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al., 2023."""

    def __init__(self, params, **settings):
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                direction = torch.sign(first * m + (1 - first) * p.grad)
                p -= group["lr"] * (direction + group["weight_decay"] * p)
                self.state[p]["m"] = second * m + (1 - second) * p.grad


class Lamb(torch.optim.Optimizer):
    """Algorithm 2 of You et al., 2020, with the identity as its function of norms."""

    def __init__(self, params, **settings):
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                state = self.state[p]
                t = state["t"] = state.get("t", 0) + 1
                m = state["m"] = first * state.get("m", torch.zeros_like(p)) + (1 - first) * p.grad
                v = state["v"] = second * state.get("v", torch.zeros_like(p)) + (1 - second) * p.grad**2
                ratio = (m / (1 - first**t)) / ((v / (1 - second**t)).sqrt() + group["eps"])
                direction = ratio + group["weight_decay"] * p
                length, reach = p.norm(), direction.norm()
                trust = length / reach if length > 0 and reach > 0 else 1.0
                p -= group["lr"] * trust * direction


OPTIMIZERS = {
    # name: (class, arguments, parameters without weight decay)
    "rmsprop": ("RMSprop", RMSPROP, []),
    "rmsprop-centered": ("RMSprop", RMSPROP | {"centered": True, "alpha": 0.9, "eps": 1e-4}, []),
    "rmsprop-momentum": ("RMSprop", RMSPROP | {"momentum": 0.9, "weight_decay": 0.05}, []),
    "rmsprop-all": (
        "RMSprop",
        RMSPROP | {"momentum": 0.8, "centered": True, "weight_decay": 0.1, "eps": 1e-3},
        ["bias"],
    ),
    "adagrad": ("Adagrad", ADAGRAD, []),
    "adagrad-options": (
        "Adagrad",
        ADAGRAD | {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.05, "initial_accumulator_value": 0.5, "eps": 1e-3},
        [],
    ),
    "adadelta": ("Adadelta", ADADELTA, []),
    "adadelta-options": ("Adadelta", ADADELTA | {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.05}, []),
    "adamax": ("Adamax", ADAMAX, []),
    "adamax-options": (
        "Adamax",
        ADAMAX | {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
        [],
    ),
    "nadam": ("NAdam", NADAM, []),
    "nadam-options": (
        "NAdam",
        NADAM | {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.5},
        [],
    ),
    "nadam-decoupled": ("NAdam", NADAM | {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}, ["bias"]),
    # Steps on both sides of the one from which the second moment is trusted.
    "radam": ("RAdam", RADAM, []),
    "radam-options": ("RAdam", RADAM | {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}, []),
    "radam-decoupled": ("RAdam", RADAM | {"lr": 0.05, "weight_decay": 0.1, "decoupled_weight_decay": True}, ["bias"]),
    "lion": ("Lion", LION, []),
    "lion-options": ("Lion", LION | {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.5}, ["bias"]),
    "lamb": ("Lamb", LAMB, []),
    "lamb-options": ("Lamb", LAMB | {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}, ["bias"]),
    "lamb-from-zero": ("Lamb", LAMB | {"lr": 0.05}, []),
}


def optimizer_case(name: str, optimizer: str, arguments: dict, no_decay: list[str]) -> Case:
    case = Case(f"learner-{name}", "optimizer", optimizer=optimizer, steps=STEPS, no_decay=no_decay, **arguments)
    scale = 0.0 if name.endswith("from-zero") else 1.0
    parameters = {n: nn.Parameter(case.normal(*shape) * scale) for n, shape in SHAPES.items()}
    grads = {n: gradients(case, shape) for n, shape in SHAPES.items()}
    for n in SHAPES:
        case.put(f"initial.{n}", parameters[n])
        case.put(f"grads.{n}", grads[n])
    groups = [{"params": [p for n, p in parameters.items() if n not in no_decay]}]
    if no_decay:
        groups.append({"params": [parameters[n] for n in no_decay], "weight_decay": 0.0})
    own = {"Lion": Lion, "Lamb": Lamb}
    stepper = (own.get(optimizer) or getattr(torch.optim, optimizer))(groups, **arguments)
    after = {n: [] for n in SHAPES}
    for step in range(STEPS):
        for n, parameter in parameters.items():
            parameter.grad = grads[n][step].clone()
        stepper.step()
        for n, parameter in parameters.items():
            after[n].append(parameter.detach().clone())
    for n in SHAPES:
        case.put(f"after.{n}", torch.stack(after[n]))
    return case


def rosenbrock(x: torch.Tensor) -> torch.Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def bowl(x: torch.Tensor) -> torch.Tensor:
    """Convex, with curvatures from 1 to 1000, and not quadratic."""
    weights = torch.logspace(0, 3, len(x), dtype=x.dtype)
    return (weights * x**2).sum() / 2 + (x**4).sum() / 4


FUNCTIONS = {"rosenbrock": rosenbrock, "bowl": bowl}
CALLS = 4

LBFGS = {
    # name: (function, number of variables, arguments)
    "rosenbrock-2": ("rosenbrock", 2, {"max_iter": 5}),
    "rosenbrock-10": ("rosenbrock", 10, {"max_iter": 8, "history_size": 4}),
    "bowl": ("bowl", 12, {"max_iter": 6}),
    "bowl-few-evaluations": ("bowl", 12, {"max_iter": 9, "max_eval": 4}),
    "bowl-no-search": ("bowl", 5, {"max_iter": 6, "lr": 0.5, "line_search_fn": None}),
}


def lbfgs_case(name: str, function: str, n: int, arguments: dict) -> Case:
    """The positions and losses after each of a few calls."""
    arguments = {"lr": 1.0, "history_size": 100, "line_search_fn": "strong_wolfe"} | arguments
    case = Case(f"lbfgs-{name}", "lbfgs", function=function, calls=CALLS, **arguments)
    x = nn.Parameter(case.normal(n))
    case.put("initial", x)
    optimizer = torch.optim.LBFGS([x], **arguments)
    evaluations = 0

    def closure():
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        loss = FUNCTIONS[function](x)
        loss.backward()
        return loss

    positions, losses, counts = [], [], []
    for _ in range(CALLS):
        optimizer.step(closure)
        positions.append(x.detach().clone())
        losses.append(FUNCTIONS[function](x).detach())
        counts.append(evaluations)
    # In f64: from rounded positions the path could not be compared as strictly.
    case.put_array("positions", torch.stack(positions).numpy())
    case.put_array("losses", torch.stack(losses).numpy())
    case.put("evaluations", torch.tensor(counts))
    return case


def cases() -> Iterator[Case]:
    for name, (optimizer, arguments, no_decay) in OPTIMIZERS.items():
        yield optimizer_case(name, optimizer, arguments, no_decay)
    for name, (function, n, arguments) in LBFGS.items():
        yield lbfgs_case(name, function, n, arguments)
