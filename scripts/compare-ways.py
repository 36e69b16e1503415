#!/usr/bin/env python3
"""Finds out whether the advice of `deepfit compare` is good, on real tables, pictures and texts, each split five times.

    .venv/bin/python scripts/compare-ways.py [--splits 5] [--time 4m] [--only NAME,...] [--out benches/ways.json]

Every comparison has time to run all of its ways to the end. It chooses by rows that it holds out of those to learn from; here
it is held against the test rows, which decide nothing. Of a set the scores (accuracy or R2) of the recommended way, whichever
that is on a split, are held against those of the way that is best on the mean of the splits. The advice is right

  * if the mean of the recommended is within one point (0.01) of that of the best, or
  * if the 90 % interval of the paired differences (Student's t over the splits) holds 0.

The hint whether transfer helps is right on a split if it says what the test rows say: whether the best way on a published
network is better than the best without one. Where its probes cannot tell one from the other beyond chance, the better one
counts as what it says. Where the ways differ by less than a point, either word is right; where there is no probe, none is.

Tables are those of `compare-tables.py`. Pictures are the digits of the examples, drawn pictures (emoji) of 9 kinds, ten to
learn from of each, and faces or not, both as `make-transfer-pictures.py` draws them (emoji need npm). Texts are the one-line
descriptions of Debian's packages by section, 10 and 50 to learn from of each, as `make-synopses.py` draws them (Debian with
the lists of apt), spoken commands by what they ask for (`home-assistant-intents`), and the sentences of the examples. Of more
than 1,000 test rows, 1,000 are drawn. What cannot be had is left out and named. Results are kept in the cache, by the content
of the program: a run that was stopped goes on.
"""

import argparse
import csv
import hashlib
import importlib.util
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POINT = 0.01
MOST_TEST = 1_000
# How the names of ways end that begin with a published network.
PUBLISHED = ("-on-features", "last-layer", "fine-tuning")
# Those of few rows: every way is to end on five splits.
TABLES = ("wine", "penguins", "pima", "heating", "loans", "cars", "diabetes", "boston")
# The 95 % point of Student's t by degrees of freedom, from 1.
STUDENT = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833)


@dataclass(frozen=True)
class Set:
    """Data, and what `deepfit compare` is told of a split of it; nothing where it cannot be had."""

    name: str
    kind: str
    split: Callable[[int], list | None]


def module(name: str):
    """A script of this folder, whose name is no module's."""
    spec = importlib.util.spec_from_file_location(name.replace("-", "_"), ROOT / "scripts" / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def made(folder: Path, script: str, *more: str) -> bool:
    """Whether a script has made a folder, now or before."""
    if not folder.exists():
        begun = folder.with_suffix(".part")
        begun.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, ROOT / "scripts" / f"{script}.py", begun, *more]
        if subprocess.run(list(map(str, command)), check=False).returncode != 0:
            return False
        begun.rename(folder)
    return True


def fewer(path: Path) -> Path:
    """A table with at most so many rows of another one, beside it."""
    few = path.with_name(f"{path.stem}-{MOST_TEST}.csv")
    if not few.exists():
        with path.open(newline="") as file:
            head, *rows = csv.reader(file)
        rows = random.Random(1).sample(rows, min(MOST_TEST, len(rows)))
        with few.open("w", newline="") as file:
            csv.writer(file).writerows([head, *rows])
    return few


def of_table(tables, name: str, cache: Path) -> Set:
    (source,) = (source for source in tables.TABLES if source.name == name)

    def split(number: int) -> list:
        rows, test = tables.files(source, number, cache.parent / "deepfit-tables")
        return [rows, "--test", test, "--target", "target"]

    return Set(name, "table", split)


def of_pictures(name: str, sets: str, draw: str, cache: Path) -> Set:
    def split(number: int) -> list | None:
        folder = cache / f"pictures-{sets}"
        if not made(folder, "make-transfer-pictures", "--sets", sets):
            return None
        of = folder / "draws" / f"{draw}-{number}"
        return [of / "train", "--test", fewer_pictures(of / "test")]

    return Set(name, "pictures", split)


def fewer_pictures(folder: Path) -> Path:
    """A folder with links to at most so many pictures of another one."""
    few = folder.with_name(f"test-{MOST_TEST}")
    if not few.exists():
        pictures = sorted(folder.rglob("*.png"))
        for picture in random.Random(1).sample(pictures, min(MOST_TEST, len(pictures))):
            link = few / picture.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(picture, link)
    return few


def of_synopses(size: int, cache: Path) -> Set:
    def split(number: int) -> list | None:
        folder = cache / "synopses"
        if not made(folder, "make-synopses"):
            return None
        of = folder / "draws" / f"synopses-{size}-{number}"
        return [of / "train.csv", "--test", fewer(of / "test.csv"), "--target", "section"]

    return Set(f"synopses-{size}", "texts", split)


def of_commands(cache: Path) -> Set:
    """What one asks a house for, in German, by the kind of the command: 400 sentences to learn from, nearly 600 as the test."""

    def split(number: int) -> list | None:
        paths = [cache / "commands" / f"{part}-{number}.csv" for part in ("train", "test")]
        if not all(path.exists() for path in paths):
            try:
                rows = commands()
            except ImportError:
                return None
            drawn = random.Random(number).sample(rows, 1_000)
            train, rest = drawn[:400], drawn[400:]
            # What nobody has asked for in the rows to learn from cannot be foretold.
            learned = {intent for _, intent in train}
            paths[0].parent.mkdir(parents=True, exist_ok=True)
            for path, part in zip(paths, (train, [row for row in rest if row[1] in learned])):
                with path.open("w", newline="") as file:
                    csv.writer(file).writerows([("text", "intent"), *part])
        return [paths[0], "--test", paths[1], "--target", "intent"]

    return Set("commands", "texts", split)


def commands() -> list[tuple[str, str]]:
    """Sentences with what they ask for, each once, one for each way in which the templates of the package can be read."""
    import re

    import home_assistant_intents

    data = json.loads((Path(home_assistant_intents.__file__).parent / "data" / "de.json").read_text())
    rules = data.get("expansion_rules", {})
    lists = {name: content for name, content in data.get("lists", {}).items()}
    choose = random.Random(7)

    def spoken(template: str, depth: int = 0) -> str:
        """One reading, drawn at random."""
        if depth > 20:
            return ""
        innermost = re.compile(r"\[([^\[\]()]*)\]|\(([^\[\]()]*)\)|<([^<>]*)>|\{([^{}]*)\}")

        def reading(match: re.Match) -> str:
            maybe, either, rule, slot = match.groups()
            if maybe is not None:
                return choose.choice([choose.choice(maybe.split("|")), ""])
            if either is not None:
                return choose.choice(either.split("|"))
            if rule is not None:
                return spoken(rules.get(rule, ""), depth + 1)
            values = lists.get(slot.split(":")[0], {}).get("values", [])
            values = [value if isinstance(value, str) else value.get("in", "") for value in values]
            return spoken(choose.choice(values), depth + 1) if values else choose.choice(["Küche", "Lampe", "Büro", "20"])

        while innermost.search(template):
            template = innermost.sub(reading, template, count=1)
        return " ".join(template.split())

    found: dict[str, str] = {}
    for intent, content in data["intents"].items():
        templates = [sentence for one in content["data"] for sentence in one["sentences"]]
        if len(templates) < 4:
            continue
        for template in templates * max(1, 120 // len(templates)):
            found.setdefault(spoken(template), intent)
    return [(text, intent) for text, intent in sorted(found.items()) if text]


def of_example(name: str, kind: str) -> Set:
    """An example, divided anew by the seed."""
    return Set(name, kind, lambda number: [ROOT / "examples" / name, "--seed", str(number + 1)])


def compare(binary: Path, arguments: list, limit: str) -> dict:
    """What deepfit finds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [binary, "compare", *arguments, "--time", limit, "--json", "--quiet", "--out", f"{folder}/ways"]
        ran = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        sys.exit(f"compare-ways: {' '.join(map(str, command))}: {ran.stderr}")
    found = json.loads(ran.stdout)
    metric = "accuracy" if found["task"] == "classification" else "r2"
    scores = {way["name"]: way["test"].get(metric) for way in found["ways"]}
    return {
        "metric": metric,
        "recommended": found["recommended"],
        "scores": {way: score for way, score in scores.items() if score is not None},
        "published": [way["name"] for way in found["ways"] if way["name"].endswith(PUBLISHED)],
        "not_run": [one["name"] for one in found["not_run"]],
        "transfer": found.get("transfer"),
        "test_rows": max(way["predict_rows"] for way in found["ways"]),
        "seconds": found["seconds"],
    }


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def judge(data: Set, splits: list[dict]) -> dict:
    """How far the recommended way is from the best, and whether the hint was right."""
    ways = set.intersection(*(set(split["scores"]) for split in splits))
    means = {way: mean([split["scores"][way] for split in splits]) for way in ways}
    best = max(sorted(means), key=means.get)
    lost = [split["scores"][best] - split["scores"][split["recommended"]] for split in splits]
    error = 0.0
    if len(lost) > 1:
        error = math.sqrt(sum((one - mean(lost)) ** 2 for one in lost) / (len(lost) - 1) / len(lost))
    half = STUDENT[min(len(lost) - 1, len(STUDENT)) - 1] * error if len(lost) > 1 else 0.0
    interval = [mean(lost) - half, mean(lost) + half]
    hints = [judge_hint(split) for split in splits]
    hints = [hint for hint in hints if hint is not None]
    return {
        "data": data.name,
        "kind": data.kind,
        "metric": splits[0]["metric"],
        "test_rows": splits[0]["test_rows"],
        "recommended": [split["recommended"] for split in splits],
        "best": best,
        "best_mean": means[best],
        "recommended_mean": mean([split["scores"][split["recommended"]] for split in splits]),
        "lost": mean(lost),
        "interval": interval,
        "right": mean(lost) <= POINT or interval[0] <= 0.0 <= interval[1],
        "hints": len(hints),
        "hints_right": sum(hint["right"] for hint in hints),
        "gained": mean([hint["gained"] for hint in hints]) if hints else None,
        "not_run": sorted({name for split in splits for name in split["not_run"]}),
        "seconds": mean([split["seconds"] for split in splits]),
        "means": means,
        "splits": splits,
    }


def judge_hint(split: dict) -> dict | None:
    """Whether the hint of a split was right, and what transfer gained there; nothing where there is no published network."""
    transfer = split["transfer"]
    if transfer is None or not split["published"]:
        return None
    scores = split["scores"]
    of = [score for way, score in scores.items() if way in split["published"]]
    without = [score for way, score in scores.items() if way not in split["published"]]
    if not of or not without:
        return None
    gained = max(of) - max(without)
    says = transfer["helps"]
    if says is None and (probes := transfer["probes"]) and probes[-1]["natural"] is not None:
        says = probes[-1]["published"] > probes[-1]["natural"]
    return {"gained": gained, "right": says is not None and (abs(gained) < POINT or says == (gained > 0))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=5, choices=range(1, 6), metavar="N")
    parser.add_argument("--time", default="4m", help="limit of each comparison")
    parser.add_argument("--only", type=lambda names: names.split(","), help="names of data")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "deepfit-ways")
    parser.add_argument("--binary", type=Path, default=ROOT / "target" / "release" / "deepfit")
    parser.add_argument("--out", type=Path, help="file for the record")
    options = parser.parse_args()
    tables = module("compare-tables")
    sets = [of_table(tables, name, options.cache) for name in TABLES]
    sets += [
        of_example("digits.zip", "pictures"),
        of_pictures("emoji-10", "google", "google-10", options.cache),
        of_pictures("faces", "lfw", "lfw", options.cache),
        of_synopses(10, options.cache),
        of_synopses(50, options.cache),
        of_commands(options.cache),
        of_example("sentences.tsv", "texts"),
    ]
    if options.only and (unknown := set(options.only) - {data.name for data in sets}):
        sys.exit(f"compare-ways: there is no data {', '.join(sorted(unknown))}")
    program = hashlib.sha256(options.binary.read_bytes()).hexdigest()[:16]
    record, left_out = [], []
    for data in sets:
        if options.only and data.name not in options.only:
            continue
        splits = []
        for number in range(options.splits):
            arguments = data.split(number)
            if arguments is None:
                left_out.append(data.name)
                break
            kept = options.cache / "results" / program / f"{data.name}-{number}-{options.time}.json"
            splits.append(tables.kept(kept, lambda: compare(options.binary, arguments, options.time)))
        if len(splits) < options.splits:
            continue
        one = judge(data, splits)
        record.append(one)
        word = "right" if one["right"] else "wrong"
        hint = f", hint right on {one['hints_right']} of {one['hints']}" if one["hints"] else ""
        print(
            f"{data.name:14} {word}: {one['recommended_mean']:.4f} beside {one['best_mean']:.4f} of {one['best']} "
            f"({one['interval'][0]:+.4f} to {one['interval'][1]:+.4f}){hint}  ({one['seconds']:.0f} s)",
            flush=True,
        )
    if not record:
        sys.exit("compare-ways: there is no such data here")
    right = sum(one["right"] for one in record)
    hints, hints_right = sum(one["hints"] for one in record), sum(one["hints_right"] for one in record)
    print(f"the advice is right on {right} of {len(record)}, the hint on {hints_right} of {hints}")
    for name in left_out:
        print(f"left out, since it cannot be had here: {name}")
    if options.out:
        not_asked = [data.name for data in sets if options.only and data.name not in options.only]
        told = {"limit": options.time, "splits": options.splits, "left_out": left_out, "not_asked": not_asked, "data": record}
        options.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
