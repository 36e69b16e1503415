#!/usr/bin/env python3
"""Makes the golden file of `crates/deepfit-classical/tests/goldens` with scikit-learn.

    .venv/bin/python scripts/make-classical.py            writes it
    .venv/bin/python scripts/make-classical.py --check    compares it with what it would write

Each case has training rows, their targets, other rows, and what scikit-learn makes of them: coefficients of standardised
columns and predictions of a ridge and of logistic regressions, predictions of nearest neighbours, and predictions of
histogram-based boosted trees with missing values and a category.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

FILE = Path(__file__).resolve().parent.parent / "crates/deepfit-classical/tests/goldens/scikit-learn.json"


def listed(values: np.ndarray) -> list:
    """Numbers of a file: missing ones are null."""
    flat = np.asarray(values, dtype=np.float64).ravel()
    return [None if np.isnan(x) else float(f"{x:.9g}") for x in flat]


def rows(rng: np.random.Generator, count: int, width: int) -> np.ndarray:
    """Columns of different sizes that depend on each other."""
    mixed = rng.normal(size=(count, width)) @ rng.normal(size=(width, width))
    return np.round(mixed * 10.0 ** np.arange(-1, width - 1) + np.arange(width), 4).astype(np.float32)


def case(train: np.ndarray, target: np.ndarray, test: np.ndarray, **made: object) -> dict:
    lists = {name: listed(value) if isinstance(value, np.ndarray) else value for name, value in made.items()}
    return {
        "width": train.shape[1],
        "train": listed(train),
        "target": listed(target),
        "test": listed(test),
        **lists,
    }


def linear(rng: np.random.Generator) -> dict:
    x, test = rows(rng, 60, 4), rows(rng, 20, 4)
    scaler = StandardScaler().fit(x.astype(np.float64))
    made = {}
    value = np.round(x[:, 0] * 3 - x[:, 2] * 0.01 + rng.normal(size=60), 4)
    ridge = Ridge(alpha=2.5).fit(scaler.transform(x), value)
    made["ridge"] = case(
        x,
        value,
        test,
        penalty=2.5,
        weights=np.append(ridge.coef_, ridge.intercept_),
        predictions=ridge.predict(scaler.transform(test)),
    )
    for name, classes in (("logistic_two", 2), ("logistic_three", 3)):
        score = scaler.transform(x)[:, :3] + rng.normal(size=(60, 3))
        of = (score[:, 0] > 0).astype(int) if classes == 2 else score.argmax(1)
        model = LogisticRegression(C=0.5, solver="newton-cg", tol=1e-12, max_iter=1_000).fit(scaler.transform(x), of)
        made[name] = case(
            x,
            of,
            test,
            penalty=2.0,
            classes=classes,
            weights=np.append(model.coef_.ravel(), model.intercept_),
            predictions=model.predict_proba(scaler.transform(test)),
        )
    return made


def neighbours(rng: np.random.Generator) -> dict:
    x, test = rows(rng, 80, 3), rows(rng, 30, 3)
    scaler = StandardScaler().fit(x.astype(np.float64))
    value = np.round(rng.normal(size=80), 4)
    of = (scaler.transform(x)[:, 0] + rng.normal(size=80) > 0).astype(int)
    train, queries = scaler.transform(x), scaler.transform(test)
    return {
        "neighbours_values": case(
            x, value, test, count=5, predictions=KNeighborsRegressor(5).fit(train, value).predict(queries)
        ),
        "neighbours_classes": case(
            x, of, test, count=5, classes=2, predictions=KNeighborsClassifier(5).fit(train, of).predict(queries)
        ),
    }


def trees(rng: np.random.Generator) -> dict:
    def table(count: int) -> np.ndarray:
        x = rows(rng, count, 4)
        x[rng.random(count) < 0.2, 1] = np.nan
        return np.column_stack([x, rng.integers(0, 6, count)]).astype(np.float32)

    x, test = table(240), table(60)
    effect = np.array([0, 2, -1, 1, -2, 3])[x[:, 4].astype(int)]
    value = np.round(np.sin(x[:, 0]) + np.nan_to_num(x[:, 1], nan=2.0) * 0.1 + effect + rng.normal(size=240) * 0.3, 4)
    shared = {
        "max_iter": 30,
        "max_leaf_nodes": 8,
        "min_samples_leaf": 10,
        "l2_regularization": 1.0,
        "early_stopping": False,
    }
    options = {"rounds": 30, "leaves": 8, "least_rows": 10}
    made = {}
    # Without the category, every number is the same; with it, categories are penalised otherwise.
    numbers, numbers_test = x[:, :4], test[:, :4]
    model = HistGradientBoostingRegressor(**shared).fit(numbers, value)
    made["trees_values"] = case(numbers, value, numbers_test, predictions=model.predict(numbers_test), **options)
    for name, classes in (("trees_two", 2), ("trees_three", 3)):
        of = np.digitize(value, np.quantile(value, np.arange(1, classes) / classes))
        model = HistGradientBoostingClassifier(**shared).fit(numbers, of)
        made[name] = case(
            numbers, of, numbers_test, classes=classes, predictions=model.predict_proba(numbers_test), **options
        )
    truth = np.sin(test[:, 0]) + np.nan_to_num(test[:, 1], nan=2.0) * 0.1
    truth += np.array([0, 2, -1, 1, -2, 3])[test[:, 4].astype(int)]
    model = HistGradientBoostingRegressor(categorical_features=[4], **shared).fit(x, value)
    rmse = float(np.sqrt(np.mean((model.predict(test) - truth) ** 2)))
    made["trees_categories"] = case(x, value, test, truth=truth, categories=6, rmse=round(rmse, 6), **options)
    return made


def goldens() -> str:
    rng = np.random.default_rng(20)
    made = {**linear(rng), **neighbours(rng), **trees(rng)}
    return "{\n" + ",\n".join(f'"{name}": {json.dumps(of)}' for name, of in made.items()) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, do not write")
    if parser.parse_args().check:
        old, new = json.loads(FILE.read_text()), json.loads(goldens())
        close = old.keys() == new.keys() and all(
            np.allclose(np.array(old[case][key], dtype=float), np.array(new[case][key], dtype=float), equal_nan=True)
            for case in new
            for key in new[case]
        )
        sys.exit(0 if close else f"{FILE} is not what scikit-learn makes")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(goldens())
    print(f"{FILE}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
