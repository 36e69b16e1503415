#!/usr/bin/env python3
"""Makes the example texts of `examples/`, and a megabyte to learn from, of documentation with permissive licences.

    .venv/bin/python scripts/make-texts.py [--out examples]      # reference.txt, sentences.tsv, TEXT-LICENCES.txt
    .venv/bin/python scripts/make-texts.py --large FILE          # 1,000,000 bytes

The texts are the documentation of Python 3.11 and of the packages in `requirements.txt`, read from their installation.
"""

import argparse
import ast
import hashlib
import inspect
import sysconfig
from importlib.metadata import distribution
from pathlib import Path
from pydoc_data.topics import topics

ROOT = Path(__file__).resolve().parent.parent
EXCERPT, LARGE = 60_000, 1_000_000
# Folder of the package, name of its distribution, what its sentences are about.
LIBRARIES = [
    ("networkx", "networkx", "graphs"),
    ("sympy", "sympy", "algebra"),
    ("sklearn", "scikit-learn", "learning"),
    ("pandas", "pandas", "tables"),
]
SENTENCES = 440


def docstrings(folder: Path) -> list[str]:
    """Of all modules, classes and functions below a folder that are no tests, in the order of the files."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).parts
        if {"test", "tests", "idlelib", "lib2to3", "site-packages", "conftest.py", "externals"} & set(parts):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except SyntaxError:
            continue
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
        found += [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    return found


def ascii_only(text: str) -> str:
    return text.encode("ascii", "ignore").decode()


def reference() -> str:
    """The language reference of Python, by topic."""
    return ascii_only("\n".join(topics[name] for name in sorted(topics)))


def large() -> str:
    """The language reference, then the docstrings of the standard library."""
    library = Path(sysconfig.get_paths()["stdlib"])
    return (reference() + "\n\n".join(filter(None, map(ascii_only, docstrings(library)))))[:LARGE]


def sentences(package: str, known: set[str]) -> list[str]:
    """First sentences of docstrings, a choice that depends on nothing but their words."""
    found = set()
    for text in docstrings(Path(sysconfig.get_paths()["purelib"]) / package):
        paragraph = " ".join(inspect.cleandoc(text).split("\n\n")[0].split()).replace("`", "")
        sentence = paragraph.split(". ")[0].rstrip(".")
        if 35 <= len(sentence) <= 160 and sentence.isascii() and sentence.count(" ") >= 4:
            found.add(sentence)
    found = sorted(found - known, key=lambda sentence: hashlib.sha256(sentence.encode()).digest())[:SENTENCES]
    known.update(found)
    return found


def licences() -> str:
    """The licences of the sources in full, as their conditions ask."""
    python = inspect.getsourcefile(ast)
    texts = [("Python", (Path(python).parent / "LICENSE.txt").read_text())]
    for _, name, _ in LIBRARIES:
        files = [f for f in distribution(name).files or [] if f.name.split(".")[0] in ("LICENSE", "COPYING")]
        file = min(files, key=lambda f: len(f.parts))
        texts.append((name, file.locate().read_text()))
    return "\n\n".join(f"==== {name} ====\n\n{text.strip()}" for name, text in texts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="make the example texts")
    parser.add_argument("--out", type=Path, default=ROOT / "examples")
    parser.add_argument("--large", type=Path, help="make only this file, of a megabyte")
    arguments = parser.parse_args()
    if arguments.large:
        arguments.large.write_text(large())
        return
    text = reference()[:EXCERPT]
    (arguments.out / "reference.txt").write_text(text[: text.rindex("\n") + 1])
    known: set[str] = set()
    rows = [(topic, sentence) for package, _, topic in LIBRARIES for sentence in sentences(package, known)]
    rows.sort(key=lambda row: hashlib.sha256(row[1].encode()).digest())
    (arguments.out / "sentences.tsv").write_text("".join(f"{topic}\t{sentence}\n" for topic, sentence in rows))
    (arguments.out / "TEXT-LICENCES.txt").write_text(licences())


if __name__ == "__main__":
    main()
