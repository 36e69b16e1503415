#!/usr/bin/env python3
"""Makes the medical pictures of `examples/disease/`: patches of a healthy retina, a third of them with simulated lesions.

    .venv/bin/python scripts/make-lesions.py [--out examples/disease]

The photograph is `retina.jpg` of scikit-image: a normal left eye, Mikael Haeggstroem, CC0. It is cut into regions of
5 x 5 patches of 48 x 48 pixels, with a strip of one patch between regions that is left out, so that patches of two regions
never touch: a split by region keeps neighbours on one side. In a third of the patches of each region one or two dark dots
are drawn, which look like the microaneurysms and small haemorrhages of diabetic retinopathy: red light passes, green and
blue are absorbed. They are NOT real findings; where they are is known, so that explanations can be held against it.

The files are the same, byte for byte, whenever they are made with the pinned versions of `requirements.txt`.
"""

import argparse
import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
# The earliest time a zip archive can express: no trace of when it was made.
NO_TIME = (1980, 1, 1, 0, 0, 0)
PATCH, ACROSS, REGIONS = 48, 5, 5
# The lesion of the new picture: column, row, radius, strength.
NEW = (31.0, 17.0, 2.6, 0.5)
# The share of red, green and blue light that a dot of strength 1 takes away.
ABSORBED = np.array([0.25, 0.55, 0.45])


def dots(rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    """One or two dots: column and row of the middle, radius (all in pixels), strength."""
    return [
        (*rng.uniform(7, PATCH - 7, 2), rng.uniform(1.4, 3.4), rng.uniform(0.2, 0.7))
        for _ in range(rng.integers(1, 3))
    ]


def with_dots(pixels: np.ndarray, lesions: list[tuple[float, float, float, float]]) -> np.ndarray:
    """`pixels` [height, width, 3] with dots whose edge is as soft as the photograph."""
    rows, columns = np.mgrid[:PATCH, :PATCH] + 0.5
    light = np.ones_like(pixels, dtype=float)
    for x, y, radius, strength in lesions:
        distance = np.hypot(columns - x, rows - y)
        inside = 1 / (1 + np.exp((distance - radius) / 0.6))
        light *= 1 - strength * ABSORBED * inside[..., None]
    return np.rint(pixels * light).astype(np.uint8)


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=92, subsampling=0)
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="make the patches of examples/disease")
    parser.add_argument("--out", type=Path, default=ROOT / "examples/disease")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    retina = np.asarray(Image.open(Path(skimage.__file__).parent / "data/retina.jpg").convert("RGB"))
    rng = np.random.default_rng(7)
    rows, drawn = [], []
    with zipfile.ZipFile(out / "retina.zip", "w") as archive:
        for region in range(REGIONS * REGIONS):
            top, left = (n * (ACROSS + 1) * PATCH for n in divmod(region, REGIONS))
            corners = [(top + r * PATCH, left + c * PATCH) for r in range(ACROSS) for c in range(ACROSS)]
            patches = [retina[y : y + PATCH, x : x + PATCH] for y, x in corners]
            # What lies outside of the round photograph is black.
            patches = [p for p in patches if p.min(axis=(0, 1)).max() > 40]
            ill = set(rng.permutation(len(patches))[: round(len(patches) / 3)].tolist())
            for number, patch in enumerate(patches):
                name = f"{region:02}-{number:02}.jpg"
                lesions = dots(rng) if number in ill else []
                entry = zipfile.ZipInfo(name, NO_TIME)
                entry.external_attr = 0o644 << 16
                entry.create_system = 3
                archive.writestr(entry, jpeg(with_dots(patch, lesions)), zipfile.ZIP_STORED)
                rows.append((name, f"r{region:02}", "lesion" if lesions else "healthy"))
                drawn += [(name, *(f"{value:.1f}" for value in lesion[:3])) for lesion in lesions]
    for name, header, lines in [
        ("retina.csv", ("image", "region", "finding"), rows),
        ("lesions.csv", ("image", "x", "y", "radius"), drawn),
    ]:
        with open(out / name, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *lines])
    # A new picture, from a strip that was left out.
    strip = retina[ACROSS * PATCH : (ACROSS + 1) * PATCH, 600 : 600 + PATCH]
    (out / "new.jpg").write_bytes(jpeg(with_dots(strip, [NEW])))
    found = sum(row[2] == "lesion" for row in rows)
    print(f"{len(rows)} patches of {len({row[1] for row in rows})} regions, {found} with lesions")
    for name in ("retina.zip", "retina.csv", "lesions.csv"):
        print(f"{out / name}: {(out / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
