#!/usr/bin/env python3
"""Writes the one-line descriptions of Debian's packages with the sections they belong to, and draws of few of them.

    .venv/bin/python scripts/make-synopses.py OUT

OUT then holds

    synopses.csv                            text,section: some 13,000 texts of 20 sections, as short and as full of names
                                            as queries or titles are
    draws/synopses-10-0/train.csv           10 texts a section, and
    draws/synopses-10-0/test.csv            all others; so for 10 and 50, and for draws 0 to 4

Such a draw is a data set for `deepfit train train.csv --target section --test test.csv`; `reference-texts.py` takes the same
draws, so that numbers can be compared. Which text is drawn depends on the text and the draw alone: it is the same with every
version of Python, and 50 hold the 10.

The list is the one that apt keeps of what could be installed (`apt-get update` fetches it), so this runs on Debian, and
another release has other texts: compare numbers of one release only. Nothing of it is part of deepfit.
"""

import argparse
import csv
import hashlib
import re
import subprocess
import sys
from pathlib import Path

# The larger sections that are a subject; others, such as libs and python, tell how a package is made.
SECTIONS = (
    "games sound graphics science math net admin text fonts x11 web mail editors database electronics hamradio kernel "
    "localization video vcs"
).split()
DRAWS = range(5)
SIZES = (10, 50)
FIELD = re.compile(r"^(Section|Description)(?:-en)?: (.+)$", re.MULTILINE)


def synopses() -> list[tuple[str, str]]:
    """Each text once, with the section of the first package that has it."""
    try:
        dump = subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True).stdout.decode(errors="replace")
    except FileNotFoundError:
        sys.exit("make-synopses: apt-cache is not there; run this on Debian")
    found: dict[str, str] = {}
    for paragraph in dump.split("\n\n"):
        fields = dict(FIELD.findall(paragraph))
        # Sections outside of Debian's main archive are named contrib/net.
        section = fields.get("Section", "").rpartition("/")[2]
        if section in SECTIONS and "Description" in fields:
            found.setdefault(fields["Description"].strip(), section)
    return list(found.items())


def write(path: Path, rows: list[tuple[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("text", "section"))
        writer.writerows(rows)


def write_draw(rows: list[tuple[str, str]], out: Path, draw: int, size: int) -> None:
    """`size` texts of each section to training, the rest to test."""
    shuffled = sorted(rows, key=lambda row: hashlib.sha256(f"{draw}/{row[0]}".encode()).digest())
    train, test, taken = [], [], dict.fromkeys(SECTIONS, 0)
    for row in shuffled:
        taken[row[1]] += 1
        (train if taken[row[1]] <= size else test).append(row)
    write(out / "train.csv", train)
    write(out / "test.csv", test)


def main() -> None:
    parser = argparse.ArgumentParser(description="write the synopses of Debian's packages and draws of them")
    parser.add_argument("out", type=Path, help="a folder that is empty or not there yet")
    out = parser.parse_args().out
    if out.exists() and any(out.iterdir()):
        sys.exit(f"make-synopses: {out} is not empty; name another folder")
    rows = synopses()
    if not rows:
        sys.exit("make-synopses: apt knows no packages; `apt-get update` fetches their list")
    write(out / "synopses.csv", rows)
    for draw in DRAWS:
        for size in SIZES:
            write_draw(rows, out / "draws" / f"synopses-{size}-{draw}", draw, size)
    print(f"{out / 'synopses.csv'}: {len(rows):,} texts, {len(SECTIONS)} sections")


if __name__ == "__main__":
    main()
