#!/usr/bin/env python3
"""Prints what Pillow and torchvision make of a drawn image, for the test in `crates/deepfit-data/src/image/resize.rs`.

    .venv/bin/python scripts/check-resize.py
"""

import numpy as np
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

WIDTH, HEIGHT = 53, 37
FILTERS = {
    "Nearest": InterpolationMode.NEAREST,
    "Box": InterpolationMode.BOX,
    "Bilinear": InterpolationMode.BILINEAR,
    "Hamming": InterpolationMode.HAMMING,
    "Bicubic": InterpolationMode.BICUBIC,
    "Lanczos": InterpolationMode.LANCZOS,
}


def fnv(data: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def main() -> None:
    index = np.arange(WIDTH * HEIGHT * 3, dtype=np.int64)
    pixels = ((index * index + 31 * index) % 251).astype(np.uint8).reshape(HEIGHT, WIDTH, 3)
    image = Image.fromarray(pixels)
    for name, mode in FILTERS.items():
        for size, rust, crop in (
            (19, "ResizeTo::ShortestEdge(19)", (16, 16)),
            (61, "ResizeTo::ShortestEdge(61)", (60, 45)),
            ((20, 90), "ResizeTo::Exact(20, 90)", (20, 90)),
        ):
            made = CenterCrop(crop)(Resize(size, mode)(image))
            value = f"{fnv(np.asarray(made).tobytes()):016X}"
            value = "0x" + "_".join(value[i : i + 4] for i in range(0, 16, 4))
            print(f"            (Filter::{name}, {rust}, {crop}, {value}),")


if __name__ == "__main__":
    main()
