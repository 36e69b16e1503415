#!/usr/bin/env python3
"""Holds the tokens that `deepfit tokenize` makes of difficult lines against those of transformers.

    .venv/bin/python scripts/check-tokens.py MODEL [MODEL ...]      folders with a tokenizer

A folder with `tokenizer.json` is checked a second time with nothing but its older files, if it has them.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import transformers

from goldens.difficult_lines import lines

ROOT = Path(__file__).resolve().parent.parent
DEEPFIT = ROOT / "target" / "release" / "deepfit"


def tokens_here(folder: Path, texts: list[str]) -> list[list[int]]:
    with tempfile.NamedTemporaryFile("wb", suffix=".txt") as file:
        file.write("".join(text + "\n" for text in texts).encode())
        file.flush()
        run = [DEEPFIT, "tokenize", folder, file.name, "--json"]
        out = subprocess.run(run, check=True, capture_output=True).stdout.decode()
    return [json.loads(row)["ids"] for row in out.split("\n") if row]


def check(name: str, folder: Path, texts: list[str]) -> int:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    there, here = tokenizer(texts)["input_ids"], tokens_here(folder, texts)
    wrong = [i for i, (a, b) in enumerate(zip(there, here, strict=True)) if list(a) != b]
    print(f"{name}: {len(texts) - len(wrong)} of {len(texts)} lines have the tokens of transformers {transformers.__version__}")
    for i in wrong[:5]:
        place = next((k for k, (a, b) in enumerate(zip(there[i], here[i], strict=False)) if a != b), -1)
        print(f"  line {i}, token {place}: {there[i][place]} there, {here[i][place]} here: {texts[i][:60]!r}")
    return len(wrong)


def main() -> None:
    parser = argparse.ArgumentParser(description="hold tokens against those of transformers")
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--lines", type=int, default=10_000)
    arguments = parser.parse_args()
    texts, wrong = lines(arguments.lines), 0
    for model in arguments.models:
        wrong += check(str(model), model, texts)
        older = ["vocab.txt", "vocab.json", "merges.txt", "tokenizer_config.json", "config.json"]
        older = [name for name in older if (model / name).is_file()]
        if (model / "tokenizer.json").is_file() and {"vocab.txt", "merges.txt"} & set(older):
            with tempfile.TemporaryDirectory() as folder:
                for name in older:
                    shutil.copy(model / name, folder)
                wrong += check(f"{model} without tokenizer.json", Path(folder), texts)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
