#!/usr/bin/env python3
"""Makes the static embeddings of tokens that `deepfit-backbone-minilm-static` holds, from all-MiniLM-L6-v2.

    .venv/bin/python scripts/make-static.py MODEL --deepfit target/release/deepfit           writes model.safetensors and
                                                                                             tokenizer.json
    .venv/bin/python scripts/make-static.py MODEL --deepfit target/release/deepfit --check   compares them with what it
                                                                                             would write

MODEL is the folder of sentence-transformers/all-MiniLM-L6-v2. The way is that of Model2Vec (Minish Lab,
https://github.com/MinishLab/model2vec): each token goes through the network by itself, principal components make its vector
shorter, and a weight takes account of how common it is; a text is the mean of its tokens' vectors. No texts are needed. How
common a token is tells its number, since the vocabulary is sorted by frequency: its share is taken to be inverse to its rank
(Zipf's law). Vectors are then rounded to 8 bits with a scale each.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

FOLDER = Path(__file__).resolve().parent.parent / "crates" / "deepfit-backbone-minilm-static"
UNKNOWN = "[UNK]"
WIDTH = 256
# Of the smooth inverse frequency, a / (a + share of the token) (Arora et al., 2017).
SMOOTHING = 2e-3
# Mean and components count a token by its share to this power: words that are in every text are what should be taken off, but
# by their shares as they are, a few of them would decide alone.
COUNTING = 0.7
# Components are divided by their deviations to this power: between principal components (0) and whitening (1).
WHITENING = 0.5


def embed(program: Path, model: Path) -> tuple[list[str], np.ndarray]:
    """The tokens, and for each the mean of the hidden states of its text, which is the token with [CLS] and [SEP]."""
    command = [program, "embed", model, "--vocabulary", "--hidden"]
    tokens, vectors = [], []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        for line in process.stdout:
            if line.startswith("{"):
                row = json.loads(line.rstrip().rstrip(","))
                tokens.append(row["input"])
                vectors.append(np.mean(row["hidden"], axis=0))
    if process.returncode:
        sys.exit("make-static: deepfit could not embed the vocabulary")
    return tokens, np.array(vectors)


def kept(tokens: list[str]) -> list[int]:
    """Tokens that texts can have, and the one for what is unknown; others, such as [unused1], are only placeholders."""
    return [i for i, token in enumerate(tokens) if token == UNKNOWN or not re.fullmatch(r"\[\w+\]", token)]


def shares(tokens: list[str]) -> np.ndarray:
    """How large a part of all tokens each is, guessed by Zipf's law: words and their pieces are sorted from `the` on."""
    first = tokens.index("the")
    ranks = np.arange(len(tokens)) - first + 1.0
    # Letters and signs stand before the words, sorted by their codes: those of ASCII are common, most others are rare.
    for i, token in enumerate(tokens[:first]):
        ranks[i] = 10 if token.isascii() else len(tokens) - first
    return 1 / ranks / np.sum(1 / ranks)


def distil(tokens: list[str], vectors: np.ndarray) -> np.ndarray:
    """[tokens, WIDTH]: principal components, weighted by how rare a token is."""
    share = shares(tokens)
    counting = share**COUNTING
    # What is unknown is like nothing.
    counting[tokens.index(UNKNOWN)] = 0
    counting /= counting.sum()
    centred = vectors - counting @ vectors
    variances, directions = np.linalg.eigh((centred * counting[:, None]).T @ centred)
    variances, directions = variances[::-1][:WIDTH], directions[:, ::-1][:, :WIDTH]
    # The sign of a direction is arbitrary; the same one each time lets files be compared.
    directions = directions * np.sign(directions[np.abs(directions).argmax(0), np.arange(WIDTH)])
    reduced = centred @ directions / np.sqrt(variances) ** WHITENING
    reduced *= (SMOOTHING / (SMOOTHING + share))[:, None]
    reduced[tokens.index(UNKNOWN)] = 0
    return reduced / np.linalg.norm(reduced, axis=1).mean()


def rounded(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """8 bits a number: the largest of a row is 127 times its scale."""
    scale = np.abs(vectors).max(1).astype(np.float32) / np.float32(127)
    weight = np.round(vectors / np.maximum(scale, 1e-30)[:, None]).clip(-127, 127).astype(np.int8)
    return {"embeddings.scale": scale, "embeddings.weight": weight}


def tokenizer(model: Path, tokens: list[str]) -> str:
    """The model's tokenizer with these tokens, which puts nothing around a text."""
    settings = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    settings |= {"truncation": None, "padding": None, "post_processor": None, "added_tokens": []}
    settings["model"]["vocab"] = {token: number for number, token in enumerate(tokens)}
    return json.dumps(settings, ensure_ascii=False, separators=(",", ":")) + "\n"


def same(there: dict[str, np.ndarray], made: dict[str, np.ndarray]) -> bool:
    """Whether all is equal but for what another processor's rounding may change: a unit here and there."""
    if any(there[name].shape != made[name].shape for name in made):
        return False
    weights = np.abs(there["embeddings.weight"].astype(int) - made["embeddings.weight"])
    scales = np.abs(there["embeddings.scale"] - made["embeddings.scale"])
    print(f"{np.mean(weights > 0):.2%} of the numbers differ, by {weights.max()} of 127 at most")
    return weights.max() <= 2 and bool((scales <= 1e-3 * made["embeddings.scale"]).all())


def main() -> None:
    parser = argparse.ArgumentParser(description="make the static embeddings that are part of deepfit")
    parser.add_argument("model", type=Path, help="the folder of all-MiniLM-L6-v2")
    parser.add_argument("--deepfit", type=Path, required=True, help="the program, which embeds the vocabulary")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    tokens, vectors = embed(arguments.deepfit.resolve(), arguments.model)
    chosen = kept(tokens)
    tokens, vectors = [tokens[i] for i in chosen], vectors[chosen]
    weights = rounded(distil(tokens, vectors))
    words = tokenizer(arguments.model, tokens)
    path, beside = FOLDER / "model.safetensors", FOLDER / "tokenizer.json"
    if arguments.check:
        if not same(load_file(path), weights) or beside.read_text(encoding="utf-8") != words:
            sys.exit(f"{FOLDER}: differs from what would be written")
    else:
        path.write_bytes(save(weights, metadata={"format": "pt"}))
        beside.write_text(words, encoding="utf-8")
    size = sum(file.stat().st_size for file in (path, beside))
    print(f"{FOLDER}: {len(tokens):,} tokens of {WIDTH} numbers, {size:,} bytes")


if __name__ == "__main__":
    main()
