#!/usr/bin/env python3
"""Makes the example series of `examples/`: sunspots and airline passengers.

    pip download --no-deps statsmodels==0.15.0
    python scripts/make-series.py --statsmodels statsmodels-0.15.0-*.whl [--out examples]

The files are the same, byte for byte, whenever they are made.
"""

import argparse
import csv
import io
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUNSPOTS = "statsmodels/datasets/sunspots/sunspots.csv"
# Series G of Box and Jenkins: thousands of passengers a month, a line a year from 1949.
PASSENGERS = """
112 118 132 129 121 135 148 148 136 119 104 118
115 126 141 135 125 149 170 170 158 133 114 140
145 150 178 163 172 178 199 199 184 162 146 166
171 180 193 181 183 218 230 242 209 191 172 194
196 196 236 235 229 243 264 272 237 211 180 201
204 188 235 227 234 264 302 293 259 229 203 229
242 233 267 269 270 315 364 347 312 274 237 278
284 277 317 313 318 374 413 405 355 306 271 306
315 301 356 348 355 422 465 467 404 347 305 336
340 318 362 348 363 435 491 505 404 359 310 337
360 342 406 396 420 472 548 559 463 407 362 405
417 391 419 461 472 535 622 606 508 461 390 432
"""


def write_series(path: Path, header: tuple[str, str], rows: list[tuple[str, str]]) -> None:
    """A CSV with the time in the first column and the value in the second."""
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
    print(f"{path}: {len(rows)} values")


def sunspots(wheel: Path) -> list[tuple[str, str]]:
    """Year and number, from the package as it is published."""
    with zipfile.ZipFile(wheel) as archive:
        rows = csv.reader(io.StringIO(archive.read(SUNSPOTS).decode()))
    next(rows)
    return [(year.split(".")[0], number) for year, number in rows]


def passengers() -> list[tuple[str, str]]:
    years = [line.split() for line in PASSENGERS.split("\n") if line]
    return [(f"{1949 + y}-{m + 1:02}", value) for y, year in enumerate(years) for m, value in enumerate(year)]


def main() -> None:
    parser = argparse.ArgumentParser(description="make the example series")
    parser.add_argument("--statsmodels", type=Path, required=True, help="the wheel with the sunspots")
    parser.add_argument("--out", type=Path, default=ROOT / "examples")
    arguments = parser.parse_args()
    write_series(arguments.out / "sunspots.csv", ("year", "sunspots"), sunspots(arguments.statsmodels))
    write_series(arguments.out / "airline.csv", ("month", "passengers"), passengers())


if __name__ == "__main__":
    main()
