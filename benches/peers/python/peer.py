#!/usr/bin/env python3
"""Times one workload in one engine and prints a line of JSON.

    .venv/bin/python python/peer.py ENGINE WORKLOAD [--seconds 5 | --turns] [--threads 2] [--model FILE]
    .venv/bin/python python/peer.py list

`--turns` measures each time that it reads a number of seconds from standard input, and prints a line for it. `list`
prints the engines with their workloads. `--model` is where ONNX Runtime and OpenVINO find the network, which
`python/export.py` writes.
"""

import argparse
import importlib
import json
import os
import sys
from pathlib import Path

TRAINED = [
    "mlp_small", "mlp", "lenet", "resnet18_cifar", "resnet18_224", "dwconv", "lstm", "minilm", "gpt",
]  # fmt: skip
USED = ["resnet18_224_infer", "minilm_infer"]
IMAGES = ["lenet", "resnet18_cifar", "resnet18_224", "resnet18_224_infer", "dwconv"]

# Module and workloads of each engine.
ENGINES = {
    "pytorch": ("pytorch", [*TRAINED, *USED]),
    "pytorch-channels-last": ("pytorch", IMAGES),
    "pytorch-compile": ("pytorch", [*TRAINED, *USED]),
    "jax": ("jax_networks", ["mlp_small", "mlp", "lenet", "lstm", "minilm", "gpt"]),
    "onnxruntime": ("onnx_runtime", USED),
    "openvino": ("openvino_runtime", USED),
}


def main() -> None:
    if sys.argv[1:] == ["list"]:
        print(json.dumps({engine: workloads for engine, (_, workloads) in ENGINES.items()}))
        return
    parser = argparse.ArgumentParser(description="time one workload in one engine")
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("workload")
    duration = parser.add_mutually_exclusive_group()
    duration.add_argument("--seconds", type=float, default=5.0)
    duration.add_argument("--turns", action="store_const", const=None, dest="seconds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", type=Path, help="the network as ONNX")
    arguments = parser.parse_args()
    module, workloads = ENGINES[arguments.engine]
    if arguments.workload not in [*workloads, "matmul"]:
        parser.error(f"{arguments.engine} does not run {arguments.workload}; it runs {', '.join(workloads)}")
    # Every engine gets as many processors as threads, also one that cannot be told the number of its threads.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    here = Path(__file__).resolve().parent
    sys.path.append(str(here.parents[2] / "scripts"))
    importlib.import_module(module).run(arguments)


if __name__ == "__main__":
    main()
