#!/usr/bin/env python3
"""Checks the steps that `deepfit bench` times against PyTorch in f64, from the same weights on the same batch.

    .venv/bin/python scripts/bench-check.py [--program target/release/deepfit] [WORKLOAD...]

Prints a table, or with `--json` an object a line: the first loss (relative), the worst gradient of the first step (relative L2), the worst
of 20 losses (relative to the first). Of a network in use its logits are compared. Ends with 1 if a
figure is beyond its bound.

Where a gradient is beyond its bound, the activations are looked for that rounding moved over the kink of
their rectifier (`bench/kinks.py`); with these on the other side in f64 too, the bound must hold. Beside it
stand the gradients of PyTorch itself in f32, which has as many of them.
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from bench import kinks
from bench.workloads import WORKLOADS, Workload

FIRST_LOSS, GRADIENT, LOSSES, LOGITS = 1e-5, 1e-3, 5e-3, 1e-4
STEPS = 20


def reference(
    workload: Workload, network: torch.nn.Module, data: dict, steps: int, dtype: torch.dtype
) -> tuple[list[float], dict]:
    """PyTorch's losses and the gradients of its first step."""
    network = network.to(dtype).train()
    inputs = workload.tensor(data, dtype)
    target = torch.from_numpy(data["target"]).long()
    stepper = workload.stepper(network)
    losses, gradients = [], {}
    for step in range(steps):
        stepper.zero_grad()
        loss = workload.loss(network(inputs), target)
        loss.backward()
        if step == 0:
            gradients = {name: p.grad.double().numpy().copy() for name, p in network.named_parameters()}
        losses.append(loss.item())
        stepper.step()
    return losses, gradients


def worst_gradient(found: dict, expected: dict) -> tuple[float, str]:
    """The largest relative L2 distance of a tensor, and its name.

    A shift before a normalisation has no effect: its gradient is zero but for rounding, so distances
    are never taken relative to less than a ten-thousandth of the whole gradient.
    """
    if set(found) != set(expected):
        sys.exit(f"other parameters: {sorted(set(found) ^ set(expected))}")
    floor = 1e-4 * np.sqrt(sum(float((g**2).sum()) for g in expected.values()))
    distance = {
        name: float(np.linalg.norm(found[name] - g) / max(np.linalg.norm(g), floor)) for name, g in expected.items()
    }
    name = max(distance, key=distance.get)
    return distance[name], name


def check(name: str, program: str, folder: Path, steps: int, seed: int) -> dict:
    """The figures of a workload, and whether they are within their bounds."""
    workload = WORKLOADS[name]
    torch.manual_seed(seed)
    network = workload.network()
    data = workload.data(seed=seed + 1)
    weights, batch, gradients = (folder / f"{name}.{kind}.safetensors" for kind in ("weights", "data", "gradients"))
    save_file({k: v.numpy() for k, v in network.state_dict().items() if v.is_floating_point()}, weights)
    save_file(data, batch)
    command = [program, "bench", name, "--weights", str(weights), "--data", str(batch), "--losses", str(steps)]
    if workload.optimizer is not None:
        command += ["--gradients", str(gradients)]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if workload.optimizer is None:
        with torch.no_grad():
            expected = network.double().eval()(workload.tensor(data, torch.float64)).flatten().numpy()
        error = float(np.linalg.norm(told["logits"] - expected) / np.linalg.norm(expected))
        return {"workload": name, "logits": error, "good": error <= LOGITS}
    _, single = reference(workload, copy.deepcopy(network), data, 1, torch.float32)
    fresh = copy.deepcopy(network)
    losses, expected = reference(workload, network, data, steps, torch.float64)
    first = abs(told["losses"][0] - losses[0]) / losses[0]
    later = max(abs(a - b) for a, b in zip(told["losses"], losses, strict=True)) / losses[0]
    found = load_file(gradients)
    gradient, where = worst_gradient(found, expected)
    theirs, _ = worst_gradient(single, expected)
    told = f"worst gradient: {where}"
    if gradient > GRADIENT:
        fresh = fresh.double().train()
        inputs, target = workload.tensor(data, torch.float64), torch.from_numpy(data["target"]).long()
        turned, number = kinks.explain(fresh, lambda: workload.loss(fresh(inputs), target), found)
        beyond, gradient = gradient, worst_gradient(found, turned)[0]
        told = f"gradients {beyond:.1e} with {number} activations that rounding moved over a kink"
    good = first <= FIRST_LOSS and gradient <= GRADIENT and later <= LOSSES
    figures = {"first_loss": first, "gradients": gradient, "peer_gradients": theirs, "losses": later}
    return {"workload": name, **figures, "remark": told, "good": good}


def line(found: dict) -> str:
    """Figures of a workload as a row of the table."""
    if "logits" in found:
        return f"{found['workload']:<20} logits {found['logits']:.1e}"
    return (
        f"{found['workload']:<20} first loss {found['first_loss']:.1e}  gradients {found['gradients']:.1e} "
        f"(PyTorch in f32 {found['peer_gradients']:.1e})  losses {found['losses']:.1e}  {found['remark']}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="check the workloads of `deepfit bench` against PyTorch")
    parser.add_argument("workloads", nargs="*", choices=[[], *WORKLOADS], metavar="WORKLOAD")
    parser.add_argument("--program", default="target/release/deepfit")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0, help="of the weights; the batch has the next one")
    parser.add_argument("--json", action="store_true", help="an object a line instead of a table")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = arguments.workloads or list(WORKLOADS)
        good = True
        for name in names:
            found = check(name, arguments.program, Path(folder), arguments.steps, arguments.seed)
            print(json.dumps(found) if arguments.json else line(found), flush=True)
            good &= found["good"]
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
