#!/usr/bin/env python3
"""Measures how often each check of data in `deepfit train` speaks: on data as it is, and on data in which something was planted.

    scripts/measure-checks.py [--deepfit target/release/deepfit] [--seeds 10] [--splits 100] [--out benches/checks.json]

Needs nothing but Python. The data is what is in examples/: breast-cancer.csv (569 rows, classes), diabetes.csv (442 rows,
numbers), digits.zip (1797 pictures) and sentences.tsv (1759 texts).

As it is: each is trained on with defaults and the seeds 1 to --seeds, so that splits differ; a finding is a false alarm, but
that the rarest of the 12 classes of the sentences is rare is true and counted by itself. The test of a shift runs only where
the data has parts of its own: --splits random parts, in which both are of one distribution, give its rate of false alarms,
whose nominal level is 1 %.

Planted, with each of the seeds: a case is found if the finding of its kind is there, and names the planted column if there is
one. Of wrong labels it is also told which share of those that were planted is listed, and which share of those listed was
planted.
"""

import argparse
import csv
import json
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
KINDS = (
    "duplicates", "near_duplicates", "leakage", "identifier", "imbalance", "shift", "label_errors", "same_predictions",
)
# Where training itself does not matter.
QUICK = ("epochs=1", "folds=1", "refit=false")
TABLES = {"breast-cancer": "diagnosis", "diabetes": "progression"}


class Table:
    """A table in memory: names and rows of text; the last column is the target."""

    def __init__(self, names: list[str], rows: list[list[str]]) -> None:
        self.names, self.rows = names, rows

    @staticmethod
    def read(name: str) -> "Table":
        if name == "sentences":
            with (EXAMPLES / "sentences.tsv").open(encoding="utf-8", newline="") as file:
                rows = [line.rstrip("\r\n").split("\t") for line in file]
            return Table(["text", "section"], [[text, section] for section, text in rows])
        with (EXAMPLES / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            names, *rows = csv.reader(file)
        return Table(names, rows)

    def write(self, path: Path) -> Path:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([self.names, *self.rows])
        return path

    def numbers(self, column: int) -> list[float]:
        return [float(row[column]) for row in self.rows]

    def with_column(self, name: str, values: list[object]) -> "Table":
        """A further column, before all others."""
        return Table([name, *self.names], [[str(value), *row] for value, row in zip(values, self.rows, strict=True)])


def deviation(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5


def parts(count: int, chance: random.Random) -> list[str]:
    """A third of the rows is the test, a tenth for validation, at random."""
    names = ["test" if i < count / 3 else "validation" if i < count * 0.43 else "train" for i in range(count)]
    chance.shuffle(names)
    return names


def read_png(data: bytes) -> tuple[int, int, list[bytearray]]:
    """Width, height and rows of a grey PNG of 8 bits."""
    at, packed, width, height = 8, b"", 0, 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert (depth, colour) == (8, 0), "a grey picture of 8 bits"
        packed += body if kind == b"IDAT" else b""
        at += length + 12
    raw, rows, above = zlib.decompress(packed), [], bytearray(width)
    for y in range(height):
        way, line = raw[y * (width + 1)], bytearray(raw[y * (width + 1) + 1 : (y + 1) * (width + 1)])
        for x in range(width):
            left, up, corner = (line[x - 1] if x else 0), above[x], (above[x - 1] if x else 0)
            guess = left + up - corner
            nearest = min((left, up, corner), key=lambda value: abs(guess - value))
            line[x] = (line[x] + (0, left, up, (left + up) // 2, nearest)[way]) % 256
        rows.append(line)
        above = line
    return width, height, rows


def write_png(width: int, height: int, rows: list[bytearray]) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    raw = b"".join(b"\0" + bytes(row) for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def digits() -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(EXAMPLES / "digits.zip") as archive:
        return [(name, archive.read(name)) for name in archive.namelist() if name.endswith(".png")]


def write_zip(path: Path, entries: list[tuple[str, bytes]]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


class Measuring:
    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder, self.results = program, folder, []

    def train(self, data: Path, *more: str) -> list[dict]:
        """What a run finds."""
        run = self.folder / "run"
        shutil.rmtree(run, ignore_errors=True)
        command = [str(self.program), "train", str(data), "--out", str(run), "--quiet", "--json", *more]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return json.loads(done.stdout).get("findings", [])

    def tell(self, data: str, case: str, kind: str, runs: int, reported: int, **more: float) -> None:
        self.results.append({"data": data, "case": case, "kind": kind, "runs": runs, "reported": reported, **more})
        print(f"{data:14} {case:44} {kind:16} {reported:4} of {runs} {more or ''}", flush=True)

    def clean(self, seeds: int) -> None:
        """Data as it is."""
        sentences = Table.read("sentences").write(self.folder / "sentences.csv")
        data = {name: EXAMPLES / f"{name}.csv" for name in TABLES}
        for name, path in {**data, "digits": EXAMPLES / "digits.zip", "sentences": sentences}.items():
            found = [self.train(path, f"seed={seed}") for seed in range(1, seeds + 1)]
            for kind in KINDS:
                if kind != "shift":
                    told = sum(any(one["kind"] == kind for one in findings) for findings in found)
                    self.tell(name, "as it is", kind, seeds, told)

    def halves(self, splits: int) -> None:
        """Random parts, which are of one distribution."""
        for name in (*TABLES, "sentences"):
            table = Table.read(name)
            told = 0
            for seed in range(splits):
                column = parts(len(table.rows), random.Random(seed))
                path = table.with_column("part", column).write(self.folder / "halves.csv")
                findings = self.train(path, "--split", "part", f"seed={seed}", *QUICK)
                told += any(one["kind"] == "shift" for one in findings)
            self.tell(name, "random parts", "shift", splits, told)

    def planted(self, seeds: int, data: str, case: str, kind: str, plant: Callable[[random.Random], tuple]) -> None:
        """`plant` gives a file, options, and a column that must be named, or places of rows with wrong labels."""
        told, listed, right, wrong = 0, 0, 0, 0
        for seed in range(1, seeds + 1):
            path, options, expected = plant(random.Random(seed))
            found = [one for one in self.train(path, f"seed={seed}", *options) if one["kind"] == kind]
            if isinstance(expected, str):
                found = [one for one in found if expected in one["evidence"].get("columns", [])]
            told += bool(found)
            if isinstance(expected, set):
                wrong += len(expected)
                for suspect in (suspect for one in found for suspect in one["evidence"]["suspects"]):
                    listed += 1
                    right += suspect["row"]["id"] in expected
        more = {"recall": right / wrong, "precision": right / listed if listed else 0.0} if wrong else {}
        self.tell(data, case, kind, seeds, told, **more)

    def all_planted(self, seeds: int) -> None:
        for name in TABLES:
            self.plant_in_table(seeds, name)
        self.plant_in_classes(seeds)
        self.plant_in_texts(seeds)
        self.plant_in_pictures(seeds)

    def plant_in_table(self, seeds: int, name: str) -> None:
        table, file = Table.read(name), self.folder / "planted.csv"
        target = [row[-1] for row in table.rows]
        classes = sorted(set(target)) if name == "breast-cancer" else None

        def copies(chance: random.Random) -> tuple:
            """A copy of every tenth row, rounded to four digits, with another value in one column."""
            rows = [list(row) for row in table.rows]
            for row in chance.sample(table.rows, len(rows) // 10):
                copy = [f"{float(value):.4g}" for value in row[:-1]]
                column = chance.randrange(len(copy))
                copy[column] = chance.choice(table.rows)[column]
                rows.append([*copy, row[-1]])
            return Table(table.names, rows).write(file), QUICK, None

        def copies_across(chance: random.Random) -> tuple:
            """A tenth of the test rows is also among those to be learned from."""
            column = parts(len(table.rows), chance)
            both = [row for row, part in zip(table.rows, column, strict=True) if part == "test"]
            more = chance.sample(both, len(both) // 10)
            planted = Table(table.names, table.rows + more).with_column("part", column + ["train"] * len(more))
            return planted.write(file), ("--split", "part", *QUICK), None

        def leak(chance: random.Random) -> tuple:
            if classes:
                values = [classes.index(value) * 3 + chance.random() for value in target]
            else:
                values = [float(value) * 1.19 + chance.random() for value in target]
            return table.with_column("settled", values).write(file), QUICK, "settled"

        def number(chance: random.Random) -> tuple:
            at, values = 10_000, []
            for _ in table.rows:
                at += chance.randint(1, 9)
                values.append(at)
            return table.with_column("case", values).write(file), QUICK, "case"

        def shifted(by: float) -> Callable[[random.Random], tuple]:
            def plant(chance: random.Random) -> tuple:
                part, moved = parts(len(table.rows), chance), chance.randrange(len(table.names) - 1)
                step = by * deviation(table.numbers(moved))
                rows = [list(row) for row in table.rows]
                for row, own in zip(rows, part, strict=True):
                    if own == "test":
                        row[moved] = str(float(row[moved]) + step)
                planted = Table(table.names, rows).with_column("part", part)
                return planted.write(file), ("--split", "part", *QUICK), None

            return plant

        self.planted(seeds, name, "near copies of a tenth of the rows", "near_duplicates", copies)
        self.planted(seeds, name, "a tenth of the test is in training, too", "duplicates", copies_across)
        self.planted(seeds, name, "a column made of the target", "leakage", leak)
        self.planted(seeds, name, "a column that numbers the rows", "identifier", number)
        self.planted(seeds, name, "a column moved by a deviation in the test", "shift", shifted(1.0))
        self.planted(seeds, name, "a column moved by half a deviation", "shift", shifted(0.5))

    def plant_in_classes(self, seeds: int) -> None:
        table, file = Table.read("breast-cancer"), self.folder / "planted.csv"

        def rare(chance: random.Random) -> tuple:
            ill = chance.sample([row for row in table.rows if row[-1] == "malignant"], 20)
            rows = [row for row in table.rows if row[-1] == "benign"] + ill
            chance.shuffle(rows)
            return Table(table.names, rows).write(file), QUICK, None

        def wrong(share: float) -> Callable[[random.Random], tuple]:
            def plant(chance: random.Random) -> tuple:
                rows = [list(row) for row in table.rows]
                turned = set(chance.sample(range(len(rows)), round(share * len(rows))))
                for row in turned:
                    rows[row][-1] = "benign" if rows[row][-1] == "malignant" else "malignant"
                return Table(table.names, rows).write(file), (), turned

            return plant

        def noise(chance: random.Random) -> tuple:
            rows = [[f"{chance.random():.3f}", f"{chance.random():.3f}", "yes" if i % 10 else "no"] for i in range(400)]
            return Table(["a", "b", "answer"], rows).write(file), (), None

        self.planted(seeds, "breast-cancer", "20 rows of a class beside 357", "imbalance", rare)
        self.planted(seeds, "breast-cancer", "5 % of the labels turned", "label_errors", wrong(0.05))
        self.planted(seeds, "breast-cancer", "10 % of the labels turned", "label_errors", wrong(0.10))
        self.planted(seeds, "noise", "inputs that tell nothing", "same_predictions", noise)

    def plant_in_texts(self, seeds: int) -> None:
        table, file = Table.read("sentences"), self.folder / "planted.csv"
        sections = sorted({row[-1] for row in table.rows})

        def copies(chance: random.Random) -> tuple:
            rows = [list(row) for row in table.rows]
            long = [row for row in table.rows if len(row[0].split()) >= 12]
            for text, section in chance.sample(long, min(150, len(long))):
                words = text.split()
                words[-1] = chance.choice(table.rows)[0].split()[0]
                rows.append([" ".join(words), section])
            return Table(table.names, rows).write(file), QUICK, None

        def wrong(chance: random.Random) -> tuple:
            rows = [list(row) for row in table.rows]
            turned = set(chance.sample(range(len(rows)), len(rows) // 10))
            for row in turned:
                rows[row][-1] = chance.choice([section for section in sections if section != rows[row][-1]])
            return Table(table.names, rows).write(file), (), turned

        def shifted(chance: random.Random) -> tuple:
            part = parts(len(table.rows), chance)
            rows = [[f"{row[0]} (see the manual)" if own == "test" else row[0], row[1]]
                    for row, own in zip(table.rows, part, strict=True)]
            planted = Table(table.names, rows).with_column("part", part)
            return planted.write(file), ("--split", "part", *QUICK), None

        self.planted(seeds, "sentences", "150 texts again with another last word", "near_duplicates", copies)
        self.planted(seeds, "sentences", "10 % of the labels turned", "label_errors", wrong)
        self.planted(seeds, "sentences", "three words more in each text of the test", "shift", shifted)

    def plant_in_pictures(self, seeds: int) -> None:
        entries, file = digits(), self.folder / "planted.zip"

        def copies(chance: random.Random) -> tuple:
            more = []
            for number, (name, data) in enumerate(chance.sample(entries, len(entries) // 20)):
                width, height, rows = read_png(data)
                changed = [bytearray(min(255, max(0, value + chance.randint(2, 8))) for value in row) for row in rows]
                more.append((f"{name.split('/')[0]}/copy{number}.png", write_png(width, height, changed)))
            return write_zip(file, entries + more), QUICK, None

        def wrong(share: float) -> Callable[[random.Random], tuple]:
            def plant(chance: random.Random) -> tuple:
                planted, turned = [], set()
                for name, data in entries:
                    label, rest = name.split("/", 1)
                    if chance.random() < share:
                        label = chance.choice([other for other in "0123456789" if other != label])
                        rest = f"turned-{rest}"
                        turned.add(f"{label}/{rest}")
                    planted.append((f"{label}/{rest}", data))
                return write_zip(file, planted), (), turned

            return plant

        def darker(chance: random.Random) -> tuple:
            planted = []
            for (name, data), part in zip(entries, parts(len(entries), chance), strict=True):
                if part == "test":
                    width, height, rows = read_png(data)
                    data = write_png(width, height, [bytearray(value * 4 // 5 for value in row) for row in rows])
                planted.append((f"{'val' if part == 'validation' else part}/{name}", data))
            return write_zip(file, planted), QUICK, None

        self.planted(seeds, "digits", "a twentieth again, brighter, with noise", "near_duplicates", copies)
        self.planted(seeds, "digits", "3 % of the labels turned", "label_errors", wrong(0.03))
        self.planted(seeds, "digits", "10 % of the labels turned", "label_errors", wrong(0.10))
        self.planted(seeds, "digits", "pictures of the test darker by a fifth", "shift", darker)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deepfit", type=Path, default=ROOT / "target/release/deepfit")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--splits", type=int, default=100)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measuring = Measuring(arguments.deepfit.resolve(), Path(folder))
        measuring.clean(arguments.seeds)
        measuring.halves(arguments.splits)
        measuring.all_planted(arguments.seeds)
    if arguments.out:
        arguments.out.write_text(json.dumps({"results": measuring.results}, indent=1) + "\n")


main()
