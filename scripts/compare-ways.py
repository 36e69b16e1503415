#!/usr/bin/env python3
"""Finds out how often `deepfit compare` recommends a way within a point of the best, on real tables, texts and images.

    .venv/bin/python scripts/compare-ways.py [--time 2m] [--quick] [--only NAME,...] [--cache DIR] [--out benches/ways.json]

The tables are those of `scripts/compare-tables.py` (22, of packages of the Python Package Index), split once; texts and
images are the examples of the project. The comparison chooses by what it holds out of the rows to learn from; here it is
held against the test rows, which decide nothing: a recommendation counts as right if its accuracy or R2 there is within one
point (0.01) of the best way's. Points that chance alone moves are part of that: of 100 test rows, each is a point.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POINT = 0.01
EXAMPLES = ("digits.zip", "sentences.tsv")


def tables_module():
    """`scripts/compare-tables.py`, whose name is no module's."""
    spec = importlib.util.spec_from_file_location("compare_tables", ROOT / "scripts" / "compare-tables.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def compare(binary: Path, arguments: list, limit: str) -> dict:
    """What deepfit finds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "compare", *arguments, "--time", limit, "--json", "--quiet", "--out", f"{folder}/ways"]
        ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        sys.exit(f"compare-ways: {' '.join(map(str, command))}: {ran.stderr}")
    return json.loads(ran.stdout)


def judge(name: str, found: dict) -> dict:
    """How far the recommended way is from the best on the test rows."""
    metric = "accuracy" if found["task"] == "classification" else "r2"
    scores = {way["name"]: way["test"].get(metric) for way in found["ways"]}
    scores = {way: score for way, score in scores.items() if score is not None}
    best = max(scores, key=scores.get)
    lost = scores[best] - scores.get(found["recommended"], float("-inf"))
    return {
        "data": name,
        "metric": metric,
        "recommended": found["recommended"],
        "best": best,
        "lost": lost,
        "scores": scores,
        "held_out": {way["name"]: way["selection_value"] for way in found["ways"]},
        "not_run": [one["name"] for one in found["not_run"]],
        "test_rows": max(way["predict_rows"] for way in found["ways"]),
        "seconds": found["seconds"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", default="2m", help="limit of each comparison")
    parser.add_argument("--quick", action="store_true", help="only tables of few rows")
    parser.add_argument("--only", type=lambda names: names.split(","), help="names of data")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "deepfit-tables")
    parser.add_argument("--binary", type=Path, default=ROOT / "target" / "release" / "deepfit")
    parser.add_argument("--out", type=Path, help="file for the record")
    options = parser.parse_args()
    tables = tables_module()
    wanted = lambda name: options.only is None or name in options.only
    judged = []
    for source in tables.TABLES:
        if not wanted(source.name):
            continue
        rows, test = tables.files(source, 0, options.cache)
        if options.quick and sum(1 for _ in rows.open()) > tables.QUICK_ROWS:
            continue
        judged.append((source.name, [rows, "--test", test, "--target", "target"]))
    judged += [(name, [ROOT / "examples" / name]) for name in EXAMPLES if wanted(name)]
    record = []
    for name, arguments in judged:
        one = judge(name, compare(options.binary, arguments, options.time))
        record.append(one)
        right = "right" if one["lost"] <= POINT else f"{100 * one['lost']:.1f} points below {one['best']}"
        print(f"{name:15} {one['recommended']:35} {right}  ({one['seconds']:.0f} s)", flush=True)
    if not record:
        sys.exit("compare-ways: there is no data of that name")
    right = sum(one["lost"] <= POINT for one in record)
    print(f"the recommended way is within a point of the best on {right} of {len(record)}")
    if options.out:
        options.out.write_text(json.dumps({"limit": options.time, "right": right, "data": record}, indent=1) + "\n")


if __name__ == "__main__":
    main()
