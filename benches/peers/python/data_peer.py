#!/usr/bin/env python3
"""Times how fast a library reads images or a table, and prints a line of JSON.

    .venv/bin/python python/data_peer.py pillow|torchvision FOLDER SIDE plain|augmented SECONDS
    .venv/bin/python python/data_peer.py pandas|polars FILE THREADS SECONDS

Images are read on one thread, as `ImageFolder` and a `DataLoader` without workers do it: opened and decoded, then resized
and cropped in the centre, or a random crop resized, mirrored and varied in colour. The changes are those that deepfit makes
by default: crops of 35 % of the area and more, half of the images mirrored, brightness, contrast and saturation by 20 %.
`pillow` works on Pillow's images, `torchvision` decodes to tensors and works on these.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

LEAST = 3


def rounds(work: Callable[[], int], seconds: float, versions: list[str]) -> None:
    """Times `work`, which gives how many items it read; the first round is not counted."""
    items = work()
    times = []
    start = time.perf_counter()
    while len(times) < LEAST or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    rate = {"per_second": items / statistics.median(times), "best": items / min(times), "n": len(times)}
    print(json.dumps({**rate, "versions": {name: version(name) for name in versions}}))


def images(library: str, folder: str, side: int, augmented: bool, seconds: float) -> None:
    import torch
    from PIL import Image
    from torchvision.io import ImageReadMode, decode_image, read_file
    from torchvision.transforms import InterpolationMode, v2

    torch.set_num_threads(1)
    torch.manual_seed(1)
    bicubic = InterpolationMode.BICUBIC
    if augmented:
        change = v2.Compose(
            [
                v2.RandomResizedCrop(side, scale=(0.35, 1.0), interpolation=bicubic, antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2),
            ]
        )
    else:
        change = v2.Compose([v2.Resize(side, interpolation=bicubic, antialias=True), v2.CenterCrop(side)])
    files = sorted(str(path) for path in Path(folder).rglob("*.*"))

    def pillow(path: str) -> None:
        with open(path, "rb") as file:
            image = Image.open(file).convert("RGB")
        v2.functional.pil_to_tensor(change(image))

    def torchvision(path: str) -> None:
        change(decode_image(read_file(path), ImageReadMode.RGB))

    read = {"pillow": pillow, "torchvision": torchvision}[library]

    def work() -> int:
        for path in files:
            read(path)
        return len(files)

    rounds(work, seconds, ["pillow", "torchvision", "torch"])


def table(library: str, file: str, seconds: float) -> None:
    if library == "pandas":
        import pandas

        def work() -> int:
            return len(pandas.read_csv(file, parse_dates=["day"]))
    else:
        import polars

        def work() -> int:
            return len(polars.read_csv(file, try_parse_dates=True))

    rounds(work, seconds, [library])


def main() -> None:
    library, path, *rest = sys.argv[1:]
    if library in ("pillow", "torchvision"):
        side, how, seconds = rest
        images(library, path, int(side), how == "augmented", float(seconds))
    else:
        threads, seconds = rest
        os.environ["POLARS_MAX_THREADS"] = threads
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
        table(library, path, float(seconds))


if __name__ == "__main__":
    main()
