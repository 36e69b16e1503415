#!/usr/bin/env python3
"""Makes the example data of `examples/` from the data sets in scikit-learn.

    .venv/bin/python scripts/make-examples.py [--out examples]

The files are the same, byte for byte, whenever they are made with the pinned
versions of `requirements.txt`.
"""

import argparse
import io
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

ROOT = Path(__file__).resolve().parent.parent
# The earliest time a zip archive can express: no trace of when it was made.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def png(pixels: np.ndarray) -> bytes:
    """An 8-bit grey PNG of `pixels` [height, width]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return file.getvalue()


def write_digits(path: Path) -> None:
    """The UCI digits, 1,797 images of 8x8, as `<class>/<index>.png`."""
    digits = load_digits()
    # The values are counts 0..16 of set pixels in blocks of 4x4.
    images = np.rint(digits.images * 255.0 / 16.0).astype(np.uint8)
    with zipfile.ZipFile(path, "w") as archive:
        for label in range(10):
            for index in np.flatnonzero(digits.target == label):
                entry = zipfile.ZipInfo(f"{label}/{index:04}.png", NO_TIME)
                entry.external_attr = 0o644 << 16
                entry.create_system = 3
                # PNG is compressed already; deflating it again would only add bytes.
                archive.writestr(entry, png(images[index]), zipfile.ZIP_STORED)


def write_table(path: Path, values: np.ndarray, names: list[str], target: str, column) -> None:
    """A CSV with one column per feature and the target as the last column."""
    table = pd.DataFrame(values, columns=names)
    table[target] = column
    table.to_csv(path, index=False, lineterminator="\n", float_format="%.10g")


def write_breast_cancer(path: Path) -> None:
    data = load_breast_cancer()
    names = [name.replace(" ", "_") for name in data.feature_names]
    write_table(path, data.data, names, "diagnosis", data.target_names[data.target])


def write_diabetes(path: Path) -> None:
    data = load_diabetes(scaled=False)
    write_table(path, data.data, list(data.feature_names), "progression", data.target.astype(int))


def main() -> None:
    parser = argparse.ArgumentParser(description="make the example data")
    parser.add_argument("--out", type=Path, default=ROOT / "examples")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    write_digits(out / "digits.zip")
    write_breast_cancer(out / "breast-cancer.csv")
    write_diabetes(out / "diabetes.csv")
    for name in ("digits.zip", "breast-cancer.csv", "diabetes.csv"):
        print(f"{out / name}: {(out / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
