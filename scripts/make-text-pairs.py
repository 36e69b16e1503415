"""Real pairs of texts: the synopsis of each Debian package with the beginning of its long description.

    apt-cache dumpavail | python scripts/make-text-pairs.py OUT

writes OUT/train.csv, OUT/validation.csv and OUT/test.csv with the columns `synopsis` and `description`. Packages of the same
source stand in one part, and a description occurs once.
"""

import argparse
import csv
import hashlib
import pathlib
import re
import sys

LETTERS = 300
PARTS = {"train": 6000, "validation": 500, "test": 1000}


def packages(lines):
    """Fields of each package: source, synopsis, and the paragraphs of the description."""
    fields, last = {}, None
    for line in [*lines, ""]:
        line = line.rstrip("\n")
        if not line:
            if fields:
                yield fields
            fields, last = {}, None
        elif line[0] == " " and last:
            fields[last].append(line[1:])
        elif ":" in line:
            last, value = line.split(":", 1)
            fields[last] = [value.strip()]


def pairs(lines):
    seen = set()
    for fields in packages(lines):
        description = fields.get("Description-en") or fields.get("Description") or []
        if len(description) < 2:
            continue
        source = fields.get("Source", fields["Package"])[0].split(" ")[0]
        synopsis = description[0]
        text = " ".join(line for line in description[1:] if line != ".")
        text = re.sub(r"\s+", " ", text).strip()[:LETTERS]
        if len(synopsis) < 10 or len(text) < 60 or text in seen or synopsis in seen:
            continue
        seen.update((synopsis, text))
        yield source, synopsis, text


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    out = parser.parse_args().out
    by_source = {}
    for source, *pair in pairs(sys.stdin):
        by_source.setdefault(source, []).append(pair)
    order = sorted(by_source, key=lambda source: hashlib.sha256(source.encode()).hexdigest())
    out.mkdir(parents=True, exist_ok=True)
    for part, count in PARTS.items():
        rows = []
        while len(rows) < count and order:
            rows.extend(by_source[order.pop()])
        with open(out / f"{part}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["synopsis", "description"])
            writer.writerows(rows[:count])
        print(f"{part}: {min(len(rows), count)} pairs")


if __name__ == "__main__":
    main()
