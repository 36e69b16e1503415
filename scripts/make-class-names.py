#!/usr/bin/env python3
"""Writes the names of ImageNet's thousand classes as torchvision has them.

    .venv/bin/python scripts/make-class-names.py
"""

from pathlib import Path

from torchvision.models import ResNet50_Weights

ROOT = Path(__file__).resolve().parent.parent
PATH = ROOT / "crates" / "deepfit-zoo" / "data" / "imagenet-classes.txt"


def main() -> None:
    names = ResNet50_Weights.DEFAULT.meta["categories"]
    assert len(set(names)) == 1000
    PATH.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    print(f"{PATH}: {len(names)} names")


if __name__ == "__main__":
    main()
