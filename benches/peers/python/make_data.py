#!/usr/bin/env python3
"""Makes the photographs and tables that `cargo xtask bench-data` reads; the same bytes each time.

    .venv/bin/python python/make_data.py FOLDER

Photographs are cut from those that scikit-image ships: one mosaic of all of them at their own resolution, so that large
pictures have as fine detail as small ones. A folder for each format and size, with two classes in it. Tables have numbers,
categories, dates, truth values and a few missing fields. Folders to train on have ten classes.
"""

import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

# Name, format, width, height, files.
SIZES = [
    ("jpeg-224", "jpg", 224, 224, 64),
    ("jpeg-500", "jpg", 500, 375, 64),
    ("jpeg-1600", "jpg", 1600, 1200, 16),
    ("jpeg-4000", "jpg", 4000, 3000, 12),
    ("png-224", "png", 224, 224, 64),
    ("png-500", "png", 500, 375, 32),
    ("png-1600", "png", 1600, 1200, 12),
]
# Folder, width, height, files, to train on: at 224 x 224 pixels more than deepfit keeps in memory.
TRAINING = [("training", 224, 224, 640), ("training-800", 800, 600, 460)]
ROWS = [100_000, 1_000_000]


def mosaic(width: int, height: int) -> Image.Image:
    """All photographs side by side, row below row, from the first again when all are used."""
    photographs = [Image.fromarray(getattr(data, name)()) for name in ("astronaut", "coffee", "chelsea", "rocket")]
    picture = Image.new("RGB", (width, height))
    x = y = number = 0
    while y < height:
        photograph = photographs[number % len(photographs)].convert("RGB")
        picture.paste(photograph, (x, y))
        x, number = x + photograph.width, number + 1
        if x >= width:
            # Rows begin with different pictures, each a little further left.
            x, y = -37 * number % 300 - 300, y + 300
    return picture


def photographs(folder: Path) -> None:
    random = np.random.default_rng(1)
    whole = mosaic(4800, 3600)

    def cut(path: Path, width: int, height: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        left, top = random.integers(0, whole.width - width), random.integers(0, whole.height - height)
        picture = whole.crop((left, top, left + width, top + height))
        # As cameras and web sites store photographs: quality 90, colour at half the resolution.
        options = {"quality": 90, "subsampling": "4:2:0"} if path.suffix == ".jpg" else {}
        picture.save(path, **options)

    for name, extension, width, height, files in SIZES:
        for number in range(files):
            cut(folder / name / "ab"[number % 2] / f"{number:03}.{extension}", width, height)
    for name, width, height, files in TRAINING:
        for number in range(files):
            cut(folder / name / f"{number % 10}" / f"{number:04}.jpg", width, height)


def table(path: Path, rows: int) -> None:
    random = np.random.default_rng(rows)
    words = ["north", "south", "east", "west", "north-east", "south-west"]
    towns = [f"Town {number}" for number in range(300)]
    first = date(2015, 1, 1)
    days = [(first + timedelta(days=day)).isoformat() for day in range(3650)]
    amount = random.lognormal(4, 1, rows)
    size = random.normal(100, 30, rows)
    score = random.random(rows)
    weight = random.normal(0, 1e-3, rows)
    age = random.integers(18, 95, rows)
    visits = random.poisson(300, rows)
    region = random.integers(0, len(words), rows)
    town = random.integers(0, len(towns), rows)
    day = random.integers(0, len(days), rows)
    member = random.integers(0, 2, rows)
    missing = random.random(rows) < 0.02
    price = amount * 0.1 + size + age + random.normal(0, 5, rows)
    with open(path, "w") as file:
        file.write("amount,size,score,weight,age,visits,region,town,day,member,price\n")
        for i in range(rows):
            file.write(
                f"{amount[i]:.2f},{'' if missing[i] else f'{size[i]:.3f}'},{score[i]:.6f},{weight[i]:.5e},{age[i]},"
                f"{visits[i]},{words[region[i]]},{towns[town[i]]},{days[day[i]]},{'yes' if member[i] else 'no'},"
                f"{price[i]:.2f}\n"
            )


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    photographs(folder)
    for rows in ROWS:
        table(folder / f"table-{rows}.csv", rows)


if __name__ == "__main__":
    main()
