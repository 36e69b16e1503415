#!/usr/bin/env python3
"""Makes the golden files of `crates/deepfit-zoo/tests/goldens`: published architectures in PyTorch.

    .venv/bin/python scripts/make-published.py            writes them
    .venv/bin/python scripts/make-published.py --check    compares them with what it would write
"""

import argparse
import sys
from pathlib import Path

import torch

from goldens import published, published_texts, torch_files

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "crates" / "deepfit-zoo" / "tests" / "goldens"


def main() -> None:
    parser = argparse.ArgumentParser(description="make the golden files of published architectures with PyTorch")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cases = [*published.cases(), *published_texts.cases(), *torch_files.cases()]
    if arguments.check:
        found = [problem for case in cases for problem in case.differences(arguments.folder)]
        if found:
            sys.exit("\n".join(found))
        print(f"{arguments.folder}: as PyTorch {torch.__version__} computes them")
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    paths = [case.write(arguments.folder) for case in cases]
    print(f"{arguments.folder}: {len(paths)} files, {sum(path.stat().st_size for path in paths):,} bytes")


if __name__ == "__main__":
    main()
