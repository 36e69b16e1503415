#!/usr/bin/env python3
"""Compares runs on tables with a linear model on the same splits.

    .venv/bin/python scripts/reference-tables.py RUN...

Reads from each run folder
  `split.json`     {"train": [...], "validation": [...], "test": [...]}: data rows, from 0
  `settings.toml`  the path of the data, the target column if one is named, the seed
  `result.json`    the task, metrics.test.accuracy or metrics.test.r2
and fits logistic regression (classification) or ridge regression (regression),
with scikit-learn's defaults on standardised columns, to the rows of train and
validation together. Both are then scored on the rows of test.
"""

import argparse
import json
import sys
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

ROOT = Path(__file__).resolve().parent.parent
# What deepfit takes as the target if none is named.
TARGET_NAMES = ("target", "label", "class", "y")


@dataclass
class Row:
    """One line of the table: a run beside the linear model."""

    folder: str
    seed: int
    metric: str
    run: float
    reference: float


def read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        sys.exit(f"reference-tables: {path} is missing; is this the folder of a finished run?")
    except json.JSONDecodeError as error:
        sys.exit(f"reference-tables: {path}: {error}")


def read_settings(path: Path) -> dict:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        sys.exit(f"reference-tables: {path} is missing; is this a run folder?")
    except tomllib.TOMLDecodeError as error:
        sys.exit(f"reference-tables: {path}: {error}")


def find_data(path: str) -> Path:
    """The data file: as written, or relative to the project."""
    for candidate in (Path(path), ROOT / path):
        if candidate.is_file():
            return candidate
    sys.exit(f"reference-tables: {path} is not a file; run this where the training was run, or pass --data")


def read_table(path: Path, target: str | None) -> tuple[pd.DataFrame, pd.Series]:
    """Features and target of a CSV or TSV file."""
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    table = pd.read_csv(path, sep=separator)
    if target is None:
        named = [name for name in table.columns if name.lower() in TARGET_NAMES]
        target = named[0] if named else table.columns[-1]
    if target not in table.columns:
        sys.exit(f"reference-tables: {path} has no column {target}")
    return table.drop(columns=target), table[target]


def linear_model(features: pd.DataFrame, classify: bool):
    """Standardised numbers and one-hot categories, then the linear model."""
    numbers = features.select_dtypes("number").columns
    others = features.columns.difference(numbers)
    columns = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            ("categories", OneHotEncoder(handle_unknown="ignore"), others),
        ]
    )
    return make_pipeline(columns, LogisticRegression(max_iter=10_000) if classify else Ridge())


def check_split(split: dict, rows: int, path: Path) -> None:
    """Refuses a split that shares rows or names rows that are not there."""
    ids = [row for part in ("train", "validation", "test") for row in split[part]]
    if not all(isinstance(row, int) for row in ids):
        sys.exit(f"reference-tables: {path} does not name rows of a table; is this a run on images?")
    if len(set(ids)) != len(ids):
        sys.exit(f"reference-tables: {path}: a row is in more than one part")
    if not split["train"] or not split["test"] or min(ids) < 0 or max(ids) >= rows:
        sys.exit(f"reference-tables: {path} does not fit the data's {rows} rows")


def compare(run: Path, data: str | None) -> Row:
    """Scores the linear model on the split of `run`."""
    result = read_json(run / "result.json")
    split = read_json(run / "split.json")
    settings = read_settings(run / "settings.toml")
    for part in ("validation", "test"):
        if part in settings:
            sys.exit(f"reference-tables: {run} has {part} data of its own, not a split of one table")
    features, target = read_table(find_data(data or settings["data"]), settings.get("target"))
    check_split(split, len(features), run / "split.json")

    classify = result["task"] == "classification"
    metric = "accuracy" if classify else "r2"
    fitted = np.array(split["train"] + split["validation"])
    tested = np.array(split["test"])
    model = linear_model(features, classify)
    model.fit(features.iloc[fitted], target.iloc[fitted])
    # `score` is accuracy for a classifier, R2 for a regressor.
    reference = model.score(features.iloc[tested], target.iloc[tested])
    return Row(str(run), settings["seed"], metric, result["metrics"]["test"][metric], float(reference))


def print_table(rows: list[Row]) -> None:
    names = [Path(row.folder).name for row in rows]
    width = max(4, *map(len, names))
    print(f"{'run':{width}}  {'seed':>4}  {'metric':8}  {'deepfit':>8}  {'linear':>8}  {'difference':>10}")
    for name, row in zip(names, rows):
        difference = row.run - row.reference
        scores = f"{row.run:8.4f}  {row.reference:8.4f}  {difference:+10.4f}"
        print(f"{name:{width}}  {row.seed:>4}  {row.metric:8}  {scores}")
    for metric in sorted({row.metric for row in rows}):
        of_metric = [row for row in rows if row.metric == metric]
        run = np.mean([row.run for row in of_metric])
        reference = np.mean([row.reference for row in of_metric])
        print(f"{'mean':{width}}  {'':>4}  {metric:8}  {run:8.4f}  {reference:8.4f}  {run - reference:+10.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="compare runs on tables with a linear model")
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--data", help="the data file, instead of the one in settings.toml")
    parser.add_argument("--json", action="store_true", help="print an array of objects instead of a table")
    arguments = parser.parse_args()
    rows = [compare(run, arguments.data) for run in arguments.runs]
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        print_table(rows)


if __name__ == "__main__":
    main()
