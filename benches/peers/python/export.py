#!/usr/bin/env python3
"""Writes the network of a workload as ONNX, for engines that use networks of others.

    .venv/bin/python python/export.py WORKLOAD FILE
"""

import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parents[3] / "scripts"))

from bench.workloads import WORKLOADS  # noqa: E402


def main() -> None:
    name, file = sys.argv[1:]
    workload = WORKLOADS[name]
    torch.manual_seed(0)
    network = workload.network().eval()
    inputs = workload.tensor(workload.data(seed=1), torch.float32)
    part = Path(file).with_suffix(".part")
    program = torch.onnx.export(
        network, (inputs,), dynamo=True, input_names=["input"], output_names=["logits"], verbose=False
    )
    program.save(str(part), external_data=False)
    part.rename(file)


if __name__ == "__main__":
    main()
