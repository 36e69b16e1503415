#!/usr/bin/env python3
"""Makes the golden files of `crates/deepfit-nn/tests/goldens` with PyTorch.

    .venv/bin/python scripts/make-goldens.py            writes them
    .venv/bin/python scripts/make-goldens.py --check    compares them with what it would write

The same files come out of every run. What is in them is described in
`scripts/goldens/README.md`.
"""

import argparse
import sys
from itertools import chain
from pathlib import Path

import torch

from goldens import (
    attention,
    criteria,
    explanations,
    indexing,
    initialisation,
    layers,
    losses,
    more_initialisations,
    more_optimizers,
    more_schedules,
    networks,
    optimizers,
    recurrent,
    regions,
    schedules,
    spatial,
    tables,
)

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "crates" / "deepfit-nn" / "tests" / "goldens"
PARTS = (
    layers,
    losses,
    criteria,
    optimizers,
    more_optimizers,
    schedules,
    more_schedules,
    initialisation,
    more_initialisations,
    networks,
    recurrent,
    spatial,
    tables,
    indexing,
    regions,
    attention,
    explanations,
)


def check(folder: Path) -> list[str]:
    """Differences between the files in `folder` and what PyTorch computes now."""
    found = []
    expected = set()
    for case in chain.from_iterable(part.cases() for part in PARTS):
        expected.add(f"{case.name}.safetensors")
        found += case.differences(folder)
    for path in sorted(folder.glob("*.safetensors")):
        if path.name not in expected:
            found.append(f"{path.name}: no case makes it")
    return found


def write(folder: Path) -> tuple[int, int]:
    """Writes all files; their number and their bytes together."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.safetensors"):
        old.unlink()
    paths = [case.write(folder) for case in chain.from_iterable(part.cases() for part in PARTS)]
    return len(paths), sum(path.stat().st_size for path in paths)


def main() -> None:
    parser = argparse.ArgumentParser(description="make the golden files with PyTorch")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    # One thread: the order of additions, and with it the last bit, is fixed.
    torch.set_num_threads(1)
    if arguments.check:
        found = check(arguments.folder)
        if found:
            sys.exit("\n".join(found))
        print(f"{arguments.folder}: as PyTorch {torch.__version__} computes them")
    else:
        count, size = write(arguments.folder)
        print(f"{arguments.folder}: {count} files, {size:,} bytes")


if __name__ == "__main__":
    main()
