"""Real pairs of texts: the synopsis of each Debian package with the beginning of its long description.

    python scripts/make-text-pairs.py OUT [--lists FOLDER]

reads the lists that apt keeps (`apt-get update -o Acquire::Languages=en` fetches those with the long descriptions) and writes OUT/train.csv, OUT/validation.csv and OUT/test.csv with the columns `synopsis` and `description`. Packages of the same
source stand in one part, and a description occurs once.
"""

import argparse
import csv
import hashlib
import pathlib
import re
import subprocess
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


def pairs(lists):
    listed = sorted(path for kind in ("Packages", "Translation-en") for path in lists.glob(f"*_{kind}*"))
    sources, long = {}, {}
    for path in listed:
        # apt keeps lists packed or not, and knows how to read both.
        text = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", path], check=True, capture_output=True).stdout
        for fields in packages(text.decode(errors="replace").splitlines()):
            name = fields["Package"][0]
            if "Description-en" in fields:
                long.setdefault(name, fields["Description-en"])
            else:
                sources[name] = fields.get("Source", [name])[0].split(" ")[0]
    seen = set()
    for name, description in sorted(long.items()):
        synopsis = description[0]
        text = " ".join(line for line in description[1:] if line != ".")
        text = re.sub(r"\s+", " ", text).strip()[:LETTERS]
        if len(synopsis) < 10 or len(text) < 60 or text in seen or synopsis in seen:
            continue
        seen.update((synopsis, text))
        yield sources.get(name, name), synopsis, text


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--lists", type=pathlib.Path, default=pathlib.Path("/var/lib/apt/lists"))
    arguments = parser.parse_args()
    out = arguments.out
    by_source = {}
    for source, *pair in pairs(arguments.lists):
        by_source.setdefault(source, []).append(pair)
    if not by_source:
        sys.exit("make-text-pairs: apt keeps no long descriptions; `apt-get update -o Acquire::Languages=en` fetches them")
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
